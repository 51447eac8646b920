"""Tab Checks: its words, and its work with a real engine, practice and CRM."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from agent.cli.stage import Stage
from agent.errors import AgentError
from agent.model.longwork import Job, JobState
from agent.model.promises import Promise
from agent.model.proof import Standing, StreamProof
from agent.model.quality import QualityReport, RuleFound
from agent.model.streams import Stream
from gui.handing import Follower
from gui.i18n import Texts
from gui.presenter.checks import (
    numbers_text,
    promise_view,
    quality_notes,
    quality_verdict,
    rules_found,
    side_row,
    sides_verdict,
)
from gui.windows.checks import Checks
from gui.windows.window import Window

NOW = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
TEXTS = Texts()
WAIT_MS = 60_000


# --- words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("promise", "tone", "mark", "figure"),
    [
        (Promise("alert.sync_success", 100.0, 99.9, 5772), "good", "✓ Kept", "100 % of 5,772"),
        (Promise("alert.sync_success", 99.5, 99.9, 200), "warn", "! Just missed", "99.5 % of 200"),
        (Promise("alert.slow", 0.09, 1.0, 300), "good", "✓ Kept", "90 ms for 99"),
        (
            Promise("alert.slow", 2.5, 1.0, 300, NOW),
            "bad",
            "\u00d7 Missed since",
            "2 seconds",
        ),
        (Promise("alert.slow", None, 1.0, 3), "idle", "\u2013 Not known", "too little happened"),
        (Promise("alert.unproven", 0.3, 1.5, 3), "good", "✓ Kept", "oldest proof 0.3 rounds"),
    ],
)
def test_a_promise_is_green_only_with_a_figure_within_its_bound(
    promise: Promise, tone: str, mark: str, figure: str
) -> None:
    view = promise_view(promise, NOW, TEXTS)
    assert (view.tone, view.mark.startswith(mark)) == (tone, True), view
    assert view.figure.startswith(figure), view


def line(standing: Standing, **more: int | str) -> StreamProof:
    return StreamProof(Stream.PATIENT, standing, NOW, 40, 40, **more)  # type: ignore[arg-type]


def test_what_was_left_out_is_never_fine() -> None:
    equal, waits = line(Standing.EQUAL), line(Standing.WAITING, waiting=2)
    wrong = line(Standing.DIFFERS, missing=2, different=1, repaired=1)
    left = line(Standing.SKIPPED, why="pms.stream_held")
    assert sides_verdict((), TEXTS)[1] == "idle"
    assert sides_verdict((equal, waits), TEXTS)[1] == "good"
    assert sides_verdict((equal, left), TEXTS) == (
        "1 kind of record could not be compared.",
        "warn",
    )
    told = sides_verdict((equal, left, wrong), TEXTS)
    assert told == ("2 records differ between practice and CRM.", "bad")
    assert (side_row(wrong, NOW, TEXTS).wrong, side_row(wrong, NOW, TEXTS).tone) == ("3", "bad")
    mended = side_row(line(Standing.WAITING, missing=2, repaired=2), NOW, TEXTS)
    assert (mended.state, mended.tone) == ("✓ Put right", "good")
    assert side_row(left, NOW, TEXTS).wrong == "–"  # noqa: RUF001
    assert side_row(left, NOW, TEXTS).tip == TEXTS.message("pms.stream_held").title


def test_the_most_found_stands_first_with_its_numbers() -> None:
    few = RuleFound("a", Stream.PATIENT, {"en": "Few"}, 1, 40, ("4",))
    many = RuleFound("b", Stream.APPOINTMENT, {"en": "Many"}, 12, 90, ("1", "2"))
    none = RuleFound("c", Stream.CLAIM, {"en": "None"}, 0, 5)
    rows = {Stream.PATIENT: 40}
    report = QualityReport(NOW, (few, none, many), rows, (Stream.CLAIM,), (), 0.1)
    assert rules_found(report) == [many, few]
    assert quality_verdict(report, TEXTS) == ("13 things worth a look in 40 records.", "warn")
    assert "Claims" in quality_notes(report, TEXTS)
    assert numbers_text(many, TEXTS) == "Appointments 1, 2 and 10 more"
    assert numbers_text(few, TEXTS) == "Patients 4"


# --- a real engine -------------------------------------------------------------------------------


@pytest.fixture
def checks(window: Window, qtbot: QtBot) -> Checks:
    window.open_at("checks")
    tab = window.tab
    assert isinstance(tab, Checks)
    qtbot.waitUntil(lambda: len(tab.lines.rows) == len(Stream), timeout=WAIT_MS)
    return tab


def test_both_sides_are_compared_from_the_window(checks: Checks, qtbot: QtBot) -> None:
    asked_at = datetime.now(UTC)
    assert len(checks._rows) == 3  # three promises, each with its figure
    checks.compare.click()
    assert not checks.compare.isEnabled()
    qtbot.waitUntil(checks.compare.isEnabled, timeout=WAIT_MS)
    assert all(row.at >= asked_at - timedelta(seconds=1) for row in checks.lines.rows)
    assert checks.verdict.text() == TEXTS("checks.sides.fine")
    assert checks.repair.isHidden()
    qtbot.waitUntil(lambda: checks.root.isVisible(), timeout=WAIT_MS)
    assert not checks.comparing.isVisible()


def test_what_is_worth_a_look_is_listed_by_number_and_copied(
    checks: Checks, practice: Stage, qtbot: QtBot
) -> None:
    practice.desk.update("patient", 7, {"Birthdate": "0001-01-01"})
    try:

        def is_listed() -> bool:
            if not checks.review.isEnabled():
                return False
            rules = [rule for rule in checks.rules.rows if rule.code == "patient_no_birthdate"]
            if not any("7" in rule.keys for rule in rules):
                checks.review.click()  # the agent may not have read it yet
                return False
            return True

        qtbot.waitUntil(is_listed, timeout=WAIT_MS)
        at = [rule.code for rule in checks.rules.rows].index("patient_no_birthdate")
        checks.rule_list.selectRow(at)
        assert "7" in checks.numbers.text().removeprefix("Patients ").split(", ")
        checks.copy.click()
        assert checks.numbers.text() in QGuiApplication.clipboard().text()
    finally:
        practice.desk.update("patient", 7, {"Birthdate": "1980-02-03"})


def test_work_of_an_agent_that_began_anew_ends_and_can_be_asked_again(checks: Checks) -> None:
    """The job went with the agent: the button must not stay grey."""
    ended: list[Job] = []
    running = Job(1, "audit", JobState.RUNNING)
    follower = Follower(checks.shell.link, running, lambda _: None, ended.append, checks)
    follower._lost(AgentError("control.lost"))
    assert [(job.state, job.code) for job in ended] == [(JobState.FAILED, "control.lost")]
