"""Tabs By hand and Support against a real agent: CSV in and out, an outage, doctor, report."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path

import pytest
from PySide6.QtCore import QDate, QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QFileDialog, QWidget
from pytestqt.qtbot import QtBot

from agent.cli.stage import Stage
from agent.control.client import Client
from agent.model.sheets import ListIntakes, ListOutages, Verdict
from gui.windows.manual import Manual
from gui.windows.support import Support
from gui.windows.window import Window

WAIT_MS = 20_000


@pytest.fixture
def by_hand(window: Window, qtbot: QtBot) -> Manual:
    window.open_at("manual")
    tab = window.tab
    assert isinstance(tab, Manual)
    return tab


@pytest.fixture
def support(window: Window) -> Support:
    window.open_at("support")
    tab = window.tab
    assert isinstance(tab, Support)
    return tab


def choose(parent: QWidget, qtbot: QtBot, name: str, path: Path) -> None:
    """A person in the file dialog."""

    def there() -> QFileDialog | None:
        found = [d for d in parent.findChildren(QFileDialog, name) if d.isVisible()]
        return found[-1] if found else None

    qtbot.waitUntil(lambda: there() is not None, timeout=WAIT_MS)
    dialog = there()
    assert dialog is not None
    dialog.fileSelected.emit(str(path))
    dialog.close()


def sheet(tmp_path: Path, *rows: str, name: str = "from the CRM.csv") -> Path:
    path = tmp_path / name
    path.write_text("\n".join(("Patient No;Last Name;First Name;Cell Phone;Zip", *rows)))
    return path


def looked_at(tab: Manual, qtbot: QtBot) -> dict[int, Verdict]:
    inside = tab.sheet_in
    qtbot.waitUntil(lambda: inside._preview > 0 and inside._follower is None, timeout=WAIT_MS)
    qtbot.waitUntil(
        lambda: bool(inside.model.rows) or not inside.apply.isEnabled(), timeout=WAIT_MS
    )
    return {row.number: row.verdict for row in inside.model.rows}


def test_a_file_is_looked_at_brought_in_once_and_taken_back(
    practice: Stage, by_hand: Manual, qtbot: QtBot, tmp_path: Path
) -> None:
    path = sheet(tmp_path, "1;;;(720) 555-0188;80299", "9999;No;Body;;", "2;;;5.5E+09;")
    by_hand.sheet_in.take(path)
    assert looked_at(by_hand, qtbot) == {
        2: Verdict.CHANGED, 3: Verdict.REJECTED, 4: Verdict.REJECTED,
    }  # fmt: skip
    with Client.call(practice.paths.control_socket, name="test") as agent:
        earlier = max((i.number for i in agent.ask(ListIntakes(1)).intakes), default=0)
        by_hand.sheet_in.apply.click()

        def ended() -> bool:
            newest = agent.ask(ListIntakes(1)).intakes[:1]
            return any(i.number > earlier and i.ends.get("applied") == 1 for i in newest)

        qtbot.waitUntil(ended, timeout=WAIT_MS)
        [intake] = agent.ask(ListIntakes(1)).intakes
        qtbot.waitUntil(lambda: by_hand.sheet_in._token == "", timeout=WAIT_MS)
        # The same file again changes nothing.
        by_hand.sheet_in.take(path)
        assert Verdict.CHANGED not in looked_at(by_hand, qtbot).values()
        assert "brought in before" in by_hand.sheet_in.notes.text()
        assert not by_hand.sheet_in.apply.isEnabled()
        by_hand.undo(intake.number)
        by_hand.sheet_in.clear()

        def back() -> bool:
            by_hand.sheet_in.clear()
            return "taken back" in _notice(by_hand)

        qtbot.waitUntil(back, timeout=WAIT_MS)
    # What was written stands as it was: the file would change it once more.
    by_hand.sheet_in.take(sheet(tmp_path, "1;;;;80299", name="newer.csv"))
    assert looked_at(by_hand, qtbot) == {2: Verdict.CHANGED}
    by_hand.sheet_in.clear()


def _notice(tab: Manual) -> str:
    window = tab.window()
    assert isinstance(window, Window)
    return window.notice._text.text()


def test_a_file_is_dropped_and_its_columns_are_put_right(
    by_hand: Manual, qtbot: QtBot, tmp_path: Path
) -> None:
    path = tmp_path / "odd.csv"
    path.write_text("Nummer;Was\n1;80277\n")
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    event = QDropEvent(
        QPointF(5, 5), Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    by_hand.sheet_in.drop.dropEvent(event)
    inside = by_hand.sheet_in
    qtbot.waitUntil(inside.mapping.isVisible, timeout=WAIT_MS)
    assert "do not say what the rows are" in inside.summary.text()
    inside._choose(kind="patients", columns={"Nummer": "key", "Was": "postal_code"})
    assert looked_at(by_hand, qtbot) == {2: Verdict.CHANGED}
    inside.clear()


def test_what_is_no_sheet_is_said(by_hand: Manual, qtbot: QtBot, tmp_path: Path) -> None:
    path = tmp_path / "picture.csv"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0d" + bytes(range(256)) * 4)
    by_hand.sheet_in.take(path)
    qtbot.waitUntil(lambda: "not a CSV file" in by_hand.sheet_in.summary.text(), timeout=WAIT_MS)
    by_hand.sheet_in.clear()


def test_records_are_saved_where_the_person_says(
    practice: Stage, by_hand: Manual, qtbot: QtBot, tmp_path: Path
) -> None:
    by_hand.kind.setCurrentIndex(by_hand.kind.findText("Patients"))
    by_hand.records.click()
    path = tmp_path / "patients.csv"
    choose(by_hand, qtbot, "save-as", path)
    qtbot.waitUntil(lambda: path.exists() and "Saved" in _notice(by_hand), timeout=WAIT_MS)
    with path.open(encoding="utf-8-sig", newline="") as file:
        found = list(csv.DictReader(file))
    assert len(found) >= 40
    assert path.stat().st_mode & 0o777 == 0o600
    # And what was taken out changes nothing when it is brought in.
    by_hand.sheet_in.take(path)
    qtbot.waitUntil(lambda: by_hand.sheet_in._preview > 0, timeout=WAIT_MS)
    assert by_hand.sheet_in.summary.text() == f"{len(found)} unchanged"
    by_hand.sheet_in.clear()


def test_days_are_chosen_whichever_is_named_first(by_hand: Manual) -> None:
    assert by_hand._range() == ("", "")
    assert not by_hand.between.isVisible()
    by_hand.days.setCurrentIndex(by_hand.days.findData("between"))
    assert by_hand.between.isVisible()
    by_hand.first.setDate(QDate(2027, 1, 2))
    by_hand.last.setDate(QDate(2026, 12, 1))
    assert by_hand._range() == ("2026-12-01", "2027-01-02")


@pytest.mark.slow  # back-offs towards a CRM that was away take their time
def test_an_outage_is_told_with_what_waited(
    practice: Stage, by_hand: Manual, qtbot: QtBot, tmp_path: Path
) -> None:
    """The CRM goes away for real, the front desk works on, what waits is taken out as CSV."""
    from agent.sandbox.practice.front import DeedKind
    from agent.sandbox.practice.life import Life

    port = int(practice.crm.url.rsplit(":", 1)[1])
    practice.crm.__exit__(None, None, None)
    with Client.call(practice.paths.control_socket, name="test") as agent:

        def lasting() -> bool:
            outages = agent.ask(ListOutages(1)).outages
            return bool(outages) and outages[0].ended_at is None

        Life(practice.desk, seed=9).step(DeedKind.DEMOGRAPHICS)
        qtbot.waitUntil(lasting, timeout=WAIT_MS)
        by_hand.woken()
        qtbot.waitUntil(by_hand.pending.isEnabled, timeout=WAIT_MS)
        by_hand.pending.click()
        path = tmp_path / "waiting.zip"
        choose(by_hand, qtbot, "save-as", path)
        qtbot.waitUntil(lambda: path.exists() and zipfile.is_zipfile(path), timeout=WAIT_MS)
        with zipfile.ZipFile(path) as file:
            assert "patient.csv" in file.namelist()
            assert b"changed" in file.read("patient.csv")
        practice.restart_crm(port)

        def over() -> bool:
            outage = agent.ask(ListOutages(1)).outages[0]
            return outage.sent_at is not None and outage.waited > 0

        qtbot.waitUntil(over, timeout=60_000)
    by_hand.woken()

    def texts() -> list[str]:
        return [item.text() for item in by_hand.findChildren(type(by_hand.title))]

    qtbot.waitUntil(
        lambda: any("CRM offline" in t and "all sent" in t for t in texts()), timeout=WAIT_MS
    )


def test_the_doctor_shows_each_step_as_it_ends(support: Support, qtbot: QtBot) -> None:
    seen: set[int] = set()
    support.list.held.rowsInserted.connect(lambda *_: seen.add(len(support.list.held.rows)))
    support.run.click()
    qtbot.waitUntil(lambda: support.run.isEnabled() and bool(seen), timeout=WAIT_MS)
    topics = [line.ident for line in support.list.held.rows]
    assert topics[0] == "machine"
    assert topics[-1] == "journal"
    assert support.copy.isEnabled()
    assert support.verdict.text() in {
        "Everything works; look at the warnings.",
        "Everything works.",
    }


def test_a_report_is_previewed_and_saved_with_a_picture(
    window: Window, support: Support, qtbot: QtBot, tmp_path: Path
) -> None:
    window.open_at("overview")
    window.open_at("support")
    support.note.setPlainText("It stopped at 14:05, call (212) 555-0101")
    support.picture.setCurrentIndex(support.picture.findData("overview"))
    support._take_picture()
    assert support.warning.isVisible()
    support.preview.click()
    qtbot.waitUntil(
        lambda: support.preview.isEnabled() and bool(support.parts.rows), timeout=WAIT_MS
    )
    assert {"note.txt", "screenshot.png", "doctor.json"} <= {p.name for p in support.parts.rows}
    support.save.click()
    path = tmp_path / "report.zip"
    choose(support, qtbot, "save-as", path)
    qtbot.waitUntil(lambda: path.exists() and zipfile.is_zipfile(path), timeout=WAIT_MS)
    with zipfile.ZipFile(path) as file:
        assert file.read("screenshot.png").startswith(b"\x89PNG")
        note = file.read("note.txt").decode()
        assert "14:05" in note
        assert "555" not in note
        assert json.loads(file.read("manifest.json"))["files"]
