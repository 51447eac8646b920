"""Commands and tasks: once in, once out, nothing lost over a restart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.errors import JournalError
from agent.journal.journal import Journal
from agent.journal.pulled import CommandRow, CommandState, TaskState
from agent.model.commands import CommandOutcome, EndState, Reason, Slot
from agent.model.effects import Effect, EffectKind
from agent.model.streams import Stream
from tests.journal.oracle import query
from tests.journal.pulling import APPLIED, CONFLICT, REJECTED, UNSURE, command, intend, update
from tests.support.clock import START, HandClock

HOUR = timedelta(hours=1)


def receive(journal: Journal, *names: str, **more: Any) -> None:
    with journal.turn() as turn:
        for name in names:
            turn.receive(command(name, **more), START)


def names(rows: list[CommandRow]) -> list[str]:
    return [row.command.command_id for row in rows]


def test_a_command_comes_back_as_it_came(opened: Callable[[], Journal]) -> None:
    given = command(
        priority=5,
        not_before="2026-03-02T09:00:00Z",
        not_after="2026-03-03T09:00:00+00:00",
        precondition={"expected": {"phone_mobile": None, "tags": ["a", 2, 1.5, True]}},
        payload={"start": "2026-03-04T15:00:00Z", "minutes": 30, "patient": {"key": "12"}},
    )
    journal = opened()
    with journal.turn() as turn:
        assert turn.receive(given, START + HOUR)
    row = opened().command("c-1")
    assert row is not None
    assert row.command == given
    assert (row.state, row.tries, row.outcome) == (CommandState.RECEIVED, 0, None)
    assert (row.received_at, row.due_at, row.reported) == (START, START + HOUR, True)
    assert opened().command("c-9") is None


def test_a_redelivery_is_known_and_another_body_is_refused(journal: Journal) -> None:
    receive(journal, "c-1")
    lsn = journal.lsn
    with journal.turn() as turn:
        assert not turn.receive(command(), START + HOUR)
    assert journal.lsn == lsn  # nothing was written
    with pytest.raises(ValueError, match="another body"), journal.turn() as turn:
        turn.receive(command(key="13"), START)
    assert len(journal.commands_recent(9)) == 1


def test_work_is_by_priority_then_arrival_and_only_what_is_due(journal: Journal) -> None:
    receive(journal, "late", "first", "second")
    receive(journal, "urgent", priority=1)
    with journal.turn() as turn:
        turn.receive(command("not before"), START + HOUR)
        turn.command_tried("late", START + HOUR)
    assert names(journal.commands_due(START, 9)) == ["urgent", "first", "second"]
    assert names(journal.commands_due(START, 2)) == ["urgent", "first"]
    in_an_hour = ["urgent", "late", "first", "second", "not before"]
    assert names(journal.commands_due(START + HOUR, 9)) == in_an_hour
    late = journal.command("late")
    assert late is not None
    assert (late.state, late.tries) == (CommandState.WAITING, 1)


@pytest.mark.parametrize(
    ("state", "outcome", "due"),
    [
        (CommandState.WORKING, None, True),
        (CommandState.UNKNOWN, UNSURE, False),
        (CommandState.CONFLICT, CONFLICT, False),
        (CommandState.TASK, None, False),
        (CommandState.DONE, APPLIED, False),
    ],
)
def test_what_waits_for_somebody_is_not_due(
    journal: Journal, state: CommandState, outcome: CommandOutcome | None, due: bool
) -> None:
    receive(journal, "c-1")
    with journal.turn() as turn:
        turn.command_state("c-1", state, outcome=outcome)
    assert bool(journal.commands_due(START, 9)) is due
    assert bool(journal.commands_open(9)) is (state is not CommandState.DONE)
    assert journal.command_counts() == {state: 1}
    assert names(journal.commands_recent(9, [state])) == ["c-1"]
    assert journal.commands_recent(9, [CommandState.RECEIVED]) == []
    assert journal.numbers(START).commands_waiting == (state is not CommandState.DONE)


def test_an_outcome_waits_until_that_outcome_was_acknowledged(journal: Journal) -> None:
    receive(journal, "c-1")
    with journal.turn() as turn:
        turn.command_state("c-1", CommandState.UNKNOWN, outcome=UNSURE)
    assert names(journal.commands_unreported(9)) == ["c-1"]
    # While the first report is under way, the probe finds out.
    with journal.turn() as turn:
        turn.command_state("c-1", CommandState.DONE, outcome=APPLIED)
    with journal.turn() as turn:
        turn.reported("c-1", UNSURE)
    [row] = journal.commands_unreported(9)
    assert row.outcome == APPLIED
    with journal.turn() as turn:
        turn.reported("c-1", APPLIED)
    assert journal.commands_unreported(9) == []
    row = journal.command("c-1")  # type: ignore[assignment]
    assert (row.outcome, row.reported) == (APPLIED, True)


def test_an_outcome_is_kept_whole(opened: Callable[[], Journal]) -> None:
    outcome = CommandOutcome(
        state=EndState.REJECTED,
        reason_code=Reason.SLOT_TAKEN,
        staff_text="The chair is taken at 15:00.",
        observed_version=7,
        alternatives=(Slot("2026-03-04T16:00:00Z", 30, "3", "1"),),
        kept_fields=("phone_home",),
    )
    journal = opened()
    receive(journal, "c-1")
    with journal.turn() as turn:
        turn.command_state("c-1", CommandState.DONE, outcome=outcome)
    [row] = opened().commands_unreported(9)
    assert row.outcome == outcome


def test_an_end_is_terminal_and_final(journal: Journal) -> None:
    receive(journal, "c-1")
    for outcome in (None, UNSURE, CONFLICT):
        with pytest.raises(ValueError, match="terminal"), journal.turn() as turn:
            turn.command_state("c-1", CommandState.DONE, outcome=outcome)
    with journal.turn() as turn:
        turn.command_state("c-1", CommandState.DONE, outcome=APPLIED)
    lsn = journal.lsn
    with journal.turn() as turn:  # a step done again after a crash
        turn.command_state("c-1", CommandState.DONE, outcome=APPLIED)
        turn.command_state("c-1", CommandState.DONE)
    assert journal.lsn == lsn
    for state, again in (
        (CommandState.DONE, REJECTED),
        (CommandState.WORKING, None),
        (CommandState.WAITING, APPLIED),
    ):
        with pytest.raises(ValueError, match="ended"), journal.turn() as turn:
            turn.command_state("c-1", state, outcome=again)
    with pytest.raises(ValueError, match="ended"), journal.turn() as turn:
        turn.command_tried("c-1", START)
    with pytest.raises(ValueError, match="no such"), journal.turn() as turn:
        turn.command_state("c-9", CommandState.WORKING)


def test_a_command_does_not_end_before_its_effects(journal: Journal) -> None:
    receive(journal, "c-1")
    number = intend(journal)
    with pytest.raises(JournalError) as caught, journal.turn() as turn:
        turn.command_state("c-1", CommandState.DONE, outcome=APPLIED)
    assert (caught.value.code, caught.value.facts) == ("journal.effect_open", {"effects": 1})
    row = journal.command("c-1")
    assert row is not None
    assert row.state is CommandState.RECEIVED
    with journal.turn() as turn:  # in whatever order the turn says it
        turn.command_state("c-1", CommandState.DONE, outcome=APPLIED)
        turn.effect_verified(number, 12)
    assert journal.commands_open(9) == []


def test_expiry_is_for_what_has_not_begun(journal: Journal) -> None:
    soon, late = "2026-03-02T09:00:00Z", "2026-03-02T23:00:00Z"
    receive(journal, "soon", "tried", "begun", not_after=soon)
    receive(journal, "late", not_after=late)
    receive(journal, "local", not_after="2026-03-02T09:00:00")  # no zone: UTC
    receive(journal, "never")
    receive(journal, "nonsense", not_after="tomorrow")
    with journal.turn() as turn:
        turn.command_tried("tried", START + 9 * HOUR)
        turn.command_state("begun", CommandState.WORKING)
    assert names(journal.commands_expiring(START)) == ["nonsense"]
    gone = names(journal.commands_expiring(START + HOUR))
    assert sorted(gone) == ["local", "nonsense", "soon", "tried"]
    assert "late" in names(journal.commands_expiring(START + 24 * HOUR))


def test_a_restart_tries_again_but_not_before_its_time(
    opened: Callable[[], Journal], clock: HandClock
) -> None:
    journal = opened()
    with journal.turn() as turn:
        turn.receive(command("tomorrow"), START + 24 * HOUR)
        turn.receive(command("waiting"), START)
        turn.command_tried("waiting", START + 24 * HOUR)
    assert names(opened().commands_due(START, 9)) == ["waiting"]


def test_tasks_are_asked_answered_and_timed_out(opened: Callable[[], Journal]) -> None:
    journal = opened()
    receive(journal, "c-1", "c-2")
    effect = Effect(EffectKind.ATTACH_DOCUMENT, Stream.PATIENT, None, {"patient_key": "12"})
    with journal.turn() as turn:
        first = turn.add_task("c-1", effect, "write.not_offered", START + 2 * HOUR)
        second = turn.add_task("c-2", update(), "write.read_only", START + HOUR)
    journal = opened()
    assert [task.number for task in journal.tasks()] == [second, first]
    assert [task.number for task in journal.tasks_due(START + HOUR)] == [second]
    task = journal.task(first)
    assert task is not None
    assert (task.effect, task.reason, task.command_id) == (effect, "write.not_offered", "c-1")
    assert journal.numbers(START).tasks_open == 2
    with journal.turn() as turn:
        turn.close_task(first, TaskState.DONE, "desk", "Ada signed it")
        turn.close_task(second, TaskState.TIMED_OUT, "agent")
    with journal.turn() as turn:
        turn.close_task(first, TaskState.DONE, "desk")
    closed = journal.task(first)
    assert closed is not None
    assert (closed.state, closed.actor, closed.note) == (TaskState.DONE, "desk", "Ada signed it")
    for state in (TaskState.CANNOT, TaskState.OPEN):
        with pytest.raises(ValueError, match="task"), journal.turn() as turn:
            turn.close_task(first, state, "desk")
    assert journal.tasks() == []
    assert [task.number for task in journal.tasks(None)] == [second, first]
    assert [task.number for task in journal.tasks_of("c-2")] == [second]
    assert journal.numbers(START).tasks_open == 0


def test_nothing_of_a_person_stands_in_the_file(journal: Journal, path: Path) -> None:
    receive(journal, "c-1")
    number = intend(journal)
    outcome = CommandOutcome(state=EndState.APPLIED, staff_text="Ada Byron has a new number")
    with journal.turn() as turn:
        task = turn.add_task("c-1", update(), "write.read_only", START)
        turn.close_task(task, TaskState.CANNOT, "desk", "Ada Byron moved")
        turn.effect_verified(number, 12)
        turn.command_state("c-1", CommandState.DONE, outcome=outcome)
    journal.close()
    raw = b"".join(part.read_bytes() for part in path.parent.iterdir())
    for text in (b"Byron", b"5550100", b"5550199"):
        assert text not in raw


def test_every_outcome_has_its_audit_row(journal: Journal) -> None:
    receive(journal, "c-1")
    with journal.turn() as turn:
        turn.command_state("c-1", CommandState.CONFLICT, outcome=CONFLICT)
    with journal.turn() as turn:
        turn.command_state("c-1", CommandState.CONFLICT, outcome=CONFLICT)
    with journal.turn() as turn:
        turn.command_state("c-1", CommandState.DONE, outcome=REJECTED)
    rows = query(journal, "SELECT act, detail FROM audit WHERE act LIKE 'command.%' ORDER BY seq")
    assert [act for act, _ in rows] == ["command.conflict", "command.rejected"]
    assert '"reason":"slot_taken"' in rows[1][1]
