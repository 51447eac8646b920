"""A screen nobody sees, a real agent with a sample practice and the reference CRM, the desktop.

``practice``: the running stage, one for all tests of a run (they share its worker); a test that
breaks something mends it. ``desktop``: everything of the desktop, not yet started. ``window``: it
runs, the agent answers, the window is shown. No dialog may block: ``exec`` fails the test.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication, QDialog, QFileDialog, QMenu, QMessageBox
from pytestqt.qtbot import QtBot

from agent.cli.stage import Stage
from gui.app import Desktop
from gui.link import Standing
from gui.prefs import Prefs
from gui.theme import Theme
from gui.windows.window import Window
from tests.gui.screen import unseen

unseen()  # read when the application is made
os.environ["DBUS_SESSION_BUS_ADDRESS"] = "disabled:"  # no toasts on the developer's own desktop


@pytest.fixture(autouse=True)
def between_tests() -> Iterator[None]:
    """Garbage is collected then only, as by ``gui.collecting`` between events."""
    gc.disable()
    yield
    gc.enable()
    gc.collect(1)


LOADED_S = 90.0
# The engine of a test is to be idle, not to prove everything every ten seconds.
CALM: dict[str, object] = {
    "sync.sweep_hot_s": 600,
    "sync.sweep_warm_s": 600,
    "sync.sweep_cold_s": 600,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker, one agent, whoever needs it."""
    for item in items:
        if "practice" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("gui"))


@pytest.fixture(scope="session")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Sample practice, reference CRM, agent; loaded and in agreement."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
        folder = tmp_path_factory.mktemp("practice")
        with Stage(folder, patients=40, seed=7, settings=CALM) as stage:
            stage.start_agent()
            stage.wait_loaded(LOADED_S)
            yield stage


@pytest.fixture(autouse=True)
def _nothing_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a modal dialog was run: a test would wait for ever, and so would a person")

    for kind in (QDialog, QMenu, QMessageBox):
        monkeypatch.setattr(kind, "exec", refuse)
    for kind, names in (
        (QMessageBox, ("about", "critical", "information", "question", "warning")),
        (QFileDialog, ("getOpenFileName", "getSaveFileName", "getExistingDirectory")),
    ):
        for name in names:
            monkeypatch.setattr(kind, name, refuse)


@pytest.fixture
def prefs(tmp_path: Path) -> Prefs:
    return Prefs(str(tmp_path / "window.ini"))


@pytest.fixture
def app(qapp: QApplication) -> Iterator[QApplication]:
    """Undressed afterwards."""
    yield qapp
    for theme in qapp.findChildren(Theme):
        theme.deleteLater()


@pytest.fixture
def desktop_at(app: QApplication, prefs: Prefs) -> Iterator[Callable[[Path], Desktop]]:
    """``desktop_at(home)``: the desktop of the agent there, not started."""
    made: list[Desktop] = []

    def make(home: Path) -> Desktop:
        made.append(Desktop(app, home, prefs=prefs))
        return made[-1]

    yield make
    for desktop in made:
        end(desktop)


def end(desktop: Desktop) -> None:
    """Its windows go too: a style sheet would dress them for every test that follows."""
    desktop.close()
    for widget in (desktop._window, desktop._wizard):
        if widget is not None:
            widget.deleteLater()
    desktop.deleteLater()


@pytest.fixture
def desktop(practice: Stage, desktop_at: Callable[[Path], Desktop]) -> Desktop:
    return desktop_at(practice.paths.home)


@pytest.fixture
def window(desktop: Desktop, qtbot: QtBot) -> Window:
    desktop.start()
    qtbot.waitUntil(lambda: desktop.link.standing is Standing.UP, timeout=10_000)
    desktop.window.bring_up()
    qtbot.waitExposed(desktop.window)
    return desktop.window
