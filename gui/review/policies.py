"""What people asked to remember: which side wins for a field from now on; each can be forgotten."""

from __future__ import annotations

from agent.model.review import ForgetPolicy, ListPolicies, PolicyLine, PolicyPage
from gui.presenter.values import field_name
from gui.review.queue import Queue
from gui.widgets.lines import Line
from gui.widgets.parts import button, card, column, label, row


class Policies(Queue):
    name = "policies"

    def refresh(self) -> None:
        self.ask(ListPolicies(), self._listed)

    def _listed(self, page: PolicyPage) -> None:
        lines = []
        for policy in page.policies:
            stream = self.texts(f"streams.{policy.stream.value}.other")
            title = f"{field_name(policy.field, self.texts)} ({stream})"
            ident = (policy.stream.value, policy.field)
            detail = self.say(f"wins.{policy.winner}")
            lines.append(Line(ident, title, detail, self.age(policy.at), policy))
        self.put(lines, 0)  # nothing waits here

    def choose(self, lines: list[Line]) -> None:
        policy: PolicyLine = lines[0].what
        box = self.fresh()
        box.addWidget(label(lines[0].title, "title", wrap=True))
        when = self.texts.when(policy.at, self.shell.now())
        told = self.say("told", who=policy.actor or self.say("somebody"), when=when)
        inside = column(label(lines[0].detail, "subtitle"), label(told, "soft", wrap=True), gap=4)
        box.addWidget(card(inside))
        box.addWidget(label(self.say("about"), "soft", wrap=True))
        box.addStretch(1)
        if self.may(ForgetPolicy):
            forget = button(self.say("forget"), lambda: self._forget(policy))
            self.feet.addLayout(row(None, forget))

    def _forget(self, policy: PolicyLine) -> None:
        self.shown = None
        self.ask(ForgetPolicy(policy.stream, policy.field), lambda _: self.refresh())
