"""From a decision to single writes: what shall hold, what held before, how to take it back. Pure.

An effect that changes nothing is never planned. Comparison of what was wished with what is read
lives here too, so that read-back, probe and undo agree on what "holds" means.
Imports only ``agent.model`` and this package's pure modules.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from agent.model.commands import CommandType
from agent.model.effects import CREATES, Effect, EffectKind
from agent.model.entities.words import AppointmentStatus
from agent.model.reading import Key
from agent.model.streams import Stream

Fields = Mapping[str, Any]

#: what tells an appointment's place on the schedule; they stand or fall together
PLACE = ("start", "minutes", "operatory_key", "provider_key", "hygienist_key")
#: statuses in which an appointment occupies its place
ON_SCHEDULE = frozenset({"scheduled", "complete", "asap"})
#: statuses a visit can be put back on the schedule from: the unscheduled list, and broken ones
OFF_LIST = frozenset({"unscheduled", "broken"})
SETTABLE = frozenset(
    {AppointmentStatus.SCHEDULED, AppointmentStatus.COMPLETE, AppointmentStatus.UNSCHEDULED,
     AppointmentStatus.BROKEN}
)  # fmt: skip
_NAMES = frozenset({"last_name", "first_name", "middle_name", "preferred_name", "title"})


@dataclass(frozen=True, slots=True)
class Step:
    """One write. ``before``/``after``: canonical values of the touched fields; None = empty.
    ``inverse``: what would take it back; its key is filled in once a created record has one."""

    effect: Effect
    before: dict[str, Any]
    after: dict[str, Any]
    inverse: Effect | None = None


#: the effects a command may come to, for the capability handshake: any of them suffices to offer
#: the command, each that is planned must be offered by the writer
KINDS_OF: dict[CommandType, tuple[EffectKind, ...]] = {
    CommandType.APPOINTMENT_BOOK: (EffectKind.BOOK,),
    CommandType.APPOINTMENT_RESCHEDULE: (EffectKind.MOVE,),
    CommandType.APPOINTMENT_CONFIRM: (EffectKind.CONFIRM,),
    CommandType.APPOINTMENT_STATUS_SET: (EffectKind.SET_STATUS,),
    CommandType.APPOINTMENT_CANCEL: (EffectKind.BREAK,),
    CommandType.PATIENT_CREATE: (EffectKind.CREATE_PATIENT,),
    CommandType.PATIENT_UPDATE: (EffectKind.UPDATE_PATIENT,),
    CommandType.CONSENT_SET: (EffectKind.SET_CONSENT,),
    CommandType.COMMLOG_APPEND: (EffectKind.APPEND_COMMLOG,),
    CommandType.NOTE_APPEND: (EffectKind.APPEND_NOTE,),
    CommandType.PERIO_RECORD: (EffectKind.RECORD_PERIO,),
    CommandType.RECALL_UPDATE: (EffectKind.UPDATE_RECALL,),
    CommandType.CUSTOM_FIELD_SET: (EffectKind.SET_CUSTOM,),
    CommandType.DOCUMENT_ATTACH: (EffectKind.ATTACH_DOCUMENT,),
}


def operation_id(journal_uuid: str, group: str, ordinal: int) -> bytes:
    """Of the n-th effect of a group: the same after a crash that lost nothing but the process."""
    text = f"effect|{journal_uuid}|{group}|{ordinal}"
    return hashlib.sha256(text.encode()).digest()[:16]


def _filled(fields: Fields) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


# -- appointments --------------------------------------------------------------------------------


def book(fields: Fields) -> Step:
    """``fields``: patient_key, start, minutes, operatory_key and what else was asked."""
    asked = _filled(fields)
    return Step(
        Effect(EffectKind.BOOK, Stream.APPOINTMENT, None, asked),
        before={},
        after={**asked, "status": "scheduled"},
        inverse=Effect(EffectKind.SET_STATUS, Stream.APPOINTMENT, None, {"status": "unscheduled"}),
    )


def move(key: Key, current: Fields, wished: Fields) -> Step | None:
    """Only what differs; None when it is there already. With ``status``: back on the schedule."""
    step = _update(EffectKind.MOVE, Stream.APPOINTMENT, key, current, wished)
    if step is None or "status" not in step.before:
        return step
    off = {"status": step.before["status"]}
    back = Effect(EffectKind.SET_STATUS, Stream.APPOINTMENT, key, off)
    return Step(step.effect, step.before, step.after, back)


def confirm(key: Key, current: Fields, wished: Fields) -> Step | None:
    """``wished``: confirmation_category or confirmation_key."""
    step = _update(EffectKind.CONFIRM, Stream.APPOINTMENT, key, current, wished)
    if step is None:
        return None
    held = current.get("confirmation_key")
    before = {**step.before, "confirmation_key": held}
    back = None
    if held is not None:  # a category alone may stand for several of the practice's own words
        back = Effect(EffectKind.CONFIRM, Stream.APPOINTMENT, key, {"confirmation_key": held})
    return Step(step.effect, before, step.after, back)


def set_status(key: Key, current: Fields, status: str) -> Step | None:
    return _update(EffectKind.SET_STATUS, Stream.APPOINTMENT, key, current, {"status": status})


def cancel(
    key: Key, current: Fields, *, break_type: str, to_unscheduled: bool, note: str | None
) -> list[Step]:
    """The note first: a broken visit leaves the schedule, its note should say why by then."""
    status = "unscheduled" if to_unscheduled else "broken"
    steps: list[Step] = []
    if current.get("status") == status:
        return steps
    if note is not None:
        steps.append(append_note(key, current, note))
    options = {"to_unscheduled": "yes" if to_unscheduled else "no", "break_type": break_type}
    before = {name: current.get(name) for name in ("status", "start", "operatory_key")}
    steps.append(
        Step(
            Effect(EffectKind.BREAK, Stream.APPOINTMENT, key, {"status": status}, options),
            before=before if to_unscheduled else {"status": current.get("status")},
            after={"status": status},
            inverse=Effect(
                EffectKind.SET_STATUS,
                Stream.APPOINTMENT,
                key,
                {"status": current.get("status") or "scheduled"},
            ),
        )
    )
    return steps


def append_note(key: Key, current: Fields, note: str) -> Step:
    effect = Effect(EffectKind.NOTE_APPOINTMENT, Stream.APPOINTMENT, key, {"note": note})
    return Step(effect, {"note": current.get("note")}, {"note": note})


# -- people --------------------------------------------------------------------------------------


def create_patient(fields: Fields) -> Step:
    asked = _filled(fields)
    effect = Effect(EffectKind.CREATE_PATIENT, Stream.PATIENT, None, asked)
    return Step(effect, {}, dict(asked))  # no PMS takes a person off its files again


def update_patient(key: Key, current: Fields, wished: Fields) -> Step | None:
    return _update(EffectKind.UPDATE_PATIENT, Stream.PATIENT, key, current, wished)


def set_consent(key: Key, current: Fields, channel: str, consent: str) -> Step | None:
    field = f"{channel}_consent"
    step = _update(EffectKind.SET_CONSENT, Stream.PATIENT, key, current, {field: consent})
    if step is None or consent != "denied":
        return step
    return Step(step.effect, step.before, step.after)  # an opt-out is not taken back by us


def set_custom(
    stream: Stream, key: Key, current: Fields, values: Mapping[str, str | None]
) -> Step | None:
    """The practice's own fields by name; "" or None empties one."""
    held: Mapping[str, str] = current.get("custom") or {}
    changed = {n: v or "" for n, v in values.items() if (held.get(n) or "") != (v or "")}
    if not changed:
        return None
    before = {name: held.get(name) or "" for name in changed}
    return Step(
        Effect(EffectKind.SET_CUSTOM, stream, key, {"custom": changed}),
        {"custom": before},
        {"custom": changed},
        Effect(EffectKind.SET_CUSTOM, stream, key, {"custom": before}),
    )


def update_recall(key: Key, current: Fields, wished: Fields) -> Step | None:
    return _update(EffectKind.UPDATE_RECALL, Stream.RECALL, key, current, wished)


# -- records that are only ever added ------------------------------------------------------------

_STREAM_OF = {
    EffectKind.APPEND_COMMLOG: Stream.COMMUNICATION,
    EffectKind.APPEND_NOTE: Stream.CLINICAL_NOTE,
    EffectKind.RECORD_PERIO: Stream.PERIO_EXAM,
}


def append(kind: EffectKind, fields: Fields) -> Step:
    """A commlog entry, a progress note, a perio exam: on file for ever, so there is no inverse."""
    asked = _filled(fields)
    return Step(Effect(kind, _STREAM_OF[kind], None, asked), {}, dict(asked))


def attach(fields: Fields) -> Step:
    """A document. No stream carries documents, so nothing can be read back: ``after`` is empty and
    the PMS's own yes is all there is."""
    return Step(Effect(EffectKind.ATTACH_DOCUMENT, Stream.PATIENT, None, _filled(fields)), {}, {})


def can_be_read_back(effect: Effect) -> bool:
    return effect.kind is not EffectKind.ATTACH_DOCUMENT


def _update(
    kind: EffectKind, stream: Stream, key: Key, current: Fields, wished: Fields
) -> Step | None:
    changed = {n: v for n, v in wished.items() if not same(n, v, current.get(n))}
    if not changed:
        return None
    before = {name: current.get(name) for name in changed}
    return Step(
        Effect(kind, stream, key, changed), before, dict(changed), Effect(kind, stream, key, before)
    )


# -- comparing -----------------------------------------------------------------------------------


def same(field: str, wished: Any, held: Any) -> bool:
    """Whether a field of a record says what was wished, in canonical values: as it was said, or as
    the PMS stores it."""
    if _equal(field, wished, held):
        return True
    if field == "custom" and isinstance(wished, Mapping):
        stored = {name: _stored(value) for name, value in wished.items()}
        return stored != wished and _equal(field, stored, held)
    if field == "emails" or not isinstance(wished, str):
        return False
    stored_text = _stored(wished)
    return stored_text != wished and _equal(field, stored_text, held)


def _stored(value: Any) -> Any:
    """Text as the PMS keeps it: emoji and U+2600-27FF are one U+FFFD each. Only what was wished is
    spelled so: what the PMS holds stays what it says."""
    if not isinstance(value, str) or value.isascii():
        return value
    return _STRANGE.sub("\ufffd", value)


_STRANGE = re.compile("[\u2600-\u27ff\U00010000-\U0010ffff]")


def _equal(field: str, wished: Any, held: Any) -> bool:
    if wished in (None, "", [], {}, ()) and held in (None, "", [], {}, ()):
        return True
    if field == "custom" and isinstance(wished, Mapping):
        have = held or {}
        return all((have.get(name) or "") == (value or "") for name, value in wished.items())
    if field == "measures":
        have = [_frozen(measure) for measure in held or ()]
        return all(_frozen(measure) in have for measure in wished)
    if field in _NAMES and isinstance(wished, str) and isinstance(held, str):
        return wished.casefold() == held.casefold()  # Open Dental sets first letters itself
    if field == "emails":
        return sorted(map(str.casefold, wished or ())) == sorted(map(str.casefold, held or ()))
    if isinstance(wished, str) and isinstance(held, str):
        return wished.strip() == held.strip()
    return bool(wished == held)


def _frozen(part: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(part.items()))


def differing(effect: Effect, wished: Fields, record: Fields) -> list[str]:
    """Fields of ``record`` that do not hold what ``wished`` says; [] = it holds."""
    if effect.kind is EffectKind.NOTE_APPOINTMENT:
        held, added = str(record.get("note") or ""), str(wished.get("note") or "")
        return [] if added in held or _stored(added) in held else ["note"]
    found = [name for name, value in wished.items() if not same(name, value, record.get(name))]
    if effect.kind is EffectKind.APPEND_NOTE and "note" in found:
        # The newest row is a procedure's note, so the writers put what was there before it.
        last = "\n\n" + str(wished.get("note") or "").strip()
        if str(record.get("note") or "").rstrip().endswith((last, _stored(last))):
            found.remove("note")
    return found


def is_before(effect: Effect, before: Fields, record: Fields) -> bool:
    """Whether the record still holds what it held before the effect: it was not done."""
    if effect.kind in CREATES:
        return False
    if effect.kind is EffectKind.NOTE_APPOINTMENT:
        return _equal("note", before.get("note"), record.get("note"))
    return all(_equal(name, value, record.get(name)) for name, value in before.items())


def takes_place(effect: Effect) -> bool:
    """Whether it puts an appointment on the schedule or elsewhere on it."""
    return effect.kind in (EffectKind.BOOK, EffectKind.MOVE) or (
        effect.kind is EffectKind.SET_STATUS and effect.fields.get("status") in ON_SCHEDULE
    )


# -- taking back ---------------------------------------------------------------------------------


def inverse_steps(
    effect: Effect, inverse: Effect | None, before: Fields, key: Key | None,
    current: Fields,
) -> list[Step]:  # fmt: skip
    """What takes a verified effect back, in the order of writing; [] where nothing can.

    ``current``: the record as it reads now; the caller has checked that it holds ``after``.
    """
    if inverse is None or key is None:
        return []
    wished = dict(inverse.fields)
    if inverse.kind is EffectKind.SET_CUSTOM:
        step = set_custom(inverse.stream, key, current, wished["custom"])
        return [step] if step else []
    if inverse.kind is EffectKind.CONFIRM:
        step = confirm(key, current, wished)
    else:
        step = _update(inverse.kind, inverse.stream, key, current, wished)
    steps = [step] if step else []
    if effect.kind is EffectKind.BREAK or inverse.kind is not effect.kind is EffectKind.MOVE:
        # Open Dental takes the operatory off an appointment it puts on the unscheduled list; one
        # that was broken goes back to where it stood.
        place = {n: before[n] for n in PLACE if before.get(n) is not None}
        back = move(key, current, place)
        if back is not None:
            steps.append(back)
    return steps


def with_key(effect: Effect, key: Key | None) -> Effect:
    return effect if key is None else msgspec.structs.replace(effect, key=key)


def fields_of(steps: Sequence[Step]) -> list[str]:
    """Names of everything the steps touch, for audit and activity."""
    return sorted({name for step in steps for name in (step.after or step.effect.fields)})


def kinds_missing(steps: Iterable[Step], abilities: frozenset[EffectKind]) -> list[EffectKind]:
    return [step.effect.kind for step in steps if step.effect.kind not in abilities]
