"""The queue of parked records: refused or unreadable, one by one; try again, or leave them be."""

from __future__ import annotations

from PySide6.QtWidgets import QCheckBox, QLineEdit

from agent.model.asking import Settlement
from agent.model.records import (
    HeedParked,
    IgnoreParked,
    ListParked,
    Named,
    NameThem,
    ParkedLine,
    ParkedPage,
    Place,
    RetryParked,
)
from gui import a11y
from gui.presenter.values import record_name, why_text
from gui.review.queue import Queue
from gui.shell import Shell
from gui.widgets.flow import Flow
from gui.widgets.lines import Line
from gui.widgets.parts import button, card, column, label

_MOST = 300


class Parked(Queue):
    name = "parked"
    several = True

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.ignored = QCheckBox(self.say("ignored", n=0))
        self.ignored.toggled.connect(lambda _: self._turn())
        self.head(self.ignored)
        self.above.addStretch(1)
        self.note = QLineEdit()
        self._names: dict[Place, str] = {}

    def refresh(self) -> None:
        self.ask(ListParked(_MOST, self.ignored.isChecked()), self._listed)

    def _turn(self) -> None:
        self.shown = None
        self.view.clearSelection()
        self.refresh()

    def _listed(self, page: ParkedPage) -> None:
        self.ignored.setText(self.say("ignored", n=page.ignored))
        self.ignored.setVisible(bool(page.ignored) or self.ignored.isChecked())
        self._put(page)
        unknown = tuple(p.place for p in page.parked if p.place not in self._names)

        def named(told: Named) -> None:
            self._names.update(zip(unknown, told.records, strict=True))
            self._put(page)
            if self.view.chosen:  # its head says the name now
                self.choose(self.view.chosen)

        self.name_lines(NameThem(records=unknown), named)

    def _put(self, page: ParkedPage) -> None:
        lines = []
        for parked in page.parked:
            where = record_name(parked.place.stream.value, parked.place.key, self.texts)
            name = self._names.get(parked.place)
            title = f"{name} ({where})" if name else where
            why = why_text(parked.reason, self.texts)
            lines.append(Line(parked.place, title, why, self.age(parked.since), parked))
        count = 0 if self.ignored.isChecked() else len(lines)
        self.put(lines, count)

    def choose(self, lines: list[Line]) -> None:
        box = self.fresh()
        if len(lines) == 1:
            parked: ParkedLine = lines[0].what
            message = self.texts.message(parked.reason)
            box.addWidget(label(lines[0].title, "title", wrap=True))
            told = column(label(lines[0].detail, "subtitle", wrap=True), gap=4)
            if message.title == lines[0].detail:
                for part in filter(None, (message.body, message.next_step)):
                    told.addWidget(label(part, "soft", wrap=True))
            box.addWidget(card(told))
            key = "ignored_since" if parked.ignored else "since"
            next_try = self.texts.when(parked.due_at, self.shell.now())
            age, tries = self.age(parked.since), parked.tries
            box.addWidget(
                label(self.say(key, age=age, tries=tries, next=next_try), "caption", wrap=True)
            )
        else:
            box.addWidget(label(self.say("several", n=len(lines)), "title"))
            box.addWidget(label("\n".join(line.title for line in lines[:20]), "soft", wrap=True))
        box.addWidget(label(self.say("about"), "soft", wrap=True))
        box.addStretch(1)
        if not self.may(RetryParked):
            box.addWidget(label(self.texts("review.not_manager"), "soft", wrap=True))
            return
        n = len(lines)
        places = tuple(line.what.place for line in lines)
        retry = button(self.say("retry", n=n), lambda: self._retry(places), "primary")
        retry.setObjectName("retry")
        if self.ignored.isChecked():
            heed = button(self.say("heed", n=n), lambda: self._heed(places))
            self.feet.addLayout(Flow(heed, retry, right=True))
            return
        self.note = QLineEdit()
        named = label(self.say("note"), "label", wrap=True)
        a11y.buddy(named, self.note)
        ignore = button(self.say("ignore", n=n), lambda: self._ignore(places))
        ignore.setObjectName("ignore")
        self.feet.addLayout(column(named, self.note, Flow(ignore, retry, right=True)))

    def _retry(self, places: tuple[Place, ...]) -> None:
        self.ask(RetryParked(places), lambda told: self.told(told, self.say("retried")))

    def _ignore(self, places: tuple[Place, ...]) -> None:
        def told(settlement: Settlement) -> None:
            self.shown = None
            self.told(settlement, "")
            self.undo.offer(
                self.say("left", n=len(places)),
                lambda left: self.texts("review.conflicts.undo", n=left),
                lambda: self._heed(places),
            )

        self.ask(IgnoreParked(places, self.note.text().strip()), told)

    def _heed(self, places: tuple[Place, ...]) -> None:
        self.shown = None
        self.ask(HeedParked(places), lambda told: self.told(told, self.say("heeded")))
