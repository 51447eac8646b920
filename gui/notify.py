"""Showing notices: one of a kind at a time, a newer one in its place, a press goes there.

Where the desktop has a server of notifications (``gui.toasts``, Linux), a notice has its button,
is replaced in place and taken back when it is over. Else it is the icon's balloon, which Qt gives
no button, no second one beside it and no way back: a click on it opens what it is about, and on
Windows hiding the icon takes it away (not verified there).
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject

from gui.presenter.notices import Notice
from gui.toasts import BODY, Toasts, connect
from gui.tray import Tray


class Notifier(QObject):
    """``go`` gets the place a press leads to. ``find``: looks for the desktop's server, when first
    something is to be shown."""

    def __init__(
        self,
        tray: Tray,
        go: Callable[[tuple[str, str]], None],
        find: Callable[[], Toasts | None] = connect,
    ) -> None:
        super().__init__()
        self._tray = tray
        self._go = go
        self._find: Callable[[], Toasts | None] | None = find
        self._toasts: Toasts | None = None
        self.shown: dict[str, Notice] = {}  # by kind; as a balloon only one

    def show(self, notice: Notice) -> None:
        toasts = self._server()
        if toasts is None:
            self.shown = {notice.kind: notice}
            self._tray.notify(notice.title, notice.body, notice.tone)
            return
        self.shown[notice.kind] = notice
        toasts.show(notice.kind, notice.title, notice.body, notice.tone, notice.button)

    def withdraw(self, kind: str) -> None:
        if self.shown.pop(kind, None) is None:
            return
        if self._toasts is not None:
            self._toasts.withdraw(kind)
        else:
            self._tray.take_back()

    def press(self) -> None:
        """The icon's balloon was clicked."""
        for notice in self.shown.values():
            self._go(notice.look)

    def close(self) -> None:
        """What is shown goes with the icon."""
        for kind in list(self.shown):
            self.withdraw(kind)
        if self._toasts is not None:
            self._toasts.close()

    def _server(self) -> Toasts | None:
        if self._toasts is None and self._find is not None:
            self._toasts, self._find = self._find(), None
            if self._toasts is not None:
                self._toasts.pressed.connect(self._pressed)
                self._toasts.broken.connect(self._lost)
        return self._toasts

    def _pressed(self, kind: str, what: str) -> None:
        notice = self.shown.get(kind)
        if notice is not None:
            self._go(notice.look if what == BODY else notice.go)

    def _lost(self, unseen: list[str]) -> None:
        """Balloons from now on, first for what was not seen."""
        self._toasts = None
        waiting = [self.shown[kind] for kind in unseen if kind in self.shown]
        self.shown.clear()
        for notice in waiting:
            self.show(notice)
