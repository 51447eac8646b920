"""What the front desk was asked to do: the places it holds meanwhile, and what "done" tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from agent.journal.pulled import TaskRow
from agent.model.commands import CommandOutcome, CommandType, EndState, Reason
from agent.model.effects import EffectKind
from agent.model.streams import Stream
from tests.sync.pullrig import TWO_WAY, Desk
from tests.sync.pullsite import desk, open_desk, site_template

__all__ = ["desk", "open_desk", "site_template"]

LOOK_S = 301.0


@pytest.fixture
def by_hand(desk: Desk) -> Desk:
    """Nothing may be written: everything is the front desk's."""
    desk.writer.lacks = frozenset(EffectKind)
    return desk


def now_lacks(desk: Desk, *kinds: EffectKind) -> None:
    """Another look at the writer shows that these are not offered (any more)."""
    desk.writer.lacks = frozenset(kinds)
    desk.clock.advance(LOOK_S)
    desk.work()


def result(desk: Desk, ident: str) -> CommandOutcome:
    desk.work()
    outcome = desk.outcome(ident)
    assert outcome is not None
    return outcome


def task_of(desk: Desk, ident: str, nth: int = 0) -> TaskRow:
    return desk.journal.tasks_of(ident)[nth]


# -- places ----------------------------------------------------------------------------------------


def test_an_open_booking_task_holds_its_place_until_it_ends(by_hand: Desk) -> None:
    first = by_hand.book()
    assert result(by_hand, first).state is EndState.TASK
    second = result(by_hand, by_hand.book(who=by_hand.patient(1)))
    assert (second.state, second.reason_code) == (EndState.REJECTED, Reason.SLOT_TAKEN)
    taken = by_hand.place()
    assert second.alternatives
    assert all(
        (slot.start, slot.operatory_key) != (taken["start"], taken["operatory_key"])
        for slot in second.alternatives
    )
    assert result(by_hand, by_hand.book(2, who=by_hand.patient(1))).state is EndState.TASK
    task = task_of(by_hand, first)
    by_hand.two.close_task(task.number, done=False, actor="tester", note="")
    assert result(by_hand, by_hand.book(who=by_hand.patient(1))).state is EndState.TASK


def test_a_task_nobody_did_holds_its_place_no_longer(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(tuning=replace(TWO_WAY, apply=replace(TWO_WAY.apply, task_timeout_s=600.0)))
    desk.writer.lacks = frozenset(EffectKind)
    assert result(desk, desk.book()).state is EndState.TASK
    desk.clock.advance(601)
    desk.two.tell.step()
    assert result(desk, desk.book(who=desk.patient(1))).state is EndState.TASK


def test_an_open_move_task_holds_where_it_goes_and_never_stands_in_its_own_way(
    desk: Desk,
) -> None:
    key = desk.booked()
    now_lacks(desk, EffectKind.MOVE)
    was = desk.record(Stream.APPOINTMENT, key)["start"]

    def move(nth: int) -> str:
        return desk.ask(
            CommandType.APPOINTMENT_RESCHEDULE, {"start": desk.place(nth)["start"]},
            target=("appointment", str(key)), expected={"start": was},
        )  # fmt: skip

    asked = move(4)
    assert result(desk, asked).state is EndState.TASK
    assert set(task_of(desk, asked).effect.fields) == {"start"}  # the room is the visit's own
    other = result(desk, desk.book(4, who=desk.patient(1)))
    assert (other.state, other.reason_code) == (EndState.REJECTED, Reason.SLOT_TAKEN)
    assert result(desk, desk.book(6, who=desk.patient(1))).state is EndState.APPLIED
    assert result(desk, move(4)).state is EndState.TASK  # asked twice: still its own place
