"""A clock moved by hand: tests say what time it is; nothing waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


class HandClock:
    """Implements agent.ports.Clock. ``sleep`` moves the time at once and remembers the wish."""

    def __init__(self, now: datetime = START) -> None:
        self._now = now
        self._mono = 1_000.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self._now

    def mono(self) -> float:
        return self._mono

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Time passes on both faces."""
        self._now += timedelta(seconds=seconds)
        self._mono += seconds

    def step(self, seconds: float) -> None:
        """Somebody sets the wall clock; the monotonic face does not move."""
        self._now += timedelta(seconds=seconds)
