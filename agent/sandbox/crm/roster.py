"""What decides about places on some days, read from the store for ``slots``.

Imports apsw and this package. Canonical records as pushed; a record of odd shape takes no part.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import apsw

from agent.model.streams import Stream
from agent.sandbox.crm import extract as x
from agent.sandbox.crm import views, words
from agent.sandbox.crm.schema import now_us
from agent.sandbox.crm.slots import MINUTE_US, Blocked, Busy, Hours, Plan, Room

Json = dict[str, Any]
Span = tuple[int, int]

HELD_AFTER_US: Final = 120_000_000
"""So long an applied request holds its place when its record does not arrive."""
_SIGN_MINUTES: Final = 5
_NO_PLACE: Final = frozenset({"broken", "unscheduled", "planned", "note", "note_complete"})


def plan_of(db: apsw.Connection, first: date, days: int, zone: ZoneInfo) -> Plan:
    """The plan of ``days`` local days from ``first`` on."""
    start = datetime.combine(first, time(), zone)
    until = datetime.combine(first + timedelta(days=days), time(), zone)
    span = (_us(start), _us(until))
    rooms = _rooms(db)
    hours: list[Hours] = []
    blocked: list[Blocked] = []
    off: list[tuple[str, Span]] = []
    for block in _blocks(db, first, days, span):
        _sort_block(block, zone, hours, blocked, off)
    for provider, (begins, ends) in off:
        hours = [
            h for h in hours if h.provider != provider or h.end_us <= begins or h.start_us >= ends
        ]
    shift = start.utcoffset() or timedelta()
    return Plan(
        tuple(rooms),
        tuple(_joined(hours)),
        (*_visits(db, span), *held(db, span)),
        tuple(blocked),
        round(shift.total_seconds() * 1e6),
    )


def days_after(first: date, days: int) -> date:
    return first + timedelta(days=days)


def _rooms(db: apsw.Connection) -> list[Room]:
    ordered = sorted(
        views.every(db, Stream.OPERATORY), key=lambda o: (o.get("sort_order") or 0, o["key"])
    )
    return [
        Room(
            op["key"],
            op.get("dentist_key") or "",
            op.get("hygienist_key") or "",
            bool(op.get("is_hygiene")),
        )
        for op in ordered
        if not op.get("is_hidden")
    ]


def _blocks(db: apsw.Connection, first: date, days: int, span: Span) -> Iterator[Json]:
    places = [(views.utc_text(span[0]), views.utc_text(span[1]))]
    for n in range(days):
        day = (first + timedelta(days=n)).isoformat()
        places.append((day, day + "\0"))  # whole days are filed under their date
    for begins, ends in places:
        for _, record, _ in views.placed(db, x.SCHEDULE_BLOCK, begins, ends):
            yield record


def _sort_block(
    block: Json,
    zone: ZoneInfo,
    hours: list[Hours],
    blocked: list[Blocked],
    off: list[tuple[str, Span]],
) -> None:
    kind, status = block.get("kind"), block.get("status") or "open"
    span = _span(block.get("start"), block.get("end"))
    whole = _day(block.get("date"), zone)
    provider = block.get("provider_key") or ""
    rooms = frozenset(str(key) for key in block.get("operatory_keys") or ())
    if kind == "practice" and status != "open":
        closed = whole if span is None or status == "holiday" else span
        if closed is not None:
            blocked.append(Blocked(*closed))
    elif kind == "provider_hours" and provider:
        if status == "open" and span is not None:
            hours.append(Hours(*span, provider, rooms))
        elif status != "open" and whole is not None and (span is None or status == "holiday"):
            off.append((provider, whole))
    elif kind == "blockout" and block.get("forbids_booking") and span is not None:
        blocked.append(Blocked(*span, rooms))


def _joined(hours: list[Hours]) -> list[Hours]:
    """Hours of one provider in the same rooms that touch become one stretch."""
    joined: list[Hours] = []
    for one in sorted(hours, key=lambda h: (h.provider, sorted(h.rooms), h.start_us)):
        last = joined[-1] if joined else one
        if (
            joined
            and last.provider == one.provider
            and last.rooms == one.rooms
            and (one.start_us <= last.end_us)
        ):
            end_us = max(last.end_us, one.end_us)
            joined[-1] = Hours(last.start_us, end_us, one.provider, one.rooms)
        else:
            joined.append(one)
    return joined


def _visits(db: apsw.Connection, span: Span) -> Iterator[Busy]:
    texts = views.utc_text(span[0]), views.utc_text(span[1])
    for key, record, _ in views.placed(db, x.APPOINTMENT, *texts):
        if record.get("status") in _NO_PLACE:
            continue
        start = words.parse(record.get("start"))
        if start is None:
            continue
        minutes = record.get("minutes")
        length = minutes if isinstance(minutes, int) and minutes > 0 else _SIGN_MINUTES
        begins = _us(start)
        room = record.get("operatory_key") or ""
        if room:
            yield Busy(begins, begins + length * MINUTE_US, room, visit=key)
        main = main_provider(record)
        if main:
            for first, last in _worked(length, record.get("pattern")):
                yield Busy(begins + first * MINUTE_US, begins + last * MINUTE_US, "",
                           frozenset({main}), key)  # fmt: skip


def main_provider(record: Json) -> str:
    """Whose time the visit takes."""
    if record.get("is_hygiene") and record.get("hygienist_key"):
        return str(record["hygienist_key"])
    return str(record.get("provider_key") or record.get("hygienist_key") or "")


def _worked(minutes: int, pattern: object) -> Iterator[Span]:
    """Minutes of a visit that are the provider's own: the signs X of its pattern."""
    fits = isinstance(pattern, str) and len(pattern) * _SIGN_MINUTES == minutes
    if not fits or not isinstance(pattern, str) or set(pattern) - {"X", "/"}:
        yield 0, minutes
        return
    begins: int | None = None
    for at, sign in enumerate(pattern + "/"):
        if sign == "X" and begins is None:
            begins = at
        elif sign != "X" and begins is not None:
            yield begins * _SIGN_MINUTES, at * _SIGN_MINUTES
            begins = None


def held(db: apsw.Connection, span: Span) -> Iterator[Busy]:
    """Places that requests hold: while they are open, and until what they made has arrived."""
    rows = db.execute(
        "SELECT start_us, end_us, operatory, providers, coalesce(visit, ''), state,"
        " json_extract(result, '$.pms_key') FROM command"
        " WHERE start_us < ?2 AND end_us > ?1 AND (state NOT IN"
        " ('applied', 'rejected', 'expired', 'superseded')"
        "  OR (state = 'applied' AND done_us > ?3))",
        (*span, now_us() - HELD_AFTER_US),
    )
    for start_us, end_us, room, providers, visit, state, made in rows:
        begins, ends = int(str(start_us)), int(str(end_us))
        is_new = not visit
        if state == "applied" and has_arrived(db, str(made or visit), begins, is_new=is_new):
            continue
        keys = frozenset(str(providers or "").split())
        yield Busy(begins, ends, str(room), keys, str(visit))


def has_arrived(db: apsw.Connection, visit: str, start_us: int, *, is_new: bool) -> bool:
    """The appointment as the practice pushed it is there; a moved one where it was moved to."""
    record = views.one(db, Stream.APPOINTMENT, visit)
    if record is None or is_new:
        return record is not None
    start = words.parse(record.get("start"))
    return start is not None and _us(start) == start_us


def _span(start: object, end: object) -> Span | None:
    first, last = words.parse(start), words.parse(end)
    return (_us(first), _us(last)) if first and last and last > first else None


def _day(text: object, zone: ZoneInfo) -> Span | None:
    try:
        day = date.fromisoformat(str(text))
    except ValueError:
        return None
    midnight = datetime.combine(day, time(), zone)
    return _us(midnight), _us(datetime.combine(day + timedelta(days=1), time(), zone))


def _us(at: datetime) -> int:
    return round(at.astimezone(UTC).timestamp() * 1e6)
