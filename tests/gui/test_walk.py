"""A walk over everything there is to see (``scenes.py``): every tab, and what others add there.

Nothing that takes the focus is nameless, Tab reaches all of it in reading order, no text is clipped
when it grows by 40 % in the smallest window, and every text can be read in every theme.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from pytestqt.qtbot import QtBot

from agent.cli.stage import Stage
from gui.app import Desktop
from gui.i18n import PSEUDO
from gui.link import Standing
from gui.prefs import Prefs
from gui.theme import Scheme
from tests.gui import looks
from tests.gui.scenes import SCENES

SMALLEST = (1024, 640)
_SETTLE_S = 4.0


def settle(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SETTLE_S
    while not until() and time.monotonic() < deadline:
        QApplication.processEvents()
        time.sleep(0.01)
    calm = time.monotonic() + 0.15
    while time.monotonic() < calm:
        QApplication.processEvents()
        time.sleep(0.005)


@pytest.fixture
def opened(
    practice: Stage, desktop_at: Callable[[Path], Desktop], prefs: Prefs, qtbot: QtBot
) -> Callable[[str], Desktop]:
    """``opened(language)``: the desktop, connected, in the smallest window it must fit."""

    def make(language: str) -> Desktop:
        prefs.put("language", language)
        prefs.put("theme", "light")
        desktop = desktop_at(practice.paths.home)
        desktop.start()
        qtbot.waitUntil(lambda: desktop.link.standing is Standing.UP, timeout=20_000)
        desktop.window.resize(*SMALLEST)
        return desktop

    return make


def test_everything_has_a_name_and_is_reached_in_order(opened: Callable[[str], Desktop]) -> None:
    desktop = opened("en")
    wrong: dict[str, dict[str, list[str]]] = {}
    for name, scene in SCENES.items():
        root = scene(desktop, settle)
        order = looks.walked(root)
        found = {
            "nameless": looks.nameless(root),
            "never reached": looks.unreached(root, order),
            "jumps": looks.jumps(root, order),
        }
        wrong[name] = {what: each for what, each in found.items() if each}
    assert {name: each for name, each in wrong.items() if each} == {}


def test_no_text_is_clipped_when_it_grows(opened: Callable[[str], Desktop]) -> None:
    desktop = opened(PSEUDO)
    found = {name: looks.clipped(scene(desktop, settle)) for name, scene in SCENES.items()}
    assert {name: each for name, each in found.items() if each} == {}


def test_every_text_can_be_read(opened: Callable[[str], Desktop]) -> None:
    desktop = opened("en")
    found: dict[str, list[str]] = {}
    for scheme in Scheme:
        desktop.theme.choose(scheme)  # dressing everything anew is the dear part
        for name, scene in SCENES.items():
            found[f"{name} {scheme.value}"] = looks.faint(scene(desktop, settle))
    assert {name: each for name, each in found.items() if each} == {}


# --- the walk itself sees what it is for ----------------------------------------------------------


@pytest.fixture
def bad(qtbot: QtBot) -> QWidget:
    """A page with every fault."""
    page = QWidget()
    qtbot.addWidget(page)
    page.setStyleSheet("background: #ffffff; color: #000000;")
    field = QLineEdit()
    low, high = QPushButton("Low"), QPushButton("High")
    cut = QLabel("This is a text that has no room at all")
    cut.setFixedWidth(40)
    pale = QLabel("Pale")
    pale.setStyleSheet("color: #9a9a9a;")
    box = QVBoxLayout(page)
    for widget in (high, field, low, cut, pale):
        box.addWidget(widget)
    QWidget.setTabOrder(high, low)
    QWidget.setTabOrder(low, field)
    page.show()
    return page


def test_the_walk_finds_what_is_wrong(bad: QWidget) -> None:
    assert looks.nameless(bad) == ["QLineEdit()"]
    assert any(
        "Low" in jump and "QLineEdit" in jump for jump in looks.jumps(bad, looks.walked(bad))
    )
    assert looks.clipped(bad) == ["QLabel(This is a text that has no room at all)"]
    assert [each.split(" ")[0] for each in looks.faint(bad)] == ["QLabel(Pale)"]


def test_and_nothing_where_nothing_is(qtbot: QtBot) -> None:
    page = QWidget()
    qtbot.addWidget(page)
    page.setStyleSheet("background: #ffffff; color: #000000;")
    field = QLineEdit()
    field.setAccessibleName("Name")
    box = QHBoxLayout(page)
    for widget in (QLabel("Name"), field, QPushButton("Save")):
        box.addWidget(widget)
    page.show()
    order = looks.walked(page)
    assert (looks.nameless(page), looks.unreached(page, order), looks.jumps(page, order)) == (
        [], [], []
    )  # fmt: skip
    assert (looks.clipped(page), looks.faint(page)) == ([], [])
