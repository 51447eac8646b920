"""Where a sample practice is written: MariaDB or SQLite, in bulk, rows as plain dictionaries.

Two thin connections behind one protocol, and ``Filler``, which buffers rows by table and shape.
May import the schema beside it only; the front desk's small writes are in ``desk``.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pymysql
from pymysql.constants import CLIENT

from agent.errors import PmsError, PmsRefused, PmsUnavailable
from agent.sandbox.practice.schema import Engine, mariadb_ddl, sqlite_ddl, sqlite_indexes
from agent.sandbox.practice.tables import TABLES, tables_of

Value = int | float | str | None
Row = Mapping[str, Value]
BATCH_ROWS = 1000


class Store(Protocol):
    """A database being filled. Not thread-safe."""

    dialect: str

    def rows(self, sql: str, *values: Value) -> list[tuple[Any, ...]]: ...
    def run(self, sql: str, *values: Value) -> None: ...
    def columns(self, table: str) -> dict[str, str]:
        """Column name -> "" or the literal a row must carry when it does not name the column."""

    def create_tables(self, version: str) -> None: ...
    def begin_bulk(self, tables: Iterable[str]) -> None: ...
    def insert(
        self,
        table: str,
        columns: Sequence[str],
        constants: Mapping[str, str],
        rows: Sequence[Sequence[Value]],
    ) -> None: ...
    def end_bulk(self) -> None: ...
    def close(self) -> None: ...


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _null(_: object) -> str:
    return "NULL"


_LITERAL: dict[type, Callable[[Any], str]] = {
    int: int.__repr__,
    float: float.__repr__,
    str: _quoted,
    type(None): _null,
}


class MariaDbStore:
    """MariaDB/MySQL. ``zone`` of the session is UTC, so stamps are given as UTC text."""

    dialect = "mariadb"

    def __init__(
        self,
        *,
        host: str,
        port: int,
        user: str,
        password: str,
        database: str,
        engine: Engine = Engine.MYISAM,
        create: bool = True,
    ) -> None:
        self.database = database
        self.engine = engine
        try:
            self._link = pymysql.connect(
                host=host, port=port, user=user, password=password, charset="utf8mb4",
                autocommit=True, client_flag=CLIENT.MULTI_STATEMENTS,
            )  # fmt: skip
        except pymysql.err.OperationalError as error:
            code = int(error.args[0]) if error.args else 0
            kind = PmsRefused if code in {1044, 1045, 1698} else PmsUnavailable
            raise kind(host=host, port=port, number=code) from None
        self._cursor = self._link.cursor()
        self._parked_keys: dict[str, list[str]] = {}
        self._disabled: list[str] = []
        name = database.replace("`", "")
        if create:
            self._cursor.execute(f"CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb3")
        self._cursor.execute(f"USE `{name}`")
        self._cursor.execute(
            "SET SESSION sql_mode='', time_zone='+00:00', foreign_key_checks=0, unique_checks=0"
        )

    def rows(self, sql: str, *values: Value) -> list[tuple[Any, ...]]:
        self._cursor.execute(sql.replace("?", "%s"), values or None)
        return list(self._cursor.fetchall())

    def run(self, sql: str, *values: Value) -> None:
        self._cursor.execute(sql.replace("?", "%s"), values or None)

    def columns(self, table: str) -> dict[str, str]:
        found = self.rows(
            "SELECT COLUMN_NAME, IS_NULLABLE, DATA_TYPE, COLUMN_DEFAULT "
            "FROM information_schema.columns "
            "WHERE TABLE_SCHEMA=? AND TABLE_NAME=? ORDER BY ORDINAL_POSITION",
            self.database,
            table,
        )
        texts = {"varchar", "char", "text", "mediumtext", "longtext", "tinytext"}
        # The program writes '' into nullable texts; only rows by strangers hold NULL.
        return {
            str(name): "''" if nullable == "YES" and str(kind).lower() in texts else ""
            for name, nullable, kind, _default in found
        }

    def create_tables(self, version: str) -> None:
        for shape in tables_of(version):
            self._cursor.execute(f"DROP TABLE IF EXISTS `{shape.name}`")
            self._cursor.execute(mariadb_ddl(shape, self.engine, version))

    def load_dump(self, text: str) -> None:
        """Run a mysqldump script, its tables turned to our engine."""
        if self.engine is Engine.INNODB:
            text = text.replace("ENGINE=MyISAM", "ENGINE=InnoDB")
        with self._link.cursor() as cursor:
            for script in _portions(text, 4_000_000):
                cursor.execute(script)
                while cursor.nextset():
                    pass
        self._cursor.execute(
            "SET SESSION sql_mode='', time_zone='+00:00', foreign_key_checks=0, unique_checks=0"
        )

    def begin_bulk(self, tables: Iterable[str]) -> None:
        """Secondary keys are built once, sorted, at the end: ten times cheaper than row by row."""
        for variable, size in (
            ("myisam_sort_buffer_size", 256 << 20), ("bulk_insert_buffer_size", 64 << 20),
        ):  # fmt: skip
            self._cursor.execute(f"SET SESSION {variable}={size}")
        engines = dict(
            self.rows(
                "SELECT TABLE_NAME, ENGINE FROM information_schema.tables WHERE TABLE_SCHEMA=?",
                self.database,
            )
        )
        for table in tables:
            if engines.get(table) == Engine.MYISAM:
                self._cursor.execute(f"ALTER TABLE `{table}` DISABLE KEYS")
                self._disabled.append(table)
            elif engines.get(table) == Engine.INNODB:
                self._park_keys(table)
        self._link.autocommit(False)

    def _park_keys(self, table: str) -> None:
        found = self.rows(
            "SELECT INDEX_NAME, GROUP_CONCAT(CONCAT('`', COLUMN_NAME, '`', "
            "IF(SUB_PART IS NULL, '', CONCAT('(', SUB_PART, ')'))) ORDER BY SEQ_IN_INDEX) "
            "FROM information_schema.statistics WHERE TABLE_SCHEMA=? AND TABLE_NAME=? "
            "AND INDEX_NAME<>'PRIMARY' AND NON_UNIQUE=1 AND INDEX_TYPE='BTREE' "
            "GROUP BY INDEX_NAME",
            self.database,
            table,
        )
        if found:
            drops = ", ".join(f"DROP KEY `{name}`" for name, _ in found)
            self._cursor.execute(f"ALTER TABLE `{table}` {drops}")
            self._parked_keys[table] = [f"ADD KEY `{name}` ({cols})" for name, cols in found]

    def insert(
        self,
        table: str,
        columns: Sequence[str],
        constants: Mapping[str, str],
        rows: Sequence[Sequence[Value]],
    ) -> None:
        names = ",".join(f"`{c}`" for c in (*columns, *constants))
        tail = "".join(f",{literal}" for literal in constants.values())
        literal = _LITERAL
        values = ",".join(
            ["(" + ",".join([literal[type(v)](v) for v in row]) + tail + ")" for row in rows]
        )
        self._cursor.execute(f"INSERT INTO `{table}` ({names}) VALUES {values}")
        self._link.commit()

    def end_bulk(self) -> None:
        self._link.autocommit(True)
        for table in self._disabled:
            self._cursor.execute(f"ALTER TABLE `{table}` ENABLE KEYS")
        for table, clauses in self._parked_keys.items():
            self._cursor.execute(f"ALTER TABLE `{table}` {', '.join(clauses)}")
        self._disabled.clear()
        self._parked_keys.clear()

    def close(self) -> None:
        self._link.close()


def _portions(script: str, size: int) -> Iterable[str]:
    """Whole statements (a line ending in ``;``), together at most about ``size`` characters."""
    portion: list[str] = []
    length = 0
    for line in script.splitlines(keepends=True):
        portion.append(line)
        length += len(line)
        if length >= size and line.rstrip().endswith(";"):
            yield "".join(portion)
            portion, length = [], 0
    if "".join(portion).strip():
        yield "".join(portion)


class SqliteStore:
    """One SQLite file in WAL mode; built fast and unsafely, then made durable."""

    dialect = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._link = sqlite3.connect(path, isolation_level=None, timeout=30)
        self._link.execute("PRAGMA journal_mode=WAL")
        self._indexes: list[str] = []

    def rows(self, sql: str, *values: Value) -> list[tuple[Any, ...]]:
        return self._link.execute(sql, values).fetchall()

    def run(self, sql: str, *values: Value) -> None:
        self._link.execute(sql, values)

    def columns(self, table: str) -> dict[str, str]:
        return {str(r[1]): "" for r in self._link.execute(f'PRAGMA table_info("{table}")')}

    def create_tables(self, version: str) -> None:
        self._link.execute("BEGIN")
        for shape in tables_of(version):
            self._link.execute(f'DROP TABLE IF EXISTS "{shape.name}"')
            self._link.execute(sqlite_ddl(shape, version))
            self._indexes += sqlite_indexes(shape, version)
        self._link.execute("COMMIT")

    def begin_bulk(self, tables: Iterable[str]) -> None:
        self._link.execute("PRAGMA synchronous=OFF")
        self._link.execute("PRAGMA cache_size=-16384")
        self._link.execute("BEGIN")

    def insert(
        self,
        table: str,
        columns: Sequence[str],
        constants: Mapping[str, str],
        rows: Sequence[Sequence[Value]],
    ) -> None:
        names = ",".join(f'"{c}"' for c in columns)
        marks = ",".join("?" * len(columns))
        self._link.executemany(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', rows)

    def end_bulk(self) -> None:
        for statement in self._indexes:
            self._link.execute(statement)
        self._indexes.clear()
        self._link.execute("COMMIT")
        self._link.execute("PRAGMA optimize")
        self._link.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._link.execute("PRAGMA synchronous=NORMAL")

    def close(self) -> None:
        self._link.close()


class Filler:
    """Buffers rows and hands them on in batches of one table and one shape. Memory stays flat."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pending: dict[tuple[str, tuple[str, ...]], list[list[Value]]] = defaultdict(list)
        self._live: dict[str, dict[str, str]] = {}
        self._plans: dict[tuple[str, tuple[str, ...]], tuple[list[int] | None, list[str],
                                                             dict[str, str]]] = {}  # fmt: skip
        self.written = 0

    def add(self, table: str, row: Row) -> None:
        """``row`` names the columns it fills; unknown columns of this site are left out."""
        shape = (table, tuple(row))
        batch = self._pending[shape]
        batch.append(list(row.values()))
        if len(batch) >= BATCH_ROWS:
            self._write(shape)

    def flush(self) -> None:
        for shape in list(self._pending):
            self._write(shape)

    def _plan(
        self, shape: tuple[str, tuple[str, ...]]
    ) -> tuple[list[int] | None, list[str], dict[str, str]]:
        table, names = shape
        if table not in self._live:
            self._live[table] = self._store.columns(table)
            if not self._live[table]:
                raise PmsError("pms.schema_drift", table=table)
        live = self._live[table]
        unknown = [n for n in names if not any(n == c.name for c in TABLES[table].columns)]
        if unknown:
            raise ValueError(f"{table} has no {unknown[0]}")
        kept = [i for i, name in enumerate(names) if name in live]
        constants = {c: text for c, text in live.items() if text and c not in names}
        picks = None if len(kept) == len(names) else kept
        return picks, [names[i] for i in kept], constants

    def _write(self, shape: tuple[str, tuple[str, ...]]) -> None:
        batch = self._pending.pop(shape)
        if not batch:
            return
        if shape not in self._plans:
            self._plans[shape] = self._plan(shape)
        picks, columns, constants = self._plans[shape]
        if picks is not None:
            batch = [[row[i] for i in picks] for row in batch]
        self._store.insert(shape[0], columns, constants, batch)
        self.written += len(batch)
