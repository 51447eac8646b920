"""Bringing a CSV file in: drop or choose, see what it would change, bring it in, watch it end."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
from PySide6.QtCore import Signal
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import QComboBox, QFileDialog, QFrame, QGridLayout, QVBoxLayout, QWidget

from agent.errors import AgentError
from agent.model.longwork import DropFile, Job, JobState
from agent.model.sheets import (
    ApplyImport,
    Counts,
    ExportRejected,
    IntakeView,
    ListRows,
    LookAtSheet,
    PreviewImport,
    Reading,
    RowLine,
    RowPage,
    SheetLook,
    SheetMade,
)
from gui import a11y
from gui.handing import Follower, Sender
from gui.models.rows import Column, RowsModel
from gui.presenter.manual import TONES, intake_ends, summary, what_row
from gui.presenter.values import field_name, person
from gui.shell import Shell
from gui.theme import set_tone
from gui.widgets.parts import GAP, button, card, clear, column, label, row, shrinks
from gui.widgets.progress import Progress
from gui.widgets.table import table

_ROWS = 300
_ACROSS = 3


class DropCard(QFrame):
    """Where a file is dropped, or chosen by the button."""

    dropped = Signal(object)  # Path

    def __init__(self, shell: Shell) -> None:
        super().__init__()
        say = shell.texts
        self.setProperty("kind", "card")
        self.setAcceptDrops(True)
        self.choose = button(say("manual.choose"), self._choose, "primary")
        self._say = say
        inside = column(
            label(say("manual.in.title"), "subtitle"),
            label(say("manual.in.drop"), "", wrap=True),
            row(self.choose, None),
            None,
        )
        inside.setContentsMargins(GAP, GAP - 2, GAP, GAP - 2)
        self.setLayout(inside)
        a11y.name(self, say("manual.in.title"), say("manual.in.drop"))

    def _choose(self) -> None:
        dialog = QFileDialog(self, self._say("manual.choose"), "", self._say("manual.csv_files"))
        dialog.setObjectName("choose")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.fileSelected.connect(lambda path: self.dropped.emit(Path(path)))
        dialog.open()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        urls = event.mimeData().urls()
        if len(urls) == 1 and urls[0].isLocalFile():
            event.acceptProposedAction()
            self.setProperty("kind", "banner")
            set_tone(self, "good")

    def dragLeaveEvent(self, _: QDragLeaveEvent) -> None:
        self._plain()

    def dropEvent(self, event: QDropEvent) -> None:
        self._plain()
        event.acceptProposedAction()
        self.dropped.emit(Path(event.mimeData().urls()[0].toLocalFile()))

    def _plain(self) -> None:
        self.setProperty("kind", "card")
        set_tone(self, "")
        self.style().unpolish(self)
        self.style().polish(self)


class SheetIn(QWidget):
    """Hidden until a file is there. ``drop`` is the card it comes from."""

    finished = Signal()  # something was brought in
    looked = Signal()  # a preview can be read

    def __init__(self, shell: Shell) -> None:
        super().__init__()
        self.shell = shell
        self.texts = say = shell.texts
        self.drop = DropCard(shell)
        self.drop.dropped.connect(self.take)
        self._path = Path()
        self._token = ""
        self._reading = Reading()
        self._preview = 0  # number of the finished preview
        self._follower: Follower | None = None
        self.title = label("", "subtitle")
        self.summary = label("", "", wrap=True)
        self.notes = label("", "caption", wrap=True)
        self.progress = Progress(say("manual.cancel"))
        self.progress.cancelled.connect(self._cancel)
        self.apply = button(say("manual.in.nothing"), self._apply, "primary")
        self.rejected = button(say("manual.in.rejected"), self._save_rejected)
        self.columns = button(say("manual.in.columns"), self._toggle)
        self.columns.setCheckable(True)
        self.other = button(say("manual.in.other"), self.clear)
        self.mapping = QWidget()
        self._grid = QGridLayout()
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(GAP // 2)
        self.mapping.setLayout(self._grid)
        self.mapping.hide()
        self.model = RowsModel[RowLine](
            self._table_columns(), shell.theme.colour, lambda r: r.number
        )
        self.table = table(
            self.model, say("manual.in.table"), stretch=3, widths={0: 60, 1: 130, 2: 190}
        )
        self.table.setMinimumHeight(210)
        shell.theme.changed.connect(self.model.repaint)
        inside = column(
            row(self.title, None, self.other), self.summary, self.notes, self.mapping, self.table,
            row(self.apply, self.rejected, self.columns, self.progress, None),
        )  # fmt: skip
        box = QVBoxLayout()
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(card(inside))
        self.setLayout(box)
        self.hide()

    def _table_columns(self) -> list[Column[RowLine]]:
        say = self.texts
        return [
            Column(say("manual.in.row"), lambda r: say.number(r.number), "right"),
            Column(
                say("manual.in.verdict"),
                lambda r: say(f"manual.verdict.{r.verdict.value}"),
                tone=lambda r: TONES[r.verdict],
            ),
            Column(
                say("manual.in.who"),
                lambda r: person(r.who, self.texts) or ("" if r.key is None else str(r.key)),
            ),
            Column(
                say("manual.in.what"), lambda r: what_row(say, r), tip=lambda r: what_row(say, r)
            ),
        ]

    # -- a file -----------------------------------------------------------------------------------

    def take(self, path: Path) -> None:
        """A new file; what was shown of an older one goes."""
        self.clear()
        self._path = path
        try:
            made = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        except OSError:
            made = self.shell.now()
        self._reading = Reading(made_at=made)
        self.title.setText(path.name)
        self.summary.setText(self.texts("manual.in.sending", file=path.name))
        self.show()
        Sender(self.shell.link, path, self._sent, self._sorry, self)

    def clear(self) -> None:
        if self._follower is not None:
            self._cancel()
        if self._token:
            self.shell.link.ask(DropFile(self._token), failed=lambda _: None)
        self._token, self._preview = "", 0
        self.model.show([])
        for part in (self.summary, self.notes):
            part.setText("")
        self.progress.end()
        self.columns.setChecked(False)
        self.mapping.hide()
        self._allow(None)
        self.hide()

    def _sent(self, token: str) -> None:
        self._token = token
        self._look()

    def _look(self) -> None:
        wish = LookAtSheet(self._token, self._reading)
        self.shell.link.ask(wish, self._seen, failed=self._sorry, owner=self)

    def _seen(self, look: SheetLook) -> None:
        self._show_mapping(look)
        if look.code:
            facts = {"field": field_name(look.what, self.texts) if look.what else "…"}
            message = self.texts.message(look.code, facts)
            self.summary.setText(f"{message.title} {message.next_step}")
            self.columns.setChecked(True)
            self.mapping.show()
            self._allow(None)
            self.columns.setEnabled(True)
            return
        made = self._reading.made_at or self.shell.now()
        notes = [self.texts("manual.in.made", when=self.texts.when(made, self.shell.now()))]
        if look.intake:
            notes.insert(0, self.texts("manual.in.before"))
        self.notes.setText(" ".join(notes))
        wish = PreviewImport(self._token, self._reading)
        self.shell.link.ask(wish, self._watch_preview, failed=self._sorry, owner=self)

    # -- columns ----------------------------------------------------------------------------------

    def _toggle(self) -> None:
        self.mapping.setVisible(self.columns.isChecked())

    def _show_mapping(self, look: SheetLook) -> None:
        clear(self._grid)
        say = self.texts
        kind = QComboBox()
        for name in look.kinds:
            kind.addItem(say(f"manual.in.{name}"), name)
        kind.setCurrentIndex(max(kind.findData(look.kind), 0) if look.kind else -1)
        kind.activated.connect(lambda _: self._choose(kind=str(kind.currentData()), columns={}))
        self._cell(0, say("manual.in.kind"), kind)
        field_of = {head: field for field, head in look.fields.items()}
        for place, head in enumerate((h for h in look.heads if h), 1):
            fields = QComboBox()
            fields.addItem(say("manual.in.unused"), "")
            for field in look.can:
                fields.addItem(field_name(field, say), field)
            fields.setCurrentIndex(max(fields.findData(field_of.get(head, "")), 0))
            fields.activated.connect(
                lambda _, h=head, box=fields: self._choose(
                    columns={**self._reading.columns, h: str(box.currentData())}
                )
            )
            self._cell(place, head, fields, say("manual.in.column", head=head))

    def _cell(self, place: int, title: str, box: QComboBox, spoken: str = "") -> None:
        head = label(title, "label")
        head.setBuddy(box)
        shrinks(box)
        a11y.name(box, spoken or title)
        self._grid.addLayout(column(head, box, gap=2), place // _ACROSS, place % _ACROSS)

    def _choose(self, **change: object) -> None:
        self._reading = msgspec.structs.replace(self._reading, **change)
        self._preview = 0
        self._allow(None)
        self._look()

    # -- preview ----------------------------------------------------------------------------------

    def _watch_preview(self, job: Job) -> None:
        self._follower = Follower(self.shell.link, job, self._show_preview, self._previewed, self)

    def _show_preview(self, job: Job) -> None:
        share = 100 * job.done // job.total if job.total else 0
        text = self.texts("manual.in.looking", file=self._path.name, share=share)
        self.progress.show_at(job.done, job.total, text)
        if job.result is not None:
            self.summary.setText(summary(self.texts, msgspec.convert(job.result, Counts)))

    def _previewed(self, job: Job) -> None:
        self._follower = None
        self.progress.end()
        if job.state is JobState.FAILED:
            self._sorry(AgentError(job.code, **job.facts))
        if job.state is not JobState.DONE:
            self._allow(None)
            return
        self._preview = job.number
        counts = msgspec.convert(job.result, Counts)
        text = summary(self.texts, counts)
        if counts.asks:
            text += ". " + self.texts("manual.in.asks", count=counts.asks)
        self.summary.setText(text)
        a11y.announce(self, text)
        self._allow(counts)
        wish = ListRows(job.number, limit=_ROWS)
        self.shell.link.ask(wish, self._show_rows, failed=self._sorry, owner=self)

    def _show_rows(self, page: RowPage) -> None:
        self.model.show(page.rows)
        self.looked.emit()
        if page.total > len(page.rows):
            more = self.texts("manual.in.more", shown=len(page.rows), total=page.total)
            self.notes.setText(f"{self.notes.text()} {more}".strip())

    def _allow(self, counts: Counts | None) -> None:
        """``counts`` None: nothing can be done now."""
        count = counts.new + counts.changed if counts is not None else 0
        key = "manual.in.apply" if count else "manual.in.nothing"
        text = self.texts(key, count=count) if count else self.texts(key)
        self.apply.setText(text)
        a11y.name(self.apply, text)
        self.apply.setEnabled(bool(count))
        self.rejected.setVisible(counts is not None and bool(counts.rejected))
        self.columns.setEnabled(counts is not None)

    # -- apply ------------------------------------------------------------------------------------

    def _apply(self) -> None:
        self._allow(None)
        wish = ApplyImport(self._preview)
        self.shell.link.ask(wish, self._watch_apply, failed=self._sorry, owner=self)

    def _watch_apply(self, job: Job) -> None:
        self._follower = Follower(self.shell.link, job, self._show_apply, self._applied, self)

    def _show_apply(self, job: Job) -> None:
        text = self.texts("manual.in.applying", done=job.done, total=job.total)
        self.progress.show_at(job.done, job.total, text)

    def _applied(self, job: Job) -> None:
        self._follower = None
        self.progress.end()
        self.finished.emit()
        if job.state is JobState.FAILED:
            self._sorry(AgentError(job.code, **job.facts))
        elif job.state is JobState.DONE:
            self._token = ""
            view = msgspec.convert(job.result, IntakeView)
            text = self.texts("manual.in.done", ends=intake_ends(self.texts, view))
            self.summary.setText(text)
            self.shell.tell(text, "good")

    def _save_rejected(self) -> None:
        def follow(job: Job) -> None:
            Follower(self.shell.link, job, lambda _: None, made, self)

        def made(job: Job) -> None:
            from gui.windows.manual import save_as

            if job.state is JobState.DONE:
                sheet = msgspec.convert(job.result, SheetMade)
                save_as(self, self.shell, sheet.token, sheet.name)

        wish = ExportRejected(self._preview)
        self.shell.link.ask(wish, follow, failed=self._sorry, owner=self)

    def _cancel(self) -> None:
        if self._follower is not None:
            self._follower.cancel()

    def _sorry(self, error: AgentError) -> None:
        self.progress.end()
        message = self.texts.message(error.code, error.facts)
        self.summary.setText(" ".join(p for p in (message.title, message.next_step) if p))
        self.shell.tell_error(error)
