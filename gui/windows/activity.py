"""The tab Activity: what was done, in the user's words; filtered, searched, saved as CSV."""

from __future__ import annotations

from pathlib import Path

import msgspec
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QHideEvent
from PySide6.QtWidgets import QComboBox, QFileDialog, QLineEdit

from agent.control.protocol import Event
from agent.errors import AgentError
from agent.model.activity import (
    ActivityLine,
    ActivityPage,
    Direction,
    ListActivity,
    Outcome,
    kind_of,
)
from agent.model.streams import Stream
from gui import a11y
from gui.export import ActivityExport
from gui.link import Asked
from gui.models.paged import PAGE, PagedModel
from gui.models.rows import Column
from gui.presenter.activity import TONES, ActivityRow, Filters, activity_row, wish_of
from gui.shell import Shell
from gui.widgets.parts import button, column, label, row
from gui.widgets.progress import Progress
from gui.widgets.table import table
from gui.windows.tab import Tab

_TYPED_MS = 250  # after the last key before the agent is asked


class Activity(Tab):
    name = "activity"

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self._wish = ListActivity()
        self._upto = 0
        self._asked: Asked | None = None
        self._is_fresh_asked = False
        self._export: ActivityExport | None = None
        texts = self.texts
        self.search = QLineEdit()
        self.search.setPlaceholderText(texts("activity.search"))
        self.search.setClearButtonEnabled(True)
        a11y.name(self.search, texts("activity.search"))
        self.stream = self._choice("filter_stream", "all_streams", [
            (s.value, texts(f"streams.{s.value}.title")) for s in Stream])  # fmt: skip
        self.way = self._choice("filter_way", "all_ways", [
            (d.value, texts(f"activity.way.{d.value}")) for d in Direction])  # fmt: skip
        self.outcome = self._choice("filter_outcome", "all_outcomes", [
            (o.value, texts(f"activity.outcome.{o.value}")) for o in Outcome])  # fmt: skip
        self.count = label("", "caption")
        self.model = PagedModel(
            self._columns(), shell.theme.colour, lambda line: line.number, self._fetch
        )
        self.table = table(
            self.model, texts("activity.list"), stretch=1, widths={0: 124, 2: 136, 3: 104}
        )
        self.table.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.empty = label("", "soft", wrap=True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.hide()
        self.progress = Progress(texts("activity.cancel"))
        choices = row(self.stream, self.way, self.outcome, None, self.count)
        self.body.addLayout(column(self.search, choices))
        self.body.addWidget(self.table, 1)
        self.body.addWidget(self.empty, 1)
        self.body.addWidget(self.progress)
        self.save = button(texts("activity.export"), self._choose_file)
        self.tools.addWidget(self.save)
        self._typed = QTimer(self)
        self._typed.setSingleShot(True)
        self._typed.setInterval(_TYPED_MS)
        self._typed.timeout.connect(self.reload)
        self.search.textChanged.connect(lambda _: self._typed.start())
        for choice in (self.stream, self.way, self.outcome):
            choice.currentIndexChanged.connect(lambda _: self.reload())
        shell.link.told.connect(self._hear)
        shell.link.gap.connect(self._gapped)
        shell.theme.changed.connect(self.model.repaint)

    # -- the list ---------------------------------------------------------------------------------

    @property
    def filters(self) -> Filters:
        def chosen(choice: QComboBox) -> str:
            return str(choice.currentData() or "")

        stream, way, outcome = (chosen(c) for c in (self.stream, self.way, self.outcome))
        return Filters(
            stream=Stream(stream) if stream else None,
            way=Direction(way) if way else None,
            outcome=Outcome(outcome) if outcome else None,
            search=self.search.text(),
        )

    def woken(self) -> None:
        if self._upto:
            self._ask_fresh()
        else:
            self.reload()

    def hideEvent(self, event: QHideEvent) -> None:
        self._typed.stop()
        super().hideEvent(event)

    def reload(self) -> None:
        """The list as the filters want it, from its top."""
        self._typed.stop()
        if self._asked is not None:
            self._asked.cancel()
        codes = self.texts.names("activity.line")
        self._wish = wish_of(self.filters, codes, self.texts)
        self._asked = self.shell.link.ask(
            _at(self._wish, 0, PAGE), self._begin, failed=self._not_there, owner=self
        )

    def _begin(self, page: ActivityPage) -> None:
        self._upto = page.newest
        self.model.begin(page.total, page.lines)
        self._say_count()

    def _fetch(self, offset: int, limit: int) -> None:
        wish = self._wish

        def fill(page: ActivityPage) -> None:
            self._fill(offset, page, wish)

        def missed(_: AgentError) -> None:
            self.model.failed(offset)

        at = _at(wish, offset, limit, upto=self._upto)
        self.shell.link.ask(at, fill, failed=missed, owner=self)

    def _fill(self, offset: int, page: ActivityPage, wish: ListActivity) -> None:
        if wish is self._wish:
            self.model.fill(offset, page.lines)

    def _hear(self, event: Event) -> None:
        if event.kind == "activity" and self.isVisible():
            self._ask_fresh()

    def _gapped(self) -> None:
        if self.isVisible():
            self.reload()

    def _ask_fresh(self) -> None:
        """The newest lines once more: some are new, the topmost may have been added to."""
        if self._is_fresh_asked:
            return
        self._is_fresh_asked = True
        wish = self._wish

        def take(page: ActivityPage) -> None:
            self._take_fresh(page, wish)

        self.shell.link.ask(_at(wish, 0, PAGE), take, failed=self._not_there, owner=self)

    def _take_fresh(self, page: ActivityPage, wish: ListActivity) -> None:
        self._is_fresh_asked = False
        if wish is not self._wish:
            return
        if page.total - self.model.rowCount() > len(page.lines):
            self._begin(page)  # more came than a page holds
            return
        self.model.newer(page.lines)
        self._say_count()

    def _not_there(self, _: AgentError) -> None:
        self._is_fresh_asked = False

    def _say_count(self) -> None:
        total = self.model.rowCount()
        self.count.setText(self.texts("activity.count", n=total))
        self.save.setEnabled(total > 0)
        is_filtered = self.filters != Filters()
        self.empty.setText(self.texts("activity.empty" if is_filtered else "activity.nothing"))
        self.empty.setVisible(total == 0)
        self.table.setVisible(total > 0)

    # -- saving -----------------------------------------------------------------------------------

    def _choose_file(self) -> None:
        dialog = QFileDialog(self, self.texts("activity.export"))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setNameFilter(self.texts("activity.file_filter"))
        dialog.setDefaultSuffix("csv")
        dialog.selectFile(self.texts("activity.file_name"))
        dialog.fileSelected.connect(lambda path: self.export_to(Path(path)))
        dialog.open()

    def export_to(self, path: Path) -> None:
        """What the filters show, all of it, page by page; ``path`` appears when it is whole."""
        self._export = ActivityExport(self.shell, self._wish, path, self.progress)
        self._export.ended.connect(lambda: self.save.setEnabled(True))
        self.save.setEnabled(False)
        self._export.start()

    # -- parts ------------------------------------------------------------------------------------

    def _choice(self, name: str, everything: str, entries: list[tuple[str, str]]) -> QComboBox:
        made = QComboBox()
        a11y.name(made, self.texts(f"activity.{name}"))
        made.addItem(self.texts(f"activity.{everything}"), "")
        for value, text in entries:
            made.addItem(text, value)
        return made

    def _columns(self) -> list[Column[ActivityLine]]:
        def shown(line: ActivityLine) -> str:
            return self._row(line).what

        def tip(line: ActivityLine) -> str:
            keys = self._row(line).keys
            return self.texts("activity.records", keys=keys) if keys else shown(line)

        title = {
            name: self.texts(f"activity.column.{name}")
            for name in ("time", "what", "way", "outcome")
        }
        return [
            Column(title["time"], lambda line: self._row(line).when),
            Column(title["what"], shown, tip=tip),
            Column(title["way"], lambda line: self._row(line).way, tone=lambda _: "soft"),
            Column(
                title["outcome"],
                lambda line: self._row(line).outcome,
                tone=lambda line: TONES[kind_of(line.code)[1]],
            ),
        ]

    def _row(self, line: ActivityLine) -> ActivityRow:
        return activity_row(line, self.shell.now(), self.texts)


def _at(wish: ListActivity, offset: int, limit: int, upto: int | None = None) -> ListActivity:
    return msgspec.structs.replace(wish, offset=offset, limit=limit, upto=upto)
