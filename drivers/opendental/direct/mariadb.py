"""A ``Pen`` for MariaDB and MySQL, through PyMySQL. Every value travels as a parameter."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Any

import pymysql
import pymysql.converters
from pymysql.constants import CLIENT

from agent.errors import PmsUnavailable
from drivers.base import RowTrouble
from drivers.opendental.direct.pen import (
    PenBroken,
    PenColumn,
    PenTable,
    Row,
    StepRefused,
    Value,
)
from drivers.opendental.faults import consequence
from drivers.opendental.session import Login
from drivers.opendental.spelling import NO_DATE, NO_MOMENT

CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 15
_TOO_LONG = frozenset({1264, 1265, 1366, 1406})
_NO_RIGHT = frozenset({1044, 1142, 1143, 1227, 1370})
_AS_TEXT: dict[Any, Any] = dict(pymysql.converters.encoders)  # no decoders: values stay text
_WIDTH = re.compile(r"(?:var)?char\((\d+)\)", re.IGNORECASE)


class MariaPen:
    """See ``drivers.opendental.direct.pen.Pen``. Connects at once; raises the Pms errors."""

    def __init__(self, login: Login) -> None:
        self._tables: dict[str, PenTable | None] = {}
        try:
            self._link = pymysql.connect(
                host=login.host, port=login.port, user=login.user, password=login.password,
                database=login.database, charset="utf8mb4", autocommit=True,
                client_flag=CLIENT.FOUND_ROWS, connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=STATEMENT_TIMEOUT_S, write_timeout=STATEMENT_TIMEOUT_S,
                conv=_AS_TEXT, program_name="bridgework",
            )  # fmt: skip
            # Strict, for this session only: what does not fit must fail, not be cut.
            self._run("SET SESSION sql_mode='STRICT_ALL_TABLES', lock_wait_timeout=5")
        except pymysql.err.MySQLError as error:
            number = _number(error)
            found = consequence(number, login.host)
            if isinstance(found, RowTrouble):
                raise PmsUnavailable(number=number) from None
            raise found from None
        except PenBroken:
            raise PmsUnavailable(host=login.host) from None

    def table(self, name: str) -> PenTable | None:
        if name not in self._tables:
            self._tables[name] = self._read_table(name)
        return self._tables[name]

    def utc_now(self) -> str:
        said = self.select("SELECT UTC_TIMESTAMP() AS now")[0]["now"]
        return f"{str(said).replace(' ', 'T')}+00:00"

    def select(self, sql: str, *values: Value) -> list[Row]:
        cursor = self._run(sql, *values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, map(_text, row), strict=True)) for row in cursor.fetchall()]

    def insert(self, table: str, row: Mapping[str, Value]) -> int:
        names = ",".join(f"`{name}`" for name in row)
        marks = ",".join("?" * len(row))
        cursor = self._run(f"INSERT INTO `{table}` ({names}) VALUES ({marks})", *row.values())
        shape = self.table(table)
        given = row.get(shape.primary) if shape is not None else None
        return int(given or cursor.lastrowid or 0)

    def update(
        self, table: str, key: int, changes: Mapping[str, Value], held: Mapping[str, Value]
    ) -> bool:
        shape = self.table(table)
        assert shape is not None
        sets = ",".join(f"`{name}`=?" for name in changes)
        still = "".join(f" AND `{name}`<=>?" for name in held)
        cursor = self._run(
            f"UPDATE `{table}` SET {sets} WHERE `{shape.primary}`=?{still}",
            *changes.values(), key, *held.values(),
        )  # fmt: skip
        return bool(cursor.rowcount == 1)

    def delete(self, table: str, key: int) -> None:
        shape = self.table(table)
        assert shape is not None
        self._run(f"DELETE FROM `{table}` WHERE `{shape.primary}`=?", key)

    def begin(self) -> None:
        self._run("START TRANSACTION")

    def commit(self) -> None:
        self._run("COMMIT")

    def rollback(self) -> None:
        self._run("ROLLBACK")

    def close(self) -> None:
        with contextlib.suppress(pymysql.err.Error):  # it may be lost already
            self._link.close()

    def _run(self, sql: str, *values: Value) -> Any:
        cursor = self._link.cursor()
        try:
            cursor.execute(sql.replace("%", "%%").replace("?", "%s"), values)
        except (pymysql.err.MySQLError, OSError) as error:
            number = _number(error)
            if number in _TOO_LONG:
                raise StepRefused("write.text_too_long") from None
            if number in _NO_RIGHT:
                raise StepRefused("write.right_missing") from None
            if 1000 <= number < 2000 and number not in (1053, 1077, 1079, 1927):
                # The text of an error may quote values; only its number is kept, by its meaning.
                raise StepRefused("write.not_accepted") from None
            raise PenBroken from None
        return cursor

    def _read_table(self, name: str) -> PenTable | None:
        found = self.select(
            "SELECT COLUMN_NAME AS name,COLUMN_TYPE AS type,COLUMN_KEY AS keyed,EXTRA AS extra,"
            "DATA_TYPE AS kind,IS_NULLABLE AS nullable,COLUMN_DEFAULT AS preset"
            " FROM information_schema.COLUMNS"
            " WHERE TABLE_SCHEMA=DATABASE() AND TABLE_NAME=? ORDER BY ORDINAL_POSITION",
            name,
        )
        if not found:
            return None
        primary = next((str(c["name"]) for c in found if c["keyed"] == "PRI"), "")
        columns = {}
        for column in found:
            wide = _WIDTH.match(str(column["type"]))
            own = column["name"] == primary or column["kind"] == "timestamp"
            filler = None if own else _filler(column)
            columns[str(column["name"])] = PenColumn(filler, int(wide[1]) if wide else None)
        engine = self.select(
            "SELECT ENGINE AS engine FROM information_schema.TABLES"
            " WHERE TABLE_SCHEMA=DATABASE() AND TABLE_NAME=?",
            name,
        )
        return PenTable(primary, columns, engine[0]["engine"] == "InnoDB")


_TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext"})


_EMPTY: dict[str, Value] = {"date": NO_DATE, "datetime": NO_MOMENT, "time": "00:00:00"}


def _filler(column: Row) -> Value:
    """What the program writes where it has nothing to say and the database has no default: empty
    text (never NULL), 0, its "no date"."""
    kind = str(column["kind"]).lower()
    if column["preset"] not in (None, "NULL"):
        return None
    if kind in _TEXTS:
        return ""
    return None if column["nullable"] == "YES" else _EMPTY.get(kind, 0)


def _text(value: object) -> str | None:
    if value is None:
        return None
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _number(error: Exception) -> int:
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0
