"""A real clock and a settable one for the CRM client's tests."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class RealClock:
    """Real time, with the wall clock shifted by ``wrong_by_s``."""

    def __init__(self, wrong_by_s: float = 0.0) -> None:
        self.wrong_by_s = wrong_by_s
        self.ahead_s = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.wrong_by_s)

    def mono(self) -> float:
        return time.monotonic() + self.ahead_s

    def sleep(self, seconds: float) -> None:
        """Time passes at once."""
        self.ahead_s += seconds
