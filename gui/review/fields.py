"""One field of a conflict, side by side: last agreed, practice, CRM, and what shall hold."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QLabel,
    QLineEdit,
    QRadioButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from agent.model.review import ConflictView
from gui.i18n import Texts
from gui.presenter.suggest import suggestion
from gui.presenter.values import field_name, shown
from gui.theme import set_tone
from gui.widgets.parts import column, label, row

_WHOLE = "*"


def heads(grid: QGridLayout, texts: Texts) -> None:
    for at, key in enumerate(("field", "base", "pms", "crm", "result")):
        grid.addWidget(label(texts(f"review.conflicts.heads.{key}"), "label"), 0, at)
        grid.setColumnStretch(at, (2, 2, 3, 3, 3)[at])


class FieldRow(QObject):
    """``winner``: pms | crm | merged | value | "" while nothing was chosen."""

    changed = Signal()

    def __init__(self, conflict: ConflictView, texts: Texts, now: datetime) -> None:
        super().__init__()
        self.conflict = conflict
        self._now = now
        self.number = conflict.line.number
        self._texts = texts
        field = conflict.line.field
        self.field = field_name(field, texts)
        self.is_list = isinstance(conflict.pms, list) and isinstance(conflict.crm, list)
        self.may_type = field != _WHOLE and not isinstance(conflict.pms, dict | bool)
        self.group = QButtonGroup(self)
        self.pms = self._option(conflict.pms, "pms")
        self.crm = self._option(conflict.crm, "crm")
        self.other = QRadioButton(
            texts("review.conflicts.both" if self.is_list else "review.conflicts.other")
        )
        self.other.setAccessibleName(f"{self.field}: {self.other.text()}")
        self.other.setVisible(self.is_list or self.may_type)
        self.group.addButton(self.other)
        self.typed = QLineEdit()
        self.typed.setAccessibleName(f"{self.field}: {texts('review.conflicts.typed')}")
        self.typed.setPlaceholderText(texts("review.conflicts.typed"))
        self.typed.hide()
        self.result = label("", "subtitle", wrap=True)
        self.hint = label(self._suggested(), "caption", wrap=True)
        self.group.buttonToggled.connect(lambda *_: self._look())
        self.typed.textChanged.connect(lambda _: self._look())

    def _option(self, value: Any, side: str) -> Option:
        text = shown(value, self._texts) or self._texts("review.empty")
        # What moved since both agreed is marked by weight, not by colour.
        made = Option(text, is_moved=value != self.conflict.base)
        side_word = self._texts(f"review.conflicts.heads.{side}")
        made.setAccessibleName(f"{self.field}, {side_word}: {text}")
        self.group.addButton(made)
        return made

    def add_to(self, grid: QGridLayout, line: int) -> int:
        """Puts the row into the grid; the line after it."""
        base = shown(self.conflict.base, self._texts) or self._texts("review.not_known")
        grid.addWidget(label(self.field, "", wrap=True), line, 0)
        grid.addWidget(label(base, "soft", wrap=True), line, 1)
        grid.addLayout(self._side(self.pms, "pms", self.conflict.pms_at), line, 2)
        grid.addLayout(self._side(self.crm, "crm", self.conflict.crm_at), line, 3)
        last = column(self.other, self.typed, self.result, self.hint, gap=2)
        grid.addLayout(last, line, 4)
        self._look()
        return line + 1

    def _side(self, option: Option, side: str, at: datetime | None) -> QVBoxLayout:
        """The value, and when it was read here or asked for there. The clocks are two, so nothing
        offers to take the newer one."""
        value = row(option, option.words, gap=2)
        value.setStretch(1, 1)
        value.setAlignment(option, Qt.AlignmentFlag.AlignTop)
        box = column(value, gap=0)
        if at is not None:
            when = self._texts.when(at, self._now)
            told = label(
                self._texts(f"review.conflicts.at_{side}", when=when), "caption", wrap=True
            )
            told.setToolTip(f"{at.astimezone():%Y-%m-%d %H:%M:%S %Z}")
            option.setAccessibleDescription(told.text())
            box.addWidget(told)
        box.addStretch(1)
        return box

    # -- what was chosen --------------------------------------------------------------------------

    @property
    def winner(self) -> str:
        if self.pms.isChecked():
            return "pms"
        if self.crm.isChecked():
            return "crm"
        if self.other.isChecked():
            return "merged" if self.is_list else "value"
        return ""

    @property
    def value(self) -> Any:
        """A third value as typed; a number stays one."""
        text = self.typed.text().strip()
        is_number = isinstance(self.conflict.pms, int) and not isinstance(self.conflict.pms, bool)
        if is_number and text.lstrip("-").isdigit():
            return int(text)
        return text or None

    @property
    def is_decided(self) -> bool:
        return bool(self.winner) and (self.winner != "value" or bool(self.typed.text().strip()))

    @property
    def has_focus(self) -> bool:
        widgets: tuple[QWidget, ...] = (self.pms, self.crm, self.other, self.typed)
        return any(widget.hasFocus() for widget in widgets)

    def pick(self, side: str) -> None:
        option = {"pms": self.pms, "crm": self.crm, "other": self.other}[side]
        if side == "other" and option.isHidden():
            return
        option.setChecked(True)
        (self.typed if self.winner == "value" else option).setFocus()

    def _look(self) -> None:
        winner = self.winner
        self.typed.setVisible(winner == "value")
        _let_be_seen(self.hint, not winner and bool(self.hint.text()))
        held: Any = {"pms": self.conflict.pms, "crm": self.conflict.crm}.get(winner)
        if winner == "merged":
            held = [
                *self.conflict.pms,
                *(v for v in self.conflict.crm if v not in self.conflict.pms),
            ]
        if winner == "value":
            self.result.hide()
        else:
            text = shown(held, self._texts) or self._texts("review.empty")
            self.result.setText(text if winner else self._texts("review.conflicts.undecided"))
            set_tone(self.result, "" if winner else "warn")
            _let_be_seen(self.result, True)
        self.changed.emit()

    def _suggested(self) -> str:
        """A word on which side is probably meant; "" where the values say nothing."""
        meant = suggestion(self.conflict.pms, self.conflict.crm)
        if meant is None or self.conflict.line.field == _WHOLE:
            return ""
        side = self._texts(f"review.conflicts.sides.{meant.side}")
        why = self._texts(f"review.conflicts.suggested.{meant.why}")
        return self._texts("review.conflicts.suggest", side=side, why=why)


def _let_be_seen(part: QWidget, is_wanted: bool) -> None:
    """One that stands nowhere yet would open as a window of its own; it is seen with its card."""
    if not is_wanted or part.parentWidget() is not None:
        part.setVisible(is_wanted)


class Option(QRadioButton):
    """A value to choose; its ``words`` lie beside it, because a radio button's own cannot wrap."""

    def __init__(self, text: str, *, is_moved: bool) -> None:
        super().__init__()
        self.setFixedWidth(26)  # the circle alone
        self.words = _Words(_breakable(text), self)
        if is_moved:
            font = self.words.font()
            font.setBold(True)
            self.words.setFont(font)


class _Words(QLabel):
    """A click on them chooses."""

    def __init__(self, text: str, option: QRadioButton) -> None:
        super().__init__(text)
        self._option = option
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(True)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        self.setContentsMargins(0, 4, 0, 0)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._option.setFocus(Qt.FocusReason.MouseFocusReason)
        self._option.click()


def _breakable(text: str) -> str:
    """Lines may end within an address or a long number, too."""
    return re.sub(r"([@._/-])(?=\w)", "\\1\u200b", text)
