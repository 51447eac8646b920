"""What the front desk was asked to do: the places it holds meanwhile, and what "done" tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from agent.journal.pulled import TaskRow, TaskState
from agent.model.commands import CommandOutcome, CommandType, EndState, Reason
from agent.model.effects import Effect, EffectKind, Written
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.sync.resolve import CannotResolve
from tests.sync.pullrig import TWO_WAY, Desk
from tests.sync.pullsite import desk, open_desk, site_template
from tests.sync.test_undo_resolve import lane_at_work

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


# -- "done" ----------------------------------------------------------------------------------------


def done(desk: Desk, number: int, key: Key | None = None) -> str:
    """The person says so; "" when it was taken, else why not."""
    with lane_at_work(desk):
        try:
            desk.two.close_task(number, done=True, actor="tester", note="", key=key)
        except CannotResolve as refused:
            return refused.code
    desk.two.tell.step()
    return ""


def enter(desk: Desk, task: TaskRow, **fields: object) -> Key:
    """What the front desk enters; the key it gets."""
    effect = task.effect
    entered = msgspec.structs.replace(effect, fields={**effect.fields, **fields})
    key = desk.writer.inner.write(entered).key
    assert key is not None
    return key


def test_done_tells_which_visit_it_is(by_hand: Desk) -> None:
    ident = by_hand.book(payload={"note": "asked for"})
    assert result(by_hand, ident).state is EndState.TASK
    task = task_of(by_hand, ident)
    assert done(by_hand, task.number) == "task.not_found"
    still = by_hand.journal.task(task.number)
    assert still is not None
    assert still.state is TaskState.OPEN
    assert result(by_hand, ident).state is EndState.TASK
    enter(by_hand, task, start=by_hand.place(3)["start"])  # another visit of theirs
    key = enter(by_hand, task, note="put in by hand")
    assert done(by_hand, task.number) == ""
    told = result(by_hand, ident)
    assert (told.state, told.pms_key, told.kept_fields) == (EndState.APPLIED, str(key), ("note",))


def test_a_person_may_name_the_record(by_hand: Desk) -> None:
    ident = by_hand.book()
    result(by_hand, ident)
    task = task_of(by_hand, ident)
    key = enter(by_hand, task, start=by_hand.place(5)["start"])
    assert done(by_hand, task.number) == "task.not_found"
    assert done(by_hand, task.number, 987654) == "task.not_found"
    assert done(by_hand, task.number, key) == ""
    told = result(by_hand, ident)
    assert (told.state, told.pms_key, told.kept_fields) == (EndState.APPLIED, str(key), ("start",))


def test_a_person_entered_by_hand_is_linked_to_the_one_of_the_crm(by_hand: Desk) -> None:
    fields = {"last_name": "Byhand", "first_name": "Ann", "birthdate": "1980-05-05",
              "phone_mobile": "+12125550123"}  # fmt: skip
    ident = by_hand.ask(CommandType.PATIENT_CREATE, fields, target=("patient", None, "c-1"))
    assert result(by_hand, ident).state is EndState.TASK
    task = task_of(by_hand, ident)
    assert done(by_hand, task.number) == "task.not_found"
    key = enter(by_hand, task, phone_mobile="+12125550199")
    assert done(by_hand, task.number) == ""
    told = result(by_hand, ident)
    assert (told.pms_key, told.kept_fields) == (str(key), ("phone_mobile",))
    contact = by_hand.journal.contact("c-1")
    assert contact is not None
    assert contact.key == key


@pytest.mark.parametrize("first", [0, 1])
def test_a_visit_of_a_person_who_is_new_as_well(by_hand: Desk, first: int) -> None:
    who = {"last_name": "Byhand", "first_name": "Bo", "birthdate": "1981-05-05"}
    ident = by_hand.ask(CommandType.APPOINTMENT_BOOK, {"patient": {"new": who}, **by_hand.place()})
    assert result(by_hand, ident).state is EndState.TASK
    person, visit = task_of(by_hand, ident, 0), task_of(by_hand, ident, 1)
    patient_key = enter(by_hand, person)
    visit_key = enter(by_hand, visit, patient_key=str(patient_key))
    order = [person.number, visit.number]
    assert done(by_hand, order[first]) == ""
    assert result(by_hand, ident).state is EndState.TASK
    assert done(by_hand, order[1 - first]) == ""
    told = result(by_hand, ident)
    assert (told.state, told.pms_key) == (EndState.APPLIED, str(visit_key))


def test_an_edit_by_hand_is_read_before_it_is_told(by_hand: Desk) -> None:
    key = by_hand.patient()
    was = by_hand.record(Stream.PATIENT, key)
    ident = by_hand.ask(
        CommandType.PATIENT_UPDATE, {"fields": {"city": "Byhand", "postal_code": "10999"}},
        target=("patient", str(key)),
        expected={"city": was.get("city"), "postal_code": was.get("postal_code")},
    )  # fmt: skip
    result(by_hand, ident)
    (task,) = by_hand.journal.tasks_of(ident)
    assert done(by_hand, task.number) == "task.not_seen"
    assert done(by_hand, task.number, by_hand.patient(1)) == "task.other_record"
    by_hand.run("UPDATE patient SET City='Byhand' WHERE PatNum=?", key)
    assert done(by_hand, task.number) == ""
    told = result(by_hand, ident)
    assert (told.pms_key, told.kept_fields) == (str(key), ("postal_code",))


def test_a_call_noted_in_other_words_is_done_all_the_same(by_hand: Desk) -> None:
    ident = by_hand.ask(
        CommandType.COMMLOG_APPEND,
        {"patient_key": str(by_hand.patient()), "note": "Called.", "mode": "phone",
         "direction": "received"},
    )  # fmt: skip
    assert result(by_hand, ident).state is EndState.TASK
    assert done(by_hand, task_of(by_hand, ident).number) == ""
    assert result(by_hand, ident).state is EndState.APPLIED


def test_a_double_booking_taken_off_by_hand_is_no_booking(desk: Desk) -> None:
    desk.writer.lacks = frozenset({EffectKind.SET_STATUS, EffectKind.BREAK})

    def race(_effect: Effect, _done: Written) -> None:
        desk.writer.after = None
        desk.office_books()

    desk.writer.after = race
    ident = desk.book()
    assert result(desk, ident).state is EndState.TASK
    task = task_of(desk, ident)
    assert done(desk, task.number) == "task.not_seen"
    desk.writer.inner.write(task.effect)
    assert done(desk, task.number) == ""
    told = result(desk, ident)
    assert (told.state, told.reason_code) == (EndState.REJECTED, Reason.SLOT_TAKEN)
