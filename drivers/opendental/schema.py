"""What the live database offers: tables, columns, leading index columns, engines, rights.

Read once per probe from information_schema, which a SELECT-only account sees.
"""

from __future__ import annotations

import re
from collections import defaultdict

import msgspec

from agent.errors import PmsDrift, PmsError, PmsRefused
from agent.model.streams import Stream
from drivers.base import Effort, Session
from drivers.opendental.streams import STREAMS, known_tables
from drivers.sqltext import ColumnShape, TableShape, kind_of, quoted, text_literal

_WRITES = re.compile(
    r"\b(ALL PRIVILEGES|INSERT|UPDATE|DELETE|CREATE(?! TEMPORARY)|DROP|ALTER|INDEX|SUPER|TRIGGER)\b"
)
_GRANT = re.compile(r"GRANT (?P<rights>.+?) ON (?P<scope>\S+) TO ", re.IGNORECASE)


class Rights(msgspec.Struct, frozen=True):
    """What the account may do on our database."""

    writes: tuple[str, ...] = ()  # rights it should not have
    sees_others: bool = False  # PROCESS: other connections' statements are visible


def read_shapes(session: Session) -> dict[str, TableShape]:
    """Every known table that exists here, by lower-case name."""
    names = ",".join(text_literal(name) for name in known_tables())
    where = f"TABLE_SCHEMA=DATABASE() AND TABLE_NAME IN ({names})"
    columns: dict[str, dict[str, ColumnShape]] = defaultdict(dict)
    for table, name, sql_type, nullable, charset in session.rows(
        "SELECT TABLE_NAME,COLUMN_NAME,COLUMN_TYPE,IS_NULLABLE,CHARACTER_SET_NAME"
        f" FROM information_schema.COLUMNS WHERE {where} ORDER BY TABLE_NAME,ORDINAL_POSITION",
        Effort.PROBE,
    ):
        columns[table.lower()][name] = ColumnShape(
            sql_type, kind_of(sql_type), nullable == "YES", charset or ""
        )
    leads: dict[str, set[str]] = defaultdict(set)
    primary: dict[str, str] = {}
    for table, index, name in session.rows(
        "SELECT TABLE_NAME,INDEX_NAME,COLUMN_NAME FROM information_schema.STATISTICS"
        f" WHERE {where} AND SEQ_IN_INDEX=1",
        Effort.PROBE,
    ):
        leads[table.lower()].add(name)
        if index == "PRIMARY":
            primary[table.lower()] = name
    shapes = {}
    for table, engine, rows in session.rows(
        f"SELECT TABLE_NAME,ENGINE,TABLE_ROWS FROM information_schema.TABLES WHERE {where}",
        Effort.PROBE,
    ):
        name = table.lower()
        shapes[name] = TableShape(
            name,
            columns[name],
            frozenset(leads[name]),
            primary.get(name, ""),
            engine or "",
            int(rows or 0),
        )
    return shapes


def unreadable_tables(session: Session, shapes: dict[str, TableShape]) -> dict[str, PmsError]:
    """Tables that exist but cannot be read: a missing right, a crashed table."""
    found: dict[str, PmsError] = {}
    for name, shape in shapes.items():
        column = shape.primary or next(iter(shape.columns), "")
        error = _refusal(session, name, quoted(column) if column else "1")
        if error is None and not column:
            error = PmsRefused("pms.right_missing")
        if error is not None:
            found[name] = type(error)(error.code, table=name, **error.facts)
    return found


def mended(mending: Session, unreadable: dict[str, PmsError]) -> bool:
    """Open each crashed table: where the server mends such tables it does so when they are opened.
    Whether any can be read now. Raises PmsUnavailable when that takes too long; the server goes on
    with it."""
    crashed = [name for name, error in unreadable.items() if error.code == "pms.table_crashed"]
    left = [name for name in crashed if _refusal(mending, name, "1") is not None]
    return len(left) < len(crashed)


def _refusal(session: Session, table: str, what: str) -> PmsError | None:
    """Why one row of a table cannot be read; None when it can."""
    try:
        session.rows(f"SELECT {what} FROM {quoted(table)} LIMIT 1", Effort.PROBE)
    except (PmsRefused, PmsDrift) as error:
        return error
    return None


def read_rights(session: Session, database: str) -> Rights:
    """From SHOW GRANTS; the password hash it also shows is never kept."""
    writes: set[str] = set()
    sees_others = False
    for (line,) in session.rows("SHOW GRANTS", Effort.PROBE):
        grant = _GRANT.match(line)
        if grant is None:
            continue
        scope = grant["scope"].replace("`", "").replace("\\", "")
        granted = grant["rights"].upper()
        if scope.split(".")[0] not in ("*", database, "%"):
            continue
        writes.update(_WRITES.findall(granted))
        if scope == "*.*" and re.search(r"\b(PROCESS|ALL PRIVILEGES)\b", granted):
            sees_others = True
    return Rights(tuple(sorted(writes)), sees_others)


def readable_streams(
    shapes: dict[str, TableShape], unreadable: dict[str, PmsError]
) -> tuple[Stream, ...]:
    """Streams whose base table is here with its key, and can be read."""
    found = []
    for stream, spec in STREAMS.items():
        needs = "preference" if stream is Stream.PRACTICE else spec.table
        shape = shapes.get(needs)
        if shape is None or needs in unreadable:
            continue
        if stream is Stream.PRACTICE or spec.key in shape.columns:
            found.append(stream)
    return tuple(found)
