"""What parent and child say to each other: typed messages in length-prefixed frames. No pickle.

Imported by the child, which may be a 32-bit interpreter with little installed: only msgspec and the
standard library here. Nothing in a message depends on the width of either side.
"""

from __future__ import annotations

import itertools
import operator
import struct
from collections.abc import Sequence
from typing import BinaryIO, TypeVar

import msgspec

PROTOCOL = 1  # a packed reader may be older than the agent: raised when a message changes meaning
MAX_FRAME = 256 * 1024 * 1024
_LENGTH = struct.Struct(">I")


class Moment(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A parameter bound as a timestamp (``yyyy-mm-dd hh:mm:ss[.ffffff]``) or a date."""

    text: str
    date_only: bool = False


class Money(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A parameter bound as a decimal."""

    text: str


Param = None | int | str | Moment | Money
Cell = None | int | str
"""What leaves the child: whole numbers as they are, all else as text (``drivers.odbc.values``)."""


# --- requests -----------------------------------------------------------------------------------


class Open(msgspec.Struct, frozen=True, tag=True):
    """Connect. ``settings``: (statement, needed, code) run on the connection, in order."""

    connection: str
    login_timeout_s: int = 10
    encoding: str = ""
    isolation: int = 0
    settings: tuple[tuple[str, bool, str], ...] = ()
    reads_only: bool = True


class Query(msgspec.Struct, frozen=True, tag=True):
    """Any SELECT. ``limit``: stop fetching after so many rows; 0 for all."""

    sql: str
    params: tuple[Param, ...] = ()
    limit: int = 0
    timeout_s: int = 0


class Gather(msgspec.Struct, frozen=True):
    """A 1:N (or folded) attachment of a page, read with a statement of its own.

    Rows are ``(own, *parts)``; ``sql_range`` takes the lowest and highest ``own`` of the page and
    is "" where they cannot be compared, ``sql_among`` takes ``width`` of them. ``link``: the hidden
    column of the page that ``own`` equals, counted in ``Fetch.hidden``; -1 for the key itself.
    ``fold``: "" to gather parts into one text, else MAX, MIN or BIT_OR over each part.
    """

    sql_range: str
    sql_among: str
    width: int
    kinds: str
    link: int = -1
    fold: str = ""
    params: tuple[Param, ...] = ()


class Slot(msgspec.Struct, frozen=True, array_like=True):
    """Where a value of the record comes from: column ``at`` of the page, or of a gather."""

    at: int
    gather: int = -1


class Fetch(msgspec.Struct, frozen=True, tag=True):
    """A page of records: ``(key parts, [hash], hidden, values)`` in the order of the SELECT.

    ``kinds``: a letter per value column (``drivers.odbc.values``). ``what``: "rows", "digest",
    "hashes" (keys and hashes only).
    """

    sql: str
    params: tuple[Param, ...]
    keys: int
    kinds: str
    slots: tuple[Slot, ...]
    hidden: int = 0
    gathers: tuple[Gather, ...] = ()
    spread: bool = False  # keys lie far apart: gather by listing them
    server_hash: bool = False
    fold_keys: bool = False
    what: str = "rows"
    limit: int = 0
    timeout_s: int = 0


class Keys(msgspec.Struct, frozen=True, tag=True):
    """Keys only. ``last``: send just the last of them, and how many there were. ``digest``: only
    their ``Sum`` (``drivers.base.digest_of_keys``)."""

    sql: str
    params: tuple[Param, ...]
    keys: int = 1
    fold_keys: bool = False
    natives: bool = False
    last: bool = False
    digest: bool = False
    limit: int = 0
    timeout_s: int = 0


class Catalogue(msgspec.Struct, frozen=True, tag=True):
    """``what``: "tables", "columns", "keys", "indexes", "procedures", "shape" (names and types of
    ``SELECT * .. WHERE 1=0``; ``table`` then is the whole name)."""

    what: str
    table: str = ""
    schema: str = ""


class Act(msgspec.Struct, frozen=True, tag=True):
    """Write: all statements or none. ``expected``: rows each must touch, -1 where unsaid; another
    number rolls everything back and is said as ``Undone``."""

    statements: tuple[tuple[str, tuple[Param, ...], int], ...]
    timeout_s: int = 0


Request = Open | Query | Fetch | Keys | Catalogue | Act


# --- replies ------------------------------------------------------------------------------------


class Opened(msgspec.Struct, frozen=True, tag=True):
    """The server as it says itself, and the codes of settings it did not take."""

    dbms: str = ""
    dbms_version: str = ""
    driver: str = ""
    driver_version: str = ""
    odbc_version: str = ""
    database: str = ""
    server: str = ""
    user: str = ""
    left_out: tuple[str, ...] = ()
    bits: int = 64
    python: str = ""
    pid: int = 0
    protocol: int = 0


class Rows(msgspec.Struct, frozen=True, tag=True):
    rows: list[tuple[Cell, ...]]
    names: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


class Records(msgspec.Struct, frozen=True, tag=True):
    """``(key, sum48, xor64, *values)`` ascending; ``seen``: rows the server had, keyless ones too;
    ``keyless``: rows whose key was NULL or blank; ``twice``: keys that stood for two rows (two text
    keys with one number, or a join that is no 1:1).

    A page may come in parts, all but the last with ``more``; only the last tells of the whole
    page. ``mixed``: the rows are still to be sorted, and ``twice`` to be left out (``joined``).
    """

    rows: list[tuple[Cell, ...]]
    seen: int
    keyless: int = 0
    twice: tuple[int, ...] = ()
    natives: list[tuple[int, tuple[Cell, ...]]] = []
    more: bool = False
    mixed: bool = False


class Sum(msgspec.Struct, frozen=True, tag=True):
    count: int
    sum48: int
    xor64: int


class Found(msgspec.Struct, frozen=True, tag=True):
    """Keys in the server's order; ``natives`` for those only the reader can tell (hashed)."""

    codes: list[int]
    seen: int
    natives: list[tuple[int, tuple[Cell, ...]]] = []


class Done(msgspec.Struct, frozen=True, tag=True):
    """What each statement touched, and the last one's rows if it had any."""

    touched: tuple[int, ...]
    rows: list[tuple[Cell, ...]] = []


class Undone(msgspec.Struct, frozen=True, tag=True):
    """Rolled back: statement ``at`` touched ``touched`` rows."""

    at: int
    touched: int


class Failed(msgspec.Struct, frozen=True, tag=True):
    """What the driver said. ``text`` has no connection string in it; it may hold values: it is
    classified, never logged. ``phase``: "import", "connect", "setting", "execute", "fetch",
    "value". ``sent``: a write may have reached the server."""

    phase: str
    state: str = ""
    native: int = 0
    text: str = ""
    kind: str = ""  # Python's class of the exception
    sent: bool = False


Reply = Opened | Rows | Records | Sum | Found | Done | Undone | Failed


def joined(parts: Sequence[Records], last: Records) -> Records:
    """The whole page."""
    rows = [*itertools.chain.from_iterable(part.rows for part in parts), *last.rows]
    if last.twice:
        twice = set(last.twice)
        rows = [row for row in rows if row[0] not in twice]
    if last.mixed:
        rows.sort(key=operator.itemgetter(0))
    return msgspec.structs.replace(last, rows=rows, mixed=False)


Said = TypeVar("Said")
_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)
_encoder = msgspec.msgpack.Encoder()


class Ended(Exception):
    """The other side is gone."""


def send(pipe: BinaryIO, message: Request | Reply) -> None:
    """Raises Ended."""
    frame = bytearray(_LENGTH.size)
    _encoder.encode_into(message, frame, _LENGTH.size)
    _LENGTH.pack_into(frame, 0, len(frame) - _LENGTH.size)
    try:
        pipe.write(frame)  # in one go: each write wakes the other side
        pipe.flush()
    except (OSError, ValueError):
        raise Ended from None


def receive_request(pipe: BinaryIO) -> Request:
    return _decoded(_requests, pipe)


def receive_reply(pipe: BinaryIO) -> Reply:
    """The next reply; the parts of a page put together. A page that failed on the way is the
    failure."""
    parts: list[Records] = []
    while True:
        reply = _decoded(_replies, pipe)
        if not isinstance(reply, Records):
            return reply
        if not reply.more:
            return joined(parts, reply) if parts else reply
        parts.append(reply)


def _decoded(decoder: msgspec.msgpack.Decoder[Said], pipe: BinaryIO) -> Said:
    try:
        return decoder.decode(_frame(pipe))
    except msgspec.DecodeError:  # a program that is no reader of ours
        raise Ended from None


def _frame(pipe: BinaryIO) -> bytes:
    """Raises Ended at the end of the stream, and for what is no frame of ours."""
    try:
        head = pipe.read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            raise Ended
        (length,) = _LENGTH.unpack(head)
        if length > MAX_FRAME:
            raise Ended
        body = pipe.read(length)
    except (OSError, ValueError):
        raise Ended from None
    if len(body) < length:
        raise Ended
    return body
