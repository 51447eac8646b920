"""The office types into a record while an edit of it is on its way."""

from __future__ import annotations

from typing import Any

import pytest

from agent.model.commands import CommandOutcome, CommandType, EndState, Reason
from agent.model.effects import Effect, WriteRefused
from agent.model.streams import Stream
from tests.sync.pullrig import Desk
from tests.sync.pullsite import desk, open_desk, site_template

__all__ = ["desk", "open_desk", "site_template"]


def move_to_cloudville(desk: Desk, key: int) -> CommandOutcome:
    """The CRM's edit of a patient as it shows now; what came of it."""
    return desk.do(
        CommandType.PATIENT_UPDATE,
        {"fields": {"city": "Cloudville"}},
        target=("patient", str(key)),
        expected={"city": desk.record(Stream.PATIENT, key).get("city")},
    )


def test_what_is_typed_between_the_plan_and_the_write_is_not_replaced(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = desk.patient()
    intend = desk.two.writing._intend

    def and_the_office_types(*planned: Any) -> int:
        number = intend(*planned)
        desk.run("UPDATE patient SET City='Officetown' WHERE PatNum=?", key)
        return number

    monkeypatch.setattr(desk.two.writing, "_intend", and_the_office_types)
    outcome = move_to_cloudville(desk, key)
    assert outcome.state is EndState.CONFLICT
    assert not desk.writer.written
    assert desk.record(Stream.PATIENT, key)["city"] == "Officetown"
    (conflict,) = desk.journal.conflicts()
    assert (conflict.field, conflict.pms, conflict.crm) == ("city", "Officetown", "Cloudville")


def test_a_writer_holds_before_the_last_look(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is typed while it holds is seen by the look; what is typed later is not what it held."""
    key = desk.patient()

    def hold(_effect: Effect) -> None:
        desk.run("UPDATE patient SET City='Officetown' WHERE PatNum=?", key)

    monkeypatch.setattr(desk.writer, "hold", hold, raising=False)
    outcome = move_to_cloudville(desk, key)
    assert outcome.state is EndState.CONFLICT
    assert not desk.writer.written


def test_a_writer_that_cannot_hold_has_written_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = desk.patient()

    def hold(_effect: Effect) -> None:
        raise WriteRefused(Reason.VERSION_CONFLICT, "write.record_gone")

    monkeypatch.setattr(desk.writer, "hold", hold, raising=False)
    outcome = move_to_cloudville(desk, key)
    assert (outcome.state, outcome.reason_code) == (EndState.REJECTED, Reason.VERSION_CONFLICT)
    assert not desk.writer.written
    assert not desk.journal.effects_open()
