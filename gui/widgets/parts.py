"""Labels, cards, buttons, rows: the window's bricks, dressed by ``assets/theme.qss``."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

GAP = 16  # between things; half of it inside them
EDGE = 28  # around a page


def label(text: str = "", kind: str = "", *, wrap: bool = False) -> QLabel:
    """``kind``: display, title, subtitle, soft, caption, label, pill or "" (body)."""
    made = QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setProperty("kind", kind)
    made.setWordWrap(wrap)
    if wrap:
        made.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
    return made


def button(
    text: str, act: Callable[[], object] | None = None, kind: str = "", name: str = ""
) -> QPushButton:
    """``kind``: primary, danger, link or "". ``name``: where the text alone says too little."""
    made = QPushButton(text)
    made.setProperty("kind", kind)
    made.setAccessibleName(name or text.replace("&", ""))
    made.setAutoDefault(False)
    if kind == "link":
        made.setCursor(Qt.CursorShape.PointingHandCursor)
        made.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
    if act is not None:
        made.clicked.connect(lambda _=False: act())
    return made


def row(*parts: QWidget | QLayout | int | None, gap: int = GAP // 2) -> QHBoxLayout:
    """Left to right; a number is a fixed space, None takes what is left."""
    box = QHBoxLayout()
    _fill(box, parts, gap)
    return box


def column(*parts: QWidget | QLayout | int | None, gap: int = GAP // 2) -> QVBoxLayout:
    box = QVBoxLayout()
    _fill(box, parts, gap)
    return box


def card(inside: QLayout, kind: str = "card") -> QFrame:
    frame = QFrame()
    frame.setProperty("kind", kind)
    inside.setContentsMargins(GAP, GAP - 2, GAP, GAP - 2)
    frame.setLayout(inside)
    return frame


def shrinks(box: QComboBox) -> None:
    """A choice that gives way where room is short; its list shows all of each word."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(6)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)


def rule() -> QFrame:
    line = QFrame()
    line.setProperty("kind", "rule")
    return line


def clear(box: QLayout) -> None:
    """Takes everything out of a layout, and away."""
    while (item := box.takeAt(0)) is not None:
        inner, widget = item.layout(), item.widget()
        if inner is not None:
            clear(inner)
        if widget is not None:
            widget.hide()
            widget.setParent(None)
            widget.deleteLater()


def _fill(
    box: QHBoxLayout | QVBoxLayout, parts: tuple[QWidget | QLayout | int | None, ...], gap: int
) -> None:
    box.setContentsMargins(0, 0, 0, 0)
    box.setSpacing(gap)
    for part in parts:
        if part is None:
            box.addStretch(1)
        elif isinstance(part, int):
            box.addSpacing(part)
        elif isinstance(part, QWidget):
            box.addWidget(part)
        else:
            box.addLayout(part)
