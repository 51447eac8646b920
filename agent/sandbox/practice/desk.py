"""The front desk's connection: small single statements, each its own commit, as the program works.

``MariaDesk`` leaves change stamps to the server; ``SqliteDesk`` keeps them by the same rule (moved
only when a value really changes). May import the schema and stores beside it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import pymysql

from agent.errors import PmsError, PmsRefused, PmsUnavailable
from agent.sandbox.practice.stores import Value
from agent.sandbox.practice.tables import TABLES


class Desk(Protocol):
    """One connection, autocommit, SQL with ``?`` marks. Not thread-safe."""

    dialect: str
    statements: int  # written so far

    def now(self) -> datetime:
        """The office's wall clock: naive local time."""

    def columns(self, table: str) -> dict[str, str]: ...
    def rows(self, sql: str, *values: Value) -> list[tuple[Any, ...]]: ...
    def run(self, sql: str, *values: Value) -> int: ...
    def insert(self, table: str, row: Mapping[str, Value]) -> int:
        """Insert the columns this site has; the new primary key."""

    def update(
        self, table: str, key: int, changes: Mapping[str, Value], *, silent: bool = False
    ) -> int:
        """Change one row by primary key; ``silent`` leaves its stamp. Rows matched or changed."""

    def delete(self, table: str, column: str, value: Value) -> int: ...
    def close(self) -> None: ...


class _Base:
    """What both desks share: columns of the site, wall clock, row shaping."""

    dialect = ""

    def __init__(self, zone: str) -> None:
        self.statements = 0
        self._zone = ZoneInfo(zone)
        self._columns: dict[str, dict[str, str]] = {}

    def now(self) -> datetime:
        return datetime.now(UTC).astimezone(self._zone).replace(tzinfo=None)

    def columns(self, table: str) -> dict[str, str]:
        if table not in self._columns:
            self._columns[table] = self._read_columns(table)
            if not self._columns[table]:
                raise PmsError("pms.schema_drift", table=table)
        return self._columns[table]

    def _read_columns(self, table: str) -> dict[str, str]:
        raise NotImplementedError

    def _known(self, table: str, row: Mapping[str, Value]) -> dict[str, Value]:
        live = self.columns(table)
        return {name: value for name, value in row.items() if name in live}


class MariaDesk(_Base):
    """MariaDB/MySQL through pymysql; ``link`` must be an autocommit connection."""

    dialect = "mariadb"

    def __init__(self, link: pymysql.Connection[Any], zone: str = "America/New_York") -> None:
        super().__init__(zone)
        self._link = link
        self._cursor = link.cursor()
        link.autocommit(True)
        self._cursor.execute("SET SESSION sql_mode=''")

    @classmethod
    def connect(
        cls, *, host: str, port: int, user: str, password: str, database: str, zone: str
    ) -> MariaDesk:
        try:
            link = pymysql.connect(
                host=host, port=port, user=user, password=password, database=database,
                charset="utf8mb4", autocommit=True,
            )  # fmt: skip
        except pymysql.err.OperationalError as error:
            code = int(error.args[0]) if error.args else 0
            kind = PmsRefused if code in {1044, 1045, 1698} else PmsUnavailable
            raise kind(host=host, port=port, number=code) from None
        return cls(link, zone)

    def _read_columns(self, table: str) -> dict[str, str]:
        found = self.rows(
            "SELECT COLUMN_NAME, IS_NULLABLE, DATA_TYPE FROM information_schema.columns "
            "WHERE TABLE_SCHEMA=DATABASE() AND TABLE_NAME=?",
            table,
        )
        texts = {"varchar", "char", "text", "mediumtext", "longtext"}
        return {
            str(name): "''" if nullable == "YES" and str(kind).lower() in texts else ""
            for name, nullable, kind in found
        }

    def rows(self, sql: str, *values: Value) -> list[tuple[Any, ...]]:
        self._cursor.execute(sql.replace("?", "%s"), values)
        return list(self._cursor.fetchall())

    def run(self, sql: str, *values: Value) -> int:
        self.statements += 1
        return int(self._cursor.execute(sql.replace("?", "%s"), values))

    def insert(self, table: str, row: Mapping[str, Value]) -> int:
        known = self._known(table, row)
        empty = [c for c, text in self.columns(table).items() if text and c not in known]
        names = ",".join(f"`{c}`" for c in (*known, *empty))
        marks = ",".join(["%s"] * len(known) + ["''"] * len(empty))
        self.statements += 1
        self._cursor.execute(
            f"INSERT INTO `{table}` ({names}) VALUES ({marks})", tuple(known.values())
        )
        return int(known.get(TABLES[table].primary) or self._cursor.lastrowid or 0)

    def update(
        self, table: str, key: int, changes: Mapping[str, Value], *, silent: bool = False
    ) -> int:
        shape, known = TABLES[table], self._known(table, changes)
        if not known:
            return 0
        sets = [f"`{c}`=%s" for c in known]
        if silent and shape.stamp:
            sets.append(f"`{shape.stamp}`=`{shape.stamp}`")
        self.statements += 1
        return int(
            self._cursor.execute(
                f"UPDATE `{table}` SET {','.join(sets)} WHERE `{shape.primary}`=%s",
                (*known.values(), key),
            )
        )

    def delete(self, table: str, column: str, value: Value) -> int:
        self.statements += 1
        return int(self._cursor.execute(f"DELETE FROM `{table}` WHERE `{column}`=%s", (value,)))

    def close(self) -> None:
        self._link.close()


class SqliteDesk(_Base):
    """SQLite in WAL mode; another process may write and read the same file."""

    dialect = "sqlite"

    def __init__(self, path: Path, zone: str = "America/New_York") -> None:
        super().__init__(zone)
        if not path.exists():
            raise PmsUnavailable("pms.unreachable", file=path.name)
        self._link = sqlite3.connect(path, isolation_level=None, timeout=30)
        self._link.execute("PRAGMA journal_mode=WAL")
        self._link.execute("PRAGMA synchronous=NORMAL")

    def _read_columns(self, table: str) -> dict[str, str]:
        return {str(r[1]): "" for r in self._link.execute(f'PRAGMA table_info("{table}")')}

    def rows(self, sql: str, *values: Value) -> list[tuple[Any, ...]]:
        return self._link.execute(sql, values).fetchall()

    def run(self, sql: str, *values: Value) -> int:
        self.statements += 1
        return self._link.execute(sql, values).rowcount

    def insert(self, table: str, row: Mapping[str, Value]) -> int:
        known = self._known(table, row)
        names = ",".join(f'"{c}"' for c in known)
        marks = ",".join("?" * len(known))
        self.statements += 1
        made = self._link.execute(
            f'INSERT INTO "{table}" ({names}) VALUES ({marks})', tuple(known.values())
        )
        return int(made.lastrowid or 0)

    def update(
        self, table: str, key: int, changes: Mapping[str, Value], *, silent: bool = False
    ) -> int:
        shape, known = TABLES[table], self._known(table, changes)
        if not known:
            return 0
        values = list(known.values())
        sets = [f'"{c}"=?{i}' for i, c in enumerate(known, start=1)]
        if shape.stamp and not silent and shape.stamp not in known:
            moved = " OR ".join(f'"{c}" IS NOT ?{i}' for i, c in enumerate(known, start=1))
            sets.append(
                f'"{shape.stamp}"=CASE WHEN {moved} THEN CURRENT_TIMESTAMP ELSE "{shape.stamp}" END'
            )
        self.statements += 1
        return self._link.execute(
            f'UPDATE "{table}" SET {",".join(sets)} WHERE "{shape.primary}"=?{len(values) + 1}',
            (*values, key),
        ).rowcount

    def delete(self, table: str, column: str, value: Value) -> int:
        self.statements += 1
        return self._link.execute(f'DELETE FROM "{table}" WHERE "{column}"=?', (value,)).rowcount

    def close(self) -> None:
        self._link.close()
