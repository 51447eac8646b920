"""Taking effects back: only where the touched fields still hold what we wrote, newest first.

The inverse goes the same way as any write: judged on a fresh read, intended, written, read back;
it is an effect with its own undo. What cannot be undone says why. Runs in the apply lane's thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from agent.errors import PmsError
from agent.journal.journal import Journal
from agent.journal.pulled import EffectRow, EffectState, UndoState
from agent.model.desk import SafetyMode
from agent.model.effects import EffectKind
from agent.model.reading import Key
from agent.model.review import UndoField, UndoStep
from agent.model.streams import Stream
from agent.sync.apply import Apply
from agent.sync.carrying import Bench
from agent.sync.effects import ON_SCHEDULE, Step, differing, inverse_steps
from agent.sync.looks import Unreadable
from agent.sync.payloads import Invalid, as_key, moment
from agent.sync.places import Places
from agent.sync.plans import PlaceWish, Refuse
from agent.sync.safety import Safety
from agent.sync.switches import allows, scope_of
from agent.sync.writing import Failed, InTurn, Proof, Settling, Unsettled, WriterAway, Writing

log = structlog.get_logger(__name__)

Records = dict[tuple[Stream, Key], dict[str, Any]]


class Undo:
    """Thread-safe: both methods have the lane do the work and wait for it."""

    def __init__(
        self,
        journal: Journal,
        lane: Apply,
        writing: Writing,
        places: Places,
        safety: Safety,
    ) -> None:
        self._journal = journal
        self._lane = lane
        self._writing = writing
        self._places = places
        self._safety = safety

    def preview(self, effects: Sequence[EffectRow]) -> list[UndoStep]:
        """What would be done to each, newest first; nothing is written."""
        return self._lane.submit(lambda bench: self._preview(_newest_first(effects), bench))

    def apply(self, effects: Sequence[EffectRow], *, actor: str) -> list[UndoStep]:
        """Take back what can be; each line says what became of it."""
        return self._lane.submit(lambda bench: self._apply(_newest_first(effects), bench, actor))

    # -- in the lane's thread ----------------------------------------------------------------------

    def _preview(self, rows: Sequence[EffectRow], bench: Bench) -> list[UndoStep]:
        imagined: Records = {}
        lines = []
        for row in rows:
            line, steps = self._judge(row, bench, imagined)
            for step in steps:
                imagined.setdefault((row.effect.stream, line.key or 0), {}).update(step.after)
            lines.append(line)
        return lines

    def _apply(self, rows: Sequence[EffectRow], bench: Bench, actor: str) -> list[UndoStep]:
        group = f"undo:{self._journal.lsn}"
        lines = []
        away = ""
        for row in rows:
            fresh = self._journal.effect(row.number) or row
            line, steps = self._judge(fresh, bench, {})
            code = line.code or away
            if not code:
                code = self._take_back(fresh, steps, bench, actor, group)
                if code == WriterAway.code:
                    away = code
            lines.append(_with_code(line, code))
        return lines

    def _take_back(
        self, row: EffectRow, steps: Sequence[Step], bench: Bench, actor: str, group: str
    ) -> str:
        """ "" when it was taken back, else why not."""
        if bench.writer is None:
            return "undo.not_offered"
        try:
            for at, step in enumerate(steps):
                is_last = at == len(steps) - 1
                self._writing.perform(
                    step,
                    bench.looks,
                    bench.writer,
                    command_id=None,
                    group=group,
                    actor=actor,
                    random_keys=bench.facts.random_keys,
                    undoes=row.number if is_last else None,
                    settling=_marking(row.number if is_last else None),
                )
        except Failed as failed:
            return failed.code
        except Unsettled:
            return "undo.unsettled"
        except Unreadable as unreadable:
            return unreadable.code
        except WriterAway:
            return WriterAway.code
        log.info("effect.undone", kind=row.effect.kind.value)
        return ""

    def _judge(
        self, row: EffectRow, bench: Bench, imagined: Records
    ) -> tuple[UndoStep, list[Step]]:
        key = row.key if row.key is not None else row.effect.key
        line = UndoStep(row.number, row.effect.kind, row.effect.stream, key, row.planned_at, "")
        code = self._standing(row, key)
        if code:
            return _with_code(line, code), []
        assert key is not None
        try:
            found = bench.looks.record(row.effect.stream, key)
        except Unreadable as unreadable:
            return _with_code(line, unreadable.code), []
        except PmsError as error:
            return _with_code(line, error.code), []
        if found is None:
            return _with_code(line, "undo.gone"), []
        current = {**found.fields, **imagined.get((row.effect.stream, key), {})}
        steps = inverse_steps(row.effect, row.inverse, row.before, key, current)
        line = _with_fields(line, row, steps, current)
        if differing(row.effect, row.after, current):
            return _with_code(line, "undo.moved_on"), []
        if not steps:
            return _with_code(line, "undo.nothing"), []
        if any(step.effect.kind not in bench.abilities.abilities for step in steps):
            return _with_code(line, "undo.not_offered"), []
        return _with_code(line, self._place_code(steps, key, current, bench)), steps

    def _standing(self, row: EffectRow, key: Key | None) -> str:
        """What can be said without looking."""
        if row.state is not EffectState.VERIFIED:
            return "undo.not_done"
        if row.undo is UndoState.USED:
            return "undo.already"
        if row.undo is not UndoState.ARMED or row.inverse is None or key is None:
            return "undo.no_inverse"
        switches = self._safety.now
        if switches.mode not in (SafetyMode.NORMAL, SafetyMode.CANARY):
            return f"safety.{switches.mode.value}"
        patient = key if row.effect.stream is Stream.PATIENT else row.after.get("patient_key")
        scope = scope_of(
            operatories=[row.after.get("operatory_key"), row.before.get("operatory_key")],
            patients=[patient],
        )
        if not all(allows(canary, scope) for canary in switches.canaries):
            return "safety.canary"
        return ""

    def _place_code(
        self, steps: Sequence[Step], key: Key, current: Mapping[str, Any], bench: Bench
    ) -> str:
        """Going back to a place on the schedule needs that place to be free."""
        if steps[0].effect.stream is not Stream.APPOINTMENT:
            return ""
        then = dict(current)
        for step in steps:
            then.update(step.after)
        moves = any(step.effect.kind is EffectKind.MOVE for step in steps)
        returns = current.get("status") not in ON_SCHEDULE
        if then.get("status") not in ON_SCHEDULE or not (moves or returns):
            return ""
        try:
            place = PlaceWish(
                moment(then.get("start"), "start"),
                int(then.get("minutes") or 5),
                str(then.get("operatory_key") or ""),
                then.get("provider_key"),
                then.get("hygienist_key"),
                {"key": str(then.get("patient_key") or "0")},
                as_key(str(key)),
            )
            self._places.check(place, bench.looks, bench.pending)
        except Invalid:
            return "undo.no_place"
        except Refuse as refused:
            return refused.code
        return ""


def _marking(number: int | None) -> Settling:
    """With the proof of the last inverse write, the effect counts as taken back."""

    def settle(_proof: Proof) -> InTurn | None:
        if number is None:
            return None
        return lambda turn: turn.undo_state(number, UndoState.USED)

    return settle


def _newest_first(effects: Sequence[EffectRow]) -> list[EffectRow]:
    return sorted(effects, key=lambda row: -row.number)


def _with_code(line: UndoStep, code: str) -> UndoStep:
    return UndoStep(
        line.number, line.kind, line.stream, line.key, line.at, code, line.who, line.fields
    )


def _with_fields(
    line: UndoStep, row: EffectRow, steps: Sequence[Step], current: Mapping[str, Any]
) -> UndoStep:
    back: dict[str, Any] = {}
    for step in steps:
        back.update(step.after)
    names = sorted({*row.after, *back})
    fields = tuple(
        UndoField(name, row.after.get(name), current.get(name), back.get(name, current.get(name)))
        for name in names
    )
    return UndoStep(
        line.number, line.kind, line.stream, line.key, line.at, line.code, line.who, fields
    )
