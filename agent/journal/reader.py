"""What every question rests on: a connection, a snapshot, streams by number. No table of ours."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import apsw

from agent.journal.seal import Seal
from agent.journal.values import Row, fetch
from agent.model.streams import Stream


class Reader(ABC):
    """A journal that can be asked; how its connection was opened is the subclass's matter."""

    _seal: Seal
    _streams: Mapping[Stream, int]

    @abstractmethod
    def _read(self) -> AbstractContextManager[apsw.Connection]:
        """A connection for one statement; SQLite's errors come out as ours."""

    @abstractmethod
    def _snapshot(self) -> AbstractContextManager[apsw.Connection]:
        """A connection inside one read transaction: several statements see the same commit."""

    def _rows(self, sql: str, bound: Row = ()) -> list[Row]:
        with self._read() as db:
            return fetch(db, sql, bound)

    def _one(self, sql: str, bound: Row = ()) -> Any:
        """First column of the first row; None without a row."""
        rows = self._rows(sql, bound)
        return rows[0][0] if rows else None

    @property
    def _names(self) -> dict[int, Stream]:
        return {number: stream for stream, number in self._streams.items()}
