"""The tab By hand: both directions as CSV while a line is down, and when lines were down."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec
from PySide6.QtCore import QDate, Qt
from PySide6.QtWidgets import (
    QComboBox,
    QDateEdit,
    QFileDialog,
    QHBoxLayout,
    QMessageBox,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from agent.errors import AgentError
from agent.model.longwork import Job, JobState
from agent.model.review import ApplyUndo, UndoPlan, UndoScope
from agent.model.sheets import (
    CountPending,
    ExportSheet,
    IntakeEffects,
    IntakePage,
    IntakeView,
    ListIntakes,
    ListOutages,
    OutagePage,
    PendingCount,
    SheetMade,
    ShowIntakeEffects,
)
from agent.model.streams import Stream
from gui import a11y
from gui.handing import Fetcher, Follower
from gui.presenter.manual import intake_ends, outage_text
from gui.shell import Shell
from gui.widgets.parts import GAP, button, card, clear, column, label, row, shrinks
from gui.widgets.progress import Progress
from gui.windows.sheetin import SheetIn
from gui.windows.tab import Tab

_SHOWN = 8
_UNDO_AT_ONCE = 200
_RANGES = ("all", "week", "month", "between")


class Manual(Tab):
    name = "manual"

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.sheet_in = SheetIn(shell)
        self.sheet_in.finished.connect(self.woken)
        self._build_out()
        self._earlier = QVBoxLayout()
        self._outages = QVBoxLayout()
        for box in (self._earlier, self._outages):
            box.setSpacing(6)
        say = self.texts
        lists = row(
            card(column(label(say("manual.outage.title"), "subtitle"), self._outages, None)),
            card(column(label(say("manual.earlier.title"), "subtitle"), self._earlier, None)),
            gap=GAP,
        )
        lists.setStretch(0, 3)
        lists.setStretch(1, 2)
        cards = row(self._out, self.sheet_in.drop, gap=GAP)
        cards.setStretch(0, 3)
        cards.setStretch(1, 2)
        page = column(cards, self.sheet_in, lists, None)
        page.setSpacing(GAP)
        page.setContentsMargins(0, 0, 8, 0)
        inside = QWidget()
        inside.setProperty("kind", "page")
        inside.setLayout(page)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setWidget(inside)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        a11y.name(scroll, say("tabs.manual.title"))
        self.sheet_in.looked.connect(partial(scroll.ensureWidgetVisible, self.sheet_in, 0, GAP))
        self.body.addWidget(scroll)
        shell.link.gap.connect(self._ask_if_seen)

    def _build_out(self) -> None:
        say = self.texts
        self._waiting = label("", "", wrap=True)
        self.pending = button(say("manual.out.pending"), self._save_pending, "primary")
        self.kind = QComboBox()
        for stream in Stream:
            self.kind.addItem(say(f"streams.{stream.value}.title"), stream)
        self.kind.setCurrentIndex(list(Stream).index(Stream.APPOINTMENT))
        self.days = QComboBox()
        for name in _RANGES:
            self.days.addItem(say(f"manual.out.{name}"), name)
        self.first, self.last = (self._day(name) for name in ("first", "last"))
        self.days.currentIndexChanged.connect(lambda _: self._choose_days())
        self.reader = QComboBox()
        for name in ("excel", "crm"):
            self.reader.addItem(say(f"manual.out.{name}"), name)
        fields = []
        for key, field in (("kind", self.kind), ("days", self.days), ("for", self.reader)):
            title = label(say(f"manual.out.{key}"), "label")
            a11y.buddy(title, field)
            shrinks(field)
            fields.append(column(title, field, gap=4))
        self.between = QWidget()
        between = row(self.first, label(say("manual.out.to"), "soft"), self.last, None)
        self.between.setLayout(between)
        self.between.hide()
        self.records = button(say("manual.out.records"), self._save_records)
        self.progress = Progress(say("manual.cancel"))
        self._out = card(
            column(
                label(say("manual.out.title"), "subtitle"),
                self._waiting,
                row(self.pending, None),
                8,
                _fields(fields),
                self.between,
                row(self.records, None),
                self.progress,
                label(say("manual.out.names"), "caption", wrap=True),
                None,
            )
        )

    # -- what is shown ----------------------------------------------------------------------------

    def woken(self) -> None:
        link = self.shell.link
        link.ask(CountPending(), self._show_pending, owner=self)
        since = self.shell.now() - timedelta(days=30)
        link.ask(ListOutages(_SHOWN, since), self._show_outages, owner=self)
        link.ask(ListIntakes(_SHOWN), self._show_intakes, owner=self)

    def _ask_if_seen(self) -> None:
        if self.isVisible():
            self.woken()

    def _show_pending(self, pending: PendingCount) -> None:
        count = sum(pending.counts.values())
        say = self.texts
        text = say("manual.out.waiting", n=count) if count else say("manual.out.nothing")
        self._waiting.setText(text)
        self.pending.setEnabled(bool(count))

    def _show_outages(self, page: OutagePage) -> None:
        clear(self._outages)
        now = self.shell.now()
        for outage in page.outages:
            cause = self.texts.message(outage.code).title
            text = label(outage_text(self.texts, outage, now), "", wrap=True)
            self._outages.addLayout(column(text, label(cause, "caption", wrap=True), gap=0))
        if not page.outages:
            self._outages.addWidget(label(self.texts("manual.outage.none"), "soft", wrap=True))

    def _show_intakes(self, page: IntakePage) -> None:
        clear(self._earlier)
        for intake in page.intakes:
            self._earlier.addLayout(self._intake_row(intake))
        if not page.intakes:
            self._earlier.addWidget(label(self.texts("manual.earlier.none"), "soft", wrap=True))

    def _intake_row(self, intake: IntakeView) -> QVBoxLayout:
        say, when = self.texts, self.texts.when(intake.at, self.shell.now())
        line = say("manual.earlier.line", when=when, ends=intake_ends(say, intake))
        undo = button(
            say("manual.earlier.undo"), lambda: self._sure(intake, when), "link",
            f"{say('manual.earlier.undo')}: {line}",
        )  # fmt: skip
        undo.setVisible(bool(intake.ends.get("applied")))
        return column(label(line, "", wrap=True), row(undo, None), gap=0)

    # -- take out ---------------------------------------------------------------------------------

    def _save_pending(self) -> None:
        self._export(ExportSheet(None, True, excel=self._is_excel))

    def _day(self, name: str) -> QDateEdit:
        made = QDateEdit(QDate.currentDate())
        made.setCalendarPopup(True)
        a11y.name(made, self.texts(f"manual.out.{name}"))
        return made

    def _choose_days(self) -> None:
        self.between.setVisible(self.days.currentData() == "between")

    def _range(self) -> tuple[str, str]:
        """First and last day, ISO; "" has no end."""
        today = self.shell.now().astimezone().date()
        match self.days.currentData():
            case "week":
                first, last = today, today + timedelta(days=7)
            case "month":
                first, last = today - timedelta(days=30), today
            case "between":
                chosen = [edit.date().toPython() for edit in (self.first, self.last)]
                first, last = sorted(chosen)  # type: ignore[type-var, assignment]
            case _:
                return "", ""
        return first.isoformat(), last.isoformat()

    def _save_records(self) -> None:
        first, last = self._range()
        stream = Stream(self.kind.currentData())
        self._export(ExportSheet(stream, False, first, last, self._is_excel))

    @property
    def _is_excel(self) -> bool:
        return bool(self.reader.currentData() == "excel")

    def _export(self, wish: ExportSheet) -> None:
        self._enable(on=False)
        self.shell.link.ask(wish, self._follow, failed=self._sorry, owner=self)

    def _follow(self, job: Job) -> None:
        follower = Follower(self.shell.link, job, self._show_export, self._exported, self)
        self.progress.cancelled.connect(follower.cancel)

    def _show_export(self, job: Job) -> None:
        text = self.texts("manual.out.writing", done=job.done)
        self.progress.show_at(job.done, job.total, text)

    def _exported(self, job: Job) -> None:
        self.progress.end()
        self._enable(on=True)
        if job.state is JobState.FAILED:
            self.shell.tell_error(AgentError(job.code, **job.facts))
        if job.state is not JobState.DONE:
            return
        made = msgspec.convert(job.result, SheetMade)
        save_as(self, self.shell, made.token, made.name)

    def _enable(self, *, on: bool) -> None:
        self.records.setEnabled(on)
        self.pending.setEnabled(on)

    def _sorry(self, error: AgentError) -> None:
        self._enable(on=True)
        self.progress.end()
        self.shell.tell_error(error)

    # -- take back --------------------------------------------------------------------------------

    def _sure(self, intake: IntakeView, when: str) -> None:
        ask = QMessageBox(self)
        ask.setText(self.texts("manual.earlier.sure", when=when))
        yes = ask.addButton(
            self.texts("manual.earlier.undo"), QMessageBox.ButtonRole.DestructiveRole
        )
        ask.addButton(QMessageBox.StandardButton.Cancel)
        ask.setObjectName("sure")
        yes.clicked.connect(lambda: self.undo(intake.number))
        ask.open()

    def undo(self, number: int) -> None:
        """All that an import wrote, some hundreds of writes at a time."""
        self.shell.link.ask(ShowIntakeEffects(number), self._undo, owner=self)

    def _undo(self, effects: IntakeEffects) -> None:
        numbers = effects.numbers
        done = [0, 0]

        def portion(at: int) -> None:
            some = numbers[at : at + _UNDO_AT_ONCE]
            if not some:
                text = self.texts("manual.earlier.taken", count=done[0], kept=done[1])
                self.shell.tell(text, "good" if not done[1] else "warn")
                self.woken()
                return

            def take(plan: UndoPlan) -> None:
                done[0] += sum(not step.code for step in plan.steps)
                done[1] += sum(bool(step.code) for step in plan.steps)
                portion(at + _UNDO_AT_ONCE)

            self.shell.link.ask(ApplyUndo(UndoScope(numbers=some)), take, owner=self)

        portion(0)


def _fields(fields: list[QVBoxLayout]) -> QHBoxLayout:
    """The kind of record has the longest words."""
    made = row(*fields, gap=GAP)
    for at, share in enumerate((4, 3, 2)):
        made.setStretch(at, share)
    return made


def save_as(
    parent: QWidget, shell: Shell, token: str, name: str, then: Callable[[Path], None] | None = None
) -> None:
    """Asks where, without blocking, and writes the agent's file there."""

    def saved(path: Path) -> None:
        shell.tell(shell.texts("manual.out.saved", file=str(path)), "good")

    dialog = QFileDialog(parent, shell.texts("manual.save"), name)
    dialog.setObjectName("save-as")
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.selectFile(name)
    dialog.fileSelected.connect(
        lambda path: Fetcher(shell.link, token, Path(path), then or saved, shell.tell_error, parent)
    )
    dialog.open()
