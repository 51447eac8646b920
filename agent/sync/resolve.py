"""Conflicts: a person decides, a moment later it is dispatched, and until then it can be undone.

A decision is carried out by the command that met the conflict, if that still waits for it, else by
a command of the agent's own; either goes through the apply lane like any other and merges against
what the PMS holds by then. So a decision is never written over something nobody has seen.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import structlog

from agent.errors import AgentError
from agent.journal.journal import Journal, Turn
from agent.journal.pulled import (
    CommandRow,
    CommandState,
    ConflictRow,
    ConflictState,
    EffectState,
    Winner,
)
from agent.model.commands import Command, CommandType, EndState, Target
from agent.model.effects import Effect, EffectKind
from agent.model.streams import Stream
from agent.ports import Clock
from agent.sync import outcomes
from agent.sync.merge import WHOLE, may_remember
from agent.sync.outcomes import LOCAL, Say
from agent.sync.payloads import spelled

log = structlog.get_logger(__name__)

GRACE_S = 5.0  # how long a decision can be taken back before it is carried out
_KIND_OF = {
    Stream.PATIENT: EffectKind.UPDATE_PATIENT,
    Stream.APPOINTMENT: EffectKind.MOVE,
    Stream.RECALL: EffectKind.UPDATE_RECALL,
}


class CannotResolve(AgentError):
    """The decision cannot be carried out as asked; nothing was changed."""

    code = "conflict.cannot"


class Resolve:
    """Thread-safe. ``on_work``: the apply lane has something; ``on_told``: the CRM is to hear."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        *,
        say: Say,
        on_work: Callable[[], None],
        on_told: Callable[[], None],
        grace_s: float = GRACE_S,
        task_timeout_s: float = 48 * 3600.0,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._say = say
        self._on_work = on_work
        self._on_told = on_told
        self._grace = timedelta(seconds=grace_s)
        self._task_timeout = timedelta(seconds=task_timeout_s)

    def resolve(
        self, number: int, winner: Winner, value: Any, *, actor: str, remember: bool
    ) -> None:
        """Settle one conflict. Raises CannotResolve; ValueError when it is not open."""
        row = self._open(number)
        if remember and not may_remember(row.stream, row.field):
            raise CannotResolve("conflict.always_asks", field=row.field)
        result = _result(row, winner, value)
        with self._journal.turn() as turn:
            turn.settle_conflict(number, winner, result, actor)
            if remember:
                turn.remember_policy(row.stream, row.field, winner, actor)
            self._carry_out(turn, row, winner, result)
        log.info("conflict.resolved", stream=row.stream.value, winner=winner.value)
        self._on_work()
        self._on_told()

    def undo(self, number: int, *, actor: str) -> None:
        """Ask the question anew, as long as nothing of the answer was written. Raises
        CannotResolve ``conflict.dispatched``; ValueError when it was not resolved."""
        with self._journal.turn() as turn:
            row = self._journal.conflict(number)
            if row is None:
                raise ValueError("no such conflict")
            local = self._journal.command(_local_id(number))
            command = self._command_of(row)
            if local is not None:
                if local.state is CommandState.DONE or self._has_written(local):
                    raise CannotResolve("conflict.dispatched")
                outcome = outcomes.make(EndState.SUPERSEDED, say=self._say)
                outcomes.store(turn, local.command, outcome)
            elif command is not None and command.state is not CommandState.DONE:
                if self._has_written(command):
                    raise CannotResolve("conflict.dispatched")
                turn.command_state(command.command.command_id, CommandState.CONFLICT)
            elif row.winner is not Winner.PMS:
                raise CannotResolve("conflict.dispatched")
            turn.undo_conflict(number, actor)
        self._on_told()

    # -- pieces -----------------------------------------------------------------------------------

    def _open(self, number: int) -> ConflictRow:
        row = self._journal.conflict(number)
        if row is None or row.state is not ConflictState.OPEN:
            raise ValueError("not an open conflict")
        return row

    def _command_of(self, row: ConflictRow) -> CommandRow | None:
        return None if row.command_id is None else self._journal.command(row.command_id)

    def _has_written(self, row: CommandRow) -> bool:
        return any(
            effect.state is not EffectState.FAILED
            for effect in self._journal.effects_of(row.command.command_id)
        )

    def _carry_out(self, turn: Turn, row: ConflictRow, winner: Winner, result: Any) -> None:
        due_at = self._clock.now() + self._grace
        command = self._command_of(row)
        if command is not None and command.state is CommandState.CONFLICT:
            ident = command.command.command_id
            if row.field == WHOLE and winner is not Winner.PMS:
                self._ask_desk(turn, row, command.command)
                return
            others = [c for c in self._journal.conflicts_of(ident) if c.number != row.number]
            if not any(other.state is ConflictState.OPEN for other in others):
                turn.command_state(ident, CommandState.WORKING, due_at=due_at)
            return
        if winner is not Winner.PMS:
            turn.receive(self._as_command(row, result), due_at)

    def _ask_desk(self, turn: Turn, row: ConflictRow, command: Command) -> None:
        """The record is gone from the PMS: only a person can make it anew."""
        fields = row.crm if isinstance(row.crm, dict) else {}
        kind = _KIND_OF.get(row.stream, EffectKind.UPDATE_PATIENT)
        effect = Effect(kind, row.stream, row.key, fields)
        due_at = self._clock.now() + self._task_timeout
        turn.add_task(command.command_id, effect, "record.gone", due_at)
        outcome = outcomes.make(EndState.TASK, say=self._say, code="command.task", key=row.key)
        outcomes.store(turn, command, outcome)

    def _as_command(self, row: ConflictRow, result: Any) -> Command:
        """The decision as an edit of its own, on the base the person saw."""
        name, dot, part = row.field.partition(".")
        kind: CommandType
        payload: dict[str, Any]
        expected: dict[str, Any] = {row.field: row.pms}
        if dot and name == "custom":
            kind, payload = CommandType.CUSTOM_FIELD_SET, {"name": part, "value": result or ""}
            expected = {"custom": {part: row.pms}}
        elif row.stream is Stream.PATIENT:
            kind, payload = CommandType.PATIENT_UPDATE, {"fields": {row.field: result}}
        elif row.stream is Stream.RECALL:
            kind, payload = CommandType.RECALL_UPDATE, {row.field: result}
        elif row.stream is Stream.APPOINTMENT and row.field == "status":
            kind, payload = CommandType.APPOINTMENT_STATUS_SET, {"status": result}
        elif row.stream is Stream.APPOINTMENT and row.field == "confirmation_key":
            kind, payload = CommandType.APPOINTMENT_CONFIRM, {"confirmation_key": result}
        else:
            raise CannotResolve("conflict.no_command", field=row.field)
        return Command(
            command_id=_local_id(row.number),
            type=kind,
            created_at=spelled(self._clock.now()),
            target=Target(row.stream.value, str(row.key)),
            precondition={"expected": expected},
            payload=payload,
        )


def _local_id(number: int) -> str:
    return f"{LOCAL}conflict-{number}"


def _result(row: ConflictRow, winner: Winner, value: Any) -> Any:
    """What shall hold. Raises CannotResolve."""
    if winner is Winner.PMS:
        return row.pms
    if winner is Winner.CRM:
        return row.crm
    if winner is Winner.VALUE:
        if row.field == WHOLE:
            raise CannotResolve("conflict.no_command", field=row.field)
        return value
    if isinstance(row.pms, list) and isinstance(row.crm, list):
        return [*row.pms, *(item for item in row.crm if item not in row.pms)]
    raise CannotResolve("conflict.not_mergeable", field=row.field)
