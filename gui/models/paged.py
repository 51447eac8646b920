"""A long list of which only what is looked at is fetched.

The model knows how many rows there are; a page of them is asked for when one is first painted, and
the pages looked at longest ago are let go. New rows come on top without moving what is selected.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeVar

from PySide6.QtCore import QModelIndex
from PySide6.QtGui import QColor

from gui.models.rows import Column, ColumnsModel, Index

R = TypeVar("R")

PAGE = 200
PAGES_KEPT = 40


class PagedModel(ColumnsModel[R]):
    """``fetch(offset, limit)`` is called for a page that is needed; its owner answers by ``fill``.

    ``number`` tells rows apart and falls from top to bottom.
    """

    def __init__(
        self,
        columns: Sequence[Column[R]],
        colour: Callable[[str], QColor],
        number: Callable[[R], int],
        fetch: Callable[[int, int], None],
    ) -> None:
        super().__init__(columns, colour)
        self._number = number
        self._fetch = fetch
        self._total = 0
        self._fresh: list[R] = []  # above what the pages count
        self._pages: OrderedDict[int, list[R]] = OrderedDict()
        self._asked: set[int] = set()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's default
        return 0 if parent.isValid() else self._total + len(self._fresh)

    def row(self, number: int) -> R | None:
        if number < len(self._fresh):
            return self._fresh[number]
        place = number - len(self._fresh)
        if not 0 <= place < self._total:
            return None
        page, within = divmod(place, PAGE)
        held = self._pages.get(page)
        if held is None:
            self._want(page)
            return None
        self._pages.move_to_end(page)
        return held[within] if within < len(held) else None

    def begin(self, total: int, first: Sequence[R]) -> None:
        """Another list altogether: its length and its first page."""
        self.beginResetModel()
        self._total = total
        self._fresh = []
        self._pages = OrderedDict({0: list(first)})
        self._asked.clear()
        self.endResetModel()

    def fill(self, offset: int, rows: Sequence[R]) -> None:
        """A page came."""
        page = offset // PAGE
        self._asked.discard(page)
        self._pages[page] = list(rows)
        if len(self._pages) > PAGES_KEPT:  # the top is what new rows are compared with: it stays
            del self._pages[next(held for held in self._pages if held)]
        top = offset + len(self._fresh)
        if rows:
            last = self.index(top + len(rows) - 1, len(self.columns) - 1)
            self.dataChanged.emit(self.index(top, 0), last)

    def failed(self, offset: int) -> None:
        """It did not come; it is asked for again when it is looked at again."""
        self._asked.discard(offset // PAGE)

    def newer(self, rows: Sequence[R]) -> None:
        """Rows newest first, newer than or equal to those on top: the equal ones changed."""
        known = {self._number(row): at for at, row in enumerate(self._fresh)}
        top = self._pages.get(0, [])
        known.update({self._number(r): len(self._fresh) + at for at, r in enumerate(top)})
        highest = max(known, default=-1)
        fresh = [row for row in rows if self._number(row) > highest]
        for row in rows:
            at = known.get(self._number(row))
            if at is not None and self.row(at) != row:
                self._replace(at, row)
        if fresh:
            self.beginInsertRows(QModelIndex(), 0, len(fresh) - 1)
            self._fresh[:0] = fresh
            self.endInsertRows()

    def _replace(self, at: int, row: R) -> None:
        if at < len(self._fresh):
            self._fresh[at] = row
        else:
            self._pages[0][at - len(self._fresh)] = row
        self.dataChanged.emit(self.index(at, 0), self.index(at, len(self.columns) - 1))

    def _want(self, page: int) -> None:
        if page not in self._asked:
            self._asked.add(page)
            self._fetch(page * PAGE, PAGE)
