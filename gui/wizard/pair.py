"""Page: link this computer to the CRM with a one-time code, and see whose code it was."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QLineEdit

from agent.model.setup import ConfirmPractice, PairByCode, PairedView, SetupView, Step
from gui import a11y
from gui.shell import Shell
from gui.theme import set_tone
from gui.widgets.parts import button, card, column, label, row
from gui.wizard.page import Guide, Page


class Pair(Page):
    name = "pair"
    step = Step.PAIR

    def __init__(self, shell: Shell, guide: Guide) -> None:
        super().__init__(shell, guide)
        self.url = QLineEdit()
        self.code = QLineEdit()
        self.link_button = button("")
        self._is_again = False

    def enter(self) -> None:
        facts = self._facts()
        self.set_ready(self._is_done())
        practice, url = str(facts.get("practice") or ""), str(facts.get("url") or "")
        if self._is_again or not practice:
            self._show_form(url)
        elif self._is_done():
            self._show_linked(practice, url)
        else:  # linked, and nobody has said yet that it is theirs
            self._linked(PairedView(url, "", practice, confirmed=False))

    def _facts(self) -> dict[str, str | int | float | None]:
        lines = self.view.steps if self.view else ()
        return next((line.facts for line in lines if line.step is Step.PAIR), {})

    def _is_done(self) -> bool:
        lines = self.view.steps if self.view else ()
        return any(line.done for line in lines if line.step is Step.PAIR)

    def _show_linked(self, practice: str, url: str) -> None:
        box = self.fresh()
        head = label(practice, "subtitle", wrap=True)
        pill = label(self.say("linked"), "pill")
        set_tone(pill, "good")
        box.addWidget(card(column(row(head, pill, None), label(url, "soft"))))
        box.addLayout(row(button(self.say("again"), self._again, "link"), None))

    def _again(self) -> None:
        self._is_again = True
        self.enter()

    def _show_form(self, url: str) -> None:
        box = self.fresh()
        self.url = QLineEdit(url)
        self.url.setPlaceholderText("https://crm.example.com")
        self.code = QLineEdit()
        self.code.setPlaceholderText(self.say("code_hint"))
        self.link_button = button(self.say("link"), self._link, "primary")
        self.link_button.setEnabled(False)
        for field in (self.url, self.code):
            field.textChanged.connect(self._typed)
            field.returnPressed.connect(self._link)
        for key, field in (("url", self.url), ("code", self.code)):
            text = label(self.say(key), "label")
            a11y.buddy(text, field)
            box.addLayout(column(text, field, gap=4))
        box.addLayout(row(self.link_button, None))
        box.addWidget(label(self.say("where"), "caption", wrap=True))
        (self.code if url else self.url).setFocus()

    def _typed(self) -> None:
        self.link_button.setEnabled(bool(self.url.text().strip() and self.code.text().strip()))

    def _link(self) -> None:
        if self.link_button.isEnabled():
            request = PairByCode(self.code.text().strip(), self.url.text().strip())
            self.ask(request, self._linked, self.say("linking"))

    def _linked(self, paired: PairedView) -> None:
        box = self.fresh()
        question = label(self.say("ours", practice=paired.practice_name), "subtitle", wrap=True)
        question.setObjectName("whose")
        yes = button(self.say("yes"), lambda: self._confirm(is_ours=True), "primary")
        yes.setObjectName("yes")
        no = button(self.say("no"), lambda: self._confirm(is_ours=False))
        no.setObjectName("no")
        box.addWidget(card(column(question, label(paired.url, "soft"), 4, row(yes, no, None))))
        yes.setFocus()
        a11y.announce(self, question.text())

    def _confirm(self, *, is_ours: bool) -> None:
        def told(view: SetupView) -> None:
            self._is_again = False
            self.guide.stands(view)
            if is_ours:
                self.guide.go_to("find")
            else:
                self.enter()

        self.ask(ConfirmPractice(is_ours), told)

    def leave(self, go: Callable[[], None]) -> None:
        self._is_again = False
        go()
