"""What one look at the PMS tells about an effect of unknown end. Pure.

A record as it reads now, or as the PMS's own copies say it was: whoever reads decides what to ask.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agent.journal.pulled import EffectRow
from agent.model.effects import EffectKind
from agent.model.reading import Key
from agent.sync.effects import PLACE, differing, is_before, same, takes_place
from agent.sync.looks import Was

#: kinds the PMS keeps a copy of the record for
COPIED = frozenset(
    {EffectKind.BOOK, EffectKind.MOVE, EffectKind.CONFIRM, EffectKind.SET_STATUS, EffectKind.BREAK,
     EffectKind.NOTE_APPOINTMENT}
)  # fmt: skip


class Shows(StrEnum):
    DONE = "done"
    NOT_DONE = "not_done"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Sight:
    """One look. ``key`` and ``unlike`` (see ``writing.Proof``) with DONE."""

    shows: Shows
    key: Key | None = None
    unlike: tuple[str, ...] = ()


def judge_update(row: EffectRow, record: Mapping[str, Any] | None) -> Sight:
    """Pure. ``record``: what the effect's key reads now."""
    effect = row.effect
    if record is None:
        return Sight(Shows.UNSURE)
    if effect.kind is EffectKind.NOTE_APPOINTMENT and is_before(effect, row.before, record):
        return Sight(Shows.NOT_DONE)  # even where the note already said the same once before
    unlike = differing(effect, row.after, record)
    if not unlike:
        return Sight(Shows.DONE, row.effect.key)
    if is_before(effect, row.before, record):
        return Sight(Shows.NOT_DONE)
    return Sight(Shows.UNSURE)


def judge_create(row: EffectRow, candidates: Mapping[Key, Mapping[str, Any]]) -> Sight:
    """Pure. ``candidates``: records that may be the one; none of them any other effect's.

    A new record that is nearly the one (the office may have edited it at once) is never taken for
    proof that nothing was written.
    """
    effect, after = row.effect, row.after
    fitting = [key for key, record in candidates.items() if not differing(effect, after, record)]
    if len(fitting) == 1:
        return Sight(Shows.DONE, fitting[0])
    return Sight(Shows.UNSURE if nearly(row, candidates) else Shows.NOT_DONE)


def judge_entered(
    near: Collection[Key], entered: Mapping[Key, bool], *, ours_are_marked: bool
) -> Sight:
    """Pure. ``entered``: whether a program entered them, as far as the PMS says.
    ``ours_are_marked``: what we enter is marked so here, so a person's is not ours."""
    by_program = [key for key in near if entered.get(key) is True]
    open_ones = [key for key in near if key not in entered]
    if len(by_program) == 1 and not open_ones:
        return Sight(Shows.DONE, by_program[0])
    if by_program or open_ones or not ours_are_marked:
        return Sight(Shows.UNSURE)
    return Sight(Shows.NOT_DONE)


def nearly(row: EffectRow, candidates: Mapping[Key, Mapping[str, Any]]) -> list[Key]:
    """Keys of those that may be the one with something changed since."""
    kind, after = row.effect.kind, row.after
    return [key for key, record in candidates.items() if _is_near(kind, after, record)]


_TELLING: dict[EffectKind, tuple[str, ...]] = {
    EffectKind.APPEND_COMMLOG: ("note", "at"),
    EffectKind.APPEND_NOTE: ("procedure_key",),
    EffectKind.RECORD_PERIO: ("date",),
    EffectKind.CREATE_PATIENT: ("first_name", "birthdate"),
}


def _is_near(kind: EffectKind, after: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    """Whose it is, and one telling field; for a visit, whose it is suffices."""
    owner = "last_name" if kind is EffectKind.CREATE_PATIENT else "patient_key"
    if not same(owner, after.get(owner), record.get(owner)):
        return False
    telling = [name for name in _TELLING.get(kind, ()) if after.get(name) is not None]
    return not telling or any(same(name, after[name], record.get(name)) for name in telling)


def was_held(row: EffectRow, copies: Sequence[Was]) -> bool:
    """Pure. Whether a record held what the effect wished, by one of its ``copies`` from after the
    effect was planned: then it was done, whatever the record says by now."""
    effect = row.effect
    return any(
        not differing(effect, row.after, copy.fields)
        and not (
            effect.kind is EffectKind.NOTE_APPOINTMENT
            and is_before(effect, row.before, copy.fields)
        )
        for copy in copies
    )


def judge_made_copies(row: EffectRow, near: Collection[Key], copies: Sequence[Was]) -> Sight:
    """Pure. ``near``: records that may be the one, by what they hold now; ``copies``: of the same
    patient's records above the floor. A creation that held what was asked for is the effect, even
    if the record says something else by now or is gone; one that held something else never was."""
    born = {copy.key: copy.fields for copy in copies if copy.is_new}
    made = [key for key, fields in born.items() if not differing(row.effect, row.after, fields)]
    if len(made) == 1:
        return Sight(Shows.DONE, made[0])
    if made or any(key not in born for key in near):
        return Sight(Shows.UNSURE)
    return Sight(Shows.NOT_DONE)


def judge_made(row: EffectRow, key: Key, record: Mapping[str, Any] | None) -> Sight:
    """Pure. The PMS named the record it made; what matters is that it is that record."""
    if record is None:
        return Sight(Shows.UNSURE)
    unlike = differing(row.effect, row.after, record)
    essential = {"patient_key", *PLACE} if takes_place(row.effect) else {"patient_key"}
    if essential.intersection(unlike):
        return Sight(Shows.UNSURE)
    return Sight(Shows.DONE, key, tuple(sorted(unlike)))
