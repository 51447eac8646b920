"""What a command comes to: types, and the ground every plan stands on.

Reads through ``Looks`` and the journal, writes nothing. Merges and consent are decided by their
own pure modules; here they meet the record as it reads now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any, Protocol

import msgspec

from agent.journal.journal import Journal
from agent.journal.pulled import ConflictState, EffectState, Winner
from agent.model.commands import Command, Reason, Slot
from agent.model.effects import EffectKind
from agent.model.entities import RECORD_OF, Patient
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.ports import Clock
from agent.sync import effects, normalize, payloads
from agent.sync.effects import Step
from agent.sync.looks import Looks
from agent.sync.merge import WHOLE, FieldClash, FieldRule, Policy, merge
from agent.sync.payloads import as_key
from agent.sync.switches import Scope, scope_of

MOST_HOPS = 5  # merges of merges that are followed
OWN_WINDOW = timedelta(days=1)  # how long the CRM may take to hear what it has had written


class Refuse(Exception):
    """The command is answered with this and nothing is written."""

    def __init__(
        self,
        reason: Reason,
        code: str,
        *,
        key: Key | None = None,
        alternatives: tuple[Slot, ...] = (),
        **facts: str | int,
    ) -> None:
        self.reason = reason
        self.code = code
        self.key = key
        self.alternatives = alternatives
        self.facts = facts
        super().__init__(code)


class Postpone(Exception):
    """Not now; the command waits on the ladder, at most ``patience_s`` (None: as usual), and is
    then answered with ``reason``."""

    def __init__(
        self,
        code: str,
        *,
        reason: Reason = Reason.PMS_UNAVAILABLE,
        patience_s: float | None = None,
    ) -> None:
        self.code = code
        self.reason = reason
        self.patience_s = patience_s
        super().__init__(code)


@dataclass(frozen=True, slots=True)
class Plan:
    """``steps`` in order; ``fills`` names the field of the next step that takes the key a creation
    made. ``kept``: clashes to record; ``whole``: with an open one among them nothing is written.
    ``place``: the patient whose appointment takes a place, and the appointment (None: a new one).
    """

    stream: Stream
    key: Key | None
    steps: tuple[Step, ...]
    scope: Scope
    kept: tuple[FieldClash, ...] = ()
    whole: bool = False
    fills: str = ""
    place: PlaceWish | None = None
    duplicate: bool = False

    @property
    def open(self) -> tuple[FieldClash, ...]:
        return tuple(clash for clash in self.kept if clash.winner is None)


@dataclass(frozen=True, slots=True)
class PlaceWish:
    """A place on the schedule that must be free at the moment of writing."""

    start: datetime
    minutes: int
    operatory_key: str
    provider_key: str | None
    hygienist_key: str | None
    patient: Mapping[str, Any]
    own: Key | None = None  # the appointment itself when it moves


class People(Protocol):
    """Who a person of the CRM is here (``agent.sync.link``)."""

    def key_of(self, cloud_id: str) -> Key | None:
        """Raises Refuse (ambiguous, merged away) or Postpone (not matched yet)."""

    def twin_of(self, fields: Mapping[str, Any], cloud_id: str | None) -> Key | None:
        """An existing record that certainly is this new person. Raises as ``key_of``."""


class Ground:
    """``rules``: how each field of a stream is merged, remembered policies included."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        people: People,
        rules: Callable[[Stream], dict[str, FieldRule]],
    ) -> None:
        self.journal = journal
        self.clock = clock
        self.people = people
        self._rules = rules

    def patient(self, key: Key, looks: Looks) -> tuple[Key, dict[str, Any]]:
        """The living record, the PMS's own merges followed."""
        for _ in range(MOST_HOPS):
            found = looks.record(Stream.PATIENT, key)
            if found is None or found.fields.get("status") == "deleted":
                raise Refuse(Reason.PATIENT_NOT_FOUND, "patient.not_found")
            into = found.fields.get("merged_into")
            if not into or as_key(into) == key:
                return key, found.fields
            key = as_key(into)
        raise Refuse(Reason.PATIENT_NOT_FOUND, "patient.not_found")

    def merged(
        self,
        command: Command,
        stream: Stream,
        key: Key,
        current: Mapping[str, Any] | None,
        wish: Mapping[str, Any],
    ) -> tuple[dict[str, Any], tuple[FieldClash, ...]]:
        """(what to write, what clashes). A person's decisions about this command come first."""
        edit = dict(wish)
        as_of = command.precondition.get("lsn")
        agreed = self._agreed(
            stream,
            key,
            wish,
            imperative=stream is Stream.APPOINTMENT,
            as_of=as_of if isinstance(as_of, int) else None,
        )
        base = {**agreed, **_expected(command)}
        for decided in self.journal.conflicts_of(command.command_id):
            if decided.state is not ConflictState.RESOLVED:
                continue
            if decided.field == WHOLE:
                return {}, ()  # the record is gone, and a person left it at that
            name, dot, part = decided.field.partition(".")
            if name not in edit:
                continue
            if dot:
                edit[name] = {part: decided.result if decided.winner is not Winner.PMS else None}
                base[name] = {part: decided.pms}
            else:
                edit[name], base[name] = decided.result, decided.pms
            if decided.winner is Winner.PMS:
                del edit[name]
        if not edit:
            return {}, ()
        rules = self._rules(stream)
        if stream is Stream.APPOINTMENT and "confirmation_key" in rules:
            rules = {**rules, "confirmation_category": rules["confirmation_key"]}
        merged = merge(base, current, edit, rules)
        return merged.write, merged.kept

    @staticmethod
    def shown(command: Command) -> dict[str, Any]:
        """What the CRM showed when the decision was made, as far as it says."""
        return _expected(command)

    def check_shown(
        self, command: Command, key: Key, current: Mapping[str, Any] | None, *, ends_as: str = ""
    ) -> None:
        """An answer about a visit is about the visit as it was shown. Raises Refuse where the
        practice has moved it or changed its status since. ``ends_as``: the status it shall have;
        one that is off the schedule so already is nowhere any more."""
        if current is None:
            return
        held = current.get("status")
        if ends_as and held == ends_as and held not in effects.ON_SCHEDULE:
            return
        shown = _expected(command)
        decided = {
            row.field
            for row in self.journal.conflicts_of(command.command_id)
            if row.state is ConflictState.RESOLVED
        }
        for name in ("start", "operatory_key", "status"):
            if name not in shown or name in decided or (name == "status" and held == ends_as):
                continue
            if not effects.same(name, shown[name], current.get(name)):
                raise Refuse(Reason.VERSION_CONFLICT, "appointment.changed_since", key=key)

    def _agreed(
        self,
        stream: Stream,
        key: Key,
        wish: Mapping[str, Any],
        *,
        imperative: bool,
        as_of: int | None,
    ) -> dict[str, Any]:
        """The wished fields as both sides were last seen to hold them, if they were.

        ``imperative``: the command says what to do with a record rather than what a field shall
        say (confirm, cancel, move); then what we last read and sent stands for what was agreed,
        although the CRM's word for it is still on its way.
        ``as_of``: the wish is as old as this turn of the journal (a file brought in by hand); of a
        record that has changed since, nothing is known to be agreed.
        """
        held = self.journal.held(stream, [key]).get(key)
        if held is None or held.gone or (as_of is not None and held.seen_lsn > as_of):
            return {}
        canon = self.journal.content(stream, key)
        if canon is None:
            return {}
        fields = msgspec.json.decode(canon)
        known = held.agreed == held.hash or imperative
        if not (known or self._is_ours(stream, key, fields, held.agreed)):
            return {}
        return {name: fields.get(name) for name in wish}

    def _is_ours(
        self, stream: Stream, key: Key, fields: Mapping[str, Any], agreed: bytes | None
    ) -> bool:
        """Whether the CRM's own commands, written and proven, are all that has changed since both
        sides agreed: their fields put back as they were, newest first, give the agreed content."""
        was = dict(fields)
        since = self.clock.now() - OWN_WINDOW
        for row in reversed(self.journal.effects_on(stream, key, since)):
            if row.state is EffectState.FAILED:
                continue
            is_proven = row.state is EffectState.VERIFIED and row.command_id is not None
            if not is_proven or effects.differing(row.effect, row.after, was):
                return False
            was.update({n: before for n, before in row.before.items() if n != "custom"})
            if "custom" in row.before:
                own = {**(was.get("custom") or {}), **row.before["custom"]}
                was["custom"] = {name: value for name, value in own.items() if value}
            try:
                if _content_hash(stream, was) == agreed:
                    return True
            except msgspec.ValidationError:
                return False
        return False

    def known_once(self, stream: Stream, key: Key) -> None:
        """An edit of a record that is gone is a clash; of one that never was, a mistake."""
        if self.journal.held(stream, [key]).get(key) is None:
            reason = (
                Reason.PATIENT_NOT_FOUND if stream is Stream.PATIENT else Reason.VERSION_CONFLICT
            )
            raise Refuse(reason, f"{stream.value}.not_found", key=key)

    def made(self, command: Command, kind: EffectKind) -> Key | None:
        """The record this command has already made (or noted on), before a crash perhaps."""
        for row in self.journal.effects_of(command.command_id):
            if row.effect.kind is kind and row.state is EffectState.VERIFIED:
                return row.key
        return None

    def has(self, command: Command, kind: EffectKind) -> bool:
        return any(
            row.effect.kind is kind and row.state is EffectState.VERIFIED
            for row in self.journal.effects_of(command.command_id)
        )

    def today(self, looks: Looks) -> date:
        return looks.local_date(self.clock.now())

    def writable(self, stream: Stream) -> frozenset[str]:
        rules = self._rules(stream)
        return frozenset(n for n, rule in rules.items() if rule.policy is not Policy.READ_ONLY)


def _content_hash(stream: Stream, fields: Mapping[str, Any]) -> bytes:
    """As the mirror's: of the record's canonical JSON."""
    filled = {name: value for name, value in fields.items() if value is not None}
    record = msgspec.convert(filled, type=RECORD_OF[stream])
    return sha256(msgspec.json.encode(record)).digest()[:16]


def some(step: Step | None) -> tuple[Step, ...]:
    return () if step is None else (step,)


def note_text(text: str, _field: str) -> str | None:
    return normalize.text(text)


def as_patient(fields: Mapping[str, Any]) -> Patient:
    return msgspec.convert(dict(fields), type=Patient)


def _expected(command: Command) -> dict[str, Any]:
    """What the CRM showed when the decision was made. Instants are compared as instants."""
    said = command.precondition.get("expected")
    if not isinstance(said, Mapping):
        return {}
    made = {str(name): value for name, value in said.items()}
    if isinstance(made.get("start"), str):
        made["start"] = payloads.instant(made["start"], "expected.start")
    return made


def widened(scope: Scope, place: PlaceWish) -> Scope:
    """A move touches where it goes as well as where it comes from."""
    wider = scope_of(
        operatories=[place.operatory_key], providers=[place.provider_key, place.hygienist_key]
    )
    return scope.joined(wider)


def scope_written(scope: Scope, steps: Sequence[Step]) -> Scope:
    """With what the steps themselves say: where a visit stands and comes to stand, with whom."""
    said = [fields for step in steps for fields in (step.before, step.effect.fields)]
    written = scope_of(
        operatories=[fields.get("operatory_key") for fields in said],
        providers=[fields.get(n) for fields in said for n in ("provider_key", "hygienist_key")],
        patients=[fields.get("patient_key") for fields in said],
    )
    is_newcomer = any(step.effect.kind is EffectKind.CREATE_PATIENT for step in steps)
    return scope.joined(msgspec.structs.replace(written, is_newcomer=is_newcomer))
