"""The three-way merge of one record's fields: what the CRM edited against what the PMS holds. Pure.

No clock, no order of arrival: a side has *changed* a field when it differs from the base, the state
both sides were last seen to hold. What cannot be decided is left to a person and nothing is
written; what a policy decides keeps the losing value. Rules and reasons:
``reference/sync-engines.md`` 2A.7.

=====================  =========================================================================
both hold the same     agreed
only the CRM changed   the CRM's value is written
only the PMS changed   the PMS's value stays (the CRM learns it by the push)
both changed           by policy: pms, crm, ask, set_merge, append, strictest (consent)
no base                one side empty: the other's value; else a clash by policy; never "newer"
not writable           the PMS's value stays; the CRM's wish is reported as kept back
=====================  =========================================================================

Imports ``agent.model``, ``agent.journal.pulled`` (words of conflicts) and this package.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from agent.journal.pulled import ConflictKind, Winner
from agent.model.streams import Stream
from agent.sync.consent import CONSENT_FIELDS, as_consent, strictest
from agent.sync.maprows import MapRow, OnConflict, Owner, Way

WHOLE = "*"
"""Field of a clash that is about the record itself (edit against delete)."""

MARKER = "[CRM] "
"""Stands before text the CRM added to a note that the office changed as well."""


class FieldClass(StrEnum):
    """What kind of fact a field is. A collision of the first three always asks a person."""

    IDENTITY = "identity"
    CLINICAL = "clinical"
    FINANCIAL = "financial"
    CONSENT = "consent"
    OTHER = "other"


ALWAYS_ASK = frozenset({FieldClass.IDENTITY, FieldClass.CLINICAL, FieldClass.FINANCIAL})

_OF_STREAM = {
    Stream.PROCEDURE: FieldClass.CLINICAL,
    Stream.CLINICAL_NOTE: FieldClass.CLINICAL,
    Stream.PERIO_EXAM: FieldClass.CLINICAL,
    Stream.LAB_CASE: FieldClass.CLINICAL,
    Stream.BALANCE: FieldClass.FINANCIAL,
    Stream.COVERAGE: FieldClass.FINANCIAL,
    Stream.CLAIM: FieldClass.FINANCIAL,
    Stream.PAYMENT: FieldClass.FINANCIAL,
    Stream.ADJUSTMENT: FieldClass.FINANCIAL,
}
_OF_FIELD = {
    **dict.fromkeys(
        (
            (Stream.PATIENT, "key"),
            (Stream.PATIENT, "last_name"),
            (Stream.PATIENT, "first_name"),
            (Stream.PATIENT, "middle_name"),
            (Stream.PATIENT, "birthdate"),
            (Stream.PATIENT, "gender"),
            (Stream.PATIENT, "deceased"),
            (Stream.PATIENT, "merged_into"),
            (Stream.PATIENT, "guarantor_key"),
            (Stream.PATIENT, "responsible_party_key"),
            (Stream.PATIENT, "chart_number"),
            (Stream.APPOINTMENT, "key"),
            (Stream.APPOINTMENT, "patient_key"),
            (Stream.RECALL, "key"),
            (Stream.RECALL, "patient_key"),
        ),
        FieldClass.IDENTITY,
    ),
    **dict.fromkeys(
        (
            (Stream.PATIENT, "needs_premedication"),
            (Stream.PATIENT, "urgent_note"),
            (Stream.APPOINTMENT, "procedures"),
        ),
        FieldClass.CLINICAL,
    ),
    **dict.fromkeys(
        (
            (Stream.PATIENT, "billing_type_key"),
            (Stream.PATIENT, "fee_schedule_key"),
            (Stream.PATIENT, "has_insurance"),
            (Stream.PATIENT, "employer_key"),
            (Stream.APPOINTMENT, "plan_key"),
            (Stream.APPOINTMENT, "plan2_key"),
        ),
        FieldClass.FINANCIAL,
    ),
    **dict.fromkeys(((Stream.PATIENT, name) for name in CONSENT_FIELDS), FieldClass.CONSENT),
}

_FOLDED = frozenset({"last_name", "first_name", "middle_name", "preferred_name", "title", "emails"})
"""Fields where capitals make no difference: Open Dental sets first letters of names itself
(``open-dental.md`` 3.1), and nobody has two mailboxes that differ in capitals."""


class Policy(StrEnum):
    """What happens when both sides changed a field. The words are stored with conflicts."""

    PMS = "pms"
    CRM = "crm"
    ASK = "ask"
    SET_MERGE = "set_merge"
    APPEND = "append"
    STRICTEST = "strictest"  # consent
    READ_ONLY = "read_only"  # never written


class FieldRule(msgspec.Struct, frozen=True):
    """How one field is merged. ``is_set``: a list whose order means nothing. ``remembered``: a
    person asked for this policy."""

    policy: Policy = Policy.READ_ONLY
    kind: FieldClass = FieldClass.OTHER
    is_set: bool = False
    folds_case: bool = False
    remembered: bool = False


_READ_ONLY = FieldRule()
_REMEMBERED = {Winner.PMS: Policy.PMS, Winner.CRM: Policy.CRM, Winner.MERGED: Policy.SET_MERGE}


def class_of(stream: Stream, name: str) -> FieldClass:
    """The class of a field; a field of the practice's own (``custom.x``) is OTHER."""
    return _OF_FIELD.get((stream, name)) or _OF_STREAM.get(stream, FieldClass.OTHER)


def may_remember(stream: Stream, name: str) -> bool:
    """Whether a person's decision about this field may become a policy."""
    return class_of(stream, name) not in ALWAYS_ASK | {FieldClass.CONSENT}


def rule_of(row: MapRow, remembered: Winner | None = None) -> FieldRule:
    """The rule a line of the data map makes.

    ``owner`` is the master: a field the PMS owns is never written; one the CRM owns goes to the CRM
    where the map would ask. Remembered decisions and owners give way to the classes that always ask
    and to consent.
    """
    kind = class_of(row.stream, row.field)
    is_set, folds = row.crm_type == "list", row.field in _FOLDED
    if row.direction is not Way.BOTH or row.owner is Owner.PMS:
        return FieldRule(Policy.READ_ONLY, kind, is_set, folds)
    if kind is FieldClass.CONSENT:
        return FieldRule(Policy.STRICTEST, kind, is_set, folds)
    if kind in ALWAYS_ASK:
        return FieldRule(Policy.ASK, kind, is_set, folds)
    kept = _REMEMBERED.get(remembered) if remembered is not None else None
    if kept is not None:
        return FieldRule(kept, kind, is_set, folds, remembered=True)
    policy = Policy(row.on_conflict.value)
    if row.on_conflict is OnConflict.ASK and row.owner is Owner.CRM:
        policy = Policy.CRM
    return FieldRule(policy, kind, is_set, folds)


def rules_of(
    rows: Iterable[MapRow], stream: Stream, policies: Mapping[tuple[Stream, str], Winner]
) -> dict[str, FieldRule]:
    """Rules of one stream by field. ``policies``: what people asked to remember."""
    return {
        row.field: rule_of(row, policies.get((stream, row.field)))
        for row in rows
        if row.stream is stream and row.is_mapped
    }


@dataclass(frozen=True, slots=True)
class FieldClash:
    """A wish that did not simply come true. ``winner`` None: a person decides and ``result`` is
    what the PMS holds meanwhile. ``loser``: the value that lost (None: nothing was lost, or both
    wait). ``field`` is ``custom.<name>`` for the practice's own fields, WHOLE for the record."""

    field: str
    kind: ConflictKind
    policy: Policy
    base: Any
    pms: Any
    crm: Any
    result: Any
    winner: Winner | None
    loser: Any = None


@dataclass(frozen=True, slots=True)
class Merge:
    """``write``: what shall hold in the PMS, by field (``custom`` names only what changes, ""
    empties). ``before``: what the PMS holds there now. ``agreed``: fields that need no write and
    are no clash. ``kept``: everything a person or the CRM should hear about."""

    write: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)
    agreed: tuple[str, ...] = ()
    kept: tuple[FieldClash, ...] = ()

    @property
    def open(self) -> tuple[FieldClash, ...]:
        """The clashes that wait for a person."""
        return tuple(clash for clash in self.kept if clash.winner is None)


def merge(
    base: Mapping[str, Any] | None,
    pms: Mapping[str, Any] | None,
    crm_edit: Mapping[str, Any] | None,
    rules: Mapping[str, FieldRule],
) -> Merge:
    """Merge the CRM's edit into the record as the PMS holds it.

    ``base``: what both last held, or what the CRM showed when the edit was made; a field that is
    not in it has no base (within a mapping that is, an absent name was empty). ``pms``: the record
    as just read, None when it is gone. ``crm_edit``: the edited fields only, None when the CRM
    deleted its record; None or "" as a value empties a field, and of a mapping (``custom``) only
    the names given are edited. A field without a rule is read-only.
    """
    if pms is None or crm_edit is None:
        return _edit_against_delete(base, pms, crm_edit)
    write: dict[str, Any] = {}
    before: dict[str, Any] = {}
    agreed: list[str] = []
    kept: list[FieldClash] = []
    for name, part, sides, rule in _pieces(base, pms, crm_edit, rules):
        spelled = f"{name}.{part}" if part is not None else name
        verdict = _merge_value(spelled, sides, rule)
        if verdict.writes and part is None:
            write[name], before[name] = verdict.result, plain(sides.pms)
        elif verdict.writes:
            write.setdefault(name, {})[part] = "" if verdict.result is None else verdict.result
            held = plain(sides.pms)
            before.setdefault(name, {})[part] = "" if held is None else held
        if verdict.clash is not None:
            kept.append(verdict.clash)
        elif not verdict.writes:
            agreed.append(spelled)
    return Merge(write, before, tuple(agreed), tuple(kept))


# -- equality ----------------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """The value as compared and written: trimmed text, lists without empties and repeats, None for
    everything empty. False and zero are values."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, Mapping):
        kept = {str(name): plain(item) for name, item in value.items()}
        return {name: kept[name] for name in sorted(kept) if kept[name] is not None} or None
    if isinstance(value, list | tuple | set | frozenset):
        items = [item for item in map(plain, value) if item is not None]
        if isinstance(value, set | frozenset):
            items.sort(key=_mark)
        return list({_mark(item): item for item in items}.values()) or None
    return value


def same(left: Any, right: Any, rule: FieldRule = _READ_ONLY) -> bool:
    """Canonical equality: absent, None and empty are one; a set has no order."""
    return _mark(plain(left), rule) == _mark(plain(right), rule)


def _mark(value: Any, rule: FieldRule = _READ_ONLY) -> bytes:
    """Bytes that are equal exactly when the values are (1, 1.0 and True are three values)."""
    if rule.is_set and isinstance(value, list):
        return b"\x00".join(sorted({_mark_of(item, rule) for item in value}))
    return _mark_of(value, rule)


def _mark_of(value: Any, rule: FieldRule) -> bytes:
    if isinstance(value, str):
        value = unicodedata.normalize("NFC", value)
        value = value.casefold() if rule.folds_case else value
    return msgspec.json.encode(value, order="deterministic")


# -- the merge of one value --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sides:
    base: Any
    pms: Any
    crm: Any
    has_base: bool

    @property
    def kind(self) -> ConflictKind:
        return ConflictKind.EDIT_EDIT if self.has_base else ConflictKind.NO_BASE


@dataclass(frozen=True, slots=True)
class _Verdict:
    """``writes``: ``result`` must be written (else it is what the PMS holds already)."""

    result: Any
    writes: bool = False
    clash: FieldClash | None = None


def _pieces(
    base: Mapping[str, Any] | None,
    pms: Mapping[str, Any],
    crm_edit: Mapping[str, Any],
    rules: Mapping[str, FieldRule],
) -> Iterator[tuple[str, str | None, _Sides, FieldRule]]:
    """(field, name inside a mapping or None, what the sides say, rule), in a fixed order."""
    for name in sorted(crm_edit):
        rule = rules.get(name, _READ_ONLY)
        seen = base is not None and name in base
        shown = base[name] if base is not None and seen else None
        held, wished = pms.get(name), crm_edit[name]
        if not isinstance(wished, Mapping):
            # A mapping is never emptied or replaced as a whole: such a wish is kept back.
            whole = isinstance(held, Mapping) or isinstance(shown, Mapping)
            yield name, None, _Sides(shown, held, wished, seen), _READ_ONLY if whole else rule
            continue
        shown_parts = shown if isinstance(shown, Mapping) else {}
        held_parts = held if isinstance(held, Mapping) else {}
        for part in sorted(wished):
            sides = _Sides(shown_parts.get(part), held_parts.get(part), wished[part], seen)
            yield name, part, sides, rules.get(f"{name}.{part}", rule)


def _merge_value(name: str, sides: _Sides, rule: FieldRule) -> _Verdict:
    base, pms, crm = plain(sides.base), plain(sides.pms), plain(sides.crm)
    if same(pms, crm, rule) or (sides.has_base and same(crm, base, rule)):
        return _Verdict(pms)  # equal, or the CRM changed nothing here
    if rule.policy is Policy.STRICTEST:
        return _strictest(name, sides, rule)

    def clash(
        winner: Winner | None, result: Any, loser: Any, kind: ConflictKind = sides.kind
    ) -> FieldClash:
        return FieldClash(name, kind, rule.policy, base, pms, crm, result, winner, loser)

    pms_wins = _Verdict(pms, clash=clash(Winner.PMS, pms, crm))
    if rule.policy is Policy.READ_ONLY:
        return pms_wins
    if same(pms, base, rule):  # or, without a base, the PMS holds nothing
        return _Verdict(crm, writes=True)  # only the CRM changed
    if rule.policy is Policy.PMS or (crm is None and not sides.has_base):
        return pms_wins
    if rule.policy is Policy.CRM:
        return _Verdict(crm, True, clash(Winner.CRM, crm, pms))
    if rule.policy in (Policy.SET_MERGE, Policy.APPEND):
        return _merge_both(sides, rule, clash)
    return _Verdict(pms, clash=clash(None, pms, None))


class _Clash(Protocol):
    def __call__(
        self, winner: Winner | None, result: Any, loser: Any, kind: ConflictKind = ...
    ) -> FieldClash: ...


def _merge_both(sides: _Sides, rule: FieldRule, clash: _Clash) -> _Verdict:
    """Both changed, and the policy keeps both edits. Values it does not fit are asked about."""
    base, pms, crm = plain(sides.base), plain(sides.pms), plain(sides.crm)
    kinds = {type(value) for value in (pms, crm) if value is not None}
    if rule.policy is Policy.SET_MERGE and kinds == {list}:
        return _merge_sets(base, pms, crm, rule, clash, sides.has_base)
    # One side emptied what the other wrote: the writing stays, and is said.
    if crm is None:
        return _Verdict(pms, clash=clash(Winner.PMS, pms, None, ConflictKind.EDIT_DELETE))
    if pms is None:
        return _Verdict(crm, True, clash(Winner.CRM, crm, None, ConflictKind.EDIT_DELETE))
    if rule.policy is Policy.APPEND and kinds == {str}:
        return _append(base if isinstance(base, str) else None, pms, crm, clash)
    return _Verdict(pms, clash=clash(None, pms, None))


def _merge_sets(
    base: Any, pms: Any, crm: Any, rule: FieldRule, clash: _Clash, has_base: bool
) -> _Verdict:
    """Element by element: what a side added is in, what a side took out is out. Without a base
    nothing was taken out. The PMS's order, then what the CRM added in its order."""

    def marked(value: Any) -> dict[bytes, Any]:
        items = value if isinstance(value, list) else []
        return {_mark_of(item, rule): item for item in items}

    bases, ours, theirs = marked(base), marked(pms), marked(crm)
    merged = [item for mark, item in ours.items() if mark in theirs or mark not in bases]
    merged += [i for mark, i in theirs.items() if mark not in ours and mark not in bases]
    result = merged or None
    writes = not same(result, pms, rule)
    if has_base or same(result, crm, rule):
        return _Verdict(result if writes else pms, writes)
    return _Verdict(result if writes else pms, writes, clash(Winner.MERGED, result, None))


def _append(base: str | None, pms: str, crm: str, clash: _Clash) -> _Verdict:
    """The office's text stays; what the CRM added follows it behind a marker, once."""
    added = crm[len(base) :].strip() if base and crm.startswith(base) else crm
    for piece in (added, MARKER + added):
        if f"\n{piece}\n" in f"\n{pms}\n":
            return _Verdict(pms)
    result = f"{pms}\n{MARKER}{added}"
    return _Verdict(result, True, clash(Winner.MERGED, result, None))


def _strictest(name: str, sides: _Sides, rule: FieldRule) -> _Verdict:
    """Consent: the stricter side holds. What a sync must not loosen is kept back and said; the
    explicit way is ``consent.set`` (``agent.sync.consent``)."""
    pms, crm = as_consent(plain(sides.pms)), as_consent(plain(sides.crm))
    held = plain(sides.pms)
    if pms is crm:
        return _Verdict(held)
    stricter = strictest(pms, crm)
    winner = Winner.PMS if stricter is pms else Winner.CRM
    result = held if winner is Winner.PMS else stricter.value
    loser = plain(sides.crm) if winner is Winner.PMS else held
    clash = FieldClash(
        name, sides.kind, rule.policy, plain(sides.base), held, plain(sides.crm),
        result, winner, loser,
    )  # fmt: skip
    if winner is Winner.PMS:
        return _Verdict(held, clash=clash)
    moved = not sides.has_base or as_consent(plain(sides.base)) is not pms
    return _Verdict(result, True, clash if moved else None)


def _edit_against_delete(
    base: Mapping[str, Any] | None,
    pms: Mapping[str, Any] | None,
    crm_edit: Mapping[str, Any] | None,
) -> Merge:
    """One side has no record any more. An edit outlives a deletion: a record gone from the PMS
    cannot be written, so the CRM's edit waits for a person; the CRM's deletion never deletes in the
    PMS, and is a clash where the PMS moved on since both agreed."""
    ours, theirs = plain(pms), plain(crm_edit)
    if pms is None and theirs is not None:
        clash = FieldClash(
            WHOLE, ConflictKind.EDIT_DELETE, Policy.ASK, plain(base), None, theirs, None,
            None, theirs,
        )  # fmt: skip
        return Merge(kept=(clash,))
    if ours is not None and crm_edit is None and not same(base, pms):
        clash = FieldClash(
            WHOLE, ConflictKind.EDIT_DELETE, Policy.PMS, plain(base), ours, None, ours,
            Winner.PMS,
        )  # fmt: skip
        return Merge(kept=(clash,))
    return Merge()
