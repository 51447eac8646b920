"""Long work: how far it is, and a way to stop it. Gone when the work ends, well or not."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QProgressBar, QWidget

from gui import a11y
from gui.widgets.parts import button, label, row


class Progress(QWidget):
    """``begin``, ``show_at`` …, ``end``."""

    cancelled = Signal()

    def __init__(self, cancel: str) -> None:
        super().__init__()
        self._text = label("", "caption")
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setFixedWidth(160)
        self._button = button(cancel, self.cancelled.emit)
        self.setLayout(row(self._text, self._bar, self._button))
        self.hide()

    def show_at(self, done: int, total: int, text: str) -> None:
        """``total`` 0: nobody knows how long."""
        self._text.setText(text)
        a11y.name(self._bar, text)
        self._bar.setRange(0, total)
        self._bar.setValue(min(done, total))
        self.show()

    def end(self) -> None:
        self.hide()
