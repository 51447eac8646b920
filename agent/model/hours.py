"""Office hours as text: ``mon-fri 08:00-17:00; sat 09:00-13:00``. A leaf; pure.

Times are the practice's wall time. Empty text: always open (nothing is muted).
"""

from __future__ import annotations

import re
from datetime import datetime, time

import msgspec

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ALLOWED = "hours such as 'mon-fri 08:00-17:00; sat 09:00-13:00', or empty"
_PART = re.compile(
    r"(?P<days>[a-z]{3}(?:-[a-z]{3})?(?:,[a-z]{3}(?:-[a-z]{3})?)*)\s+"
    r"(?P<from>\d{1,2}:\d\d)-(?P<to>\d{1,2}:\d\d)"
)


class Opening(msgspec.Struct, frozen=True):
    """``day``: 0 = Monday. Open from ``opens`` until before ``closes``."""

    day: int
    opens: time
    closes: time


Week = tuple[Opening, ...]


def parse_hours(text: str) -> Week:
    """ValueError for a text that is no office hours."""
    found: list[Opening] = []
    for part in filter(None, (piece.strip().lower() for piece in text.split(";"))):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(part)
        opens, closes = _clock(match["from"]), _clock(match["to"])
        if opens >= closes:
            raise ValueError(part)
        found += [Opening(day, opens, closes) for day in _days(match["days"])]
    return tuple(sorted(set(found), key=lambda each: (each.day, each.opens)))


def is_open(week: Week, wall: datetime) -> bool:
    """``wall``: the practice's wall time. Without hours it always is."""
    at = wall.time().replace(tzinfo=None)
    day = wall.weekday()
    return not week or any(o.day == day and o.opens <= at < o.closes for o in week)


def spell_hours(week: Week) -> str:
    """The text of a week; days of equal hours in a row are put together."""
    spans: dict[int, str] = {}
    for day in range(7):
        hours = [f"{o.opens:%H:%M}-{o.closes:%H:%M}" for o in week if o.day == day]
        if hours:
            spans[day] = ",".join(hours)
    parts: list[tuple[int, int, str]] = []
    for day, hours_text in spans.items():
        if parts and parts[-1][1] == day - 1 and parts[-1][2] == hours_text:
            parts[-1] = (parts[-1][0], day, hours_text)
        else:
            parts.append((day, day, hours_text))
    return "; ".join(
        f"{DAYS[first] if first == last else DAYS[first] + '-' + DAYS[last]} {hours}"
        for first, last, all_hours in parts
        for hours in all_hours.split(",")
    )


def _days(text: str) -> list[int]:
    found: list[int] = []
    for piece in text.split(","):
        first, _, last = piece.partition("-")
        start, end = DAYS.index(first), DAYS.index(last or first)  # ValueError: no such day
        if end < start:
            raise ValueError(piece)
        found += range(start, end + 1)
    return found


def _clock(text: str) -> time:
    hour, _, minute = text.partition(":")
    if text == "24:00":
        return time(23, 59, 59)
    return time(int(hour), int(minute))
