"""What happens to the computer: it sleeps, wakes, its clock is set, somebody signs in. Pure.

Windows tells a service so (``meaning_of``). Where nobody tells, a sleep shows as a gap between two
looks that should be a second apart, and a clock that was set as wall and steady time that part.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum

import psutil

GAP = timedelta(seconds=30)
CLOCK_STEP = timedelta(seconds=2)  # less is the network's gentle correction


class Event(StrEnum):
    SUSPEND = "suspend"
    RESUME = "resume"
    CLOCK = "clock"  # it was set, either way
    SESSION = "session"  # somebody signed in or came back


# Numbers as of winsvc.h, winuser.h and wtsapi32.h.
_POWER, _SESSION, _TIME = 13, 14, 16  # SERVICE_CONTROL_POWEREVENT, _SESSIONCHANGE, _TIMECHANGE
_MEANINGS = {
    (_POWER, 0x4): Event.SUSPEND,  # PBT_APMSUSPEND
    (_POWER, 0x7): Event.RESUME,  # PBT_APMRESUMESUSPEND
    (_POWER, 0x12): Event.RESUME,  # PBT_APMRESUMEAUTOMATIC
    (_SESSION, 0x1): Event.SESSION,  # WTS_CONSOLE_CONNECT
    (_SESSION, 0x3): Event.SESSION,  # WTS_REMOTE_CONNECT
    (_SESSION, 0x5): Event.SESSION,  # WTS_SESSION_LOGON
    (_SESSION, 0x8): Event.SESSION,  # WTS_SESSION_UNLOCK
}


def meaning_of(control: int, event_type: int) -> Event | None:
    """Of a service control that is not stop or shutdown; None: nothing to us."""
    if control == _TIME:
        return Event.CLOCK
    return _MEANINGS.get((control, event_type))


def booted_at() -> datetime | None:
    try:
        return datetime.fromtimestamp(psutil.boot_time(), UTC)
    except (OSError, RuntimeError):
        return None


class Wakefulness:
    """How long this computer has been awake: after a boot or a wake-up lines take their time.
    ``look`` every second; ``awake_s`` then says it."""

    def __init__(self, booted_at: datetime | None) -> None:
        self._since = booted_at
        self._last: datetime | None = None

    def look(self, now: datetime) -> None:
        if self._last is not None and now - self._last > GAP:
            self._since = now
        self._last = now

    def woke(self, now: datetime) -> None:
        """Somebody told us."""
        self._since = self._last = now

    def awake_s(self, now: datetime) -> float | None:
        """None: the system does not say when it was started."""
        return None if self._since is None else max((now - self._since).total_seconds(), 0.0)


class ClockWatch:
    """``moved`` twice a second: whether the wall clock was set since the last look."""

    def __init__(self) -> None:
        self._offset: float | None = None

    def moved(self, now: datetime, mono_s: float) -> bool:
        offset, known = now.timestamp() - mono_s, self._offset
        self._offset = offset
        return known is not None and abs(offset - known) > CLOCK_STEP.total_seconds()
