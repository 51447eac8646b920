"""One field of a conflict, side by side: last agreed, practice, CRM, and what shall hold."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QLineEdit,
    QRadioButton,
    QSizePolicy,
    QWidget,
)

from agent.model.review import ConflictView
from gui.i18n import Texts
from gui.presenter.values import field_name, shown
from gui.theme import set_tone
from gui.widgets.parts import column, label

_WHOLE = "*"


def heads(grid: QGridLayout, texts: Texts) -> None:
    for at, key in enumerate(("field", "base", "pms", "crm", "result")):
        grid.addWidget(label(texts(f"review.conflicts.heads.{key}"), "label"), 0, at)
        grid.setColumnStretch(at, (2, 2, 3, 3, 3)[at])


class FieldRow(QObject):
    """``winner``: pms | crm | merged | value | "" while nothing was chosen."""

    changed = Signal()

    def __init__(self, conflict: ConflictView, texts: Texts) -> None:
        super().__init__()
        self.conflict = conflict
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
        self.group.buttonToggled.connect(lambda *_: self._look())
        self.typed.textChanged.connect(lambda _: self._look())

    def _option(self, value: Any, side: str) -> QRadioButton:
        text = shown(value, self._texts) or self._texts("review.empty")
        made = _Wrapped(text)
        side_word = self._texts(f"review.conflicts.heads.{side}")
        made.setAccessibleName(f"{self.field}, {side_word}: {text}")
        made.setToolTip(text)
        if value != self.conflict.base:
            font = made.font()
            font.setBold(True)  # what moved since both agreed is marked by weight, not by colour
            made.setFont(font)
        self.group.addButton(made)
        return made

    def add_to(self, grid: QGridLayout, line: int) -> int:
        """Puts the row into the grid; the line after it."""
        base = shown(self.conflict.base, self._texts) or self._texts("review.not_known")
        grid.addWidget(label(self.field, "", wrap=True), line, 0)
        grid.addWidget(label(base, "soft", wrap=True), line, 1)
        grid.addWidget(self.pms, line, 2)
        grid.addWidget(self.crm, line, 3)
        last = column(self.other, self.typed, self.result, gap=2)
        grid.addLayout(last, line, 4)
        self._look()
        return line + 1

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
            self.result.show()
        self.changed.emit()


class _Wrapped(QRadioButton):
    """A radio button whose long text ends in dots instead of widening the window."""

    def __init__(self, text: str) -> None:
        super().__init__(text if len(text) <= 30 else text[:28] + "…")
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
