"""What a tab of the window is. Each is a class in a file of its own, registered in ``tabs.py``.

    class Log(Tab):
        name = "log"  # texts: tabs.log.title, tabs.log.about; icon: assets/icons/nav/log.svg

        def __init__(self, shell: Shell) -> None:
            super().__init__(shell)
            self.body.addWidget(...)

A tab is built when it is first shown. While hidden it should ask the agent for nothing.
"""

from __future__ import annotations

from typing import ClassVar

from PySide6.QtCore import Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from gui.shell import Shell
from gui.widgets.parts import EDGE, GAP, column, label, row


class Tab(QWidget):
    """Title and a line about it above ``body``; ``tools`` is the room right of the title."""

    name: ClassVar[str] = ""
    badge_changed = Signal(int)  # how much waits here

    def __init__(self, shell: Shell) -> None:
        super().__init__()
        self.shell = shell
        self.texts = shell.texts
        self.setProperty("kind", "page")
        self.setObjectName(f"tab-{self.name}")
        self.title = label(self.texts(f"tabs.{self.name}.title"), "title")
        self.about = label(self.texts(f"tabs.{self.name}.about"), "soft", wrap=True)
        self.tools = row()
        self.body = QVBoxLayout()
        self.body.setSpacing(GAP)
        self.body.setContentsMargins(0, 0, 0, 0)
        head = row(column(self.title, self.about, gap=2), GAP, self.tools)
        head.setStretch(0, 1)
        page = column(head, self.body, gap=GAP)
        page.setContentsMargins(EDGE, EDGE - 6, EDGE, EDGE - 6)
        page.setStretch(1, 1)
        self.setLayout(page)

    def show_at(self, place: str) -> None:
        """Opened from elsewhere at ``place`` (the tab's own words); "" = as it was."""

    def woken(self) -> None:
        """It has just become visible: the moment to ask for what is new."""

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not event.spontaneous():
            self.woken()
