"""The window's left side: the tabs, and the state with its two timestamps, always in view."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QButtonGroup, QFrame, QPushButton, QVBoxLayout, QWidget

from gui import a11y
from gui.presenter.status import StatusView
from gui.shell import Shell
from gui.theme import set_tone
from gui.widgets.parts import GAP, column, label, row
from gui.windows.tab import Tab

WIDTH = 212
_BADGE = 20


class NavButton(QPushButton):
    """A tab's button; ``count`` beside the name, in colour and figures."""

    def __init__(self, shell: Shell, tab: type[Tab]) -> None:
        super().__init__(shell.texts(f"tabs.{tab.name}.title"))
        self.tab_name = tab.name
        self._shell = shell
        self._count = 0
        self.setProperty("kind", "nav")
        self.setCheckable(True)
        self.setAutoDefault(False)
        self.setIconSize(QSize(20, 20))
        self.setObjectName(f"nav-{tab.name}")
        a11y.name(self, self.text(), shell.texts(f"tabs.{tab.name}.about"))
        self.dress()

    def dress(self) -> None:
        self.setIcon(self._shell.theme.icon(f"nav/{self.tab_name}", "soft"))

    def set_count(self, count: int) -> None:
        if count == self._count:
            return
        self._count = count
        spoken = self._shell.texts("shell.waiting", n=count) if count else ""
        a11y.name(self, f"{self.text()}, {spoken}" if spoken else self.text())
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self._count:
            return
        theme = self._shell.theme
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(theme.font("caption", strong=True))
        text = "99+" if self._count > 99 else str(self._count)
        width = max(painter.fontMetrics().horizontalAdvance(text) + 12, _BADGE)
        box = QRectF(self.width() - width - 10, (self.height() - _BADGE) / 2, width, _BADGE)
        painter.setPen(theme.colour("warn"))
        painter.setBrush(theme.colour("warn_soft"))
        painter.drawRoundedRect(box, _BADGE / 2, _BADGE / 2)
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)
        painter.end()


class Side(QFrame):
    """``chosen`` with a tab's name."""

    chosen = Signal(str)

    def __init__(self, shell: Shell, tabs: tuple[type[Tab], ...]) -> None:
        super().__init__()
        self._shell = shell
        self.setProperty("kind", "side")
        self.setFixedWidth(WIDTH)
        self._mark = label()
        self._mark.setPixmap(shell.theme.icon("bridgework").pixmap(28, 28))
        a11y.name(self._mark, shell.texts("shell.product"))
        self._group = QButtonGroup(self)
        self.buttons = {tab.name: NavButton(shell, tab) for tab in tabs}
        nav = QVBoxLayout()
        nav.setSpacing(4)
        for button in self.buttons.values():
            self._group.addButton(button)
            nav.addWidget(button)
            button.clicked.connect(lambda _=False, b=button: self.chosen.emit(b.tab_name))
        self._state_icon = label()
        self._state_icon.setFixedSize(24, 24)
        self._head = label("", "", wrap=True)
        self._head.setObjectName("side-state")
        self._read = _Moment(shell.texts("status.read.label"))
        self._write = _Moment(shell.texts("status.write.label"))
        name = label(shell.texts("shell.product"), "subtitle")
        inside = column(
            row(self._mark, name, None, gap=10),
            GAP,
            nav,
            None,
            row(self._state_icon, self._head, gap=8),
            self._read,
            self._write,
            gap=6,
        )
        inside.setContentsMargins(GAP - 2, GAP + 6, GAP - 2, GAP)
        self.setLayout(inside)
        shell.theme.changed.connect(self._dress)

    @property
    def state_text(self) -> str:
        return self._head.text()

    def choose(self, name: str) -> None:
        self.buttons[name].setChecked(True)
        # One stop for all, the chosen one: Qt sees to that only where a person has clicked.
        for button in self.buttons.values():
            policy = Qt.FocusPolicy.StrongFocus if button.isChecked() else Qt.FocusPolicy.ClickFocus
            button.setFocusPolicy(policy)

    def show_status(self, view: StatusView) -> None:
        self._state_icon.setPixmap(self._shell.theme.icon(view.icon).pixmap(24, 24))
        a11y.name(self._state_icon, view.head)
        if self._head.text() != view.head:
            self._head.setText(view.head)
        self._read.show_when(view.read_when, view.last_read)
        self._write.show_when(view.write_when, view.last_write)
        set_tone(self._head, view.tone if view.tone in {"good", "warn", "bad"} else "")

    def _dress(self) -> None:
        for button in self.buttons.values():
            button.dress()
        self._mark.setPixmap(self._shell.theme.icon("bridgework").pixmap(28, 28))


class _Moment(QWidget):
    """What and when, each on a line of its own: an age that grows by a digit moves nothing."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self._when = label("", "caption", wrap=True)
        self.setLayout(column(label(what, "label", wrap=True), self._when, gap=0))

    def show_when(self, text: str, sentence: str) -> None:
        if self._when.text() != text:
            self._when.setText(text)
            a11y.name(self._when, sentence)
            self.setToolTip(sentence)


def focus_first(widget: QWidget) -> None:
    """The first control of a page that takes the focus by keyboard."""
    for child in widget.findChildren(QWidget):
        if child.isVisibleTo(widget) and child.focusPolicy() & Qt.FocusPolicy.TabFocus:
            child.setFocus(Qt.FocusReason.OtherFocusReason)
            return
