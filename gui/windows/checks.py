"""The tab Checks: promises and their figures, both sides compared, records worth a look."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QGuiApplication, QHideEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QScrollArea, QTableView, QWidget

from agent.errors import AgentError
from agent.model.longwork import Job, JobState
from agent.model.promises import Checks as ChecksFound
from agent.model.promises import ShowChecks
from agent.model.proof import Audit, CompareSides, StreamProof
from agent.model.quality import QualityReport, ReviewQuality, RuleFound
from agent.model.streams import Stream
from gui import a11y
from gui.handing import Follower
from gui.models.rows import Column, RowsModel
from gui.presenter.checks import (
    numbers_text,
    promise_view,
    quality_notes,
    quality_verdict,
    rules_found,
    side_row,
    sides_verdict,
)
from gui.presenter.overview import proof_view
from gui.shell import Shell
from gui.theme import set_tone
from gui.widgets.parts import GAP, button, card, column, label, row
from gui.widgets.progress import Progress
from gui.widgets.table import ROW_PX, table
from gui.windows.tab import Tab

_LOOK_MS = 30_000
PLACES = ("sides", "quality")  # of ``show_at``
_ORDER = list(Stream)


class Checks(Tab):
    name = "checks"

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self._work: dict[str, Follower] = {}
        self._rows: dict[str, tuple[QLabel, QLabel, QLabel]] = {}
        page = column(self._promises(), self._sides(), self._quality(), None, gap=GAP)
        page.setContentsMargins(0, 0, 10, 0)
        inside = QWidget()
        inside.setProperty("kind", "page")
        inside.setLayout(page)
        self._scroller = QScrollArea()
        self._scroller.setWidget(inside)
        self._scroller.setWidgetResizable(True)
        self._scroller.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroller.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.body.addWidget(self._scroller)
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_MS)
        self._timer.timeout.connect(self._ask)
        shell.theme.changed.connect(self.lines.repaint)
        shell.theme.changed.connect(self.rules.repaint)

    def woken(self) -> None:
        link = self.shell.link
        self.compare.setEnabled(link.may(CompareSides) and "sides" not in self._work)
        self.review.setEnabled(link.may(ReviewQuality) and "quality" not in self._work)
        self._ask()
        self._timer.start()

    def hideEvent(self, event: QHideEvent) -> None:
        self._timer.stop()
        super().hideEvent(event)

    def show_at(self, place: str) -> None:
        """One of ``PLACES``: that card in view."""
        button_of = {"sides": self.compare, "quality": self.review}.get(place)
        if button_of is not None:
            self._scroller.ensureWidgetVisible(button_of)
            button_of.setFocus(Qt.FocusReason.OtherFocusReason)

    def show_found(self) -> None:
        """What was found, in view to its last line."""
        self._scroller.ensureWidgetVisible(self.numbers)

    def _ask(self) -> None:
        self.shell.link.ask(ShowChecks(), self._show, failed=lambda _: None, owner=self)

    def _show(self, found: ChecksFound) -> None:
        now = self.shell.now()
        for promise in found.promises:
            view = promise_view(promise, now, self.texts)
            mark, title, figure = self._promise_row(view.code)
            for part, text in ((mark, view.mark), (title, view.title), (figure, view.figure)):
                if part.text() != text:
                    part.setText(text)
            set_tone(mark, view.tone)
        self._show_lines(found.lines)
        report = self.shell.link.report
        proof = proof_view(report.snapshot if report is not None else None, now, self.texts)
        self.proof.setText(proof.text)
        set_tone(self.proof, proof.tone)
        root = found.proof.root if found.proof is not None else ""
        self.root.setText(self.texts("checks.sides.root", root=root))
        self.root.setVisible(bool(root))

    # -- promises ---------------------------------------------------------------------------------

    def _promises(self) -> QWidget:
        say = self.texts
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(GAP)
        self._grid.setVerticalSpacing(10)
        self._grid.setColumnStretch(1, 1)
        about = label(say("checks.promise.about"), "caption", wrap=True)
        return card(column(label(say("checks.promise.heading"), "subtitle"), about, self._grid))

    def _promise_row(self, code: str) -> tuple[QLabel, QLabel, QLabel]:
        """Mark, what is promised, its figure; made once, so that a reader keeps the place."""
        if code not in self._rows:
            parts = (label("", "pill"), label("", "", wrap=True), label("", "caption", wrap=True))
            line = len(self._rows)
            self._grid.addWidget(parts[0], line, 0, Qt.AlignmentFlag.AlignVCenter)
            self._grid.addLayout(column(*parts[1:], gap=0), line, 1)
            self._rows[code] = parts
        return self._rows[code]

    # -- both sides -------------------------------------------------------------------------------

    def _sides(self) -> QWidget:
        say = self.texts
        self.compare = button(say("checks.sides.compare"), self._compare)
        self.repair = button(say("checks.sides.repair"), lambda: self._compare(repair=True))
        self.repair.hide()
        self.comparing = Progress(say("manual.cancel"))
        self.comparing.cancelled.connect(lambda: self._cancel("sides"))
        self.proof, self.root = label("", "", wrap=True), label("", "caption", wrap=True)
        self.verdict = label("", "", wrap=True)
        self.verdict.setObjectName("sides-verdict")
        self.lines = RowsModel[StreamProof](
            self._side_columns(), self.shell.theme.colour, lambda line: line.stream
        )
        self.table = table(
            self.lines, say("checks.sides.list"), stretch=0,
            widths={1: 80, 2: 90, 3: 70, 4: 120, 5: 130},
        )  # fmt: skip
        _grows(self.table)
        acts = row(self.compare, self.repair, self.comparing, None)
        heading = label(say("checks.sides.heading"), "subtitle")
        about = label(say("checks.sides.about"), "caption", wrap=True)
        return card(
            column(heading, about, self.proof, self.root, acts, self.verdict, self.table)
        )  # fmt: skip

    def _side_columns(self) -> list[Column[StreamProof]]:
        def title(name: str) -> str:
            return self.texts(f"checks.sides.column.{name}")

        def cell(name: str, align: str = "right") -> Column[StreamProof]:
            def text(line: StreamProof) -> str:
                return str(getattr(side_row(line, self.shell.now(), self.texts), name))

            return Column(title(name), text, align)

        def row_of(line: StreamProof) -> tuple[str, str]:
            view = side_row(line, self.shell.now(), self.texts)
            return view.tone, view.tip

        return [
            cell("name", "left"), cell("records"), cell("at_crm"), cell("wrong"), cell("when"),
            Column(
                title("state"),
                lambda line: side_row(line, self.shell.now(), self.texts).state,
                tone=lambda line: row_of(line)[0],
                tip=lambda line: row_of(line)[1],
            ),
        ]  # fmt: skip

    def _show_lines(self, lines: tuple[StreamProof, ...]) -> None:
        ordered = tuple(sorted(lines, key=lambda line: _ORDER.index(line.stream)))
        self.lines.show(ordered)
        _fit(self.table, len(ordered))
        text, tone = sides_verdict(ordered, self.texts)
        self.verdict.setText(text)
        set_tone(self.verdict, tone)
        is_wrong = any(line.wrong > line.repaired for line in ordered)
        self.repair.setVisible(is_wrong and self.shell.link.may(CompareSides))

    def _compare(self, *, repair: bool = False) -> None:
        self.compare.setEnabled(False)
        self.repair.setEnabled(False)

        def over(job: Job) -> None:
            self._end("sides")
            self._show_lines(msgspec.convert(job.result, Audit).lines)
            a11y.announce(self, self.verdict.text())
            self._ask()

        self._start(CompareSides(repair=repair), "sides", over)

    # -- records worth a look ---------------------------------------------------------------------

    def _quality(self) -> QWidget:
        say = self.texts
        self.review = button(say("checks.quality.review"), self._review)
        self.copy = button(say("checks.quality.copy"), self._copy)
        self.copy.hide()
        self.reviewing = Progress(say("manual.cancel"))
        self.reviewing.cancelled.connect(lambda: self._cancel("quality"))
        self.found = label(say("checks.quality.not_yet"), "soft", wrap=True)
        self.found.setObjectName("quality-verdict")
        self.notes = label("", "caption", wrap=True)
        self.notes.hide()

        def head(name: str) -> str:
            return say(f"checks.quality.column.{name}")

        self.rules = RowsModel[RuleFound](
            [
                Column(head("count"), lambda rule: say.number(rule.count), "right"),
                Column(head("what"), lambda rule: rule.title(say.language),
                       tip=lambda rule: rule.code),
                Column(head("looked"), lambda rule: say.number(rule.looked), "right"),
            ],
            self.shell.theme.colour,
            lambda rule: rule.code,
        )  # fmt: skip
        self.rule_list = table(
            self.rules, say("checks.quality.list"), stretch=1, widths={0: 70, 2: 110}
        )
        _grows(self.rule_list)
        self.rule_list.selectionModel().currentRowChanged.connect(lambda *_: self._choose())
        self.numbers = label("", "", wrap=True)
        self.numbers.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        a11y.name(self.numbers, head("numbers"))
        self.numbers.hide()
        heading = label(say("checks.quality.heading"), "subtitle")
        about = label(say("checks.quality.about"), "caption", wrap=True)
        acts = row(self.review, self.copy, self.reviewing, None)
        return card(
            column(heading, about, acts, self.found, self.notes, self.rule_list, self.numbers)
        )

    def _review(self) -> None:
        self.review.setEnabled(False)

        def over(job: Job) -> None:
            self._end("quality")
            self._show_quality(msgspec.convert(job.result, QualityReport))

        self._start(ReviewQuality(), "quality", over)

    def _show_quality(self, report: QualityReport) -> None:
        text, tone = quality_verdict(report, self.texts)
        self.found.setText(text)
        set_tone(self.found, tone)
        notes = quality_notes(report, self.texts)
        self.notes.setText(notes)
        self.notes.setVisible(bool(notes))
        rules = rules_found(report)
        self.rules.show(rules)
        _fit(self.rule_list, len(rules))
        for part in (self.copy, self.numbers):
            part.setVisible(bool(rules))
        if rules:
            self.rule_list.selectRow(0)
            self._choose()
            QTimer.singleShot(0, self, self.show_found)
        a11y.announce(self, text)

    def _choose(self) -> None:
        rule = self.rules.row(self.rule_list.currentIndex().row())
        self.numbers.setText(numbers_text(rule, self.texts) if rule is not None else "")

    def _copy(self) -> None:
        lines = [
            f"{rule.title(self.texts.language)}: {numbers_text(rule, self.texts)}"
            for rule in self.rules.rows
        ]
        QGuiApplication.clipboard().setText("\n".join(lines))
        self.shell.tell(self.texts("support.doctor.copied"), "good")

    # -- long work --------------------------------------------------------------------------------

    def _start(
        self, wish: CompareSides | ReviewQuality, what: str, over: Callable[[Job], None]
    ) -> None:
        progress = {"sides": self.comparing, "quality": self.reviewing}[what]

        def step(job: Job) -> None:
            progress.show_at(job.done, job.total, self.texts(f"checks.{what}.running"))

        def ended(job: Job) -> None:
            if job.state is JobState.DONE:
                over(job)
                return
            self._end(what)
            if job.state is JobState.FAILED:
                self.shell.tell_error(AgentError(job.code, **job.facts))

        def watch(job: Job) -> None:
            self._work[what] = Follower(self.shell.link, job, step, ended, self)

        def refused(error: AgentError) -> None:
            self._end(what)
            self.shell.tell_error(error)

        self.shell.link.ask(wish, watch, failed=refused, owner=self)

    def _cancel(self, what: str) -> None:
        follower = self._work.get(what)
        if follower is not None:
            follower.cancel()

    def _end(self, what: str) -> None:
        self._work.pop(what, None)
        if what == "sides":
            self.comparing.end()
            self.compare.setEnabled(True)
            self.repair.setEnabled(True)
        else:
            self.reviewing.end()
            self.review.setEnabled(True)


def _grows(view: QTableView) -> None:
    """As high as its rows: the page scrolls, not the table."""
    view.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    view.setFrameShape(QFrame.Shape.NoFrame)
    _fit(view, 0)


def _fit(view: QTableView, rows: int) -> None:
    height = ROW_PX * rows + view.horizontalHeader().height() + 8
    view.setVisible(bool(rows))
    if view.height() != height:
        view.setFixedHeight(height)
