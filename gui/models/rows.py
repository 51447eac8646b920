"""A table of rows that are told whole and changed by difference.

model = RowsModel(columns, key=lambda row: row.stream)
model.show(rows)    # rows that stay keep selection, focus and the screen reader's place
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QBrush, QColor

R = TypeVar("R")
Index = QModelIndex | QPersistentModelIndex
ROW_ROLE = int(Qt.ItemDataRole.UserRole)
_ALIGN = {
    "left": Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter,
    "right": Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
}


@dataclass(frozen=True, slots=True)
class Column(Generic[R]):
    """``tone``: a colour's name of the theme for this cell, "" for the usual ink."""

    title: str
    text: Callable[[R], str]
    align: str = "left"
    tone: Callable[[R], str] | None = None
    tip: Callable[[R], str] | None = None


class ColumnsModel(QAbstractTableModel, Generic[R]):
    """Shows whatever rows a subclass has by its columns."""

    def __init__(self, columns: Sequence[Column[R]], colour: Callable[[str], QColor]) -> None:
        super().__init__()
        self.columns = tuple(columns)
        self._colour = colour

    def row(self, number: int) -> R | None:
        """None: not here (yet)."""
        raise NotImplementedError

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's default
        return 0 if parent.isValid() else len(self.columns)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation is not Qt.Orientation.Horizontal or not 0 <= section < len(self.columns):
            return None
        column = self.columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.title
        return int(_ALIGN[column.align]) if role == Qt.ItemDataRole.TextAlignmentRole else None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = self.row(index.row()) if index.isValid() else None
        if row is None:
            return None
        column = self.columns[index.column()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return column.text(row)
            case Qt.ItemDataRole.TextAlignmentRole:
                return int(_ALIGN[column.align])
            case Qt.ItemDataRole.ForegroundRole:
                tone = column.tone(row) if column.tone is not None else ""
                return QBrush(self._colour(tone)) if tone else None
            case Qt.ItemDataRole.ToolTipRole:
                return column.tip(row) if column.tip is not None else None
            case Qt.ItemDataRole.AccessibleTextRole:
                return f"{column.title}: {column.text(row)}"
            case _ if role == ROW_ROLE:
                return row
        return None

    def repaint(self) -> None:
        """The theme changed: the same rows in other colours."""
        if self.rowCount() and self.columns:
            last = self.index(self.rowCount() - 1, len(self.columns) - 1)
            self.dataChanged.emit(self.index(0, 0), last, [Qt.ItemDataRole.ForegroundRole])


class RowsModel(ColumnsModel[R]):
    """Rows known by ``key``."""

    def __init__(
        self,
        columns: Sequence[Column[R]],
        colour: Callable[[str], QColor],
        key: Callable[[R], Hashable],
    ) -> None:
        super().__init__(columns, colour)
        self._key = key
        self._rows: list[R] = []

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._rows)

    def row(self, number: int) -> R | None:
        return self._rows[number] if 0 <= number < len(self._rows) else None

    @property
    def rows(self) -> tuple[R, ...]:
        return tuple(self._rows)

    def place(self, key: Hashable) -> int:
        """-1 where no row has the key."""
        return next((at for at, row in enumerate(self._rows) if self._key(row) == key), -1)

    def show(self, rows: Sequence[R]) -> None:
        """Become ``rows`` by the fewest plain steps: remove, move, insert, change."""
        wanted = {self._key(row) for row in rows}
        for at in range(len(self._rows) - 1, -1, -1):
            if self._key(self._rows[at]) not in wanted:
                self.beginRemoveRows(QModelIndex(), at, at)
                del self._rows[at]
                self.endRemoveRows()
        for at, row in enumerate(rows):
            self._put(at, row)

    def _put(self, at: int, row: R) -> None:
        key = self._key(row)
        held = next(
            (n for n in range(at, len(self._rows)) if self._key(self._rows[n]) == key), None
        )
        if held is None:
            self.beginInsertRows(QModelIndex(), at, at)
            self._rows.insert(at, row)
            self.endInsertRows()
            return
        if held != at:
            self.beginMoveRows(QModelIndex(), held, held, QModelIndex(), at)
            self._rows.insert(at, self._rows.pop(held))
            self.endMoveRows()
        if self._rows[at] != row:
            self._rows[at] = row
            self.dataChanged.emit(self.index(at, 0), self.index(at, len(self.columns) - 1))
