"""The tray icon in a real panel on a virtual screen: there, again, one only, gone when told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from agent.cli.stage import Stage
from gui.app import Desktop
from gui.presenter.notices import BROKEN, Notice
from tests.gui.bus import Bus
from tests.gui.panel import Panel
from tests.support.until import until

pytestmark = [pytest.mark.panel, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def panel() -> Iterator[Panel]:
    with Panel() as made:
        yield made


@pytest.fixture
def tray(panel: Panel, practice: Stage, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The program as it ships, in its own process."""
    environ = {**panel.environ, "PYTHONPATH": str(ROOT), "BRIDGEWORK_PREFS": str(tmp_path / "p")}
    panel.environ = environ
    process = subprocess.Popen(_command(practice), env=environ)
    yield process
    if process.poll() is None:
        process.terminate()
        process.wait(10)


def _command(practice: Stage, *more: str) -> list[str]:
    return [sys.executable, "-m", "gui", "--home", str(practice.paths.home), *more]


def _second(panel: Panel, practice: Stage, *more: str) -> int:
    command = _command(practice, *more)
    return subprocess.run(command, env=panel.environ, timeout=30, check=False).returncode


def test_the_icon_is_there_and_comes_back_with_the_panel(
    panel: Panel, tray: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    panel.wait_icons(1)
    panel.stop_panel()
    panel.start_panel()
    panel.wait_icons(1)
    assert tray.poll() is None
    panel.picture(tmp_path / "panel.png")
    assert (tmp_path / "panel.png").stat().st_size > 500


def test_it_waits_for_a_panel_that_comes_later(panel: Panel, practice: Stage) -> None:
    panel.stop_panel()
    environ = {**panel.environ, "PYTHONPATH": str(ROOT)}
    early = subprocess.Popen(_command(practice, "--autostart"), env=environ)
    try:
        panel.wait_program()
        assert panel.icons() == 0
        panel.start_panel()
        panel.wait_icons(1)
    finally:
        early.terminate()
        early.wait(10)


def test_a_second_start_shows_the_first_ones_window_and_quit_ends_it(
    panel: Panel, tray: subprocess.Popen[bytes], practice: Stage
) -> None:
    panel.wait_icons(1)
    assert _second(panel, practice, "--show", "log") == 0
    found = panel.run("xdotool", "search", "--sync", "--name", "Log .* Bridgework")
    assert found.strip()
    panel.wait_icons(1)
    assert _second(panel, practice, "--quit") == 0  # what the installer says before an upgrade
    assert tray.wait(10) == 0
    panel.wait_icons(0)


def test_a_real_server_shows_a_toast_with_its_button_and_takes_it_back(
    panel: Panel, desktop_at: Callable[[Path], Desktop], tmp_path: Path, qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with Bus() as bus:
        panel.start_toasts(bus.address)
        until(lambda: panel.toasts() == 0)
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus.address)
        desktop = desktop_at(tmp_path)
        gone: list[tuple[str, str]] = []
        monkeypatch.setattr(desktop.notifier, "_go", gone.append)
        look, go = ("overview", "pms.auth_refused"), ("setup", "pms")
        said = "The practice's database refused our login."
        for body in ("New changes wait.", "New changes wait since 09:12; nothing is lost."):
            notice = Notice(BROKEN, said, body, "bad", "Enter the password …", go, look)
            desktop.notifier.show(notice)
            qtbot.waitUntil(
                lambda: bool(desktop.notifier._toasts and desktop.notifier._toasts._ids)
            )
        until(lambda: panel.toasts() == 1)  # the second in the first one's place
        panel.picture(tmp_path / "toast.png")
        panel.run("dunstctl", "action")
        qtbot.waitUntil(lambda: bool(gone), timeout=10_000)
        assert gone in ([go], [look])  # dunst's menu decides which is first
        desktop.notifier.show(notice)
        qtbot.waitUntil(lambda: panel.toasts() == 1, timeout=10_000)
        desktop.notifier.withdraw(BROKEN)
        qtbot.waitUntil(lambda: panel.toasts() == 0, timeout=10_000)


def test_two_sessions_have_an_icon_each(
    panel: Panel, tray: subprocess.Popen[bytes], practice: Stage
) -> None:
    panel.wait_icons(1)
    environ = {**panel.environ, "XDG_SESSION_ID": "another"}
    other = subprocess.Popen(_command(practice), env=environ)
    try:
        panel.wait_icons(2)
    finally:
        other.terminate()
        other.wait(10)
