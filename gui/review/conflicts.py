"""The queue of conflicts: records with fields both sides changed, decided field by field or many
alike, with a look before and a way back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QCheckBox, QComboBox, QGridLayout, QWidget

from agent.model.asking import MOST, Settlement
from agent.model.records import (
    Named,
    NameThem,
    Place,
    RecordView,
    ShowConflicts,
    ShowRecord,
    Views,
)
from agent.model.review import (
    ConflictLine,
    ConflictPage,
    ConflictView,
    ListConflicts,
    ResolveConflicts,
    UndoResolutions,
)
from gui.presenter.values import field_name, person, record_name, shown
from gui.review.fields import FieldRow, heads
from gui.review.queue import Queue
from gui.shell import Shell
from gui.widgets.flow import Flow
from gui.widgets.lines import Line
from gui.widgets.parts import button, card, clear, column, label, row

PREVIEWED = 60  # shown of a decision for many


class Conflicts(Queue):
    name = "conflicts"

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self._open: list[ConflictLine] = []
        self._more = False
        self._names: dict[Place, str] = {}
        self.rows: list[FieldRow] = []
        self._record: RecordView | None = None
        self._is_saving = False
        self.remember = QCheckBox()
        self.bulk_button = button(self.say("many"), self.show_bulk)
        self.bulk_button.setObjectName("many")
        self.head(self.bulk_button)
        self.above.addStretch(1)
        self.view.installEventFilter(self)

    # -- the list ---------------------------------------------------------------------------------

    def refresh(self) -> None:
        self.ask(ListConflicts(limit=MOST), self._listed)

    def _listed(self, page: ConflictPage) -> None:
        self._open = list(page.conflicts)
        self._more = page.more
        places = list(dict.fromkeys(Place(line.stream, line.key) for line in self._open))
        self._put(places)
        unknown = tuple(place for place in places if place not in self._names)
        self.bulk_button.setEnabled(len(self._open) > 1 and self.may(ResolveConflicts))

        def named(told: Named) -> None:
            self._names.update(zip(unknown, told.records, strict=True))
            self._put(places)

        self.name_lines(NameThem(records=unknown), named)

    def _put(self, places: Sequence[Place]) -> None:
        lines = []
        for place in places:
            mine = [c for c in self._open if (c.stream, c.key) == (place.stream, place.key)]
            if not mine:
                continue
            fields = ", ".join(field_name(c.field, self.texts) for c in mine)
            where = record_name(place.stream.value, place.key, self.texts)
            name = self._names.get(place) or where
            age = self.age(min(c.at for c in mine))
            lines.append(Line(place, name, fields, age, mine))
        self.put(lines, -1 if self._more else None)

    def show_at(self, ident: str) -> None:
        for at, line in enumerate(self.view.held.rows):
            if any(str(conflict.number) == ident for conflict in line.what):
                self.view.choose(at)

    # -- one record -------------------------------------------------------------------------------

    def choose(self, lines: list[Line]) -> None:
        if not self.may(ShowRecord):
            self.fresh().addWidget(label(self.texts("review.not_manager"), "soft", wrap=True))
            return
        place = lines[0].ident
        assert isinstance(place, Place)
        self.ask(ShowRecord(place), self._show)

    def _show(self, record: RecordView) -> None:
        if not self.view.chosen or self.view.chosen[0].ident != record.place:
            return  # somebody went on meanwhile
        self._record = record
        box = self.fresh()
        where = record_name(record.place.stream.value, record.place.key, self.texts)
        who = person(record.who, self.texts) or where
        box.addWidget(label(who, "title", wrap=True))
        about = f"{where[:1].upper()}{where[1:]}. {self._why(record)}"
        box.addWidget(label(about, "soft", wrap=True))
        grid = QGridLayout()
        grid.setHorizontalSpacing(14)
        grid.setVerticalSpacing(10)
        heads(grid, self.texts)
        now = self.shell.now()
        self.rows = [FieldRow(conflict, self.texts, now) for conflict in record.conflicts]
        line = 1
        for each in self.rows:
            line = each.add_to(grid, line)
            each.changed.connect(self._look)
        box.addWidget(card(grid))
        if record.matching:
            box.addWidget(self._matching(record.matching))
        box.addStretch(1)
        self.remember = QCheckBox(self.say("remember"))
        self.remember.setToolTip(self.say("remember_about"))
        self.save = button(self.say("save"), self.save_and_next, "primary")
        self.save.setObjectName("save")
        every = Flow(
            button(self.say("all_pms"), lambda: self._all("pms")),
            button(self.say("all_crm"), lambda: self._all("crm")),
            button(self.say("later"), self.next_line),
            self.save,
            right=True,
        )
        keys = label(self.say("keys"), "caption", wrap=True)
        self.feet.addLayout(column(self.remember, every, keys))
        self._look()

    def _why(self, record: RecordView) -> str:
        kinds = Counter(c.line.kind for c in record.conflicts)
        kind = kinds.most_common(1)[0][0]
        fields = ", ".join(field_name(c.line.field, self.texts) for c in record.conflicts)
        return self.say(f"why.{kind}", fields=fields)

    def _matching(self, matching: dict[str, Any]) -> QWidget:
        """Hidden until wanted: what both sides hold alike."""
        grid = QGridLayout()
        grid.setHorizontalSpacing(18)
        grid.setColumnStretch(1, 1)
        for at, (name, value) in enumerate(matching.items()):
            grid.addWidget(label(field_name(name, self.texts), "caption"), at, 0)
            grid.addWidget(label(shown(value, self.texts), "soft", wrap=True), at, 1)
        inside = card(grid)
        inside.hide()
        n = len(matching)

        def toggle() -> None:
            inside.setVisible(inside.isHidden())
            key = "matching" if inside.isHidden() else "matching_hide"
            opener.setText(self.say(key, n=n))

        opener = button(self.say("matching", n=n), toggle, "link")
        opener.setObjectName("matching")
        holder = QWidget()
        holder.setLayout(column(row(opener, None), inside))
        return holder

    def _all(self, side: str) -> None:
        for each in self.rows:
            each.pick(side)

    def _look(self) -> None:
        self.save.setEnabled(
            bool(self.rows) and all(each.is_decided for each in self.rows) and not self._is_saving
        )
        kept = {each.winner for each in self.rows}
        self.remember.setEnabled(kept <= {"pms", "crm"})

    # -- keys -------------------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            return self._key(event)
        return super().eventFilter(watched, event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if not self._key(event):
            super().keyPressEvent(event)

    def _key(self, event: QKeyEvent) -> bool:
        """1 the practice's, 2 the CRM's, 3 another value; Enter saves and goes on, Esc goes on."""
        if not self.rows or self._record is None:
            return False
        sides = {Qt.Key.Key_1: "pms", Qt.Key.Key_2: "crm", Qt.Key.Key_3: "other"}
        key = Qt.Key(event.key())
        if key in sides:
            here = next((each for each in self.rows if each.has_focus), None)
            # From the list the key decides the next field that is still open.
            undecided = next((each for each in self.rows if not each.is_decided), self.rows[-1])
            (here or undecided).pick(sides[key])
            return True
        if key in {Qt.Key.Key_Return, Qt.Key.Key_Enter}:
            if self.save.isEnabled():
                self.save_and_next()
            return True
        if key == Qt.Key.Key_Escape:
            self.next_line()
            return True
        return False

    # -- deciding ---------------------------------------------------------------------------------

    def save_and_next(self) -> None:
        """Every field as chosen; fields decided alike go together."""
        if not self.rows or self._record is None or not self.save.isEnabled():
            return
        self._is_saving = True
        remember = self.remember.isChecked() and self.remember.isEnabled()
        asked: list[ResolveConflicts] = []
        for winner in ("pms", "crm", "merged"):
            numbers = tuple(e.number for e in self.rows if e.winner == winner)
            if numbers:
                asked.append(
                    ResolveConflicts(numbers, winner, remember=remember and winner != "merged")
                )
        asked += [
            ResolveConflicts((each.number,), "value", each.value)
            for each in self.rows
            if each.winner == "value"
        ]
        who = self.view.chosen[0].title if self.view.chosen else ""
        self._send(asked, [], self.say("decided", n=len(self.rows), who=who))

    def _send(
        self, asked: list[ResolveConflicts], done: list[int], text: str, bad: int = 0
    ) -> None:
        """One request after the other; then the way back."""
        if not asked:
            self._is_saving = self.is_held = False
            if done:
                numbers = tuple(done)
                self.undo.offer(
                    text,
                    lambda left: self.say("undo", n=left),
                    lambda: self._take_back(numbers),
                )
            self.shown = None
            self.refresh()
            return
        first, rest = asked[0], asked[1:]

        def told(settlement: Settlement) -> None:
            fine = [int(line.id) for line in settlement.lines if not line.code]
            if settlement.refused:
                self.told(settlement, "")
            self._send(rest, [*done, *fine], text)

        def failed(error: Any) -> None:
            self._is_saving = False
            self.shell.tell_error(error)
            self.refresh()

        self.ask(first, told, failed)

    def _take_back(self, numbers: tuple[int, ...]) -> None:
        self.shown = None
        self.ask(
            UndoResolutions(numbers),
            lambda told: self.told(told, self.say("taken_back", n=len(numbers))),
        )

    # -- many alike -------------------------------------------------------------------------------

    def show_bulk(self) -> None:
        """The same choice for all conflicts of a field: chosen, looked through, done."""
        self.is_held = True
        self.view.clearSelection()
        self.shown = None
        self.rows = []
        box = self.fresh()
        box.addWidget(label(self.say("bulk.title"), "title"))
        box.addWidget(label(self.say("bulk.about"), "soft", wrap=True))
        counts = Counter((c.stream, c.field) for c in self._open)
        self.kind = QComboBox()
        for (stream, field), n in counts.most_common():
            record = self.texts(f"streams.{stream.value}.other")
            text = self.say("bulk.kind", field=field_name(field, self.texts), stream=record, n=n)
            self.kind.addItem(text, (stream.value, field))
        self.kind.setAccessibleName(self.say("bulk.which"))
        self.side = QComboBox()
        for word in ("pms", "crm"):
            self.side.addItem(self.say(f"bulk.sides.{word}"), word)
        self.side.setAccessibleName(self.say("bulk.side"))
        box.addLayout(row(column(self.kind, self.side), None))
        self._preview = column(gap=6)
        box.addLayout(self._preview)
        box.addStretch(1)
        self.remember = QCheckBox(self.say("remember"))
        self.remember.setToolTip(self.say("remember_about"))
        self.apply = button("", self._apply_bulk, "primary")
        self.apply.setObjectName("apply")
        cancel = button(self.texts("review.cancel"), self._close_bulk)
        self.feet.addLayout(column(self.remember, Flow(cancel, self.apply, right=True)))
        for combo in (self.kind, self.side):
            combo.currentIndexChanged.connect(lambda _: self._look_through())
        self._look_through()

    def _numbers(self) -> tuple[int, ...]:
        chosen = self.kind.currentData()
        return tuple(
            c.number for c in self._open if chosen and (c.stream.value, c.field) == tuple(chosen)
        )

    def _look_through(self) -> None:
        numbers, side = self._numbers(), self.side.currentData()
        text = self.say(f"bulk.keep_{side}", n=len(numbers))
        self.apply.setText(text)
        self.apply.setAccessibleName(text)
        self.apply.setEnabled(False)
        self.ask(ShowConflicts(numbers[:PREVIEWED]), lambda told: self._previewed(told, numbers))

    def _previewed(self, told: Views, numbers: tuple[int, ...]) -> None:
        if numbers != self._numbers():
            return
        clear(self._preview)
        side = self.side.currentData()
        grid = QGridLayout()
        grid.setHorizontalSpacing(18)
        for at, key in enumerate(("whose", "was", "becomes")):
            grid.addWidget(label(self.say(f"bulk.{key}"), "label"), 0, at)
            grid.setColumnStretch(at, 1)
        for line, view in enumerate(told.conflicts, 1):
            grid.addWidget(label(self._whose(view), "", wrap=True), line, 0)
            lost = view.crm if side == "pms" else view.pms
            kept = view.pms if side == "pms" else view.crm
            for at, value in ((1, lost), (2, kept)):
                text = shown(value, self.texts) or self.texts("review.empty")
                grid.addWidget(label(text, "soft" if at == 1 else "", wrap=True), line, at)
        self._preview.addWidget(card(grid))
        if len(numbers) > len(told.conflicts):
            more = len(numbers) - len(told.conflicts)
            self._preview.addWidget(label(self.say("bulk.more", n=more), "caption"))
        self.apply.setEnabled(bool(numbers))

    def _whose(self, view: ConflictView) -> str:
        place = Place(view.line.stream, view.line.key)
        known = self._names.get(place)
        return known or record_name(place.stream.value, place.key, self.texts)

    def _apply_bulk(self) -> None:
        numbers = self._numbers()
        self.apply.setEnabled(False)
        request = ResolveConflicts(
            numbers, str(self.side.currentData()), remember=self.remember.isChecked()
        )
        self._send([request], [], self.say("bulk.decided", n=len(numbers)))

    def _close_bulk(self) -> None:
        self.is_held = False
        self.view.choose(0)
