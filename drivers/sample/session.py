"""One read-only connection to the sample practice's SQLite file (stdlib sqlite3, WAL).

Registers what the server's SQL has and SQLite lacks: ``row_md5``, digest aggregates, ``BIT_OR``.
"""

from __future__ import annotations

import hashlib
import itertools
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from agent.errors import PmsBusy, PmsDrift, PmsError, PmsUnavailable
from drivers.base import Effort, Row, RowTrouble, UndecodableText

BUSY_TIMEOUT_S = 1.0
STEPS_BETWEEN_CHECKS = 50_000
KILL_FACTOR = 5
MIN_KILL_MS = 500
PROBE_LIMIT_MS = 30_000
_MASK48 = (1 << 48) - 1


def row_md5(text: bytes | None) -> str | None:
    """What the server's MD5() gives: 32 hex digits, NULL for NULL."""
    return None if text is None else hashlib.md5(text, usedforsecurity=False).hexdigest()


class _HashSum:
    """Sum of the first 48 bits; text, because 48 bits times many rows outgrow 64."""

    def __init__(self) -> None:
        self._total = 0

    def step(self, value: str | None) -> None:
        if value is not None:
            self._total += int(value[:12], 16)

    def finalize(self) -> str:
        return str(self._total)


class _HashXor:
    def __init__(self) -> None:
        self._mixed = 0

    def step(self, value: str | None) -> None:
        if value is not None:
            self._mixed ^= int(value[16:], 16)

    def finalize(self) -> str:
        return str(self._mixed)


class _KeySum:
    def __init__(self) -> None:
        self._total = 0

    def step(self, value: int) -> None:
        self._total += value & _MASK48

    def finalize(self) -> str:
        return str(self._total)


class _KeyXor:
    def __init__(self) -> None:
        self._mixed = 0

    def step(self, value: int) -> None:
        self._mixed ^= value

    def finalize(self) -> str:
        return str(self._mixed)


class _BitOr:
    def __init__(self) -> None:
        self._mixed = 0

    def step(self, value: int | None) -> None:
        self._mixed |= int(value or 0)

    def finalize(self) -> int:
        return self._mixed


_AGGREGATES: dict[str, Any] = {
    "hash_sum": _HashSum,
    "hash_xor": _HashXor,
    "key_sum": _KeySum,
    "key_xor": _KeyXor,
    "BIT_OR": _BitOr,
}


class SqliteSession:
    """See ``drivers.base.Session``. One thread at a time; opens itself on first use."""

    _numbers: ClassVar[itertools.count[int]] = itertools.count(1)

    def __init__(self, path: Path, statement_limit_ms: int) -> None:
        self._path = path
        self._kill_ms = max(statement_limit_ms * KILL_FACTOR, MIN_KILL_MS)
        self._link: sqlite3.Connection | None = None
        self._closed = False
        self._deadline = 0.0
        self.number = 0  # of this connection: change counters of two connections do not compare

    @property
    def place(self) -> str:
        return "sqlite"

    def rows(self, sql: str, effort: Effort = Effort.PAGE) -> Sequence[Row]:
        return self._run(sql, effort)

    def raw_rows(self, sql: str, effort: Effort = Effort.PAGE) -> Sequence[Row]:
        link = self._opened()
        link.text_factory = bytes
        try:
            # The hash is plain ASCII and is wanted as text, like the key is as a number.
            return [
                (row[0], row[1].decode() if row[1] is not None else None, *row[2:])
                for row in self._run(sql, effort)
            ]
        finally:
            link.text_factory = str

    def close(self) -> None:
        self._closed = True
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _run(self, sql: str, effort: Effort) -> Sequence[Row]:
        try:
            link = self._opened()
            limit_ms = PROBE_LIMIT_MS if effort is Effort.PROBE else self._kill_ms
            self._deadline = time.monotonic() + limit_ms / 1000
            return link.execute(sql).fetchall()
        except sqlite3.Error as error:
            raise self._translated(error) from None

    def _opened(self) -> sqlite3.Connection:
        if self._closed:
            raise PmsUnavailable("pms.reader_closed")
        if self._link is None:
            if not self._path.is_file():
                raise PmsUnavailable("pms.file_missing", file=self._path.name)
            link = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode=ro",
                uri=True,
                isolation_level=None,
                timeout=BUSY_TIMEOUT_S,
                check_same_thread=False,
            )
            link.execute("PRAGMA query_only=ON")
            link.create_function("row_md5", 1, row_md5, deterministic=True)
            for name, aggregate in _AGGREGATES.items():
                link.create_aggregate(name, 1, aggregate)
            link.set_progress_handler(self._overdue, STEPS_BETWEEN_CHECKS)
            self.number = next(self._numbers)
            self._link = link
        return self._link

    def _overdue(self) -> int:
        return int(time.monotonic() > self._deadline)

    def _translated(self, error: sqlite3.Error) -> PmsError | RowTrouble:
        said = str(error).lower()
        if "decode" in said:
            return UndecodableText()
        if "locked" in said or "busy" in said or "interrupted" in said:
            return PmsBusy()
        if "no such table" in said or "no such column" in said:
            return PmsDrift()
        if "malformed" in said or "not a database" in said:
            return PmsDrift("pms.table_crashed")
        if "readonly" in said or "read-only" in said:
            return PmsError("pms.read_only")
        link, self._link = self._link, None
        if link is not None:
            link.close()
        return PmsUnavailable("pms.error")
