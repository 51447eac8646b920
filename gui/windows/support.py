"""The tab Support: the doctor, a report for support, versions, help."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import msgspec
from PySide6.QtCore import QBuffer, QIODevice, Qt, qVersion
from PySide6.QtGui import QGuiApplication, QPixmap
from PySide6.QtWidgets import (
    QComboBox,
    QLabel,
    QPlainTextEdit,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from agent import __version__
from agent.errors import AgentError
from agent.model.helping import BundleMade, BundlePart, Checked, Diagnosis, MakeBundle, RunDoctor
from agent.model.longwork import Job, JobState
from agent.model.reading import Severity
from gui import a11y
from gui.handing import Follower, Sender
from gui.helppages import is_in, open_help
from gui.presenter.offer import Offer, offer, place_of
from gui.shell import Shell
from gui.theme import set_tone
from gui.widgets.lines import Line, LineView
from gui.widgets.parts import GAP, button, card, column, label, row
from gui.widgets.progress import Progress
from gui.windows.manual import save_as
from gui.windows.tab import Tab

_TONES = {Severity.OK: "good", Severity.NOTE: "good", Severity.WARNING: "warn",
          Severity.ERROR: "bad"}  # fmt: skip
_HELP = ("front-desk", "install", "support", "incident", "data-map", "privacy")
_HELP_KEYS = ("front", "install", "support", "incident", "map", "privacy")
PLACES = ("doctor", "bundle")  # of ``show_at``
_SIDE_PX = 290
_THUMB_PX = 280
_DAYS = (1, 3, 7, 14, 30)


class Support(Tab):
    name = "support"

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self._follower: Follower | None = None
        self._shot: QPixmap | None = None
        self._diagnosis = Diagnosis(())
        left = QVBoxLayout()
        left.addWidget(self._doctor(), 1)
        side = column(self._report(), self._versions(), self._help(), None, gap=GAP)
        side.setContentsMargins(0, 0, 8, 0)
        inside = QWidget()
        inside.setProperty("kind", "page")
        inside.setLayout(side)
        scroll = self._side = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setWidget(inside)
        scroll.setMinimumWidth(_SIDE_PX)
        scroll.setMaximumWidth(_SIDE_PX + 60)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        a11y.name(scroll, self.texts("support.report.title"))
        both = row(left, scroll, gap=GAP)
        both.setStretch(0, 1)
        self.body.addLayout(both)

    def show_at(self, place: str) -> None:
        """``doctor``: it begins; ``bundle``: where a report is made."""
        if place == "doctor":
            if self.run.isEnabled():
                self._run()
            self.list.setFocus(Qt.FocusReason.OtherFocusReason)
        elif place == "bundle":
            self._side.ensureWidgetVisible(self.save)
            self.note.setFocus(Qt.FocusReason.OtherFocusReason)

    # -- doctor -----------------------------------------------------------------------------------

    def _doctor(self) -> QWidget:
        say = self.texts
        self.run = button(say("support.doctor.run"), self._run, "primary")
        self.copy = button(say("support.doctor.copy"), self._copy)
        self.copy.setEnabled(False)
        self.verdict = label(say("support.doctor.wait"), "soft", wrap=True)
        self.list = LineView(self.shell.theme, say("support.doctor.list"))
        self.list.selectionModel().currentRowChanged.connect(self._choose)
        self.detail = label("", "", wrap=True)
        self.detail.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        a11y.name(self.detail, say("support.doctor.found"))
        self._offer: Offer | None = None
        self.mend = button("", self._mend)
        self.mend.hide()
        self.checking = Progress(say("manual.cancel"))
        self.checking.cancelled.connect(self._cancel)
        inside = column(
            label(say("support.doctor.title"), "subtitle"),
            label(say("support.doctor.about"), "caption", wrap=True),
            row(self.run, self.copy, self.checking, None),
            self.verdict,
            self.list,
            self.detail,
            row(self.mend, None),
        )
        inside.setStretch(4, 1)
        return card(inside)

    def _run(self) -> None:
        self.run.setEnabled(False)
        self.list.held.show([])
        self.detail.setText("")
        self._show_offer(None)
        self.shell.link.ask(RunDoctor(), self._watch, failed=self._sorry, owner=self)

    def _watch(self, job: Job) -> None:
        self._follower = Follower(self.shell.link, job, self._step, self._checked, self)

    def _step(self, job: Job) -> None:
        if job.result is not None:
            self._diagnosis = msgspec.convert(job.result, Diagnosis)
            self.list.held.show([self._line(checked) for checked in self._diagnosis.checks])
        title = self._diagnosis.next_title
        text = self.texts("support.doctor.running", title=title) if title else ""
        self.checking.show_at(job.done, job.total, "")
        self.verdict.setText(text)

    def _checked(self, job: Job) -> None:
        self._follower = None
        self.checking.end()
        self.run.setEnabled(True)
        if job.state is JobState.FAILED:
            self._sorry(AgentError(job.code, **job.facts))
            return
        checks = self._diagnosis.checks
        failed = sum(_worst(c) is Severity.ERROR for c in checks)
        say = self.texts
        if failed:
            text = say("support.doctor.failed", failed=failed, total=len(checks))
        elif any(_worst(c) is Severity.WARNING for c in checks):
            text = say("support.doctor.warned")
        else:
            text = say("support.doctor.well")
        self.verdict.setText(text)
        a11y.announce(self, text)
        self.copy.setEnabled(bool(checks))
        order = [Severity.ERROR, Severity.WARNING]
        for wanted in order:  # what needs a person is shown at once
            at = next((n for n, c in enumerate(checks) if _worst(c) is wanted), None)
            if at is not None:
                self.list.choose(at)
                return
        self.list.choose(0)

    def _line(self, checked: Checked) -> Line:
        title, found, result = self._title(checked), self._found(checked), self._result(checked)
        return Line(checked.topic, title, found, result, checked, self._tone(checked))

    def _title(self, checked: Checked) -> str:
        """In the window's language; a step it does not know as the agent names it."""
        key = f"support.steps.{checked.topic}"
        return self.texts(key) if self.texts.has(key) else checked.title

    def _result(self, checked: Checked) -> str:
        if checked.skipped:
            return "-"
        return self.texts(f"support.doctor.{_worst(checked).value}")

    def _tone(self, checked: Checked) -> str:
        return "soft" if checked.skipped else _TONES[_worst(checked)]

    def _found(self, checked: Checked) -> str:
        if checked.skipped:
            return self.texts("support.doctor.skipped")
        worst = _worst(checked)
        shown = [f for f in checked.findings if f.severity is worst] or list(checked.findings)
        told = " ".join(self.texts.message(f.code, f.facts).title for f in shown[:3])
        return told or self.texts("support.doctor.fine")

    def _choose(self) -> None:
        line = self.list.held.row(self.list.currentIndex().row())
        if line is None:
            return
        checked: Checked = line.what
        lines, offers = [], []
        for finding in checked.findings:
            if finding.severity in {Severity.OK, Severity.NOTE} and len(checked.findings) > 4:
                continue
            text = self.texts.message(finding.code, finding.facts)
            is_bad = _is_bad(finding.severity)
            parts = (text.title, text.body if is_bad else "", text.next_step)
            lines.append(" ".join(part for part in parts if part))
            if is_bad and place_of(text) != (self.name, "doctor"):
                offers.append(offer(text, self.shell.tabs, may_start=self.shell.may_start))
        self.detail.setText("\n".join(lines[:5]))
        self._show_offer(next(filter(None, offers), None))

    def _show_offer(self, found: Offer | None) -> None:
        self._offer = found
        self.mend.setVisible(found is not None)
        if found is not None:
            self.mend.setText(found.label)
            a11y.name(self.mend, found.label)

    def _mend(self) -> None:
        if self._offer is not None:
            self.shell.take(self._offer)

    def _copy(self) -> None:
        lines = []
        for checked in self._diagnosis.checks:
            lines.append(f"{self._result(checked):<10} {self._title(checked)}")
            for finding in checked.findings:
                if _is_bad(finding.severity):
                    text = self.texts.message(finding.code, finding.facts)
                    lines.append(f"           {text.title} {text.next_step} [{finding.code}]")
        QGuiApplication.clipboard().setText("\n".join(lines))
        self.shell.tell(self.texts("support.doctor.copied"), "good")

    # -- report -----------------------------------------------------------------------------------

    def _report(self) -> QWidget:
        say = self.texts
        self.note = QPlainTextEdit()
        self.note.setPlaceholderText(say("support.report.note"))
        self.note.setTabChangesFocus(True)
        self.note.setFixedHeight(96)
        a11y.name(self.note, say("support.report.note"))
        self.days = QComboBox()
        for days in _DAYS:
            self.days.addItem(say("support.report.day", n=days), days)
        self.days.setCurrentIndex(1)
        self.picture = QComboBox()
        self.picture.activated.connect(self._take_picture)
        for key, field in (("days", self.days), ("picture", self.picture)):
            a11y.name(field, say(f"support.report.{key}"))
        self.thumb = QLabel()
        self.thumb.hide()
        self.warning = label(say("support.report.look"), "caption", wrap=True)
        set_tone(self.warning, "warn")
        self.warning.hide()
        self.preview = button(say("support.report.preview"), lambda: self._make(preview=True))
        self.save = button(say("support.report.save"), lambda: self._make(preview=False), "primary")
        self.part_list = LineView(self.shell.theme, say("support.report.parts"), tip=_part_tip)
        self.part_list.setMinimumHeight(180)
        self.part_list.hide()
        self.making = Progress(say("manual.cancel"))
        self.making.cancelled.connect(self._cancel)
        return card(
            column(
                label(say("support.report.title"), "subtitle"),
                label(say("support.report.about"), "caption", wrap=True),
                self.note,
                row(label(say("support.report.days"), "label"), self.days, None),
                row(label(say("support.report.picture"), "label"), self.picture, None),
                self.thumb,
                self.warning,
                row(self.save, None),
                row(self.preview, None),
                self.making,
                self.part_list,
            )
        )  # fmt: skip

    def woken(self) -> None:
        chosen = self.picture.currentIndex()
        self.picture.clear()
        self.picture.addItem(self.texts("support.report.none"), "")
        for name in getattr(self.window(), "shown_tabs", list)():
            if name != self.name:
                self.picture.addItem(self.texts(f"tabs.{name}.title"), name)
        self.picture.setCurrentIndex(max(chosen, 0))
        self._show_versions()

    def _take_picture(self) -> None:
        name = str(self.picture.currentData() or "")
        built = getattr(self.window(), "built", None)
        self._shot = built(name).grab() if name and built is not None else None
        self.warning.setVisible(self._shot is not None)
        self.thumb.setVisible(self._shot is not None)
        if self._shot is not None:
            self.thumb.setPixmap(
                self._shot.scaledToWidth(_THUMB_PX, Qt.TransformationMode.SmoothTransformation)
            )
            a11y.name(self.thumb, self.texts("support.report.picture"))

    def _make(self, *, preview: bool) -> None:
        self.save.setEnabled(False)
        self.preview.setEnabled(False)
        wish = MakeBundle(int(self.days.currentData()), self.note.toPlainText(), "", preview)
        if self._shot is None:
            self._ask(wish)
            return
        path = _picture_file(self._shot)

        def sent(token: str) -> None:
            path.unlink(missing_ok=True)
            self._ask(msgspec.structs.replace(wish, screenshot=token))

        Sender(self.shell.link, path, sent, self._sorry, self)

    def _ask(self, wish: MakeBundle) -> None:
        def watch(job: Job) -> None:
            self._follower = Follower(self.shell.link, job, self._show_making, self._made, self)

        self.shell.link.ask(wish, watch, failed=self._sorry, owner=self)

    def _show_making(self, job: Job) -> None:
        text = self.texts("support.report.making", done=job.done, total=job.total)
        self.making.show_at(job.done, job.total, text)

    def _made(self, job: Job) -> None:
        self._follower = None
        self.making.end()
        self.save.setEnabled(True)
        self.preview.setEnabled(True)
        if job.state is JobState.FAILED:
            self._sorry(AgentError(job.code, **job.facts))
        if job.state is not JobState.DONE:
            return
        made = msgspec.convert(job.result, BundleMade)
        self.part_list.held.show([self._part(part) for part in made.parts])
        self.part_list.show()
        if made.token:
            save_as(self, self.shell, made.token, made.name, self._saved)

    def _part(self, part: BundlePart) -> Line:
        size = self.texts("support.report.size", size=max(part.size // 1000, 1))
        return Line(part.name, part.name, part.why, size, part)

    def _saved(self, path: Path) -> None:
        self.shell.tell(self.texts("support.report.saved", file=str(path)), "good")

    # -- versions and help ------------------------------------------------------------------------

    def _versions(self) -> QWidget:
        self.versions = label("", "", wrap=True)
        self.versions.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        return card(column(label(self.texts("support.versions.title"), "subtitle"), self.versions))

    def _show_versions(self) -> None:
        say, report = self.texts, self.shell.link.report
        shot = report.snapshot if report is not None else None
        unknown = say("support.versions.unknown")
        pms = f"{shot.pms_kind} {shot.pms_version}".strip() if shot is not None else unknown
        lines = [
            f"{say('support.versions.agent')}: {shot.agent_version if shot else unknown}",
            f"{say('support.versions.window')}: {__version__}, Qt {qVersion()},"
            f" Python {sys.version.split()[0]}",
            f"{say('support.versions.pms')}: {pms or unknown}",
        ]
        self.versions.setText("\n".join(lines))

    def _help(self) -> QWidget:
        say = self.texts
        ours: list[QWidget] = []
        english: list[QWidget] = []
        for page, key in zip(_HELP, _HELP_KEYS, strict=True):
            link = button(
                say(f"support.help.{key}"), partial(open_help, page, say.language), "link"
            )
            (ours if is_in(page, say.language) else english).append(link)
        if english:
            english.insert(0, label(say("support.help.in_english"), "caption"))
        parts = (label(say("support.help.title"), "subtitle"), *ours, *english)
        return card(column(*parts, gap=4))

    # -- all --------------------------------------------------------------------------------------

    def _cancel(self) -> None:
        if self._follower is not None:
            self._follower.cancel()

    def _sorry(self, error: AgentError) -> None:
        for progress in (self.checking, self.making):
            progress.end()
        for one in (self.run, self.save, self.preview):
            one.setEnabled(True)
        self.shell.tell_error(error)


def _worst(checked: Checked) -> Severity:
    order = list(Severity)
    return max((f.severity for f in checked.findings), key=order.index, default=Severity.OK)


def _is_bad(severity: Severity) -> bool:
    return severity in {Severity.WARNING, Severity.ERROR}


def _part_tip(line: Line) -> str:
    part: BundlePart = line.what
    return f"{part.why}\n{'; '.join(part.rules)}"


def _picture_file(picture: QPixmap) -> Path:
    import tempfile

    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    picture.save(buffer, "PNG")
    with tempfile.NamedTemporaryFile(suffix=".png", delete=False) as file:
        file.write(bytes(buffer.data().data()))
    return Path(file.name)
