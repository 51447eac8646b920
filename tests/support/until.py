"""Waiting in tests: for a state, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from agent.control.client import Client
from agent.model.longwork import Job, ShowJob

T = TypeVar("T")


def until(
    look: Callable[[], T],
    within_s: float = 30.0,
    *,
    every_s: float = 0.02,
    said: Callable[[], object] | None = None,
) -> T:
    """The first thing ``look`` says that counts as true. AssertionError when none comes in time,
    with what ``said`` tells then: a limit is for what hangs, so let it be generous."""
    deadline = time.monotonic() + within_s
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:.0f} s: {said() if said else seen!r}")
        time.sleep(every_s)
    return seen


def ended(agent: Client, job: Job, within_s: float = 30.0) -> Job:
    """The job when it is over, however it ended."""

    def look() -> Job | None:
        now = agent.ask(ShowJob(job.number))
        return now if now.is_over else None

    found = until(look, within_s, every_s=0.05)
    assert found is not None
    return found
