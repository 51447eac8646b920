"""An agent's folder whose journal holds one of everything a person may have to decide on.

``Rooms`` that the engine would give are stood in for by small ones that only move the journal.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import structs

from agent.config import Paths, PayloadSeal, open_secrets
from agent.errors import AgentError
from agent.journal.journal import Journal
from agent.journal.pulled import (
    CommandState,
    ConflictKind,
    ContactState,
    EffectRow,
    TaskState,
    UndoState,
    Winner,
)
from agent.journal.rows import Seen
from agent.model.commands import (
    Command,
    CommandOutcome,
    CommandType,
    Contact,
    EndState,
    Reason,
    Target,
)
from agent.model.effects import Effect, EffectKind
from agent.model.proof import Audit, CompareSides
from agent.model.reading import Key
from agent.model.review import UndoField, UndoStep
from agent.model.status import Report, Snapshot, State
from agent.model.streams import Stream
from agent.runtime.clock import SystemClock
from agent.runtime.fallback.jobs import Ticket
from agent.sync.likeness import Likeness
from agent.sync.match import Candidate, Evidence

ANNA = {
    "key": "31",
    "last_name": "Example",
    "first_name": "Anna",
    "birthdate": "1980-02-03",
    "phone_mobile": "+12125550101",
    "emails": ["anna@example.org"],
}
HANNAH = {"key": "77", "last_name": "Example", "first_name": "Hannah", "birthdate": "1980-02-03"}
VISIT = {"key": "500", "patient_key": "31", "status": "scheduled", "start": "2026-12-01T15:00:00Z"}


def open_journal(paths: Paths) -> Journal:
    file = paths.journal_file()
    seal = PayloadSeal.from_store(open_secrets(paths), may_create=not file.exists())
    return Journal.open(file, seal=seal, clock=SystemClock())


def fill(journal: Journal) -> None:
    """Two open conflicts (1, 2) and one resolved by rule (3); a suspect; a task; four commands;
    an update that can be undone (1), a booking (2) and a write nobody knows of (3)."""
    now = datetime.now(UTC)
    with journal.turn() as turn:
        for stream, record in (
            (Stream.PATIENT, ANNA),
            (Stream.PATIENT, HANNAH),
            (Stream.APPOINTMENT, VISIT),
        ):
            canon = json.dumps(record).encode()
            key = int(str(record["key"]))
            turn.see(stream, [Seen(key, canon[:16], 1, 1, canon)], None)
        for number in range(1, 5):
            turn.receive(_command(number, now), now)
        turn.command_state(
            "cmd-1", CommandState.DONE, outcome=CommandOutcome(EndState.APPLIED, pms_key="31")
        )
        refused = CommandOutcome(EndState.REJECTED, Reason.SLOT_TAKEN, "That time is taken.")
        turn.command_state("cmd-2", CommandState.DONE, outcome=refused)
        turn.command_state("cmd-3", CommandState.UNKNOWN)
        turn.command_state("cmd-4", CommandState.TASK, outcome=CommandOutcome(EndState.TASK))
        for name, pms, crm in (
            ("phone_mobile", "+12125550101", "+12125550199"),
            ("emails", ["anna@example.org"], ["anna.e@example.org"]),
        ):
            turn.open_conflict(
                Stream.PATIENT, 31, name, ConflictKind.EDIT_EDIT, "ask",
                base=None, pms=pms, crm=crm, result=None, winner=None, auto=False,
                actor="agent", command_id="cmd-1",
            )  # fmt: skip
        turn.open_conflict(
            Stream.PATIENT, 31, "city", ConflictKind.EDIT_EDIT, "pms",
            base="Rye", pms="Harrison", crm="Mamaroneck", result="Harrison", winner=Winner.PMS,
            auto=True, actor="agent", command_id=None,
        )  # fmt: skip
        contact = Contact(
            "c-7", 1, "Example", "Anna", "1980-02-03", ("+12125550199",), ("anna@example.org",)
        )
        turn.see_contact(contact)
        turn.see_contact(Contact("c-8", 1, "Example", "Ann"))
        candidates = [
            Candidate("31", "match.same_person_twice", 97.0, _alike("Anna", Likeness.EQUAL)),
            Candidate("77", "match.name_variant", 88.0, _alike("Hannah", Likeness.SIMILAR)),
        ]
        entries = [candidate.entry() for candidate in candidates]
        turn.contact_state("c-7", ContactState.SUSPECT, candidates=entries)
        turn.contact_state("c-8", ContactState.LINKED, 31)
        note = Effect(
            EffectKind.APPEND_NOTE,
            Stream.CLINICAL_NOTE,
            None,
            {"patient_key": "31", "procedure_key": "9", "note": "Asked about whitening."},
        )
        due_at = now + timedelta(hours=48)
        turn.add_task("cmd-4", note, "writer.not_offered", due_at)
        visit = {"start": "2026-12-01T15:00:00Z", "minutes": 30}
        ned = {"last_name": "Newcomer", "first_name": "Ned", "birthdate": "1990-05-06"}
        book = Effect(EffectKind.BOOK, Stream.APPOINTMENT, None, visit)
        create = Effect(EffectKind.CREATE_PATIENT, Stream.PATIENT, None, ned)
        for effect in (book, create):
            turn.add_task("cmd-4", effect, "write.permission_missing", due_at)
        turn.remember_policy(Stream.PATIENT, "phone_work", Winner.CRM, "front-desk")
    _effects(journal)


def _alike(first: str, likeness: Likeness) -> tuple[Evidence, ...]:
    return (
        Evidence("last_name", "Example", "Example", Likeness.EQUAL),
        Evidence("first_name", "Anna", first, likeness),
        Evidence("birthdate", "1980-02-03", "1980-02-03", Likeness.EQUAL),
        Evidence("phones", ["+12125550199"], [], Likeness.MISSING),
    )


def _command(number: int, now: datetime) -> Command:
    kinds = (
        CommandType.PATIENT_UPDATE,
        CommandType.APPOINTMENT_BOOK,
        CommandType.APPOINTMENT_CONFIRM,
        CommandType.NOTE_APPEND,
    )
    return Command(
        f"cmd-{number}",
        kinds[number - 1],
        now.isoformat(),
        practice_id="demo",
        target=Target("patient", key="31"),
        payload={"fields": {"phone_mobile": "+12125550199"}},
    )


def _effects(journal: Journal) -> None:
    phone = {"phone_mobile": "+12125550155"}
    before = {"phone_mobile": "+12125550101"}
    update = Effect(EffectKind.UPDATE_PATIENT, Stream.PATIENT, 31, phone)
    back = Effect(EffectKind.UPDATE_PATIENT, Stream.PATIENT, 31, before)
    book = Effect(EffectKind.BOOK, Stream.APPOINTMENT, None, {"patient_key": "31"})
    confirm = Effect(EffectKind.CONFIRM, Stream.APPOINTMENT, 500, {"confirmation_key": "2"})
    plans: list[tuple[str, Effect, dict[str, Any], dict[str, Any], Effect | None]] = [
        ("cmd-1", update, before, phone, back),
        ("cmd-2", book, {}, {"patient_key": "31", "status": "scheduled"}, None),
        ("cmd-3", confirm, {"confirmation_key": "1"}, {"confirmation_key": "2"}, None),
    ]
    with journal.turn() as turn:
        for command_id, effect, held, after, inverse in plans:
            number = turn.intend(
                command_id.encode().ljust(16),
                command_id=command_id,
                group=command_id,
                effect=effect,
                before=held,
                after=after,
                inverse=inverse,
                floor=None,
                actor="agent",
            )
            if number == 3:
                turn.effect_unknown(number, "write.unknown")
            else:
                turn.effect_verified(number, effect.key or 500)


def report(journal: Journal | None = None, state: State = State.UP_TO_DATE) -> Report:
    """With ``journal``: its counts of what waits for a person."""
    now = datetime.now(UTC).isoformat()
    snapshot = Snapshot(
        taken_at=now, agent_version="1.2.3", is_set_up=True, is_running=True, paused_until=None,
        pms_kind="opendental", pms_version="24.3", pms_error=None, pms_error_s=0.0, crm_error=None,
        crm_error_s=0.0, last_read_at=now, last_write_at=now, oldest_unsent_s=None,
        oldest_unverified_s=12.0, overdue_chunks=0, open_conflicts=2, parked=0, pending=0,
        load=None,
    )  # fmt: skip
    if journal is not None:
        numbers = journal.numbers(datetime.now(UTC))
        snapshot = structs.replace(
            snapshot,
            open_conflicts=numbers.open_conflicts,
            tasks_open=numbers.tasks_open,
            suspects=numbers.suspects,
            effects_unknown=numbers.effects_unknown,
        )
    return Report(state, 4711, now, snapshot)


class Refused(AgentError):
    code = "desk.cannot"


@dataclass
class Engine:
    """The rooms a running agent would give, moving nothing but the journal."""

    journal: Journal
    called: list[tuple[Any, ...]] = field(default_factory=list)

    # brakes and source
    @property
    def brakes(self) -> Engine:
        return self

    def allow(self, streams: Sequence[Stream], *, for_s: float) -> None:
        self.called.append(("allow", tuple(streams), for_s))

    def accept_source(self) -> None:
        self.called.append(("accept_source",))

    def check_now(self) -> None:
        self.called.append(("check_now",))

    # conflicts
    def resolve(
        self, number: int, winner: Winner, value: Any, *, actor: str, remember: bool
    ) -> None:
        self.called.append(("resolve", number, winner, value, remember))
        row = self.journal.conflict(number)
        assert row is not None
        result = {Winner.PMS: row.pms, Winner.CRM: row.crm}.get(winner, value)
        with self.journal.turn() as turn:
            turn.settle_conflict(number, winner, result, actor)
            if remember:
                turn.remember_policy(row.stream, row.field, winner, actor)

    def undo(self, number: int, *, actor: str) -> None:
        with self.journal.turn() as turn:
            turn.undo_conflict(number, actor)

    # undo
    def preview(self, effects: Sequence[EffectRow]) -> Sequence[UndoStep]:
        return [self._step(row) for row in effects]

    def apply(self, effects: Sequence[EffectRow], *, actor: str) -> Sequence[UndoStep]:
        self.called.append(("apply", *(row.number for row in effects)))
        steps = [self._step(row) for row in effects]
        with self.journal.turn() as turn:
            for step in steps:
                if not step.code:
                    turn.undo_state(step.number, UndoState.USED)
        return steps

    def _step(self, row: EffectRow) -> UndoStep:
        code = "" if row.inverse and row.undo is UndoState.ARMED else "desk.cannot"
        fields = [UndoField(n, row.after[n], row.after[n], row.before[n]) for n in row.before]
        kind, stream = row.effect.kind, row.effect.stream
        return UndoStep(
            row.number, kind, stream, row.key, row.planned_at, code, fields=tuple(fields)
        )

    # people
    def approve(self, cloud_id: str, key: Key, *, actor: str) -> None:
        with self.journal.turn() as turn:
            turn.contact_state(cloud_id, ContactState.LINKED, key)

    def reject(self, cloud_id: str, keys: Sequence[Key], *, actor: str) -> None:
        with self.journal.turn() as turn:
            turn.contact_state(cloud_id, ContactState.UNLINKED, rejected=keys)

    def merge(self, cloud_id: str, into: str, *, actor: str) -> None:
        self.called.append(("merge", cloud_id, into))

    def unmerge(self, cloud_id: str, *, actor: str) -> None:
        with self.journal.turn() as turn:
            turn.contact_state(cloud_id, ContactState.NEW)

    # tasks and unknown writes
    def close_task(
        self, number: int, *, done: bool, actor: str, note: str, key: Key | None
    ) -> None:
        with self.journal.turn() as turn:
            turn.close_task(number, TaskState.DONE if done else TaskState.CANNOT, actor, note, key)

    def settle_effect(self, number: int, *, happened: bool, key: Key | None, actor: str) -> None:
        with self.journal.turn() as turn:
            if happened:
                turn.effect_verified(number, key)
            else:
                turn.effect_failed(number, "write.refused")


def no_comparison(_wish: CompareSides, _ticket: Ticket) -> Audit:
    """Here is no CRM to compare with; ``tests/sync/test_proof.py`` has one."""
    raise AssertionError("not asked for here")
