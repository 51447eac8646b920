"""The icon by the clock: shape and colour of the state, two timestamps, the menu. Thin Qt.

What it shows is decided in ``gui.presenter``. A panel that starts later or again gets it anew.
"""

from __future__ import annotations

import sys

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtWidgets import QMenu, QSystemTrayIcon

from agent.model.status import State
from gui.presenter.menu import Item, menu_items
from gui.presenter.status import StatusView
from gui.shell import Shell

_LOOK_MS = 5000


class Tray(QObject):
    """``wanted`` with what was chosen: the words of ``gui.presenter.menu``."""

    wanted = Signal(str)
    pressed = Signal()  # a balloon

    def __init__(self, shell: Shell) -> None:
        super().__init__()
        self._shell = shell
        self._view: StatusView | None = None
        self._items: tuple[Item, ...] = ()
        self.icon = QSystemTrayIcon()
        self.menu = QMenu()
        self.icon.setContextMenu(self.menu)
        self.icon.activated.connect(self._clicked)
        self.icon.messageClicked.connect(self.pressed)
        shell.theme.changed.connect(self._dress)
        # A panel may come up after us, or die and come again.
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        self._timer.start(_LOOK_MS)

    def show_status(self, view: StatusView) -> None:
        before, self._view = self._view, view
        shown = (view.icon, view.to_review)
        if before is None or (before.icon, before.to_review) != shown:
            self._dress()
        if before is None or before.tooltip != view.tooltip:
            self.icon.setToolTip(view.tooltip)
        self._fill()
        if before is None:
            self._look()

    def refresh(self) -> None:
        """What the menu depends on beside the status has changed."""
        if self._view is not None:
            self._fill()

    def notify(self, title: str, body: str, tone: str) -> None:
        kinds = QSystemTrayIcon.MessageIcon
        kind = {"bad": kinds.Critical, "warn": kinds.Warning}.get(tone, kinds.Information)
        self.icon.showMessage(title, body, kind, 10_000)

    def take_back(self) -> None:
        """The balloon goes with the icon; Windows only, elsewhere it goes by its time."""
        if sys.platform == "win32":
            self.icon.hide()
            self.icon.show()

    def hide(self) -> None:
        self._timer.stop()
        self.icon.hide()

    def _dress(self) -> None:
        if self._view is not None:
            theme, view = self._shell.theme, self._view
            count = view.to_review if view.state is State.NEEDS_REVIEW else 0
            self.icon.setIcon(theme.counted_icon(view.icon, count))

    def _look(self) -> None:
        if self._view is not None and QSystemTrayIcon.isSystemTrayAvailable():
            if not self.icon.isVisible():
                self.icon.show()
        elif self.icon.isVisible():
            self.icon.hide()  # shown anew once a panel is there again

    def _fill(self) -> None:
        """Rebuilt only when it reads differently, and never under a person's hand."""
        assert self._view is not None
        items = menu_items(
            self._view, self._shell.link, self._shell.prefs, self._shell.now(), self._shell.texts
        )
        if items == self._items or self.menu.isVisible():
            return
        self._items = items
        self.menu.clear()
        for item in items:
            self._add(self.menu, item)

    def _add(self, menu: QMenu, item: Item) -> None:
        if item.items:
            inner = menu.addMenu(item.text)
            for one in item.items:
                self._add(inner, one)
        elif not item.text:
            menu.addSeparator()
        else:
            action = menu.addAction(item.text)
            action.setEnabled(item.is_enabled)
            action.triggered.connect(lambda _=False, do=item.do: self.wanted.emit(do))

    def _clicked(self, reason: QSystemTrayIcon.ActivationReason) -> None:
        if reason in {
            QSystemTrayIcon.ActivationReason.Trigger,
            QSystemTrayIcon.ActivationReason.DoubleClick,
        }:
            self.wanted.emit("click")
