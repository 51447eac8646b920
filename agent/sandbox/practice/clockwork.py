"""Local wall time of the practice as text, and the UTC stamps a server would have kept.

A moment is (day ordinal, minute of the day) on the practice's wall. Pure; imports nothing of ours.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from agent.sandbox.practice.schema import NO_DATE


class WallClock:
    """Caches what is asked a million times: ISO text of a day and its UTC offset."""

    def __init__(self, zone: str) -> None:
        self.zone = ZoneInfo(zone)
        self._iso: dict[int, str] = {}
        self._offset: dict[int, int] = {}

    def day(self, ordinal: int) -> str:
        """``YYYY-MM-DD``; 0 is "none"."""
        text = self._iso.get(ordinal)
        if text is None:
            text = date.fromordinal(ordinal).isoformat() if ordinal > 0 else NO_DATE
            self._iso[ordinal] = text
        return text

    def moment(self, ordinal: int, minute: int) -> str:
        """``YYYY-MM-DD HH:MM:00`` as the office's clock showed it."""
        return f"{self.day(ordinal)} {minute // 60:02d}:{minute % 60:02d}:00"

    def stamp(self, ordinal: int, minute: int, second: int = 0) -> str:
        """UTC text of a local moment; the offset is that of the day's noon."""
        minutes_west = self._offset.get(ordinal)
        if minutes_west is None:
            noon = datetime.combine(date.fromordinal(ordinal), datetime.min.time(), self.zone)
            offset = (noon + timedelta(hours=12)).utcoffset() or timedelta()
            minutes_west = -int(offset.total_seconds()) // 60
            self._offset[ordinal] = minutes_west
        total = minute + minutes_west
        return (
            f"{self.day(ordinal + total // 1440)} "
            f"{total % 1440 // 60:02d}:{total % 60:02d}:{second:02d}"
        )


def utc_text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def interval_days(ordinal: int, interval: int) -> int:
    """Add a recall interval (days | weeks<<8 | months<<16 | years<<24) to a day."""
    years, months = interval >> 24, (interval >> 16) & 0xFF
    weeks, days = (interval >> 8) & 0xFF, interval & 0xFF
    start = date.fromordinal(ordinal)
    total = start.year * 12 + start.month - 1 + years * 12 + months
    year, month = divmod(total, 12)
    last = (date(year + (month == 11), (month + 1) % 12 + 1, 1) - timedelta(days=1)).day
    return date(year, month + 1, min(start.day, last)).toordinal() + weeks * 7 + days
