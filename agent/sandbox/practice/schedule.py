"""Who works when, which slots are free, and the schedule rows that say so.

Hours are a pure function of provider and day, so bookings and schedule rows cannot disagree.
May import the office beside it; knows nothing of patients.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import lru_cache

from agent.sandbox.practice.office import Chair, Office, Pen, Provider
from agent.sandbox.practice.seeds import Cat
from agent.sandbox.practice.stores import Value

OPEN_MINUTE = 8 * 60
UNIT_MINUTES = 5
UNITS = 12 * 11  # 08:00 to 19:00
_GRID = sum(1 << u for u in range(0, UNITS, 2))  # visits start on ten minutes

Shift = tuple[int, int]


@lru_cache(maxsize=4096)
def holiday(ordinal: int) -> str:
    """Name of the public holiday, or ""."""
    day = date.fromordinal(ordinal)
    fixed = {(1, 1): "New Year's Day", (7, 4): "Independence Day", (12, 25): "Christmas Day"}
    if (day.month, day.day) in fixed:
        return fixed[day.month, day.day]
    week = (day.day - 1) // 7 + 1
    if day.month == 11 and day.weekday() == 3 and week == 4:
        return "Thanksgiving"
    if day.month == 9 and day.weekday() == 0 and week == 1:
        return "Labor Day"
    if day.month == 5 and day.weekday() == 0 and day.day > 24:
        return "Memorial Day"
    return ""


def shifts(provider: Provider, ordinal: int) -> tuple[Shift, ...]:
    """Working hours of a provider that day in minutes; empty on days off."""
    weekday = (ordinal - 1) % 7  # ordinal 1 was a Monday
    if weekday > 4 or holiday(ordinal):
        return ()
    place = provider.place
    if place % 5 == 4 and weekday == place // 5 % 5:
        return ()  # a part-timer's free day
    if (ordinal // 7 * 31 + place * 17) % 26 == 3:
        return ()  # two weeks of holiday a year
    if weekday == 4:
        return ((480, 720), (780, 900))
    if weekday == 1 and place % 4 == 1:
        return ((600, 780), (840, 1140))  # a late day
    return ((480, 720), (780, 1020))


def meeting(ordinal: int) -> bool:
    """The first Wednesday's last hour is a staff meeting nobody may book over."""
    return (ordinal - 1) % 7 == 2 and date.fromordinal(ordinal).day <= 7


class SlotBook:
    """Free time of every chair and day as bit masks of five minutes; nothing is booked twice."""

    def __init__(self) -> None:
        self._free: dict[tuple[int, int], int] = {}

    def _mask(self, chair: Chair, ordinal: int) -> int:
        found = self._free.get((chair.place, ordinal))
        if found is None:
            found = 0
            for start, stop in shifts(chair.provider, ordinal):
                first, last = (start - OPEN_MINUTE) // 5, (stop - OPEN_MINUTE) // 5
                found |= (1 << last) - (1 << first)
            if meeting(ordinal):
                found &= (1 << ((960 - OPEN_MINUTE) // 5)) - 1
            self._free[chair.place, ordinal] = found
        return found

    def take(self, chair: Chair, ordinal: int, units: int, wish: float) -> int | None:
        """Book ``units`` near ``wish`` (0..1 of the day); the start minute, or None when full."""
        free = self._mask(chair, ordinal)
        starts, need = free, units - 1
        step = 1
        while need > 0:
            shift = min(step, need)
            starts &= starts >> shift
            need -= shift
            step *= 2
        starts &= _GRID
        if not starts:
            return None
        floor = int(wish * UNITS)
        later = starts >> floor << floor
        pick = later or starts
        unit = (pick & -pick).bit_length() - 1
        self._free[chair.place, ordinal] = free & ~(((1 << units) - 1) << unit)
        return OPEN_MINUTE + unit * UNIT_MINUTES

    def give_back(self, chair: Chair, ordinal: int, minute: int, units: int) -> None:
        unit = (minute - OPEN_MINUTE) // UNIT_MINUTES
        self._free[chair.place, ordinal] = self._mask(chair, ordinal) | (((1 << units) - 1) << unit)


def write_schedule(office: Office, pen: Pen) -> Iterator[int]:
    """Schedule rows of every day from the first to the last; yields each day when written."""
    wall = office.wall
    providers = (*office.dentists, *office.hygienists)
    chairs_of = {
        p.num: [c.num for c in office.chairs if c.provider.num == p.num] for p in providers
    }
    lunch = office.definition(Cat.BLOCKOUT, "Lunch")
    emergency = office.definition(Cat.BLOCKOUT, "Emergency")
    staff = office.definition(Cat.BLOCKOUT, "Staff meeting")
    dental = office.dental_chairs

    def row(ordinal: int, start: int, stop: int, stamp: str, ops: list[int], **more: Value) -> None:
        num = pen.key("schedule")
        pen.put("schedule", {
            "ScheduleNum": num, "SchedDate": wall.day(ordinal),
            "StartTime": f"{start // 60:02d}:{start % 60:02d}:00",
            "StopTime": f"{stop // 60:02d}:{stop % 60:02d}:00",
            "SchedType": 0, "ProvNum": 0, "BlockoutType": 0, "Note": "", "Status": 0,
            "DateTStamp": stamp, "ClinicNum": 0, **more,
        })  # fmt: skip
        for op in ops:
            pen.put("scheduleop", {
                "ScheduleOpNum": pen.key("scheduleop"), "ScheduleNum": num, "OperatoryNum": op,
            })  # fmt: skip

    for ordinal in range(office.first_day, office.last_day + 1):
        stamp = wall.stamp(min(ordinal - 60, office.today - 1), 600)
        name = holiday(ordinal)
        if name:
            row(ordinal, 0, 0, stamp, [], Status=2, Note=name)
        for provider in providers:
            for start, stop in shifts(provider, ordinal):
                row(
                    ordinal, start, stop, stamp, chairs_of[provider.num], SchedType=1,
                    ProvNum=provider.num, ClinicNum=provider.clinic,
                )  # fmt: skip
        weekday = (ordinal - 1) % 7
        if weekday < 5 and not name:
            if meeting(ordinal):
                row(
                    ordinal, 960, 1140, stamp, [c.num for c in office.chairs], SchedType=2,
                    BlockoutType=staff, Note="All hands",
                )  # fmt: skip
            row(
                ordinal, 720, 780, stamp, [dental[ordinal % len(dental)].num], SchedType=2,
                BlockoutType=lunch,
            )  # fmt: skip
            if weekday % 2 == 0:
                row(
                    ordinal, 690, 720, stamp, [dental[ordinal // 2 % len(dental)].num],
                    SchedType=2, BlockoutType=emergency,
                )  # fmt: skip
        yield ordinal
