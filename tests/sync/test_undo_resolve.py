"""What people decide and take back: conflicts settled, effects undone only where nothing moved."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from agent.errors import AgentError
from agent.journal.pulled import ConflictState, EffectRow, EffectState, UndoState, Winner
from agent.model.commands import CommandType, EndState, Reason
from agent.model.desk import SafetyMode
from agent.model.effects import EffectKind
from agent.model.review import UndoStep
from agent.model.streams import Stream
from agent.sync.resolve import CannotResolve
from agent.sync.switches import DESK, Switch
from agent.sync.undo import Undo, overlaid
from tests.sync.pullrig import Desk
from tests.sync.pullsite import desk, open_desk, site_template

__all__ = ["desk", "open_desk", "site_template"]


@contextmanager
def lane_at_work(desk: Desk) -> Iterator[None]:
    """The apply lane turns meanwhile: undo is done by it and waited for."""
    done = threading.Event()

    def turn() -> None:
        # A connection of this thread's own: SQLite's may not wander.
        reader = desk.source.open()
        while not done.is_set():
            desk.two.apply.round(reader, desk.session)
            done.wait(0.002)
        reader.close()

    thread = threading.Thread(target=turn)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.fixture(autouse=True)
def counted(
    monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> Iterator[None]:
    """What became of every wish, for the lane of tests/reliability."""
    true, told = Undo.apply, Counter[str]()

    def apply(self: Undo, effects: Sequence[EffectRow], *, actor: str) -> list[UndoStep]:
        steps = true(self, effects, actor=actor)
        told.update("refused with a reason" if step.code else "taken back" for step in steps)
        return steps

    monkeypatch.setattr(Undo, "apply", apply)
    yield
    for name, count in told.items():
        record_property(name, count)


def undo(desk: Desk, *numbers: int) -> list[UndoStep]:
    rows = [row for number in numbers if (row := desk.journal.effect(number)) is not None]
    with lane_at_work(desk):
        return desk.two.undoer.apply(rows, actor="tester")


def test_who_waits_for_the_lane_learns_whether_it_was_begun(desk: Desk) -> None:
    lane, begun, may_end = desk.two.apply, threading.Event(), threading.Event()
    did: list[str] = []

    def slowly(_bench: object) -> None:
        begun.set()
        may_end.wait(10.0)
        did.append("slow")

    with lane_at_work(desk):
        with pytest.raises(AgentError, match=r"apply\.under_way"):
            lane.submit(slowly, timeout_s=2.0)  # the lane takes it up well before
        assert begun.is_set()
        with pytest.raises(AgentError, match=r"apply\.not_ready"):  # the lane is still at the first
            lane.submit(lambda _bench: did.append("late"), timeout_s=0.05)
        may_end.set()
        lane.submit(lambda _bench: did.append("next"))
    assert did == ["slow", "next"]  # what nobody could take up was not done, and is not any more


def test_what_times_out_in_the_lane_is_told_as_it_is(desk: Desk) -> None:
    def out_of_time(_bench: object) -> None:
        raise TimeoutError("of the practice's")

    with lane_at_work(desk), pytest.raises(TimeoutError, match="of the practice's"):
        desk.two.apply.submit(out_of_time)


def edit(desk: Desk, key: Any, **fields: Any) -> Any:
    held = desk.record(Stream.PATIENT, key)
    return desk.do(
        CommandType.PATIENT_UPDATE, {"fields": fields}, target=("patient", str(key)),
        expected={name: held.get(name) for name in fields},
    )  # fmt: skip


def clash(desk: Desk, key: Any, *, office: str, cloud: str) -> int:
    """Both sides change the city; the conflict's number."""
    was = desk.record(Stream.PATIENT, key).get("city")
    desk.run("UPDATE patient SET City=? WHERE PatNum=?", office, key)
    outcome = desk.do(
        CommandType.PATIENT_UPDATE, {"fields": {"city": cloud}}, target=("patient", str(key)),
        expected={"city": was}, ident=f"cmd-{office}-{cloud}",
    )  # fmt: skip
    assert outcome.state is EndState.CONFLICT
    return desk.journal.conflicts()[0].number


# -- undo ------------------------------------------------------------------------------------------


def test_an_edit_is_taken_back_and_that_too(desk: Desk) -> None:
    key = desk.patient()
    was = desk.record(Stream.PATIENT, key).get("city")
    edit(desk, key, city="Changed")
    (effect,) = desk.journal.effects_recent(1)
    (step,) = undo(desk, effect.number)
    assert step.code == ""
    assert {f.field: (f.wrote, f.back) for f in step.fields} == {"city": ("Changed", was)}
    assert desk.record(Stream.PATIENT, key).get("city") == was
    after = desk.journal.effect(effect.number)
    assert after is not None
    assert after.undo is UndoState.USED
    (inverse,) = desk.journal.effects_recent(1)
    assert (inverse.undoes, inverse.actor) == (effect.number, "tester")
    (again,) = undo(desk, effect.number)
    assert again.code == "undo.already"
    (redone,) = undo(desk, inverse.number)
    assert redone.code == ""
    assert desk.record(Stream.PATIENT, key)["city"] == "Changed"
    steps = undo(desk, *(row.number for row in desk.journal.effects_recent(3)))
    assert [step.code for step in steps] == ["", "undo.already", "undo.already"]
    assert desk.record(Stream.PATIENT, key).get("city") == was


def test_what_moved_on_is_left_alone(desk: Desk) -> None:
    key = desk.patient()
    edit(desk, key, city="Ours", postal_code="10998")
    (effect,) = desk.journal.effects_recent(1)
    desk.run("UPDATE patient SET City='Theirs' WHERE PatNum=?", key)
    (step,) = undo(desk, effect.number)
    assert step.code == "undo.moved_on"
    assert desk.record(Stream.PATIENT, key)["postal_code"] == "10998"
    desk.run("UPDATE patient SET City='Ours', Address2='elsewhere' WHERE PatNum=?", key)
    (step,) = undo(desk, effect.number)
    assert step.code == ""


def test_a_batch_goes_newest_first(desk: Desk) -> None:
    key = desk.patient()
    was = desk.record(Stream.PATIENT, key).get("city")
    for city in ("One", "Two"):
        edit(desk, key, city=city)
    second, first = desk.journal.effects_recent(2)
    with lane_at_work(desk):
        preview = desk.two.undoer.preview([first, second])
    assert [(s.number, s.code) for s in preview] == [(second.number, ""), (first.number, "")]
    assert desk.record(Stream.PATIENT, key)["city"] == "Two"
    steps = undo(desk, first.number, second.number)
    assert [s.code for s in steps] == ["", ""]
    assert desk.record(Stream.PATIENT, key).get("city") == was


def test_a_booking_leaves_the_schedule_and_a_cancelled_one_returns_if_it_can(desk: Desk) -> None:
    key = desk.booked()
    place = desk.record(Stream.APPOINTMENT, key)
    desk.do(
        CommandType.APPOINTMENT_CANCEL, {"break_type": "cancelled", "to_unscheduled": True},
        target=("appointment", str(key)),
    )  # fmt: skip
    (cancelled,) = desk.journal.effects_recent(1)
    assert cancelled.effect.kind is EffectKind.BREAK
    other = desk.book(who=desk.patient(2))
    desk.work()
    (step,) = undo(desk, cancelled.number)
    assert step.code in ("slot.operatory_taken", "slot.provider_taken")
    assert desk.outcome(other) is not None
    (booking,) = desk.effects(other)
    (taken_off,) = undo(desk, booking.number)
    assert taken_off.code == ""
    (step,) = undo(desk, cancelled.number)
    assert step.code == ""
    held = desk.record(Stream.APPOINTMENT, key)
    assert (held["status"], held["start"], held["operatory_key"]) == (
        "scheduled", place["start"], place["operatory_key"],
    )  # fmt: skip


def test_what_has_no_inverse_says_so(desk: Desk) -> None:
    desk.do(CommandType.COMMLOG_APPEND, {"patient_key": str(desk.patient()), "note": "Called.",
            "mode": "phone", "direction": "received"})  # fmt: skip
    (effect,) = desk.journal.effects_recent(1)
    (step,) = undo(desk, effect.number)
    assert step.code == "undo.no_inverse"
    edit(desk, desk.patient(), city="Once")
    (effect,) = desk.journal.effects_recent(1)
    desk.two.safety.say(DESK, Switch(SafetyMode.READ_ONLY), "tester")
    (step,) = undo(desk, effect.number)
    assert step.code == "safety.read_only"


def test_a_new_patient_stays_and_the_visit_made_with_them_goes(desk: Desk) -> None:
    ident = desk.book(payload={"patient": {"new": {"last_name": "Newly", "first_name": "Nell",
                                                   "birthdate": "1990-01-02"}}})  # fmt: skip
    desk.work()
    made, booked = desk.effects(ident)
    steps = {step.number: step.code for step in undo(desk, made.number, booked.number)}
    assert steps == {booked.number: "", made.number: "undo.patient_stays"}
    assert desk.one("SELECT COUNT(*) FROM patient WHERE LName='Newly'") == 1
    assert desk.one("SELECT AptStatus FROM appointment WHERE AptNum=?", booked.key) == 3


def test_a_refusal_of_messages_is_not_taken_back(desk: Desk) -> None:
    desk.do(CommandType.CONSENT_SET, {"channel": "sms", "consent": "denied", "source": "reply",
            "at": "2026-11-20T15:00:00Z"}, target=("patient", str(desk.patient())))  # fmt: skip
    (effect,) = desk.journal.effects_recent(1)
    (step,) = undo(desk, effect.number)
    assert step.code == "undo.opt_out_stays"


def cancel(desk: Desk, key: Any, note: str | None = None) -> None:
    payload = {"break_type": "cancelled", "to_unscheduled": True}
    desk.do(CommandType.APPOINTMENT_CANCEL, payload if note is None else {**payload, "note": note},
            target=("appointment", str(key)))  # fmt: skip


def preview(desk: Desk, *numbers: int) -> list[tuple[int, str]]:
    rows = [row for number in numbers if (row := desk.journal.effect(number)) is not None]
    with lane_at_work(desk):
        return [(step.number, step.code) for step in desk.two.undoer.preview(rows)]


def test_a_booking_and_its_cancelling_go_together_although_we_added_a_note(desk: Desk) -> None:
    desk.book(payload={"note": "first"})
    desk.work()
    key = desk.visits()[0][0]
    cancel(desk, key, "cancelled by text")
    broke, noted, booked = desk.journal.effects_recent(3)
    wanted = [(broke.number, ""), (noted.number, "undo.no_inverse"), (booked.number, "")]
    assert preview(desk, booked.number, noted.number, broke.number) == wanted
    steps = undo(desk, booked.number, noted.number, broke.number)
    assert [(step.number, step.code) for step in steps] == wanted
    held = desk.record(Stream.APPOINTMENT, key)
    assert held["status"] == "unscheduled"
    assert "cancelled by text" in held["note"]
    again = undo(desk, *(row.number for row in desk.journal.effects_recent(20)))
    assert {step.code for step in again} <= {"undo.nothing", "undo.already", "undo.no_inverse"}
    assert desk.record(Stream.APPOINTMENT, key)["status"] == "unscheduled"


def test_of_one_record_all_is_taken_back_or_nothing(desk: Desk) -> None:
    desk.book(payload={"note": "first"})
    desk.work()
    key = desk.visits()[0][0]
    cancel(desk, key)
    broke, booked = desk.journal.effects_recent(2)
    desk.run("UPDATE appointment SET Note='theirs' WHERE AptNum=?", key)
    wanted = [(broke.number, "undo.together"), (booked.number, "undo.moved_on")]
    assert preview(desk, booked.number, broke.number) == wanted
    steps = undo(desk, booked.number, broke.number)
    assert [(step.number, step.code) for step in steps] == wanted
    assert desk.record(Stream.APPOINTMENT, key)["status"] == "unscheduled"
    edit(desk, desk.patient(3), city="Elsewhere")
    (other,) = desk.journal.effects_recent(1)
    steps = undo(desk, booked.number, broke.number, other.number)
    assert [step.code for step in steps] == ["", "undo.together", "undo.moved_on"]
    (alone,) = undo(desk, broke.number)  # asked for by itself
    assert alone.code == ""
    assert desk.record(Stream.APPOINTMENT, key)["status"] == "scheduled"


def test_only_what_somebody_else_changed_is_called_so(desk: Desk) -> None:
    key = desk.patient()
    for city in ("One", "Two"):
        edit(desk, key, city=city)
    second, first = desk.journal.effects_recent(2)
    assert preview(desk, first.number) == [(first.number, "undo.later_first")]
    desk.run("UPDATE patient SET City='Theirs' WHERE PatNum=?", key)
    assert preview(desk, first.number) == [(first.number, "undo.moved_on")]
    visit = desk.booked()
    (booked,) = desk.journal.effects_recent(1)
    cancel(desk, visit)
    desk.run("UPDATE appointment SET Op=0 WHERE AptNum=?", visit)  # as Open Dental does
    assert preview(desk, booked.number) == [(booked.number, "undo.later_first")]
    assert second.undo is UndoState.ARMED


def test_a_place_that_is_given_up_in_the_same_selection_counts_as_free(desk: Desk) -> None:
    key = desk.booked()
    cancel(desk, key)
    (broke,) = desk.journal.effects_recent(1)
    desk.book(who=desk.patient(2))
    desk.work()
    (other,) = desk.journal.effects_recent(1)
    wanted = [(other.number, ""), (broke.number, "")]
    assert preview(desk, broke.number, other.number) == wanted
    assert [(s.number, s.code) for s in undo(desk, broke.number, other.number)] == wanted
    assert desk.record(Stream.APPOINTMENT, key)["status"] == "scheduled"


def test_of_the_practices_own_fields_only_the_named_ones_change() -> None:
    held = {"city": "One", "custom": {"Shoe": "42", "Hat": "58"}}
    assert overlaid(held, {"custom": {"Hat": ""}}) == {
        "city": "One", "custom": {"Shoe": "42", "Hat": ""},
    }  # fmt: skip
    assert overlaid({}, {"custom": {"Hat": ""}, "city": None}) == {
        "city": None, "custom": {"Hat": ""},
    }  # fmt: skip


# -- conflicts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("winner", "value", "city"),
    [(Winner.PMS, None, "Office"), (Winner.CRM, None, "Cloud"), (Winner.VALUE, "Third", "Third")],
)
def test_a_decision_is_carried_out(desk: Desk, winner: Winner, value: Any, city: str) -> None:
    key = desk.patient()
    number = clash(desk, key, office="Office", cloud="Cloud")
    desk.two.resolver.resolve(number, winner, value, actor="tester", remember=False)
    assert desk.record(Stream.PATIENT, key)["city"] == "Office"  # not yet
    desk.clock.advance(6)
    desk.settle()
    assert desk.record(Stream.PATIENT, key)["city"] == city
    outcome = desk.outcome("cmd-Office-Cloud")
    assert outcome is not None
    if winner is Winner.PMS:
        assert (outcome.state, outcome.reason_code) == (EndState.REJECTED, Reason.VERSION_CONFLICT)
    else:
        assert outcome.state is EndState.APPLIED
    (told,) = desk.port.conflicts.values()
    assert (told.state, told.winner) == ("resolved", winner.value)


def test_a_decision_can_be_taken_back_until_it_is_carried_out(desk: Desk) -> None:
    key = desk.patient()
    number = clash(desk, key, office="Office", cloud="Cloud")
    desk.two.resolver.resolve(number, Winner.CRM, None, actor="tester", remember=False)
    desk.clock.advance(2)
    desk.work()
    desk.two.resolver.undo(number, actor="tester")
    desk.clock.advance(60)
    desk.work()
    assert desk.record(Stream.PATIENT, key)["city"] == "Office"
    (anew,) = desk.journal.conflicts()
    assert anew.state is ConflictState.OPEN
    desk.two.resolver.resolve(anew.number, Winner.CRM, None, actor="tester", remember=False)
    desk.clock.advance(6)
    desk.settle()
    assert desk.record(Stream.PATIENT, key)["city"] == "Cloud"
    with pytest.raises(CannotResolve, match="dispatched"):
        desk.two.resolver.undo(anew.number, actor="tester")


def test_a_decision_never_overwrites_what_nobody_has_seen(desk: Desk) -> None:
    key = desk.patient()
    number = clash(desk, key, office="Office", cloud="Cloud")
    desk.two.resolver.resolve(number, Winner.CRM, None, actor="tester", remember=False)
    desk.run("UPDATE patient SET City='Later still' WHERE PatNum=?", key)
    desk.clock.advance(6)
    desk.work()
    assert desk.record(Stream.PATIENT, key)["city"] == "Later still"
    (anew,) = desk.journal.conflicts()
    assert (anew.pms, anew.crm) == ("Later still", "Cloud")


def test_a_field_kept_back_is_decided_by_a_command_of_our_own(desk: Desk) -> None:
    key = desk.patient()
    was = desk.record(Stream.PATIENT, key)
    desk.run("UPDATE patient SET City='Office' WHERE PatNum=?", key)
    outcome = desk.do(
        CommandType.PATIENT_UPDATE, {"fields": {"city": "Cloud", "postal_code": "10997"}},
        target=("patient", str(key)),
        expected={"city": was.get("city"), "postal_code": was.get("postal_code")},
    )  # fmt: skip
    assert outcome.kept_fields == ("city",)
    (row,) = desk.journal.conflicts()
    desk.two.resolver.resolve(row.number, Winner.CRM, None, actor="tester", remember=False)
    told = len(desk.port.told)
    desk.clock.advance(6)
    desk.settle()
    assert desk.record(Stream.PATIENT, key)["city"] == "Cloud"
    assert len(desk.port.told) == told  # the CRM never hears of our own command
    assert not desk.journal.commands_unreported(10)


def test_what_always_asks_is_not_remembered(desk: Desk) -> None:
    key = desk.patient()
    was = desk.record(Stream.PATIENT, key).get("last_name")
    desk.run("UPDATE patient SET LName='Officename' WHERE PatNum=?", key)
    desk.do(CommandType.PATIENT_UPDATE, {"fields": {"last_name": "Cloudname"}},
            target=("patient", str(key)), expected={"last_name": was})  # fmt: skip
    (row,) = desk.journal.conflicts()
    with pytest.raises(CannotResolve, match="always_asks"):
        desk.two.resolver.resolve(row.number, Winner.CRM, None, actor="tester", remember=True)
    assert desk.journal.conflicts()[0].state is ConflictState.OPEN


def test_a_place_both_sides_moved_is_one_decision(desk: Desk) -> None:
    key = desk.booked()
    was = desk.record(Stream.APPOINTMENT, key)["start"]
    desk.run("UPDATE appointment SET AptDateTime=datetime(AptDateTime,'+1 hour') WHERE AptNum=?",
             key)  # fmt: skip
    wished = desk.place(6)["start"]
    ident = desk.ask(CommandType.APPOINTMENT_RESCHEDULE, {"start": wished},
                     target=("appointment", str(key)), expected={"start": was})  # fmt: skip
    desk.work()
    (row,) = desk.journal.conflicts()
    desk.two.resolver.resolve(row.number, Winner.CRM, None, actor="tester", remember=False)
    desk.clock.advance(6)
    desk.settle()
    assert desk.record(Stream.APPOINTMENT, key)["start"] == wished
    outcome = desk.outcome(ident)
    assert outcome is not None
    assert outcome.state is EndState.APPLIED


def test_an_undo_that_is_cut_is_found_by_the_probe(desk: Desk) -> None:
    key = desk.patient()
    was = desk.record(Stream.PATIENT, key).get("city")
    edit(desk, key, city="Changed")
    (effect,) = desk.journal.effects_recent(1)

    desk.writer.lose_answer_once()
    (step,) = undo(desk, effect.number)
    assert step.code == "undo.unsettled"
    desk.settle(10)
    assert desk.record(Stream.PATIENT, key).get("city") == was
    after = desk.journal.effect(effect.number)
    assert after is not None
    assert after.undo is UndoState.USED
    assert desk.journal.effects_recent(1)[0].state is EffectState.VERIFIED
