"""A visit from the unscheduled list, or a broken one, put back on the schedule by the CRM."""

from __future__ import annotations

from typing import Any

import pytest

from agent.model.commands import CommandType, EndState, Reason
from agent.model.effects import Effect, EffectKind, Written
from agent.model.streams import Stream
from tests.sync.pullrig import Desk
from tests.sync.pullsite import desk, open_desk, site_template
from tests.sync.test_apply import reason_of, state_of
from tests.sync.test_undo_resolve import undo

__all__ = ["desk", "open_desk", "site_template"]

MOVE = CommandType.APPOINTMENT_RESCHEDULE
CANCEL = CommandType.APPOINTMENT_CANCEL


def off(desk: Desk, *, to_unscheduled: bool) -> int:
    """A visit of the CRM's that left the schedule again; its key."""
    key = int(desk.booked())
    payload = {"break_type": "cancelled", "to_unscheduled": to_unscheduled}
    assert state_of(desk.do(CANCEL, payload, target=("appointment", str(key)))) is EndState.APPLIED
    return key


def back(desk: Desk, key: int, shown: dict[str, Any], *, nth: int = 4, **less: Any) -> Any:
    place = {**desk.place(nth), **less}
    payload = {name: value for name, value in place.items() if value is not None}
    return desk.do(MOVE, payload, target=("appointment", str(key)), expected=shown)


def stands(desk: Desk, key: int) -> tuple[Any, ...]:
    (row,) = desk.rows("SELECT AptStatus, Op, AptDateTime FROM appointment WHERE AptNum=?", key)
    return row


@pytest.mark.parametrize("status", ["unscheduled", "broken"])
def test_it_is_put_back_with_one_write(desk: Desk, status: str) -> None:
    key = off(desk, to_unscheduled=status == "unscheduled")
    outcome = back(desk, key, {"status": status, "operatory_key": None})
    assert state_of(outcome) is EndState.APPLIED
    assert stands(desk, key)[:2] == (1, int(desk.place(4)["operatory_key"]))
    assert desk.record(Stream.APPOINTMENT, key)["start"] == desk.place(4)["start"]
    assert desk.writer.written[-1].kind is EffectKind.MOVE


@pytest.mark.parametrize("shown", [{}, {"status": "scheduled"}])
def test_one_the_practice_took_off_meanwhile_stays_off(desk: Desk, shown: dict[str, Any]) -> None:
    key = off(desk, to_unscheduled=True)
    outcome = back(desk, key, shown)
    assert reason_of(outcome) is Reason.VERSION_CONFLICT
    assert outcome.staff_text == "appointment.not_scheduled"
    assert stands(desk, key)[0] == 3


def test_it_has_no_chair_to_stay_in(desk: Desk) -> None:
    key = off(desk, to_unscheduled=True)
    outcome = back(desk, key, {"status": "unscheduled"}, operatory_key=None)
    assert reason_of(outcome) is Reason.VALIDATION_FAILED


def test_a_taken_place_is_refused_with_others(desk: Desk) -> None:
    key = off(desk, to_unscheduled=True)
    desk.book(4, who=desk.patient(1))
    desk.work()
    outcome = back(desk, key, {"status": "unscheduled"})
    assert reason_of(outcome) is Reason.SLOT_TAKEN
    assert outcome.alternatives
    assert stands(desk, key)[0] == 3


def test_a_lost_race_puts_it_back_on_the_list(desk: Desk) -> None:
    key = off(desk, to_unscheduled=True)

    def race(effect: Effect, _done: Written) -> None:
        desk.writer.after = None
        desk.run(
            "INSERT INTO appointment (PatNum, AptStatus, Pattern, Op, ProvNum, AptDateTime)"
            " SELECT ?,1,'XXXXXX',Op,ProvNum,AptDateTime FROM appointment WHERE AptNum=?",
            desk.patient(2), key,
        )  # fmt: skip

    desk.writer.after = race
    outcome = back(desk, key, {"status": "unscheduled"})
    assert reason_of(outcome) is Reason.SLOT_TAKEN
    assert stands(desk, key)[:2] == (3, 0)


@pytest.mark.parametrize("status", ["unscheduled", "broken"])
def test_it_can_be_taken_back(desk: Desk, status: str) -> None:
    key = off(desk, to_unscheduled=status == "unscheduled")
    before = stands(desk, key)
    assert state_of(back(desk, key, {"status": status})) is EndState.APPLIED
    (step,) = undo(desk, desk.journal.effects_recent(1)[0].number)
    assert step.code == ""
    after = stands(desk, key)
    assert after[:2] == before[:2]
    if status == "broken":
        assert after == before
