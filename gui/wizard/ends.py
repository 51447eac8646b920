"""The pages that tell: what this is, what the first sync will send, and where the icon is."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QGridLayout

from agent.model.setup import FinishSetup, GetPreview, PreviewView, SetupView, Step
from agent.model.streams import Stream
from gui import autostart
from gui.theme import set_tone
from gui.widgets.parts import button, card, column, label, row
from gui.wizard.page import Page


class Welcome(Page):
    name = "welcome"

    @property
    def next_text(self) -> str:
        return self.say("begin")

    def enter(self) -> None:
        box = self.fresh()
        for key in ("reads", "writes", "secrets", "again"):
            line = column(
                label(self.say(f"{key}.title"), "subtitle", wrap=True),
                label(self.say(f"{key}.body"), "soft", wrap=True),
                gap=2,
            )
            box.addWidget(card(line))
        self.set_ready(True)


class Preview(Page):
    name = "preview"
    step = Step.PREVIEW

    @property
    def next_text(self) -> str:
        done = self.view is not None and self.view.finished
        return self.say("apply" if done else "start")

    def enter(self) -> None:
        self.set_ready(False)
        self.fresh()
        self.ask(GetPreview(), self._show, self.say("counting"))

    def _show(self, preview: PreviewView) -> None:
        texts = self.shell.texts
        box = self.fresh()
        rows = {counted.stream: counted.rows for counted in preview.streams}
        patients, visits = rows.get(Stream.PATIENT, 0), rows.get(Stream.APPOINTMENT, 0)
        head = self.say(
            "sends",
            practice=preview.practice_name,
            patients=self.say("patients", n=patients),
            visits=self.say("visits", n=visits),
            others=self.say("others", n=preview.total - patients - visits),
        )
        line = label(head, "subtitle", wrap=True)
        line.setObjectName("sends")
        never = label(self.say("no_writes", kind=preview.kind), "", wrap=True)
        set_tone(never, "good")
        span = texts.span(max(preview.reads_s, 60))
        box.addWidget(
            card(column(line, never, label(self.say("takes", span=span), "soft", wrap=True), gap=4))
        )
        grid = QGridLayout()
        grid.setHorizontalSpacing(28)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(3, 1)
        shown = [counted for counted in preview.streams if counted.rows]
        half = (len(shown) + 1) // 2
        for at, counted in enumerate(shown):
            number = texts.number(counted.rows)
            text = self.say("about_n", n=counted.rows) if counted.about else number
            line_at, side = (at, 0) if at < half else (at - half, 2)
            grid.addWidget(label(text, ""), line_at, side)
            name = label(texts(f"streams.{counted.stream.value}.other"), "soft")
            grid.addWidget(name, line_at, side + 1)
        box.addWidget(card(grid))
        if preview.skipped:
            names = ", ".join(texts(f"streams.{s.value}.other") for s in preview.skipped)
            box.addWidget(label(self.say("skipped", streams=names), "caption", wrap=True))
        box.addWidget(label(texts.message(preview.writes).title, "caption", wrap=True))
        for finding in preview.findings:
            note = label(texts.message(finding.code, finding.facts).title, "", wrap=True)
            set_tone(note, "bad")
            box.addWidget(note)
        self.set_ready(True)

    def leave(self, go: Callable[[], None]) -> None:
        def told(view: SetupView) -> None:
            self.guide.stands(view)
            go()

        self.ask(FinishSetup(), told, self.say("starting"))


class Done(Page):
    name = "done"

    @property
    def next_text(self) -> str:
        return self.say("close")

    @property
    def next_kind(self) -> str:
        return ""

    def enter(self) -> None:
        box = self.fresh()
        for key in ("now", "icon", "people"):
            line = column(
                label(self.say(f"{key}.title"), "subtitle", wrap=True),
                label(self.say(f"{key}.body"), "soft", wrap=True),
                gap=2,
            )
            if key == "icon":
                comes = autostart.is_on(wanted=self.shell.prefs.flag("autostart", default=True))
                line.addWidget(label(self.say(f"icon.{'comes' if comes else 'stays'}"), wrap=True))
            box.addWidget(card(line))
        look = button(self.say("look"), lambda: self.shell.go("overview"), "primary")
        look.setObjectName("look")
        box.addLayout(row(look, button(self.say("test"), self._test), None))
        self.set_ready(True)

    def _test(self) -> None:
        self.shell.tell(self.say("tested"), "good")
        self.shell.go("setup", "notify")
