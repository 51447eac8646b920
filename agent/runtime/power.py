"""How long this computer has been awake: after a boot or a wake-up lines take their time.

A sleep shows as a gap between two looks that should be a second apart. No platform calls: they
would each need a window or a service of their own, and the gap tells the same.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psutil

GAP = timedelta(seconds=30)


def booted_at() -> datetime | None:
    try:
        return datetime.fromtimestamp(psutil.boot_time(), UTC)
    except (OSError, RuntimeError):
        return None


class Wakefulness:
    """``look`` every second; ``awake_s`` then says how long it has been awake."""

    def __init__(self, booted_at: datetime | None) -> None:
        self._since = booted_at
        self._last: datetime | None = None

    def look(self, now: datetime) -> None:
        if self._last is not None and now - self._last > GAP:
            self._since = now
        self._last = now

    def awake_s(self, now: datetime) -> float | None:
        """None: the system does not say when it was started."""
        return None if self._since is None else max((now - self._since).total_seconds(), 0.0)
