"""Pages: where the practice system is, tested step by step; and whether it is the right one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from PySide6.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QLineEdit,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from agent.model.reading import Finding, Severity
from agent.model.setup import (
    ConfirmProof,
    FindPms,
    FoundPage,
    GetProof,
    GetSetup,
    KindView,
    PlaceField,
    ProofView,
    SetupView,
    Step,
    TestPms,
    TestView,
    UsePms,
    Value,
)
from agent.support.messages import Message
from gui import a11y
from gui.shell import Shell
from gui.theme import set_tone
from gui.widgets.parts import button, card, clear, column, label, row
from gui.wizard.page import Guide, Page

_MARKS = {Severity.OK: "✓", Severity.NOTE: "•", Severity.WARNING: "!", Severity.ERROR: "✕"}
_BAD = frozenset({Severity.ERROR, Severity.WARNING})
_TONES = {Severity.OK: "good", Severity.NOTE: "", Severity.WARNING: "warn", Severity.ERROR: "bad"}


class Find(Page):
    name = "find"
    step = Step.FIND

    def __init__(self, shell: Shell, guide: Guide) -> None:
        super().__init__(shell, guide)
        self.fields: dict[str, QLineEdit] = {}
        self.offers = QButtonGroup(self)
        self.results = QVBoxLayout()
        self._choices: list[tuple[KindView, dict[str, Value]]] = []
        self._kind: KindView | None = None
        self._form = QVBoxLayout()
        self._page: FoundPage | None = None

    @property
    def next_text(self) -> str:
        return self.say("next")

    def enter(self) -> None:
        self.set_ready(False)
        self.ask(FindPms(), self._found, self.say("looking"))

    def _found(self, page: FoundPage) -> None:
        self._page = page
        box = self.fresh()
        kinds = {kind.kind: kind for kind in page.kinds}
        self._choices = [(kinds[f.kind], f.settings) for f in page.found if f.kind in kinds]
        texts = [
            self.say(
                "found", title=f.title, how=self.shell.texts.message(f.how).title, where=f.where
            )
            for f in page.found
            if f.kind in kinds
        ]
        self._choices += [(kind, {}) for kind in page.kinds]
        # Beside what was found each system stands once more, to be filled in.
        texts += [
            self.say("by_hand", title=kind.title) if page.found else kind.title
            for kind in page.kinds
        ]
        self.offers = QButtonGroup(self)
        choices = column(gap=2)
        for at, text in enumerate(texts):
            option = QRadioButton(text)
            option.setAccessibleName(text)
            self.offers.addButton(option, at)
            choices.addWidget(option)
        box.addWidget(label(self.say("which" if page.found else "none"), "label", wrap=True))
        box.addLayout(choices)
        self._form = column(gap=10)
        box.addLayout(self._form)
        self.results = column(gap=6)
        box.addLayout(self.results)
        self.offers.idToggled.connect(self._chosen)
        known = [at for at, (kind, _) in enumerate(self._choices) if kind.kind == page.now]
        start = known[-1] if known else 0
        if self._choices:
            self.offers.button(start).setChecked(True)

    def _chosen(self, at: int, checked: bool) -> None:
        if not checked:
            return
        kind, preset = self._choices[at]
        self._kind = kind
        clear(self._form)
        clear(self.results)
        self.fields = {}
        plain = [field for field in kind.fields if not field.advanced]
        more = [field for field in kind.fields if field.advanced]
        self._form.addLayout(self._grid(plain, preset))
        if more:
            rest = QWidget()
            rest.setLayout(self._grid(more, preset))
            rest.setVisible(any(preset.get(field.setting) for field in more))
            opener = button(self.say("more"), lambda: rest.setVisible(rest.isHidden()), "link")
            opener.setObjectName("more")
            self._form.addLayout(row(opener, None))
            self._form.addWidget(rest)
        self.test_button = button(self.say("test"), self.test)
        self.test_button.setObjectName("test")
        self._form.addLayout(row(self.test_button, None))
        self._typed()

    def _grid(self, fields: Sequence[PlaceField], preset: dict[str, Value]) -> QGridLayout:
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(10)
        for index, field in enumerate(fields):
            edit = QLineEdit(str(preset.get(field.setting, field.value)))
            if field.secret:
                edit.setEchoMode(QLineEdit.EchoMode.Password)
                edit.setPlaceholderText(self.say("kept") if field.is_set else "")
            edit.setEnabled(not field.locked)
            edit.setToolTip(field.help if not field.locked else self.say("locked"))
            edit.textChanged.connect(lambda _: self._typed())
            edit.returnPressed.connect(self.test)
            text = label(field.label, "label")
            a11y.buddy(text, edit)
            edit.setAccessibleDescription(field.help)
            grid.addLayout(column(text, edit, gap=4), *divmod(index, 2))
            self.fields[field.setting] = edit
        return grid

    def _typed(self) -> None:
        if self._kind is None:
            return
        needed = [f.setting for f in self._kind.fields if f.required and not f.secret]
        self.set_ready(all(self.fields[name].text().strip() for name in needed))

    def _given(self) -> tuple[dict[str, Value], dict[str, str]]:
        assert self._kind is not None
        settings: dict[str, Value] = {"pms.kind": self._kind.kind}
        secrets: dict[str, str] = {}
        for field in self._kind.fields:
            text = self.fields[field.setting].text()
            if field.secret and text:
                secrets[field.setting] = text
            elif not field.secret and text.strip() and not field.locked:
                settings[field.setting] = text.strip()
        return settings, secrets

    def test(self) -> None:
        """Tries it without keeping anything."""
        if self.is_ready:
            settings, secrets = self._given()
            clear(self.results)
            self.ask(TestPms(settings, secrets), self._tested, self.say("testing"))

    def _tested(self, told: TestView) -> None:
        clear(self.results)
        self.results.addWidget(card(self._steps(told.steps)))
        text = self.say("works" if told.works else "fails")
        verdict = label(text, "subtitle", wrap=True)
        verdict.setObjectName("verdict")
        set_tone(verdict, "good" if told.works else "bad")
        self.results.addWidget(verdict)
        a11y.announce(self, text)

    def _steps(self, steps: Sequence[Finding]) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(6)
        grid.setColumnStretch(2, 1)
        for at, step in enumerate(steps):
            message = self.shell.texts.message(step.code, step.facts)
            mark = label(_MARKS[step.severity], "subtitle")
            set_tone(mark, _TONES[step.severity])
            name = str(step.facts.get("step") or "")
            key = f"wizard.find.steps.{name}"
            where = self.shell.texts(key) if self.shell.texts.has(key) else name
            grid.addWidget(mark, at, 0)
            grid.addWidget(label(where, "label"), at, 1)
            more = self._hint(name, message) if step.severity in _BAD else ""
            told = column(label(message.title, "", wrap=True), gap=2)
            if more:
                told.addWidget(label(more, "caption", wrap=True))
            grid.addLayout(told, at, 2)
        return grid

    def _hint(self, step: str, message: Message) -> str:
        """What to do about it here, in the wizard; else what the catalogue says."""
        key = f"wizard.find.hints.{step}"
        return self.shell.texts(key) if self.shell.texts.has(key) else message.next_step

    def leave(self, go: Callable[[], None]) -> None:
        settings, secrets = self._given()

        def used(told: TestView) -> None:
            self._tested(told)
            if told.works:
                self.ask(GetSetup(), lambda view: self._kept(view, go))

        self.ask(UsePms(settings, secrets), used, self.say("testing"))

    def _kept(self, view: SetupView, go: Callable[[], None]) -> None:
        self.guide.stands(view)
        go()


class Proof(Page):
    name = "proof"
    step = Step.PROOF

    def __init__(self, shell: Shell, guide: Guide) -> None:
        super().__init__(shell, guide)
        self._proof: ProofView | None = None

    @property
    def next_text(self) -> str:
        return self.say("yes")

    def enter(self) -> None:
        self._proof = None
        self.set_ready(False)
        self.fresh()
        self.ask(GetProof(), self._show, self.say("looking"))

    def _show(self, proof: ProofView) -> None:
        self._proof = proof
        texts = self.shell.texts
        box = self.fresh()
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(12)
        tiles = [
            (
                texts.number(c.rows) if not c.about else self.say("about_n", n=c.rows),
                texts(f"streams.{c.stream.value}.other"),
            )
            for c in proof.counts
        ]
        tiles.append((texts.number(proof.today), self.say("today")))
        for at, (number, what) in enumerate(tiles):
            inside = column(label(number, "title"), label(what, "soft", wrap=True), gap=2)
            grid.addWidget(card(inside), at // 3, at % 3)
        box.addLayout(grid)
        newest = self.say("newest", when=self._wall(proof.newest_visit))
        box.addWidget(label(newest, "subtitle", wrap=True))
        server = self.say("server", kind=proof.kind, version=proof.version, server=proof.server)
        box.addWidget(label(server, "caption", wrap=True))
        if proof.can_write:
            note = label(self.say("can_write"), "", wrap=True)
            set_tone(note, "warn")
            box.addWidget(note)
        no = button(self.say("no"), self._not_ours, "link")
        no.setObjectName("no")
        box.addLayout(row(no, None))
        self.set_ready(True)

    def _wall(self, text: str) -> str:
        """The practice's wall time, as this person writes dates."""
        if not text:
            return self.say("no_time")
        moment = datetime.fromisoformat(text)
        form = self.shell.texts.form
        return self.say("wall", day=form.date(moment), clock=form.clock(moment))

    def _not_ours(self) -> None:
        if self._proof is not None:
            request = ConfirmProof(self._proof.identity, is_ours=False)
            self.ask(request, lambda view: self._told(view, lambda: self.guide.go_to("find")))

    def leave(self, go: Callable[[], None]) -> None:
        if self._proof is not None:
            request = ConfirmProof(self._proof.identity)
            self.ask(request, lambda view: self._told(view, go), self.say("looking"))

    def _told(self, view: SetupView, go: Callable[[], None]) -> None:
        self.guide.stands(view)
        go()
