"""The tab Data map against a real agent: read, filtered, changed for this site, taken up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QLineEdit
from pytestqt.qtbot import QtBot

from agent.cli.stage import Stage
from gui.windows.datamap import DataMap
from gui.windows.window import Window

WAIT_MS = 20_000


@pytest.fixture
def tab(window: Window, qtbot: QtBot) -> DataMap:
    window.open_at("map")
    found = window.tab
    assert isinstance(found, DataMap)
    qtbot.waitUntil(lambda: len(found.model.rows) > 300, timeout=WAIT_MS)
    return found


@pytest.fixture
def untouched(practice: Stage) -> Iterator[Path]:
    """The site's own rows are taken away again."""
    file = practice.paths.site_map
    yield file
    file.unlink(missing_ok=True)
    config = practice.paths.config_file
    kept = config.read_text(encoding="utf-8").partition("[map]")[0]
    config.write_text(kept, encoding="utf-8")


def test_it_says_how_it_fits_and_filters(tab: DataMap, qtbot: QtBot) -> None:
    assert "19 of 19 kinds of record can be read" in tab.summary.text()
    tab.words.setText("wirelessphone both")
    qtbot.waitUntil(lambda: len(tab.model.rows) < 300, timeout=WAIT_MS)
    tab.words.setText("wirelessphone")
    qtbot.waitUntil(lambda: len(tab.model.rows) == 2, timeout=WAIT_MS)
    tab.words.clear()
    tab.show_only.setCurrentIndex(tab.show_only.findData("attention"))
    qtbot.waitUntil(lambda: 0 < len(tab.model.rows) < 50, timeout=WAIT_MS)
    assert {line.state for line in tab.model.rows} == {"missing"}


def test_a_site_row_is_checked_saved_and_waits_for_a_restart(
    tab: DataMap, untouched: Path, qtbot: QtBot, tmp_path: Path
) -> None:
    tab.words.setText("phone_mobile")
    qtbot.waitUntil(lambda: len(tab.model.rows) == 2, timeout=WAIT_MS)
    tab.table.selectRow(0)
    transform = tab.findChild(QLineEdit, "cell-transform")
    assert transform is not None
    transform.setText("no-such-word")
    qtbot.mouseClick(tab.save, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(tab.verdict.isVisible, timeout=WAIT_MS)
    assert not untouched.exists()  # what would not load is not kept
    transform.setText("phone")
    policy = tab.findChild(QComboBox, "cell-on_conflict")
    assert policy is not None
    policy.setCurrentIndex(policy.findData("crm"))
    qtbot.mouseClick(tab.check, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "becomes" in tab.verdict.text(), timeout=WAIT_MS)
    assert not untouched.exists()
    qtbot.mouseClick(tab.save, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(tab.pending.isVisible, timeout=WAIT_MS)
    assert "patient,phone_mobile" in untouched.read_text(encoding="utf-8")
    copy = tmp_path / "map.csv"
    tab.write(copy, "stream\n")
    assert copy.read_text(encoding="utf-8") == "stream\n"


def test_a_field_of_the_practices_own_is_tried_then_added(
    tab: DataMap, untouched: Path, qtbot: QtBot
) -> None:
    qtbot.mouseClick(tab.add, Qt.MouseButton.LeftButton)
    new = tab.new
    assert not new.save.isEnabled()
    new.column.setText("NoSuchColumn")
    new.name.setText("employer note")
    assert not new.save.isEnabled()  # no name for a field
    new.name.setText("ward")
    qtbot.mouseClick(new.save, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "no column 'NoSuchColumn'" in new.verdict.text(), timeout=WAIT_MS)
    assert not untouched.exists()
    new.column.setText("SSN")
    qtbot.mouseClick(new.save, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "SSN is private" in new.verdict.text(), timeout=WAIT_MS)
    assert not untouched.exists()
    new.column.setText("Ward")
    qtbot.mouseClick(new.check, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "becomes Ward" in new.verdict.text(), timeout=WAIT_MS)
    assert not untouched.exists()
    qtbot.mouseClick(new.save, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(tab.pending.isVisible, timeout=WAIT_MS)
    assert "patient,custom.ward,text,patient,Ward," in untouched.read_text(encoding="utf-8")
    tab.words.setText("custom.ward")
    qtbot.waitUntil(lambda: [line.added for line in tab.model.rows] == [True], timeout=WAIT_MS)
    tab.table.selectRow(0)
    assert tab.back.text() == "Take this field out"
    qtbot.mouseClick(tab.back, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: tab.model.rows == (), timeout=WAIT_MS)
    assert "custom.ward" not in untouched.read_text(encoding="utf-8")
    assert tab.pending.isHidden()  # the map that runs is the one that is saved again
