"""A task that computes for ever gives way nowhere, so virtual time cannot notice it: the
processor's time does. Main thread only, as signals are; not Windows'."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tests.sim.kernel import Kernel, Violation

LOOK_EVERY_S = 10.0  # of processor time; a whole run takes about one


@contextmanager
def noticed(kernel: Kernel, look_every_s: float = LOOK_EVERY_S) -> Iterator[None]:
    """Raises Violation in whatever runs when the kernel got nowhere between two looks."""
    last = None

    def look(_signal: int, _frame: FrameType | None) -> None:
        nonlocal last
        before, last = last, kernel.progress
        if last == before:
            raise Violation("V4", "a task computes without giving way")

    was = signal.signal(signal.SIGPROF, look)
    signal.setitimer(signal.ITIMER_PROF, look_every_s, look_every_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, was)
