"""A ``Pen`` for the sample practice's SQLite file: the demo is written as a real office is.

Keeps the change stamps the file's writers must keep (UTC, moved only by a real change).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from agent.errors import PmsUnavailable
from drivers.opendental.direct.pen import (
    PenBroken,
    PenColumn,
    PenTable,
    Row,
    StepRefused,
    Value,
)

BUSY_TIMEOUT_S = 5.0
_STAMPS = ("DateTStamp", "SecDateTEdit")


class SamplePen:
    """See ``drivers.opendental.direct.pen.Pen``."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise PmsUnavailable("pms.file_missing", file=path.name)
        self._tables: dict[str, PenTable | None] = {}
        self._link = sqlite3.connect(
            path, isolation_level=None, timeout=BUSY_TIMEOUT_S, check_same_thread=False
        )
        self._link.row_factory = sqlite3.Row

    def table(self, name: str) -> PenTable | None:
        if name not in self._tables:
            listed = self._run(f"PRAGMA table_info(`{name}`)").fetchall()
            primary = next((str(row["name"]) for row in listed if row["pk"]), "")
            # Every column of the file has a default of its own.
            columns = {str(row["name"]): PenColumn() for row in listed}
            self._tables[name] = PenTable(primary, columns, is_atomic=True) if listed else None
        return self._tables[name]

    def utc_now(self) -> str:
        return datetime.now(UTC).isoformat(timespec="seconds")

    def select(self, sql: str, *values: Value) -> list[Row]:
        return [
            {name: None if row[name] is None else str(row[name]) for name in row.keys()}  # noqa: SIM118
            for row in self._run(sql, *values)
        ]

    def insert(self, table: str, row: Mapping[str, Value]) -> int:
        names = ",".join(f"`{name}`" for name in row)
        marks = ",".join("?" * len(row))
        made = self._run(f"INSERT INTO `{table}` ({names}) VALUES ({marks})", *row.values())
        return int(made.lastrowid or 0)

    def update(
        self, table: str, key: int, changes: Mapping[str, Value], held: Mapping[str, Value]
    ) -> bool:
        shape = self.table(table)
        assert shape is not None
        sets = [f"`{name}`=?" for name in changes]
        sets += [
            f"`{stamp}`=CURRENT_TIMESTAMP"
            for stamp in _STAMPS
            if stamp in shape.columns and stamp not in changes
        ]
        # Text and number of one value are the same here, as they are on a server.
        still = "".join(f" AND CAST(`{name}` AS TEXT) IS ?" for name in held)
        made = self._run(
            f"UPDATE `{table}` SET {','.join(sets)} WHERE `{shape.primary}`=?{still}",
            *changes.values(), key, *(None if v is None else str(v) for v in held.values()),
        )  # fmt: skip
        return made.rowcount == 1

    def delete(self, table: str, key: int) -> None:
        shape = self.table(table)
        assert shape is not None
        self._run(f"DELETE FROM `{table}` WHERE `{shape.primary}`=?", key)

    def begin(self) -> None:
        self._run("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self._run("COMMIT")

    def rollback(self) -> None:
        if self._link.in_transaction:
            self._run("ROLLBACK")

    def close(self) -> None:
        self._link.close()

    def _run(self, sql: str, *values: Value) -> sqlite3.Cursor:
        try:
            return self._link.execute(sql, values)
        except sqlite3.OperationalError as error:
            if "locked" in str(error) or "busy" in str(error):
                raise PenBroken from None
            raise StepRefused("write.not_accepted") from None
        except sqlite3.DatabaseError:
            raise StepRefused("write.not_accepted") from None
