"""What every queue has: its list, the place for what is chosen, an empty state, and taking back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QFrame, QScrollArea, QSplitter, QVBoxLayout, QWidget

from agent.errors import AgentError
from agent.model.asking import Request, Settlement
from agent.model.records import Named, NameThem
from gui import a11y
from gui.shell import Shell
from gui.theme import set_tone
from gui.widgets.lines import Line, LineView
from gui.widgets.parts import GAP, button, clear, column, label, row

T = TypeVar("T")
GRACE_S = 5  # how long a decision can be taken back; the agent decides, this only counts


class Queue(QWidget):
    """``name``: key of its texts (``review.<name>...``) and of the event's count."""

    name: ClassVar[str] = ""
    several: ClassVar[bool] = False
    counted = Signal(int)

    def __init__(self, shell: Shell) -> None:
        super().__init__()
        self.shell = shell
        self.texts = shell.texts
        self.shown: object = None  # ident of what the detail shows
        self.is_held = False  # the detail shows something of no line; leave it
        self.view = LineView(shell.theme, self.say("list"), several=self.several)
        self.view.setMinimumWidth(220)
        self.above = row()
        self.empty = label("", "soft", wrap=True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignTop)
        left = QWidget()
        left.setLayout(column(self.above, self.view, self.empty, gap=8))
        self.detail = QVBoxLayout()
        self.detail.setContentsMargins(0, 0, 4, 0)
        self.detail.setSpacing(GAP - 4)
        holder = QWidget()
        holder.setLayout(self.detail)
        self.scroller = QScrollArea()
        self.scroller.setWidget(holder)
        self.scroller.setWidgetResizable(True)
        self.scroller.setFrameShape(QFrame.Shape.NoFrame)
        self.scroller.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.feet = column(gap=0)
        self.undo = UndoBar(self)
        right = QWidget()
        right.setLayout(column(self.scroller, self.feet, self.undo, gap=8))
        split = QSplitter()
        split.addWidget(left)
        split.addWidget(right)
        split.setStretchFactor(0, 1)
        split.setStretchFactor(1, 4)
        split.setSizes([240, 690])
        split.setChildrenCollapsible(False)
        split.setHandleWidth(GAP + 4)
        self.setLayout(column(split, gap=0))
        self.view.selectionModel().selectionChanged.connect(lambda *_: self._chosen())

    def say(self, key: str, /, **facts: str | int | float | None) -> str:
        return self.texts(f"review.{self.name}.{key}", **facts)

    # -- for the tab ------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Ask for the list anew."""
        raise NotImplementedError

    def show_at(self, ident: str) -> None:
        """Choose a line by its ident as text, once it is there."""
        for at, line in enumerate(self.view.held.rows):
            if str(line.ident) == ident:
                self.view.choose(at)

    # -- for queues -------------------------------------------------------------------------------

    def ask(
        self,
        request: Request[T],
        then: Callable[[T], None] | None = None,
        failed: Callable[[AgentError], None] | None = None,
    ) -> None:
        self.shell.link.ask(request, then, failed=failed, owner=self)

    def put(self, lines: Sequence[Line], count: int | None = None) -> None:
        """The list; what was chosen stays chosen, else the first is. ``count``: of what waits here,
        -1 = not known from this list."""
        at = self.view.currentIndex().row()
        self.view.held.show(lines)
        total = len(lines) if count is None else count
        if total >= 0:
            self.counted.emit(total)
        self.view.setVisible(bool(lines))
        self.empty.setVisible(not lines)
        self.empty.setText("" if lines else self.say("none"))
        if not lines:
            self.shown = None
            self.fresh().addStretch(1)
        elif not self.is_held and not self.view.selectedIndexes():
            self.view.choose(min(max(at, 0), len(lines) - 1))

    def name_lines(self, request: NameThem, then: Callable[[Named], None]) -> None:
        """Names only where this person may see them, as the practice shows them in lists."""
        if self.shell.link.may(NameThem) and (request.records or request.contacts or request.tasks):
            self.ask(request, then)

    def choose(self, lines: list[Line]) -> None:
        """Show what is chosen at the right."""
        raise NotImplementedError

    def head(self, widget: QWidget) -> None:
        """Above the list, and before it for the Tab key."""
        self.above.addWidget(widget)
        QWidget.setTabOrder(widget, self.view)

    def fresh(self) -> QVBoxLayout:
        clear(self.detail)
        clear(self.feet)
        return self.detail

    def next_line(self) -> None:
        """On to the one after the one shown."""
        at = self.view.currentIndex().row()
        if at + 1 < len(self.view.held.rows):
            self.view.choose(at + 1)

    def may(self, kind: type[Request[Any]]) -> bool:
        return self.shell.link.may(kind)

    def age(self, moment: datetime) -> str:
        """How long it has waited."""
        return self.texts.span((self.shell.now() - moment).total_seconds())

    def told(self, settlement: Settlement, did: str) -> None:
        """What could not be done is said; else what was."""
        bad = [line for line in settlement.lines if line.code]
        if bad:
            message = self.texts.message(bad[0].code, bad[0].facts)
            self.shell.tell(self.texts("review.not_all", n=len(bad), why=message.title), "bad")
        elif did:
            self.shell.tell(did, "good")
        self.refresh()

    def _chosen(self) -> None:
        lines = self.view.chosen
        ident = tuple(line.ident for line in lines)
        if lines and ident != self.shown:
            self.shown = ident
            self.is_held = False
            self.choose(lines)


class UndoBar(QFrame):
    """What was done, with a button to take it back, for as long as the agent lets us."""

    def __init__(self, queue: QWidget) -> None:
        super().__init__(queue)
        self.setProperty("kind", "banner")
        set_tone(self, "good")
        self._text = label("", "", wrap=True)
        self.button = button("", self._pressed, "link")
        self.button.setObjectName("undo")
        inside = row(self._text, self.button)
        inside.setStretch(0, 1)
        inside.setContentsMargins(14, 6, 14, 6)
        self.setLayout(inside)
        self._act: Callable[[], None] | None = None
        self._left = 0
        self._timer = QTimer(self)
        self._timer.setInterval(1000)
        self._timer.timeout.connect(self._tick)
        self._say: Callable[[int], str] = str
        self.hide()

    def offer(self, text: str, say: Callable[[int], str], act: Callable[[], None]) -> None:
        """``say(seconds)`` is the button's text while they run out."""
        self._act, self._say, self._left = act, say, GRACE_S
        self._text.setText(text)
        self._show()
        self.show()
        self._timer.start()
        a11y.announce(self, f"{text} {self.button.text()}")

    def end(self) -> None:
        self._timer.stop()
        self._act = None
        self.hide()

    def _show(self) -> None:
        self.button.setText(self._say(self._left))
        self.button.setAccessibleName(self.button.text())

    def _tick(self) -> None:
        self._left -= 1
        if self._left <= 0:
            self.end()
        else:
            self._show()

    def _pressed(self) -> None:
        act = self._act
        self.end()
        if act is not None:
            act()
