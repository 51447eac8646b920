"""How long settled work of the pull is kept. Deletes only; part of a turn.

T7: nothing goes that open work names. An effect stays while its command has not ended or was not
reported, while an open conflict belongs to that command, and while an effect that is to undo it
has not ended. Instants are microseconds.
"""

from __future__ import annotations

import apsw

_SETTLED = """
  settled_at < ?1 AND state IN ('verified', 'failed')
  AND NOT EXISTS (SELECT 1 FROM command c WHERE c.id = effect.command
    AND (c.state <> 'done' OR c.reported = 0))
  AND NOT EXISTS (SELECT 1 FROM conflict k WHERE k.command = effect.command
    AND k.state = 'open')
  AND NOT EXISTS (SELECT 1 FROM effect later WHERE later.undoes = effect.number
    AND later.state IN ('intent', 'written', 'unknown'))
"""
_STEPS = (
    # Older than what is kept, an effect cannot be undone any more, even where its row stays.
    "UPDATE effect SET undo = 'expired' WHERE undo = 'armed' AND settled_at < ?1",
    f"DELETE FROM effect WHERE {_SETTLED}",
    "DELETE FROM conflict WHERE state <> 'open' AND told = 1 AND settled_at < ?1",
    """DELETE FROM task WHERE state <> 'open' AND settled_at < ?1 AND NOT EXISTS
        (SELECT 1 FROM command c WHERE c.id = task.command
         AND (c.state <> 'done' OR c.reported = 0))""",
    """DELETE FROM command WHERE state = 'done' AND reported = 1 AND changed_at < ?1
        AND NOT EXISTS (SELECT 1 FROM effect e WHERE e.command = command.id)
        AND NOT EXISTS (SELECT 1 FROM task t WHERE t.command = command.id)
        AND NOT EXISTS (SELECT 1 FROM conflict k WHERE k.command = command.id
          AND (k.state = 'open' OR k.told = 0))""",
    "DELETE FROM intake_command WHERE NOT EXISTS"
    " (SELECT 1 FROM command c WHERE c.id = intake_command.command)",
    "DELETE FROM intake WHERE state <> 'running' AND ended_at < ?1",
)


def prune_pull(db: apsw.Connection, *, work_before: int) -> None:
    """Drop what was settled before ``work_before``."""
    for statement in _STEPS:
        db.execute(statement, (work_before,) if "?1" in statement else ())


def oldest_open_intent(db: apsw.Connection) -> int | None:
    """Audit number of the oldest intent whose effect has not ended."""
    found: int | None = next(
        db.execute(
            "SELECT min(intent_seq) FROM effect WHERE state IN ('intent', 'written', 'unknown')"
        )
    )[0]
    return found
