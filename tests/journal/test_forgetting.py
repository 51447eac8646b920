"""Forgetting a person, and what retention may and may not drop."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from agent.journal.journal import Journal
from agent.journal.pulled import (
    CommandState,
    ConflictKind,
    ConflictState,
    ContactState,
    TaskState,
    UndoState,
    Winner,
)
from agent.journal.snapshot import verify_file
from agent.model.commands import Command, CommandType, Target
from agent.model.effects import Effect, EffectKind
from agent.model.streams import Stream
from tests.journal.conftest import PATIENT, outgoing, seen, upsert
from tests.journal.oracle import query, structure_findings
from tests.journal.pulling import (
    APPLIED,
    command,
    contact,
    done,
    intend,
    turn_now,
    update,
)
from tests.support.clock import START, HandClock

DAY = timedelta(days=1)
KEPT = timedelta(days=90)
_NAMES = {12: "Byron", 13: "Noether"}


def conflict(
    journal: Journal, key: int, command_id: str | None, *, auto: bool = False, told: bool = True
) -> int:
    with journal.turn() as turn:
        number = turn.open_conflict(
            PATIENT,
            key,
            "last_name",
            ConflictKind.EDIT_EDIT,
            "ask",
            base="King",
            pms=_NAMES.get(key, "?"),
            crm="King",
            result="?" if auto else None,
            winner=Winner.PMS if auto else None,
            auto=auto,
            actor="agent",
            command_id=command_id,
        )
        if told:
            turn.conflict_told(number, ConflictState.AUTO if auto else ConflictState.OPEN)
    return number


def texts(journal: Journal) -> list[str]:
    """Everything the journal can still tell of people, as text."""
    said = [str(row.command) for row in journal.commands_recent(99)]
    said += [str(row) for row in journal.effects_recent(99)]
    said += [str(row) for row in journal.conflicts(None)]
    said += [str(row) for row in journal.tasks(None)]
    said += [str(row) for row in journal.contacts(None, 99)]
    return said


def forget(journal: Journal, *keys: int, stream: Stream = PATIENT) -> int:
    with journal.turn() as turn:
        return turn.forget_person(stream, keys)


def test_a_person_is_forgotten_and_the_others_are_not(journal: Journal, path: Path) -> None:
    ada, bob = _NAMES[12], _NAMES[13]
    for key, name in _NAMES.items():
        canon = f'{{"last_name":"{name}"}}'.encode()
        with journal.turn() as turn:
            turn.see(PATIENT, [seen(key, 1, canon)], None)
            turn.receive(command(f"about {key}", str(key), payload={"by": name}), START)
            turn.receive(
                Command(
                    f"note {key}",
                    CommandType.COMMLOG_APPEND,
                    "",
                    payload={"patient_key": str(key), "note": name},
                ),
                START,
            )
            turn.see_contact(contact(f"p-{key}", last=name))
            turn.contact_state(f"p-{key}", ContactState.LINKED, key)
            turn.receive(
                command(
                    f"by contact {key}", None, target=Target(cloud_id=f"p-{key}"),
                    payload={"by": name},
                ),
                START,
            )  # fmt: skip
            number = turn.intend(
                f"op {key}".encode(),
                command_id=f"note {key}",
                group=f"note {key}",
                effect=Effect(
                    EffectKind.APPEND_COMMLOG,
                    Stream.COMMUNICATION,
                    None,
                    {"patient_key": key, "note": name},
                ),
                before={},
                after={"note": name},
                inverse=None,
                floor=1,
                actor="crm",
            )
            task = turn.add_task(f"about {key}", update(key, name), "write.read_only", START)
            turn.effect_verified(number, 900 + key)
            turn.close_task(task, TaskState.DONE, "desk", name)
            for of in ("about", "note", "by contact"):
                turn.command_state(f"{of} {key}", CommandState.DONE, outcome=APPLIED)
        conflict(journal, key, f"about {key}", auto=True)
    with journal.turn() as turn:
        turn.see_contact(contact("p-3", last="Lovelace"))
        beside = [{"key": 12, "last_name": ada}, {"key": 13, "last_name": bob}]
        turn.contact_state("p-3", ContactState.SUSPECT, candidates=beside)
        turn.receive(
            Command("forget", CommandType.FORGET, "", payload={"patient_key": "12"}), START
        )
    sealed = [raw for (raw,) in query(journal, "SELECT image FROM effect WHERE image IS NOT NULL")]
    sealed += [raw for (raw,) in query(journal, "SELECT body FROM command WHERE id LIKE '% 12'")]

    assert forget(journal, 12) == 0

    assert [text for text in texts(journal) if ada in text] == []
    assert [len([t for t in texts(journal) if name in t]) for name in (bob, "Lovelace")] == [8, 1]
    assert journal.content(PATIENT, 12) is None
    assert journal.content(PATIENT, 13) is not None
    assert journal.contact("p-12") is None
    row = journal.command("note 12")
    assert row is not None
    assert (row.command.type, row.command.payload) == (CommandType.COMMLOG_APPEND, {})
    assert row.outcome == APPLIED
    [effect] = journal.effects_of("note 12")
    assert (effect.undo, effect.after, effect.key) == (UndoState.BLOCKED, {}, 912)
    kept = journal.command("forget")
    assert kept is not None
    assert kept.command.payload == {"patient_key": "12"}
    # The proof stays, and holds no word.
    assert journal.verify_audit() == []
    [(detail,)] = query(journal, "SELECT detail FROM audit WHERE act = 'person.forgotten'")
    assert '"commands":3' in detail
    assert '"effects":1' in detail
    # Not even the sealed bytes are left in the file.
    journal.close()
    raw = path.read_bytes()
    gone = [blob for blob in sealed if blob[:40] not in raw]
    assert len(gone) == 4
    assert verify_file(path) == []


def test_what_has_not_ended_is_left_and_counted(journal: Journal) -> None:
    with journal.turn() as turn:
        turn.receive(command("open"), START)
        batch = turn.enqueue(outgoing(upsert(12)))
        turn.see(PATIENT, [seen(12)], batch.number)
    number = intend(journal, command_id="open")
    standing = conflict(journal, 12, "open")
    assert forget(journal, 12) == 3  # the command, its effect, the record under way
    row = journal.command("open")
    assert row is not None
    assert row.command == command("open")
    assert len(journal.effects_open()) == 1
    assert journal.conflict(standing) is not None
    with journal.turn() as turn:
        turn.effect_verified(number, 12)
        turn.command_state("open", CommandState.DONE, outcome=APPLIED)
        turn.settle(batch, batch.operations)
    assert forget(journal, 12) == 0
    assert [text for text in texts(journal) if "555" in text or "Byron" in text] == []
    assert forget(journal) == 0
    assert structure_findings(journal) == []


# --- retention ------------------------------------------------------------------------------------


def prune(journal: Journal) -> None:
    with journal.turn() as turn:
        turn.prune(tombstones_before=START - DAY)


def left(journal: Journal, table: str) -> int:
    return int(query(journal, f"SELECT count(*) FROM {table}")[0][0])


def test_settled_work_goes_after_its_time(opened: Callable[[], Journal], clock: HandClock) -> None:
    journal = opened()
    done(journal, "old")
    conflict(journal, 12, "old", auto=True)
    with journal.turn() as turn:
        turn.receive(command("task"), START)
        task = turn.add_task("task", update(), "write.read_only", START)
        turn.close_task(task, TaskState.DONE, "desk")
        turn.command_state("task", CommandState.DONE, outcome=APPLIED)
        turn.reported("task", APPLIED)
        turn.see_contact(contact())
    clock.advance(KEPT.total_seconds() - 60)
    prune(journal)
    assert [left(journal, t) for t in ("command", "effect", "conflict", "task")] == [2, 1, 1, 1]
    clock.advance(120)
    done(journal, "new")
    prune(journal)
    assert [row.command.command_id for row in journal.commands_recent(9)] == ["new"]
    assert [left(journal, t) for t in ("command", "effect", "conflict", "task")] == [1, 1, 0, 0]
    assert left(journal, "contact") == 1
    assert journal.verify_audit() == []


def test_retention_never_takes_what_open_work_names(journal: Journal, clock: HandClock) -> None:
    """T7, one reason at a time."""
    for name in ("plain", "unreported", "open", "contested", "undone"):
        with journal.turn() as turn:
            turn.receive(command(name), turn_now(journal))
    numbers = {
        name: intend(journal, name.encode(), command_id=name)
        for name in ("plain", "unreported", "open", "contested", "undone")
    }
    lone = intend(journal, b"lone", command_id=None)
    asked = conflict(journal, 12, "contested")
    unsaid = conflict(journal, 13, None, auto=True, told=False)
    with journal.turn() as turn:
        for name in ("plain", "unreported", "contested", "undone"):
            turn.effect_verified(numbers[name], 12)
        for name in ("plain", "unreported", "contested", "undone"):
            turn.command_state(name, CommandState.DONE, outcome=APPLIED)
        turn.effect_verified(lone, 12)
        for name in ("plain", "contested", "undone"):
            turn.reported(name, APPLIED)
        turn.receive(command("asked"), START)
        task = turn.add_task("asked", update(), "write.read_only", START)
    undoing = intend(journal, b"undo", command_id=None, undoes=numbers["undone"])
    clock.advance(10 * KEPT.total_seconds())
    prune(journal)
    kept = {row.number for row in journal.effects_recent(99)}
    expected = {numbers[n] for n in ("unreported", "open", "contested", "undone")} | {undoing}
    assert kept == expected
    commands = {row.command.command_id for row in journal.commands_recent(99)}
    assert commands == {"unreported", "open", "contested", "undone", "asked"}
    assert {row.number for row in journal.conflicts(None)} == {asked, unsaid}
    assert journal.task(task) is not None
    # Kept, but too old to be undone.
    row = journal.effect(numbers["undone"])
    assert row is not None
    assert row.undo is UndoState.EXPIRED
    with journal.turn() as turn:
        turn.effect_failed(undoing, "undo.moved_on")
    clock.advance(10 * KEPT.total_seconds())
    prune(journal)
    assert numbers["undone"] not in {row.number for row in journal.effects_recent(99)}


def test_audit_rows_of_open_effects_stay(journal: Journal) -> None:
    done(journal, "before")
    number = intend(journal, b"open", command_id=None)
    for name in ("a", "b", "c"):
        done(journal, name)
    later = intend(journal, b"later", command_id=None)
    with journal.turn() as turn:
        turn.anchor(journal.audit_head())
    [(seq,)] = query(journal, "SELECT intent_seq FROM effect WHERE number = ?", number)
    with journal.turn() as turn:
        turn.prune(tombstones_before=START - DAY, audit_kept=1)
    assert query(journal, "SELECT min(seq) FROM audit") == [(seq,)]
    assert journal.verify_audit() == []
    with journal.turn() as turn:
        turn.effect_failed(number, "write.refused")
        turn.effect_failed(later, "write.refused")
        turn.anchor(journal.audit_head())
        turn.prune(tombstones_before=START - DAY, audit_kept=1)
    assert query(journal, "SELECT min(seq) > ? FROM audit", seq) == [(1,)]
    assert journal.verify_audit() == []


@pytest.mark.parametrize("holder", ["effect", "contact", None])
def test_tombstones_that_are_named_stay(journal: Journal, holder: str | None) -> None:
    with journal.turn() as turn:
        batch = turn.enqueue(outgoing(upsert(12)))
        turn.see(PATIENT, [seen(12)], batch.number)
        turn.settle(batch, batch.operations)
        turn.bury(PATIENT, [12], None)
        turn._db.execute("UPDATE record SET agreed = x''")
        turn._counts[1, "agreed"] += 0
        if holder == "contact":
            turn.see_contact(contact())
            turn.contact_state("p-1", ContactState.LINKED, 12)
    if holder == "effect":
        intend(journal, command_id=None)
    with journal.turn() as turn:
        turn.prune(tombstones_before=START + DAY)
    assert bool(journal.held(PATIENT, [12])) is (holder is not None)
