"""What the page shows, read from the store: the day, people, a person's card, rejects.

Imports apsw, msgspec and this package. Every function takes a read-only connection inside one
snapshot and returns plain JSON values. Wall times are the practice's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import apsw
import msgspec

from agent.model.streams import Stream
from agent.sandbox.crm import extract as x
from agent.sandbox.crm import words
from agent.sandbox.crm.http import instant
from agent.sandbox.crm.schema import TYPE_ID, TYPE_NAME, now_us

Json = dict[str, Any]

_FOUND_MOST: Final = 60
_LINES: Final = 60
_UTC: Final = "%Y-%m-%dT%H:%M:%SZ"
_BROKEN: Final = frozenset({"broken", "unscheduled"})


# --- reading records ----------------------------------------------------------------------------


def one(db: apsw.Connection, stream: Stream, key: str | None) -> Json | None:
    """A live record by key."""
    if not key:
        return None
    row = db.execute(
        "SELECT b.json FROM record r JOIN body b ON b.rid = r.rid"
        " WHERE r.type = ? AND r.key = ? AND r.state = 0",
        (TYPE_ID[stream], key),
    ).fetchone()
    return None if row is None else _json(row[0])


def every(db: apsw.Connection, stream: Stream) -> list[Json]:
    """All live records of a small type."""
    rows = db.execute(
        "SELECT r.key, b.json FROM record r JOIN body b ON b.rid = r.rid"
        " WHERE r.type = ? AND r.state = 0 LIMIT 2000",
        (TYPE_ID[stream],),
    )
    return [{**_json(content), "key": key} for key, content in rows]


def _kin(db: apsw.Connection, patient: str, stream: Stream, most: int) -> list[Json]:
    rows = db.execute(
        "SELECT r.key, b.json FROM kin k JOIN record r ON r.rid = k.rid"
        " JOIN body b ON b.rid = r.rid WHERE k.patient = ? AND k.type = ? AND r.state = 0"
        " ORDER BY k.rid DESC LIMIT ?",
        (patient, TYPE_ID[stream], most),
    )
    field = "guarantor_key" if stream is Stream.PATIENT else "patient_key"
    found = [{**_json(content), "key": key} for key, content in rows]
    # An index row may be older than the record: the record has the last word.
    return [record for record in found if record.get(field) == patient]


def _json(content: object) -> Json:
    decoded = msgspec.json.decode(str(content))
    return decoded if isinstance(decoded, dict) else {}


def patient_name(db: apsw.Connection, key: str | None) -> str:
    person = one(db, Stream.PATIENT, key)
    return words.full_name(person) if person is not None else "Unknown patient"


# --- the practice -------------------------------------------------------------------------------


def practice(db: apsw.Connection, name: str, zone: str, now: datetime) -> Json:
    """Name, zone, clock and days that hold visits."""
    record = one(db, Stream.PRACTICE, "0") or {}
    tz = practice_zone(db, zone)
    edges = db.execute(
        "SELECT (SELECT min(starts) FROM slot WHERE type = ?1),"
        " (SELECT max(starts) FROM slot WHERE type = ?1)",
        (x.APPOINTMENT,),
    ).fetchone()
    first, last = edges if edges is not None else (None, None)
    return {
        "practice_name": record.get("title") or record.get("name") or name,
        "zone": tz.key,
        "today": now.astimezone(tz).date().isoformat(),
        "server_time": instant(),
        "first_visit_day": _local_day(first, tz),
        "last_visit_day": _local_day(last, tz),
    }


def practice_zone(db: apsw.Connection, fallback: str) -> ZoneInfo:
    record = one(db, Stream.PRACTICE, "0") or {}
    named = record.get("zone")
    return _zone(named) or _zone(fallback) or ZoneInfo("UTC")


@lru_cache(maxsize=16)
def _zone(name: object) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if isinstance(name, str) and name else None
    except (ValueError, OSError):
        return None


def _local_day(starts: object, tz: ZoneInfo) -> str | None:
    at = words.parse(starts)
    return None if at is None else at.astimezone(tz).date().isoformat()


# --- the day ------------------------------------------------------------------------------------


def day(db: apsw.Connection, asked: date, fallback_zone: str, now: datetime) -> Json:
    """One day of the schedule in columns. Minutes count from local midnight."""
    tz = practice_zone(db, fallback_zone)
    midnight = datetime.combine(asked, time(), tz)
    until = datetime.combine(asked + timedelta(days=1), time(), tz)
    span = (midnight.astimezone(UTC).strftime(_UTC), until.astimezone(UTC).strftime(_UTC))
    providers = {p["key"]: p for p in every(db, Stream.PROVIDER)}
    visits = [
        _visit(db, key, record, arrived_us, tz, providers)
        for key, record, arrived_us in placed(db, x.APPOINTMENT, *span)
        if record.get("status") not in {"planned", "unscheduled", "none"}
    ]
    blocks = [
        _block(key, record, tz, providers)
        for key, record, _ in [
            *placed(db, x.SCHEDULE_BLOCK, *span),
            *placed(db, x.SCHEDULE_BLOCK, asked.isoformat(), asked.isoformat() + "\0"),
        ]
    ]
    used = {visit["operatory"] for visit in visits}
    columns = [
        {
            "key": op["key"],
            "name": op.get("name") or op.get("abbr") or f"Operatory {op['key']}",
            "abbr": op.get("abbr") or op.get("name") or op["key"],
            "people": [
                words.provider_name(providers[p])
                for p in (op.get("dentist_key"), op.get("hygienist_key"))
                if p in providers
            ],
            "provider_keys": [
                p for p in (op.get("dentist_key"), op.get("hygienist_key")) if p in providers
            ],
            "is_hygiene": bool(op.get("is_hygiene")),
        }
        for op in sorted(
            every(db, Stream.OPERATORY), key=lambda o: (o.get("sort_order") or 0, o["key"])
        )
        if not op.get("is_hidden") or op["key"] in used
    ]
    known = {column["key"] for column in columns}
    for visit in visits:
        if visit["operatory"] not in known:
            visit["operatory"] = ""
    if any(visit["operatory"] == "" for visit in visits):
        columns.append(
            {"key": "", "name": "No operatory", "abbr": "—", "people": [], "provider_keys": [],
             "is_hygiene": False}
        )  # fmt: skip
    return {
        "date": asked.isoformat(),
        "zone": tz.key,
        "now": _minute(now, asked, tz),
        "columns": columns,
        "visits": visits,
        "blocks": blocks,
    }


def utc_text(at_us: int) -> str:
    """An instant as ``placed`` compares it."""
    return datetime.fromtimestamp(at_us / 1e6, UTC).strftime(_UTC)


def placed(
    db: apsw.Connection, type_id: int, first: str, until: str
) -> Iterable[tuple[str, Json, int]]:
    """(key, record, arrival) of live records that begin from ``first`` up to ``until``."""
    rows = db.execute(
        "SELECT r.key, b.json, r.arrived_us FROM slot s JOIN record r ON r.rid = s.rid"
        " JOIN body b ON b.rid = r.rid WHERE s.starts >= ? AND s.starts < ? AND s.type = ?"
        " AND r.state = 0 ORDER BY s.starts LIMIT 5000",
        (first, until, type_id),
    )
    return [(str(key), _json(content), int(str(at))) for key, content, at in rows]


def _visit(
    db: apsw.Connection, key: str, record: Json, arrived_us: int, tz: ZoneInfo, providers: Json
) -> Json:
    start = words.parse(record.get("start"))
    assert start is not None
    local = start.astimezone(tz)
    end = words.parse(record.get("end"))
    minutes = record.get("minutes")
    if not isinstance(minutes, int) or minutes <= 0:
        minutes = int((end - start).total_seconds() // 60) if end is not None else 30
    provider = providers.get(record.get("provider_key") or "")
    hygienist = providers.get(record.get("hygienist_key") or "")
    return {
        "key": key,
        "patient_key": record.get("patient_key"),
        "patient": patient_name(db, record.get("patient_key")),
        "operatory": record.get("operatory_key") or "",
        "start": local.hour * 60 + local.minute,
        "minutes": max(5, minutes),
        "look": words.look_of(record),
        "label": words.label_of(record),
        "work": record.get("procedures_text") or record.get("type") or "",
        "provider": words.provider_name(provider) if provider else "",
        "hygienist": words.provider_name(hygienist) if hygienist else "",
        "is_new_patient": bool(record.get("is_new_patient")),
        "is_asap": record.get("priority") == "asap" or record.get("status") == "asap",
        "note": record.get("note") or "",
        "age_ms": max(0, now_us() - arrived_us) // 1000,
    }


def _block(key: str, record: Json, tz: ZoneInfo, providers: Json) -> Json:
    start, end = words.parse(record.get("start")), words.parse(record.get("end"))
    provider = providers.get(record.get("provider_key") or "")
    is_timed = start is not None and end is not None and end > start
    begins = start.astimezone(tz) if start is not None else None
    minutes = int((end - start).total_seconds() // 60) if is_timed and start and end else 0
    return {
        "key": key,
        "kind": record.get("kind") or "unknown",
        "status": record.get("status") or "open",
        "start": begins.hour * 60 + begins.minute if begins is not None else 0,
        "minutes": minutes,
        "operatories": list(record.get("operatory_keys") or ()),
        "provider_key": record.get("provider_key") or "",
        "provider": words.provider_name(provider) if provider else "",
        "label": record.get("blockout_type") or record.get("note") or "",
        "note": record.get("note") or "",
    }


def _minute(at: datetime, asked: date, tz: ZoneInfo) -> int | None:
    local = at.astimezone(tz)
    return local.hour * 60 + local.minute if local.date() == asked else None


# --- people -------------------------------------------------------------------------------------


def find_patients(db: apsw.Connection, typed: str) -> Json:
    """People whose name, phone or birth date holds every word typed, in order of name."""
    asked = [word for word in words.search_words(typed) if word]
    where = " AND ".join("instr(n.search, ?) > 0" for _ in asked) or "1"
    rows = db.execute(
        "SELECT r.key, b.json FROM (SELECT rid, sort FROM patient_name n INDEXED BY patient_sort"
        f" WHERE {where} ORDER BY sort LIMIT {_FOUND_MOST + 1}) f"
        " JOIN record r ON r.rid = f.rid JOIN body b ON b.rid = r.rid WHERE r.state = 0"
        " ORDER BY f.sort",
        asked,
    ).fetchall()
    people = [_found(str(key), _json(content)) for key, content in rows[:_FOUND_MOST]]
    return {"people": people, "more": len(rows) > _FOUND_MOST}


def _found(key: str, person: Json) -> Json:
    return {
        "key": key,
        "name": words.full_name(person),
        "preferred_name": person.get("preferred_name"),
        "birthdate": person.get("birthdate"),
        "age": words.age_of(person),
        "phone": words.phone_of(person),
        "status": person.get("status") or "patient",
    }


def namesakes(db: apsw.Connection, last_name: str, first_name: str) -> list[Json]:
    """Patients of exactly this name, but for case and accents."""
    rows = db.execute(
        "SELECT r.key, b.json FROM patient_name n JOIN record r ON r.rid = n.rid"
        " JOIN body b ON b.rid = r.rid WHERE n.sort = ? AND r.state = 0 LIMIT 50",
        (f"{x.fold(last_name)} {x.fold(first_name)}",),
    ).fetchall()
    return [_found(str(key), _json(content)) for key, content in rows]


def card(db: apsw.Connection, key: str, fallback_zone: str, now: datetime) -> Json | None:
    """Everything a person at the desk wants to see about one patient; None when unknown."""
    person = one(db, Stream.PATIENT, key)
    if person is None:
        return None
    tz = practice_zone(db, fallback_zone)
    providers = {p["key"]: p for p in every(db, Stream.PROVIDER)}
    operatories = {o["key"]: o for o in every(db, Stream.OPERATORY)}
    codes = _codes(db)
    visits = [
        _card_visit(visit, tz, providers, operatories)
        for visit in _kin(db, key, Stream.APPOINTMENT, 500)
    ]
    minute = now.astimezone(tz).strftime("%Y-%m-%dT%H:%M")
    upcoming = sorted(
        (v for v in visits if v["at"] and v["at"] >= minute and v["look"] != "broken"),
        key=lambda v: str(v["at"]),
    )
    waiting = [v for v in visits if not v["at"]]
    past = sorted(
        (v for v in visits if v["at"] and v not in upcoming), key=lambda v: str(v["at"]),
        reverse=True,
    )  # fmt: skip
    guarantor_key = person.get("guarantor_key") or key
    family = [
        {
            "key": member["key"],
            "name": words.full_name(member),
            "age": words.age_of(member),
            "is_guarantor": member["key"] == guarantor_key,
            "status": member.get("status") or "patient",
        }
        for member in _kin(db, guarantor_key, Stream.PATIENT, 30)
    ]
    primary = providers.get(person.get("primary_provider_key") or "")
    plan = _kin(db, key, Stream.PROCEDURE, 100)
    return {
        "key": key,
        "name": words.full_name(person),
        "age": words.age_of(person),
        "person": person,
        "provider": words.provider_name(primary) if primary else "",
        "heard_from": _heard_from(db, person),
        "family": sorted(family, key=lambda m: (not m["is_guarantor"], m["name"])),
        "upcoming": upcoming[:20],
        "waiting": waiting[:10],
        "past": past[:_LINES],
        "past_count": len(past),
        "recalls": sorted(
            (r for r in _kin(db, key, Stream.RECALL, 20) if not r.get("is_disabled")),
            key=lambda r: str(r.get("due") or "9"),
        ),
        "balance": one(db, Stream.BALANCE, key),
        "family_balance": one(db, Stream.BALANCE, guarantor_key),
        "coverage": sorted(_kin(db, key, Stream.COVERAGE, 10), key=lambda c: c.get("ordinal") or 9),
        "plan": [
            {
                "key": work["key"],
                "code": work.get("code") or codes.get(work.get("code_key"), {}).get("code"),
                "description": work.get("description")
                or codes.get(work.get("code_key"), {}).get("description"),
                "tooth": work.get("tooth") or work.get("tooth_range"),
                "surface": work.get("surface"),
                "amount": work.get("amount") or work.get("fee"),
                "date": work.get("date_planned") or work.get("date"),
            }
            for work in plan
            if work.get("status") == "treatment_planned"
        ],
        "communications": [
            {
                "key": c["key"],
                "at": words.local_text(c.get("at"), tz),
                "mode": c.get("mode"),
                "direction": c.get("direction"),
                "type": c.get("type"),
                "note": c.get("note"),
            }
            for c in sorted(
                _kin(db, key, Stream.COMMUNICATION, 60),
                key=lambda c: str(c.get("at") or ""),
                reverse=True,
            )[:20]
        ],
    }


def last_visit(db: apsw.Connection, key: str) -> str | None:
    """The newest day (UTC) of a completed visit."""
    visits = _kin(db, key, Stream.APPOINTMENT, 200)
    days = [
        str(v["start"])[:10] for v in visits if v.get("start") and v.get("status") == "complete"
    ]
    return max(days, default=None)


def _codes(db: apsw.Connection) -> dict[Any, Json]:
    return {code["key"]: code for code in every(db, Stream.PROCEDURE_CODE)}


def _heard_from(db: apsw.Connection, person: Json) -> str:
    source = one(db, Stream.REFERRAL_SOURCE, person.get("referral_source_key"))
    return words.source_name(source) if source else ""


def _card_visit(visit: Json, tz: ZoneInfo, providers: Json, operatories: Json) -> Json:
    provider = providers.get(visit.get("provider_key") or "")
    operatory = operatories.get(visit.get("operatory_key") or "")
    return {
        "key": visit["key"],
        "at": words.local_text(visit.get("start"), tz),
        "minutes": visit.get("minutes"),
        "look": words.look_of(visit),
        "label": words.label_of(visit),
        "work": visit.get("procedures_text") or visit.get("type") or "",
        "provider": words.provider_name(provider) if provider else "",
        "operatory": (operatory.get("abbr") or operatory.get("name") or "") if operatory else "",
        "note": visit.get("note") or "",
    }


# --- activity and rejects -----------------------------------------------------------------------


def activity(db: apsw.Connection, below: int | None, fallback_zone: str) -> Json:
    """Arrivals, newest first, in plain words."""
    tz = practice_zone(db, fallback_zone)
    rows = db.execute(
        "SELECT a.id, a.at_us, a.made_us, a.type, a.op, a.count, a.is_new, a.was, r.key, b.json"
        " FROM activity a LEFT JOIN record r ON r.rid = a.rid LEFT JOIN body b ON b.rid = r.rid"
        " WHERE a.id < ? ORDER BY a.id DESC LIMIT ?",
        (below if below is not None else 2**62, _LINES),
    ).fetchall()
    lines = []
    for number, at_us, made_us, type_id, op, count, is_new, was, key, content in rows:
        type_name = TYPE_NAME[int(str(type_id))]
        record = _json(content) if content is not None else {}
        before = _json(was) if was is not None else {}
        patient_key = record.get("patient_key") or before.get("patient_key")
        if type_name in {"patient", "balance"}:
            patient_key = key
        told = words.tell(
            type_name,
            op=int(str(op)),
            count=int(str(count)),
            is_new=bool(is_new),
            record=record,
            was=before,
            who=before.get("name") or (patient_name(db, str(patient_key)) if patient_key else ""),
            tz=tz,
        )
        lines.append(
            {
                "id": number,
                "at": instant(int(str(at_us))),
                "latency_ms": None
                if made_us is None
                else max(0, int(str(at_us)) - int(str(made_us))) // 1000,
                "type": type_name,
                "patient_key": patient_key,
                **told,
            }
        )
    return {"lines": lines, "more": len(rows) == _LINES}


def rejects(db: apsw.Connection) -> Json:
    """Refused changes still open, newest first, and how many were resolved."""
    rows = db.execute(
        "SELECT id, at_us, batch, event, type, key, reason, item FROM reject"
        " WHERE resolved_us IS NULL ORDER BY id DESC LIMIT 200"
    ).fetchall()
    totals = db.execute(
        "SELECT count(*) FILTER (WHERE resolved_us IS NULL),"
        " count(*) FILTER (WHERE resolved_us IS NOT NULL) FROM reject"
    ).fetchone()
    assert totals is not None
    return {
        "open": totals[0],
        "resolved": totals[1],
        "rejects": [
            {
                "id": number,
                "at": instant(int(str(at_us))),
                "batch_id": batch,
                "event_id": event,
                "type": type_name,
                "key": key,
                "reason": reason,
                "why": words.why_rejected(str(reason)),
                "item": str(item)[:4000],
            }
            for number, at_us, batch, event, type_name, key, reason, item in rows
        ],
    }
