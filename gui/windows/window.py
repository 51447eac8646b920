"""The one window: the side with the tabs, the page, and a line for what was just done."""

from __future__ import annotations

from typing import cast

from PySide6.QtCore import QByteArray, Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMainWindow, QStackedWidget, QVBoxLayout, QWidget

from gui import a11y
from gui.presenter.offer import Offer
from gui.presenter.status import StatusView
from gui.shell import Shell
from gui.theme import set_tone
from gui.widgets.parts import GAP, button, label, row
from gui.windows.side import Side
from gui.windows.tab import Tab
from gui.windows.tabs import TABS

SMALLEST = (900, 560)
USUAL = (1120, 740)
_TOLD_MS = 8000
OWN_WINDOWS = frozenset({"setup"})


class Window(QMainWindow):
    """Closing hides it; the agent does not care whether it is open."""

    closed = Signal()

    def __init__(self, shell: Shell, tabs: tuple[type[Tab], ...] = TABS) -> None:
        super().__init__()
        self.shell = shell
        self._kinds = {tab.name: tab for tab in tabs}
        shell.tabs = frozenset({*self._kinds, *OWN_WINDOWS})
        self._built: dict[str, Tab] = {}
        self.setWindowTitle(shell.texts("shell.product"))
        self.setWindowIcon(shell.theme.icon("bridgework"))
        self.setMinimumSize(*SMALLEST)
        self.side = Side(shell, tabs)
        self.pages = QStackedWidget()
        self.notice = _Notice(shell)
        main = QVBoxLayout()
        main.setContentsMargins(0, 0, 0, 0)
        main.setSpacing(0)
        main.addWidget(self.pages, 1)
        main.addWidget(self.notice)
        whole = QHBoxLayout()
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(self.side)
        whole.addLayout(main, 1)
        centre = QWidget()
        centre.setLayout(whole)
        self.setCentralWidget(centre)
        self.side.chosen.connect(self.open_at)
        shell.going.connect(self.open_at)
        shell.telling.connect(self.notice.tell)
        shell.status_changed.connect(self._show_status)
        if shell.status is not None:
            self._show_status(shell.status)
        for place, name in enumerate(self._kinds, 1):
            QShortcut(QKeySequence(f"Ctrl+{place}"), self, lambda n=name: self.open_at(n))
        QShortcut(QKeySequence.StandardKey.Close, self, self.close)
        self._restore()

    @property
    def tab(self) -> Tab | None:
        """The one shown."""
        shown = self.pages.currentWidget()
        return shown if isinstance(shown, Tab) else None

    def open_at(self, name: str, place: str = "") -> None:
        """Shows a tab, building it the first time; an unknown name is the first one. What has a
        window of its own is not ours."""
        if name in OWN_WINDOWS:
            return
        name = name if name in self._kinds else next(iter(self._kinds))
        tab = self.built(name)
        self.side.choose(name)
        self.pages.setCurrentWidget(tab)
        # Qt hands the focus of a hidden page on to whatever comes next, now or later.
        now = cast("QWidget | None", self.focusWidget())
        if now is None or not tab.isAncestorOf(now):
            self.side.buttons[name].setFocus(Qt.FocusReason.OtherFocusReason)
        self.setWindowTitle(
            self.shell.texts("shell.window", tab=self.shell.texts(f"tabs.{name}.title"))
        )
        if place:
            tab.show_at(place)

    def shown_tabs(self) -> list[str]:
        """Names of the tabs that were opened so far."""
        return [name for name in self._kinds if name in self._built]

    def built(self, name: str) -> Tab:
        tab = self._built.get(name)
        if tab is None:
            tab = self._kinds[name](self.shell)
            tab.badge_changed.connect(self.side.buttons[name].set_count)
            self._built[name] = tab
            self.pages.addWidget(tab)
        return tab

    def _show_status(self, view: StatusView) -> None:
        self.side.show_status(view)
        if "review" in self.side.buttons:
            self.side.buttons["review"].set_count(view.to_review)

    def bring_up(self, name: str = "", place: str = "") -> None:
        """In front, where the click meant."""
        if name or self.tab is None:
            self.open_at(name, place)
        self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)
        self.show()
        self.raise_()
        self.activateWindow()

    def closeEvent(self, event: QCloseEvent) -> None:
        self.keep_place()
        super().closeEvent(event)
        self.closed.emit()

    def keep_place(self) -> None:
        """Where and how large it is, for the next time."""
        self.shell.prefs.put("window/geometry", self.saveGeometry())
        self.shell.prefs.save()

    def focusNextPrevChild(self, forward: bool) -> bool:  # noqa: N802 - Qt's
        """Tab reads the window as people do: the side, the page line by line, the notice. Tabs are
        built late and grow cards: the order things were made in is not theirs."""
        parts = (self.side, self.pages.currentWidget(), self.notice)
        return a11y.step(self, parts, forward=forward)

    def _restore(self) -> None:
        kept: QByteArray = self.shell.prefs.bytes("window/geometry")
        # A kept place on a screen that is gone is put right by Qt itself.
        if kept.isEmpty() or not self.restoreGeometry(kept):
            room = self.screen().availableGeometry()
            self.resize(min(USUAL[0], room.width() - 40), min(USUAL[1], room.height() - 60))


class _Notice(QFrame):
    """A passing line at the foot: said aloud, gone by itself, and by its button."""

    def __init__(self, shell: Shell) -> None:
        super().__init__()
        self.setProperty("kind", "banner")
        self._text = label("", "", wrap=True)
        self._text.setObjectName("notice")
        self._offer: Offer | None = None
        self.act = button("", lambda: self._act(shell))
        self.act.hide()
        close = button(shell.texts("shell.dismiss"), self.hide, "link")
        inside = row(self._text, self.act, close, gap=GAP)
        inside.setStretch(0, 1)
        inside.setContentsMargins(16, 8, 12, 8)
        self.setLayout(inside)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.hide)
        self.hide()

    def tell(self, text: str, tone: str, offer: Offer | None) -> None:
        self._text.setText(text)
        set_tone(self, tone)
        self._offer = offer
        self.act.setVisible(offer is not None)
        if offer is not None:
            self.act.setText(offer.label)
            a11y.name(self.act, offer.label)
        self.show()
        a11y.announce(self, text)
        if tone != "bad":  # what went wrong stays until it was read
            self._timer.start(_TOLD_MS)
        else:
            self._timer.stop()

    def _act(self, shell: Shell) -> None:
        self.hide()
        if self._offer is not None:
            shell.take(self._offer)
