"""From the journal's rows to what people are shown. Pure, but for looking up whose record it is.

Lists carry keys, codes and field names, never a value; only what a person must decide on carries
names and values, and then through the desk's operations that want a manager.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from agent.journal.pulled import (
    CommandRow,
    ConflictRow,
    ContactRow,
    EffectRow,
    TaskRow,
    TaskState,
)
from agent.model.commands import Contact
from agent.model.desk import CommandLine
from agent.model.effects import EffectKind
from agent.model.reading import Key
from agent.model.review import (
    CandidateView,
    Compared,
    ConflictLine,
    ConflictView,
    ContactLine,
    ContactView,
    EffectLine,
    TaskLine,
    TaskView,
)
from agent.model.streams import Stream

_PERSON = (
    "last_name", "first_name", "middle_name", "preferred_name", "birthdate", "gender", "status",
    "phone_mobile", "phone_home", "phone_work", "emails", "address", "city", "postal_code",
)  # fmt: skip


class Contents(Protocol):
    """The journal's last canonical content of a record of a two-way stream."""

    def content(self, stream: Stream, key: Key) -> bytes | None: ...


def fields_held(journal: Contents, stream: Stream, key: Key | None) -> dict[str, Any]:
    """Canonical fields as last read; {} where nothing is kept."""
    held = None if key is None else journal.content(stream, key)
    found: dict[str, Any] = json.loads(held) if held else {}
    return found


def person_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields by which people know each other."""
    return {name: fields[name] for name in _PERSON if fields.get(name)}


def who(journal: Contents, stream: Stream, key: Key | None, told: Mapping[str, Any] = {}) -> str:
    """``Example, Anna (1980-02-03)`` of a patient, or of the patient a record belongs to; "" where
    that is not known. ``told``: fields of a record that does not exist yet."""
    return named(person_behind(journal, stream, key, told), "full")


def person_behind(
    journal: Contents, stream: Stream, key: Key | None, told: Mapping[str, Any] = {}
) -> dict[str, Any]:
    """The patient a record is or belongs to, as far as known."""
    owner = owner_of(journal, stream, key, told)
    fields = fields_held(journal, Stream.PATIENT, as_key(owner)) if owner else {}
    return {**fields, **told} if stream is Stream.PATIENT else fields


def named(person: Mapping[str, Any], how: str) -> str:
    """``full``: Example, Anna (1980-02-03); ``short``: Anna E."""
    last, first = str(person.get("last_name") or ""), str(person.get("first_name") or "")
    if how == "short":
        return " ".join(filter(None, (first, f"{last[:1]}." if last else "")))
    born = f" ({person['birthdate']})" if person.get("birthdate") else ""
    return ", ".join(filter(None, (last, first))) + born if last or first else ""


def owner_of(
    journal: Contents, stream: Stream, key: Key | None, told: Mapping[str, Any] = {}
) -> str:
    """Key of the patient a record is or belongs to, "" where that is not known."""
    owner = told.get("patient_key") or (
        key if stream is Stream.PATIENT else fields_held(journal, stream, key).get("patient_key")
    )
    return "" if owner is None else str(owner)


def as_key(text: str) -> Key:
    """Keys travel as text in canonical fields; the journal knows whole numbers as numbers."""
    return int(text) if text.removeprefix("-").isdigit() else text


def conflict_line(row: ConflictRow) -> ConflictLine:
    return ConflictLine(
        number=row.number,
        stream=row.stream,
        key=row.key,
        field=row.field,
        kind=row.kind.value,
        state=row.state.value,
        policy=row.policy,
        winner=row.winner.value if row.winner else None,
        actor=row.actor,
        at=row.at,
        command_id=row.command_id,
    )


def conflict_view(journal: Contents, row: ConflictRow) -> ConflictView:
    return ConflictView(
        line=conflict_line(row),
        who=who(journal, row.stream, row.key),
        base=row.base,
        pms=row.pms,
        crm=row.crm,
        result=row.result,
    )


def contact_line(row: ContactRow) -> ContactLine:
    return ContactLine(
        cloud_id=row.contact.cloud_id,
        state=row.state.value,
        key=row.key,
        candidates=tuple(as_key(str(entry["key"])) for entry in row.candidates),
        rejected=len(row.rejected),
        seen_at=row.seen_at,
    )


def contact_view(journal: Contents, row: ContactRow) -> ContactView:
    return ContactView(
        line=contact_line(row),
        person=_person_of_contact(row.contact),
        candidates=tuple(_candidate(journal, entry) for entry in row.candidates),
    )


def _candidate(journal: Contents, entry: Mapping[str, Any]) -> CandidateView:
    """``entry``: as agent.sync.match.Candidate.entry makes it."""
    key = as_key(str(entry["key"]))
    return CandidateView(
        key=key,
        why=entry.get("why", ""),
        score=entry.get("score", 0.0),
        evidence=msgspec.convert(entry.get("evidence", {}), dict[str, Compared]),
        person=person_of(fields_held(journal, Stream.PATIENT, key)),
    )


def contact_person(row: ContactRow) -> dict[str, Any]:
    return _person_of_contact(row.contact)


def _person_of_contact(contact: Contact) -> dict[str, Any]:
    own: dict[str, Any] = {
        "last_name": contact.last_name,
        "first_name": contact.first_name,
        "birthdate": contact.birthdate,
        "phones": list(contact.phones),
        "emails": list(contact.emails),
    }
    told = {name: value for name, value in own.items() if value}
    return {**person_of(contact.fields), **told}


def task_line(row: TaskRow) -> TaskLine:
    return TaskLine(
        number=row.number,
        command_id=row.command_id,
        kind=row.effect.kind,
        stream=row.effect.stream,
        key=row.effect.key,
        reason=row.reason,
        state=row.state.value,
        opened_at=row.opened_at,
        due_at=row.due_at,
        actor=row.actor,
    )


def task_view(journal: Contents, row: TaskRow, siblings: Sequence[TaskRow] = ()) -> TaskView:
    """``siblings``: the other tasks of its command."""
    effect = row.effect
    whom = who(journal, effect.stream, effect.key, effect.fields)
    for other in siblings:
        if not whom and other.effect.kind is EffectKind.CREATE_PATIENT:
            whom = who(journal, Stream.PATIENT, None, other.effect.fields)
    return TaskView(
        line=task_line(row),
        who=whom,
        fields=effect.fields,
        options=effect.options,
        note=row.note,
        together=tuple(other.number for other in siblings if other.state is TaskState.OPEN),
        patient_key=owner_of(journal, effect.stream, effect.key, effect.fields),
    )


def effect_line(row: EffectRow) -> EffectLine:
    return EffectLine(
        number=row.number,
        group=row.group,
        command_id=row.command_id,
        kind=row.effect.kind,
        stream=row.effect.stream,
        key=row.key if row.key is not None else row.effect.key,
        fields=tuple(sorted(row.after or row.effect.fields)),
        state=row.state.value,
        undo=row.undo.value,
        actor=row.actor,
        at=row.planned_at,
        settled_at=row.settled_at,
        why=row.why,
        undoes=row.undoes,
    )


def command_line(row: CommandRow) -> CommandLine:
    command, outcome = row.command, row.outcome
    target = command.target
    return CommandLine(
        command_id=command.command_id,
        type=command.type.value,
        state=row.state.value,
        end=outcome.state.value if outcome else None,
        reason=outcome.reason_code.value if outcome and outcome.reason_code else None,
        staff_text=outcome.staff_text if outcome else "",
        target=" ".join(part for part in (target.type, target.key or target.cloud_id) if part),
        pms_key=outcome.pms_key if outcome else None,
        fields=_asked(command.payload),
        created_at=command.created_at,
        not_after=command.not_after,
        received_at=row.received_at,
        due_at=row.due_at,
        tries=row.tries,
        reported=row.reported,
    )


def _asked(payload: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of what a payload speaks of; of ``{"fields": {...}}`` those inside."""
    inner = payload.get("fields")
    names = {*payload, *inner} - {"fields"} if isinstance(inner, Mapping) else set(payload)
    return tuple(sorted(names))
