"""The tab Overview: the state in words, four honest numbers, findings, the day, the streams."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QHideEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QProgressBar, QScrollArea, QVBoxLayout, QWidget

from agent.model.activity import CheckNow, GetPulse, Pulse
from agent.model.desk import Resume
from agent.model.status import Report, Snapshot, State
from gui import a11y
from gui.models.rows import Column, RowsModel
from gui.presenter.overview import (
    FindingView,
    Remedy,
    StreamRow,
    bars,
    chart_summary,
    findings_view,
    numbers_view,
    proof_view,
    stream_rows,
)
from gui.presenter.status import StatusView
from gui.shell import Shell
from gui.theme import set_tone
from gui.widgets.cards import FindingCard, NumberCard
from gui.widgets.chart import DayChart
from gui.widgets.parts import GAP, button, card, column, label, row
from gui.widgets.table import ROW_PX, table
from gui.windows.tab import Tab

_PULSE_MS = 30_000


class Overview(Tab):
    name = "overview"

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self._pulse: Pulse | None = None
        self._cards: dict[str, FindingCard] = {}
        self._wanted = ""  # code of the finding somebody opened us for
        self.hero = _Hero(shell)
        self.numbers = [NumberCard(self.texts) for _ in range(4)]
        self._grid = QGridLayout()
        self._grid.setSpacing(GAP - 6)
        self._lay_numbers(4)
        self.proof = label("", "caption", wrap=True)
        self.proof.setObjectName("full-proof")
        self._found = QVBoxLayout()
        self._found.setSpacing(GAP - 4)
        self.chart = DayChart(shell.theme, self.texts)
        self._summary = label("", "caption", wrap=True)
        self._legend = [_Legend(shell, *each) for each in _LEGEND]
        day = column(
            label(self.texts("overview.day"), "subtitle"),
            row(*self._legend, None, gap=GAP),
            self.chart,
            self._summary,
        )
        self.streams = RowsModel(self._columns(), shell.theme.colour, lambda r: r.stream)
        self.table = table(
            self.streams, self.texts("overview.streams"), stretch=0,
            widths={1: 76, 2: 70, 3: 70, 4: 66, 5: 100, 6: 120},
        )  # fmt: skip
        self.table.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.table.setFrameShape(QFrame.Shape.NoFrame)
        kinds = column(label(self.texts("overview.streams"), "subtitle"), self.table)
        inside = column(
            self.hero, self._grid, self.proof, self._found, card(day), card(kinds), None, gap=GAP
        )
        page = QWidget()
        page.setLayout(inside)
        inside.setContentsMargins(0, 0, 10, 0)
        self._scroller = QScrollArea()
        self._scroller.setWidget(page)
        self._scroller.setWidgetResizable(True)
        self._scroller.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroller.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.body.addWidget(self._scroller)
        self.check = button(self.texts("overview.check"), self._check)
        self.tools.addWidget(self.check)
        self._timer = QTimer(self)
        self._timer.setInterval(_PULSE_MS)
        self._timer.timeout.connect(self._ask_pulse)
        shell.status_changed.connect(self._show_status)
        shell.theme.changed.connect(self.streams.repaint)
        if shell.status is not None:
            self._show_status(shell.status)

    # -- what the agent says ----------------------------------------------------------------------

    def woken(self) -> None:
        self._ask_pulse()
        self._timer.start()

    def hideEvent(self, event: QHideEvent) -> None:
        self._timer.stop()
        super().hideEvent(event)

    def _show_status(self, view: StatusView) -> None:
        report = self.shell.link.report
        self.hero.show_status(view, report)
        known = (
            report.snapshot if report is not None and view.state is not State.UNREACHABLE else None
        )
        for shown, number in zip(self.numbers, numbers_view(known, self.texts), strict=True):
            shown.show_number(number, self.texts(f"tabs.{number.go[0]}.title"))
            shown.setProperty("go", number.go)
        self._show_proof(known)
        self.check.setEnabled(known is not None and view.state is not State.PAUSED)
        if known is not None:
            self._show_findings(
                findings_view(known, self.texts, may=self.shell.link.may, tabs=self.shell.tabs)
            )
            self._show_streams()

    def _show_proof(self, known: Snapshot | None) -> None:
        view = proof_view(known, self.shell.now(), self.texts)
        if self.proof.text() != view.text:
            self.proof.setText(view.text)
            self.proof.setToolTip(view.tip)
            set_tone(self.proof, view.tone)

    def _show_streams(self) -> None:
        report = self.shell.link.report
        if report is None:
            return
        last = self._pulse.last_sent if self._pulse is not None else {}
        self.streams.show(stream_rows(report.snapshot, last, self.shell.now(), self.texts))
        height = ROW_PX * self.streams.rowCount() + self.table.horizontalHeader().height() + 8
        if self.table.height() != height:
            self.table.setFixedHeight(height)

    def show_at(self, place: str) -> None:
        """The finding of that code, in view and with the focus."""
        self._wanted = place
        self._go_to_wanted()

    def _go_to_wanted(self) -> None:
        card = next((c for c in self._cards.values() if c.code == self._wanted), None)
        if self._wanted and card is not None:
            self._wanted = ""
            self._scroller.ensureWidgetVisible(card)
            card.take_focus()

    def _show_findings(self, views: list[FindingView]) -> None:
        """Cards that stay keep their focus and their question."""
        for key in set(self._cards) - {view.key for view in views}:
            gone = self._cards.pop(key)
            self._found.removeWidget(gone)
            gone.deleteLater()
        for at, view in enumerate(views):
            shown = self._cards.get(view.key)
            if shown is None:
                shown = self._cards[view.key] = FindingCard(self.texts, self._mend)
                self._found.insertWidget(at, shown)
            shown.show_finding(view)
        self._go_to_wanted()
        self._wanted = ""  # what is over by now is not waited for

    def _ask_pulse(self) -> None:
        if self.shell.link.may(GetPulse):
            self.shell.link.ask(GetPulse(), self._show_pulse, failed=lambda _: None, owner=self)

    def _show_pulse(self, pulse: Pulse) -> None:
        self._pulse = pulse
        found = bars(pulse)
        summary = chart_summary(found, self.texts)
        self._summary.setText(summary)
        self.chart.show_bars(found, summary)
        self._show_streams()

    # -- what a person does -----------------------------------------------------------------------

    def _check(self) -> None:
        self.shell.link.ask(
            CheckNow(), lambda _: self.shell.tell(self.texts("overview.checking")), owner=self
        )

    def _mend(self, remedy: Remedy) -> None:
        if remedy.request is None:
            self.shell.go(*remedy.go)
        else:
            self.shell.link.ask(
                remedy.request, lambda _: self.shell.tell(self.texts("overview.done")), owner=self
            )

    def _go(self, place: int) -> None:
        self.shell.go(*self.numbers[place].property("go"))

    def _lay_numbers(self, across: int) -> None:
        for place, shown in enumerate(self.numbers):
            self._grid.addWidget(shown, place // across, place % across)
            self._grid.setColumnStretch(place % across, 1)
            shown.clicked.connect(lambda _=False, p=place: self._go(p))

    def _columns(self) -> list[Column[StreamRow]]:
        def title(name: str) -> str:
            return self.texts(f"overview.column.{name}")

        return [
            Column(title("stream"), lambda r: r.name),
            Column(title("records"), lambda r: r.records, "right"),
            Column(title("agreed"), lambda r: r.agreed, "right"),
            Column(title("waiting"), lambda r: r.waiting, "right"),
            Column(title("parked"), lambda r: r.parked, "right"),
            Column(title("last"), lambda r: r.last_sent, "right"),
            Column(title("state"), lambda r: r.state, tone=lambda r: r.tone),
        ]


_LEGEND = (("sent", "accent"), ("received", "good"), ("latency", "warn"))


class _Legend(QWidget):
    """A colour and its meaning."""

    def __init__(self, shell: Shell, name: str, tone: str) -> None:
        super().__init__()
        self._shell, self._tone = shell, tone
        self._mark = label("", "")
        self._mark.setFixedSize(10, 10)
        self.setLayout(
            row(self._mark, label(shell.texts(f"overview.chart.{name}"), "caption"), gap=6)
        )
        shell.theme.changed.connect(self._dress)
        self._dress()

    def _dress(self) -> None:
        colour = self._shell.theme.colour(self._tone).name()
        self._mark.setStyleSheet(f"background: {colour}; border-radius: 3px;")


class _Hero(QFrame):
    """The state in words, large, with the one thing to do about it."""

    def __init__(self, shell: Shell) -> None:
        super().__init__()
        self._shell = shell
        self._state: State | None = None
        self.setProperty("kind", "banner")
        self._icon = label()
        self._icon.setFixedSize(44, 44)
        self.head = label("", "title", wrap=True)
        self.head.setObjectName("hero-head")
        self._body = label("", "", wrap=True)
        self._times = label("", "caption", wrap=True)
        self._progress = QProgressBar()
        self._progress.setTextVisible(False)
        self._progress.hide()
        a11y.name(self._progress, shell.texts("tabs.overview.title"))
        self.button = button("", self._act, "primary")
        words = column(self.head, self._body, self._progress, self._times, gap=4)
        inside = row(self._icon, words, self.button, gap=GAP)
        inside.setStretch(1, 1)
        inside.setContentsMargins(GAP + 4, GAP, GAP + 4, GAP)
        self.setLayout(inside)
        shell.theme.changed.connect(self._dress)

    def show_status(self, view: StatusView, report: Report | None) -> None:
        if view.state is not self._state:
            self._state = view.state
            self._view_icon = view.icon
            self._dress()
            set_tone(self, view.tone)
            a11y.announce(self, view.head)
        times = f"{view.last_read}  ·  {view.last_write}"
        for part, text in ((self.head, view.head), (self._body, view.body), (self._times, times)):
            if part.text() != text:
                part.setText(text)
        self._show_progress(report if view.state is State.SYNCING else None)
        self._show_button(view)

    def _show_progress(self, report: Report | None) -> None:
        load = report.snapshot.load if report is not None else None
        self._progress.setVisible(load is not None and load.total_rows > 0)
        if load is not None and load.total_rows > 0:
            self._progress.setRange(0, load.total_rows)
            self._progress.setValue(min(load.loaded_rows, load.total_rows))

    def _show_button(self, view: StatusView) -> None:
        texts, tabs = self._shell.texts, self._shell.tabs
        word = {
            State.PAUSED: "resume" if self._shell.link.may(Resume) else "",
            State.NOT_SET_UP: "setup",
            State.UNREACHABLE: "start" if self._shell.may_start else "",
            State.NEEDS_REVIEW: "review" if "review" in tabs and view.to_review else "",
        }.get(view.state, "")
        self.button.setVisible(bool(word))
        if word:
            text = texts(f"overview.{word}")
            if self.button.text() != text:
                self.button.setText(text)
                a11y.name(self.button, text)

    def _act(self) -> None:
        shell = self._shell
        match self._state:
            case State.PAUSED:
                shell.link.ask(Resume(), owner=self)
            case State.NOT_SET_UP:
                shell.go("setup")
            case State.UNREACHABLE:
                shell.starting.emit()
            case _:
                shell.go("review")

    def _dress(self) -> None:
        if self._state is not None:
            icon = self._shell.theme.icon(self._view_icon)
            self._icon.setPixmap(icon.pixmap(44, 44))
