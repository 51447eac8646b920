"""Overview, Activity and Log against the real agent, as a person uses them."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from PySide6.QtCore import QDateTime, Qt
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from agent.cli.stage import Stage
from agent.model.activity import LOADED, SENT, ActivityLine
from agent.sandbox.practice.front import DeedKind
from agent.sandbox.practice.life import Life
from gui.app import Desktop
from gui.windows.activity import Activity
from gui.windows.log import Log
from gui.windows.overview import Overview
from gui.windows.window import Window
from tests.gui.test_by_hand import choose

SOON_MS = 15_000


@pytest.fixture
def overview(window: Window) -> Overview:
    window.open_at("overview")
    assert isinstance(window.tab, Overview)
    return window.tab


@pytest.fixture
def activity(window: Window, qtbot: QtBot) -> Activity:
    window.open_at("activity")
    assert isinstance(window.tab, Activity)
    tab = window.tab
    qtbot.waitUntil(lambda: tab.model.rowCount() > 0, timeout=SOON_MS)
    return tab


@pytest.fixture
def log(window: Window, qtbot: QtBot) -> Log:
    window.open_at("log")
    assert isinstance(window.tab, Log)
    tab = window.tab
    qtbot.waitUntil(lambda: tab.model.rowCount() > 0, timeout=SOON_MS)
    return tab


# --- overview ------------------------------------------------------------------------------------


def test_it_says_what_the_agent_says(overview: Overview, desktop: Desktop, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: overview.streams.rowCount() > 10, timeout=SOON_MS)
    report = desktop.link.report
    assert report is not None
    patients = next(row for row in overview.streams.rows if row.stream.value == "patient")
    known = next(s for s in report.snapshot.streams if s.stream.value == "patient")
    assert patients.records == f"{known.present:,}"
    assert desktop.view is not None
    assert overview.hero.head.text() == desktop.view.head


def test_a_number_opens_the_tab_that_acts(overview: Overview, window: Window, qtbot: QtBot) -> None:
    unsent = overview.numbers[0]
    assert "Opens Activity" in unsent.accessibleName()
    unsent.setFocus()
    qtbot.keyClick(unsent, Qt.Key.Key_Space)
    assert window.tab is not None
    assert window.tab.name == "activity"


def test_the_day_is_drawn_and_told(overview: Overview, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: "records sent" in overview.chart.accessibleName(), timeout=SOON_MS)
    sent = re.match(r"([\d,]+) records sent", overview.chart.accessibleName())
    assert sent is not None
    assert int(sent[1].replace(",", "")) > 100


def test_checking_now_is_said(overview: Overview, window: Window, qtbot: QtBot) -> None:
    qtbot.waitUntil(overview.check.isEnabled, timeout=SOON_MS)
    qtbot.mouseClick(overview.check, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(window.notice.isVisible, timeout=SOON_MS)


def test_a_tick_changes_nothing_a_person_holds(
    overview: Overview, desktop: Desktop, qtbot: QtBot
) -> None:
    """Selection and focus stay while the status comes every second."""
    qtbot.waitUntil(lambda: overview.streams.rowCount() > 10, timeout=SOON_MS)
    overview.table.selectRow(5)
    overview.table.setFocus()
    chosen = overview.streams.row(5)
    for _ in range(2):
        with qtbot.waitSignal(desktop.link.report_changed, timeout=SOON_MS):
            pass
    rows = overview.table.selectionModel().selectedRows()
    assert chosen is not None
    held = [overview.streams.row(index.row()) for index in rows]
    assert [row.stream for row in held if row is not None] == [chosen.stream]
    assert overview.table.hasFocus()


# --- activity ------------------------------------------------------------------------------------


def _lines(activity: Activity) -> list[ActivityLine]:
    found = (activity.model.row(at) for at in range(activity.model.rowCount()))
    return [line for line in found if line is not None]


def test_what_happens_shows_by_itself_on_top(
    activity: Activity, practice: Stage, qtbot: QtBot
) -> None:
    before = sum(line.count for line in _lines(activity))
    chosen = activity.model.row(3)
    activity.table.selectRow(3)
    deed = Life(practice.desk, seed=99).step(DeedKind.BOOK)

    def shows() -> bool:
        return any(f" {deed.key} " in str(line.facts.get("keys")) for line in _lines(activity))

    qtbot.waitUntil(shows, timeout=SOON_MS)
    assert sum(line.count for line in _lines(activity)) > before
    (index,) = activity.table.selectionModel().selectedRows()
    held = activity.model.row(index.row())
    assert held is not None
    assert chosen is not None
    assert held.number == chosen.number  # what was chosen stays chosen


def test_filters_and_search(activity: Activity, qtbot: QtBot) -> None:
    total = activity.model.rowCount()
    activity.stream.setCurrentIndex(activity.stream.findData("patient"))
    qtbot.waitUntil(lambda: 0 < activity.model.rowCount() < total, timeout=SOON_MS)
    assert {line.stream.value for line in _lines(activity) if line.stream} == {"patient"}
    activity.search.setText("no such thing anywhere")
    qtbot.waitUntil(activity.empty.isVisible, timeout=SOON_MS)
    assert "Nothing fits" in activity.empty.text()
    activity.stream.setCurrentIndex(0)
    activity.search.setText("appointments")
    qtbot.waitUntil(lambda: activity.model.rowCount() > 0, timeout=SOON_MS)
    assert {line.code for line in _lines(activity)} <= {SENT, LOADED, "crm.rejected"}


def test_it_is_saved_whole_as_csv(activity: Activity, tmp_path: Path, qtbot: QtBot) -> None:
    file = tmp_path / "what.csv"
    activity.export_to(file)
    qtbot.waitUntil(file.exists, timeout=SOON_MS)
    with file.open(encoding="utf-8-sig", newline="") as found:
        rows = list(csv.reader(found))
    assert rows[0][:2] == ["Time", "What"]
    assert len(rows) - 1 == activity.model.rowCount()
    assert not list(tmp_path.glob("*.part"))


def test_a_cancelled_export_leaves_no_file(
    activity: Activity, tmp_path: Path, qtbot: QtBot
) -> None:
    file = tmp_path / "what.csv"
    activity.export_to(file)
    activity.progress.cancelled.emit()
    qtbot.waitUntil(activity.save.isEnabled, timeout=SOON_MS)
    qtbot.wait(300)
    assert list(tmp_path.iterdir()) == [f for f in tmp_path.iterdir() if f.name != "what.csv"]
    assert not activity.progress.isVisible()


def test_a_folder_that_is_not_there_is_said(
    activity: Activity, window: Window, tmp_path: Path, qtbot: QtBot
) -> None:
    activity.export_to(tmp_path / "nowhere" / "what.csv")
    qtbot.waitUntil(window.notice.isVisible, timeout=SOON_MS)
    assert activity.save.isEnabled()


# --- log -----------------------------------------------------------------------------------------


def _events(log: Log) -> list[str]:
    found = (log.model.row(at) for at in range(log.model.rowCount()))
    return [line.event for line in found if line is not None]


def test_levels_topics_words_and_patterns(log: Log, qtbot: QtBot) -> None:
    assert "agent.started" in _events(log)
    log.topic.setCurrentIndex(log.topic.findData("agent.runtime"))
    # Other tests of this agent may have left lines of the topic too.
    qtbot.waitUntil(lambda: "session.opened" not in _events(log), timeout=SOON_MS)
    assert "agent.started" in _events(log)
    log.topic.setCurrentIndex(0)
    log.search.setText("session.op")
    qtbot.waitUntil(lambda: set(_events(log)) == {"session.opened"}, timeout=SOON_MS)
    log.is_pattern.setChecked(True)
    log.search.setText(r"started\s+pid=\d+")
    qtbot.waitUntil(lambda: set(_events(log)) == {"agent.started"}, timeout=SOON_MS)


def test_a_pattern_that_is_none_is_said_and_one_without_end_does_not_hang(
    log: Log, qtbot: QtBot
) -> None:
    log.is_pattern.setChecked(True)
    log.search.setText("(")
    qtbot.waitUntil(lambda: log.search.property("tone") == "bad", timeout=SOON_MS)
    log.search.setText("(x+x+)+y")
    qtbot.waitUntil(lambda: log.search.property("tone") == "", timeout=SOON_MS)


def test_a_jump_reads_from_that_moment(log: Log, qtbot: QtBot) -> None:
    log.moment.setDateTime(QDateTime.currentDateTime().addDays(-1))
    log.jump.click()
    qtbot.waitUntil(lambda: not log.follow.isChecked(), timeout=SOON_MS)
    qtbot.waitUntil(lambda: "agent.started" in _events(log)[:9], timeout=SOON_MS)
    log.moment.setDateTime(QDateTime.currentDateTime().addDays(1))
    log.jump.click()
    qtbot.waitUntil(lambda: _events(log) == [], timeout=SOON_MS)


def test_it_follows_and_copies(log: Log, window: Window, desktop: Desktop, qtbot: QtBot) -> None:
    before = log.model.rowCount()
    desktop.do("pause:15")
    qtbot.waitUntil(lambda: "agent.paused" in _events(log)[before:], timeout=SOON_MS)
    desktop.do("resume")
    log.table.selectRow(0)
    log.copy.click()
    first = log.model.row(0)
    assert first is not None
    assert first.event in QGuiApplication.clipboard().text()
    qtbot.waitUntil(lambda: "agent.resumed" in _events(log)[before:], timeout=SOON_MS)


def test_the_lines_shown_are_saved_as_text(
    log: Log, window: Window, qtbot: QtBot, tmp_path: Path
) -> None:
    log.follow.setChecked(False)
    log.save.click()
    path = tmp_path / "log.txt"
    choose(log, qtbot, "save-as", path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == log.model.rowCount() > 0
    assert any("agent.started" in line for line in lines)
    log.save.click()
    choose(log, qtbot, "save-as", tmp_path / "no folder" / "log.txt")
    assert "could not be saved" in window.notice._text.text()
