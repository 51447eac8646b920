"""The list at the left of each queue: two lines an item, changed by difference."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
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
from gui.theme import Theme

Index = QModelIndex | QPersistentModelIndex
_MARGIN = 10
ID = Qt.ItemDataRole.UserRole


@dataclass(frozen=True, slots=True)
class Line:
    """``ident`` stays the same while it waits; ``what`` is whatever the queue needs of it."""

    ident: Hashable
    title: str
    detail: str
    age: str = ""
    what: Any = None


class LineModel(QAbstractListModel):
    """``put`` changes only what differs, so selection and a reader's place survive."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Line] = []

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        return 0 if parent.isValid() else len(self.lines)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self.lines):
            return None
        line = self.lines[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return line.title
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return ". ".join(filter(None, (line.title, line.detail, line.age)))
        return line if role == ID else None

    def put(self, lines: Sequence[Line]) -> None:
        wanted = {line.ident for line in lines}
        for row in range(len(self.lines) - 1, -1, -1):
            if self.lines[row].ident not in wanted:
                self.beginRemoveRows(QModelIndex(), row, row)
                del self.lines[row]
                self.endRemoveRows()
        places = {line.ident: row for row, line in enumerate(self.lines)}
        for row, line in enumerate(lines):
            if row < len(self.lines) and self.lines[row].ident == line.ident:
                self._change(row, line)
            elif line.ident in places:  # moved: rare, so it leaves and comes
                old = next(r for r, held in enumerate(self.lines) if held.ident == line.ident)
                self.beginRemoveRows(QModelIndex(), old, old)
                del self.lines[old]
                self.endRemoveRows()
                self._insert(row, line)
            else:
                self._insert(row, line)

    def row_of(self, ident: Hashable) -> int:
        return next((row for row, line in enumerate(self.lines) if line.ident == ident), -1)

    def _change(self, row: int, line: Line) -> None:
        if self.lines[row] != line:
            self.lines[row] = line
            index = self.index(row)
            self.dataChanged.emit(index, index)

    def _insert(self, row: int, line: Line) -> None:
        self.beginInsertRows(QModelIndex(), row, row)
        self.lines.insert(row, line)
        self.endInsertRows()


class LineView(QListView):
    """``several``: more than one line may be chosen."""

    def __init__(self, theme: Theme, name: str, *, several: bool = False) -> None:
        super().__init__()
        self.held = LineModel()
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
        return [self.held.lines[row] for row in rows if row < len(self.held.lines)]

    def choose(self, row: int) -> None:
        if 0 <= row < len(self.held.lines):
            self.setCurrentIndex(self.held.index(row))

    def keyboardSearch(self, search: str) -> None:
        """Digits decide in the form beside; letters find."""
        if not search.isdigit():
            super().keyboardSearch(search)


class _Painter(QStyledItemDelegate):
    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        height = option.fontMetrics.height()
        return QSize(160, round(height * 2.15) + 2 * _MARGIN)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        line: Line = index.data(ID)
        bare = QStyleOptionViewItem(option)
        self.initStyleOption(bare, index)
        bare.text = ""
        style = bare.widget.style() if bare.widget is not None else QApplication.style()
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, bare, painter, bare.widget)
        room = QRect(option.rect).adjusted(_MARGIN, _MARGIN - 2, -_MARGIN, -_MARGIN + 2)
        painter.save()
        strong, small = self._theme.font("body", strong=True), self._theme.font("caption")
        painter.setFont(small)
        age_width = painter.fontMetrics().horizontalAdvance(line.age) + 8 if line.age else 0
        upper = QRect(room.left(), room.top(), room.width(), room.height() // 2)
        lower = QRect(room.left(), upper.bottom() + 1, room.width(), room.height() // 2)
        painter.setPen(self._theme.colour("soft"))
        flags = Qt.AlignmentFlag.AlignVCenter
        painter.drawText(upper, flags | Qt.AlignmentFlag.AlignRight, line.age)
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
