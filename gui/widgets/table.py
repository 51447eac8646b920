"""How every table of the window looks and moves."""

from __future__ import annotations

from PySide6.QtCore import QAbstractItemModel, Qt
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from gui import a11y

ROW_PX = 34


def table(
    model: QAbstractItemModel, name: str, *, stretch: int, widths: dict[int, int]
) -> QTableView:
    """``stretch``: the column that takes what is left; ``widths``: pixels of the others, more
    where their title needs it."""
    view = QTableView()
    view.setModel(model)
    view.setShowGrid(False)
    view.setWordWrap(False)
    view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
    view.setTextElideMode(Qt.TextElideMode.ElideRight)
    down = view.verticalHeader()
    down.setVisible(False)
    down.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
    down.setDefaultSectionSize(ROW_PX)
    across = view.horizontalHeader()
    across.setHighlightSections(False)
    across.setSectionsClickable(False)
    across.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    across.setMinimumSectionSize(40)
    for column, width in widths.items():
        view.setColumnWidth(column, max(width, across.sectionSizeHint(column)))
    across.setSectionResizeMode(stretch, QHeaderView.ResizeMode.Stretch)
    a11y.table(view, name)
    return view
