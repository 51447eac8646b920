"""The tab Data map: what is read and written field by field, how it fits this practice's schema,
and (for the administrator) this site's own rows over it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFrame,
    QGridLayout,
    QLineEdit,
    QSizePolicy,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from agent.errors import AgentError
from agent.model.asking import Done
from agent.model.mapping import (
    EditedMap,
    EditMap,
    ExportedMap,
    ExportMap,
    MapEdit,
    MapLine,
    MapView,
    ShowMap,
)
from agent.model.setup import RestartEngine
from agent.model.streams import Stream
from gui import a11y
from gui.models.rows import ROW_ROLE, Column, RowsModel
from gui.presenter import mapping
from gui.shell import Shell
from gui.theme import set_tone
from gui.widgets.parts import GAP, button, card, clear, column, label, row
from gui.widgets.table import table
from gui.windows.mapnew import NewField
from gui.windows.tab import Tab

_OWNERS = ("shared", "pms", "crm")
_CONFLICTS = ("ask", "pms", "crm", "set_merge", "append")
_WAYS = ("to_crm", "both", "none")
_TYPED_MS = 150
_NONE = "–"  # noqa: RUF001
_CELL_PAD = 28  # left and right of a cell's text
_NOTES = 12  # of what the live schema says beside missing columns


class DataMap(Tab):
    name = "map"

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.map: MapView | None = None
        texts = self.texts
        self.add = button(texts("map.new.add"), self.add_field)
        self.add.setObjectName("add")
        self.tools.addWidget(self.add)
        self.tools.addWidget(button(texts("map.csv"), lambda: self._export("csv")))
        self.tools.addWidget(button(texts("map.html"), lambda: self._export("html")))
        self.summary = label("", "", wrap=True)
        self.more = button("", self._toggle, "link")
        self.more.setObjectName("more")
        self.more.hide()  # until there is something to say
        self.notes = label("", "soft", wrap=True)
        self.notes.hide()
        self.body.addLayout(column(self.summary, row(self.more, None), self.notes, gap=4))
        self.pending = QFrame()
        self.pending.setProperty("kind", "banner")
        set_tone(self.pending, "warn")
        self.apply = button(texts("map.apply"), self._restart, "primary")
        self.apply.setObjectName("apply")
        inside = row(label(texts("map.pending"), "", wrap=True), self.apply)
        inside.setStretch(0, 1)
        inside.setContentsMargins(GAP, 8, GAP, 8)
        self.pending.setLayout(inside)
        self.pending.hide()
        self.body.addWidget(self.pending)
        self._filters()
        self.model: RowsModel[MapLine] = RowsModel(
            self._columns(), shell.theme.colour, key=lambda line: _key(line)
        )
        self.table: QTableView = table(
            self.model,
            texts("map.table"),
            stretch=3,
            widths={
                0: 92,
                1: 136,
                2: 154,
                4: self._widest("ways", _WAYS),
                5: 112,
                6: 64,
            },
        )
        across = self.table.horizontalHeader()
        for at in (0, 1, 2, 4, 5, 6):  # a language with longer heads gets wider columns
            self.table.setColumnWidth(
                at, max(self.table.columnWidth(at), across.sectionSizeHint(at))
            )
        self.detail = QVBoxLayout()
        self.detail.setContentsMargins(0, 0, 0, 0)
        self.detail.setSpacing(10)
        holder = QWidget()
        holder.setLayout(self.detail)
        holder.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.body.addWidget(self.table, 1)
        self.body.addWidget(holder)
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._chosen())
        shell.theme.changed.connect(self.model.repaint)

    def _widest(self, kind: str, words: Sequence[str]) -> int:
        """Room for each word of a column, in this language."""
        reach = self.fontMetrics().horizontalAdvance
        return max(reach(self.texts(f"map.{kind}.{word}")) for word in words) + _CELL_PAD

    def _filters(self) -> None:
        texts = self.texts
        self.words = QLineEdit()
        self.words.setPlaceholderText(texts("map.filter"))
        self.words.setAccessibleName(texts("map.filter"))
        self.words.setClearButtonEnabled(True)
        self.stream = QComboBox()
        self.stream.addItem(texts("map.every"), "")
        for stream in Stream:
            self.stream.addItem(texts(f"streams.{stream.value}.title"), stream.value)
        self.stream.setAccessibleName(texts("map.stream"))
        self.show_only = QComboBox()
        for word in mapping.SHOWS:
            self.show_only.addItem(texts(f"map.shows.{word}"), word)
        self.show_only.setAccessibleName(texts("map.show"))
        self.found = label("", "caption")
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_TYPED_MS)
        self._later.timeout.connect(self._filter)
        self.words.textChanged.connect(lambda _: self._later.start())
        for combo in (self.stream, self.show_only):
            combo.currentIndexChanged.connect(lambda _: self._filter())
        choices = row(self.stream, self.show_only, None, self.found)
        self.body.addLayout(column(self.words, choices))

    def _columns(self) -> tuple[Column[MapLine], ...]:
        texts = self.texts

        def head(key: str) -> str:
            return texts(f"map.heads.{key}")

        return (
            Column(head("stream"), lambda line: texts(f"streams.{line.stream}.title")),
            Column(head("field"), lambda line: line.field or "–", tip=lambda line: line.note),  # noqa: RUF001
            Column(head("source"), mapping.source_text, tip=lambda line: line.type),
            Column(head("transform"), lambda line: line.transform, tip=lambda line: line.transform),
            Column(head("way"), lambda line: mapping.way_text(line, texts)),
            Column(head("conflict"), lambda line: mapping.conflict_text(line, texts)),
            Column(head("state"), lambda line: mapping.state_text(line, texts),
                   tone=mapping.state_tone),
        )  # fmt: skip

    # -- asking -----------------------------------------------------------------------------------

    def woken(self) -> None:
        self.refresh()

    def refresh(self) -> None:
        self.shell.link.ask(ShowMap(), self._show, owner=self)

    def _show(self, view: MapView) -> None:
        self.map = view
        self.summary.setText(mapping.summary(view, self.texts))
        notes = [f for f in view.findings if f.code != "map.column_missing"]
        told = [self.texts.message(f.code, f.facts).title for f in notes[:_NOTES]]
        self.notes.setText("\n".join(told))
        self.more.setVisible(bool(told))
        self._look()
        self.pending.setVisible(view.pending)
        self.apply.setEnabled(self.shell.link.may(RestartEngine))
        self.add.setVisible(self.shell.link.may(EditMap))
        self._filter()

    def _toggle(self) -> None:
        self.notes.setVisible(self.notes.isHidden())
        self._look()

    def _look(self) -> None:
        key = "more" if self.notes.isHidden() else "less"
        self.more.setText(self.texts(f"map.{key}"))
        self.more.setAccessibleName(self.more.text())

    def _filter(self) -> None:
        if self.map is None:
            return
        stream, show = str(self.stream.currentData()), str(self.show_only.currentData())
        lines = mapping.chosen(self.map.lines, self.words.text(), stream, show)
        self.model.show(lines)
        self.found.setText(self.texts("map.found", n=len(lines)))
        self._chosen()

    def _restart(self) -> None:
        self.apply.setEnabled(False)

        def told(_: Done) -> None:
            self.shell.tell(self.texts("map.restarting"), "good")
            QTimer.singleShot(4000, self.refresh)

        self.shell.link.ask(RestartEngine(), told, owner=self)

    # -- one row ----------------------------------------------------------------------------------

    @property
    def line(self) -> MapLine | None:
        chosen = self.table.selectionModel().selectedRows()
        found: MapLine | None = chosen[0].data(ROW_ROLE) if chosen else None
        return found

    def _chosen(self) -> None:
        clear(self.detail)
        line = self.line
        if line is None:
            self.detail.addWidget(label(self.texts("map.choose"), "soft", wrap=True))
            return
        texts = self.texts
        stream = texts(f"streams.{line.stream}.title")
        told = [line.note[:1].upper() + line.note[1:]] if line.note else []
        if line.since:
            told.append(texts("map.since", version=line.since))
        if line.live and line.type and line.state == "retyped":
            told.append(texts("map.live", expected=line.type, found=line.live))
        for cell, was in line.shipped.items():
            told.append(texts("map.was", cell=texts(f"map.cells.{cell}"), was=was or "–"))  # noqa: RUF001
        box = column(label(f"{stream}: {line.field or line.column}", "subtitle"), gap=6)
        if told:
            box.addWidget(label(" ".join(told), "soft", wrap=True))
        if self.shell.link.may(EditMap) and line.field:
            box.addLayout(self._editor(line))
        elif line.field:
            box.addWidget(label(texts("map.not_admin"), "caption", wrap=True))
        self.detail.addWidget(card(box))

    def add_field(self) -> None:
        """A column of the practice's own; an administrator's."""
        self.table.clearSelection()
        clear(self.detail)
        self.new = NewField(
            self.texts, lambda edit, save: self._send(edit, save=save), self._chosen
        )
        self.verdict = self.new.verdict
        self.detail.addWidget(card(column(self.new)))
        self.new.column.setFocus()

    def _editor(self, line: MapLine) -> QVBoxLayout:
        texts = self.texts
        self.cells: dict[str, Callable[[], str]] = {}
        grid = QGridLayout()
        grid.setHorizontalSpacing(14)
        for at, (cell, words, now) in enumerate(
            (
                ("direction", _WAYS, line.way),
                ("owner", _OWNERS, line.owner),
                ("on_conflict", _CONFLICTS, line.on_conflict),
            )
        ):
            combo = QComboBox()
            kind = {"direction": "ways", "owner": "owners", "on_conflict": "conflicts"}[cell]
            for word in words:
                combo.addItem(texts(f"map.{kind}.{word}"), word)
            combo.setCurrentIndex(max(combo.findData(now), 0))
            combo.setObjectName(f"cell-{cell}")
            self.cells[cell] = partial(_chosen, combo)
            self._cell(grid, at, cell, combo)
        for at, (cell, now) in enumerate((("column", line.column), ("transform", line.transform))):
            edit = QLineEdit(now)
            edit.setObjectName(f"cell-{cell}")
            self.cells[cell] = edit.text
            self._cell(grid, at, cell, edit, line=2, span=1 + at)
        grid.setColumnStretch(2, 1)
        self.verdict = label("", "", wrap=True)
        self.verdict.hide()
        self.check = button(texts("map.check"), lambda: self._edit(line, save=False))
        self.save = button(texts("map.save"), lambda: self._edit(line, save=True), "primary")
        self.save.setObjectName("save")
        foot = row(None)
        if line.site:
            word = texts("map.remove" if line.added else "map.shipped")
            self.back = button(word, lambda: self._back(line))
            foot.addWidget(self.back)
        foot.addWidget(self.check)
        foot.addWidget(self.save)
        return column(grid, self.verdict, foot, gap=8)

    def _cell(
        self, grid: QGridLayout, at: int, cell: str, field: QWidget, line: int = 0, span: int = 1
    ) -> None:
        text = label(self.texts(f"map.cells.{cell}"), "label")
        a11y.buddy(text, field)
        grid.addWidget(text, line, at, 1, span)
        grid.addWidget(field, line + 1, at, 1, span)

    def _changes(self, line: MapLine) -> dict[str, str]:
        now = {
            "direction": line.way,
            "owner": line.owner,
            "on_conflict": line.on_conflict,
            "column": line.column,
            "transform": line.transform,
        }
        return {cell: read() for cell, read in self.cells.items() if read() != now[cell]}

    def _edit(self, line: MapLine, *, save: bool) -> None:
        changes = self._changes(line)
        if not changes:
            self._say(self.texts("map.nothing"), "")
            return
        self._send(MapEdit(line.stream, line.field, changes), save=save)

    def _back(self, line: MapLine) -> None:
        self._send(MapEdit(line.stream, line.field, {}), save=True)

    def _send(self, edit: MapEdit, *, save: bool) -> None:
        def told(edited: EditedMap) -> None:
            if edited.saved:
                self.shell.tell(self.texts("map.saved"), "good")
                self.refresh()
                return
            parts = [
                self.texts(
                    "map.becomes",
                    cell=self.texts(f"map.cells.{d.cell}"),
                    now=d.now or _NONE,
                    then=d.then or _NONE,
                )
                for d in edited.differences
            ]
            mine = [f for f in edited.findings if f.facts.get("stream") == edit.stream]
            parts += [self.texts.message(f.code, f.facts).title for f in mine[:3]]
            self._say(" ".join(parts) or self.texts("map.nothing"), "warn" if mine else "good")

        def refused(error: AgentError) -> None:
            message = self.texts.message(error.code, error.facts)
            self._say(f"{message.title} {message.next_step}".strip(), "bad")

        self.shell.link.ask(EditMap((edit,), save), told, failed=refused, owner=self)

    def _say(self, text: str, tone: str) -> None:
        self.verdict.setText(text)
        set_tone(self.verdict, tone)
        self.verdict.show()
        a11y.announce(self, text)

    # -- a copy of it -----------------------------------------------------------------------------

    def _export(self, kind: str) -> None:
        def got(made: ExportedMap) -> None:
            dialog = QFileDialog(self, self.texts(f"map.{kind}"), made.name)
            dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
            dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            dialog.fileSelected.connect(lambda file: self.write(Path(file), made.text))
            dialog.open()

        self.shell.link.ask(ExportMap(kind), got, owner=self)

    def write(self, path: Path, text: str) -> None:
        try:
            path.write_text(text, encoding="utf-8", newline="")
        except OSError as error:
            self.shell.tell(self.texts("map.not_written", why=error.strerror or ""), "bad")
        else:
            self.shell.tell(self.texts("map.written", file=str(path)), "good")


def _key(line: MapLine) -> tuple[str, str, str, str]:
    return (line.stream, line.field, line.table, line.column)


def _chosen(combo: QComboBox) -> str:
    return str(combo.currentData())
