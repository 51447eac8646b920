"""What pictures are taken of: every tab by itself, and what is added here.

A scene puts the desktop into a shape and gives the widget to take the picture of; it may wait with
``settle(until)``. Its name is the picture's: ``assets/help/window-<name>.png``.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QWidget

from gui.app import Desktop
from gui.windows.tabs import TABS

Settle = Callable[[Callable[[], bool]], None]  # runs the event loop until it holds
Scene = Callable[[Desktop, Settle], QWidget]


def _tab(name: str) -> Scene:
    def scene(desktop: Desktop, settle: Settle) -> QWidget:
        desktop.window.bring_up(name)
        settle(lambda: desktop.window.tab is not None and desktop.window.tab.name == name)
        return desktop.window

    return scene


SCENES: dict[str, Scene] = {tab.name: _tab(tab.name) for tab in TABS}
