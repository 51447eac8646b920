"""A field of the practice's own, to add to the data map: which record, which column, its name."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QComboBox, QGridLayout, QLineEdit, QWidget

from agent.model.mapping import MapEdit
from agent.model.streams import Stream
from gui import a11y
from gui.i18n import Texts
from gui.widgets.parts import button, column, label, row

STREAMS = (Stream.PATIENT, Stream.APPOINTMENT)
"""Records of which the CRM keeps a practice's own fields."""


class NewField(QWidget):
    """``send(edit, save)``: tries it, or keeps it."""

    def __init__(
        self, texts: Texts, send: Callable[[MapEdit, bool], None], cancel: Callable[[], None]
    ) -> None:
        super().__init__()
        self._send = send
        self.stream = QComboBox()
        for stream in STREAMS:
            self.stream.addItem(texts(f"streams.{stream.value}.title"), stream.value)
        self.column = QLineEdit()
        self.name = QLineEdit()
        grid = QGridLayout()
        grid.setHorizontalSpacing(14)
        parts = (("stream", self.stream), ("column", self.column), ("name", self.name))
        for at, (key, field) in enumerate(parts):
            text = label(texts(f"map.new.{key}"), "label", wrap=True)
            a11y.buddy(text, field)
            grid.addWidget(text, 0, at)
            grid.addWidget(field, 1, at)
            grid.setColumnStretch(at, 1)
        self.verdict = label("", "", wrap=True)
        self.verdict.hide()
        self.check = button(texts("map.check"), lambda: self._ask(save=False))
        self.save = button(texts("map.save"), lambda: self._ask(save=True), "primary")
        self.save.setObjectName("save-new")
        foot = row(None, button(texts("review.cancel"), cancel), self.check, self.save)
        head = label(texts("map.new.title"), "subtitle")
        about = label(texts("map.new.about"), "soft", wrap=True)
        whole = column(head, about, grid, self.verdict, foot, gap=8)
        self.setLayout(whole)
        for edit in (self.column, self.name):
            edit.textChanged.connect(lambda _: self._look())
        self._look()

    def _look(self) -> None:
        is_whole = bool(self.column.text().strip()) and self.name.text().strip().isidentifier()
        self.check.setEnabled(is_whole)
        self.save.setEnabled(is_whole)

    def _ask(self, *, save: bool) -> None:
        field = f"custom.{self.name.text().strip()}"
        changes = {"column": self.column.text().strip()}
        self._send(MapEdit(str(self.stream.currentData()), field, changes), save)
