"""As well as before: what was broken already is not held against the new version."""

from __future__ import annotations

import pytest

from agent.model.reading import Finding, Severity
from agent.runtime.updates.health import complaint
from tests.updates.computer import said

OLD, NEW = "1.1.0", "1.2.0"


def error(code: str) -> dict[str, object]:
    return {"findings": (Finding(code, Severity.ERROR),)}


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({}, {}, ""),
        ({}, {"last_read_at": None}, "not_reading"),
        ({}, {"crm_error": "crm.unreachable"}, "no_crm"),
        ({}, {"is_set_up": False}, "not_set_up"),
        ({}, error("journal.newer"), "journal.newer"),
        ({}, error("map.broken"), "map.broken"),
        ({}, error("guard.mass_change"), ""),  # the practice's doing, not the program's
        # What did not work before need not work now.
        ({"pms_error": "pms.unreachable"}, {"last_read_at": None}, ""),
        ({"last_read_at": None}, {"last_read_at": None}, ""),
        ({"crm_error": "crm.unreachable"}, {"crm_error": "crm.unreachable"}, ""),
        ({"is_set_up": False, "last_read_at": None}, {"is_set_up": False}, ""),
        (error("journal.chain_broken"), error("journal.chain_broken"), ""),
    ],
)
def test_it_is_compared_with_what_was(
    before: dict[str, object], now: dict[str, object], expected: str
) -> None:
    assert complaint(said(OLD, **before), said(NEW, **now), NEW) == expected


def test_silence_and_the_wrong_one_answering() -> None:
    assert complaint(said(OLD), None, NEW) == "no_answer"
    assert complaint(None, None, NEW) == "no_answer"
    assert complaint(said(OLD), said(OLD), NEW) == "other_version"
    assert complaint(None, said(NEW, last_read_at=None), NEW) == "", "the old one was silent too"
