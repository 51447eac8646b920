"""What a driver promises to know about its vendor's tables, as data; a site may keep less of it.

A driver over ODBC is a ``Contract``: its tables and columns with their certainty, how its streams
are put together, which stamps and logs say what moved. ``drivers.odbc.probe`` holds it against a
live database; statements only ever name columns the probe found. Names used by the data map are the
*logical* ones, the same at every site; where they live is ``Place``'s business.

Pure data. Must not import a database library.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from agent.model.streams import Stream
from drivers.layout import Attachment, Lane

Value = int | str


class Certainty(StrEnum):
    """How sure the source of a fact is; see the vendor's facts. Decides what its absence means."""

    REQUIRED = "required"  # without it the table cannot be used
    KNOWN = "known"  # two sources or the vendor name it: told as missing when a site lacks it
    UNVERIFIED = "unverified"  # one source or inferred: probed, used where found


class Kind(StrEnum):
    """What a column holds, and so how its value leaves as text. See ``drivers.odbc.values``."""

    INT = "int"
    TEXT = "text"  # blank padding is cut
    KEY = "key"  # a key, or a reference to one: becomes the engine's number (drivers.odbc.keys)
    DATE = "date"  # yyyy-mm-dd, whatever the column's own type
    STAMP = "stamp"  # yyyy-mm-dd hh:mm:ss[.ffffff], local wall time
    TIME = "time"
    MONEY = "money"  # decimal digits, never a float's
    NUMBER = "number"
    FLAG = "flag"  # "1" or "0"
    NOTE = "note"  # long text: read last in a statement, as old drivers want it
    ANY = "any"  # by the type the driver reports


class ColumnDecl(msgspec.Struct, frozen=True):
    """A column by its logical name."""

    name: str
    kind: Kind = Kind.ANY
    certainty: Certainty = Certainty.KNOWN


class Place(msgspec.Struct, frozen=True):
    """A view or base table that can serve a logical table. ``spelled``: logical -> real column name
    where they differ; ``lacks``: logical columns this place does not have."""

    table: str
    spelled: dict[str, str] = {}
    lacks: frozenset[str] = frozenset()

    def real(self, column: str) -> str:
        return self.spelled.get(column, column)


class TableDecl(msgspec.Struct, frozen=True):
    """A logical table. ``places``: in order of preference; the first readable one serves.

    ``key``: the columns that identify a row; none for a table of exactly one row (its key is 0).
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[ColumnDecl, ...]
    places: tuple[Place, ...] = ()  # none: a table of the same name

    def column(self, name: str) -> ColumnDecl | None:
        return next((c for c in self.columns if c.name == name), None)


class Op(StrEnum):
    EQ = "="
    NE = "<>"
    IN = "IN"
    NULL = "IS NULL"
    NOT_NULL = "IS NOT NULL"
    ABOVE = ">"


class Test(msgspec.Struct, frozen=True):
    """A condition on a column of the base table: which of its rows are records of the stream.

    A row whose column the site lacks passes, unless ``strict``: then the stream is not readable.
    """

    __test__ = False  # no test case

    column: str
    op: Op
    values: tuple[Value, ...] = ()
    strict: bool = False


class Window(msgspec.Struct, frozen=True):
    """Which records are hot: rows of ``table`` whose ``column`` (DATE or STAMP) lies in the days
    asked for, and that name the stream's key in ``link``. With the base table itself, ``link`` is
    its key; else, say, the patients who have a visit in these days. ``where`` tests that table."""

    table: str
    column: str
    link: str
    where: tuple[Test, ...] = ()


class StreamDecl(msgspec.Struct, frozen=True):
    """How a stream's records come about; attachments and lanes as in ``drivers.layout``.

    ``polled``: no stamp or log says which record moved, so the hot window's keys and row hashes are
    compared every second or so. Ignored where a usable lane on the base table was found.
    """

    table: str
    tier: str  # "hot" | "warm" | "cold"
    where: tuple[Test, ...] = ()
    attached: tuple[Attachment, ...] = ()
    lanes: tuple[Lane, ...] = ()
    window: Window | None = None
    polled: bool = False


class LogDecl(msgspec.Struct, frozen=True):
    """A log of the PMS whose newest rows name records: read above the last mark.

    ``mark``: an increasing whole number, or a STAMP. ``deleted``: rows that claim a deletion.
    """

    table: str
    mark: str
    link: str
    stream: Stream
    deleted: Test | None = None


class Ask(msgspec.Struct, frozen=True):
    """One value of the first row of a table, e.g. the product's version."""

    table: str
    column: str
    where: tuple[Test, ...] = ()


class Setting(msgspec.Struct, frozen=True):
    """A statement run on every new connection. ``needed``: a connection without it is refused;
    otherwise what the engine does not know is left out, and said by ``code``."""

    sql: str
    needed: bool = False
    code: str = ""


class ServerHash(msgspec.Struct, frozen=True):
    """How the engine hashes text: ``template`` with ``{text}`` gives 32 hex digits; ``concat`` is
    its operator; ``cast`` with ``{value}`` and ``{size}`` makes text of any value. Used only where
    the probe saw it answer rightly."""

    template: str = "HASH({text},'MD5')"
    concat: str = "||"
    cast: str = "CAST({value} AS VARCHAR({size}))"


class Contract(msgspec.Struct, frozen=True):
    """Everything a driver over ODBC states about its vendor.

    ``owners``: schemas to look in, in order; empty: wherever the catalogue has the first table.
    ``engines``: parts of the DBMS name the vendor ships; another one is a finding, not a refusal.
    ``clock``: statements that give the server's local time, tried in order.
    ``identity``: values that stay for the life of an installation, hashed, never shown.
    ``sentinels``: tables whose highest number never falls in an honest database.
    ``witnesses``: tables whose highest number falls only when their newest row is deleted; several
    that fall at one look, and none that rose, mean an older database.
    ``isolation``: SQL_TXN_* bit set after connecting, 0 for the driver's default.
    """

    kind: str
    tables: tuple[TableDecl, ...]
    streams: dict[Stream, StreamDecl]
    owners: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
    logs: tuple[LogDecl, ...] = ()
    sentinels: tuple[str, ...] = ()
    witnesses: tuple[str, ...] = ()
    version: Ask | None = None
    identity: tuple[Ask, ...] = ()
    clock: tuple[str, ...] = ()
    settings: tuple[Setting, ...] = ()
    isolation: int = 0
    server_hash: ServerHash | None = None
    fold_keys: bool = False  # text keys that differ only by case are one key (collation)

    def table(self, name: str) -> TableDecl:
        """Raises KeyError: a contract that names a table it does not declare is our bug."""
        found = next((t for t in self.tables if t.name == name), None)
        if found is None:
            raise KeyError(name)
        return found


def columns(spec: str, certainty: Certainty = Certainty.KNOWN) -> tuple[ColumnDecl, ...]:
    """``"patid:key lname:text bday:date"`` as declarations; a name alone is text."""
    found = []
    for word in spec.split():
        name, _, kind = word.partition(":")
        found.append(ColumnDecl(name, Kind(kind) if kind else Kind.TEXT, certainty))
    return tuple(found)


def required(spec: str) -> tuple[ColumnDecl, ...]:
    return columns(spec, Certainty.REQUIRED)


def unverified(spec: str) -> tuple[ColumnDecl, ...]:
    return columns(spec, Certainty.UNVERIFIED)


def known_tables(contract: Contract, stream: Stream) -> tuple[str, ...]:
    """Every logical table whose change can change a record of the stream, base first."""
    decl = contract.streams[stream]
    hung = (attachment.table for attachment in decl.attached)
    return tuple(dict.fromkeys((decl.table, *hung)))
