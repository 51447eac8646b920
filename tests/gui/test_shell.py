"""The window's shell: it opens, goes where it is told, and says what the agent says."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import shiboken6
from PySide6.QtCore import QSize
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from agent.cli.stage import Stage
from agent.errors import AgentError
from agent.model.desk import GetStatus, ListCommands
from agent.model.review import ListConflicts
from agent.model.status import Report, State
from gui.app import Desktop
from gui.link import Standing
from gui.prefs import Prefs
from gui.presenter.notices import BROKEN, REVIEW, Notice
from gui.presenter.overview import FindingView, Remedy
from gui.windows.checks import Checks
from gui.windows.overview import Overview
from gui.windows.review import Review
from gui.windows.settings import Settings
from gui.windows.tabs import TABS
from gui.windows.window import Window


def test_every_tab_opens(window: Window) -> None:
    for tab in TABS:
        window.open_at(tab.name)
        assert window.tab is not None
        assert window.tab.name == tab.name
        assert window.side.buttons[tab.name].isChecked()


def test_the_state_is_in_words(window: Window, desktop: Desktop, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: desktop.view is not None and desktop.view.head != "", timeout=5000)
    assert desktop.view is not None
    assert desktop.view.last_read.startswith("Last read from the practice")


def test_an_answer_comes_on_the_ui_thread(window: Window, desktop: Desktop, qtbot: QtBot) -> None:
    got: list[Report] = []
    desktop.link.ask(GetStatus(), got.append, owner=window)
    qtbot.waitUntil(lambda: bool(got), timeout=5000)
    assert got[0].snapshot.is_running


def test_a_refusal_is_told(window: Window, desktop: Desktop, qtbot: QtBot) -> None:
    refused: list[AgentError] = []
    desktop.link.ask(ListConflicts(limit=9999), failed=refused.append, owner=window)
    qtbot.waitUntil(lambda: bool(refused), timeout=5000)
    assert refused[0].code == "desk.bad_value"
    desktop.link.ask(ListCommands(limit=0))
    qtbot.waitUntil(window.notice.isVisible, timeout=5000)


def test_what_was_cancelled_is_not_delivered(
    desktop: Desktop, window: Window, qtbot: QtBot
) -> None:
    got: list[Report] = []
    desktop.link.ask(GetStatus(), got.append).cancel()
    later: list[Report] = []
    desktop.link.ask(GetStatus(), later.append)
    qtbot.waitUntil(lambda: bool(later), timeout=5000)
    assert got == []


def test_events_come_every_second(window: Window, desktop: Desktop, qtbot: QtBot) -> None:
    with qtbot.waitSignal(desktop.link.report_changed, timeout=5000):
        pass


def test_the_window_remembers_its_size(window: Window, desktop: Desktop, practice: Stage) -> None:
    window.resize(1010, 650)
    window.close()
    again = Window(desktop.shell)
    assert (again.width(), again.height()) == (1010, 650)
    again.deleteLater()


@pytest.mark.parametrize("place", ["nowhere", ""])
def test_an_unknown_tab_is_the_first(window: Window, place: str) -> None:
    window.open_at(place)
    assert window.tab is not None
    assert window.tab.name == TABS[0].name


def test_without_an_agent_it_says_so(desktop_at: object, tmp_path: Path, qtbot: QtBot) -> None:
    assert callable(desktop_at)
    desktop: Desktop = desktop_at(tmp_path / "nobody")
    desktop.start()
    desktop.link.heard_mono -= 60
    desktop.refresh()
    assert desktop.view is not None
    assert desktop.view.head == "The sync service is not running"


def test_a_click_on_a_notice_opens_its_item_until_it_is_over(
    window: Window, desktop: Desktop, qtbot: QtBot
) -> None:
    def notice(kind: str, go: tuple[str, str]) -> Notice:
        return Notice(kind, "Title", "Body", "warn", "Look", ("", ""), go)

    desktop.notifier.show(notice(REVIEW, ("review", "parked")))
    desktop.tray.pressed.emit()
    tab = window.tab
    assert isinstance(tab, Review)
    assert tab.queue.name == "parked"
    desktop.notifier.show(notice(BROKEN, ("overview", "disk.full")))
    desktop.tray.pressed.emit()
    overview = window.tab
    assert isinstance(overview, Overview)
    found = [
        FindingView(code, "bad", "!", code, "", "", code, Remedy("Mend", go=("support", "doctor")))
        for code in ("pms.login_refused", "disk.full")
    ]
    overview._show_findings(found)
    card = overview._cards["disk.full"]
    assert window.focusWidget() is card.button
    desktop.notifier.withdraw(BROKEN)  # it is over: a late click goes nowhere
    window.open_at("log")
    desktop.tray.pressed.emit()
    assert window.tab is not None
    assert window.tab.name == "log"


@pytest.mark.parametrize("wish", ["settings", "about"])
def test_dialogs_do_not_block(window: Window, desktop: Desktop, qtbot: QtBot, wish: str) -> None:
    desktop.do(wish)
    dialog = desktop.dialog
    assert dialog is not None
    assert dialog.isVisible()
    dialog.close()
    qtbot.waitUntil(lambda: desktop.dialog is None, timeout=5000)


def test_pause_and_resume_by_the_menu(window: Window, desktop: Desktop, qtbot: QtBot) -> None:
    def state() -> State | None:
        return desktop.view.state if desktop.view is not None else None

    desktop.do("pause:15")
    qtbot.waitUntil(lambda: state() is State.PAUSED, timeout=10_000)
    assert "Paused until" in window.side.state_text
    desktop.do("resume")
    qtbot.waitUntil(lambda: state() is not State.PAUSED, timeout=10_000)


def test_the_line_comes_back_by_itself(desktop: Desktop, practice: Stage, qtbot: QtBot) -> None:
    """The agent is restarted under the open window: nothing green meanwhile, all well after."""
    desktop.start()
    qtbot.waitUntil(lambda: desktop.link.standing is Standing.UP, timeout=10_000)
    boot = desktop.link.welcome.boot if desktop.link.welcome is not None else ""
    practice.stop_agent()
    qtbot.waitUntil(lambda: desktop.link.standing is Standing.DOWN, timeout=10_000)
    desktop.link.heard_mono -= 60
    desktop.refresh()
    assert desktop.view is not None
    assert desktop.view.state is State.UNREACHABLE
    practice.start_agent()
    qtbot.waitUntil(lambda: desktop.link.standing is Standing.UP, timeout=30_000)
    assert desktop.link.welcome is not None
    assert desktop.link.welcome.boot != boot
    got: list[Report] = []
    desktop.link.ask(GetStatus(), got.append)
    qtbot.waitUntil(lambda: bool(got), timeout=10_000)
    practice.wait_loaded(60)


def test_another_language_holds_at_once_and_everything_stays_where_it_was(
    window: Window, desktop: Desktop, prefs: Prefs, qtbot: QtBot
) -> None:
    desktop.ends_with_window = True  # building anew is no closing
    window.open_at("log")
    window.resize(1000, 700)
    desktop.do("setup:hours")
    qtbot.waitUntil(lambda: desktop.wizard.page.name == "hours")  # the agent is asked first
    desktop.do("settings")
    dialog = desktop.dialog
    assert isinstance(dialog, Settings)
    dialog.language.setCurrentIndex(dialog.language.findData("es"))
    qtbot.waitUntil(lambda: desktop.texts.language == "es")
    assert desktop.window is not window
    assert desktop.window.isVisible()
    assert desktop.window.windowTitle() == desktop.texts("shell.window", tab="Registro")
    assert desktop.window.tab is not None
    assert desktop.window.tab.name == "log"
    assert desktop.window.size() == QSize(1000, 700)
    assert desktop.wizard.isVisible()
    assert isinstance(desktop.dialog, Settings)
    assert desktop.dialog.windowTitle() == "Ajustes de esta ventana"
    assert any(item.text == "Ayuda" for item in desktop.tray._items)
    qtbot.waitUntil(lambda: not shiboken6.isValid(window))
    qtbot.waitUntil(lambda: desktop.wizard.page.name == "hours")
    # What the agent tells goes on arriving, and nothing of it at what is gone.
    desktop.window.open_at("activity")
    desktop.shell.tell("Bien", "good")
    assert desktop.window.notice.isVisible()


def test_the_practices_language_is_that_of_who_chose_none(
    window: Window, desktop: Desktop, prefs: Prefs, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(language: str) -> None:
        report = desktop.link.report
        assert report is not None
        snapshot = msgspec.structs.replace(report.snapshot, language=language)
        spoken = msgspec.structs.replace(report, snapshot=snapshot)
        monkeypatch.setattr(desktop.link, "report", spoken)
        desktop._reported()

    assert desktop.texts.language == "en"
    desktop.link.blockSignals(True)  # the real agent says otherwise
    told("es")
    qtbot.waitUntil(lambda: desktop.texts.language == "es")
    prefs.put("language", "en")  # a person's own choice comes first
    qtbot.waitUntil(lambda: desktop.texts.language == "en")
    told("")
    told("es")
    qtbot.wait(50)
    assert desktop.texts.language == "en"


def test_the_focus_goes_with_the_tab_and_stays_in_place_when_a_button_is_switched_off(
    window: Window, qtbot: QtBot
) -> None:
    window.open_at("review")
    tab = window.tab
    assert isinstance(tab, Review)
    tab.findChildren(QPushButton)[1].setFocus()
    window.open_at("manual")
    qtbot.wait(300)  # what the agent answers switches buttons off and on
    assert window.focusWidget() is not window.side.buttons["review"]
    window.open_at("checks")
    checks = window.tab
    assert isinstance(checks, Checks)
    qtbot.waitUntil(lambda: bool(checks.lines.rows), timeout=10_000)
    checks.compare.setFocus()
    checks.compare.setEnabled(False)
    assert window.focusWidget() is checks.table  # the next thing below, not the window's first
    checks.compare.setEnabled(True)
