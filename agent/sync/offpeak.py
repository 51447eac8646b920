"""When a large stream that is dear to prove is proven: outside the office hours. Pure; no I/O.

Where the server cannot hash rows a proof carries all of them over the line; where no stamp says
what moved, nothing spares it one. Such work waits for the evening, but never past the promise that
every chunk is proven once per rotation: hot and warm streams, whose rotation is shorter than a
working day, go on by day.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from agent.model.hours import Week, is_open
from agent.model.reading import StreamFacts

STEP = timedelta(minutes=15)
WEEK_STEPS = timedelta(days=7) // STEP


def is_dear(facts: StreamFacts, chunk_rows: int) -> bool:
    """More than one chunk, and no server's hash or no stamp to make its proof cheap or rare."""
    return facts.rows > chunk_rows and not (facts.hashed and facts.lanes)


def quiet_due(week: Week, due: datetime, latest: datetime, now: datetime) -> datetime:
    """When to prove what would be due at ``due`` and must be proven by ``latest``.

    Aware times in the practice's zone. The close of business after ``due`` if that is in time,
    else the middle of the quiet before it, else ``due`` itself: the promise comes first. Looks in
    quarters of an hour.
    """
    if not is_open(week, due):
        return due
    after = _last(week, due, latest, STEP, is_quiet=False)
    if after + STEP <= latest:
        return after + STEP
    opened = _last(week, due, now, -STEP, is_quiet=False)
    began = _last(week, opened - STEP, now, -STEP, is_quiet=True)
    return began + (opened - began) / 2 if now < began < opened else due


def _last(
    week: Week, start: datetime, end: datetime, step: timedelta, *, is_quiet: bool
) -> datetime:
    """The last step from ``start`` towards ``end`` before the office opens or closes."""
    at = start
    forward = step > timedelta(0)
    for _ in range(WEEK_STEPS):
        following = at + step
        beyond = following > end if forward else following < end
        if beyond or is_open(week, following) is is_quiet:
            break
        at = following
    return at
