"""What the desk shows: requests and how they stand, the CRM's own people, duplicates, conflicts.

Imports apsw, msgspec and this package. Plain JSON values; shapes are in ``desk``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import apsw
import msgspec

from agent.model.commands import CommandType
from agent.model.streams import Stream
from agent.sandbox.crm import people, views, words
from agent.sandbox.crm.asked import LABELS
from agent.sandbox.crm.extract import fold
from agent.sandbox.crm.frontdesk import offer, one_name
from agent.sandbox.crm.http import instant
from agent.sandbox.crm.orders import ENDED, WITH_AGENT
from agent.sandbox.crm.problems import Refusal
from agent.sandbox.crm.roster import HELD_AFTER_US, has_arrived
from agent.sandbox.crm.schema import now_us
from agent.sandbox.crm.slots import MINUTE_US, Place

Json = dict[str, Any]

RECENT_US: Final = 10 * 60 * 1_000_000
_COLUMNS: Final = (
    "id, type, body, state, created_us, not_after_us, result, done_us, made_by, patient, person,"
    " visit, start_us, end_us, operatory, providers, sent_us, told_us, dismissed_us"
)
_KIND: Final = {CommandType.APPOINTMENT_BOOK: "book", CommandType.APPOINTMENT_RESCHEDULE: "move"}
_UNOPENED: Final = frozenset({"validation_failed", "duplicate_of"})
_ENDED: Final = ", ".join(f"'{state}'" for state in sorted(ENDED))


# --- requests -----------------------------------------------------------------------------------


def command(db: apsw.Connection, command_id: str, zone: str) -> Json:
    """Raises Refusal 404."""
    found = _rows(db, "id = ?", (command_id,), "")
    if not found:
        raise Refusal(404, "not-found")
    return _view(db, found[0], views.practice_zone(db, zone))


def is_answered(db: apsw.Connection, command_id: str) -> bool:
    """The agent, or time, has said how it went. Raises Refusal 404."""
    row = db.execute("SELECT state FROM command WHERE id = ?", (command_id,)).fetchone()
    if row is None:
        raise Refusal(404, "not-found")
    return row[0] not in WITH_AGENT


def commands(db: apsw.Connection, state: str, limit: int, zone: str) -> Json:
    """Newest first."""
    where = {"open": f"state NOT IN ({_ENDED})", "all": "1"}.get(state, _recent())
    tz = views.practice_zone(db, zone)
    return {"commands": [_view(db, row, tz) for row in _rows(db, where, (), f" LIMIT {limit:d}")]}


def about_person(
    db: apsw.Connection, zone: str, *, key: str = "", cloud_id: str = ""
) -> list[Json]:
    """Recent and open requests about somebody."""
    where = f"({'patient' if key else 'person'} = ?) AND {_recent()}"
    rows = _rows(db, where, (key or cloud_id,), " LIMIT 50")
    tz = views.practice_zone(db, zone)
    return [_view(db, row, tz) for row in rows]


def of_day(db: apsw.Connection, day: date, zone: str) -> tuple[list[Json], dict[str, Json]]:
    """(requests that hold or were refused a place on a day, newest open request by visit)."""
    tz = views.practice_zone(db, zone)
    midnight = datetime.combine(day, time(), tz)
    until = datetime.combine(day + timedelta(days=1), time(), tz)
    span = (round(midnight.timestamp() * 1e6), round(until.timestamp() * 1e6))
    placed = []
    where = f"start_us >= ? AND start_us < ? AND {_recent()}"
    for row in _rows(db, where, span, " LIMIT 500"):
        view = _view(db, row, tz)
        if view["is_here"] or view["state"] == "superseded":
            continue
        look = "refused" if view["state"] in {"rejected", "expired"} else "pending"
        placed.append(
            {**view, "kind": _KIND.get(view["type"], "book"), "look": look,
             "operatory": view["operatory_key"] or ""}
        )  # fmt: skip
    by_visit: dict[str, Json] = {}
    for row in _rows(db, f"visit IS NOT NULL AND state NOT IN ({_ENDED})", (), " LIMIT 500"):
        view = _view(db, row, tz)
        by_visit.setdefault(str(view["target"]["key"]), view)
    return placed, by_visit


def _recent() -> str:
    """Open, or ended a short while ago and not dismissed."""
    since = now_us() - RECENT_US
    return (
        f"(state NOT IN ({_ENDED}) OR (coalesce(done_us, 0) > {since:d} AND dismissed_us IS NULL))"
    )


def _rows(
    db: apsw.Connection, where: str, bindings: Sequence[object], tail: str
) -> list[tuple[Any, ...]]:
    sql = f"SELECT {_COLUMNS} FROM command WHERE {where} ORDER BY created_us DESC{tail}"
    return db.execute(sql, tuple(bindings)).fetchall()


def _view(db: apsw.Connection, row: Sequence[Any], tz: ZoneInfo) -> Json:
    (id_, kind, body, state, created_us, not_after_us, result, done_us, _, patient, cloud_id,
     visit, start_us, end_us, room, providers, sent_us, told_us, dismissed_us) = row  # fmt: skip
    sent, told = _decoded(body), _decoded(result)
    reason = told.get("reason_code") or ("expired" if state == "expired" else None)
    record = views.one(db, Stream.APPOINTMENT, visit) if visit else None
    patient_key = patient or (record or {}).get("patient_key")
    local = _local(start_us, tz)
    answered_us = told_us or done_us
    target = sent.get("target")
    fields = sent.get("payload", {}).get("fields")
    return {
        "command_id": id_,
        "type": kind,
        "state": state,
        "is_open": state not in ENDED,
        "label": words.request_label(kind),
        "told": words.standing(state),
        "reason_code": reason,
        "why": _why(told, reason) if reason else None,
        "patient": _whose(db, patient_key, cloud_id, sent),
        "patient_key": patient_key,
        "cloud_id": cloud_id,
        "target": target if isinstance(target, dict) and target.get("key") else None,
        "date": None if local is None else local.date().isoformat(),
        "minute": None if local is None else local.hour * 60 + local.minute,
        "start": None if start_us is None else views.utc_text(start_us),
        "minutes": None if start_us is None else (end_us - start_us) // MINUTE_US,
        "operatory_key": room,
        "provider_key": providers.split()[0] if providers else None,
        "pms_key": told.get("pms_key"),
        "fields": fields if isinstance(fields, dict) else {},
        "alternatives": [_slot(db, one, tz) for one in told.get("alternatives") or ()],
        "kept_fields": told.get("kept_fields") or [],
        "is_here": state == "applied" and _is_here(db, row, told.get("pms_key")),
        "is_dismissed": dismissed_us is not None,
        "created_at": instant(created_us),
        "sent_at": None if sent_us is None else instant(sent_us),
        "answered_at": None if answered_us is None else instant(answered_us),
        "not_after": None if not_after_us is None else instant(not_after_us),
        "wait_ms": None if answered_us is None else max(0, answered_us - created_us) // 1000,
    }


def _why(told: Json, reason: str) -> str:
    if told.get("staff_text"):
        return str(told["staff_text"])
    # An agent explains its own refusals; what a poll sends back unopened has a code alone.
    if told.get("state") == "rejected" and reason in _UNOPENED:
        return words.why_unbelieved()
    return words.why_refused(reason)


def _is_here(db: apsw.Connection, row: Sequence[Any], made: str | None) -> bool:
    """What an applied request made or moved has arrived (or it makes nothing that could)."""
    done_us, visit, start_us = row[7], row[11], row[12]
    if start_us is None or done_us < now_us() - HELD_AFTER_US:
        return True
    return has_arrived(db, str(made or visit or ""), start_us, is_new=visit is None)


def _whose(db: apsw.Connection, key: str | None, cloud_id: str | None, sent: Json) -> str | None:
    if key:
        return views.patient_name(db, key)
    if cloud_id:
        try:
            return one_name(people.person(db, cloud_id))
        except Refusal:
            return None
    named = sent.get("payload", {}).get("patient")
    new = named.get("new") if isinstance(named, dict) else None
    return words.full_name(new) if isinstance(new, dict) else None


def _local(at_us: int | None, tz: ZoneInfo) -> datetime | None:
    return None if at_us is None else datetime.fromtimestamp(at_us / 1e6, UTC).astimezone(tz)


def _decoded(text: str | None) -> Json:
    found = msgspec.json.decode(text) if text else {}
    return found if isinstance(found, dict) else {}


# --- places -------------------------------------------------------------------------------------


def shown_places(db: apsw.Connection, places: Iterable[Place], tz: ZoneInfo) -> list[Json]:
    rooms = {op["key"]: op for op in views.every(db, Stream.OPERATORY)}
    providers = {p["key"]: p for p in views.every(db, Stream.PROVIDER)}
    return [_shown(offer(place), rooms, providers, tz) for place in places]


def shown_offers(db: apsw.Connection, offers: Iterable[Json], tz: ZoneInfo) -> list[Json]:
    """The contract's slots with what people want to read."""
    return [_slot(db, one, tz) for one in offers]


def _slot(db: apsw.Connection, one: Json, tz: ZoneInfo) -> Json:
    room, provider = one.get("operatory_key"), one.get("provider_key")
    rooms = {str(room): views.one(db, Stream.OPERATORY, room) or {}}
    found = views.one(db, Stream.PROVIDER, provider)
    providers = {} if found is None else {str(provider): found}
    return _shown(one, rooms, providers, tz)


def _shown(one: Json, rooms: Json, providers: Json, tz: ZoneInfo) -> Json:
    start = words.parse(one.get("start"))
    local = None if start is None else start.astimezone(tz)
    op = rooms.get(str(one.get("operatory_key"))) or {}
    provider = providers.get(str(one.get("provider_key")))
    return {
        "start": one.get("start"),
        "minutes": one.get("minutes"),
        "operatory_key": one.get("operatory_key"),
        "provider_key": one.get("provider_key"),
        "at": None if local is None else local.strftime("%Y-%m-%dT%H:%M"),
        "minute": None if local is None else local.hour * 60 + local.minute,
        "operatory": op.get("abbr") or op.get("name") or one.get("operatory_key"),
        "provider": words.provider_name(provider) if provider else "",
    }


# --- people -------------------------------------------------------------------------------------


def person(one: people.Person) -> Json:
    return {
        "cloud_id": one.id,
        "name": one_name(one),
        "last_name": one.last_name,
        "first_name": one.first_name,
        "birthdate": one.birthdate,
        "phones": list(one.phones),
        "emails": list(one.emails),
        "fields": one.fields,
        "state": one.state,
        "key": one.client_ref,
        "not_refs": list(one.not_refs),
        "rev": one.rev,
        "created_at": instant(one.created_us),
    }


def find_people(db: apsw.Connection, typed: str, *, is_open: bool) -> Json:
    found, more = people.find(db, words.search_words(typed), 60, is_open=is_open)
    return {"people": [person(one) for one in found], "more": more}


def duplicates(db: apsw.Connection) -> Json:
    """Contacts a person must decide about, beside the patients they may be."""
    listed = []
    for one in people.suspects(db):
        candidates = [_candidate(db, key, one) for key in one.candidates]
        listed.append({"contact": person(one), "candidates": [c for c in candidates if c]})
    return {"open": people.count_suspects(db), "suspects": listed}


def _candidate(db: apsw.Connection, key: str, one: people.Person) -> Json | None:
    record = views.one(db, Stream.PATIENT, key)
    if record is None:
        return None
    same, different = _compared(one, record)
    return {
        "key": key,
        "name": words.full_name(record),
        "birthdate": record.get("birthdate"),
        "phone": words.phone_of(record),
        "emails": record.get("emails") or [],
        "address": ", ".join(
            str(record[n]) for n in ("address", "city", "state", "postal_code") if record.get(n)
        ),
        "status": record.get("status") or "patient",
        "last_visit": views.last_visit(db, key),
        "same": same,
        "different": different,
    }


def _compared(one: people.Person, record: Json) -> tuple[list[str], list[str]]:
    """Fields both have, by whether they agree."""
    same: list[str] = []
    different: list[str] = []
    numbers = {
        str(record[n]) for n in ("phone_mobile", "phone_home", "phone_work") if record.get(n)
    }
    pairs = [
        ("last_name", {fold(one.last_name or "")}, {fold(str(record.get("last_name") or ""))}),
        ("first_name", {fold(one.first_name or "")}, {fold(str(record.get("first_name") or ""))}),
        ("birthdate", {one.birthdate or ""}, {str(record.get("birthdate") or "")}),
        ("phone", set(one.phones), numbers),
        (
            "email",
            {fold(e) for e in one.emails},
            {fold(str(e)) for e in record.get("emails") or ()},
        ),
    ]
    for name, ours, theirs in pairs:
        if any(ours) and any(theirs):
            (same if ours & theirs else different).append(name)
    return same, different


# --- conflicts ----------------------------------------------------------------------------------


def conflicts(db: apsw.Connection, state: str, *, patient: str = "") -> list[Json]:
    """Newest first."""
    where, bindings = ("1", []) if state == "all" else ("state = ?", [state])
    rows = db.execute(
        f"SELECT body, opened_us, changed_us FROM conflict WHERE {where}"
        " ORDER BY changed_us DESC LIMIT 500",
        bindings,
    ).fetchall()
    shown = [_conflict(db, str(body), int(str(opened)), int(str(changed)))
             for body, opened, changed in rows]  # fmt: skip
    return [one for one in shown if not patient or one["patient_key"] == patient]


def _conflict(db: apsw.Connection, body: str, opened_us: int, changed_us: int) -> Json:
    told = _decoded(body)
    patient_key = told.get("key")
    if told.get("type") != Stream.PATIENT.value:
        record = views.one(db, Stream(told["type"]), told.get("key"))
        patient_key = (record or {}).get("patient_key")
    name = str(told.get("field"))
    return {
        **{n: told.get(n) for n in ("id", "type", "key", "field", "state", "base", "pms", "crm",
                                    "winner", "command_id")},
        "label": LABELS.get(name) or name.removesuffix("_key").replace("_", " ").capitalize(),
        "who": views.patient_name(db, patient_key) if patient_key else "",
        "patient_key": patient_key,
        "opened_at": instant(opened_us),
        "changed_at": instant(changed_us),
    }  # fmt: skip
