"""Taking effects back: only where the touched fields still hold what we wrote, newest first.

What the agent itself wrote later is no stranger's change: it is taken back first, or named as what
stands in the way. Of one record a selection is taken back as a whole or not at all, because half of
it can be worse than nothing (a cancelled visit that returns to the schedule).
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
from agent.model.effects import Effect, EffectKind
from agent.model.reading import Key
from agent.model.review import UndoField, UndoStep
from agent.model.streams import Stream
from agent.sync.apply import Apply
from agent.sync.bench import Bench
from agent.sync.effects import ON_SCHEDULE, PLACE, Step, differing, inverse_steps, same
from agent.sync.looks import Unreadable
from agent.sync.payloads import Invalid, as_key, moment
from agent.sync.places import Places
from agent.sync.plans import PlaceWish, Refuse
from agent.sync.safety import Safety
from agent.sync.switches import allows, scope_of
from agent.sync.writing import (
    ChangedMeanwhile,
    Failed,
    InTurn,
    Proof,
    Settling,
    Unsettled,
    WriterAway,
    Writing,
)

log = structlog.get_logger(__name__)

Record = tuple[Stream, Key | None]
Records = dict[Record, dict[str, Any]]

GROUP = "undo:"  # of the writes that take back
#: nothing is (any more) to be taken back there: no reason to leave the rest of the record alone
_STAYS = {
    EffectKind.CREATE_PATIENT: "undo.patient_stays",
    EffectKind.SET_CONSENT: "undo.opt_out_stays",
}
_NEUTRAL = frozenset({"undo.already", "undo.nothing", "undo.no_inverse", *_STAYS.values()})


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
        selected = frozenset(row.number for row in rows)
        lines = []
        stuck: set[Record] = set()
        for row in rows:
            line, steps = self._judge(row, bench, imagined, selected)
            if not line.code:
                _imagine(imagined, row, steps)
            elif _is_stuck(row, line.code):
                stuck.add(_record(row))
            lines.append(line)
        return [
            _with_code(line, "undo.together") if not line.code and _record(row) in stuck else line
            for row, line in zip(rows, lines, strict=True)
        ]

    def _apply(self, rows: Sequence[EffectRow], bench: Bench, actor: str) -> list[UndoStep]:
        group = f"{GROUP}{self._journal.lsn}"
        selected = frozenset(row.number for row in rows)
        plan = self._preview(rows, bench)
        stuck = {_record(row) for row, line in zip(rows, plan, strict=True)
                 if line.code == "undo.together"}  # fmt: skip
        lines = []
        away = ""
        for row in rows:
            fresh = self._journal.effect(row.number) or row
            line, steps = self._judge(fresh, bench, {}, selected)
            code = line.code or away
            if not code and _record(fresh) in stuck:
                code = "undo.together"
            if not code:
                code = self._take_back(fresh, steps, bench, actor, group)
                if code == WriterAway.code:
                    away = code
            if code and _is_stuck(fresh, code):
                stuck.add(_record(fresh))
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
        except ChangedMeanwhile:
            return "undo.moved_on"
        except Unsettled:
            return "undo.unsettled"
        except Unreadable as unreadable:
            return unreadable.code
        except WriterAway:
            return WriterAway.code
        log.info("effect.undone", kind=row.effect.kind.value)
        return ""

    def _judge(
        self, row: EffectRow, bench: Bench, imagined: Records, selected: frozenset[int]
    ) -> tuple[UndoStep, list[Step]]:
        key = row.key if row.key is not None else row.effect.key
        line = UndoStep(row.number, row.effect.kind, row.effect.stream, key, row.planned_at, "")
        code = self._standing(row, key)
        if not code and self._is_way_back(row, selected):
            code = "undo.nothing"
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
        current = overlaid(found.fields, imagined.get((row.effect.stream, key), {}))
        steps = inverse_steps(row.effect, row.inverse, row.before, key, current)
        line = _with_fields(line, row, steps, current)
        code = self._moved_on(row, key, current)
        if code:
            return _with_code(line, code), []
        if not steps:
            return _with_code(line, "undo.nothing"), []
        if any(step.effect.kind not in bench.abilities.abilities for step in steps):
            return _with_code(line, "undo.not_offered"), []
        return _with_code(line, self._place_code(steps, key, current, bench, imagined)), steps

    def _standing(self, row: EffectRow, key: Key | None) -> str:
        """What can be said without looking."""
        if row.state is not EffectState.VERIFIED:
            return "undo.not_done"
        if row.undo is UndoState.USED:
            return "undo.already"
        if row.undo is not UndoState.ARMED or row.inverse is None or key is None:
            return _STAYS.get(row.effect.kind, "undo.no_inverse")
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

    def _is_way_back(self, row: EffectRow, selected: frozenset[int]) -> bool:
        """Whether it took back what the selection wants taken back: then it stays."""
        if not row.group.startswith(GROUP):
            return False
        steps: list[int] = []  # the last of them names what they took back
        for made in self._journal.effects_of(row.group):
            steps.append(made.number)
            if made.undoes is None:
                continue
            if row.number in steps:
                undone = self._journal.effect(made.undoes)
                if undone is None or undone.number not in selected:
                    return False
                return not self._is_way_back(undone, selected)
            steps = []
        return False

    def _moved_on(self, row: EffectRow, key: Key, current: Mapping[str, Any]) -> str:
        """Whether the record still holds what the effect wrote; if not, whose work is in the way.

        Notes we only added to what it wrote are in nobody's way: they stay.
        """
        unlike = differing(row.effect, row.after, current)
        if not unlike:
            return ""
        later = [
            other
            for other in self._journal.effects_on(row.effect.stream, key, row.planned_at)
            if other.number > row.number
            and other.state is not EffectState.FAILED
            and other.undo is not UndoState.USED
            and other.undoes is None
            and not other.group.startswith(GROUP)
        ]
        codes = {_whose(name, row.after.get(name), current.get(name), later) for name in unlike}
        return next((c for c in ("undo.moved_on", "undo.later_first") if c in codes), "")

    def _place_code(
        self,
        steps: Sequence[Step],
        key: Key,
        current: Mapping[str, Any],
        bench: Bench,
        imagined: Records,
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
            instead = {
                other: fields
                for (stream, other), fields in imagined.items()
                if stream is Stream.APPOINTMENT and other is not None
            }
            self._places.check(place, bench.looks, bench.pending, instead)
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


def _record(row: EffectRow) -> Record:
    return row.effect.stream, row.key if row.key is not None else row.effect.key


def _is_stuck(row: EffectRow, code: str) -> bool:
    """Whether something that should be taken back is not."""
    if code == "undo.not_done":
        return row.state is not EffectState.FAILED
    return code not in _NEUTRAL


def _whose(name: str, wrote: Any, held: Any, later: Sequence[EffectRow]) -> str:
    """Why a field does not hold what we wrote: "" = only notes of ours were added to it."""
    if name == "note":
        text = str(held or "")
        for other in later:
            if other.effect.kind is EffectKind.NOTE_APPOINTMENT:
                text = text.replace(str(other.after.get("note") or ""), "", 1)
        if text.split() == str(wrote or "").split():
            return ""
    if any(_has_made(other.effect, other.after, name, held) for other in later):
        return "undo.later_first"
    return "undo.moved_on"


def _has_made(effect: Effect, after: Mapping[str, Any], name: str, held: Any) -> bool:
    """Whether a field may hold this because of the effect. Open Dental takes the place off a visit
    that leaves the schedule."""
    if name in after and same(name, after[name], held):
        return True
    leaves = effect.kind in (EffectKind.BREAK, EffectKind.SET_STATUS)
    return leaves and after.get("status") not in ON_SCHEDULE and name in PLACE and held is None


def _imagine(imagined: Records, row: EffectRow, steps: Sequence[Step]) -> None:
    """The record once the effect is taken back."""
    held = imagined.setdefault(_record(row), {})
    was = {name: row.before[name] for name in row.after if name in row.before}
    for fields in (was, *(step.after for step in steps)):
        held.update(overlaid(held, fields))


def overlaid(fields: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """``more`` on top; of the practice's own fields only the named ones change."""
    made = {**fields, **more}
    if isinstance(more.get("custom"), Mapping):
        made["custom"] = {**(fields.get("custom") or {}), **more["custom"]}
    return made


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
