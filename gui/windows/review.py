"""The tab Review: queues of what waits for a person, and what was remembered.

Nothing here blocks: each queue is asked for when it is shown and when the agent says that its count
changed. Texts: ``assets/messages/window/<language>/review.toml``.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QPushButton, QStackedWidget

from agent.control.protocol import Event
from gui.review.conflicts import Conflicts
from gui.review.parked import Parked
from gui.review.people import People
from gui.review.policies import Policies
from gui.review.queue import Queue
from gui.review.tasks import Tasks, Unsure
from gui.shell import Shell
from gui.widgets.flow import Flow
from gui.widgets.parts import button
from gui.windows.tab import Tab

QUEUES: tuple[type[Queue], ...] = (Conflicts, People, Tasks, Unsure, Parked, Policies)
# place another part of the desktop may name -> queue
_OF_PLACE = {"conflict": "conflicts", "contact": "people", "task": "tasks", "effect": "unsure"}
# what the event "review" calls them
_COUNTS = {"conflicts": "conflicts", "contacts": "people", "tasks": "tasks", "unknown": "unsure",
           "parked": "parked"}  # fmt: skip
_SETTLE_MS = 250


class Review(Tab):
    name = "review"

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.queues: dict[str, Queue] = {}
        self.chips: dict[str, QPushButton] = {}
        self._counts: dict[str, int] = {}
        self._wanted = ""
        self.stack = QStackedWidget()
        bar = Flow(gap=4)
        for kind in QUEUES:
            queue = kind(shell)
            chip = button("", partial(self.show_queue, kind.name), "nav")
            chip.setCheckable(True)
            chip.setObjectName(f"queue-{kind.name}")
            self.queues[kind.name] = queue
            self.chips[kind.name] = chip
            queue.counted.connect(partial(self._count, kind.name))
            self.stack.addWidget(queue)
            bar.addWidget(chip)
        self.body.addLayout(bar)
        self.body.addWidget(self.stack, 1)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_SETTLE_MS)
        self._later.timeout.connect(self._refresh)
        shell.link.told.connect(self._heard)
        shell.link.gap.connect(self._later.start)
        self.show_queue(Conflicts.name)

    @property
    def queue(self) -> Queue:
        shown = self.stack.currentWidget()
        assert isinstance(shown, Queue)
        return shown

    def show_queue(self, name: str) -> None:
        self.stack.setCurrentWidget(self.queues[name])
        for each, chip in self.chips.items():
            chip.setChecked(each == name)
        self._look()
        if self.isVisible():
            self._refresh()

    def show_at(self, place: str) -> None:
        """``conflict:17``, ``contact:ID``, ``task:3``, or the name of a queue."""
        kind, _, ident = place.partition(":")
        name = _OF_PLACE.get(kind, kind)
        if name in self.queues:
            self.show_queue(name)
            self._wanted = ident

    def woken(self) -> None:
        """Shows what waits, not an empty list beside a full one."""
        report = self.shell.link.report
        if report is not None and not self._wanted:
            s = report.snapshot
            waiting = {
                "conflicts": s.open_conflicts,
                "people": s.suspects,
                "tasks": s.tasks_open,
                "unsure": s.effects_unknown,
                "parked": s.parked,
            }
            self._counts.update(waiting)
            if not waiting.get(self.queue.name):
                first = next((name for name, n in waiting.items() if n), None)
                if first is not None:
                    self.show_queue(first)
                    return
        self._look()
        self._refresh()

    # -- pieces -----------------------------------------------------------------------------------

    def _refresh(self) -> None:
        if self.isVisible():
            self.queue.refresh()

    def _heard(self, event: Event) -> None:
        if event.kind != "review" or not isinstance(event.body, dict):
            return
        body: dict[str, Any] = event.body
        for told, name in _COUNTS.items():
            if isinstance(body.get(told), int):
                self._counts[name] = body[told]
        self._look()
        self._later.start()

    def _count(self, name: str, n: int) -> None:
        self._counts[name] = n
        self._look()
        if self._wanted and self.queue.name == name:
            wanted, self._wanted = self._wanted, ""
            self.queue.show_at(wanted)

    def _look(self) -> None:
        for name, chip in self.chips.items():
            n = self._counts.get(name, 0)
            text = self.texts(f"review.{name}.chip")
            chip.setText(f"{text}  {self.texts.number(n)}" if n else text)
            waits = self.texts("review.waits", n=n) if n else ""
            chip.setAccessibleName(", ".join(filter(None, (text, waits))))
            chip.setVisible(name != Unsure.name or n > 0 or chip.isChecked())
