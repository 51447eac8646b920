"""A step at the wizard's left: its mark in a column of its own, so that the names stand in line."""

from __future__ import annotations

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QPushButton

from gui.shell import Shell

_MARK = QRect(10, 0, 20, 0)  # left edge and width; as high as the button


class StepButton(QPushButton):
    """``set_mark``: a tick, a number or a dot. What it means is in the accessible name."""

    def __init__(self, shell: Shell, text: str) -> None:
        super().__init__(text)
        self._shell = shell
        self._mark = ""
        self.setProperty("kind", "nav")
        self.setProperty("mark", "true")
        self.setCheckable(True)
        self.setAutoDefault(False)

    def set_mark(self, mark: str) -> None:
        if mark != self._mark:
            self._mark = mark
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setFont(self._shell.theme.font("body", strong=True))
        painter.setPen(self.palette().color(QPalette.ColorRole.ButtonText))
        box = QRect(_MARK.left(), 0, _MARK.width(), self.height())
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, self._mark)
        painter.end()
