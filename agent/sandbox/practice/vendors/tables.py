"""How a vendor's table is written down here, and the CREATE statement each engine takes. Pure.

A column is ``name type``; types: ``int``, ``num`` (12,2), ``d`` date, ``ts`` timestamp, ``cN``
blank-padded text, ``vcN`` text, ``txt`` long text. The first column of ``key`` is unique.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec


class Engine(StrEnum):
    POSTGRESQL = "postgresql"
    VIRTUOSO = "virtuoso"
    SQLITE = "sqlite"


class VendorTable(msgspec.Struct, frozen=True):
    name: str
    columns: tuple[tuple[str, str], ...]  # name, type
    key: tuple[str, ...]
    indexes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.columns)


class VendorView(msgspec.Struct, frozen=True):
    """``select``: its text, tables named ``{o}name`` so that the owner can be put before them."""

    name: str
    select: str


class VendorLayout(msgspec.Struct, frozen=True):
    """``name``: as on the command line. ``owner``: who the tables belong to at a site."""

    name: str
    owner: str
    tables: tuple[VendorTable, ...]
    views: tuple[VendorView, ...] = ()


def table(name: str, columns: str, key: str, indexes: str = "") -> VendorTable:
    pairs = [tuple(column.split()) for column in columns.split(",") if column.strip()]
    return VendorTable(
        name, tuple((pair[0], pair[1]) for pair in pairs), tuple(key.split()),
        tuple(indexes.split()),
    )  # fmt: skip


_PLAIN = {"int": "INTEGER", "num": "DECIMAL(12,2)", "d": "DATE", "ts": "TIMESTAMP"}
_LONG = {Engine.POSTGRESQL: "TEXT", Engine.VIRTUOSO: "LONG NVARCHAR", Engine.SQLITE: "TEXT"}


def _type(kind: str, engine: Engine) -> str:
    if kind == "txt":
        return _LONG[engine]
    found = re.fullmatch(r"(c|vc)(\d+)", kind)
    if found is None:
        return "DATETIME" if kind == "ts" and engine is Engine.VIRTUOSO else _PLAIN[kind]
    if engine is Engine.VIRTUOSO:  # no padding there, and narrow text is one code page
        return f"NVARCHAR({found[2]})"
    return f"{'CHAR' if found[1] == 'c' else 'VARCHAR'}({found[2]})"


def prefix(owner: str, engine: Engine) -> str:
    """What stands before a table's name: a file has no owners."""
    return "" if engine is Engine.SQLITE else f"{owner}."


def named(column: str, engine: Engine) -> str:
    """Virtuoso reserves words that columns are called; there a quoted name is the same name."""
    return f'"{column}"' if engine is Engine.VIRTUOSO and column == "password" else column


def ddl(layout: VendorLayout, engine: Engine) -> Sequence[str]:
    """Statements that make an empty practice, in order."""
    owned = prefix(layout.owner, engine)
    made = []
    for shape in layout.tables:
        lines = [f"{named(name, engine)} {_type(kind, engine)}" for name, kind in shape.columns]
        if shape.key:
            lines.append(f"PRIMARY KEY ({', '.join(shape.key)})")
        made.append(f"CREATE TABLE {owned}{shape.name} (\n  " + ",\n  ".join(lines) + "\n)")
        made += [
            f"CREATE INDEX ix_{shape.name}_{column} ON {owned}{shape.name} ({column})"
            for column in shape.indexes
        ]
    made += [
        f"CREATE VIEW {owned}{view.name} AS {view.select.format(o=owned)}" for view in layout.views
    ]
    return made


def drops(layout: VendorLayout, engine: Engine) -> Iterable[str]:
    """Statements that take an older practice away; each may fail when there is none."""
    owned = prefix(layout.owner, engine)
    yield from (f"DROP VIEW {owned}{view.name}" for view in reversed(layout.views))
    yield from (f"DROP TABLE {owned}{shape.name}" for shape in layout.tables)
