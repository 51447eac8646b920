"""Visits edited as the practice's own program does it: the row, then its copy in the history. (An
edit without that trace in a table without an index on its stamp is the sweep's to find.)"""

from __future__ import annotations

import time
from random import Random
from types import TracebackType
from typing import Self

from agent.sandbox.practice.front import Front
from tests.bench.rig import Rig

CHANGED = 1  # HistApptAction


class Editor:
    """``with Editor(rig, seed=7) as editor``: a connection of the practice's own."""

    def __init__(self, rig: Rig, *, seed: int) -> None:
        self._desk = rig.desk()
        self._front = Front(self._desk, Random(seed))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._desk.close()

    def newest(self, count: int) -> list[int]:
        """Keys of the newest visits."""
        sql = f"SELECT AptNum FROM appointment ORDER BY AptNum DESC LIMIT {count}"
        return [int(key) for (key,) in self._desk.rows(sql)]

    def edit(self, key: int, note: str) -> float:
        """When it began: seconds since 1970 right before the statement."""
        began = time.time()
        self._desk.update("appointment", key, {"Note": note})
        row = self._front.appointment(key)
        assert row is not None
        self._front.history(CHANGED, row)
        return began
