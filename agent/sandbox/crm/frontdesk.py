"""What a person or a booking AI asks for becomes commands of the contract.

Imports apsw and this package. Called on the server's loop without a pause inside, so two who ask
for the same place are told apart: the second sees the first one's request in its way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import apsw
import msgspec

from agent.model.commands import CommandType, Reason
from agent.model.streams import Stream
from agent.sandbox.crm import asked as a
from agent.sandbox.crm import people, slots, views, words
from agent.sandbox.crm.http import instant
from agent.sandbox.crm.orders import DAY_US, CannotOrder, Order, offered, place_order
from agent.sandbox.crm.problems import Refusal
from agent.sandbox.crm.roster import main_provider, plan_of
from agent.sandbox.crm.schema import TYPE_ID, now_us

Json = dict[str, Any]

_MOST_OFFERED: Final = 5
_STOOD: Final = ("start", "operatory_key", "status")
_SOURCE: Final = "CRM page"
_STAYS: Final = ("priority", "expires_in_s", "expected", "is_sure", "patient")


class Origin(msgspec.Struct, frozen=True):
    """Who asks: ``made_by`` page, pilot or cli; their idempotency key and its request's hash."""

    made_by: str = "page"
    request: str | None = None
    request_hash: bytes | None = None


class FrontDesk:
    """Every method returns the id of the command it queued. Raises CannotOrder, Refusal."""

    def __init__(self, store: apsw.Connection, zone: str, now: Callable[[], datetime]) -> None:
        self._db = store
        self._zone = zone
        self._now = now

    # --- visits ---------------------------------------------------------------------------------

    def book(self, asked: a.Book, origin: Origin) -> str:
        kind = CommandType.APPOINTMENT_BOOK
        self._check_offer(kind)
        start_us = _at_us(asked.start)
        patient, newcomer = self._who(asked)
        plan = self._plan(start_us)
        wanted = asked.provider_key or asked.hygienist_key
        provider = wanted or slots.provider_of(plan, asked.operatory_key, start_us)
        self._check_place(plan, start_us, asked.minutes, asked.operatory_key, provider)
        payload = {"patient": patient, **_said(asked), "start": _z(start_us)}
        offers = (provider,) if provider else ()
        with self._db:  # the person and what is asked for them, or neither
            if newcomer is not None:
                made = people.add(self._db, newcomer)
                payload["patient"] = {"cloud_id": made.id, "new": patient["new"]}
            command_id = self._order(
                kind, payload, asked, origin, start_us=start_us, providers=offers
            )
        return command_id  # noqa: RET504 - a with block may swallow what it raises, says mypy

    def move(self, key: str, asked: a.Move, origin: Origin) -> str:
        kind = CommandType.APPOINTMENT_RESCHEDULE
        self._check_offer(kind)
        visit = self._visit(key)
        start_us = _at_us(asked.start)
        minutes = asked.minutes or visit.get("minutes") or 30
        room = asked.operatory_key or visit.get("operatory_key") or ""
        wanted = asked.provider_key or asked.hygienist_key or main_provider(visit)
        plan = self._plan(start_us)
        self._check_place(plan, start_us, minutes, room, wanted, moving=key)
        payload = {**_said(asked), "start": _z(start_us)}
        return self._order(kind, payload, asked, origin, key=key, start_us=start_us, was=visit,
                           minutes=minutes, operatory=room,
                           providers=(wanted,) if wanted else ())  # fmt: skip

    def confirm(self, key: str, asked: a.Confirm, origin: Origin) -> str:
        kind = CommandType.APPOINTMENT_CONFIRM
        return self._order(kind, _said(asked), asked, origin, key=key, was=self._visit(key))

    def cancel(self, key: str, asked: a.Cancel, origin: Origin) -> str:
        stood = _as_shown((), self._visit(key), asked.expected)
        return self._order(CommandType.APPOINTMENT_CANCEL, _said(asked), asked, origin, key=key,
                           expected=stood)  # fmt: skip

    def set_status(self, key: str, asked: a.SetStatus, origin: Origin) -> str:
        kind = CommandType.APPOINTMENT_STATUS_SET
        return self._order(kind, _said(asked), asked, origin, key=key, was=self._visit(key))

    # --- people ---------------------------------------------------------------------------------

    def edit(self, key: str, asked: a.Edit, origin: Origin) -> str:
        record = self._patient(key)
        fields = a.details(asked.fields)
        shown = {name: asked.expected.get(name, record.get(name)) for name in fields}
        return self._order(CommandType.PATIENT_UPDATE, {"fields": fields}, asked, origin, key=key,
                           stream=Stream.PATIENT, expected=shown)  # fmt: skip

    def set_consent(self, key: str, asked: a.SetConsent, origin: Origin) -> str:
        field = f"{asked.channel}_consent"
        payload = {**_said(asked), "source": _SOURCE, "at": instant()}
        return self._order(CommandType.CONSENT_SET, payload, asked, origin, key=key,
                           stream=Stream.PATIENT,
                           expected={field: self._patient(key).get(field)})  # fmt: skip

    def add_note(self, key: str, asked: a.AddNote, origin: Origin) -> str:
        self._patient(key)
        payload = {"patient_key": key, **_said(asked), "at": instant()}
        return self._order(CommandType.COMMLOG_APPEND, payload, asked, origin)

    def add_contact(self, asked: a.NewContact) -> people.Person:
        """A new person of ours, not a command."""
        said = _contact(asked)
        if not (said.last_name and said.first_name):
            raise Refusal(400, "invalid-request", "last_name, first_name")
        if not asked.is_sure:
            self._check_known(said)
        return people.add(self._db, said)

    def edit_contact(self, cloud_id: str, asked: a.NewContact) -> people.Person:
        return people.edit(self._db, cloud_id, _contact(asked, people.person(self._db, cloud_id)))

    # --- anything -------------------------------------------------------------------------------

    def order_any(self, asked: a.AnyCommand, origin: Origin) -> str:
        target = None
        if asked.target is not None:
            target = {n: v for n, v in msgspec.to_builtins(asked.target).items() if v is not None}
        return place_order(
            self._db,
            Order(
                asked.type.value,
                asked.payload,
                target,
                asked.precondition,
                asked.priority,
                None if asked.not_before is None else _at_us(asked.not_before),
                None if asked.not_after is None else _at_us(asked.not_after),
                **msgspec.structs.asdict(origin),
            ),
        )

    # --- inside ---------------------------------------------------------------------------------

    def _order(
        self,
        kind: CommandType,
        payload: Json,
        asked: Any,
        origin: Origin,
        *,
        key: str | None = None,
        stream: Stream = Stream.APPOINTMENT,
        was: Json | None = None,
        expected: Json | None = None,
        start_us: int | None = None,
        **place: Any,
    ) -> str:
        """``was``: the visit as the CRM holds it, the base of fields nobody was shown."""
        if expected is None and was is not None:
            expected = _as_shown(payload, was, asked.expected)
        at = now_us()
        until = at + DAY_US
        if start_us is not None and at < start_us < until:
            until = start_us  # nobody is booked into the past
        if asked.expires_in_s is not None:
            until = at + asked.expires_in_s * 1_000_000
        return place_order(
            self._db,
            Order(
                kind.value,
                payload,
                None if key is None else {"type": stream.value, "key": key},
                None if expected is None else {"expected": expected},
                asked.priority,
                not_after_us=until,
                **place,
                **msgspec.structs.asdict(origin),
            ),
        )

    def _check_offer(self, kind: CommandType) -> None:
        """Before anything else is looked at: people are told the reason that matters."""
        why = offered(self._db).refusal(kind.value)
        if why is not None:
            raise CannotOrder(why)

    def _plan(self, start_us: int) -> slots.Plan:
        zone = views.practice_zone(self._db, self._zone)
        day = datetime.fromtimestamp(start_us / 1e6, UTC).astimezone(zone).date()
        return plan_of(self._db, day, 1, zone)

    def _check_place(
        self,
        plan: slots.Plan,
        start_us: int,
        minutes: int,
        room: str,
        provider: str,
        *,
        moving: str = "",
    ) -> None:
        """Raises CannotOrder with other places on that day."""
        now = round(self._now().timestamp() * 1e6)
        place = slots.Place(start_us, start_us + minutes * slots.MINUTE_US, room, provider)
        why = slots.why_not(plan, place, now, moving=moving)
        if why is None:
            return
        found = slots.free(plan, minutes, now, moving=moving)
        raise CannotOrder(why, alternatives=[offer(one) for one in _nearest(found, place)])

    def _visit(self, key: str) -> Json:
        record = views.one(self._db, Stream.APPOINTMENT, key)
        if record is None:
            raise Refusal(404, "not-found")
        return record

    def _patient(self, key: str) -> Json:
        record = views.one(self._db, Stream.PATIENT, key)
        if record is None:
            raise Refusal(404, "not-found")
        return record

    def _who(self, asked: a.Book) -> tuple[Json, people.Said | None]:
        """(the payload's patient, a person to be added to ours)."""
        who = asked.patient
        named = [name for name in ("key", "cloud_id", "new") if getattr(who, name) is not None]
        if len(named) != 1:
            raise Refusal(400, "invalid-request", "patient")
        if who.key is not None:
            return {"key": self._surviving(who.key)}, None
        if who.cloud_id is not None:
            return self._contact(who.cloud_id), None
        fields = a.details(who.new or {})
        if not (fields.get("last_name") and fields.get("first_name")):
            raise Refusal(400, "invalid-request", "patient")
        fields = {name: value for name, value in fields.items() if value}
        said = _said_of(fields)
        if not asked.is_sure:
            self._check_known(said)
        return {"new": fields}, said

    def _surviving(self, key: str) -> str:
        """The key, or that of the record the practice merged it into."""
        for _ in range(10):
            row = self._db.execute(
                "SELECT state, merged_into FROM record WHERE type = ? AND key = ?",
                (TYPE_ID[Stream.PATIENT], key),
            ).fetchone()
            if row is None or row[0] not in {0, 2}:
                break
            if row[0] == 0:
                return key
            key = str(row[1])
        raise CannotOrder(Reason.PATIENT_NOT_FOUND)

    def _contact(self, cloud_id: str) -> Json:
        try:
            one = people.person(self._db, cloud_id)
            while one.merged_into is not None:
                one = people.person(self._db, one.merged_into)
        except Refusal:
            raise CannotOrder(Reason.PATIENT_NOT_FOUND) from None
        if one.state == "deleted":
            raise CannotOrder(Reason.PATIENT_NOT_FOUND)
        if one.client_ref is not None:
            return {"key": self._surviving(one.client_ref)}
        return {"cloud_id": one.id, "new": as_patient(one)}

    def _check_known(self, said: people.Said) -> None:
        """Somebody of this name and birth date is here already: a person shall say who is meant."""
        ours = people.alike(self._db, said)
        found = views.namesakes(self._db, said.last_name or "", said.first_name or "")
        born = [one for one in found if said.birthdate and one["birthdate"] == said.birthdate]
        if ours or born:
            shown = [{"cloud_id": one.id, "key": one.client_ref, "name": one_name(one),
                      "birthdate": one.birthdate} for one in ours]  # fmt: skip
            raise CannotOrder(Reason.DUPLICATE_OF, people=shown, patients=born)


def _as_shown(fields: Iterable[str], was: Json, shown: Json) -> Json:
    """The fields as they stood before whoever decided, and where the visit stood: what was decided
    holds for that only."""
    stood = [name for name in _STOOD if name in was or name in shown]
    return {name: shown.get(name, was.get(name)) for name in dict.fromkeys([*fields, *stood])}


def offer(place: slots.Place) -> Json:
    """A place in the contract's words."""
    minutes = (place.end_us - place.start_us) // slots.MINUTE_US
    return {"start": _z(place.start_us), "minutes": minutes, "operatory_key": place.room,
            "provider_key": place.provider or None}  # fmt: skip


def one_name(one: people.Person) -> str:
    return words.full_name({"first_name": one.first_name, "last_name": one.last_name})


def as_patient(one: people.Person) -> Json:
    """A person of ours as the fields of a new patient."""
    fields: Json = {**one.fields, "last_name": one.last_name, "first_name": one.first_name,
                    "birthdate": one.birthdate, "emails": list(one.emails)}  # fmt: skip
    for name, number in zip(("phone_mobile", "phone_home", "phone_work"), one.phones, strict=False):
        fields[name] = number
    return {name: value for name, value in fields.items() if value}


def _said_of(fields: Json) -> people.Said:
    """The other way round."""
    phones = [fields[n] for n in ("phone_mobile", "phone_home", "phone_work") if fields.get(n)]
    known = {"last_name", "first_name", "birthdate", "emails",
             "phone_mobile", "phone_home", "phone_work"}  # fmt: skip
    return people.Said(
        fields.get("last_name"),
        fields.get("first_name"),
        fields.get("birthdate"),
        tuple(phones),
        tuple(fields.get("emails") or ()),
        {name: value for name, value in fields.items() if name not in known},
    )


def _contact(asked: a.NewContact, was: people.Person | None = None) -> people.Said:
    said = people.Said()
    if was is not None:
        said = people.Said(
            was.last_name, was.first_name, was.birthdate, was.phones, was.emails, was.fields
        )
    new: Json = {}
    for name in ("last_name", "first_name"):
        value = getattr(asked, name)
        if value is not msgspec.UNSET:
            new[name] = value.strip() or None
    if asked.birthdate is not msgspec.UNSET:
        new["birthdate"] = a.day(asked.birthdate) if asked.birthdate else None
    if asked.phones is not msgspec.UNSET:
        new["phones"] = tuple(dict.fromkeys(a.phone(one) for one in asked.phones if one.strip()))
    if asked.emails is not msgspec.UNSET:
        new["emails"] = tuple(a.emails(asked.emails))
    if asked.fields is not msgspec.UNSET:
        new["fields"] = {n: v for n, v in a.details(asked.fields).items() if v}
    return msgspec.structs.replace(said, **new)


def _nearest(found: list[slots.Place], place: slots.Place) -> list[slots.Place]:
    """A few free places near one, the same room and provider first; none overlaps another."""
    chosen: list[slots.Place] = []
    for one in sorted(found, key=lambda p: (p.room != place.room, p.provider != place.provider,
                                            abs(p.start_us - place.start_us))):  # fmt: skip
        if all(c.room != one.room or c.end_us <= one.start_us or one.end_us <= c.start_us
               for c in chosen):  # fmt: skip
            chosen.append(one)
        if len(chosen) == _MOST_OFFERED:
            break
    return chosen


def _said(asked: msgspec.Struct) -> Json:
    """What was asked, without what concerns the command and not its payload."""
    said = msgspec.to_builtins(asked)
    return {n: v for n, v in said.items() if v is not None and n not in _STAYS}


def _at_us(text: str) -> int:
    """Raises Refusal 400 for a day that does not exist."""
    at = words.parse(text)
    if at is None:
        raise Refusal(400, "invalid-request", "start")
    return round(at.timestamp() * 1e6)


def _z(at_us: int) -> str:
    at = datetime.fromtimestamp(at_us // 1_000_000, UTC) + timedelta(microseconds=at_us % 1_000_000)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
