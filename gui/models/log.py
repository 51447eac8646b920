"""The log's lines on screen: oldest on top, growing at both ends, the far end let go."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QModelIndex
from PySide6.QtGui import QColor

from agent.model.activity import LogLine
from gui.models.rows import Column, ColumnsModel, Index

KEPT = 20_000


class LogModel(ColumnsModel[LogLine]):
    def __init__(self, columns: Sequence[Column[LogLine]], colour: Callable[[str], QColor]) -> None:
        super().__init__(columns, colour)
        self._lines: list[LogLine] = []

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's default
        return 0 if parent.isValid() else len(self._lines)

    def row(self, number: int) -> LogLine | None:
        return self._lines[number] if 0 <= number < len(self._lines) else None

    def begin(self, lines: Sequence[LogLine]) -> None:
        self.beginResetModel()
        self._lines = list(lines)
        self.endResetModel()

    def append(self, lines: Sequence[LogLine]) -> None:
        if not lines:
            return
        first = len(self._lines)
        self.beginInsertRows(QModelIndex(), first, first + len(lines) - 1)
        self._lines += lines
        self.endInsertRows()
        self._let_go(0, len(self._lines) - KEPT)

    def prepend(self, lines: Sequence[LogLine]) -> None:
        if not lines:
            return
        self.beginInsertRows(QModelIndex(), 0, len(lines) - 1)
        self._lines[:0] = lines
        self.endInsertRows()
        over = len(self._lines) - KEPT
        self._let_go(len(self._lines) - over, over)

    def _let_go(self, first: int, count: int) -> None:
        if count > 0:
            self.beginRemoveRows(QModelIndex(), first, first + count - 1)
            del self._lines[first : first + count]
            self.endRemoveRows()
