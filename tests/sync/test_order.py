"""The order of commands: those of one record one after the other, however many wait; and what was
held up goes on at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.model.commands import CommandType, EndState
from agent.sync.apply import AT_ONCE, ApplyTuning
from agent.sync.order import Order
from agent.sync.twoway import TwoWayTuning
from agent.sync.writing import WriterAway
from tests.sync.pullrig import ZONE, Desk
from tests.sync.pullsite import desk, open_desk, site_template
from tests.sync.test_apply import state_of

__all__ = ["desk", "open_desk", "site_template"]

UPDATE = CommandType.PATIENT_UPDATE
SLOW = TwoWayTuning(zone=ZONE, apply=ApplyTuning(probe_window_s=65.0), poll_wait_s=0)


def edit(desk: Desk, nth: int, city: str, **more: object) -> str:
    key = desk.patient(nth)
    return desk.ask(UPDATE, {"fields": {"city": city}}, target=("patient", str(key)), **more)


@pytest.mark.parametrize("priority", [100, 10])
def test_nothing_is_written_to_a_record_while_the_end_of_a_write_is_unknown(
    open_desk: Callable[..., Desk], priority: int
) -> None:
    """Else the second would hide the first, and the first, coming late, undo the second."""
    desk = open_desk(tuning=SLOW)

    desk.writer.hang_once()
    first = edit(desk, 0, "First")
    desk.work()
    second, other = edit(desk, 0, "Second", priority=priority), edit(desk, 1, "Elsewhere")
    desk.work()
    assert desk.outcome(second) is None
    assert state_of(desk.outcome(other)) is EndState.APPLIED
    again = desk.again(tuning=SLOW)
    again.work()
    assert again.outcome(second) is None  # a restart forgets no order
    again.settle(120)
    assert state_of(again.outcome(first)) is EndState.APPLIED
    assert again.outcome(second) is not None
    assert not again.journal.effects_unknown()
    again.close()


def test_what_the_writer_held_up_is_due_as_soon_as_it_is_reached(desk: Desk) -> None:
    desk.work()

    desk.writer.away = WriterAway("write.api_unreachable")
    ident = edit(desk, 0, "Later")
    for _ in range(12):
        desk.work(1)
        desk.clock.advance(25.0)
    assert desk.outcome(ident) is None
    desk.writer.away = None
    desk.clock.advance(5.0)
    desk.work(2)
    assert state_of(desk.outcome(ident)) is EndState.APPLIED


def test_a_booking_goes_on_as_soon_as_a_person_offers_it_again(desk: Desk) -> None:
    desk.work()
    desk.two.safety.suspend("booking.by_hand", "tester")
    ident = desk.book()
    for wait_s in (0.0, 1.0, 2.0, 5.0, 10.0, 25.0, 25.0):  # up the ladder
        desk.clock.advance(wait_s)
        desk.work(1)
    row = desk.journal.command(ident)
    assert row is not None
    assert (row.due_at - desk.clock.now()).total_seconds() > 30
    desk.two.safety.clear("tester")
    desk.work(1)
    assert state_of(desk.outcome(ident)) is EndState.APPLIED


def test_a_restart_keeps_the_order_of_more_than_a_thousand(desk: Desk) -> None:
    key = str(desk.patient())
    for number in range(1005):
        desk.ask(UPDATE, {"fields": {}}, target=("patient", f"9{number}"), ident=f"c-{number}")
    desk.ask(UPDATE, {"fields": {}}, target=("patient", key), ident="last-held")
    desk.ask(UPDATE, {"fields": {}}, target=("patient", key), ident="later")
    later = desk.port.queue.pop()
    now = desk.clock.now()
    with desk.journal.turn() as turn:
        for command in desk.port.queue:
            turn.receive(command, now)
            turn.command_tried(command.command_id, now)
        turn.receive(later, now)
    row = desk.journal.command(later.command_id)
    assert row is not None
    assert Order(desk.journal).must_wait(row)


def test_however_many_wait_for_one_the_others_get_their_turn(
    open_desk: Callable[..., Desk],
) -> None:
    desk = open_desk(tuning=SLOW)

    desk.writer.hang_once()
    edit(desk, 0, "First")
    desk.work()
    blocked = [edit(desk, 0, f"Town {n}") for n in range(AT_ONCE + 20)]
    free = edit(desk, 1, "Elsewhere")
    desk.work(len(blocked) // 50 + 3)
    assert state_of(desk.outcome(free)) is EndState.APPLIED
    assert desk.outcome(blocked[0]) is None
