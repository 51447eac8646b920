"""The queue of people: who in the CRM is which patient, with the evidence side by side."""

from __future__ import annotations

from functools import partial
from typing import Any

from PySide6.QtWidgets import QComboBox, QGridLayout

from agent.model.asking import MOST, Done, Request
from agent.model.reading import Key
from agent.model.records import Named, NameThem
from agent.model.review import (
    ApproveContact,
    CandidateView,
    ContactLine,
    ContactPage,
    ContactView,
    ListContacts,
    MergeContacts,
    RejectContact,
    ShowContact,
    UnmergeContact,
)
from gui.presenter.values import field_name, record_name, shown
from gui.review.queue import Queue
from gui.shell import Shell
from gui.theme import set_tone
from gui.widgets.lines import Line
from gui.widgets.parts import button, card, column, label, row

_MARKS = {"equal": "=", "similar": "≈", "differs": "≠", "missing": ""}
_TONES = {"equal": "good", "similar": "warn", "differs": "bad"}
_STATES = ("suspect", "linked", "unlinked", "merged")


class People(Queue):
    name = "people"

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.state = QComboBox()
        for word in _STATES:
            self.state.addItem(self.say(f"states.{word}"), word)
        self.state.setAccessibleName(self.say("which"))
        self.state.currentIndexChanged.connect(lambda _: self._turn())
        self.head(self.state)
        self.above.addStretch(1)
        self._names: dict[str, str] = {}
        self._alike: list[ContactLine] = []

    @property
    def _is_waiting(self) -> bool:
        return bool(self.state.currentData() == "suspect")

    def refresh(self) -> None:
        self.ask(ListContacts(str(self.state.currentData()), limit=MOST), self._listed)

    def _turn(self) -> None:
        self.shown = None
        self.view.clearSelection()
        self.refresh()

    def _listed(self, page: ContactPage) -> None:
        self._put(page)
        unknown = tuple(c.cloud_id for c in page.contacts if c.cloud_id not in self._names)

        def named(told: Named) -> None:
            self._names.update(zip(unknown, told.contacts, strict=True))
            self._put(page)

        self.name_lines(NameThem(contacts=unknown), named)

    def _put(self, page: ContactPage) -> None:
        lines = []
        for contact in page.contacts:
            name = self._names.get(contact.cloud_id) or self.say("contact", id=contact.cloud_id)
            if contact.state == "suspect":
                detail = self.say("candidates", n=len(contact.candidates))
            elif contact.key is not None:
                detail = record_name("patient", contact.key, self.texts)
            else:
                detail = self.say(f"states.{contact.state}")
            age = self.age(contact.seen_at)
            lines.append(Line(contact.cloud_id, name, detail, age, contact))
        self.put(lines, len(lines) if self._is_waiting else 0)

    def choose(self, lines: list[Line]) -> None:
        if not self.may(ShowContact):
            self.fresh().addWidget(label(self.texts("review.not_manager"), "soft", wrap=True))
            return
        self.ask(ShowContact(lines[0].what.cloud_id), self._show)

    def _show(self, contact: ContactView) -> None:
        if not self.view.chosen or self.view.chosen[0].ident != contact.line.cloud_id:
            return
        box = self.fresh()
        name = ", ".join(
            str(contact.person[part])
            for part in ("last_name", "first_name")
            if contact.person.get(part)
        )
        head = name or self.say("contact", id=contact.line.cloud_id)
        box.addWidget(label(head, "title", wrap=True))
        key = "question" if contact.line.state == "suspect" else contact.line.state
        box.addWidget(label(self.say(f"about.{key}"), "soft", wrap=True))
        box.addWidget(card(self._side_by_side(contact)))
        box.addStretch(1)
        if contact.line.state == "suspect":
            none = button(self.say("none_of_them"), lambda: self._reject(contact.line))
            none.setObjectName("none")
            later = button(self.texts("review.conflicts.later"), self.next_line)
            self.feet.addLayout(row(None, later, none))
            self._offer_merge(contact.line)
        elif contact.line.state in {"linked", "merged"}:
            apart = button(self.say("unmerge"), lambda: self._unmerge(contact.line))
            apart.setObjectName("unmerge")
            self.feet.addLayout(row(None, apart))

    def _side_by_side(self, contact: ContactView) -> QGridLayout:
        """A column each: the CRM's person, then every patient they may be."""
        grid = QGridLayout()
        grid.setHorizontalSpacing(18)
        grid.setVerticalSpacing(7)
        grid.addWidget(label(self.say("in_crm"), "label"), 0, 1)
        names = dict.fromkeys(
            [*(n for c in contact.candidates for n in c.evidence), *contact.person]
        )
        for at, candidate in enumerate(contact.candidates):
            head = self.say("patient", key=str(candidate.key))
            grid.addWidget(label(head, "label"), 0, 2 + at)
        for line, name in enumerate(names, 1):
            grid.addWidget(label(field_name(name, self.texts), "caption"), line, 0)
            evidence = [c.evidence[name].crm for c in contact.candidates if name in c.evidence]
            own = contact.person.get(name, evidence[0] if evidence else None)
            grid.addWidget(label(shown(own, self.texts) or "–", "", wrap=True), line, 1)  # noqa: RUF001
            for at, candidate in enumerate(contact.candidates):
                grid.addWidget(self._cell(candidate, name), line, 2 + at)
        last = len(names) + 1
        for at, candidate in enumerate(contact.candidates):
            why = self.texts.message(candidate.why).title if candidate.why else ""
            grid.addWidget(label(why, "caption", wrap=True), last, 2 + at)
            if contact.line.state == "suspect":
                same = button(
                    self.say("same"),
                    partial(self._approve, contact.line, candidate.key),
                    "primary" if at == 0 else "",
                    self.say("same_as", key=str(candidate.key)),
                )
                same.setObjectName(f"same-{candidate.key}")
                grid.addLayout(row(same, None), last + 1, 2 + at)
        for at in range(2 + len(contact.candidates)):
            grid.setColumnStretch(at, 1 if at else 0)
        return grid

    def _cell(self, candidate: CandidateView, name: str) -> Any:
        compared = candidate.evidence.get(name)
        value = compared.pms if compared is not None else candidate.person.get(name)
        likeness = compared.likeness if compared is not None else ""
        mark = _MARKS.get(likeness, "")
        text = shown(value, self.texts) or "–"  # noqa: RUF001
        cell = label(f"{mark}  {text}" if mark else text, "", wrap=True)
        set_tone(cell, _TONES.get(likeness, ""))
        if likeness:
            cell.setAccessibleName(f"{text}, {self.say(f'likeness.{likeness}')}")
            cell.setToolTip(self.say(f"likeness.{likeness}"))
        return cell

    # -- two of the CRM that are one --------------------------------------------------------------

    def _offer_merge(self, line: ContactLine) -> None:
        """Where a candidate is somebody of the CRM already, the two may be one person."""

        def found(page: ContactPage) -> None:
            twins = [c for c in page.contacts if c.key is not None and c.key in line.candidates]
            if not twins or self.shown != (line.cloud_id,):
                return
            box = column(label(self.say("twins"), "soft", wrap=True))
            for twin in twins:
                text = self.say("merge", id=twin.cloud_id, key=str(twin.key))
                made = button(text, partial(self._merge, line, twin.cloud_id))
                made.setObjectName("merge")
                box.addLayout(row(None, made))
            self.feet.insertLayout(0, box)

        self.ask(ListContacts("linked", limit=MOST), found)

    # -- deciding ---------------------------------------------------------------------------------

    def _approve(self, line: ContactLine, key: Key) -> None:
        self._do(ApproveContact(line.cloud_id, key), "approved", line, can_undo=True)

    def _reject(self, line: ContactLine) -> None:
        self._do(RejectContact(line.cloud_id), "rejected", line)

    def _merge(self, line: ContactLine, into: str) -> None:
        self._do(MergeContacts(line.cloud_id, into), "merged", line, can_undo=True)

    def _unmerge(self, line: ContactLine) -> None:
        self._do(UnmergeContact(line.cloud_id), "unmerged", line)

    def _do(
        self, request: Request[Done], did: str, line: ContactLine, *, can_undo: bool = False
    ) -> None:
        def told(_: Done) -> None:
            self.shown = None
            text = self.say(f"did.{did}")
            if can_undo:
                self.undo.offer(
                    text,
                    lambda left: self.texts("review.conflicts.undo", n=left),
                    lambda: self._unmerge(line),
                )
            else:
                self.shell.tell(text, "good")
            self.refresh()

        self.ask(request, told)
