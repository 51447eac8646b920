"""A list of two lines an item, changed by difference: the queues of Review, the doctor."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
)

from gui import a11y
from gui.models.rows import ROW_ROLE, Column, Index, RowsModel
from gui.theme import Theme

_MARGIN = 10


@dataclass(frozen=True, slots=True)
class Line:
    """``ident`` stays the same while it waits; ``what`` is whatever the list needs of it; ``tone``
    colours what stands at the right."""

    ident: Hashable
    title: str
    detail: str
    age: str = ""
    what: Any = None
    tone: str = "soft"


class LineModel(RowsModel[Line]):
    """Changed by difference, so that selection and a reader's place survive."""

    def __init__(self, theme: Theme, name: str, tip: Callable[[Line], str] | None) -> None:
        columns: tuple[Column[Line], ...] = (Column(name, lambda line: line.title, tip=tip),)
        super().__init__(columns, theme.colour, key=lambda line: line.ident)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.AccessibleTextRole:
            line = self.row(index.row())
            return line and ". ".join(filter(None, (line.title, line.detail, line.age)))
        return super().data(index, role)


class LineView(QListView):
    """``several``: more than one line may be chosen; ``tip``: what a line says when pointed at."""

    def __init__(
        self,
        theme: Theme,
        name: str,
        *,
        several: bool = False,
        tip: Callable[[Line], str] | None = None,
    ) -> None:
        super().__init__()
        self.held = LineModel(theme, name, tip)
        self.setModel(self.held)
        self.setItemDelegate(_Painter(theme))
        self.setUniformItemSizes(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        mode = QAbstractItemView.SelectionMode
        self.setSelectionMode(mode.ExtendedSelection if several else mode.SingleSelection)
        a11y.table(self, name)

    @property
    def chosen(self) -> list[Line]:
        rows = sorted(index.row() for index in self.selectedIndexes())
        return [self.held.rows[row] for row in rows if row < len(self.held.rows)]

    def choose(self, row: int) -> None:
        if 0 <= row < len(self.held.rows):
            self.setCurrentIndex(self.held.index(row, 0))

    def keyboardSearch(self, search: str) -> None:
        """Digits decide in the form beside; letters find."""
        if not search.isdigit():
            super().keyboardSearch(search)


class _Painter(QStyledItemDelegate):
    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        height = option.fontMetrics.height()  # type: ignore[attr-defined]
        return QSize(160, round(height * 2.15) + 2 * _MARGIN)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        line: Line = index.data(ROW_ROLE)
        bare = QStyleOptionViewItem(option)
        self.initStyleOption(bare, index)
        bare.text = ""  # type: ignore[attr-defined]
        widget = bare.widget  # type: ignore[attr-defined]
        style = widget.style() if widget is not None else QApplication.style()
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, bare, painter, widget)
        box: QRect = option.rect  # type: ignore[attr-defined]
        room = QRect(box).adjusted(_MARGIN, _MARGIN - 2, -_MARGIN, -_MARGIN + 2)
        painter.save()
        strong, small = self._theme.font("body", strong=True), self._theme.font("caption")
        painter.setFont(small)
        age_width = painter.fontMetrics().horizontalAdvance(line.age) + 8 if line.age else 0
        upper = QRect(room.left(), room.top(), room.width(), room.height() // 2)
        lower = QRect(room.left(), upper.bottom() + 1, room.width(), room.height() // 2)
        flags = Qt.AlignmentFlag.AlignVCenter
        painter.setPen(self._theme.colour(line.tone))
        painter.drawText(upper, flags | Qt.AlignmentFlag.AlignRight, line.age)
        painter.setPen(self._theme.colour("soft"))
        self._elided(painter, lower, line.detail)
        painter.setFont(strong)
        painter.setPen(self._theme.colour("ink"))
        self._elided(painter, upper.adjusted(0, 0, -age_width, 0), line.title)
        painter.restore()

    @staticmethod
    def _elided(painter: QPainter, room: QRect, text: str) -> None:
        metrics = painter.fontMetrics()
        cut = metrics.elidedText(text, Qt.TextElideMode.ElideRight, room.width())
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, cut)
