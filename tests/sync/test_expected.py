"""What the CRM showed when somebody decided: a visit that was changed since is left alone, and an
edit that follows another of the CRM's own stands on what that one wrote."""

from __future__ import annotations

from typing import Any

import pytest

from agent.model.commands import CommandOutcome, CommandType, EndState, Reason
from agent.model.streams import Stream
from tests.sync.pullrig import Desk
from tests.sync.pullsite import desk, open_desk, site_template

__all__ = ["desk", "open_desk", "site_template"]

CONFIRM, CANCEL = CommandType.APPOINTMENT_CONFIRM, CommandType.APPOINTMENT_CANCEL
STATUS, UPDATE = CommandType.APPOINTMENT_STATUS_SET, CommandType.PATIENT_UPDATE
ASKED: list[tuple[CommandType, dict[str, Any]]] = [
    (CONFIRM, {"confirmation_category": "confirmed"}),
    (CANCEL, {"break_type": "cancelled", "to_unscheduled": True, "note": "by text"}),
    (STATUS, {"status": "broken"}),
    (STATUS, {"status": "scheduled"}),
]
MOVED = "UPDATE appointment SET AptDateTime=datetime(AptDateTime,'+7 days') WHERE AptNum=?"
OTHER_ROOM = "UPDATE appointment SET Op=Op+1 WHERE AptNum=?"
BROKEN = "UPDATE appointment SET AptStatus=5 WHERE AptNum=?"


def shown(desk: Desk, key: Any) -> dict[str, Any]:
    held = desk.record(Stream.APPOINTMENT, key)
    return {name: held.get(name) for name in ("start", "operatory_key", "status")}


def is_changed(outcome: CommandOutcome) -> bool:
    told = (outcome.state, outcome.reason_code, outcome.staff_text)
    return told == (EndState.REJECTED, Reason.VERSION_CONFLICT, "appointment.changed_since")


@pytest.mark.parametrize(("kind", "payload"), ASKED)
@pytest.mark.parametrize("by_office", [MOVED, OTHER_ROOM])
def test_the_answer_for_the_old_time_is_not_applied_to_the_new_one(
    desk: Desk, kind: CommandType, payload: dict[str, Any], by_office: str
) -> None:
    key = desk.booked()
    was = shown(desk, key)
    desk.run(by_office, key)
    row = desk.rows("SELECT * FROM appointment WHERE AptNum=?", key)
    outcome = desk.do(kind, payload, target=("appointment", str(key)), expected=was)
    assert is_changed(outcome), outcome
    assert outcome.pms_key == str(key)
    assert desk.rows("SELECT * FROM appointment WHERE AptNum=?", key) == row
    assert not desk.journal.conflicts()


def test_a_visit_the_office_broke_is_not_confirmed(desk: Desk) -> None:
    key = desk.booked()
    was = shown(desk, key)
    desk.run(BROKEN, key)
    outcome = desk.do(CONFIRM, {"confirmation_category": "confirmed"},
                      target=("appointment", str(key)), expected=was)  # fmt: skip
    assert is_changed(outcome), outcome
    assert desk.one("SELECT AptStatus FROM appointment WHERE AptNum=?", key) == 5


def test_what_is_cancelled_already_is_cancelled(desk: Desk) -> None:
    """Both said the same: nothing is written and nobody needs to be asked."""
    key = desk.booked()
    was = shown(desk, key)
    desk.run(BROKEN, key)
    outcome = desk.do(CANCEL, {"break_type": "cancelled", "to_unscheduled": False},
                      target=("appointment", str(key)), expected=was)  # fmt: skip
    assert outcome.state is EndState.APPLIED
    assert not desk.effects(next(ident for ident, told in desk.port.told if told is outcome))


@pytest.mark.parametrize(("kind", "payload"), ASKED)
def test_as_shown_it_is_done(desk: Desk, kind: CommandType, payload: dict[str, Any]) -> None:
    key = desk.booked()
    was = shown(desk, key)
    was["start"] = was["start"].replace("Z", "+00:00")  # the same moment, spelled otherwise
    outcome = desk.do(kind, payload, target=("appointment", str(key)), expected=was)
    assert outcome.state is EndState.APPLIED, outcome


def test_an_expectation_nobody_can_read_is_refused(desk: Desk) -> None:
    key = desk.booked()
    outcome = desk.do(CONFIRM, {"confirmation_category": "confirmed"},
                      target=("appointment", str(key)), expected={"start": "noon"})  # fmt: skip
    assert outcome.reason_code is Reason.VALIDATION_FAILED


def test_moved_meanwhile_a_move_is_a_persons(desk: Desk) -> None:
    key = desk.booked()
    was = shown(desk, key)
    desk.run(MOVED, key)
    outcome = desk.do(CommandType.APPOINTMENT_RESCHEDULE, {"start": desk.place(4)["start"]},
                      target=("appointment", str(key)), expected=was)  # fmt: skip
    assert outcome.state is EndState.CONFLICT


# -- one edit after another ------------------------------------------------------------------------


def edit(desk: Desk, key: Any, **fields: Any) -> Any:
    """An edit that says nothing of what was shown; nothing is sent to the CRM meanwhile."""
    ident = desk.ask(UPDATE, {"fields": fields}, target=("patient", str(key)))
    for _ in range(3):
        desk.two.pull.step()
        desk.apply_round()
        desk.two.tell.step()
    return desk.outcome(ident)


def agreed_patient(desk: Desk) -> Any:
    """A patient both sides hold alike, with a city, a postal code and a number."""
    key = desk.patient()
    desk.run("UPDATE patient SET City='Here', Zip='10001', WirelessPhone='2125550101'"
             " WHERE PatNum=?", key)  # fmt: skip
    desk.engine.send_again(desk.reader, desk.session, Stream.PATIENT, [key])
    desk.send()
    return key


def test_a_second_edit_stands_on_the_first(desk: Desk) -> None:
    key = agreed_patient(desk)
    assert edit(desk, key, city="First").state is EndState.APPLIED
    held = desk.journal.held(Stream.PATIENT, [key])[key]
    assert held.agreed != held.hash, "the CRM has not heard of it yet"
    assert edit(desk, key, city="Second").state is EndState.APPLIED
    assert edit(desk, key, city="Third", postal_code="10002").state is EndState.APPLIED
    found = desk.rows("SELECT City, Zip FROM patient WHERE PatNum=?", key)
    assert found == [("Third", "10002")]
    assert not desk.journal.conflicts()


@pytest.mark.parametrize("is_read", [True, False])
def test_what_the_office_wrote_in_between_is_not_overwritten(desk: Desk, is_read: bool) -> None:
    key = agreed_patient(desk)
    assert edit(desk, key, city="First").state is EndState.APPLIED
    desk.run("UPDATE patient SET City='Office' WHERE PatNum=?", key)
    if is_read:
        desk.session.watch.tick(desk.reader, desk.engine.brakes.on)
    assert edit(desk, key, city="Second").state is EndState.CONFLICT
    assert desk.one("SELECT City FROM patient WHERE PatNum=?", key) == "Office"


def test_back_to_what_we_once_wrote_is_the_offices_edit(desk: Desk) -> None:
    """The CRM shows what the office wrote in between: that it went back is news."""
    key = agreed_patient(desk)
    assert edit(desk, key, city="First").state is EndState.APPLIED
    desk.send()
    desk.run("UPDATE patient SET City='Office' WHERE PatNum=?", key)
    desk.engine.send_again(desk.reader, desk.session, Stream.PATIENT, [key])
    desk.send()
    held = desk.journal.held(Stream.PATIENT, [key])[key]
    assert held.agreed == held.hash
    desk.run("UPDATE patient SET City='First' WHERE PatNum=?", key)
    desk.session.watch.tick(desk.reader, desk.engine.brakes.on)
    assert edit(desk, key, city="Second").state is EndState.CONFLICT
    assert desk.one("SELECT City FROM patient WHERE PatNum=?", key) == "First"
