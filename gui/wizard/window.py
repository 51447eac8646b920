"""The wizard's window: steps at the left, one page, back and next. Can be opened again any time.

It begins at the first step that is missing and never blocks the rest of the desktop.
"""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QFrame,
    QMainWindow,
    QProgressBar,
    QStackedWidget,
    QWidget,
)

from agent.errors import AgentError
from agent.model.setup import GetSetup, PairByCode, SetupView, Step
from gui import a11y
from gui.link import Standing
from gui.shell import Shell
from gui.theme import set_kind, set_tone
from gui.widgets.parts import EDGE, GAP, button, column, label, row
from gui.wizard.decide import Conflicts, Hours, Scope
from gui.wizard.ends import Done, Preview, Welcome
from gui.wizard.page import Page
from gui.wizard.pair import Pair
from gui.wizard.place import Find, Proof
from gui.wizard.stepbutton import StepButton

PAGES: tuple[type[Page], ...] = (
    Welcome, Pair, Find, Proof, Scope, Conflicts, Hours, Preview, Done,
)  # fmt: skip
SIZE = (980, 640)
PAGE_OF = {"pms": "find"}  # what other windows call a page


class Wizard(QMainWindow):
    """``finished``: a person started the sync; ``wanted``: go elsewhere in the desktop."""

    finished = Signal()
    notify_wanted = Signal()

    def __init__(self, shell: Shell) -> None:
        super().__init__()
        self.shell = shell
        self.view: SetupView | None = None
        self._is_busy = False
        self._moves = 0  # how often a page was gone to
        texts = shell.texts
        self.setWindowTitle(texts("wizard.window"))
        self.setWindowIcon(shell.theme.icon("bridgework"))
        self.setMinimumSize(860, 560)
        self.resize(*SIZE)
        self.pages = QStackedWidget()
        self._kinds: dict[str, Page] = {}
        for kind in PAGES:
            page = kind(shell, self)
            page.ready_changed.connect(self._look)
            self._kinds[kind.name] = page
            self.pages.addWidget(page)
        self.steps = {kind.name: self._step_button(kind) for kind in PAGES}
        side_box = column(
            label(texts("wizard.heading"), "subtitle", wrap=True),
            GAP // 2,
            *self.steps.values(),
            None,
            gap=2,
        )
        side_box.setContentsMargins(GAP, EDGE - 4, GAP, GAP)
        self.side = side = QFrame()
        side.setProperty("kind", "side")
        side.setFixedWidth(264)
        side.setLayout(side_box)
        self.trouble = label("", "", wrap=True)
        self._banner = QFrame()
        self._banner.setProperty("kind", "banner")
        inside = row(self.trouble)
        inside.setContentsMargins(GAP, 8, GAP, 8)
        self._banner.setLayout(inside)
        self._banner.hide()
        self.doing = label("", "soft")
        self.progress = QProgressBar()
        self.progress.setRange(0, 0)
        self.progress.setFixedWidth(140)
        self.progress.hide()
        self.back = button(texts("wizard.back"), self.go_back)
        self.next = button(texts("wizard.next"), self.go_on, "primary")
        self.next.setDefault(True)
        foot = row(self.progress, self.doing, None, self.back, self.next)
        foot.setContentsMargins(EDGE, 12, EDGE, 14)
        right = column(self._banner, self.pages, foot, gap=0)
        right.setStretch(1, 1)
        whole = row(side, right, gap=0)
        whole.setStretch(1, 1)
        centre = QWidget()
        centre.setProperty("kind", "page")
        centre.setLayout(whole)
        self.setCentralWidget(centre)
        QShortcut(QKeySequence.StandardKey.Close, self, self.close)
        QShortcut(QKeySequence(Qt.Key.Key_Escape), self, self.close)
        shell.link.standing_changed.connect(self._line_changed)
        self._look()

    def focusNextPrevChild(self, forward: bool) -> bool:  # noqa: N802 - Qt's
        parts = (self.side, self.pages.currentWidget(), self.back, self.next)
        return a11y.step(self, parts, forward=forward)

    # -- where we are -----------------------------------------------------------------------------

    @property
    def page(self) -> Page:
        shown = self.pages.currentWidget()
        assert isinstance(shown, Page)
        return shown

    def bring_up(self, name: str = "") -> None:
        """In front, at the first step that is missing (or at ``name``)."""
        self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)
        self.show()
        self.raise_()
        self.activateWindow()
        self.refresh(name)

    def refresh(self, name: str = "") -> None:
        if self.shell.link.standing is not Standing.UP:
            self._line_changed(self.shell.link.standing)
            return
        if not self.shell.link.may(PairByCode):
            self._tell(self.shell.texts("wizard.not_admin"), "warn")

        moves = self._moves

        def stands(view: SetupView) -> None:
            self.stands(view)
            if self._moves != moves:
                return  # a person has gone on meanwhile: never pulled away from there
            begun = any(line.done for line in view.steps)
            first = view.next.value if view.next and begun else "welcome"
            self.go_to(name or first)

        self.shell.link.ask(GetSetup(), stands, failed=self.complain, owner=self)

    def stands(self, view: SetupView) -> None:
        """What is done now."""
        self.view = view
        for page in self._kinds.values():
            page.view = view
        self._look()

    def go_to(self, name: str) -> None:
        name = PAGE_OF.get(name, name)
        page = self._kinds.get(name) or self._kinds["welcome"]
        self._moves += 1
        self.pages.setCurrentWidget(page)
        self.calm()
        page.enter()
        self.next.setFocus()
        self._look()
        a11y.announce(self, page.say("title"))

    def go_on(self) -> None:
        if self.next.isEnabled():
            self.page.leave(self._advance)

    def go_back(self) -> None:
        at = self.pages.currentIndex()
        if at > 0:
            self.go_to(PAGES[at - 1].name)

    def _advance(self) -> None:
        at = self.pages.currentIndex()
        if at + 1 < len(PAGES):
            self.go_to(PAGES[at + 1].name)
        else:
            self.close()

    # -- for pages --------------------------------------------------------------------------------

    def busy(self, text: str) -> None:
        self._is_busy = True
        self._banner.hide()
        self.doing.setText(text or self.shell.texts("wizard.working"))
        self.progress.show()
        self._look()

    def calm(self) -> None:
        self._is_busy = False
        self.doing.setText("")
        self.progress.hide()
        self._look()

    def complain(self, error: AgentError) -> None:
        self.calm()
        message = self.shell.texts.message(error.code, error.facts)
        parts = (message.title, message.body, message.next_step)
        self._tell(" ".join(filter(None, parts)), "bad")

    def started(self) -> None:
        self.finished.emit()

    # -- pieces -----------------------------------------------------------------------------------

    def _tell(self, text: str, tone: str) -> None:
        self.trouble.setText(text)
        set_tone(self._banner, tone)
        self._banner.show()
        a11y.announce(self, text)

    def _line_changed(self, standing: object) -> None:
        if not self.isVisible():
            return
        if standing is Standing.UP:
            self._banner.hide()
            if self.view is None:
                self.refresh()
            else:
                self.page.resume()
        elif standing is Standing.DOWN and self.page.name != "done":
            self._tell(self.shell.texts("wizard.no_agent"), "warn")

    def _step_button(self, kind: type[Page]) -> StepButton:
        made = StepButton(self.shell, self.shell.texts(f"wizard.{kind.name}.step"))
        made.clicked.connect(lambda _=False: self.go_to(kind.name))
        made.setObjectName(f"step-{kind.name}")
        return made

    def _look(self) -> None:
        """Marks of the steps, and what can be pressed now."""
        texts = self.shell.texts
        done = {line.step: line.done for line in self.view.steps} if self.view else {}
        first_open = next((step for step in Step if not done.get(step)), None)
        for at, (name, made) in enumerate(self.steps.items()):
            page = self._kinds[name]
            is_done = bool(page.step and done.get(page.step))
            is_here = page is self.page
            made.set_mark("✓" if is_done else str(at) if page.step else "•")
            state = "done" if is_done else "here" if is_here else "open"
            made.setAccessibleName(
                f"{texts(f'wizard.{name}.step')}, {texts(f'wizard.mark.{state}')}"
            )
            made.setChecked(is_here)
            reachable = is_done or name == "welcome" or is_here
            reachable = reachable or (page.step is not None and page.step == first_open)
            made.setEnabled(reachable and not self._is_busy)
        page = self.page
        set_kind(self.next, page.next_kind)
        self.next.setText(page.next_text)
        self.next.setAccessibleName(page.next_text)
        self.next.setEnabled(page.is_ready and not self._is_busy)
        self.back.setVisible(page.name not in {"welcome", "done"})
        self.back.setEnabled(not self._is_busy)
