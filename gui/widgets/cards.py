"""Cards of the overview: an honest number that is a button, a finding with its remedy."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QFrame, QPushButton, QSizePolicy

from gui import a11y
from gui.i18n import Texts
from gui.presenter.overview import FindingView, NumberView, Remedy
from gui.theme import set_tone
from gui.widgets.parts import GAP, button, column, label, row


class NumberCard(QPushButton):
    """Label, number, what it means; pressing it opens the tab that acts."""

    def __init__(self, texts: Texts) -> None:
        super().__init__()
        self._texts = texts
        self.setProperty("kind", "number")
        self.setAutoDefault(False)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.label = label("", "label", wrap=True)
        self.value = label("", "title", wrap=True)
        self.note = label("", "caption", wrap=True)
        inside = column(self.label, self.value, self.note, None, gap=4)
        inside.setContentsMargins(12, 12, 10, 12)
        self.setLayout(inside)
        for part in (self.label, self.value, self.note):
            part.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    def show_number(self, view: NumberView, tab: str) -> None:
        for part, text in (
            (self.label, view.label), (self.value, view.value), (self.note, view.note),
        ):  # fmt: skip
            if part.text() != text:
                part.setText(text)
        set_tone(self.value, view.tone if view.tone != "good" else "")
        spoken = self._texts(
            "overview.opens", label=view.label, value=view.value, note=view.note, tab=tab
        )
        if self.accessibleName() != spoken:
            a11y.name(self, spoken)

    def sizeHint(self) -> QSize:
        """A button asks for its text; this one for what lies in it."""
        inside = self.layout()
        return inside.sizeHint() if inside is not None else super().sizeHint()

    def minimumSizeHint(self) -> QSize:
        inside = self.layout()
        return inside.minimumSize() if inside is not None else super().minimumSizeHint()

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        inside = self.layout()
        return inside.heightForWidth(width) if inside is not None else -1


class FindingCard(QFrame):
    """What stopped, its effect, the next step; the remedy asks back in place, never in a dialog."""

    def __init__(self, texts: Texts, act: Callable[[Remedy], None]) -> None:
        super().__init__()
        self._texts = texts
        self._act = act
        self._remedy: Remedy | None = None
        self.setProperty("kind", "banner")
        self._mark = label("", "pill")
        self._title = label("", "subtitle", wrap=True)
        self._body = label("", "", wrap=True)
        self._next = label("", "soft", wrap=True)
        self._code = label("", "caption")
        self._question = label("", "", wrap=True)
        self.button = button("", self._pressed, "primary")
        self.yes = button(texts("overview.yes"), self._confirmed, "danger")
        self.no = button(texts("overview.no"), self._ask_no_more)
        head = row(self._mark, self._title, self._code, gap=10)
        head.setStretch(1, 1)
        words = column(
            head, self._body, self._next, self._question,
            row(self.button, self.yes, self.no, None), gap=6,
        )  # fmt: skip
        words.setContentsMargins(GAP, 14, GAP, 14)
        self.setLayout(words)
        self._ask_no_more()

    def show_finding(self, view: FindingView) -> None:
        set_tone(self, view.tone)
        set_tone(self._mark, view.tone)
        self._mark.setText(view.mark)
        self._title.setText(view.title)
        self._body.setText(view.body)
        self._body.setVisible(bool(view.body))
        self._next.setText(view.next_step)
        self._next.setVisible(bool(view.next_step))
        self._code.setText(self._texts("overview.code", code=view.code))
        if view.remedy != self._remedy:
            self._remedy = view.remedy
            self._ask_no_more()
        if view.remedy is not None:
            self.button.setText(view.remedy.label)
            a11y.name(self.button, f"{view.remedy.label} {view.title}")
        a11y.name(self, f"{view.mark}: {view.title} {view.body}")

    def _pressed(self) -> None:
        remedy = self._remedy
        if remedy is None:
            return
        if not remedy.confirm:
            self._act(remedy)
            return
        self._question.setText(remedy.confirm)
        self._question.show()
        self.button.hide()
        self.yes.show()
        self.no.show()
        self.no.setFocus(Qt.FocusReason.OtherFocusReason)
        a11y.announce(self, remedy.confirm)

    def _confirmed(self) -> None:
        remedy = self._remedy
        self._ask_no_more()
        if remedy is not None:
            self._act(remedy)

    def _ask_no_more(self) -> None:
        for part in (self._question, self.yes, self.no):
            part.hide()
        self.button.setVisible(self._remedy is not None)
