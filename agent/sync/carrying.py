"""One command from its plan to its outcome. Used by the apply lane's thread only.

Everything that can refuse comes before the first intent; after it the command ends with what the
read-back shows, or stays open for ``recover``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, Protocol

import msgspec
import structlog

from agent.journal.journal import Journal, Turn
from agent.journal.pulled import (
    ConflictKind,
    ConflictState,
    EffectRow,
    Winner,
)
from agent.model.commands import Command, CommandOutcome, CommandType, EndState, Reason
from agent.model.desk import SafetyMode
from agent.model.effects import EffectKind
from agent.model.reading import Key
from agent.ports import Clock
from agent.sync import effects, outcomes
from agent.sync.bench import Bench
from agent.sync.effects import Step, takes_place
from agent.sync.looks import Looks, Unreadable
from agent.sync.loops import WINDOW, looping_fields
from agent.sync.merge import FieldClash, Policy
from agent.sync.outcomes import Say, kept_fields, record_clashes
from agent.sync.places import Places
from agent.sync.planning import Planner
from agent.sync.plans import Plan, Postpone, Refuse, scope_written
from agent.sync.races import Races
from agent.sync.safety import Safety
from agent.sync.standing import standing
from agent.sync.switches import BOOKING, refusal
from agent.sync.writing import Failed, Proof, Writing

log = structlog.get_logger(__name__)

#: refusals of the writer's own: a person at the practice system may do it all the same
FOR_THE_DESK = frozenset({Reason.NOT_SUPPORTED, Reason.PERMISSION_DENIED})


class Newcomers(Protocol):
    def created(self, turn: Turn, command: Command, key: Key, fields: Mapping[str, Any]) -> None:
        """A patient was created for this command; link the CRM's person, in this turn."""


class Carrying:
    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        safety: Safety,
        planner: Planner,
        places: Places,
        writing: Writing,
        newcomers: Newcomers,
        *,
        say: Say,
        task_timeout_s: float,
        on_outcome: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._safety = safety
        self._planner = planner
        self._places = places
        self._writing = writing
        self._newcomers = newcomers
        self._say = say
        self._task_timeout = timedelta(seconds=task_timeout_s)
        self._on_outcome = on_outcome
        self._races = Races(
            journal,
            clock,
            safety,
            planner,
            places,
            writing,
            say=say,
            task_timeout=self._task_timeout,
            on_outcome=on_outcome,
        )

    def prepare(self, looks: Looks) -> None:
        """Called when there is nothing to do."""
        with suppress(Unreadable):  # a booking will be told when it comes
            self._places.prepare(looks)

    def carry(self, command: Command, bench: Bench) -> None:
        """Raises Refuse, Postpone, Failed, Unsettled, Unreadable and the Pms and Journal errors."""
        placed = self._races.placed_before(command)
        if placed is not None:  # it stands on the schedule, whatever the switches say by now
            self._races.finish(command, placed, bench)
            return
        done = standing(self._journal, command)
        if done is not None:  # so does anything else that was proven late
            self._finish(command, done)
            return
        switches = self._safety.now
        blocked = refusal(switches, command.type, None)
        if blocked is not None:
            raise Refuse(blocked, "safety.read_only")
        if command.type in BOOKING and self._safety.suspended is not None:
            raise Postpone("booking.suspended")
        plan = self._planner.plan(command, bench.looks)
        self._heed_switches(command, plan, plan.steps)
        plan = self._without_loops(command.command_id, plan)
        if plan.open and (plan.whole or not plan.steps):
            self._wait_for_person(command, plan)
        elif not plan.steps:
            self._end_unwritten(command, plan)
        else:
            self._write(command, plan, bench, switches.mode)

    def _finish(self, command: Command, done: EffectRow) -> None:
        key = done.key if done.key is not None else done.effect.key
        kept = [
            row.field
            for row in self._journal.conflicts_of(command.command_id)
            if row.state is ConflictState.OPEN
        ]
        self._end(command, self._make(EndState.APPLIED, key=key, kept=kept))

    # -- before writing ---------------------------------------------------------------------------

    def _heed_switches(self, command: Command, plan: Plan, steps: Sequence[Step]) -> None:
        """As they stand now, on what will really be written."""
        switches = self._safety.now
        if refusal(switches, command.type, None) is not None:
            raise Refuse(Reason.POLICY_BLOCKED, "safety.read_only", key=plan.key)
        if refusal(switches, command.type, scope_written(plan.scope, steps)) is not None:
            raise Refuse(Reason.POLICY_BLOCKED, "safety.canary", key=plan.key)

    def _without_loops(self, command_id: str, plan: Plan) -> Plan:
        """A field that goes back and forth is left to a person instead of written once more."""
        now = self._clock.now()
        steps: list[Step] = []
        clashes: list[FieldClash] = []
        decided = {row.field for row in self._journal.conflicts_of(command_id)
                   if row.state is ConflictState.RESOLVED}  # fmt: skip
        for step in plan.steps:
            key = step.effect.key
            past = [] if key is None else self._journal.effects_on(
                step.effect.stream, key, now - WINDOW
            )  # fmt: skip
            looping = looping_fields(past, step.before, step.after, now) if past else frozenset()
            if not looping - decided:
                steps.append(step)
                continue
            log.warning("effect.loop", kind=step.effect.kind.value, fields=len(looping))
            for name in sorted({*looping, *step.effect.fields}):
                held, wished = step.before.get(name), step.after.get(name)
                clashes.append(
                    FieldClash(name, ConflictKind.LOOP, Policy.ASK, held, held, wished, held, None)
                )
        if not clashes:
            return plan
        return replace(plan, steps=tuple(steps), kept=(*plan.kept, *clashes), whole=True)

    def _wait_for_person(self, command: Command, plan: Plan) -> None:
        assert plan.key is not None
        outcome = self._make(
            EndState.CONFLICT, "command.conflict", key=plan.key, kept=kept_fields(plan.kept)
        )
        with self._journal.turn() as turn:
            record_clashes(turn, plan.kept, plan.stream, plan.key, command.command_id)
            outcomes.store(turn, command, outcome)
        self._on_outcome()

    def _end_unwritten(self, command: Command, plan: Plan) -> None:
        """It holds already, is somebody we know, or lost by policy."""
        if plan.duplicate:
            raise Refuse(Reason.DUPLICATE_OF, "patient.duplicate", key=plan.key)
        kept = kept_fields(plan.kept)
        kept += [
            decided.field
            for decided in self._journal.conflicts_of(command.command_id)
            if decided.state is ConflictState.RESOLVED and decided.winner is Winner.PMS
        ]
        if kept:
            outcome = self._make(
                EndState.REJECTED,
                "command.pms_wins",
                reason=Reason.VERSION_CONFLICT,
                key=plan.key,
                kept=kept,
            )
        else:
            outcome = self._make(EndState.APPLIED, key=plan.key)
        with self._journal.turn() as turn:
            if plan.kept and plan.key is not None:
                record_clashes(turn, plan.kept, plan.stream, plan.key, command.command_id)
            outcomes.store(turn, command, outcome)
        self._on_outcome()

    def _open_tasks(self, command: Command, plan: Plan, bench: Bench, code: str = "") -> None:
        """What the writer does not offer is asked of the front desk. ``code``: what it said when
        it was tried, of the first step."""
        offered = bench.abilities
        outcome = self._make(EndState.TASK, "command.task", key=plan.key)
        with self._journal.turn() as turn:
            due_at = self._clock.now() + self._task_timeout
            if plan.kept and plan.key is not None:
                record_clashes(turn, plan.kept, plan.stream, plan.key, command.command_id)
            for step in plan.steps:
                kind = step.effect.kind
                why = code or offered.missing.get(kind) or "writer.not_offered"
                turn.add_task(command.command_id, step.effect, why, due_at)
            outcomes.store(turn, command, outcome)
        log.info("command.task", type=command.type.value, steps=len(plan.steps))
        self._on_outcome()

    def _rehearse(self, command: Command, plan: Plan) -> None:
        """Dry run: everything is planned and said, nothing is written."""
        with self._journal.turn() as turn:
            turn.note(
                "safety.would_have",
                plan.stream,
                len(plan.steps),
                {
                    "type": command.type.value,
                    "kinds": ", ".join(step.effect.kind.value for step in plan.steps),
                    "fields": ", ".join(effects.fields_of(plan.steps)),
                },
            )
        raise Refuse(Reason.POLICY_BLOCKED, "safety.dry_run", key=plan.key)

    # -- writing ----------------------------------------------------------------------------------

    def _write(self, command: Command, plan: Plan, bench: Bench, mode: SafetyMode) -> None:
        steps = list(plan.steps)
        if plan.place is not None:
            verdict = self._places.check(plan.place, bench.looks, bench.pending)
            if command.type is CommandType.APPOINTMENT_BOOK:
                staff = {
                    "provider_key": verdict.provider_key,
                    "hygienist_key": verdict.hygienist_key,
                }
                steps[-1] = _with_fields(steps[-1], {n: v for n, v in staff.items() if v})
        self._heed_switches(command, plan, steps)
        if mode is SafetyMode.DRY_RUN:
            self._rehearse(command, plan)
        if bench.writer is None or effects.kinds_missing(steps, bench.abilities.abilities):
            self._open_tasks(command, replace(plan, steps=tuple(steps)), bench)
            return
        made: Key | None = None
        unlike: list[str] = []
        for at, step in enumerate(steps):
            if at:
                self._heed_switches(command, plan, steps)
            if at and plan.fills and made is not None:
                step = _with_fields(step, {plan.fills: str(made)})  # noqa: PLW2901
            is_last = at == len(steps) - 1
            try:
                proof = bench.perform(
                    self._writing,
                    command,
                    step,
                    intending=self._recording(command, plan) if at == 0 and plan.kept else None,
                    settling=self._settling(command, plan, step, bench, unlike, is_last=is_last),
                )
            except Failed as failed:
                if failed.reason in FOR_THE_DESK:
                    left = replace(plan, steps=(step, *steps[at + 1 :]), kept=())
                    self._open_tasks(command, left, bench, failed.code)
                    return
                if failed.reason is not Reason.SLOT_TAKEN or plan.place is None:
                    raise
                # The writer looked as well and was the last to do so.
                raise Refuse(
                    failed.reason,
                    failed.code,
                    key=plan.key,
                    alternatives=self._places.offers(plan.place, bench.looks, bench.pending),
                ) from failed
            made = proof.key
            unlike += proof.unlike
        if steps and takes_place(steps[-1].effect):
            held = self._journal.command(command.command_id)
            if held is not None and held.outcome is None:
                placed = self._races.placed_before(command)
                if placed is not None:
                    self._races.finish(command, placed, bench)
                    return
        self._on_outcome()

    def _recording(self, command: Command, plan: Plan) -> Callable[[Turn], None]:
        def record(turn: Turn) -> None:
            if plan.key is not None:
                record_clashes(turn, plan.kept, plan.stream, plan.key, command.command_id)

        return record

    def _settling(
        self,
        command: Command,
        plan: Plan,
        step: Step,
        bench: Bench,
        unlike: list[str],
        *,
        is_last: bool,
    ) -> Callable[[Proof], Callable[[Turn], None] | None]:
        """What commits with the proof of a step: the link of a new patient, the outcome of the
        last. A place that another visit may hold as well gets no outcome yet."""

        def settle(proof: Proof) -> Callable[[Turn], None] | None:
            if takes_place(step.effect) and self._races.may_be_lost(proof, bench):
                return None
            outcome = None
            if is_last:
                kept = [*kept_fields(plan.kept), *unlike, *proof.unlike]
                key = proof.key if proof.key is not None else plan.key
                outcome = self._make(EndState.APPLIED, key=key, kept=kept)

            def also(turn: Turn) -> None:
                if step.effect.kind is EffectKind.CREATE_PATIENT and proof.key is not None:
                    self._newcomers.created(turn, command, proof.key, step.after)
                if outcome is not None:
                    outcomes.store(turn, command, outcome)

            return also

        return settle

    # -- ends -------------------------------------------------------------------------------------

    def _make(
        self, state: EndState, code: str = "", *, reason: Reason | None = None, **more: Any
    ) -> CommandOutcome:
        return outcomes.make(state, say=self._say, code=code, reason=reason, **more)

    def _end(self, command: Command, outcome: CommandOutcome) -> None:
        with self._journal.turn() as turn:
            outcomes.store(turn, command, outcome)
        self._on_outcome()


def _with_fields(step: Step, more: Mapping[str, Any]) -> Step:
    """The same write with further fields."""
    if not more:
        return step
    effect = msgspec.structs.replace(step.effect, fields={**step.effect.fields, **more})
    return replace(step, effect=effect, after={**step.after, **more})
