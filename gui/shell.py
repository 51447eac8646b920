"""What every part of the window is given: the line, texts, looks, and how to go elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from PySide6.QtCore import QObject, Signal

from agent.errors import AgentError
from gui.i18n import Texts
from gui.link import Link
from gui.prefs import Prefs
from gui.presenter.offer import START, Offer, offer
from gui.presenter.status import StatusView
from gui.theme import Theme


def _now() -> datetime:
    return datetime.now(UTC)


class Shell(QObject):
    """``go("review", "conflict:17")`` opens that tab there; ``tell`` shows a passing line."""

    going = Signal(str, str)  # tab, place
    telling = Signal(str, str, object)  # text, tone, Offer or None
    starting = Signal()  # a person wants the agent to run
    status_changed = Signal(object)  # StatusView, every second

    def __init__(
        self,
        link: Link,
        texts: Texts,
        theme: Theme,
        prefs: Prefs,
        now: Callable[[], datetime] = _now,
    ) -> None:
        super().__init__()
        self.link = link
        self.texts = texts
        self.theme = theme
        self.prefs = prefs
        self.now = now
        self.status: StatusView | None = None
        self.tabs: frozenset[str] = frozenset()  # names of those there are
        self.may_start = False  # this desktop can start the agent
        link.refused.connect(self.tell_error)

    def show_status(self, view: StatusView) -> None:
        self.status = view
        self.status_changed.emit(view)

    def go(self, tab: str, place: str = "") -> None:
        self.going.emit(tab, place)

    def tell(self, text: str, tone: str = "", offer: Offer | None = None) -> None:
        self.telling.emit(text, tone, offer)

    def take(self, offer: Offer) -> None:
        """What its button says."""
        if offer.go == START:
            self.starting.emit()
        else:
            self.go(*offer.go)

    def tell_error(self, error: AgentError) -> None:
        """In the words of the catalogue: what stopped, and the next step or a button for it."""
        message = self.texts.message(error.code, error.facts)
        text = " ".join(part for part in (message.title, message.next_step) if part)
        self.tell(text, "bad", offer(message, self.tabs, may_start=self.may_start))
