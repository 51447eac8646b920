"""What pictures are taken of: every tab by itself, and what is added here.

A scene puts the desktop into a shape and gives the widget to take the picture of; it may wait with
``settle(until)``. Its name is the picture's: ``assets/help/window-<name>.png``.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QWidget

from agent.errors import AgentError
from agent.model.status import State
from gui.app import Desktop
from gui.theme import Scheme, svg_icon
from gui.widgets.parts import label
from gui.windows.tabs import TABS
from tests.gui.decisions import DECISIONS
from tests.gui.scenes_byhand import by_hand, checks_found, doctor

Settle = Callable[[Callable[[], bool]], None]  # runs the event loop until it holds
Scene = Callable[[Desktop, Settle], QWidget]


def _tab(name: str) -> Scene:
    def scene(desktop: Desktop, settle: Settle) -> QWidget:
        desktop.window.bring_up(name)
        settle(lambda: desktop.window.tab is not None and desktop.window.tab.name == name)
        return desktop.window

    return scene


def _tray_states(desktop: Desktop, _: Settle) -> QWidget:
    """Every state's icon at the sizes panels use, on panels light, dark and of high contrast."""
    sheet = QWidget()
    sheet.setProperty("kind", "page")
    grid = QGridLayout(sheet)
    grid.setSpacing(14)
    grid.setContentsMargins(24, 24, 24, 24)
    names = (*(state.value for state in State), "idle", "needs_review 3", "needs_review 12")
    for at, title in enumerate(names):
        name, _, count = title.partition(" ")
        for column, (scheme, ground) in enumerate(
            ((Scheme.LIGHT, "#f4f6f8"), (Scheme.DARK, "#12181f"), (Scheme.CONTRAST, "#000000"))
        ):
            strip = QFrame()
            strip.setStyleSheet(f"background: {ground}; border-radius: 6px;")
            line = QHBoxLayout(strip)
            for size in (16, 24, 32, 48):
                picture = QLabel()
                picture.setPixmap(
                    svg_icon(f"tray/{name}", scheme, "", int(count or 0)).pixmap(size, size)
                )
                line.addWidget(picture)
            grid.addWidget(strip, at, column)
        grid.addWidget(label(title.replace("_", " "), "subtitle"), at, 3)
    sheet.setParent(desktop.window, sheet.windowFlags())  # lives as long
    sheet.show()
    return sheet


def _dialog(wish: str) -> Scene:
    def scene(desktop: Desktop, settle: Settle) -> QWidget:
        desktop.do(wish)
        settle(lambda: desktop.dialog is not None and desktop.dialog.isVisible())
        assert desktop.dialog is not None
        return desktop.dialog

    return scene


def _told(desktop: Desktop, settle: Settle) -> QWidget:
    """What went wrong, in passing, with its button."""
    desktop.window.bring_up("activity")
    desktop.shell.tell_error(AgentError("pms.auth_refused"))
    settle(desktop.window.notice.isVisible)
    return desktop.window


SHEETS: dict[str, Scene] = {"tray-states": _tray_states}  # pictures only, no windows of ours
SCENES: dict[str, Scene] = {**{tab.name: _tab(tab.name) for tab in TABS}, **DECISIONS}
SCENES |= {"by-hand": by_hand, "checks-found": checks_found, "doctor": doctor}
SCENES |= {"settings": _dialog("settings"), "about": _dialog("about"), "told": _told}
