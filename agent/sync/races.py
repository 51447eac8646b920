"""A place on the schedule that two hold: whose it is, and taking ours back.

The PMS's own look for overlaps takes no lock (open-dental.md 4.2), so a place is looked at once
more after every booking and move. Used by the apply lane's thread only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import structlog

from agent.journal.journal import Journal
from agent.journal.pulled import EffectRow, EffectState, UndoState
from agent.model.commands import Command, CommandOutcome, CommandType, EndState, Reason, Slot
from agent.model.desk import SafetyMode
from agent.model.effects import Effect, EffectKind, WriterFacts
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.ports import Clock
from agent.sync import effects, outcomes
from agent.sync.bench import Bench
from agent.sync.effects import PLACE, Step, differing, takes_place
from agent.sync.guards import Unbelieved
from agent.sync.looks import Found, HeldBack, Unreadable
from agent.sync.outcomes import Say
from agent.sync.places import Places
from agent.sync.planning import Planner
from agent.sync.plans import Postpone, Refuse
from agent.sync.safety import Safety
from agent.sync.switches import BOOKING
from agent.sync.writing import Failed, Proof, Unsettled, Writing

log = structlog.get_logger(__name__)


class Races:
    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        safety: Safety,
        planner: Planner,
        places: Places,
        writing: Writing,
        *,
        say: Say,
        task_timeout: timedelta,
        on_outcome: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._safety = safety
        self._planner = planner
        self._places = places
        self._writing = writing
        self._say = say
        self._task_timeout = task_timeout
        self._on_outcome = on_outcome

    def may_be_lost(self, proof: Proof, bench: Bench) -> bool:
        """Whether another visit holds the place as well, or one that cannot be seen now may."""
        if proof.found is None or proof.key is None:
            return False
        try:
            is_lost = self._places.lost(proof.key, proof.found.fields, bench.looks)
            bench.looks.insist()
        except (Unreadable, Unbelieved):
            return True
        return is_lost

    def placed_before(self, command: Command) -> EffectRow | None:
        """A place this command took, proven, without an outcome yet: a crash, or a lost race."""
        if command.type not in BOOKING and command.type is not CommandType.APPOINTMENT_STATUS_SET:
            return None
        rows = self._journal.effects_of(command.command_id)
        placed = [
            row
            for row in rows
            if row.state is EffectState.VERIFIED and row.undoes is None and takes_place(row.effect)
        ]
        return placed[-1] if placed else None

    def _seen(self, key: Key, bench: Bench) -> Found | None:
        """The visit as it is, None when it has left. While the mirror holds it that is not certain
        (another program may be filling the table again), and it may stand where another stands."""
        found = bench.looks.record(Stream.APPOINTMENT, key)
        held = self._journal.held(Stream.APPOINTMENT, [key]).get(key)
        if found is None and held is not None and not held.gone:
            raise Postpone(HeldBack.code, patience_s=float("inf"))
        return found

    def finish(self, command: Command, placed: EffectRow, bench: Bench) -> None:
        """The visit stands on the schedule; is the place ours alone? Where that cannot be read the
        command waits as long as it takes: what stands there was not rejected."""
        try:
            self._finish(command, placed, bench)
        except Unreadable as unreadable:
            raise Postpone(unreadable.code, patience_s=float("inf")) from unreadable

    def _finish(self, command: Command, placed: EffectRow, bench: Bench) -> None:
        undone = any(
            row.undoes == placed.number and row.state is EffectState.VERIFIED
            for row in self._journal.effects_of(command.command_id)
        )
        is_lost = not undone and self._is_lost(placed, bench)
        bench.looks.insist()  # while a table is filled again, visits seem gone and places free
        if undone:
            self._answer_lost(command, placed, bench)
        elif is_lost:
            self._take_back(command, placed, bench)
        else:
            self._end(command, self._make(EndState.APPLIED, key=placed.key))

    def _is_lost(self, placed: EffectRow, bench: Bench) -> bool:
        found = None if placed.key is None else self._seen(placed.key, bench)
        if found is None or not _is_there(placed, found.fields):
            return False
        return self._places.lost(found.key, found.fields, bench.looks)

    def _take_back(self, command: Command, placed: EffectRow, bench: Bench) -> None:
        """The practice's own booking stays; ours leaves the schedule, with a note of why."""
        key = placed.key
        found = None if key is None else self._seen(key, bench)
        if key is None or found is None:
            self._answer_lost(command, placed, bench)
            return
        log.warning("booking.lost_race", type=command.type.value)
        back = self._way_back(placed, key, found.fields, bench.abilities)
        may_write = self._safety.now.mode in (SafetyMode.NORMAL, SafetyMode.CANARY)
        if back is None or bench.writer is None or not may_write:
            self._leave_to_desk(command, key)
            return
        if placed.effect.kind is EffectKind.BOOK and self._may_note(bench, command):
            note = self._say("booking.lost_race_note") or "Taken off the schedule: double booking."
            try:
                bench.perform(
                    self._writing,
                    command,
                    effects.append_note(key, found.fields, note),
                    settling=lambda _proof: None,
                )
            except Failed:
                log.info("booking.note_refused")
        try:
            bench.perform(
                self._writing,
                command,
                back,
                undoes=placed.number,
                settling=lambda _proof: lambda turn: turn.undo_state(placed.number, UndoState.USED),
            )
        except Failed:
            self._leave_to_desk(command, key)
            return
        except Unsettled:
            self._safety.suspend("booking.not_taken_back")
            raise
        self._answer_lost(command, placed, bench)

    def _leave_to_desk(self, command: Command, key: Key) -> None:
        """Two visits hold one place and we cannot take ours off: a person must, at once."""
        self._safety.suspend("booking.not_taken_back")
        effect = Effect(EffectKind.SET_STATUS, Stream.APPOINTMENT, key, {"status": "unscheduled"})
        outcome = self._make(EndState.TASK, "booking.not_taken_back", key=key)
        with self._journal.turn() as turn:
            due_at = self._clock.now() + self._task_timeout
            turn.add_task(command.command_id, effect, "booking.not_taken_back", due_at)
            outcomes.store(turn, command, outcome)
        self._on_outcome()

    def _way_back(
        self,
        placed: EffectRow,
        key: Key,
        current: Mapping[str, Any],
        offered: WriterFacts,
    ) -> Step | None:
        if placed.effect.kind is EffectKind.MOVE and "status" in placed.before:
            step = effects.set_status(key, current, str(placed.before["status"]))
        elif placed.effect.kind is EffectKind.MOVE:
            step = effects.move(key, current, placed.before)
        else:
            step = effects.set_status(key, current, "unscheduled")
            if step is not None and EffectKind.SET_STATUS not in offered.abilities:
                broken = effects.cancel(key, current, break_type="", to_unscheduled=True, note=None)
                step = broken[-1] if broken else None
        if step is None or step.effect.kind not in offered.abilities:
            return None
        return step

    def _may_note(self, bench: Bench, command: Command) -> bool:
        noted = any(
            row.effect.kind is EffectKind.NOTE_APPOINTMENT
            for row in self._journal.effects_of(command.command_id)
        )
        return EffectKind.NOTE_APPOINTMENT in bench.abilities.abilities and not noted

    def _answer_lost(self, command: Command, placed: EffectRow, bench: Bench) -> None:
        alternatives: tuple[Slot, ...] = ()
        try:
            plan = self._planner.plan(command, bench.looks)
            if plan.place is not None:
                alternatives = self._places.offers(plan.place, bench.looks, bench.pending)
        except (Refuse, Unreadable):
            pass
        self._end(
            command,
            self._make(
                EndState.REJECTED,
                "slot.operatory_taken",
                reason=Reason.SLOT_TAKEN,
                alternatives=alternatives,
            ),
        )

    def _make(self, state: EndState, code: str = "", **more: Any) -> CommandOutcome:
        return outcomes.make(state, say=self._say, code=code, **more)

    def _end(self, command: Command, outcome: CommandOutcome) -> None:
        with self._journal.turn() as turn:
            outcomes.store(turn, command, outcome)
        self._on_outcome()


def _is_there(placed: EffectRow, fields: Mapping[str, Any]) -> bool:
    """Whether it stands where we put it: the office may have moved it since."""
    return not set(PLACE).intersection(differing(placed.effect, placed.after, fields))
