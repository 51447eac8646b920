"""Python's garbage collector, run by the event loop alone.

By itself it runs wherever something is allocated: in a worker's thread, where no object of Qt's may
end, or while Qt holds a lock that the end of another object needs. The latter was seen to stop a
test of the window for good, in ``QObject::disconnect``.
"""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

EVERY_MS = 1000


class Collector(QObject):
    """As long as it lives, garbage is collected between events, by Python's own thresholds."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        gc.disable()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.look)
        self._timer.start(EVERY_MS)

    def look(self) -> None:
        due = zip(gc.get_count(), gc.get_threshold(), strict=True)
        overdue = [generation for generation, (count, most) in enumerate(due) if count > most]
        if overdue:
            gc.collect(overdue[-1])
