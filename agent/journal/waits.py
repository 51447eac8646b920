"""Waits are kept in wall time, so that they outlive a restart. When the wall clock is set back they
are moved with it: otherwise everything that was due just now would be due in the future again.

Only what we decided ourselves moves. What somebody outside has named (a command's ``not_after``,
the start of one that may not begin yet) stays where it is.
"""

from __future__ import annotations

import apsw

_MOVED = (
    "UPDATE batch SET due_at = due_at - ?1, planned_at = planned_at - ?1",
    "UPDATE park SET due_at = due_at - ?1, since = since - ?1",
    "UPDATE chunk SET due_at = due_at - ?1, verified_at = verified_at - ?1, since = since - ?1",
    "UPDATE record SET missing_since = missing_since - ?1 WHERE missing_since IS NOT NULL",
    "UPDATE command SET due_at = due_at - ?1, received_at = received_at - ?1"
    " WHERE state IN ('waiting', 'working')"
    "  OR (state = 'received' AND (tries > 0 OR due_at <= received_at))",
    "UPDATE task SET due_at = due_at - ?1 WHERE state = 'open'",
)


def move_back(db: apsw.Connection, micros: int) -> None:
    """In the caller's transaction."""
    for sql in _MOVED:
        db.execute(sql, (micros,))


def move_disappearances(db: apsw.Connection, micros: int) -> None:
    """A clock set forward makes nothing wait, but the delay before the second look at what vanished
    would have passed at once."""
    db.execute(
        "UPDATE record SET missing_since = missing_since + ?1 WHERE missing_since IS NOT NULL",
        (micros,),
    )


def latest(db: apsw.Connection) -> int | None:
    """When the journal was last written, by the wall clock of then; None while it is empty."""
    row = db.execute("SELECT at FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    return None if row is None else int(row[0])
