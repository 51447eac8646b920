"""A wall clock set back, and copies put back: found by the simulation."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from agent.journal.audit import side_path
from agent.journal.journal import Journal
from agent.journal.pulled import CommandState
from agent.journal.rows import Tier
from tests.journal.conftest import PATIENT, SEAL, outgoing, seen, upsert
from tests.journal.pulling import command, intend
from tests.support.clock import HandClock

HOUR = timedelta(hours=1)


def work(journal: Journal, clock: HandClock) -> None:
    """Something due now, something due in a minute."""
    with journal.turn() as turn:
        batch = turn.enqueue(outgoing(upsert(1)))
        turn.see(PATIENT, [seen(1)], batch.number)
        turn.plan_chunks(PATIENT, [], Tier.HOT, clock.now() + timedelta(minutes=1))


def due(journal: Journal, clock: HandClock) -> tuple[int, int]:
    batches = journal.due_batches(clock.now(), 9, frozenset(), frozenset())
    chunks = journal.next_chunks(clock.now(), 9, loaded=False, streams=[PATIENT])
    return len(batches), len(chunks)


def test_waits_go_with_a_clock_that_is_set_back(journal: Journal, clock: HandClock) -> None:
    work(journal, clock)
    clock.step(-HOUR.total_seconds())
    assert due(journal, clock) == (0, 0)  # what used to last an hour
    journal.heed_clock()
    assert due(journal, clock) == (1, 0)
    clock.advance(60.0)
    assert due(journal, clock) == (1, 1)


def test_so_do_they_while_the_agent_is_off(opened: Callable[[], Journal], clock: HandClock) -> None:
    work(opened(), clock)
    clock.step(-HOUR.total_seconds())
    journal = opened()
    clock.advance(60.0)
    assert due(journal, clock) == (1, 1)


@pytest.mark.parametrize("by", [HOUR, -HOUR])
def test_how_long_a_write_is_open_goes_with_the_clock(
    journal: Journal, clock: HandClock, by: timedelta
) -> None:
    """The PMS may still be at it: an hour of the wall clock was a second."""
    settled, _ = intend(journal, b"op-1"), intend(journal, b"op-2")
    with journal.turn() as turn:
        turn.effect_verified(settled, 12)
    planned = {row.number: row.planned_at for row in journal.effects_of("c-1")}
    clock.advance(10.0)
    clock.step(by.total_seconds())
    journal.heed_clock()
    (still_open,) = journal.effects_open()
    assert clock.now() - still_open.planned_at == timedelta(seconds=10)
    assert journal.effects_of("c-1")[0].planned_at == planned[settled]  # that is history


def test_nobody_knows_how_long_a_write_was_open_while_the_agent_was_off(
    opened: Callable[[], Journal], clock: HandClock
) -> None:
    """A clock set forward meanwhile looks like time that has passed."""
    intend(opened())
    clock.advance(HOUR.total_seconds())
    (still_open,) = opened().effects_open()
    assert clock.now() - still_open.planned_at < timedelta(seconds=1)


def test_a_copy_of_the_same_start_is_known_as_one(
    opened: Callable[[], Journal], path: Path, clock: HandClock, tmp_path: Path
) -> None:
    journal = opened()
    first = journal.uuid
    copy = journal.backup(tmp_path / "copies")
    work(journal, clock)
    journal.note_beside()  # as with every heartbeat
    # The process is killed and the copy put back; here both lie in another folder.
    back = tmp_path / "back" / path.name
    back.parent.mkdir()
    shutil.copyfile(copy, back)
    shutil.copyfile(side_path(path), side_path(back))
    again = Journal.open(back, seal=SEAL, clock=clock)
    assert again.restored
    assert again.uuid != first
    again.close()


def test_a_copy_of_another_journal_is_known_as_one(
    opened: Callable[[], Journal], path: Path, clock: HandClock, tmp_path: Path
) -> None:
    journal = opened()
    first = journal.uuid
    copy = journal.backup(tmp_path / "copies")
    journal.close()
    path.unlink()
    newer = opened()  # the file was lost: a new journal began
    assert newer.uuid != first
    newer.close()
    shutil.copyfile(copy, path)
    again = opened()
    assert again.restored
    assert again.uuid not in (first, newer.uuid)


def test_a_command_at_work_goes_with_the_clock_however_it_came_to_wait(
    journal: Journal, clock: HandClock
) -> None:
    """Seeds 1214 and 1403: worked on and never deferred, it was taken for one that may not begin
    yet, and slept for as long as the clock had gone back."""
    later = clock.now() + timedelta(minutes=1)
    with journal.turn() as turn:
        turn.receive(command("c-begun"), clock.now())
        turn.command_state("c-begun", CommandState.WORKING, due_at=later)
        turn.receive(command("c-not-before"), later)
    clock.step(-HOUR.total_seconds())
    journal.heed_clock()
    clock.advance(60.0)
    due_now = [row.command.command_id for row in journal.commands_due(clock.now(), 9)]
    assert due_now == ["c-begun"]


def test_what_a_person_decided_just_now_goes_with_the_clock(
    journal: Journal, clock: HandClock
) -> None:
    """It begins some seconds later, so that it can be taken back: not an hour and some seconds."""
    with journal.turn() as turn:
        turn.receive(command("c-decided"), clock.now() + timedelta(seconds=10))
    clock.step(-HOUR.total_seconds())
    journal.heed_clock()
    assert journal.commands_due(clock.now(), 9) == []
    clock.advance(10.0)
    (due_now,) = journal.commands_due(clock.now(), 9)
    assert due_now.command.command_id == "c-decided"


def test_a_command_that_came_while_the_clock_was_ahead_is_due_at_the_next_start(
    opened: Callable[[], Journal], clock: HandClock
) -> None:
    """2,012 kills: the clock was an hour ahead for a moment, the agent killed before anything else
    was written, so nothing showed that the clock had gone back."""
    journal = opened()
    clock.step(HOUR.total_seconds())
    with journal.turn() as turn:
        turn.receive(command("c-due"), clock.now())
        turn.receive(command("c-not-before"), clock.now() + timedelta(minutes=1))
    clock.step(-HOUR.total_seconds())
    again = opened()
    due_now = [row.command.command_id for row in again.commands_due(clock.now(), 9)]
    assert due_now == ["c-due"]


def test_a_clock_set_forward_makes_nothing_vanish_sooner(
    journal: Journal, clock: HandClock
) -> None:
    """An hour of it may have been a second."""
    vanish(journal)
    clock.step(HOUR.total_seconds())
    journal.heed_clock()
    assert not is_gone_for_a_minute(journal, clock)
    clock.advance(61.0)
    assert is_gone_for_a_minute(journal, clock)


def test_so_it_is_while_the_agent_is_off(opened: Callable[[], Journal], clock: HandClock) -> None:
    vanish(opened())
    clock.step(HOUR.total_seconds())
    journal = opened()
    assert not is_gone_for_a_minute(journal, clock)
    clock.advance(61.0)
    assert is_gone_for_a_minute(journal, clock)


def test_what_is_written_after_the_clock_was_set_back_is_of_the_new_time(
    journal: Journal, clock: HandClock
) -> None:
    """Seed 1173: it vanished between the clock's step and our noticing, was moved back with what
    waited already, and counted as gone for an hour at once."""
    work(journal, clock)
    clock.step(-HOUR.total_seconds())
    vanish(journal)
    journal.heed_clock()
    assert not is_gone_for_a_minute(journal, clock)
    assert due(journal, clock) == (1, 0)
    clock.advance(61.0)
    assert is_gone_for_a_minute(journal, clock)


def test_a_turn_that_fails_leaves_the_clocks_step_to_the_next(
    journal: Journal, clock: HandClock
) -> None:
    work(journal, clock)
    clock.step(-HOUR.total_seconds())
    with pytest.raises(ZeroDivisionError), journal.turn():
        raise ZeroDivisionError
    assert due(journal, clock) == (0, 0)
    journal.heed_clock()
    assert due(journal, clock) == (1, 0)


def test_a_clock_being_disciplined_moves_nothing(journal: Journal, clock: HandClock) -> None:
    vanish(journal)
    for _ in range(5):
        clock.step(0.9)
        journal.heed_clock()
        with journal.turn():
            pass
    clock.advance(56.0)
    assert is_gone_for_a_minute(journal, clock)


def vanish(journal: Journal) -> None:
    with journal.turn() as turn:
        turn.see(PATIENT, [seen(1)], None)
        turn.miss(PATIENT, [1])


def is_gone_for_a_minute(journal: Journal, clock: HandClock) -> bool:
    before = clock.now() - timedelta(minutes=1)
    return [key for _, key, _ in journal.missing(before, 9, [PATIENT])] == [1]
