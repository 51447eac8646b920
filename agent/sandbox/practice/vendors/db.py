"""The stand-in's connection: SQLite's file, or any ODBC engine by its connection string.

Written as an office's program works: small statements, each its own commit. Bulk rows go in by
statements of many rows where the engine takes them. Not the agent's reader (``drivers/odbc``).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import pyodbc

from agent.errors import PmsUnavailable
from agent.sandbox.practice.vendors.tables import Engine, VendorLayout, ddl, drops, named, prefix

Value = int | float | str | None
ROWS_A_STATEMENT = 400
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_STAMP = re.compile(_DAY.pattern + r" [0-9:]{8}(\.[0-9]+)?")


class VendorDb(Protocol):
    """One connection, autocommit, SQL with ``?`` marks and ``{o}`` before a table's name."""

    engine: Engine
    statements: int

    def rows(self, sql: str, *values: Value) -> list[tuple[Any, ...]]: ...
    def run(self, sql: str, *values: Value) -> int: ...
    def fill(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> int: ...
    def make(self, layout: VendorLayout) -> None: ...
    def close(self) -> None: ...


class SqliteDb:
    """The layout in one file; nothing is padded and dates are text."""

    engine = Engine.SQLITE

    def __init__(self, path: Path, owner: str) -> None:
        self._owned = prefix(owner, self.engine)
        self.statements = 0
        self._link = sqlite3.connect(path, isolation_level=None, timeout=30)
        self._link.execute("PRAGMA journal_mode=WAL")
        self._link.execute("PRAGMA synchronous=NORMAL")

    def rows(self, sql: str, *values: Value) -> list[tuple[Any, ...]]:
        return self._link.execute(sql.format(o=self._owned), values).fetchall()

    def run(self, sql: str, *values: Value) -> int:
        self.statements += 1
        return self._link.execute(sql.format(o=self._owned), values).rowcount

    def fill(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> int:
        held = list(rows)
        marks = ",".join("?" * len(columns))
        self._link.execute("BEGIN")
        self._link.executemany(
            f"INSERT INTO {self._owned}{table} ({','.join(columns)}) VALUES ({marks})", held
        )
        self._link.execute("COMMIT")
        return len(held)

    def make(self, layout: VendorLayout) -> None:
        for statement in drops(layout, self.engine):
            with suppress(sqlite3.OperationalError):
                self._link.execute(statement)
        for statement in ddl(layout, self.engine):
            self._link.execute(statement)

    def close(self) -> None:
        self._link.close()


class OdbcDb:
    """PostgreSQL (psqlodbc) or Virtuoso (its own driver); ``connection``: the ODBC string."""

    def __init__(self, connection: str, owner: str) -> None:
        pyodbc.pooling = False
        try:
            self.link = pyodbc.connect(connection, autocommit=True, timeout=15)
        except pyodbc.Error as error:
            state = str(error.args[0]) if error.args else ""
            raise PmsUnavailable("pms.unreachable", state=state) from None
        name = str(self.link.getinfo(pyodbc.SQL_DBMS_NAME)).lower()
        self.engine = Engine.POSTGRESQL if "postgres" in name else Engine.VIRTUOSO
        if self.engine is Engine.VIRTUOSO:
            self.link.setdecoding(pyodbc.SQL_CHAR, "utf-8", pyodbc.SQL_CHAR)
            self.link.setdecoding(pyodbc.SQL_WCHAR, "utf-8", pyodbc.SQL_CHAR)
            self.link.setencoding("utf-8", pyodbc.SQL_CHAR)
        self.link.decimal_mode = "text"  # since pyodbc 5.5
        self._owned = prefix(owner, self.engine)
        self._owner = owner
        self._cursor = self.link.cursor()
        self.statements = 0

    def rows(self, sql: str, *values: Value) -> list[tuple[Any, ...]]:
        self._execute(sql, values)
        return [tuple(row) for row in self._cursor.fetchall()]

    def _execute(self, sql: str, values: Sequence[Value]) -> None:
        text = sql.format(o=self._owned)
        if self.engine is Engine.VIRTUOSO:
            text, values = _numbers_in_text(text, values)
        self._cursor.execute(text, *values)

    def run(self, sql: str, *values: Value) -> int:
        self.statements += 1
        self._execute(sql, values)
        return int(self._cursor.rowcount)

    def fill(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> int:
        held = list(rows)
        names = ",".join(named(column, self.engine) for column in columns)
        head = f"INSERT INTO {{o}}{table} ({names}) VALUES "
        if self.engine is Engine.POSTGRESQL:
            for start in range(0, len(held), ROWS_A_STATEMENT):
                part = held[start : start + ROWS_A_STATEMENT]
                owned = head.format(o=self._owned)
                self._cursor.execute(owned + ",".join(_literal_row(row) for row in part))
        else:
            for row in held:
                self._execute(f"{head}({','.join('?' * len(row))})", row)
        return len(held)

    def make(self, layout: VendorLayout) -> None:
        if self.engine is Engine.POSTGRESQL:
            self._cursor.execute(f"DROP SCHEMA IF EXISTS {self._owner} CASCADE")
            self._cursor.execute(f"CREATE SCHEMA {self._owner}")
        else:
            for statement in drops(layout, self.engine):
                with suppress(pyodbc.Error):
                    self._cursor.execute(statement)
        for statement in ddl(layout, self.engine):
            self._cursor.execute(statement)

    def close(self) -> None:
        self.link.close()


def _numbers_in_text(sql: str, values: Sequence[Value]) -> tuple[str, list[Value]]:
    """Virtuoso's driver binds negative numbers as unsigned ones and texts of dates as numbers: both
    stand in the statement's text."""
    pieces = sql.split("?")
    whole, texts = pieces[0], list[Value]()
    for value, piece in zip(values, pieces[1:], strict=True):
        mark = _moment(value)
        if not mark:
            texts.append(value)
        whole += (mark or "?") + piece
    return whole, texts


def _moment(value: Value) -> str:
    """A number, NULL, date or time stamp as a literal; "" for a text."""
    if not isinstance(value, str):
        return _literal(value)
    if _DAY.fullmatch(value):
        return f"{{d '{value}'}}"
    return f"{{ts '{value}'}}" if _STAMP.fullmatch(value) else ""


def _literal_row(row: Sequence[Value]) -> str:
    return "(" + ",".join(map(_literal, row)) + ")"


def _literal(value: Value) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return "'" + value.replace("'", "''").replace("\0", "") + "'"
    return repr(value)
