"""Waits are kept in wall time, so that they outlive a restart. When the wall clock is set back they
are moved with it: otherwise everything that was due just now would be due in the future again.

The journal looks at the start of every turn, so that nothing is written by the new time before
everything that waits has been moved to it. Who says in a turn when something is due asks the clock
in that turn: by a time from before, of a clock set back since, it would wait for as long.

Only what we decided ourselves moves. What somebody outside has named (a command's ``not_after``,
the start of one that may not begin yet) stays where it is.
"""

from __future__ import annotations

from datetime import datetime

import apsw

from agent.ports import Clock

STEP_S = 1.0  # less is a clock being disciplined
#: how long a write has been open, in the words of the index of open ones
OPEN_WRITES = (
    "UPDATE effect SET planned_at = planned_at - ?1"
    " WHERE state IN ('intent', 'written', 'unknown') AND state <> 'unknown'"
)
#: commands whose next try is ours to say: all but those that may not begin yet. What a person has
#: decided begins a little later, too, so that it can be taken back.
OUR_COMMANDS = (
    "(state IN ('waiting', 'working')"
    " OR (state = 'received' AND (tries > 0 OR due_at <= received_at + 30000000)))"
)
_MOVED = (
    "UPDATE batch SET due_at = due_at - ?1, planned_at = planned_at - ?1",
    "UPDATE park SET due_at = due_at - ?1, since = since - ?1",
    "UPDATE chunk SET due_at = due_at - ?1, verified_at = verified_at - ?1, since = since - ?1",
    "UPDATE record SET missing_since = missing_since - ?1 WHERE missing_since IS NOT NULL",
    f"UPDATE command SET due_at = due_at - ?1, received_at = received_at - ?1 WHERE {OUR_COMMANDS}",
    "UPDATE task SET due_at = due_at - ?1 WHERE state = 'open'",
    OPEN_WRITES,
)


class WallWatch:
    """Notices that somebody has set the wall clock. A machine that slept counts as set forward."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead_s = clock.now().timestamp() - clock.mono()

    def look(self) -> tuple[datetime, float]:
        """The time, and by how many seconds it is ahead of what passed since ``heeded``."""
        now = self._clock.now()
        return now, now.timestamp() - self._clock.mono() - self._ahead_s

    def heeded(self, by_s: float) -> None:
        """So much of it needs no heed any more."""
        self._ahead_s += by_s


def move(db: apsw.Connection, by_s: float, now: int) -> None:
    """The wall clock was set by so much and is now at ``now`` (microseconds). In the caller's
    transaction."""
    micros = round(by_s * 1_000_000)
    if by_s <= -STEP_S:
        move_back(db, -micros)
    elif by_s >= STEP_S:
        move_ahead(db, micros, now)


def move_back(db: apsw.Connection, micros: int) -> None:
    """Of a clock set back."""
    for sql in _MOVED:
        db.execute(sql, (micros,))


def move_ahead(db: apsw.Connection, micros: int, now: int) -> None:
    """A clock set forward makes nothing wait, but two delays would have passed at once: before the
    second look at what vanished, and before a write whose answer was lost counts as not done."""
    db.execute(OPEN_WRITES, (-micros,))
    db.execute(
        "UPDATE record SET missing_since = min(missing_since + ?1, ?2)"
        " WHERE missing_since IS NOT NULL",
        (micros, now),
    )


def latest(db: apsw.Connection) -> int | None:
    """When the journal was last written, by the wall clock of then; None while it is empty."""
    row = db.execute("SELECT at FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    return None if row is None else int(row[0])
