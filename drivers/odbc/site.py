"""What one site offers of a contract: which place serves a table, its live columns, its key. Pure.

Made by ``drivers.odbc.probe``; statements are built from it and never name anything else.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from agent.model.reading import Finding, LaneFacts, StreamFacts, TableFacts
from agent.model.streams import Stream
from drivers.layout import Join, Lane
from drivers.odbc.contract import Contract, Kind, StreamDecl, Test, known_tables
from drivers.odbc.wire import Opened


class LiveColumn(msgspec.Struct, frozen=True):
    """``real``: its name in statements. ``sql_type``: the driver's type as a word of the map's
    vocabulary ("varchar", "bigint", "decimal", "double", "date", "datetime", "time", "bit",
    "blob")."""

    real: str
    sql_type: str
    kind: Kind


class LiveTable(msgspec.Struct, frozen=True):
    """A logical table as the site has it. ``real``: owner and name. Columns by logical name."""

    name: str
    real: str
    key: tuple[str, ...]
    columns: dict[str, LiveColumn]
    leads: frozenset[str] = frozenset()
    rows: int = 0

    @property
    def coded(self) -> bool:
        """The key is no single whole number: ranges over it are cut by us."""
        if len(self.key) != 1:
            return True
        return self.columns[self.key[0]].sql_type not in {"bigint", "decimal", "double"}

    @property
    def real_key(self) -> tuple[str, ...]:
        return tuple(self.columns[name].real for name in self.key)


class Site(msgspec.Struct, frozen=True):
    """One probed site."""

    contract: Contract
    server: Opened
    tables: dict[str, LiveTable]
    readable: tuple[Stream, ...]
    owner: str = ""
    clock_sql: str = ""
    hashes: bool = False  # the server's hash was seen to answer rightly
    money_as_text: bool = False  # the driver gives wrong decimals: the server makes text of them
    unordered: frozenset[str] = frozenset()  # tables whose stamps cannot be compared to a moment
    findings: tuple[Finding, ...] = ()


def usable_lanes(site: Site, stream: Stream) -> list[Lane]:
    """Lanes with a whole-number row, whose every column the site has, and whose stamps it can
    compare."""
    tables = site.tables
    return [
        lane
        for lane in site.contract.streams[stream].lanes
        if (found := tables.get(lane.table)) is not None
        and lane.table not in site.unordered
        and {lane.stamp, lane.row, lane.link}.issubset(found.columns)
        and found.columns[lane.row].sql_type in {"bigint", "decimal"}
        and all(
            hop in tables and {own, following}.issubset(tables[hop].columns)
            for hop, own, following in lane.hops
        )
    ]


def is_windowed(decl: StreamDecl, tables: Mapping[str, LiveTable]) -> bool:
    window = decl.window
    if window is None or window.table not in tables:
        return False
    return {window.column, window.link}.issubset(tables[window.table].columns)


def applies(test: Test, table: LiveTable) -> bool:
    return test.column in table.columns


def table_facts(site: Site) -> dict[str, TableFacts]:
    """Live tables by logical name, and every attachment's alias."""
    found = {name: _facts(table) for name, table in site.tables.items()}
    for decl in site.contract.streams.values():
        for hung in decl.attached:
            table = site.tables.get(hung.table)
            if table is None or not hangs(hung.own, table):
                continue
            columns = found[hung.alias].columns if hung.alias in found else _facts(table).columns
            if hung.join is Join.MANY:
                columns = {**columns, hung.pseudo: "list"}
            found[hung.alias] = TableFacts(columns, table.leads, "", table.rows)
    return found


def hangs(own: str, table: LiveTable) -> bool:
    return own in table.columns


def _facts(table: LiveTable) -> TableFacts:
    columns = {
        name: "bigint" if column.kind is Kind.KEY else column.sql_type
        for name, column in table.columns.items()
    }
    return TableFacts(columns, table.leads, "", table.rows)


def stream_facts(site: Site) -> dict[Stream, StreamFacts]:
    return {stream: _stream(site, stream, decl) for stream, decl in site.contract.streams.items()}


def _stream(site: Site, stream: Stream, decl: StreamDecl) -> StreamFacts:
    tables = site.tables
    readable = stream in site.readable
    lanes = tuple(
        LaneFacts(
            lane.name, lane.table, lane.stamp in tables[lane.table].leads, tables[lane.table].rows
        )
        for lane in usable_lanes(site, stream)
    ) if readable else ()  # fmt: skip
    windowed = readable and is_windowed(decl, tables)
    key = site.contract.table(decl.table).key
    return StreamFacts(
        table=decl.table,
        key="+".join(key),
        rows=tables[decl.table].rows if decl.table in tables else 0,
        tables=tuple(t for t in known_tables(site.contract, stream) if t in tables),
        lanes=lanes,
        windowed=windowed,
        tier=decl.tier,
        readable=readable,
        gated=False,
        polled=windowed and decl.polled and not any(lane.table == decl.table for lane in lanes),
        tailed=readable and not tables[decl.table].coded,
        hashed=site.hashes,
    )
