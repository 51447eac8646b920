"""Notifications over a real session bus: a button, replaced, taken back; balloons where there is no
server or it goes away. The server is a stand-in here; ``test_panel`` has a real one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from gui.app import Desktop
from gui.presenter.notices import BROKEN, REVIEW, Notice
from gui.toasts import BODY, BUTTON, connect
from tests.gui.bus import Bus, Server

pytestmark = pytest.mark.skipif(not shutil.which("dbus-daemon"), reason="no dbus-daemon here")

SIGN_IN = Notice(
    BROKEN, "Login refused", "Nothing is <lost>.", "bad", "Enter the password …",
    ("setup", "pms"), ("overview", "pms.auth_refused"),
)  # fmt: skip
DECIDE = Notice(REVIEW, "2 items", "Later", "warn", "Review", ("review", ""), ("review", ""))


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bus]:
    with Bus() as made:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", made.address)
        yield made


@pytest.fixture
def desktop(desktop_at: Callable[[Path], Desktop], tmp_path: Path) -> Desktop:
    return desktop_at(tmp_path)


@pytest.fixture
def balloons(desktop: Desktop, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Titles of those shown by the icon."""
    titles: list[str] = []
    monkeypatch.setattr(desktop.tray, "notify", lambda title, *_: titles.append(title))
    return titles


@pytest.fixture
def gone(desktop: Desktop, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    places: list[tuple[str, str]] = []
    monkeypatch.setattr(desktop.notifier, "_go", places.append)
    return places


def test_a_notice_has_a_button_is_replaced_in_place_and_taken_back(
    bus: Bus,
    desktop: Desktop,
    balloons: list[str],
    gone: list[tuple[str, str]],
    qtbot: QtBot,
) -> None:
    server = Server(bus)
    notifier = desktop.notifier
    notifier.show(SIGN_IN)
    notifier.show(DECIDE)  # beside it: another kind
    qtbot.waitUntil(lambda: len(server.shown) == 2)
    _, _, _, title, body, actions, hints, _ = server.shown[1]
    assert (title, body) == ("Login refused", "Nothing is <lost>.")
    assert actions == [BODY, SIGN_IN.button, BUTTON, SIGN_IN.button]
    assert hints["urgency"] == ("y", 2)
    server.press(1, BUTTON)
    qtbot.waitUntil(lambda: gone == [("setup", "pms")])
    server.press(1, BODY)
    qtbot.waitUntil(lambda: gone[1:] == [("overview", "pms.auth_refused")])
    notifier.show(DECIDE)
    qtbot.waitUntil(lambda: server.calls.count("Notify") == 3)
    assert len(server.shown) == 2
    notifier.withdraw(BROKEN)
    qtbot.waitUntil(lambda: list(server.shown) == [2])
    notifier.close()
    qtbot.waitUntil(lambda: not server.shown)
    assert balloons == []


def test_what_is_over_before_the_server_answered_is_taken_back(
    bus: Bus, desktop: Desktop, qtbot: QtBot
) -> None:
    server = Server(bus)
    desktop.notifier.show(SIGN_IN)
    desktop.notifier.withdraw(BROKEN)
    qtbot.waitUntil(lambda: server.calls[-1] == "CloseNotification")
    qtbot.waitUntil(lambda: not server.shown)


def test_markup_is_not_made_of_a_text_and_no_button_where_none_is_possible(
    bus: Bus, desktop: Desktop, qtbot: QtBot
) -> None:
    server = Server(bus, can=("body", "body-markup"))
    desktop.notifier.show(SIGN_IN)
    qtbot.waitUntil(lambda: bool(server.shown))
    assert server.shown[1][4] == "Nothing is &lt;lost&gt;."
    assert server.shown[1][5] == []


def test_without_a_server_or_a_bus_it_is_a_balloon(
    bus: Bus,
    desktop: Desktop,
    balloons: list[str],
    gone: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desktop.notifier.show(SIGN_IN)  # a bus, and nobody there who shows
    assert balloons == ["Login refused"]
    desktop.tray.pressed.emit()
    assert gone == [("overview", "pms.auth_refused")]
    for address in ("disabled:", "unix:path=/nowhere/at/all", ""):
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        assert connect() is None


def test_what_a_broken_server_did_not_show_becomes_a_balloon(
    bus: Bus, desktop: Desktop, balloons: list[str], qtbot: QtBot
) -> None:
    server = Server(bus)
    desktop.notifier.show(DECIDE)
    qtbot.waitUntil(lambda: bool(server.shown))
    server.refuses = True
    desktop.notifier.show(SIGN_IN)
    qtbot.waitUntil(lambda: balloons == ["Login refused"])
    desktop.notifier.show(DECIDE)  # and so does all that comes
    assert balloons == ["Login refused", "2 items"]


def test_a_bus_that_goes_away_is_no_trouble(
    bus: Bus, desktop: Desktop, balloons: list[str], qtbot: QtBot
) -> None:
    server = Server(bus)
    desktop.notifier.show(DECIDE)
    qtbot.waitUntil(lambda: bool(server.shown))
    bus.stop()
    qtbot.waitUntil(lambda: desktop.notifier._toasts is None)
    desktop.notifier.show(SIGN_IN)
    assert balloons == ["Login refused"]
