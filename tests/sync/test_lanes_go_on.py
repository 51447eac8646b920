"""No error of one round ends a lane, or nothing would be sent or heard again: found by the
simulation. Plus what a refused deletion leaves behind, and the wall clock's watch."""

from __future__ import annotations

import threading
from itertools import count
from typing import Any

import pytest

from agent.errors import JournalError
from agent.journal.rows import Held
from agent.sync.pace import Backoff
from agent.sync.plan import refused_deletions
from agent.sync.pull import Pull
from agent.sync.push import Dispatcher
from tests.support.clock import HandClock


class Broken:
    """A journal whose first answers are errors; then it tells the lane to stop."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.stopping = threading.Event()
        self.asked = 0

    def _answer(self, *_: Any) -> Any:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        self.stopping.set()
        return []

    due_batches = _answer
    command_counts = _answer


ERRORS = (JournalError("journal.io"), MemoryError(), RuntimeError("no thread"))


def quick(_: threading.Event, timeout: float | None = None) -> bool:
    return True


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Event, "wait", quick)


def test_the_push_lane_outlives_any_error() -> None:
    journal, clock = Broken(*ERRORS), HandClock()
    dispatcher = Dispatcher(
        journal,  # type: ignore[arg-type]
        None,  # type: ignore[arg-type]
        clock,
        Backoff(lambda: 0.5, cap_s=10.0),
        on_limits=lambda: None,
    )
    ticks = count(1000.0, 60.0)  # each look at the clock is a minute later
    clock.mono = lambda: next(ticks)  # type: ignore[method-assign]
    dispatcher.run(journal.stopping)
    assert journal.asked == len(ERRORS) + 1
    assert dispatcher.line.error is not None


def test_the_pull_lane_outlives_any_error() -> None:
    journal = Broken(*ERRORS)
    pull = Pull(
        journal,  # type: ignore[arg-type]
        HandClock(),
        None,  # type: ignore[arg-type]
        None,  # type: ignore[arg-type]
        Backoff(lambda: 0.5),
        capabilities=list,
        on_commands=lambda: None,
        on_known=lambda _: None,
        before=lambda: None,
    )
    pull.run(journal.stopping)
    assert journal.asked >= len(ERRORS) + 1


def test_a_deletion_the_crm_refused_is_told_again() -> None:
    def held(*, gone: bool, parked: bool) -> Held:
        return Held(b"", 0, 0, 1, b"x", None, None, gone, parked)

    records = {
        1: held(gone=True, parked=True),  # refused
        2: held(gone=True, parked=False),  # taken
        3: held(gone=False, parked=True),  # refused, and still there
        4: held(gone=True, parked=True),  # refused, and there again
    }
    assert refused_deletions([1, 2, 3, 4, 5], {4}, records) == [1]
