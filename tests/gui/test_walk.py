"""A walk over everything there is to see (``scenes.py``): every tab, and what others add there.

Nothing that takes the focus is nameless, Tab reaches all of it in reading order, no text is clipped
when it grows by 40 % in the smallest window, and every text can be read in every theme.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from PySide6.QtWidgets import (
    QApplication,
    QDialog,
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
from gui.link import Asked, Standing
from gui.prefs import Prefs
from gui.theme import Scheme, Theme
from tests.gui import looks
from tests.gui.conftest import end
from tests.gui.scenes import SCENES

SMALLEST = (1024, 640)
_SETTLE_S = 4.0
_AT_REST = 3  # rounds of the event loop in which nothing was left to do


class Seen:
    """A desktop in the smallest window it must fit, and whether it still waits for an answer."""

    def __init__(self, app: QApplication, practice: Stage, prefs: Prefs, language: str) -> None:
        prefs.put("language", language)
        prefs.put("theme", "light")
        self.desktop = Desktop(app, practice.paths.home, prefs=prefs)
        self._open: list[Asked] = []
        self._asks = self.desktop.link.ask
        self.desktop.link.ask = self._ask  # type: ignore[method-assign]
        self.desktop.start()
        self.settle(lambda: self.desktop.link.standing is Standing.UP)
        self.desktop.window.resize(*SMALLEST)

    def _ask(self, *args: Any, **more: Any) -> Asked:
        asked = self._asks(*args, **more)
        self._open.append(asked)
        return asked

    def _is_answered(self) -> bool:
        self._open = [asked for asked in self._open if not asked.is_over]
        return not self._open

    def settle(self, until: Callable[[], bool]) -> None:
        """Until it holds, everything asked is answered, and what that changes is laid out."""
        deadline, rest = time.monotonic() + _SETTLE_S, 0
        while rest < _AT_REST and time.monotonic() < deadline:
            QApplication.processEvents()
            rest = rest + 1 if until() and self._is_answered() else 0
            time.sleep(0.002)

    def scenes(self) -> Iterator[tuple[str, QWidget]]:
        """While one is looked at no report moves it: a new finding shifts what is below."""
        link = self.desktop.link
        for name, scene in SCENES.items():
            root = scene(self.desktop, self.settle)
            link._take_report = lambda _: None  # type: ignore[method-assign]
            yield name, root
            if isinstance(root, QDialog):  # it lies before the window
                root.close()
            del link._take_report  # type: ignore[method-assign]


@pytest.fixture(scope="module")
def seen_in(
    practice: Stage, qapp: QApplication, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Seen]]:
    """``seen_in(language)``: one desktop each, for all tests here."""
    made: dict[str, Seen] = {}

    def make(language: str) -> Seen:
        if language not in made:
            prefs = Prefs(str(tmp_path_factory.mktemp("prefs") / "window.ini"))
            made[language] = Seen(qapp, practice, prefs, language)
        return made[language]

    yield make
    for seen in made.values():
        end(seen.desktop)
    for theme in qapp.findChildren(Theme):
        theme.deleteLater()


def test_everything_has_a_name_and_is_reached_in_order(seen_in: Callable[[str], Seen]) -> None:
    wrong: dict[str, dict[str, list[str]]] = {}
    for name, root in seen_in("en").scenes():
        order = looks.walked(root)
        found = {
            "nameless": looks.nameless(root),
            "never reached": looks.unreached(root, order),
            "jumps": looks.jumps(root, order),
        }
        wrong[name] = {what: each for what, each in found.items() if each}
    assert {name: each for name, each in wrong.items() if each} == {}


def test_every_text_can_be_read(seen_in: Callable[[str], Seen]) -> None:
    seen = seen_in("en")
    found: dict[str, list[str]] = {}
    for scheme in Scheme:
        seen.desktop.theme.choose(scheme)  # dressing everything anew is the dear part
        for name, root in seen.scenes():
            found[f"{name} {scheme.value}"] = looks.faint(root)
    assert {name: each for name, each in found.items() if each} == {}


def test_no_text_is_clipped_when_it_grows(seen_in: Callable[[str], Seen]) -> None:
    found = {name: looks.clipped(root) for name, root in seen_in(PSEUDO).scenes()}
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
