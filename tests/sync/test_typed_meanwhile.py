"""The office types into a record while an edit of it is on its way."""

from __future__ import annotations

from typing import Any

import pytest

from agent.model.commands import CommandType, EndState
from agent.model.streams import Stream
from tests.sync.pullrig import Desk
from tests.sync.pullsite import desk, open_desk, site_template

__all__ = ["desk", "open_desk", "site_template"]


def test_what_is_typed_between_the_plan_and_the_write_is_not_replaced(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = desk.patient()
    before = desk.record(Stream.PATIENT, key)
    intend = desk.two.writing._intend

    def and_the_office_types(*planned: Any) -> int:
        number = intend(*planned)
        desk.run("UPDATE patient SET City='Officetown' WHERE PatNum=?", key)
        return number

    monkeypatch.setattr(desk.two.writing, "_intend", and_the_office_types)
    outcome = desk.do(
        CommandType.PATIENT_UPDATE,
        {"fields": {"city": "Cloudville"}},
        target=("patient", str(key)),
        expected={"city": before.get("city")},
    )
    assert outcome.state is EndState.CONFLICT
    assert not desk.writer.written
    assert desk.record(Stream.PATIENT, key)["city"] == "Officetown"
    (conflict,) = desk.journal.conflicts()
    assert (conflict.field, conflict.pms, conflict.crm) == ("city", "Officetown", "Cloudville")
