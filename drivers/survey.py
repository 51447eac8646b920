"""A read-only look at a site over ODBC: what IT or support runs first. No record leaves it.

Answers what no document can: which driver this is and whether its decimals are right, whether it
streams, what is there and granted, how long statements take, what the clock says, and the numbers
only the site's own rows tell. Shows counts, names of tables and columns, codes and lists the office
defines; never a value of a patient's record. Must not import a database library.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

import msgspec
import psutil

from agent.errors import AgentError, PmsDrift, PmsError
from agent.model.reading import Finding, Severity, SourceFacts
from agent.model.streams import Stream
from drivers.base import Effort, Row, RowTrouble
from drivers.odbc.contract import Kind
from drivers.odbc.observe import wall_time
from drivers.odbc.session import OdbcSession
from drivers.odbc.site import LiveTable, Site
from drivers.odbc.source import OdbcSource
from drivers.odbc.wire import Opened
from drivers.vendor import named

CANARY_ROWS = 200
STREAM_ROWS = 2000
_ABSENT = "bridgework_asks"  # no table and no column of anybody
FEW_CODES = 12  # a column with more distinct values than this is no list of codes

_Fact = str | int | float | None


class Canary(msgspec.Struct, frozen=True):
    """Decimals read as they are and as text must be the same. ``rows`` compared, ``wrong`` ones."""

    table: str = ""
    column: str = ""
    rows: int = 0
    wrong: int = 0


class Streaming(msgspec.Struct, frozen=True):
    """Reading the start of the largest table: milliseconds to the first rows and to all of them,
    and by how much the reader's process grew: a driver that buffers whole results shows here."""

    table: str = ""
    rows: int = 0
    first_ms: float = 0.0
    all_ms: float = 0.0
    grown_mb: float = 0.0


class Mistake(msgspec.Struct, frozen=True):
    """What the driver says of a statement that is wrong on purpose, and what we take it for:
    anything but "pms.schema_drift" means that errors of this driver are not understood."""

    asked: str
    state: str = ""
    native: int = 0
    taken_for: str = ""

    @property
    def is_understood(self) -> bool:
        return self.taken_for == PmsDrift.code


class TableLine(msgspec.Struct, frozen=True):
    """A table of the contract at this site. ``served_by``: the view or table that is really read;
    "" when none can be. ``missing``: declared columns it lacks."""

    name: str
    served_by: str = ""
    rows: int = 0
    columns: int = 0
    missing: tuple[str, ...] = ()
    page_ms: float = 0.0


class Clock(msgspec.Struct, frozen=True):
    """``ahead_s``: the server's wall clock against this computer's, seconds; None when it does not
    say its time."""

    server: str = ""
    ahead_s: float | None = None
    zone: str = ""


class Codes(msgspec.Struct, frozen=True):
    """What a column of codes holds: value -> rows; or, of whole numbers, least, median, greatest.
    ``note``: what the numbers prove, in words of the settings."""

    column: str
    values: dict[str, int] = {}
    least: int | None = None
    median: int | None = None
    greatest: int | None = None
    note: str = ""


class Survey(msgspec.Struct, frozen=True):
    """One site, looked at once. ``findings``: what stands in the way or needs a person."""

    kind: str
    at: str
    server: Opened = Opened()
    owner: str = ""
    version: str = ""
    streams: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    tables: tuple[TableLine, ...] = ()
    canary: Canary = Canary()
    streaming: Streaming = Streaming()
    mistakes: tuple[Mistake, ...] = ()
    clock: Clock = Clock()
    codes: tuple[Codes, ...] = ()
    findings: tuple[Finding, ...] = ()
    took_s: float = 0.0

    @property
    def is_reached(self) -> bool:
        return bool(self.server.driver or self.server.dbms)


Asks = Callable[["Look"], Iterable[Codes]]


class Look:
    """One connection and the probed site, for what a kind asks of its own rows."""

    def __init__(self, session: OdbcSession, site: Site) -> None:
        self.session = session
        self.site = site

    def real(self, table: str, *columns: str) -> tuple[str, list[str]] | None:
        """The table's real name and the columns'; None when the site lacks one of them."""
        live = self.site.tables.get(table)
        if live is None or not set(columns) <= live.columns.keys():
            return None
        return live.real, [live.columns[name].real for name in columns]

    def rows(self, sql: str) -> Sequence[Row]:
        """Nothing where the statement cannot be answered: the survey goes on."""
        try:
            return self.session.rows(sql, Effort.PROBE)
        except (PmsError, RowTrouble):
            return []

    def counted(self, table: str, column: str) -> Codes | None:
        """Values of a column of codes and how often each stands there; nothing where they are many
        or long, for then they may be anybody's text."""
        found = self.real(table, column)
        if found is None:
            return None
        named, (name,) = found[0], found[1]
        rows = self.rows(f"SELECT t.{name},COUNT(*) FROM {named} t GROUP BY t.{name}")
        if not rows or len(rows) > FEW_CODES or any(len(str(row[0] or "")) > 12 for row in rows):
            return None
        values = {str(row[0] if row[0] is not None else "(null)"): int(row[1]) for row in rows}
        return Codes(f"{table}.{column}", values=values)

    def spread(self, table: str, column: str) -> tuple[Codes, list[int]] | None:
        """Distinct whole numbers of a column, and their spread."""
        found = self.real(table, column)
        if found is None:
            return None
        name = found[1][0]
        rows = self.rows(f"SELECT t.{name},COUNT(*) FROM {found[0]} t GROUP BY t.{name}")
        numbers = sorted(int(row[0]) for row in rows if row[0] is not None)
        if not numbers:
            return None
        middle = numbers[len(numbers) // 2]
        return (
            Codes(f"{table}.{column}", least=numbers[0], median=middle, greatest=numbers[-1]),
            numbers,
        )


def survey(source: OdbcSource, asks: Asks) -> Survey:
    """Never raises for what is wrong at the site: that is what it is for."""
    began = time.perf_counter()
    at = datetime.now(UTC).isoformat(timespec="seconds")
    session = source.session()
    try:
        try:
            server = session.connect()
            facts = source.probe()
        except AgentError as error:
            finding = named(Finding(error.code, Severity.ERROR, error.facts))
            return Survey(
                source.kind, at, server=session.server, findings=(finding,),
                took_s=round(time.perf_counter() - began, 2),
            )  # fmt: skip
        return _looked(source, Look(session, source.site), facts, server, asks, at, began)
    finally:
        session.close()


def _looked(
    source: OdbcSource,
    look: Look,
    facts: SourceFacts,
    server: Opened,
    asks: Asks,
    at: str,
    began: float,
) -> Survey:
    site = source.site
    lines = tuple(_table(look, decl.name) for decl in source.contract.tables)
    canary = _canary(look, site.tables)
    findings = [f for f in facts.findings if f.severity is not Severity.OK]
    if canary.wrong:
        told: dict[str, _Fact] = {"table": canary.table, "rows": canary.wrong}
        findings.append(Finding("pms.decimal_wrong", Severity.ERROR, told))
    mistakes = _mistakes(look)
    findings += [
        Finding("pms.errors_unlike", Severity.WARNING, {"asked": m.asked, "state": m.state})
        for m in mistakes
        if not m.is_understood
    ]
    return Survey(
        kind=source.kind,
        at=at,
        server=server,
        owner=site.owner,
        version=facts.version,
        streams=tuple(s.value for s in Stream if s in site.readable),
        unreadable=tuple(
            s.value for s in Stream if s in source.contract.streams and s not in site.readable
        ),
        tables=lines,
        canary=canary,
        streaming=_streaming(look, site.tables),
        mistakes=mistakes,
        clock=_clock(look, facts.zone),
        codes=tuple(asks(look)),
        findings=tuple(findings),
        took_s=round(time.perf_counter() - began, 2),
    )


def _table(look: Look, name: str) -> TableLine:
    live = look.site.tables.get(name)
    decl = look.site.contract.table(name)
    if live is None:
        return TableLine(name, missing=tuple(column.name for column in decl.columns))
    columns = ",".join(f"t.{column.real}" for column in live.columns.values())
    started = time.perf_counter()
    look.rows(f"SELECT TOP 100 {columns} FROM {live.real} t")
    took_ms = (time.perf_counter() - started) * 1000
    missing = tuple(c.name for c in decl.columns if c.name not in live.columns)
    return TableLine(name, live.real, live.rows, len(live.columns), missing, round(took_ms, 1))


def _canary(look: Look, tables: Mapping[str, LiveTable]) -> Canary:
    """Some drivers fill the decimal structure badly, without any error."""
    for name, live in tables.items():
        for column in live.columns.values():
            if column.kind is not Kind.MONEY or not live.rows:
                continue
            rows = look.rows(
                f"SELECT TOP {CANARY_ROWS} t.{column.real},CAST(t.{column.real} AS VARCHAR(40))"
                f" FROM {live.real} t WHERE t.{column.real}<>0"
            )
            if rows:
                wrong = sum(not _same(read, text) for read, text in rows)
                return Canary(name, column.real, len(rows), wrong)
    return Canary()


def _same(read: object, text: object) -> bool:
    try:
        return Decimal(str(read)) == Decimal(str(text).strip())
    except InvalidOperation:
        return False


def _streaming(look: Look, tables: Mapping[str, LiveTable]) -> Streaming:
    largest = max(tables.values(), key=lambda live: live.rows, default=None)
    if largest is None or not largest.rows or not largest.key:
        return Streaming()
    key = largest.real_key[0]
    started = time.perf_counter()
    look.rows(f"SELECT TOP 1 t.{key} FROM {largest.real} t")
    first_ms = (time.perf_counter() - started) * 1000
    columns = ",".join(f"t.{column.real}" for column in largest.columns.values())
    held_mb = _held_mb(look.session.child_pid)
    started = time.perf_counter()
    rows = look.rows(f"SELECT TOP {STREAM_ROWS} {columns} FROM {largest.real} t")
    all_ms = (time.perf_counter() - started) * 1000
    grown_mb = max(_held_mb(look.session.child_pid) - held_mb, 0.0)
    return Streaming(
        largest.name, len(rows), round(first_ms, 1), round(all_ms, 1), round(grown_mb, 1)
    )


def _held_mb(pid: int | None) -> float:
    """The most a process ever held, where the system keeps that; else what it holds now."""
    try:
        held = psutil.Process(pid).memory_info()
    except psutil.Error:
        return 0.0
    return float(getattr(held, "peak_wset", held.rss)) / 1e6


def _mistakes(look: Look) -> tuple[Mistake, ...]:
    """Vendors say little of their SQLSTATEs; after an upgrade everything hangs on these two."""
    live = next(iter(look.site.tables.values()), None)
    if live is None:
        return ()
    owner = live.real.rpartition(".")[0]
    absent = f"{owner}.{_ABSENT}" if owner else _ABSENT
    return (
        _mistake(look, "table", f"SELECT TOP 1 t.{_ABSENT} FROM {absent} t"),
        _mistake(look, "column", f"SELECT TOP 1 t.{_ABSENT} FROM {live.real} t"),
    )


def _mistake(look: Look, asked: str, sql: str) -> Mistake:
    try:
        look.session.rows(sql, Effort.PROBE)
    except PmsError as error:
        said = error.facts
        state, native = str(said.get("state") or ""), int(said.get("native") or 0)
        return Mistake(asked, state, native, error.code)
    except RowTrouble as trouble:
        return Mistake(asked, taken_for=trouble.reason)
    return Mistake(asked, taken_for="nothing")


def _clock(look: Look, zone: str) -> Clock:
    if not look.site.clock_sql:
        return Clock(zone=zone)
    rows = look.rows(look.site.clock_sql)
    if not rows:
        return Clock(zone=zone)
    said = wall_time(str(rows[0][0]))
    here = datetime.now().astimezone().replace(tzinfo=None)
    ahead = (said - here) / timedelta(seconds=1)
    return Clock(said.isoformat(" ", "seconds"), round(ahead, 1), zone)
