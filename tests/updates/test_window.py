"""The window shows that there is a new version, in words for who looks at it."""

from __future__ import annotations

import msgspec

from agent.model.reading import Finding, Severity
from gui.i18n import Texts
from gui.presenter.overview import findings_view
from tests.updates.computer import said

FACTS = {"version": "1.2.0", "current": "1.1.0", "before": "1.1.0", "why": "no_answer"}


def shown(code: str, severity: Severity) -> list[tuple[str, str, str]]:
    found = Finding(code, severity, FACTS)
    snapshot = msgspec.structs.replace(said("1.1.0").snapshot, findings=(found,))
    views = findings_view(snapshot, Texts("en"), may=lambda _: True, tabs={"support"})
    return [(view.tone, view.title, view.next_step) for view in views]


def test_what_waits_for_a_person_is_shown_with_its_step() -> None:
    ((tone, title, step),) = shown("update.available", Severity.WARNING)
    assert tone == "warn"
    assert "1.2.0" in title
    assert "IT" in step


def test_a_version_that_was_taken_back_and_one_that_could_not_be() -> None:
    ((_, title, _),) = shown("update.taken_back", Severity.WARNING)
    assert "1.2.0" in title
    assert "1.1.0" in title
    ((tone, _, step),) = shown("update.stranded", Severity.ERROR)
    assert tone == "bad"
    assert step


def test_what_happens_by_itself_bothers_nobody() -> None:
    assert shown("update.planned", Severity.NOTE) == []
    assert shown("update.done", Severity.NOTE) == []
