"""Lists that change by difference, one icon a session, autostart, waking: each by itself."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import weakref
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PySide6.QtCore import QItemSelectionModel, QPersistentModelIndex
from PySide6.QtGui import QColor
from PySide6.QtNetwork import QLocalSocket
from PySide6.QtTest import QAbstractItemModelTester, QSignalSpy
from PySide6.QtWidgets import QApplication, QTableView
from pytestqt.qtbot import QtBot

from agent.runtime.power import Wakefulness
from gui import autostart
from gui.models.log import KEPT, LogModel
from gui.models.paged import PAGE, PAGES_KEPT, PagedModel
from gui.models.rows import Column, RowsModel
from gui.single import VERSION, Single, call_first, session_name

Row = tuple[int, str]


def _name(row: Row) -> str:
    return row[1]


COLUMNS: list[Column[Row]] = [Column("Name", _name)]


def _colour(_: str) -> QColor:
    return QColor()


def _texts(model: RowsModel[Row] | PagedModel[Row]) -> list[str | None]:
    return [model.index(at, 0).data() for at in range(model.rowCount())]


# --- rows ----------------------------------------------------------------------------------------


@pytest.fixture
def rows(qtbot: QtBot) -> RowsModel[Row]:
    model = RowsModel(COLUMNS, _colour, key=lambda row: row[0])
    QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Warning, model)
    return model


@pytest.mark.parametrize(
    "after",
    [
        [],
        [(3, "c"), (1, "a"), (2, "b")],
        [(2, "b"), (9, "new"), (3, "other")],
        [(7, "x"), (1, "a"), (2, "b"), (3, "c"), (8, "y")],
    ],
)
def test_rows_become_what_is_told(rows: RowsModel[Row], after: list[Row]) -> None:
    rows.show([(1, "a"), (2, "b"), (3, "c")])
    rows.show(after)
    assert _texts(rows) == [text for _, text in after]


def test_what_stays_keeps_selection(rows: RowsModel[Row], qtbot: QtBot) -> None:
    rows.show([(1, "a"), (2, "b"), (3, "c")])
    view = QTableView()
    qtbot.addWidget(view)
    view.setModel(rows)
    view.selectionModel().select(rows.index(1, 0), QItemSelectionModel.SelectionFlag.Select)
    rows.show([(9, "z"), (3, "c"), (2, "B")])
    (chosen,) = view.selectionModel().selectedIndexes()
    assert chosen.data() == "B"


def test_nothing_is_said_when_nothing_changed(rows: RowsModel[Row], qtbot: QtBot) -> None:
    rows.show([(1, "a"), (2, "b")])
    changes: list[object] = []
    for signal in (rows.dataChanged, rows.rowsInserted, rows.rowsRemoved, rows.modelReset):
        signal.connect(lambda *_: changes.append(1))
    rows.show([(1, "a"), (2, "b")])
    assert changes == []


# --- pages ---------------------------------------------------------------------------------------


class Far:
    """A list of ``total`` rows, newest (highest number) first, and who asked for what."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.asked: list[int] = []
        self.model = PagedModel(COLUMNS, _colour, lambda row: row[0], self._fetch)
        self.model.begin(total, self.page(0))

    def page(self, offset: int) -> list[Row]:
        last = min(offset + PAGE, self.total)
        return [(self.total - at, f"row {self.total - at}") for at in range(offset, last)]

    def _fetch(self, offset: int, limit: int) -> None:
        self.asked.append(offset)

    def answer(self) -> None:
        for offset in self.asked:
            self.model.fill(offset, self.page(offset))
        self.asked.clear()


def test_only_what_is_looked_at_is_asked_for_and_once(qtbot: QtBot) -> None:
    far = Far(100_000)
    assert far.model.rowCount() == 100_000
    assert far.model.index(0, 0).data() == "row 100000"
    assert far.model.index(50_123, 0).data() is None
    assert far.model.index(50_124, 0).data() is None
    assert far.asked == [50_123 // PAGE * PAGE]
    far.answer()
    assert far.model.index(50_123, 0).data() == f"row {100_000 - 50_123}"


def test_pages_are_let_go_but_never_the_top(qtbot: QtBot) -> None:
    far = Far(100_000)
    for page in range(1, PAGES_KEPT * 3):
        far.model.index(page * PAGE, 0).data()
        far.answer()
    assert far.model.index(0, 0).data() == "row 100000"
    assert far.model.index(PAGE, 0).data() is None  # was let go
    assert far.asked == [PAGE]


def test_new_rows_come_on_top_and_places_hold(qtbot: QtBot) -> None:
    far = Far(1000)
    held = QPersistentModelIndex(far.model.index(5, 0))
    far.model.newer([(1002, "newest"), (1001, "new"), (1000, "row 1000, more"), (999, "row 999")])
    assert held.row() == 7
    assert _texts(far.model)[:4] == ["newest", "new", "row 1000, more", "row 999"]
    assert held.data() == "row 995"
    far.model.newer([(1002, "newest, more"), (1001, "new")])
    assert _texts(far.model)[:2] == ["newest, more", "new"]
    assert far.model.rowCount() == 1002


# --- the log's lines -----------------------------------------------------------------------------


def test_the_log_lets_go_of_the_far_end(qtbot: QtBot) -> None:
    from agent.model.activity import LogLine

    def lines(first: int, count: int) -> list[LogLine]:
        return [LogLine(str(n), "info", "a", "b.c") for n in range(first, first + count)]

    model = LogModel([Column("Time", lambda line: line.at)], _colour)
    model.begin(lines(0, 10))
    model.append(lines(10, KEPT))
    assert model.rowCount() == KEPT
    assert model.index(0, 0).data() == "10"
    model.prepend(lines(0, 10))
    assert model.rowCount() == KEPT
    assert model.index(0, 0).data() == "0"


# --- one icon a session --------------------------------------------------------------------------


def test_the_second_start_hands_over_and_the_first_hears(qtbot: QtBot, tmp_path: Path) -> None:
    name = f"bridgework-test-{tmp_path.name}"
    assert not call_first(name, "show")
    first = Single(name)
    assert first.listens
    heard: list[tuple[str, ...]] = []
    first.wanted.connect(lambda *wish: heard.append(wish))
    calling = (
        "import sys; from PySide6.QtCore import QCoreApplication as A; a = A([]);"
        " from gui.single import call_first; sys.exit(not call_first(*sys.argv[1:]))"
    )
    second = subprocess.Popen([sys.executable, "-c", calling, name, "show", "log", "x"])
    qtbot.waitUntil(lambda: bool(heard), timeout=20_000)
    assert second.wait(20) == 0
    assert heard == [("show", "log", "x")]
    first.close()


def test_no_caller_holds_the_first_one(qapp: QApplication, tmp_path: Path) -> None:
    """It would end inside the end of that caller's socket, which it ends itself: a crash."""
    name = f"bridgework-test-{tmp_path.name}"
    first = Single(name)
    heard = QSignalSpy(first.wanted)
    caller = QLocalSocket()
    caller.connectToServer(name)
    caller.write(json.dumps({"version": VERSION, "do": "show"}).encode() + b"\n")
    latest = time.monotonic() + 20.0
    while not heard.count():
        qapp.processEvents()  # no more than it takes: the socket is still there
        assert time.monotonic() < latest, "it was not heard"
    ended = weakref.ref(first)
    del first, heard
    assert ended() is None


def test_sessions_and_homes_do_not_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_SESSION_ID", "1")
    one = session_name("/a")
    assert session_name("/a") == one
    assert session_name("/b") != one
    monkeypatch.setenv("XDG_SESSION_ID", "2")
    assert session_name("/a") != one


def test_autostart_can_be_switched_off_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert not autostart.is_on(wanted=True)
    autostart.switch(tmp_path / "ho me", on=True)
    assert autostart.is_on(wanted=True)
    entry = (tmp_path / "autostart" / "bridgework-tray.desktop").read_text()
    assert "--autostart" in entry
    assert "'" in entry  # a folder with a space stays one word
    autostart.switch(tmp_path, on=False)
    assert not autostart.is_on(wanted=True)


def test_a_gap_between_looks_was_a_sleep() -> None:
    now = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
    wake = Wakefulness(now - timedelta(hours=5))
    for second in range(10):
        wake.look(now + timedelta(seconds=second))
    assert wake.awake_s(now) == 5 * 3600
    morning = now + timedelta(hours=12)
    wake.look(morning)
    assert wake.awake_s(morning + timedelta(seconds=90)) == 90
    assert Wakefulness(None).awake_s(now) is None
