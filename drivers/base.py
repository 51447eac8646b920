"""The reader every SQL-speaking driver shares, over a session that only knows how to run a SELECT.

Must not import a database library: sessions do (``drivers.opendental.session``,
``drivers.sample.session``).
"""

from __future__ import annotations

import functools
import operator
import struct
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from agent.errors import PmsDrift
from agent.model.reading import (
    EMPTY_DIGEST,
    BadRow,
    Column,
    Digest,
    Hash,
    Key,
    Page,
    Past,
    ServerClock,
    SourceFacts,
    SourceGuard,
    Stamped,
    Tail,
)
from agent.model.streams import Stream
from agent.ports import PmsReader
from drivers.opendental.history import History, history_of
from drivers.opendental.statements import BoundStream, StreamText
from drivers.sqltext import Dialect, TableShape

MAX_KEYS = 1000
_SIGN = 1 << 63
_HASH = struct.Struct(">Qq")  # 16 bytes of MD5: first 48 bits in the upper part, last 64 signed

Row = tuple[Any, ...]
Held = TypeVar("Held")


class Effort(StrEnum):
    """How long the server may work on a statement before it must drop it."""

    PAGE = "page"
    DIGEST = "digest"  # reads more rows and sends none: several times a page
    PROBE = "probe"  # once per probe, on the catalogue


class RowTrouble(Exception):
    """One row of a result cannot be delivered; the others may be. Internal to the drivers."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def deliverable(
    keys: Sequence[Key], read: Callable[[Sequence[Key]], tuple[list[Row], list[BadRow]]]
) -> tuple[list[Row], list[BadRow]]:
    """The rows with these keys, though some cannot be delivered: the keys are halved until what
    ``read`` raises RowTrouble for stands alone. Good rows, bad rows."""
    if not keys:
        return [], []
    try:
        return read(keys)
    except RowTrouble as trouble:
        if len(keys) == 1:
            return [], [BadRow(keys[0], trouble.reason)]
    middle = len(keys) // 2
    rows, bad = deliverable(keys[:middle], read)
    more, more_bad = deliverable(keys[middle:], read)
    return rows + more, bad + more_bad


def known(held: Mapping[Stream, Held], stream: Stream, code: str) -> Held:
    """What is held for a stream. Raises PmsDrift with ``code`` where nothing is."""
    found = held.get(stream)
    if found is None:
        raise PmsDrift(code, stream=stream.value)
    return found


class UndecodableText(RowTrouble):
    """A text value holds bytes that are no text."""

    def __init__(self) -> None:
        super().__init__("text.undecodable")


class Session(Protocol):
    """A read-only connection that reconnects on its next use after it was lost."""

    @property
    def place(self) -> str:
        """Which server this is, once a statement ran; part of the source's identity."""

    def rows(self, sql: str, effort: Effort = Effort.PAGE) -> Sequence[Row]:
        """All rows; text as str, keys as int. Raises the Pms errors, or RowTrouble."""

    def raw_rows(self, sql: str, effort: Effort = Effort.PAGE) -> Sequence[Row]:
        """The same with text as bytes."""

    def close(self) -> None: ...


class Observatory(Protocol):
    """What only a kind of source knows: its clock, its guard, its gates and its logs."""

    def clock(self, session: Session) -> ServerClock: ...
    def guard(self, session: Session) -> SourceGuard: ...
    def moved(self, session: Session, tables: Sequence[str]) -> dict[str, str]: ...
    def tail(self, session: Session, marks: Mapping[str, int], limit: int) -> Tail: ...
    def entered(self, session: Session, patients: Sequence[int]) -> dict[Key, bool]: ...


def signed64(value: int) -> int:
    return value - (1 << 64) if value >= _SIGN else value


def digest_of_keys(keys: Iterable[int]) -> Digest:
    """What ``key_digest`` must return for these keys."""
    held = list(keys)
    mask = (1 << 48) - 1
    return Digest(
        len(held),
        sum(k & mask for k in held),
        functools.reduce(operator.xor, held, 0),
    )


def split_hashes(rows: Sequence[Row]) -> tuple[list[Row], list[BadRow]]:
    """``(key, hash, *values)`` -> ``(key, sum48, xor64, *values)``; a row without a hash is bad."""
    bad = [BadRow(row[0], "row.too_large") for row in rows if row[1] is None]
    if bad:
        rows = [row for row in rows if row[1] is not None]
    packed = bytes.fromhex("".join([row[1] for row in rows]))
    good = [
        (row[0], top >> 16, last, *row[2:])
        for row, (top, last) in zip(rows, _HASH.iter_unpack(packed), strict=True)
    ]
    good.sort(key=operator.itemgetter(0))
    return good, bad


def _decoded(row: Row) -> Row:
    return tuple(v.decode() if isinstance(v, bytes) else v for v in row)


class TableReader:
    """``agent.ports.PmsReader`` over a session."""

    def __init__(
        self,
        session: Session,
        observatory: Observatory,
        texts: Mapping[Stream, StreamText],
        bound: Mapping[Stream, BoundStream],
        histories: Mapping[Stream, History],
    ) -> None:
        self._session = session
        self._observatory = observatory
        self._texts = texts
        self._bound = bound
        self._histories = histories

    def clock(self) -> ServerClock:
        return self._observatory.clock(self._session)

    def guard(self) -> SourceGuard:
        return self._observatory.guard(self._session)

    def moved(self, tables: Iterable[str]) -> dict[str, str]:
        return self._observatory.moved(self._session, list(tables))

    def tail(self, marks: Mapping[str, int], limit: int) -> Tail:
        return self._observatory.tail(self._session, marks, limit)

    def max_key(self, stream: Stream) -> Key | None:
        found = self._session.rows(self._text(stream).max_key())[0][0]
        return None if found is None else int(found)

    def keys_after(self, stream: Stream, key: Key | None, limit: int) -> list[Key]:
        text = self._text(stream)
        return self._keys(text.keys(text.within(key, None), limit))

    def keys_since(
        self,
        stream: Stream,
        lane: str,
        since: datetime,
        after: tuple[int, int] | None,
        limit: int,
    ) -> list[Stamped]:
        text = self._text(stream)
        found = next((known for known in text.spec.lanes if known.name == lane), None)
        if found is None:
            raise PmsDrift("pms.lane_missing", stream=stream.value, lane=lane)
        named: list[Stamped] = []
        while True:
            rows = self._session.rows(text.lane(found, since, after, limit))
            named += [
                Stamped(int(key), int(stamp), int(row))
                for stamp, row, key in rows
                if key is not None and int(key) != 0
            ]
            # Rows that name nothing (no link, no partner) must not look like the end of the lane.
            read = len({row for _, row, _ in rows})
            if read < limit or len(named) >= limit:
                return named
            after = (int(rows[-1][0]), int(rows[-1][1]))

    def keys_in_window(
        self, stream: Stream, first: date, last: date, after: Key | None, limit: int
    ) -> list[Key]:
        text = self._text(stream)
        if not text.spec.window:
            return []
        return self._keys(text.window(first, last, after, limit))

    def hashes_in_window(self, stream: Stream, first: date, last: date) -> list[Hash]:
        asked = self._bound_to(stream).hashes(first, last)
        rows, _ = split_hashes(self._session.rows(asked, Effort.DIGEST))
        return [(int(key), sum48, xor64) for key, sum48, xor64 in rows]

    def read_range(self, stream: Stream, lo: Key | None, hi: Key | None, limit: int) -> Page:
        bound = self._bound_to(stream)
        where = bound.within(lo, hi)
        started = time.perf_counter()
        rows, bad, seen = self._read(bound, where, limit)
        took_ms = (time.perf_counter() - started) * 1000
        return Page(rows, tuple(bad), exhausted=seen < limit, took_ms=took_ms)

    def read_keys(self, stream: Stream, keys: Sequence[Key]) -> Page:
        if len(keys) > MAX_KEYS:
            raise ValueError(f"at most {MAX_KEYS} keys")
        if not keys:
            return Page([])
        bound = self._bound_to(stream)
        started = time.perf_counter()
        rows, bad, _ = self._read(bound, bound.among(keys), MAX_KEYS)
        return Page(rows, tuple(bad), took_ms=(time.perf_counter() - started) * 1000)

    def past_end(self, stream: Stream) -> Key | None:
        kept = self._histories.get(stream)
        if kept is None:
            return None
        return int(self._session.rows(kept.end())[0][0] or 0)

    def past(
        self,
        stream: Stream,
        above: Key,
        limit: int,
        *,
        key: Key | None = None,
        patient: Key | None = None,
    ) -> list[Past]:
        kept = self._histories.get(stream)
        if kept is None:
            return []
        if key is not None:
            listed = kept.of(key, above, limit)
        elif patient is not None:
            listed = kept.made_for(patient, above, limit)
        else:
            raise ValueError("of whom?")
        found = []
        for number, own, is_new in self._session.rows(listed):
            rows, bad, _ = self._read(kept.bound, kept.copy(int(number)), 1)
            found.append(Past(int(own), bool(int(is_new)), Page(rows, tuple(bad))))
        return found

    def entered(self, stream: Stream, keys: Sequence[Key]) -> dict[Key, bool]:
        if stream is not Stream.PATIENT or not keys:
            return {}
        return self._observatory.entered(self._session, [int(key) for key in keys])

    def digest(self, stream: Stream, lo: Key | None, hi: Key | None) -> Digest:
        bound = self._bound_to(stream)
        return self._digest(bound.digest(bound.within(lo, hi)))

    def key_digest(self, stream: Stream, lo: Key | None, hi: Key | None) -> Digest:
        """Count; sum of the keys' low 48 bits; xor of the keys (``digest_of_keys``)."""
        text = self._text(stream)
        return self._digest(text.key_digest(text.within(lo, hi)))

    def nth_key(self, stream: Stream, lo: Key | None, n: int) -> Key | None:
        text = self._text(stream)
        sql = text.keys(text.within(lo, None), 1, skip=n - 1)
        found = self._keys(sql, Effort.DIGEST)
        return found[0] if found else None

    def close(self) -> None:
        self._session.close()

    def _text(self, stream: Stream) -> StreamText:
        return known(self._texts, stream, "pms.stream_unreadable")

    def _bound_to(self, stream: Stream) -> BoundStream:
        return known(self._bound, stream, "pms.stream_unbound")

    def _keys(self, sql: str, effort: Effort = Effort.PAGE) -> list[Key]:
        return [int(row[0]) for row in self._session.rows(sql, effort)]

    def _digest(self, sql: str) -> Digest:
        count, total, mixed = self._session.rows(sql, Effort.DIGEST)[0]
        if not int(count):
            return EMPTY_DIGEST
        return Digest(int(count), int(total or 0), signed64(int(mixed or 0)))

    def _read(
        self, bound: BoundStream, where: str, limit: int
    ) -> tuple[list[Row], list[BadRow], int]:
        """Good rows, bad rows, and how many keys the server had for the question."""
        try:
            fetched = self._session.rows(bound.read(where, limit))
        except UndecodableText:
            return self._read_raw(bound, where, limit)
        except RowTrouble:
            keys = self._keys(bound.keys(where, limit))
            rows, bad = deliverable(keys, functools.partial(self._read_exactly, bound))
            return rows, bad, len(keys)
        rows, bad = split_hashes(fetched)
        return rows, bad, len(fetched)

    def _read_raw(
        self, bound: BoundStream, where: str, limit: int
    ) -> tuple[list[Row], list[BadRow], int]:
        """The same page as bytes, decoded row by row: only the broken ones are lost."""
        whole: list[Row] = []
        bad: list[BadRow] = []
        fetched = self._session.raw_rows(bound.read(where, limit))
        for raw in fetched:
            try:
                whole.append(_decoded(raw))
            except UnicodeDecodeError:
                bad.append(BadRow(int(raw[0]), "text.undecodable"))
        rows, unhashed = split_hashes(whole)
        return rows, bad + unhashed, len(fetched)

    def _read_exactly(
        self, bound: BoundStream, keys: Sequence[Key]
    ) -> tuple[list[Row], list[BadRow]]:
        """Raises RowTrouble."""
        return split_hashes(self._session.rows(bound.read(bound.among(keys), len(keys))))


class TableSource:
    """Half of ``agent.ports.PmsSource``: binding and opening. A kind adds ``probe``."""

    kind = ""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._shapes: dict[str, TableShape] | None = None
        self._texts: dict[Stream, StreamText] = {}
        self._bound: dict[Stream, BoundStream] = {}
        self._histories: dict[Stream, History] = {}

    def probe(self) -> SourceFacts:
        raise NotImplementedError

    def open(self) -> PmsReader:
        raise NotImplementedError

    def bind(self, stream: Stream, columns: Sequence[Column]) -> None:
        shapes = self._known_shapes()
        self._bound[stream] = BoundStream(stream, columns, self._dialect, shapes)
        kept = history_of(stream, columns, self._dialect, shapes)
        self._histories.pop(stream, None)
        if kept is not None:
            self._histories[stream] = kept

    def _known_shapes(self) -> dict[str, TableShape]:
        if self._shapes is None:
            self.probe()
        if self._shapes is None:
            raise PmsDrift("pms.not_probed")
        return self._shapes

    def _learn(self, shapes: dict[str, TableShape], readable: Iterable[Stream]) -> None:
        self._shapes = shapes
        self._texts.clear()
        self._texts.update({s: StreamText(s, self._dialect, shapes) for s in readable})
