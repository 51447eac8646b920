"""Pages: what is sent, who wins when both sides changed something, when the office is open."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QLocale, QTime
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QLineEdit,
    QTimeEdit,
)

from agent.model.hours import DAYS, Opening, Week, parse_hours, spell_hours
from agent.model.setup import (
    GetHours,
    GetPolicies,
    GetScope,
    GroupChoice,
    HoursView,
    PolicyGroup,
    PolicyGroups,
    ScopeView,
    SetHours,
    SetPolicies,
    SetScope,
    SetupView,
    StatusChoice,
    StatusWord,
    Step,
)
from agent.model.streams import Stream
from gui import a11y
from gui.shell import Shell
from gui.theme import set_tone
from gui.widgets.parts import card, column, label, row
from gui.wizard.page import Guide, Page

_UNKNOWN = frozenset({"unknown", "other"})
_OWNERS = ("shared", "pms", "crm")
_POLICIES = ("ask", "pms", "crm")


class Scope(Page):
    name = "scope"
    step = Step.SCOPE

    def __init__(self, shell: Shell, guide: Guide) -> None:
        super().__init__(shell, guide)
        self.streams: dict[Stream, QCheckBox] = {}
        self.words: list[tuple[StatusChoice, QComboBox]] = []
        self.write_back = QCheckBox()

    def enter(self) -> None:
        self.set_ready(False)
        self.fresh()
        self.ask(GetScope(), self._show, self.say("looking"))

    def _show(self, scope: ScopeView) -> None:
        box = self.fresh()
        self.write_back = QCheckBox(self.say("write_back"))
        self.write_back.setChecked(scope.write_back)
        told = self.shell.texts.message(scope.writes)
        writing = column(self.write_back, label(told.title, "soft", wrap=True), gap=4)
        box.addWidget(card(writing))
        grid = QGridLayout()
        grid.setHorizontalSpacing(18)
        grid.setVerticalSpacing(2)
        self.streams = {}
        for at, choice in enumerate(scope.streams):
            count = self.shell.texts.number(choice.rows)
            text = f"{self.shell.texts(f'streams.{choice.stream.value}.other')} ({count})"
            tick = QCheckBox(text)
            tick.setChecked(choice.on and choice.readable)
            tick.setEnabled(not choice.required and choice.readable)
            if choice.required:
                tick.setToolTip(self.say("always"))
            elif not choice.readable:
                tick.setToolTip(self.say("unreadable"))
            self.streams[choice.stream] = tick
            grid.addWidget(tick, at // 2, at % 2)
        box.addWidget(label(self.say("what"), "label"))
        box.addWidget(card(grid))
        self.words = []
        if scope.statuses:
            box.addWidget(label(self.say("statuses"), "label"))
            box.addWidget(label(self.say("statuses_about", n=scope.looked_at), "soft", wrap=True))
            box.addWidget(card(self._statuses(scope)))
        self.set_ready(True)

    def _statuses(self, scope: ScopeView) -> QGridLayout:
        """What is not understood stands first."""
        grid = QGridLayout()
        grid.setHorizontalSpacing(18)
        grid.setVerticalSpacing(6)
        grid.setColumnStretch(0, 1)
        ordered = sorted(scope.statuses, key=lambda s: (s.word not in _UNKNOWN, -s.count))
        for at, status in enumerate(ordered):
            field = self.shell.texts(f"wizard.scope.fields.{status.stream.value}_{status.field}")
            head = label(status.value, "", wrap=True)
            if status.word in _UNKNOWN:
                set_tone(head, "warn")
            combo = QComboBox()
            for word in status.words:
                combo.addItem(word.replace("_", " "), word)
            combo.setCurrentIndex(max(combo.findData(status.word), 0))
            combo.setEnabled(status.editable)
            combo.setAccessibleName(self.say("means", value=status.value))
            grid.addWidget(head, at, 0)
            grid.addWidget(label(field, "caption"), at, 1)
            grid.addWidget(label(self.say("records", n=status.count), "caption"), at, 2)
            grid.addWidget(combo, at, 3)
            self.words.append((status, combo))
        return grid

    def leave(self, go: Callable[[], None]) -> None:
        skip = tuple(
            s for s, tick in self.streams.items() if tick.isEnabled() and not tick.isChecked()
        )
        words = tuple(
            StatusWord(status.stream, status.field, status.value, str(combo.currentData()))
            for status, combo in self.words
            if combo.currentData() != status.word
        )
        request = SetScope(skip, words, self.write_back.isChecked())

        def told(view: SetupView) -> None:
            self.guide.stands(view)
            go()

        self.ask(request, told)


class Conflicts(Page):
    name = "conflicts"
    step = Step.CONFLICTS

    def __init__(self, shell: Shell, guide: Guide) -> None:
        super().__init__(shell, guide)
        self.choices: dict[str, tuple[PolicyGroup, QComboBox, QComboBox]] = {}

    def enter(self) -> None:
        self.set_ready(False)
        self.fresh()
        self.ask(GetPolicies(), self._show)

    def _show(self, told: PolicyGroups) -> None:
        box = self.fresh()
        grid = QGridLayout()
        grid.setHorizontalSpacing(18)
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(0, 1)
        for at, key in enumerate(("what", "owner", "policy")):
            grid.addWidget(label(self.say(key), "label"), 0, at)
        self.choices = {}
        for at, group in enumerate(told.groups, 1):
            name = self.say(f"groups.{group.group}")
            head = label(name, "", wrap=True)
            head.setToolTip("\n".join(group.fields))
            grid.addWidget(head, at, 0)
            if group.fixed:
                fixed = label(self.shell.texts.message(group.fixed).title, "soft", wrap=True)
                grid.addWidget(fixed, at, 1, 1, 2)
                continue
            owner = self._combo("owners", _OWNERS, group.owner, f"{name}: {self.say('owner')}")
            policy = self._combo(
                "policies", _POLICIES, group.policy, f"{name}: {self.say('policy')}"
            )
            policy.setEnabled(group.owner != "pms")
            owner.currentIndexChanged.connect(
                lambda _, o=owner, p=policy: p.setEnabled(o.currentData() != "pms")
            )
            grid.addWidget(owner, at, 1)
            grid.addWidget(policy, at, 2)
            self.choices[group.group] = (group, owner, policy)
        box.addWidget(card(grid))
        box.addWidget(label(self.say("kept"), "caption", wrap=True))
        self.set_ready(True)

    def _combo(self, kind: str, words: tuple[str, ...], now: str, name: str) -> QComboBox:
        combo = QComboBox()
        for word in words:
            combo.addItem(self.say(f"{kind}.{word}"), word)
        if now == "mixed":
            combo.addItem(self.say("mixed"), "mixed")
        combo.setCurrentIndex(max(combo.findData(now), 0))
        combo.setAccessibleName(name)
        return combo

    def leave(self, go: Callable[[], None]) -> None:
        changed = tuple(
            GroupChoice(group.group, str(owner.currentData()), str(policy.currentData()))
            for group, owner, policy in self.choices.values()
            if (owner.currentData(), policy.currentData()) != (group.owner, group.policy)
            and owner.currentData() != "mixed"
        )

        def told(view: SetupView) -> None:
            self.guide.stands(view)
            go()

        self.ask(SetPolicies(changed), told)


class Hours(Page):
    name = "hours"
    step = Step.HOURS

    def __init__(self, shell: Shell, guide: Guide) -> None:
        super().__init__(shell, guide)
        self.days: list[tuple[QCheckBox, QTimeEdit, QTimeEdit]] = []
        self.text = QLineEdit()
        self.zone = QLineEdit()
        self._zone_found = ""

    def enter(self) -> None:
        self.set_ready(False)
        self.fresh()
        self.ask(GetHours(), self._show)

    def _show(self, held: HoursView) -> None:
        box = self.fresh()
        self._zone_found = held.zone_found
        week = parse_hours(held.hours or "mon-fri 08:00-17:00")
        self.days = []
        self.text = QLineEdit(held.hours)
        if len({opening.day for opening in week}) == len(week):
            box.addWidget(card(self._grid(week, locked=held.locked)))
        else:  # a break at noon: said in words
            self.text.setAccessibleName(self.say("words"))
            self.text.textChanged.connect(lambda _: self._check())
            self.text.setEnabled(not held.locked)
            box.addLayout(column(label(self.say("words"), "label"), self.text, gap=4))
        self.zone = QLineEdit(held.zone or held.zone_found)
        self.zone.setMaximumWidth(320)
        text = label(self.say("zone"), "label")
        a11y.buddy(text, self.zone)
        box.addLayout(column(text, row(self.zone, None), gap=4))
        if held.locked:
            box.addWidget(label(self.say("locked"), "caption", wrap=True))
        self.set_ready(True)

    def _grid(self, week: Week, *, locked: bool) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(14)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(4, 1)
        by_day = {opening.day: opening for opening in week}
        for day, word in enumerate(DAYS):
            opening = by_day.get(day)
            name = self.say(f"days.{word}")
            tick = QCheckBox(name)
            tick.setChecked(opening is not None)
            edits: list[QTimeEdit] = []
            for at, (key, default) in enumerate((("opens", (8, 0)), ("closes", (17, 0)))):
                found = getattr(opening, key, None)
                edit = QTimeEdit(QTime(found.hour, found.minute) if found else QTime(*default))
                edit.setDisplayFormat(QLocale.system().timeFormat(QLocale.FormatType.ShortFormat))
                edit.setButtonSymbols(QTimeEdit.ButtonSymbols.NoButtons)
                edit.setAccessibleName(f"{name}: {self.say(key)}")
                edit.setEnabled(opening is not None and not locked)
                edit.timeChanged.connect(lambda _: self._check())
                grid.addWidget(edit, day, 1 + at * 2)
                edits.append(edit)
            grid.addWidget(label(self.say("to"), "soft"), day, 2)
            grid.addWidget(tick, day, 0)
            tick.setEnabled(not locked)
            tick.toggled.connect(lambda on, e=edits: [edit.setEnabled(on) for edit in e])
            tick.toggled.connect(lambda _: self._check())
            self.days.append((tick, edits[0], edits[1]))
        return grid

    def _said(self) -> str:
        if not self.days:
            return self.text.text()
        week = []
        for day, (tick, opens, closes) in enumerate(self.days):
            if tick.isChecked():
                first, last = opens.time().toPython(), closes.time().toPython()
                week.append(Opening(day, first, last))  # type: ignore[arg-type]
        return spell_hours(tuple(week))

    def _check(self) -> None:
        try:
            parse_hours(self._said())
        except ValueError:
            self.set_ready(False)
        else:
            self.set_ready(True)

    def leave(self, go: Callable[[], None]) -> None:
        zone = self.zone.text().strip()

        def told(view: SetupView) -> None:
            self.guide.stands(view)
            go()

        self.ask(SetHours(self._said(), "" if zone == self._zone_found else zone), told)
