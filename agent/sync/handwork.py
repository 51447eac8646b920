"""What the front desk did by hand, looked for: which record it is, and whether it says what was
asked. Reads only; ``pull.close_task`` writes.

A person's "done" is believed, but the CRM has to know of which record: a visit it cannot name can
be neither moved nor cancelled. What cannot be found yet is said to the person, who may name it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.journal.journal import Journal
from agent.journal.pulled import TaskRow
from agent.model.effects import EffectKind
from agent.model.reading import Key, SourceFacts
from agent.sync.effects import ON_SCHEDULE, can_be_read_back, differing, same
from agent.sync.looks import Looks, Unreadable
from agent.sync.payloads import moment
from agent.sync.recover import LATELY, nobodys
from agent.sync.resolve import CannotResolve

_PERSON = ("last_name", "first_name", "birthdate")
_VISIT = ("patient_key", "start", "operatory_key")
MOST_LATELY = 2000
#: worded by whoever typed them: found or not, they are on file, and nobody asks for them by key
_WORDED = frozenset(
    {EffectKind.APPEND_COMMLOG, EffectKind.APPEND_NOTE, EffectKind.RECORD_PERIO,
     EffectKind.NOTE_APPOINTMENT}
)  # fmt: skip

Records = Mapping[Key, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Handiwork:
    """``key``: of the record; None where no stream carries it or nobody can tell. ``unlike``:
    fields that hold something else than was asked for."""

    key: Key | None
    unlike: tuple[str, ...] = ()


NOTHING_SEEN = Handiwork(None)


def look(
    journal: Journal,
    task: TaskRow,
    siblings: Sequence[TaskRow],
    looks: Looks,
    facts: SourceFacts,
    named: Key | None = None,
) -> Handiwork:
    """What stands in the PMS of a task. ``named``: the person says that this record is it.

    Raises CannotResolve ``task.not_found`` (no record is it, or several may be), ``task.not_seen``
    (the record does not show it), ``task.other_record``; and the Pms errors.
    """
    effect = task.effect
    if effect.key is not None and named not in (None, effect.key):
        raise CannotResolve("task.other_record")
    if not can_be_read_back(effect):
        return Handiwork(named if named is not None else effect.key)
    try:
        if named is not None or effect.key is not None:
            key = named if named is not None else effect.key
            assert key is not None
            return _known(task, key, looks, must_show=named is None)
        if effect.kind is EffectKind.BOOK:
            return _visit(journal, task, siblings, looks, facts)
        return _created(journal, task, looks, facts)
    except Unreadable as unreadable:
        raise CannotResolve(unreadable.code) from unreadable


def _known(task: TaskRow, key: Key, looks: Looks, *, must_show: bool) -> Handiwork:
    found = looks.record(task.effect.stream, key)
    if found is None:
        raise CannotResolve("task.not_found")
    unlike = differing(task.effect, task.effect.fields, found.fields)
    if must_show and not _shows(task, unlike, found.fields):
        raise CannotResolve("task.not_seen")
    return Handiwork(key, tuple(sorted(unlike)))


def _shows(task: TaskRow, unlike: Sequence[str], record: Mapping[str, Any]) -> bool:
    """Whether any of it holds. Off the schedule is off, on whichever list the visit was put."""
    effect = task.effect
    if effect.kind in _WORDED or len(unlike) < len(effect.fields):
        return True
    asked, held = effect.fields.get("status"), record.get("status")
    return asked is not None and asked not in ON_SCHEDULE and held not in ON_SCHEDULE


def _visit(
    journal: Journal, task: TaskRow, siblings: Sequence[TaskRow], looks: Looks, facts: SourceFacts
) -> Handiwork:
    asked = dict(task.effect.fields)
    if not asked.get("patient_key"):
        asked["patient_key"] = str(_newcomer(journal, siblings, looks, facts))
    day = looks.local_date(moment(asked.get("start"), "start"))
    visits = looks.window(task.effect.stream, day, day).records
    on_schedule = {k: r for k, r in visits.items() if r.get("status") in ON_SCHEDULE}
    return _the_one(task, asked, _alike(asked, on_schedule, _VISIT), journal)


def _newcomer(
    journal: Journal, siblings: Sequence[TaskRow], looks: Looks, facts: SourceFacts
) -> Key:
    """The patient who was to be entered before the visit."""
    for other in siblings:
        if other.effect.kind is EffectKind.CREATE_PATIENT:
            key = other.key if other.key is not None else _created(journal, other, looks, facts).key
            if key is not None:
                return key
    raise CannotResolve("task.not_found")


def _created(journal: Journal, task: TaskRow, looks: Looks, facts: SourceFacts) -> Handiwork:
    effect = task.effect
    lately = _lately(task, looks, facts)
    if effect.kind is EffectKind.CREATE_PATIENT:
        return _the_one(task, effect.fields, _alike(effect.fields, lately, _PERSON), journal)
    fitting = {
        key: record
        for key, record in nobodys(journal, effect.stream, lately).items()
        if not differing(effect, effect.fields, record)
    }
    return Handiwork(next(iter(fitting)) if len(fitting) == 1 else None)


def _lately(task: TaskRow, looks: Looks, facts: SourceFacts) -> dict[Key, dict[str, Any]]:
    """Records that may have been made since the front desk was asked."""
    stream = task.effect.stream
    carried = facts.streams.get(stream)
    if carried is not None and carried.lanes:
        since = task.opened_at - LATELY
        keys = looks.since(stream, carried.lanes[0].name, since, MOST_LATELY)
        return looks.read(stream, keys)[0]
    newest = looks.newest(stream)
    if facts.random_keys or not isinstance(newest, int):
        return {}
    return looks.read(stream, looks.above(stream, newest - MOST_LATELY, MOST_LATELY))[0]


def _alike(
    asked: Mapping[str, Any], records: Mapping[Key, dict[str, Any]], names: Sequence[str]
) -> dict[Key, dict[str, Any]]:
    given = [name for name in names if asked.get(name) is not None]
    return {
        key: record
        for key, record in records.items()
        if all(same(name, asked[name], record.get(name)) for name in given)
    }


def _the_one(
    task: TaskRow, asked: Mapping[str, Any], records: dict[Key, dict[str, Any]], journal: Journal
) -> Handiwork:
    effect = task.effect
    records = nobodys(journal, effect.stream, records)
    exact = [key for key, record in records.items() if not differing(effect, asked, record)]
    keys = exact if len(exact) == 1 else list(records)
    if len(keys) != 1:
        raise CannotResolve("task.not_found")
    return Handiwork(keys[0], tuple(sorted(differing(effect, asked, records[keys[0]]))))
