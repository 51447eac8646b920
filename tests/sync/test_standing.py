"""What was written stands: a late proof ends a command as applied, whatever has changed meanwhile.

The answer to the write is lost; before anybody looks again, time runs out, a switch is turned, a
consent is taken back. The CRM must hear what is true in the practice. Writer and CRM are mocks
(``pullrig``), journal, driver and tables are real.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agent.model.commands import CommandType, EndState, Reason
from agent.model.desk import SafetyMode
from agent.model.effects import Written
from agent.sync.switches import DESK, Switch
from tests.sync.pullrig import Desk, iso
from tests.sync.pullsite import desk, open_desk, site_template

__all__ = ["desk", "open_desk", "site_template"]

SOON = timedelta(seconds=2)


def soon(desk: Desk) -> str:
    return iso(desk.clock.now() + SOON)


def ends(desk: Desk, ident: str) -> EndState:
    desk.settle()
    outcome = desk.outcome(ident)
    assert outcome is not None
    return outcome.state


def call(desk: Desk, **more: Any) -> str:
    payload = {"patient_key": str(desk.patient()), "note": "asked back", "mode": "phone"}
    return desk.ask(CommandType.COMMLOG_APPEND, {**payload, **more.pop("payload", {})}, **more)


def calls(desk: Desk) -> int:
    return int(desk.rows("SELECT COUNT(*) FROM commlog WHERE Note='asked back'")[0][0])


@pytest.mark.parametrize("switched", [None, SafetyMode.READ_ONLY, SafetyMode.STOPPED])
def test_a_booking(desk: Desk, switched: SafetyMode | None) -> None:
    desk.writer.lose_answer_once()
    ident = desk.book(not_after=soon(desk))
    desk.work(1)
    if switched is not None:
        desk.two.safety.say(DESK, Switch(switched), "t")
    desk.clock.advance(5)
    if switched is SafetyMode.STOPPED:  # nothing at all is done until it is lifted
        desk.settle()
        desk.two.safety.say(DESK, Switch(SafetyMode.NORMAL), "t")
    assert ends(desk, ident) is EndState.APPLIED
    assert len(desk.visits()) == 1


def test_a_logged_call(desk: Desk) -> None:
    desk.writer.lose_answer_once()
    ident = call(desk, not_after=soon(desk))
    desk.work(1)
    desk.clock.advance(5)
    assert ends(desk, ident) is EndState.APPLIED
    assert calls(desk) == 1


def test_a_message_whose_consent_is_taken_back(desk: Desk) -> None:
    desk.run("UPDATE patient SET TxtMsgOk=1 WHERE PatNum=?", desk.patient())
    desk.writer.lose_answer_once()
    ident = call(desk, payload={"mode": "text", "direction": "sent"})
    desk.work(1)
    desk.run("UPDATE patient SET TxtMsgOk=2 WHERE PatNum=?", desk.patient())
    assert ends(desk, ident) is EndState.APPLIED
    assert calls(desk) == 1


def test_a_move(desk: Desk) -> None:
    key = desk.booked()
    place = desk.place(6)
    desk.writer.lose_answer_once()
    ident = desk.ask(
        CommandType.APPOINTMENT_RESCHEDULE,
        {"start": place["start"], "operatory_key": place["operatory_key"]},
        target=("appointment", str(key)),
        not_after=soon(desk),
    )
    desk.work(1)
    desk.clock.advance(5)
    assert ends(desk, ident) is EndState.APPLIED


def test_an_edit(desk: Desk) -> None:
    key = desk.patient()
    desk.writer.lose_answer_once()
    ident = desk.ask(
        CommandType.PATIENT_UPDATE, {"fields": {"city": "Birch Hollow"}},
        target=("patient", str(key)), not_after=soon(desk),
    )  # fmt: skip
    desk.work(1)
    desk.clock.advance(5)
    assert ends(desk, ident) is EndState.APPLIED
    assert desk.rows("SELECT City FROM patient WHERE PatNum=?", key)[0][0] == "Birch Hollow"


def test_what_a_person_finds_long_after_its_time(desk: Desk) -> None:
    """The office moved the visit at once and no copy of it was kept: no look can tell, a person
    does, an hour too late."""

    def moved(done: Written) -> None:
        desk.run("UPDATE appointment SET AptDateTime=datetime(AptDateTime,'+2 hours')"
                 " WHERE AptNum=?", done.key)  # fmt: skip
        desk.run("DELETE FROM histappointment WHERE AptNum=?", done.key)

    desk.writer.lose_answer_once(moved)
    ident = desk.book(not_after=iso(desk.clock.now() + timedelta(seconds=600)))
    for _ in range(6):
        desk.work(1)
        desk.clock.advance(1.0)
    (effect,) = desk.journal.effects_unknown()
    desk.clock.advance(3600)
    desk.two.tell.step()
    key = desk.visits()[0][0]
    desk.two.settle_effect(effect.number, happened=True, key=key, actor="t")
    assert ends(desk, ident) is EndState.APPLIED


def test_what_was_never_written_runs_out_of_time(desk: Desk) -> None:
    ident = call(desk, not_after=soon(desk))
    desk.clock.advance(5)
    assert ends(desk, ident) is EndState.EXPIRED
    assert calls(desk) == 0


def test_forgetting_reaches_what_named_the_person_in_words_only(desk: Desk) -> None:
    key = desk.patient()
    last, first, born = desk.rows(
        "SELECT LName, FName, date(Birthdate) FROM patient WHERE PatNum=?", key
    )[0]
    person = {"last_name": last, "first_name": first, "birthdate": born}
    asked = desk.ask(CommandType.PATIENT_CREATE, person)
    desk.settle()
    outcome = desk.outcome(asked)
    assert outcome is not None
    assert outcome.reason_code in (Reason.PATIENT_AMBIGUOUS, Reason.DUPLICATE_OF)
    forget = desk.ask(CommandType.FORGET, {"patient_key": str(key)})
    assert ends(desk, forget) is EndState.APPLIED
    row = desk.journal.command(asked)
    assert row is None or last not in str(row.command.payload)
