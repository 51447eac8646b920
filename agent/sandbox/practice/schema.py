"""How a table is written down here, and how it becomes MariaDB or SQLite DDL.

A column is ``Name type[?|*|=default][>table] [@version]``:

- types ``pk bi int si ti tiu dbl flt d dt tm ts txt mtxt vcN cN`` (``ts`` is the server-kept change
  stamp, one second, moved by the server whenever a value of the row really changes);
- ``?`` nullable, ``*`` no default, ``>table`` a logical reference (never declared in the database),
  ``@21.4.1`` the first version that has it, ``!22.1`` the version that dropped it.

A key is ``Name`` (a column of that name) or ``name(Column Column(10))``, with version marks too.
Facts: Open Dental's published schema pages; every date "none" is 0001-01-01, never NULL.
Imports nothing of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

import msgspec

NO_DATE = "0001-01-01"
NO_DATETIME = "0001-01-01 00:00:00"


class Engine(StrEnum):
    MYISAM = "MyISAM"
    INNODB = "InnoDB"


class SchemaVersion(StrEnum):
    """Versions we can render; anything between them is decided by the marks."""

    V21_1_9 = "21.1.9"
    V24_3 = "24.3"


class ColumnShape(msgspec.Struct, frozen=True):
    name: str
    kind: str  # pk, bi, ti, vc, ts ...
    size: int
    nullable: bool
    default: str | None  # None: the column has no default (strict servers then demand a value)
    refers: str | None  # table whose primary key it holds, by convention only
    since: tuple[int, ...]
    until: tuple[int, ...] | None

    def in_version(self, version: tuple[int, ...]) -> bool:
        return self.since <= version and (self.until is None or version < self.until)

    @property
    def textual(self) -> bool:
        return self.kind in {"vc", "c", "txt", "mtxt"}


class KeyShape(msgspec.Struct, frozen=True):
    name: str
    columns: tuple[str, ...]  # as written, a prefix length in brackets kept: "LName(10)"
    since: tuple[int, ...]
    until: tuple[int, ...] | None

    def in_version(self, version: tuple[int, ...]) -> bool:
        return self.since <= version and (self.until is None or version < self.until)


class Table(msgspec.Struct, frozen=True):
    name: str
    columns: tuple[ColumnShape, ...]
    keys: tuple[KeyShape, ...]
    since: tuple[int, ...] = ()

    @property
    def primary(self) -> str:
        return next(c.name for c in self.columns if c.kind == "pk")

    @property
    def stamp(self) -> str | None:
        """Name of the server-kept change stamp, or None."""
        return next((c.name for c in self.columns if c.kind == "ts"), None)


def version_of(text: str) -> tuple[int, ...]:
    """``"24.3.10.0"`` -> ``(24, 3, 10, 0)``."""
    return tuple(int(part) for part in text.split("."))


_COLUMN = re.compile(
    r"(?P<name>\w+) (?P<kind>[a-z]+)(?P<size>\d*)(?P<mark>[?*]|=[-\d:]+)?(?:>(?P<refers>\w+))?"
    r"(?: @(?P<since>[\d.]+))?(?: !(?P<until>[\d.]+))?"
)
_KEY = re.compile(
    r"(?P<name>\w+)(?:\((?P<columns>[\w ()]+)\))?(?: @(?P<since>[\d.]+))?(?: !(?P<until>[\d.]+))?"
)
_IMPLIED_DEFAULT = {
    "d": NO_DATE, "dt": NO_DATETIME, "tm": "00:00:00", "vc": "", "c": "",
    "bi": "0", "int": "0", "si": "0", "ti": "0", "tiu": "0", "dbl": "0", "flt": "0",
}  # fmt: skip


def _column(text: str) -> ColumnShape:
    found = _COLUMN.fullmatch(text)
    if found is None:
        raise ValueError(f"not a column: {text!r}")
    kind, mark = found["kind"], found["mark"] or ""
    default = _IMPLIED_DEFAULT.get(kind)
    if mark == "*":
        default = None
    elif mark.startswith("="):
        default = mark[1:]
    return ColumnShape(
        name=found["name"],
        kind=kind,
        size=int(found["size"] or 0),
        nullable=mark == "?",
        default=default,
        refers=found["refers"],
        since=version_of(found["since"]) if found["since"] else (),
        until=version_of(found["until"]) if found["until"] else None,
    )


def _key(text: str) -> KeyShape:
    found = _KEY.fullmatch(text)
    if found is None:
        raise ValueError(f"not a key: {text!r}")
    return KeyShape(
        name=found["name"],
        columns=tuple((found["columns"] or found["name"]).split()),
        since=version_of(found["since"]) if found["since"] else (),
        until=version_of(found["until"]) if found["until"] else None,
    )


def table(name: str, columns: str, keys: str = "", since: str = "") -> Table:
    """Read a table from its notation; commas separate columns and keys."""
    return Table(
        name=name,
        columns=tuple(_column(" ".join(c.split())) for c in columns.split(",") if c.strip()),
        keys=tuple(_key(" ".join(k.split())) for k in keys.split(",") if k.strip()),
        since=version_of(since) if since else (),
    )


_MARIADB_TYPE = {
    "pk": "bigint(20)", "bi": "bigint(20)", "int": "int(11)", "si": "smallint(6)",
    "ti": "tinyint(4)", "tiu": "tinyint(3) unsigned", "dbl": "double", "flt": "float",
    "d": "date", "dt": "datetime", "tm": "time", "txt": "text", "mtxt": "mediumtext",
}  # fmt: skip
_TEXT_KINDS = {"txt", "mtxt"}


def _mariadb_column(column: ColumnShape) -> str:
    if column.kind == "pk":
        return f"`{column.name}` bigint(20) NOT NULL AUTO_INCREMENT"
    if column.kind == "ts":
        return (
            f"`{column.name}` timestamp NOT NULL DEFAULT current_timestamp() "
            "ON UPDATE current_timestamp()"
        )
    if column.kind in {"vc", "c"}:
        sql_type = f"{'varchar' if column.kind == 'vc' else 'char'}({column.size})"
    else:
        sql_type = _MARIADB_TYPE[column.kind]
    clause = f"`{column.name}` {sql_type}"
    if column.nullable:
        if column.kind in _TEXT_KINDS or column.kind == "tm":
            return f"{clause} DEFAULT NULL"
        return f"{clause} DEFAULT '{column.default}'"
    if column.default is None or column.kind in _TEXT_KINDS:
        return f"{clause} NOT NULL"
    return f"{clause} NOT NULL DEFAULT '{column.default}'"


def mariadb_ddl(shape: Table, engine: Engine, version: str, *, keys: bool = True) -> str:
    """CREATE TABLE for MariaDB/MySQL in utf8mb3, as the vendor's databases are."""
    at = version_of(version)
    lines = [_mariadb_column(c) for c in shape.columns if c.in_version(at)]
    lines.append(f"PRIMARY KEY (`{shape.primary}`)")
    if keys:
        lines += [_mariadb_key(k) for k in shape.keys if k.in_version(at)]
    body = ",\n  ".join(lines)
    return f"CREATE TABLE `{shape.name}` (\n  {body}\n) ENGINE={engine} DEFAULT CHARSET=utf8mb3"


def _mariadb_key(key: KeyShape) -> str:
    columns = ",".join(re.sub(r"^(\w+)", r"`\1`", c) for c in key.columns)
    return f"KEY `{key.name}` ({columns})"


_SQLITE_TYPE = {
    "bi": "INTEGER", "int": "INTEGER", "si": "INTEGER", "ti": "INTEGER", "tiu": "INTEGER",
    "dbl": "REAL", "flt": "REAL",
}  # fmt: skip


def sqlite_ddl(shape: Table, version: str) -> str:
    """CREATE TABLE for SQLite: every column has a default, dates and stamps are text.

    Stamps are UTC ``YYYY-MM-DD HH:MM:SS`` kept by the writer (SQLite has no ON UPDATE).
    """
    at = version_of(version)
    lines = []
    for column in shape.columns:
        if not column.in_version(at):
            continue
        if column.kind == "pk":
            lines.append(f'"{column.name}" INTEGER PRIMARY KEY AUTOINCREMENT')
            continue
        sql_type = _SQLITE_TYPE.get(column.kind, "TEXT")
        if column.kind == "ts":
            rule = "NOT NULL DEFAULT CURRENT_TIMESTAMP"
        elif column.kind == "tm" and column.nullable:
            rule = "DEFAULT NULL"
        else:
            implied = _IMPLIED_DEFAULT.get(column.kind, "")
            value = implied if column.default is None else column.default
            rule = ("" if column.nullable else "NOT NULL ") + (
                f"DEFAULT {value}" if sql_type != "TEXT" else f"DEFAULT '{value}'"
            )
        lines.append(f'"{column.name}" {sql_type} {rule}')
    body = ",\n  ".join(lines)
    return f'CREATE TABLE "{shape.name}" (\n  {body}\n)'


def sqlite_indexes(shape: Table, version: str) -> Iterable[str]:
    """One index per leading column: the covering keys of the server are not worth their weight."""
    at = version_of(version)
    seen: set[str] = set()
    for key in shape.keys:
        lead = key.columns[0].split("(")[0]
        if key.in_version(at) and lead not in seen:
            seen.add(lead)
            yield f'CREATE INDEX "ix_{shape.name}_{lead}" ON "{shape.name}" ("{lead}")'
