"""Queues of what only a person can do in the practice system: desk tasks, and writes of which
nobody knows whether they happened."""

from __future__ import annotations

from PySide6.QtWidgets import QGridLayout, QLineEdit

from agent.model.asking import MOST, Done
from agent.model.records import Named, NameThem
from agent.model.review import (
    CloseTasks,
    EffectLine,
    EffectPage,
    ListEffects,
    ListTasks,
    SettleEffect,
    ShowTask,
    TaskLine,
    TaskPage,
    TaskView,
)
from gui import a11y
from gui.presenter.values import field_name, person, record_name, shown
from gui.review.queue import Queue
from gui.shell import Shell
from gui.theme import set_tone
from gui.widgets.flow import Flow
from gui.widgets.lines import Line
from gui.widgets.parts import button, card, column, label, row

_FILE = "content_base64"


class Tasks(Queue):
    name = "tasks"

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.note = QLineEdit()
        self.key = QLineEdit()
        self._names: dict[int, str] = {}

    def refresh(self) -> None:
        self.ask(ListTasks(limit=MOST), self._listed)

    def _listed(self, page: TaskPage) -> None:
        self._put(page)
        unknown = tuple(t.number for t in page.tasks if t.number not in self._names)

        def named(told: Named) -> None:
            self._names.update(zip(unknown, told.tasks, strict=True))
            self._put(page)

        self.name_lines(NameThem(tasks=unknown), named)

    def _put(self, page: TaskPage) -> None:
        lines = []
        for task in page.tasks:
            name = self._names.get(task.number, "")
            where = record_name(task.stream.value, task.key, self.texts)
            title = self.say(f"kinds.{task.kind.value}")
            detail = ", ".join(filter(None, (name, where)))
            lines.append(Line(task.number, title, detail, self.age(task.opened_at), task))
        self.put(lines)

    def choose(self, lines: list[Line]) -> None:
        if not self.may(ShowTask):
            self.fresh().addWidget(label(self.texts("review.not_manager"), "soft", wrap=True))
            return
        self.ask(ShowTask(lines[0].what.number), self._show)

    def _show(self, task: TaskView) -> None:
        if not self.view.chosen or self.view.chosen[0].ident != task.line.number:
            return
        line: TaskLine = task.line
        box = self.fresh()
        box.addWidget(label(self.say(f"todo.{line.kind.value}"), "title", wrap=True))
        about = ", ".join(
            filter(
                None,
                (
                    person(task.who, self.texts),
                    record_name(line.stream.value, line.key, self.texts),
                ),
            )
        )
        box.addWidget(label(about, "subtitle", wrap=True))
        grid = QGridLayout()
        grid.setHorizontalSpacing(18)
        grid.setVerticalSpacing(6)
        grid.setColumnStretch(1, 1)
        for at, (name, value) in enumerate(sorted(task.fields.items())):
            text = self.say("file") if name == _FILE else shown(value, self.texts)
            grid.addWidget(label(field_name(name, self.texts), "label"), at, 0)
            grid.addWidget(label(text or self.texts("review.empty"), "", wrap=True), at, 1)
        box.addWidget(card(grid))
        if task.together:
            numbers = ", ".join(map(str, task.together))
            box.addWidget(label(self.say("together", numbers=numbers), "soft", wrap=True))
        reason = self.texts.message(line.reason)
        due = self.texts.when(line.due_at, self.shell.now())
        box.addWidget(label(self.say("why", reason=reason.title), "caption", wrap=True))
        box.addWidget(label(self.say("due", when=due), "caption", wrap=True))
        box.addStretch(1)
        self._feet(line.number)

    def _feet(self, number: int) -> None:
        self.note, self.key = QLineEdit(), QLineEdit()
        reason = label(self.say("reason"), "label", wrap=True)
        record = label(self.say("key"), "label", wrap=True)
        a11y.buddy(reason, self.note)
        a11y.buddy(record, self.key)
        cannot = button(self.say("cannot"), lambda: self._close(number, done=False))
        cannot.setObjectName("cannot")
        cannot.setEnabled(False)
        self.note.textChanged.connect(lambda text: cannot.setEnabled(bool(text.strip())))
        done = button(self.say("done"), lambda: self._close(number, done=True), "primary")
        done.setObjectName("done")
        width = max(each.sizeHint().width() for each in (cannot, done))
        for each in (cannot, done):
            each.setMinimumWidth(width)
        lines = column(gap=10)
        for text, field, act in ((reason, self.note, cannot), (record, self.key, done)):
            line = row(field, act)
            line.setStretch(0, 1)
            lines.addLayout(column(text, line, gap=3))
        self.feet.addLayout(lines)

    def _close(self, number: int, *, done: bool) -> None:
        key = self.key.text().strip()
        found = (int(key) if key.lstrip("-").isdigit() else key) if key and done else None
        note = "" if done else self.note.text().strip()
        self.shown = None
        text = self.say("was_done" if done else "was_not_done")
        self.ask(CloseTasks((number,), done, note, found), lambda told: self.told(told, text))


class Unsure(Queue):
    """Writes that may have happened: a person looks and says."""

    name = "unsure"

    def refresh(self) -> None:
        self.ask(ListEffects(limit=MOST, unknown=True), self._listed)

    def _listed(self, page: EffectPage) -> None:
        lines = []
        for effect in page.effects:
            where = record_name(effect.stream.value, effect.key, self.texts)
            kind = self.texts(f"review.tasks.kinds.{effect.kind.value}")
            lines.append(Line(effect.number, kind, where, self.age(effect.at), effect))
        self.put(lines)

    def choose(self, lines: list[Line]) -> None:
        effect: EffectLine = lines[0].what
        box = self.fresh()
        box.addWidget(label(lines[0].title, "title", wrap=True))
        box.addWidget(label(lines[0].detail, "subtitle"))
        fields = ", ".join(field_name(name, self.texts) for name in effect.fields)
        box.addWidget(card(column(label(self.say("question", fields=fields), "", wrap=True))))
        note = label(self.say("about"), "soft", wrap=True)
        set_tone(note, "warn")
        box.addWidget(note)
        box.addStretch(1)
        if not self.may(SettleEffect):
            box.addWidget(label(self.texts("review.not_manager"), "soft", wrap=True))
            return
        key = QLineEdit()
        named = label(self.texts("review.tasks.key"), "label", wrap=True)
        a11y.buddy(named, key)
        for part in (named, key):
            part.setVisible(effect.key is None)
        happened = button(
            self.say("happened"), lambda: self._settle(effect.number, key.text(), happened=True)
        )
        not_happened = button(
            self.say("not_happened"), lambda: self._settle(effect.number, "", happened=False)
        )
        self.feet.addLayout(column(named, key, Flow(not_happened, happened, right=True)))

    def _settle(self, number: int, key: str, *, happened: bool) -> None:
        key = key.strip()
        found = (int(key) if key.lstrip("-").isdigit() else key) if key else None

        def told(_: Done) -> None:
            self.shown = None
            self.shell.tell(self.say("settled"), "good")
            self.refresh()

        self.ask(SettleEffect(number, happened, found), told)
