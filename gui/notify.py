"""Showing notices by the tray icon: one at a time, a newer one in its place, a click goes there.

Qt has no way to take a balloon back; where the platform lets the icon do it (hiding it), that is
done. Not verified on Windows.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject

from gui.presenter.notices import Notice
from gui.tray import Tray


class Notifier(QObject):
    """``pressed`` gets the notice whose balloon was clicked."""

    def __init__(self, tray: Tray, pressed: Callable[[Notice], None]) -> None:
        super().__init__()
        self._tray = tray
        self._pressed = pressed
        self.shown: Notice | None = None

    def show(self, notice: Notice) -> None:
        self.shown = notice
        self._tray.notify(notice.title, notice.body, notice.tone)

    def withdraw(self, kind: str) -> None:
        if self.shown is not None and self.shown.kind == kind:
            self.shown = None
            self._tray.take_back()

    def press(self) -> None:
        """A balloon was clicked."""
        if self.shown is not None:
            self._pressed(self.shown)
