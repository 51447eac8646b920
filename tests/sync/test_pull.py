"""The lanes to the CRM: leasing, acknowledging, telling, waiting, stopping."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec
import pytest

from agent.errors import CrmUnavailable
from agent.journal.journal import Turn
from agent.journal.pulled import CommandState
from agent.model.commands import Command, CommandType, EndState, Refusal
from agent.model.effects import EffectKind
from agent.model.streams import Stream
from agent.runtime.clock import SystemClock
from agent.sync import pull as pulling
from agent.sync.twoway import TwoWayTuning
from tests.sync.pullrig import TWO_WAY, ZONE, Desk, iso
from tests.sync.pullsite import desk, open_desk, site_template

__all__ = ["desk", "open_desk", "site_template"]


def test_a_command_is_acknowledged_when_it_is_durable(desk: Desk) -> None:
    ident = desk.book()
    desk.two.pull.step()
    assert desk.journal.command(ident) is not None
    assert desk.port.acked == []
    desk.two.pull.step()
    assert desk.port.acked == [ident]


@contextmanager
def set_back_before_the_next_turn(desk: Desk) -> Iterator[None]:
    """An hour."""
    true = desk.journal.turn

    def turn() -> AbstractContextManager[Turn]:
        planted.undo()
        desk.clock.step(-3600.0)
        return true()

    with pytest.MonkeyPatch.context() as planted:
        planted.setattr(desk.journal, "turn", turn)
        yield
        assert desk.journal.turn == true  # it was


def test_a_clock_set_back_while_a_command_comes_keeps_it_waiting_for_nothing(desk: Desk) -> None:
    """Between the answer and the turn that keeps it."""
    ident = desk.book()
    with set_back_before_the_next_turn(desk):
        desk.two.pull.step()
    (due_now,) = desk.journal.commands_due(desk.clock.now(), 9)
    assert due_now.command.command_id == ident


def test_so_is_the_next_proof_of_what_was_just_proven(desk: Desk) -> None:
    far = desk.clock.now() + timedelta(days=9)
    (chunk,) = desk.journal.next_chunks(far, 1, loaded=True, streams=[Stream.PROVIDER])
    with set_back_before_the_next_turn(desk):
        desk.session.sweep.visit(desk.reader, desk.session.maps[Stream.PROVIDER], chunk)
    (after,) = desk.journal.next_chunks(far, 1, loaded=True, streams=[Stream.PROVIDER])
    rotation, facts = desk.session.sweep._rotation, desk.session.facts.streams[Stream.PROVIDER]
    assert after.due_at <= rotation.next_due(facts, desk.clock.now())


def test_so_is_what_the_front_desk_is_asked(desk: Desk) -> None:
    desk.writer.lacks = frozenset({EffectKind.BOOK})
    desk.book()
    desk.two.pull.step()
    desk.apply_round()
    (asked,) = desk.journal.tasks()
    most = asked.due_at - asked.opened_at
    desk.book(2, who=desk.patient(1))
    desk.two.pull.step()
    with set_back_before_the_next_turn(desk):
        desk.apply_round()
    task = max(desk.journal.tasks(), key=lambda task: task.number)
    assert task.number != asked.number
    assert task.due_at - task.opened_at <= most


def test_a_redelivery_changes_nothing_and_is_told_again(desk: Desk) -> None:
    ident = desk.book()
    command = desk.port.queue[0]
    desk.work()
    assert len(desk.port.told) == 1
    desk.port.queue.append(command)
    desk.work()
    assert len(desk.visits()) == 1
    assert [known for known, _ in desk.port.told] == [ident, ident]


def test_a_known_id_with_another_body_is_refused(desk: Desk) -> None:
    ident = desk.book()
    command = desk.port.queue[0]
    desk.work()
    desk.port.queue.append(msgspec.structs.replace(command, priority=1))
    desk.work()
    assert desk.port.errs == {ident: "duplicate_of"}
    assert len(desk.visits()) == 1
    assert "envelope.replayed" in [line.code for line in desk.journal.recent_activity(20)]


def test_an_envelope_that_is_not_believed_is_refused_and_noted(desk: Desk) -> None:
    desk.port.refused = [Refusal("cmd-1", "envelope.tampered")]
    desk.two.pull.step()
    desk.two.pull.step()
    assert desk.port.errs == {"cmd-1": "validation_failed"}
    assert desk.journal.recent_activity(1)[0].code == "envelope.tampered"
    assert desk.journal.command("cmd-1") is None


def test_outcomes_are_repeated_until_the_crm_takes_them(desk: Desk) -> None:
    desk.two.pull.step()
    ident = desk.book()
    desk.two.pull.step()
    desk.apply_round()
    desk.port.trouble = CrmUnavailable("crm.unreachable")
    desk.two.tell.step()
    row = desk.journal.command(ident)
    assert row is not None
    assert (row.state, row.reported) == (CommandState.DONE, False)
    desk.port.trouble = None
    desk.clock.advance(60)
    desk.two.tell.step()
    assert [known for known, _ in desk.port.told] == [ident]
    row = desk.journal.command(ident)
    assert row is not None
    assert row.reported


def test_after_a_failure_the_first_answer_is_wanted_at_once(desk: Desk) -> None:
    """The CRM would hold a poll for its whole wait; so long the line would still count as down."""
    pull = desk.two.pull
    pull._poll_wait_s = 25
    desk.port.trouble = CrmUnavailable("crm.unreachable")
    pull.step()
    assert pull.error == "crm.unreachable"
    desk.port.trouble = None
    pull.step()
    assert pull.error is None
    desk.port.wake()
    pull.step()
    assert desk.port.waits == [0, 25]


def test_while_the_practice_is_down_commands_are_taken_wait_and_expire(desk: Desk) -> None:
    desk.engine.pms.code = "pms.unreachable"
    expires = datetime.fromtimestamp(desk.clock.now().timestamp() + 20, UTC).isoformat()
    ident = desk.book(not_after=expires)
    desk.work()
    assert desk.port.acked == [ident]
    assert desk.two.offer[1] == "pms.unreachable"
    assert CommandType.APPOINTMENT_BOOK not in desk.two.offer[0]
    desk.clock.advance(21)
    desk.work()
    outcome = desk.outcome(ident)
    assert outcome is not None
    assert outcome.state is EndState.EXPIRED


class Running:
    """The same parts with their own threads and the true clock."""

    def __init__(self, open_desk: Callable[..., Desk]) -> None:
        tuning = TwoWayTuning(zone=ZONE, apply=TWO_WAY.apply, poll_wait_s=25)
        self.desk = open_desk(clock=SystemClock(), tuning=tuning)
        del self.desk.two.apply._awake.wait  # the rig's; now lanes really wait
        lanes = self.desk.two.lanes()
        lanes["push"] = lambda: self.desk.engine.dispatcher.run(self.desk.engine.stopping)
        self.threads = [threading.Thread(target=run, name=name) for name, run in lanes.items()]
        for thread in self.threads:
            thread.start()

    def until(self, look: Callable[[], object], timeout_s: float = 10.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not look():
            assert time.monotonic() < deadline, "did not happen in time"
            time.sleep(0.001)

    def stop(self) -> float:
        began = time.monotonic()
        self.desk.engine.stop()
        for thread in self.threads:
            thread.join(5)
        assert not any(thread.is_alive() for thread in self.threads)
        return time.monotonic() - began


def test_lanes_carry_a_booking_at_once_and_stop_from_a_waiting_poll(
    open_desk: Callable[..., Desk],
) -> None:
    running = Running(open_desk)
    desk = running.desk
    try:
        running.until(lambda: CommandType.APPOINTMENT_BOOK in desk.port.capabilities)
        took = []
        for nth in range(5):
            desk.port.polled.clear()
            began = time.monotonic()
            ident = desk.book(nth)
            desk.port.woken.set()  # the CRM answers the waiting poll
            running.until(partial(desk.outcome, ident))
            took.append(time.monotonic() - began)
            outcome = desk.outcome(ident)
            assert outcome is not None
            assert outcome.state is EndState.APPLIED
        key = desk.visits()[0][0]
        running.until(lambda: desk.crm.record(Stream.APPOINTMENT, key) is not None)
        # Told without waiting for any poll or timer: far below the half second of the idle waits.
        assert min(took) < 0.3, took
    finally:
        stopped_s = running.stop()
    assert stopped_s < 2.0


def test_a_pause_ends_the_waiting_poll_and_holds_the_lanes(
    open_desk: Callable[..., Desk],
) -> None:
    running = Running(open_desk)
    desk = running.desk
    try:
        running.until(lambda: CommandType.APPOINTMENT_BOOK in desk.port.capabilities)
        desk.engine.pause(datetime(2099, 1, 1, tzinfo=UTC))
        running.until(lambda: not desk.port.woken.is_set())
        ident = desk.book()
        time.sleep(0.2)
        assert desk.outcome(ident) is None
        desk.engine.resume()
        running.until(lambda: desk.outcome(ident) is not None)
    finally:
        running.stop()


def test_what_waits_for_people_keeps_no_command_from_coming(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "MOST_WAITING", 3)
    desk.writer.lacks = frozenset(EffectKind)
    asked = [desk.book(nth) for nth in range(4)]
    for _ in asked:
        desk.work()
    states = [row.state for row in desk.journal.commands_open(9)]
    assert states == [CommandState.TASK] * 4
    last = desk.ask(CommandType.RESYNC, {})
    desk.work()
    assert desk.journal.command(last) is not None


def test_everything_that_waited_too_long_ends_not_the_newest_only(desk: Desk) -> None:
    now = desk.clock.now()
    with desk.journal.turn() as turn:
        for nth in range(230):
            name = f"c-{nth}"
            turn.receive(Command(name, CommandType.PATIENT_UPDATE, iso(now)), now)
            turn.command_tried(name, now)
    desk.clock.advance(3601)
    assert desk.two.tell.expire() == 230
    counts = desk.journal.command_counts()
    assert counts.get(CommandState.WAITING) is None
