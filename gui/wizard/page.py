"""What a page of the wizard is: it asks when it is entered, and tells the agent when it is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol, TypeVar

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from agent.errors import AgentError
from agent.model.asking import Request
from agent.model.setup import (
    FindPms,
    GetHours,
    GetPolicies,
    GetPreview,
    GetProof,
    GetScope,
    GetSetup,
    SetupView,
    Step,
    TestPms,
)
from gui.link import ASKERS, Standing
from gui.shell import Shell
from gui.widgets.parts import EDGE, GAP, clear, column, label

T = TypeVar("T")
_AGAIN_MS = 500
_LOOKS = (FindPms, GetHours, GetPolicies, GetPreview, GetProof, GetScope, GetSetup, TestPms)


class Guide(Protocol):
    """The wizard, as a page sees it."""

    def busy(self, text: str) -> None: ...
    def calm(self) -> None: ...
    def complain(self, error: AgentError) -> None: ...
    def stands(self, view: SetupView) -> None: ...
    def go_to(self, name: str) -> None: ...


class _Holder(QWidget):
    """Wrapped text is as high as its width asks, not as its narrowest would: else a scroll bar
    stands where nothing is hidden."""

    def minimumSizeHint(self) -> QSize:
        return QSize(super().minimumSizeHint().width(), 0)


class Page(QWidget):
    """``name``: key of its texts (``wizard.<name>.title`` ...); ``step``: of the flow, None for the
    pages that only tell. ``content`` is what fills it, above what may scroll."""

    name: ClassVar[str] = ""
    step: ClassVar[Step | None] = None
    ready_changed = Signal()

    def __init__(self, shell: Shell, guide: Guide) -> None:
        super().__init__()
        self.shell = shell
        self.guide = guide
        self.is_ready = False
        self.view: SetupView | None = None
        self._unasked: Callable[[], None] | None = None  # what found no agent to ask
        self.setObjectName(f"page-{self.name}")
        self.content = QVBoxLayout()
        self.content.setContentsMargins(0, 0, 0, 0)
        self.content.setSpacing(GAP)
        inside = column(
            label(self.say("title"), "title", wrap=True),
            label(self.say("about"), "soft", wrap=True),
            GAP // 2,
            self.content,
            None,
        )
        inside.setContentsMargins(EDGE, EDGE - 4, EDGE, EDGE - 4)
        holder = _Holder()
        holder.setLayout(inside)
        holder.setMaximumWidth(860)
        scroll = QScrollArea()
        scroll.setWidget(holder)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        whole = column(scroll, gap=0)
        self.setLayout(whole)

    def say(self, key: str, /, **facts: str | int | float | None) -> str:
        return self.shell.texts(f"wizard.{self.name}.{key}", **facts)

    # -- for the wizard ---------------------------------------------------------------------------

    @property
    def next_text(self) -> str:
        return self.shell.texts("wizard.next")

    @property
    def next_kind(self) -> str:
        """The main button, unless the page has one of its own."""
        return "primary"

    def enter(self) -> None:
        """It is shown: ask for what it needs."""

    def leave(self, go: Callable[[], None]) -> None:
        """Next was pressed: tell the agent, then ``go``."""
        go()

    # -- for pages --------------------------------------------------------------------------------

    def set_ready(self, ready: bool) -> None:
        if ready != self.is_ready:
            self.is_ready = ready
            self.ready_changed.emit()

    def ask(
        self, request: Request[T], then: Callable[[T], None], busy: str = "", timeout_s: float = 120
    ) -> None:
        """Progress shows while the agent works; a refusal is told in words and leaves the page."""
        self.guide.busy(busy)
        self._unasked = None

        def taken(answer: T) -> None:
            self.guide.calm()
            then(answer)

        def send(tries: int) -> None:
            def refused(error: AgentError) -> None:
                # The engine began anew since: what changes nothing is simply asked again, on each
                # of the lines that broke, and once more when it answers.
                is_look = isinstance(request, _LOOKS)
                if error.code == "control.lost" and tries and is_look:
                    send(tries - 1)
                    return
                if is_look and error.code in {"control.lost", "control.no_agent"}:
                    self._unasked = lambda: self.ask(request, then, busy, timeout_s)
                    if self.shell.link.standing is Standing.UP:  # the line has not noticed yet
                        QTimer.singleShot(_AGAIN_MS, self, self.resume)
                self.guide.complain(error)

            self.shell.link.ask(request, taken, failed=refused, owner=self, timeout_s=timeout_s)

        send(ASKERS)

    def resume(self) -> None:
        """The agent answers again: what found none is asked now."""
        again, self._unasked = self._unasked, None
        if again is not None and self.isVisible():
            again()

    def fresh(self) -> QVBoxLayout:
        """The content, emptied."""
        clear(self.content)
        return self.content
