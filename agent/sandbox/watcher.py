"""When did the reference CRM have it? Reads the CRM's own store, read-only.

Must import nothing of the agent's engine or drivers.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import apsw

from agent.model.streams import Stream


class Watcher:
    """Looks at one CRM file. ``arrival`` gives wall-clock instants on this computer."""

    def __init__(self, crm_db: Path) -> None:
        uri = f"{crm_db.resolve().as_uri()}?mode=ro"
        # The CRM's own SQLite library: two of them in one process drop each other's locks.
        self._db = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_READONLY)
        self._db.set_busy_timeout(5000)
        self._types = self._read_types()

    def _read_types(self) -> dict[str, int]:
        return dict(self._db.execute("SELECT name, id FROM record_type"))

    def arrival(self, stream: Stream, key: object, since: datetime) -> float | None:
        """Epoch seconds of the first change of the record the CRM took since then, or None."""
        kind = self._types.get(stream.value)
        if kind is None:
            self._types = self._read_types()
            return None
        since_us = int(since.timestamp() * 1e6)
        at = self._one(
            "SELECT min(t) FROM (SELECT r.arrived_us AS t FROM record r"
            " WHERE r.type = ?1 AND r.key = ?2 AND r.arrived_us >= ?3"
            " UNION ALL SELECT p.at_us FROM past_effect p JOIN record r ON r.rid = p.rid"
            " WHERE r.type = ?1 AND r.key = ?2 AND p.at_us >= ?3)",
            (kind, str(key), since_us),
        )
        return None if at is None else at / 1e6

    def wait(
        self, wanted: Iterable[tuple[Stream, object]], since: datetime, timeout_s: float
    ) -> dict[tuple[Stream, object], float]:
        """Arrivals of these records; those that did not come in time are absent."""
        missing = set(wanted)
        found: dict[tuple[Stream, object], float] = {}
        deadline = time.monotonic() + timeout_s
        while missing and time.monotonic() < deadline:
            for place in list(missing):
                at = self.arrival(*place, since)
                if at is not None:
                    found[place] = at
                    missing.discard(place)
            if missing:
                time.sleep(0.005)
        return found

    def records(self) -> int:
        """How many live records the CRM holds."""
        return self._one("SELECT count(*) FROM record WHERE state = 0") or 0

    def effects(self) -> tuple[int, int]:
        """Effects the CRM ever took, and how many came of an event it had taken before."""
        every = self._one("SELECT count(*) FROM effects") or 0
        return every, every - (self._one("SELECT count(DISTINCT event_id) FROM effects") or 0)

    def _one(self, sql: str, bindings: tuple[int | str, ...] = ()) -> int | None:
        for (value,) in self._db.execute(sql, bindings):
            return None if value is None else int(value)
        return None

    def close(self) -> None:
        self._db.close()
