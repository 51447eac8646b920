"""Is an agent silent while its office is open? Only the CRM can tell. Pure; no I/O."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agent.model.hours import is_open, parse_hours

SILENT = "agent.silent"
ALLOWED = timedelta(minutes=15)  # of open hours
_STEP = timedelta(minutes=1)
_LOOKED_BACK = timedelta(days=1)


def is_silent(heard: datetime, now: datetime, hours: str, zone: str) -> bool:
    """Whether 15 minutes in which the office was open have passed since. Hours that are not known,
    or no hours at all, count as open: a silent agent is then told by day and night."""
    try:
        week, wall = parse_hours(hours), ZoneInfo(zone or "UTC")
    except (ValueError, ZoneInfoNotFoundError):
        week, wall = (), ZoneInfo("UTC")
    at = max(heard, now - _LOOKED_BACK)
    left = ALLOWED
    while at + _STEP <= now and left > timedelta(0):
        at += _STEP
        if is_open(week, (at - _STEP).astimezone(wall)):
            left -= _STEP
    return left <= timedelta(0)
