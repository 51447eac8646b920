"""Commands of the CRM and tasks for people. Part of a turn; never commits.

A command is taken once by its id and ends once: a terminal outcome is final. An outcome waits to be
reported until the CRM acknowledged *that* outcome; a later one waits anew. Every outcome has its
audit row in the turn that stores it (T3). A command cannot be done while one of its effects is
open: checked before the commit, whatever the order of the calls in the turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import apsw

from agent.errors import JournalError
from agent.journal.packing import pack, unpack_command, unpack_outcome
from agent.journal.pulled import CommandState, TaskState
from agent.journal.seal import Seal, command_context, task_context
from agent.journal.values import Row, fetch, to_micros
from agent.journal.writer import Writer
from agent.model.commands import Command, CommandOutcome
from agent.model.effects import Effect
from agent.model.reading import Key
from agent.model.streams import Stream


class Inbox(Writer):
    """The part of a turn that changes commands and tasks."""

    def __init__(
        self, db: apsw.Connection, *, seal: Seal, now: datetime, streams: Mapping[Stream, int]
    ) -> None:
        super().__init__(db, seal=seal, now=now, streams=streams)
        self._finished: list[str] = []  # commands that became done in this turn

    # --- commands ----------------------------------------------------------------------------

    def receive(self, command: Command, due_at: datetime) -> bool:
        """Take a command in; False when its id is known (a redelivery).

        ``due_at``: when it may first be tried. An unreadable ``not_after`` counts as passed.
        Raises ValueError when the id is known with another body: one id, two commands.
        """
        row = self._first_row("SELECT body FROM command WHERE id = ?", (command.command_id,))
        if row is not None:
            if row[0] is None:  # erased
                return False
            known = unpack_command(self._seal.open(row[0], self._body_context(command.command_id)))
            if known != command:
                raise ValueError("a known command id with another body")
            return False
        self._db.execute(
            "INSERT INTO command(id, type, priority, state, received_at, due_at, expires_at, body,"
            " changed_at) VALUES (?,?,?,?,?,?,?,?,?)",
            (
                command.command_id,
                command.type.value,
                command.priority,
                CommandState.RECEIVED.value,
                self._at,
                to_micros(due_at),
                self._expiry(command.not_after),
                self._seal.seal(pack(command), self._body_context(command.command_id)),
                self._at,
            ),
        )
        return True

    def command_state(
        self,
        command_id: str,
        state: CommandState,
        *,
        due_at: datetime | None = None,
        outcome: CommandOutcome | None = None,
    ) -> None:
        """Where the command stands now; an outcome that differs is reported (again) and audited.

        None leaves ``due_at`` or the outcome as it is. DONE wants a terminal outcome and is final:
        saying the same again changes nothing, anything else raises ValueError.
        """
        kind, before, held = self._command(command_id)
        changed = outcome is not None and outcome != held
        if before is CommandState.DONE:
            if state is not CommandState.DONE or changed:
                raise ValueError("a command that has ended")
            return
        now_held = outcome if outcome is not None else held
        if state is CommandState.DONE:
            if now_held is None or not now_held.state.is_terminal:
                raise ValueError("a command cannot end without a terminal outcome")
            self._finished.append(command_id)
        self._db.execute(
            "UPDATE command SET state = ?, due_at = coalesce(?, due_at), changed_at = ?"
            " WHERE id = ?",
            (state.value, None if due_at is None else to_micros(due_at), self._at, command_id),
        )
        if outcome is None or not changed:
            return
        sealed = self._seal.seal(pack(outcome), command_context("outcome", command_id))
        self._db.execute(
            "UPDATE command SET outcome = ?, reported = 0 WHERE id = ?", (sealed, command_id)
        )
        self._db.execute(
            "UPDATE intake_command SET ended = ? WHERE command = ?",
            (outcome.state.value, command_id),
        )
        self.audit(
            f"command.{outcome.state.value}",
            {
                "command": command_id,
                "type": kind,
                "reason": outcome.reason_code.value if outcome.reason_code else "",
                "kept": len(outcome.kept_fields),
            },
            sealed,
        )

    def command_tried(self, command_id: str, due_at: datetime) -> None:
        """One more try that did not get through: WAITING, due again later."""
        _, before, _ = self._command(command_id)
        if before is CommandState.DONE:
            raise ValueError("a command that has ended")
        self._db.execute(
            "UPDATE command SET state = ?, tries = tries + 1, due_at = ?, changed_at = ?"
            " WHERE id = ?",
            (CommandState.WAITING.value, to_micros(due_at), self._at, command_id),
        )

    def hurry(self) -> None:
        """What waits for another try is due at once."""
        self._db.execute(
            "UPDATE command SET due_at = ?1 WHERE state = 'waiting' AND due_at > ?1", (self._at,)
        )

    def reported(self, command_id: str, outcome: CommandOutcome) -> None:
        """The CRM acknowledged this outcome. Ignored when another one holds by now."""
        if self._command(command_id)[2] == outcome:
            self._db.execute("UPDATE command SET reported = 1 WHERE id = ?", (command_id,))

    def _command(self, command_id: str) -> tuple[str, CommandState, CommandOutcome | None]:
        """(type, state, outcome) as this turn sees them; ValueError for an id never received."""
        row = self._first_row(
            "SELECT type, state, outcome FROM command WHERE id = ?", (command_id,)
        )
        if row is None:
            raise ValueError("no such command")
        kind, state, sealed = row
        outcome = (
            None
            if sealed is None
            else unpack_outcome(self._seal.open(sealed, command_context("outcome", command_id)))
        )
        return kind, CommandState(state), outcome

    def _expiry(self, not_after: str | None) -> int | None:
        if not_after is None:
            return None
        try:
            at = datetime.fromisoformat(not_after)
        except ValueError:
            return self._at
        return to_micros(at if at.tzinfo is not None else at.replace(tzinfo=UTC))

    @staticmethod
    def _body_context(command_id: str) -> bytes:
        return command_context("body", command_id)

    # --- tasks -------------------------------------------------------------------------------

    def add_task(self, command_id: str, effect: Effect, reason: str, due_at: datetime) -> int:
        """Ask the front desk to do by hand what may not be written. ``reason``: message code."""
        self._db.execute(
            "INSERT INTO task(command, image, reason, state, opened_at, due_at, actor)"
            " VALUES (?,?,?,?,?,?,'')",
            (
                command_id,
                self._seal.seal(pack(effect), task_context("image", command_id)),
                reason,
                TaskState.OPEN.value,
                self._at,
                to_micros(due_at),
            ),
        )
        number = self._db.last_insert_rowid()
        self.audit(
            "task.opened",
            {"task": number, "command": command_id, "kind": effect.kind.value, "reason": reason},
        )
        return number

    def close_task(
        self,
        number: int,
        state: TaskState,
        actor: str,
        note: str = "",
        key: Key | None = None,
    ) -> None:
        """The front desk answered, or nobody did. ``note`` is sealed; it may name a patient.
        ``key``: of the record it was done on.

        Closing a closed task the same way is nothing; another way raises ValueError, as does OPEN.
        """
        row = self._first_row("SELECT state, command FROM task WHERE number = ?", (number,))
        if row is None or state is TaskState.OPEN:
            raise ValueError("no such task" if row is None else "a task cannot be closed as open")
        before, command_id = row
        if before == state.value:
            return
        if before != TaskState.OPEN.value:
            raise ValueError("a task that was closed otherwise")
        sealed = self._seal.seal(note.encode(), task_context("note", command_id)) if note else None
        self._db.execute(
            "UPDATE task SET state = ?, actor = ?, note = ?, key = ?, settled_at = ?"
            " WHERE number = ?",
            (state.value, actor, sealed, key, self._at, number),
        )
        self.audit(f"task.{state.value}", {"task": number, "command": command_id, "actor": actor})

    # --- the end of the turn -----------------------------------------------------------------

    def _settle_up(self) -> None:
        super()._settle_up()
        for command_id in self._finished:
            left = self._count(
                "SELECT count(*) FROM effect WHERE command = ?"
                " AND state IN ('intent', 'written', 'unknown')",
                (command_id,),
            )
            if left:
                raise JournalError("journal.effect_open", effects=left)

    def _first_row(self, sql: str, bound: Row) -> Row | None:
        return next(iter(fetch(self._db, sql, bound)), None)
