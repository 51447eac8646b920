"""Every question about the pull direction. Reads only.

Orders and limits are the engine's: what runs on a timer touches open rows only (partial indexes),
never the settled ones that are kept for 90 days.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from agent.journal.packing import (
    erased_command,
    erased_image,
    unpack_candidates,
    unpack_command,
    unpack_contact,
    unpack_effect,
    unpack_evidence,
    unpack_image,
    unpack_keys,
    unpack_outcome,
)
from agent.journal.pulled import (
    CommandRow,
    CommandState,
    ConflictKind,
    ConflictRow,
    ConflictState,
    ContactRow,
    ContactState,
    EffectRow,
    EffectState,
    PolicyRow,
    TaskRow,
    TaskState,
    UndoState,
    Winner,
)
from agent.journal.reader import Reader
from agent.journal.seal import (
    command_context,
    conflict_context,
    contact_context,
    effect_context,
    task_context,
)
from agent.journal.values import Row, from_micros, opt_from_micros, to_micros
from agent.model.reading import Key
from agent.model.streams import Stream

_COMMAND = (
    "SELECT id, type, priority, state, received_at, due_at, tries, body, outcome, reported"
    " FROM command "
)
_EFFECT = (
    "SELECT number, op_id, command, bundle, kind, stream, key, floor, state, undo, image, actor,"
    " planned_at, settled_at, why, undoes FROM effect "
)
_CONFLICT = (
    "SELECT number, stream, key, field, kind, policy, evidence, winner, state, actor, at, command,"
    " told FROM conflict "
)
_TASK = (
    "SELECT number, command, image, reason, state, opened_at, due_at, actor, note, key FROM task "
)
_CONTACT = "SELECT cloud_id, state, key, body, candidates, rejected, seen_at, told FROM contact "
_NO_END = 2**62


class PullReads(Reader):
    """The reading face of commands, effects, conflicts, tasks, contacts and policies."""

    # --- commands ----------------------------------------------------------------------------

    def command(self, command_id: str) -> CommandRow | None:
        return next(iter(self._commands("WHERE id = ?", (command_id,))), None)

    def commands_due(self, now: datetime, limit: int, *, skip: int = 0) -> list[CommandRow]:
        """What can be worked on now, by priority, then in order of arrival; without the first
        ``skip`` of them."""
        return self._commands(
            "WHERE state IN ('received', 'waiting', 'working') AND due_at <= ?"
            " ORDER BY priority, number LIMIT ? OFFSET ?",
            (to_micros(now), limit, skip),
        )

    def commands_open(self, limit: int = -1) -> list[CommandRow]:
        """Everything that has not ended (-1: without a limit), in order of arrival."""
        return self._commands("WHERE state <> 'done' ORDER BY number LIMIT ?", (limit,))

    def commands_unreported(self, limit: int) -> list[CommandRow]:
        """Outcomes the CRM has not acknowledged yet, in order of arrival of the commands."""
        return self._commands("WHERE reported = 0 ORDER BY number LIMIT ?", (limit,))

    def commands_expiring(self, now: datetime) -> list[CommandRow]:
        """Past their ``not_after`` with nothing begun (RECEIVED, WAITING)."""
        return self._commands(
            "WHERE state IN ('received', 'waiting') AND expires_at <= ? ORDER BY expires_at",
            (to_micros(now),),
        )

    def commands_kept_waiting(self, before: datetime) -> list[CommandRow]:
        """WAITING and received until then, in order of arrival."""
        return self._commands(
            "WHERE state = 'waiting' AND received_at <= ? ORDER BY number", (to_micros(before),)
        )

    def commands_recent(
        self, limit: int, states: Sequence[CommandState] | None = None
    ) -> list[CommandRow]:
        """Newest first."""
        if states is None:
            return self._commands("ORDER BY number DESC LIMIT ?", (limit,))
        holes = ",".join("?" * len(states))
        return self._commands(
            f"WHERE state IN ({holes}) ORDER BY number DESC LIMIT ?",
            (*(state.value for state in states), limit),
        )

    def command_counts(self) -> dict[CommandState, int]:
        """How many commands are kept in each state; states without any are absent."""
        rows = self._rows("SELECT state, count(*) FROM command GROUP BY state")
        return {CommandState(state): count for state, count in rows}

    def _commands(self, clause: str, bound: Row) -> list[CommandRow]:
        return [
            CommandRow(
                command=erased_command(ident, kind, priority)
                if body is None
                else unpack_command(self._seal.open(body, command_context("body", ident))),
                state=CommandState(state),
                received_at=from_micros(received_at),
                due_at=from_micros(due_at),
                tries=tries,
                outcome=None
                if outcome is None
                else unpack_outcome(self._seal.open(outcome, command_context("outcome", ident))),
                reported=bool(reported),
            )
            for ident, kind, priority, state, received_at, due_at, tries, body, outcome, reported
            in self._rows(_COMMAND + clause, bound)
        ]  # fmt: skip

    # --- effects -----------------------------------------------------------------------------

    def effect(self, number: int) -> EffectRow | None:
        return next(iter(self._effects("WHERE number = ?", (number,))), None)

    def effects_open(self) -> list[EffectRow]:
        """INTENT and WRITTEN, in order: what a restart probes before anything else."""
        return self._effects(
            "WHERE state IN ('intent', 'written', 'unknown') AND state <> 'unknown'"
            " ORDER BY number",
            (),
        )

    def effects_unknown(self) -> list[EffectRow]:
        """What a person must decide, in order."""
        return self._effects(
            "WHERE state IN ('intent', 'written', 'unknown') AND state = 'unknown' ORDER BY number",
            (),
        )

    def effects_of(self, group: str) -> list[EffectRow]:
        """Everything undone together, in order."""
        return self._effects("WHERE bundle = ? ORDER BY number", (group,))

    def effects_recent(self, limit: int, before: int | None = None) -> list[EffectRow]:
        """Newest first; ``before`` continues above an effect's number."""
        return self._effects(
            "WHERE number < ? ORDER BY number DESC LIMIT ?",
            (_NO_END if before is None else before, limit),
        )

    def effects_on(self, stream: Stream, key: Key, since: datetime) -> list[EffectRow]:
        """Effects on one record planned since the moment, in order: the loop breaker's question."""
        return self._effects(
            "WHERE stream = ? AND key = ? AND planned_at >= ? ORDER BY number",
            (self._streams[stream], key, to_micros(since)),
        )

    def is_settled_since(self, number: int, other: int) -> bool:
        """Whether an effect was settled after the ``other`` one, still open, was intended: by the
        order of what was done, for clocks can be set. Audit rows since an open intent are kept."""
        return bool(
            self._one(
                "SELECT EXISTS (SELECT 1 FROM audit WHERE act IN ('effect.verified',"
                " 'effect.failed') AND json_extract(detail, '$.effect') = ?"
                " AND seq > (SELECT intent_seq FROM effect WHERE number = ?))",
                (number, other),
            )
        )

    def intended_lsn(self, number: int) -> int:
        """The turn in which an effect, still open, was intended."""
        return int(
            self._one(
                "SELECT lsn FROM audit"
                " WHERE seq = (SELECT intent_seq FROM effect WHERE number = ?)",
                (number,),
            )
        )

    def effects_since(self, at: datetime) -> list[EffectRow]:
        """Effects planned since the moment, newest first: the order of an undo by time."""
        return self._effects(
            "WHERE planned_at >= ? ORDER BY planned_at DESC, number DESC", (to_micros(at),)
        )

    def _effects(self, clause: str, bound: Row) -> list[EffectRow]:
        return [self._effect_of(row) for row in self._rows(_EFFECT + clause, bound)]

    def _effect_of(self, row: Row) -> EffectRow:
        (number, op_id, command_id, group, kind, stream, key, floor, state, undo, sealed, actor,
         planned_at, settled_at, why, undoes) = row  # fmt: skip
        image = (
            erased_image(kind, self._names[stream], key)
            if sealed is None
            else unpack_image(self._seal.open(sealed, effect_context(op_id)))
        )
        return EffectRow(
            number=number,
            op_id=op_id,
            command_id=command_id,
            group=group,
            effect=image.effect,
            before=image.before,
            after=image.after,
            inverse=image.inverse,
            state=EffectState(state),
            undo=UndoState(undo),
            key=key,
            floor=floor,
            actor=actor,
            planned_at=from_micros(planned_at),
            settled_at=opt_from_micros(settled_at),
            why=why,
            undoes=undoes,
        )

    # --- conflicts ---------------------------------------------------------------------------

    def conflict(self, number: int) -> ConflictRow | None:
        return next(iter(self._conflicts("WHERE number = ?", (number,))), None)

    def conflicts(
        self,
        state: ConflictState | None = ConflictState.OPEN,
        limit: int = 100,
        before: int | None = None,
    ) -> list[ConflictRow]:
        """Newest first (None: of every state); ``before`` continues above a number."""
        end = _NO_END if before is None else before
        if state is None:
            return self._conflicts("WHERE number < ? ORDER BY number DESC LIMIT ?", (end, limit))
        return self._conflicts(
            f"WHERE state = '{state.value}' AND number < ? ORDER BY number DESC LIMIT ?",
            (end, limit),
        )

    def conflicts_untold(self, limit: int) -> list[ConflictRow]:
        """States the CRM has not acknowledged yet, in order."""
        return self._conflicts("WHERE told = 0 ORDER BY number LIMIT ?", (limit,))

    def conflicts_of(self, command_id: str) -> list[ConflictRow]:
        """Every conflict a command met, in order."""
        return self._conflicts("WHERE command = ? ORDER BY number", (command_id,))

    def conflicts_on(self, stream: Stream, key: Key) -> list[ConflictRow]:
        """Every conflict of a record, in order."""
        return self._conflicts(
            "WHERE stream = ? AND key = ? ORDER BY number", (self._streams[stream], key)
        )

    def _conflicts(self, clause: str, bound: Row) -> list[ConflictRow]:
        names = self._names
        found = []
        for row in self._rows(_CONFLICT + clause, bound):
            (number, stream, key, field, kind, policy, sealed, winner, state, actor, at, command_id,
             told) = row  # fmt: skip
            evidence = unpack_evidence(
                self._seal.open(sealed, conflict_context(names[stream], key, field))
            )
            found.append(
                ConflictRow(
                    number=number,
                    stream=names[stream],
                    key=key,
                    field=field,
                    kind=ConflictKind(kind),
                    policy=policy,
                    base=evidence.base,
                    pms=evidence.pms,
                    crm=evidence.crm,
                    result=evidence.result,
                    winner=None if winner is None else Winner(winner),
                    state=ConflictState(state),
                    actor=actor,
                    at=from_micros(at),
                    command_id=command_id,
                    told=bool(told),
                )
            )
        return found

    def policies(self) -> dict[tuple[Stream, str], Winner]:
        """Decisions remembered, by field."""
        return {(row.stream, row.field): row.winner for row in self.policy_rows()}

    def policy_rows(self) -> list[PolicyRow]:
        """The same with who asked for it and when."""
        names = self._names
        return [
            PolicyRow(names[stream], field, Winner(winner), actor, from_micros(at))
            for stream, field, winner, actor, at in self._rows(
                "SELECT stream, field, winner, actor, at FROM policy ORDER BY stream, field"
            )
        ]

    # --- tasks -------------------------------------------------------------------------------

    def task(self, number: int) -> TaskRow | None:
        return next(iter(self._tasks("WHERE number = ?", (number,))), None)

    def tasks(self, state: TaskState | None = TaskState.OPEN, limit: int = 100) -> list[TaskRow]:
        """In order of their due time (None: of every state)."""
        if state is None:
            return self._tasks("ORDER BY due_at, number LIMIT ?", (limit,))
        return self._tasks(
            f"WHERE state = '{state.value}' ORDER BY due_at, number LIMIT ?", (limit,)
        )

    def tasks_open(self) -> list[int]:
        """Numbers of the open tasks, without what they say."""
        rows = self._rows("SELECT number FROM task WHERE state = 'open' ORDER BY due_at, number")
        return [number for (number,) in rows]

    def tasks_due(self, now: datetime) -> list[TaskRow]:
        """Open tasks whose time has run out."""
        return self._tasks(
            "WHERE state = 'open' AND due_at <= ? ORDER BY due_at, number", (to_micros(now),)
        )

    def tasks_of(self, command_id: str) -> list[TaskRow]:
        return self._tasks("WHERE command = ? ORDER BY number", (command_id,))

    def _tasks(self, clause: str, bound: Row) -> list[TaskRow]:
        return [
            TaskRow(
                number=number,
                command_id=ident,
                effect=unpack_effect(self._seal.open(image, task_context("image", ident))),
                reason=reason,
                state=TaskState(state),
                opened_at=from_micros(opened_at),
                due_at=from_micros(due_at),
                actor=actor,
                note=""
                if note is None
                else self._seal.open(note, task_context("note", ident)).decode(),
                key=key,
            )
            for number, ident, image, reason, state, opened_at, due_at, actor, note, key
            in self._rows(_TASK + clause, bound)
        ]  # fmt: skip

    # --- contacts ----------------------------------------------------------------------------

    def contact(self, cloud_id: str) -> ContactRow | None:
        return next(iter(self._contacts("WHERE cloud_id = ?", (cloud_id,))), None)

    def contact_of(self, key: Key) -> ContactRow | None:
        """The contact linked to this patient; of several the lowest id."""
        return next(
            iter(
                self._contacts(
                    "WHERE key = ? AND state = 'linked' ORDER BY cloud_id LIMIT 1", (key,)
                )
            ),
            None,
        )

    def contacts(self, state: ContactState | None, limit: int, after: str = "") -> list[ContactRow]:
        """By id (None: of every state); ``after`` continues behind an id."""
        if state is None:
            return self._contacts("WHERE cloud_id > ? ORDER BY cloud_id LIMIT ?", (after, limit))
        return self._contacts(
            "WHERE state = ? AND cloud_id > ? ORDER BY cloud_id LIMIT ?",
            (state.value, after, limit),
        )

    def contacts_untold(self, limit: int) -> list[ContactRow]:
        """States the CRM has not acknowledged yet, by id."""
        return self._contacts("WHERE told = 0 ORDER BY cloud_id LIMIT ?", (limit,))

    def _contacts(self, clause: str, bound: Row) -> list[ContactRow]:
        return [
            ContactRow(
                contact=unpack_contact(self._seal.open(body, contact_context("body", ident))),
                state=ContactState(state),
                key=key,
                candidates=[]
                if candidates is None
                else unpack_candidates(
                    self._seal.open(candidates, contact_context("candidates", ident))
                ),
                rejected=unpack_keys(rejected),
                seen_at=from_micros(seen_at),
                told=bool(told),
            )
            for ident, state, key, body, candidates, rejected, seen_at, told in self._rows(
                _CONTACT + clause, bound
            )
        ]
