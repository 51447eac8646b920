"""Making commands: what one is about, whether the practice can do it, and its row in the queue.

Imports apsw, msgspec, ``agent.model`` and this package. ``about`` is pure. Any process with the
database may make commands; the server hears of them within a moment.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any, Final

import apsw
import msgspec

from agent.model.commands import CommandType, Reason
from agent.sandbox.crm import words
from agent.sandbox.crm.http import instant
from agent.sandbox.crm.problems import Refusal
from agent.sandbox.crm.schema import now_us

Json = dict[str, Any]

NEEDS_BOOKING: Final = frozenset(
    {CommandType.APPOINTMENT_BOOK.value, CommandType.APPOINTMENT_RESCHEDULE.value}
)
"""Refused while booking is suspended."""
ENDED: Final = frozenset({"applied", "rejected", "expired", "superseded"})
WITH_AGENT: Final = frozenset({"queued", "leased", "applying"})
DAY_US: Final = 86_400 * 1_000_000


class CannotOrder(Exception):
    """Nothing was queued. ``facts`` go into the problem (alternatives, people)."""

    def __init__(self, reason: Reason, **facts: Any) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.facts = facts

    def refusal(self) -> Refusal:
        return Refusal(
            409,
            "command-refused",
            reason_code=self.reason.value,
            staff_text=words.why_refused(self.reason.value),
            **{"alternatives": [], **self.facts},
        )


class Order(msgspec.Struct, frozen=True):
    """A command to be made. Instants are microseconds since 1970, UTC."""

    type: str
    payload: Json
    target: Json | None = None
    precondition: Json | None = None
    priority: int = 100
    not_before_us: int | None = None
    not_after_us: int | None = None
    made_by: str = ""
    request: str | None = None
    request_hash: bytes | None = None
    minutes: int = 0  # how long the visit being moved lasts, where the payload does not say
    operatory: str = ""  # where it stays, likewise
    providers: tuple[str, ...] = ()


class About(msgspec.Struct, frozen=True):
    """Whom and what a command concerns, and the place on the schedule it asks for."""

    patient: str | None = None
    person: str | None = None
    visit: str | None = None
    start_us: int | None = None
    end_us: int | None = None
    operatory: str | None = None
    providers: str | None = None


def about(order: Order) -> About:
    """Odd shapes are about nothing: the practice will say what is wrong with them."""
    target, payload = order.target or {}, order.payload
    named = payload.get("patient")
    patient = named if isinstance(named, dict) else {}
    target_type = _text(target.get("type"))
    is_visit = order.type.startswith("appointment.") and order.type != CommandType.APPOINTMENT_BOOK
    patient_key = _text(patient.get("key")) or _text(payload.get("patient_key"))
    person = _text(patient.get("cloud_id"))
    if target_type == "patient":
        patient_key = patient_key or _text(target.get("key"))
        person = person or _text(target.get("cloud_id"))
    visit = _text(target.get("key")) if is_visit or target_type == "appointment" else None
    place = _place(order) if order.type in NEEDS_BOOKING else None
    if place is None:
        return About(patient_key, person, visit)
    return About(patient_key, person, visit, *place)


def _place(order: Order) -> tuple[int, int, str, str] | None:
    """(start, end, operatory, providers) a booking or a move holds."""
    start = words.parse(order.payload.get("start"))
    minutes = order.payload.get("minutes") or order.minutes
    operatory = _text(order.payload.get("operatory_key")) or order.operatory
    if start is None or not operatory or not isinstance(minutes, int) or not 0 < minutes <= 1440:
        return None
    keys = [_text(order.payload.get(name)) for name in ("provider_key", "hygienist_key")]
    providers = tuple(key for key in keys if key) or order.providers
    end = start + timedelta(minutes=minutes)
    return _us(start), _us(end), operatory, " ".join(dict.fromkeys(providers))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _us(at: datetime) -> int:
    return round(at.timestamp() * 1e6)


# --- what the practice can do -------------------------------------------------------------------


class Offer(msgspec.Struct, frozen=True):
    """What the practice's agent last said it can do. ``at_us``: when."""

    capabilities: frozenset[str] = frozenset()
    suspended: str | None = None
    at_us: int | None = None

    def refusal(self, kind: str) -> Reason | None:
        if self.suspended is not None and kind in NEEDS_BOOKING:
            return Reason.PMS_UNAVAILABLE
        return None if kind in self.capabilities else Reason.NOT_SUPPORTED


def offered(store: apsw.Connection) -> Offer:
    """The newest word of any agent that is still linked."""
    row = store.execute(
        "SELECT capabilities, suspended, capable_us FROM agent WHERE revoked_us IS NULL"
        " AND capable_us IS NOT NULL ORDER BY capable_us DESC LIMIT 1"
    ).fetchone()
    if row is None:
        return Offer()
    return Offer(frozenset(msgspec.json.decode(str(row[0] or "[]"))), row[1], int(row[2]))


# --- making one ---------------------------------------------------------------------------------


def place_order(store: apsw.Connection, order: Order, *, is_checked: bool = True) -> str:
    """Queue a command; returns its id. Raises CannotOrder where the practice cannot do it."""
    if is_checked:
        why = offered(store).refusal(order.type)
        if why is not None:
            raise CannotOrder(why)
    row = store.execute("SELECT value FROM meta WHERE name = 'practice_id'").fetchone()
    command_id, at = str(uuid.uuid4()), now_us()
    body: Json = {
        "command_id": command_id,
        "practice_id": "demo" if row is None else row[0],
        "type": order.type,
        "created_at": instant(at),
        "priority": order.priority,
        "payload": order.payload,
    }
    if order.target is not None:
        body["target"] = order.target
    if order.precondition is not None:
        body["precondition"] = order.precondition
    if order.not_before_us is not None:
        body["not_before"] = instant(order.not_before_us)
    if order.not_after_us is not None:
        body["not_after"] = instant(order.not_after_us)
    found = about(order)
    store.execute(
        "INSERT INTO command(id, type, body, state, priority, created_us, not_before_us,"
        " not_after_us, made_by, request, request_hash, patient, person, visit, start_us, end_us,"
        " operatory, providers)"
        " VALUES(?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (command_id, order.type, msgspec.json.encode(body).decode(), order.priority, at,
         order.not_before_us, order.not_after_us, order.made_by, order.request, order.request_hash,
         *msgspec.structs.astuple(found)),
    )  # fmt: skip
    return command_id


def enqueue(
    store: apsw.Connection,
    kind: str,
    payload: Json,
    *,
    is_checked: bool = False,
    **more: Any,
) -> str:
    """Queue a command, unchecked unless asked: tests send what no page would. ``more``: Order."""
    return place_order(store, Order(kind, payload, **more), is_checked=is_checked)


def ordered_before(store: apsw.Connection, request: str, body_hash: bytes) -> str | None:
    """The command an idempotency key made. Raises Refusal 422 when it was another request's."""
    row = store.execute(
        "SELECT id, request_hash FROM command WHERE request = ?", (request,)
    ).fetchone()
    if row is None:
        return None
    if row[1] != body_hash:
        raise Refusal(422, "idempotency-reused")
    return str(row[0])


def withdraw(store: apsw.Connection, command_id: str) -> None:
    """Take back a command that was never sent. Raises Refusal 404, 409."""
    store.execute(
        "UPDATE command SET state = 'superseded', done_us = ? WHERE id = ? AND state = 'queued'"
        " AND sent_times = 0",
        (now_us(), command_id),
    )
    if store.changes():
        return
    row = store.execute("SELECT state FROM command WHERE id = ?", (command_id,)).fetchone()
    if row is None:
        raise Refusal(404, "not-found")
    if row[0] != "superseded":
        raise Refusal(409, "command-started")


def dismiss(store: apsw.Connection, command_id: str) -> None:
    """Stop showing an ended command. Raises Refusal 404."""
    store.execute(
        "UPDATE command SET dismissed_us = coalesce(dismissed_us, ?) WHERE id = ?",
        (now_us(), command_id),
    )
    if not store.changes():
        raise Refusal(404, "not-found")
