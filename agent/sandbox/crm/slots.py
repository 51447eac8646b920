"""Free places on the schedule, from what the practice pushed and what is asked for there.

Pure; imports ``agent.model``. The practice decides: this only avoids offering what it would refuse.
Instants are microseconds since 1970, UTC; intervals are half-open.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from agent.model.commands import Reason

STEP_US: Final = 10 * 60 * 1_000_000
MINUTE_US: Final = 60 * 1_000_000


class Room(msgspec.Struct, frozen=True):
    """An operatory people are booked into, and who works there when nothing else is said."""

    key: str
    dentist: str = ""
    hygienist: str = ""
    is_hygiene: bool = False


class Hours(msgspec.Struct, frozen=True):
    """A provider works. Without ``rooms``: in every operatory assigned to them."""

    start_us: int
    end_us: int
    provider: str
    rooms: frozenset[str] = frozenset()


class Busy(msgspec.Struct, frozen=True):
    """A room or people are taken by a visit, or by a request that holds its place. ``visit``: the
    appointment's key, "" for a new one."""

    start_us: int
    end_us: int
    room: str
    providers: frozenset[str] = frozenset()
    visit: str = ""


class Blocked(msgspec.Struct, frozen=True):
    """Nobody is booked here. Without ``rooms``: nowhere in the practice."""

    start_us: int
    end_us: int
    rooms: frozenset[str] = frozenset()


class Plan(msgspec.Struct, frozen=True):
    """Everything that decides about a place on some days. ``zone_shift_us``: added to an instant it
    gives the local clock, so that offers begin on even ten minutes there."""

    rooms: tuple[Room, ...]
    hours: tuple[Hours, ...]
    busy: tuple[Busy, ...]
    blocked: tuple[Blocked, ...]
    zone_shift_us: int = 0


class Place(msgspec.Struct, frozen=True, order=True):
    start_us: int
    end_us: int
    room: str
    provider: str = ""


def free(
    plan: Plan, minutes: int, now_us: int, *, room: str = "", provider: str = "", moving: str = ""
) -> list[Place]:
    """Every place of ``minutes``, in order of start, room by room."""
    length_us = minutes * MINUTE_US
    busy = [one for one in plan.busy if not moving or one.visit != moving]
    found: set[Place] = set()
    for hours in plan.hours:
        if provider and hours.provider != provider:
            continue
        for one in plan.rooms:
            if (room and one.key != room) or not _works_in(hours, one):
                continue
            taken = _taken(plan, busy, one.key, hours.provider)
            for start in _starts(plan, hours, length_us, now_us, taken):
                found.add(Place(start, start + length_us, one.key, hours.provider))
    order = {one.key: number for number, one in enumerate(plan.rooms)}
    return sorted(found, key=lambda place: (place.start_us, order[place.room], place.provider))


def why_not(plan: Plan, place: Place, now_us: int, *, moving: str = "") -> Reason | None:
    """What speaks against one place; None when nothing known here does.

    Hours speak against it only on a day for which the provider has any: a practice may keep none.
    """
    if place.start_us < now_us:
        return Reason.IN_PAST
    if all(one.key != place.room for one in plan.rooms):
        return Reason.OPERATORY_INVALID
    for busy in plan.busy:
        same = busy.room == place.room or (place.provider and place.provider in busy.providers)
        if same and busy.visit != (moving or None) and _meet(busy, place):
            return Reason.SLOT_TAKEN
    for blocked in plan.blocked:
        if (not blocked.rooms or place.room in blocked.rooms) and _meet(blocked, place):
            return Reason.OUTSIDE_HOURS
    own = [hours for hours in plan.hours if hours.provider == place.provider]
    if place.provider and own and not _inside(own, place):
        return Reason.OUTSIDE_HOURS
    return None


def provider_of(plan: Plan, room: str, start_us: int) -> str:
    """Who works in a room at a time; else whose room it is; "" when nobody is known."""
    found = next((one for one in plan.rooms if one.key == room), None)
    if found is None:
        return ""
    for hours in plan.hours:
        if hours.start_us <= start_us < hours.end_us and _works_in(hours, found):
            return hours.provider
    return _owner(found)


def _owner(room: Room) -> str:
    return room.hygienist if room.is_hygiene else room.dentist


def _works_in(hours: Hours, room: Room) -> bool:
    return room.key in hours.rooms if hours.rooms else hours.provider == _owner(room)


def _taken(plan: Plan, busy: Iterable[Busy], room: str, provider: str) -> list[tuple[int, int]]:
    """Merged intervals in which this room or this provider cannot be had, in order."""
    spans = [(b.start_us, b.end_us) for b in busy if b.room == room or provider in b.providers]
    spans += [(b.start_us, b.end_us) for b in plan.blocked if not b.rooms or room in b.rooms]
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _starts(
    plan: Plan, hours: Hours, length_us: int, now_us: int, taken: list[tuple[int, int]]
) -> Iterator[int]:
    """Starts on even steps of the local clock, from which ``length_us`` is free."""
    first = max(hours.start_us, now_us) + plan.zone_shift_us
    start = -(-first // STEP_US) * STEP_US - plan.zone_shift_us
    begins = [span[0] for span in taken]
    while start + length_us <= hours.end_us:
        nearest = bisect_right(begins, start) - 1
        if nearest >= 0 and taken[nearest][1] > start:
            busy_until = taken[nearest][1] + plan.zone_shift_us
            start = -(-busy_until // STEP_US) * STEP_US - plan.zone_shift_us
            continue
        if nearest + 1 < len(taken) and taken[nearest + 1][0] < start + length_us:
            busy_until = taken[nearest + 1][1] + plan.zone_shift_us
            start = -(-busy_until // STEP_US) * STEP_US - plan.zone_shift_us
            continue
        yield start
        start += STEP_US


def _inside(hours: Iterable[Hours], place: Place) -> bool:
    """Covered by hours that may touch each other (morning and afternoon without a break)."""
    at = place.start_us
    for one in sorted(hours, key=lambda h: h.start_us):
        if one.start_us <= at < one.end_us:
            at = one.end_us
    return at >= place.end_us


def _meet(one: Busy | Blocked, place: Place) -> bool:
    return one.start_us < place.end_us and place.start_us < one.end_us
