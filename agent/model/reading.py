"""What a PMS reader hands to the engine. A leaf.

A *page* is rows as text, in the order the stream was bound, each with the 112-bit hash the server
computed over exactly these columns in the same statement, so the mirror can later be proven equal
without re-reading (``ARCHITECTURE.md``, "Reading").
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from agent.model.streams import Stream

Key = int | str
"""Primary key of a PMS row. Open Dental: a signed 64-bit integer, maybe random. Text and composite
keys of other systems arrive as such integers too (``drivers.odbc.keys``)."""

Hash = tuple[int, int, int]
"""(key, sum48, xor64) of one row."""


class Column(msgspec.Struct, frozen=True, order=True):
    """A source column: ``table`` is the base table or one the driver can attach."""

    table: str
    name: str


class TableFacts(msgspec.Struct, frozen=True):
    """A live table: columns by exact name with their SQL type, leading columns of indexes."""

    columns: dict[str, str]
    indexed: frozenset[str] = frozenset()
    engine: str = ""
    rows: int = 0


class Severity(StrEnum):
    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


class Finding(msgspec.Struct, frozen=True):
    """One thing a check found. ``code`` is in the message catalogue; facts are PHI-free."""

    code: str
    severity: Severity
    facts: dict[str, str | int | float | None] = {}


class LaneFacts(msgspec.Struct, frozen=True):
    """A timestamp lane: rows of ``table`` stamped since a moment name keys of the stream."""

    name: str
    table: str
    indexed: bool
    rows: int


class StreamFacts(msgspec.Struct, frozen=True):
    """What the site offers for one stream. ``readable`` is False when its base table is missing.

    ``gated``: a gate may tell that its tables moved (``PmsReader.moved``); without one it is looked
    at more gently. ``polled``: records move or vanish and nothing says which, so the live lane
    compares keys and hashes of the hot window (``PollingReader``); where it is ``gated``, after its
    tables moved. ``tailed``: new rows have the highest keys.
    ``hashed``: the server digests rows itself; without it a proof carries them all over the line.
    """

    table: str
    key: str
    rows: int
    tables: tuple[str, ...]  # every table whose change can change a record of this stream
    lanes: tuple[LaneFacts, ...]
    windowed: bool  # has a date window for "hot first" (schedule +-90 days)
    tier: str  # "hot" | "warm" | "cold"
    readable: bool = True
    gated: bool = True
    polled: bool = False
    tailed: bool = True
    hashed: bool = True


class SourceFacts(msgspec.Struct, frozen=True):
    """The result of probing a site."""

    kind: str  # "opendental" | "sample" | "dentrix" | "eaglesoft"
    version: str  # PMS version, e.g. "21.1.9.0"
    server: str  # database server and version
    identity: str  # stable id of server + database + practice (a hash, no names)
    zone: str  # IANA name of the practice's time zone
    tables: dict[str, TableFacts]
    streams: dict[Stream, StreamFacts]
    findings: tuple[Finding, ...] = ()
    random_keys: bool = False
    clinics: bool = False


class ServerClock(msgspec.Struct, frozen=True):
    """Server time (aware UTC) and the start of the oldest statement still running, if visible."""

    now: datetime
    oldest_open: datetime | None


class SourceGuard(msgspec.Struct, frozen=True):
    """Read before believing anything: is this still the database we know, and at rest?"""

    identity: str
    version: str
    update_running: bool
    corrupted: bool
    rebuilding: bool  # a tempConv_% table exists
    high_marks: dict[str, int] = {}  # max key of sentinel tables
    # Max key of tables whose newest rows may also be deleted: several must fall at one look.
    witnesses: dict[str, int] = {}


class Digest(msgspec.Struct, frozen=True):
    """Content of a key range: row count, sum of 48 hash bits, xor of 64 others (signed)."""

    count: int
    sum48: int
    xor64: int


EMPTY_DIGEST = Digest(0, 0, 0)


class BadRow(msgspec.Struct, frozen=True):
    """A row that could not be fetched or decoded; the rest of its page was."""

    key: Key
    reason: str


class Page(msgspec.Struct, frozen=True):
    """Rows ``(key, sum48, xor64, *values)``: text or None in bound order, keys ascending.

    ``exhausted`` is True when the range held no more rows than these.
    """

    rows: list[tuple[object, ...]]
    unreadable: tuple[BadRow, ...] = ()
    exhausted: bool = True
    took_ms: float = 0.0

    @property
    def keys(self) -> set[Key]:
        """Of all records that are there, unreadable ones too."""
        found = {bad.key for bad in self.unreadable}
        found.update(row[0] for row in self.rows)  # type: ignore[misc]
        return found

    @property
    def last(self) -> Key | None:
        """The highest key read, unreadable ones too: where the next page begins."""
        ends = [bad.key for bad in self.unreadable]
        if self.rows:
            ends.append(self.rows[-1][0])  # type: ignore[arg-type]
        return max(ends, default=None)


class Past(msgspec.Struct, frozen=True):
    """A record as it stood right after one change, from a copy the PMS kept. ``page``: its one row
    (none where it cannot be read); ``is_new``: the change was its creation."""

    key: Key
    is_new: bool
    page: Page


class Hint(msgspec.Struct, frozen=True):
    """A log row named this key. ``deleted`` only says the log claims so; the reader re-reads."""

    stream: Stream
    key: Key
    deleted: bool = False


class Tail(msgspec.Struct, frozen=True):
    """Hints found above the given marks, and the marks to continue from (log name -> last key)."""

    hints: list[Hint]
    marks: dict[str, int]


class Stamped(msgspec.Struct, frozen=True):
    """A key named by a timestamp lane; ``stamp`` is whole epoch seconds UTC of the row's stamp,
    ``row`` the primary key of the stamped row itself (differs from ``key`` for child tables)."""

    key: Key
    stamp: int
    row: int
