"""``agent.ports.PmsReader`` over one ODBC connection and a probed site."""

from __future__ import annotations

import functools
import operator
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime

from agent.errors import PmsDrift, PmsUnavailable
from agent.model.reading import (
    BadRow,
    Digest,
    Hash,
    Key,
    Page,
    Past,
    ServerClock,
    SourceGuard,
    Stamped,
    Tail,
)
from agent.model.streams import Stream
from drivers.base import MAX_KEYS, Effort, Row, RowTrouble, deliverable, known
from drivers.odbc import wire
from drivers.odbc.keyring import Keyring, keyring
from drivers.odbc.lanes import stamped_since
from drivers.odbc.observe import Observer
from drivers.odbc.session import OdbcSession, ReaderDied, ReaderOverdue
from drivers.odbc.statements import BoundPlan, StreamPlan, Where

DEATHS_ON_ONE_PAGE = 2  # a page that killed the child so often is taken apart
SILENCES_ON_ONE_PAGE = 3  # so is one that was not answered, while the server answers others


class OdbcReader:
    """One lane's reader; not thread-safe."""

    def __init__(
        self,
        session: OdbcSession,
        observer: Observer,
        plans: Mapping[Stream, StreamPlan],
        bound: Mapping[Stream, BoundPlan],
    ) -> None:
        self._session = session
        self._observer = observer
        self._plans = plans
        self._bound = bound
        self._rings: dict[Stream, Keyring] = {}
        self._suspects: dict[tuple[object, ...], int] = {}

    @property
    def session(self) -> OdbcSession:
        return self._session

    def clock(self) -> ServerClock:
        return self._observer.clock(self._session)

    def guard(self) -> SourceGuard:
        return self._observer.guard(self._session)

    def moved(self, tables: Iterable[str]) -> dict[str, str]:
        """No engine here tells cheaply that a table changed: always ""."""
        return dict.fromkeys(tables, "")

    def tail(self, marks: Mapping[str, int], limit: int) -> Tail:
        return self._observer.tail(self._session, marks, limit)

    def max_key(self, stream: Stream) -> Key | None:
        return self._ring(stream).highest()

    def keys_after(self, stream: Stream, key: Key | None, limit: int) -> list[Key]:
        return list(self._ring(stream).after(_number(key), limit))

    def keys_since(
        self,
        stream: Stream,
        lane: str,
        since: datetime,
        after: tuple[int, int] | None,
        limit: int,
    ) -> list[Stamped]:
        plan = self._plan(stream)
        found = next((known for known in plan.decl.lanes if known.name == lane), None)
        if found is None or found.table not in plan.tables:
            raise PmsDrift("pms.lane_missing", stream=stream.value, lane=lane)
        zone = self._observer.zone
        return stamped_since(self._session, plan, found, zone, since, after, limit)

    def keys_in_window(
        self, stream: Stream, first: date, last: date, after: Key | None, limit: int
    ) -> list[Key]:
        plan = self._plan(stream)
        if plan.decl.window is None or plan.decl.window.table not in plan.tables:
            return []
        where = plan.window(first, last)
        lo = _number(after)
        if plan.coded:
            found = self._session.keys(plan.list_keys(where))
            self._ring(stream).learn(found.natives, found.codes)
            above = sorted(code for code in set(found.codes) if lo is None or code > lo)
            return list(above[:limit])
        if lo is not None:
            where = where.also(f"{plan.key}>?", lo)
        return list(self._session.keys(plan.list_keys(where, limit)).codes)

    def hashes_in_window(self, stream: Stream, first: date, last: date) -> list[Hash]:
        bound = self._bound_to(stream)
        asked = bound.fetch(bound.window(first, last), what="hashes")
        found = self._session.fetch(asked, Effort.DIGEST)
        assert isinstance(found, wire.Records)
        self._ring(stream).learn(found.natives, [int(row[0] or 0) for row in found.rows])
        return found.rows  # type: ignore[return-value]

    def read_range(self, stream: Stream, lo: Key | None, hi: Key | None, limit: int) -> Page:
        ring = self._ring(stream)
        started = time.perf_counter()
        slices = ring.slices(_number(lo), _number(hi), limit)
        rows, bad, seen = self._read(stream, slices)
        took_ms = (time.perf_counter() - started) * 1000
        return Page(rows, tuple(bad), exhausted=seen < limit, took_ms=took_ms)

    def read_keys(self, stream: Stream, keys: Sequence[Key]) -> Page:
        if len(keys) > MAX_KEYS:
            raise ValueError(f"at most {MAX_KEYS} keys")
        if not keys:
            return Page([])
        started = time.perf_counter()
        rows, bad, _ = self._read(stream, self._named(stream, keys))
        return Page(rows, tuple(bad), took_ms=(time.perf_counter() - started) * 1000)

    def past_end(self, stream: Stream) -> Key | None:
        """Neither vendor is known to keep whole copies of what records were."""
        return None

    def past(
        self,
        stream: Stream,
        above: Key,
        limit: int,
        *,
        key: Key | None = None,
        patient: Key | None = None,
    ) -> list[Past]:
        return []

    def entered(self, stream: Stream, keys: Sequence[Key]) -> dict[Key, bool]:
        """No log here says who entered a record."""
        return {}

    def digest(self, stream: Stream, lo: Key | None, hi: Key | None) -> Digest:
        bound = self._bound_to(stream)
        count = sum48 = xor64 = 0
        for where, limit, spread in self._ring(stream).slices(_number(lo), _number(hi), 0):
            asked = bound.fetch(where, limit=limit, spread=spread, what="digest")
            try:
                found = self._session.fetch(asked, Effort.DIGEST)
            except RowTrouble:
                return self._digest_of_readable(stream, lo, hi)
            assert isinstance(found, wire.Sum)
            count, sum48, xor64 = count + found.count, sum48 + found.sum48, xor64 ^ found.xor64
        return Digest(count, sum48, xor64)

    def key_digest(self, stream: Stream, lo: Key | None, hi: Key | None) -> Digest:
        return self._ring(stream).digest(_number(lo), _number(hi))

    def nth_key(self, stream: Stream, lo: Key | None, n: int) -> Key | None:
        return self._ring(stream).nth(_number(lo), n)

    def close(self) -> None:
        self._session.close()

    # -- pieces ---------------------------------------------------------------------------------

    def _plan(self, stream: Stream) -> StreamPlan:
        return known(self._plans, stream, "pms.stream_unreadable")

    def _bound_to(self, stream: Stream) -> BoundPlan:
        return known(self._bound, stream, "pms.stream_unbound")

    def _ring(self, stream: Stream) -> Keyring:
        if stream not in self._rings:
            self._rings[stream] = keyring(self._session, self._plan(stream))
        return self._rings[stream]

    def _named(self, stream: Stream, keys: Sequence[Key]) -> Iterator[tuple[Where, int, bool]]:
        codes = sorted({int(key) for key in keys})
        for where in self._ring(stream).among(codes):
            yield where, 0, True

    def _read(
        self, stream: Stream, slices: Iterable[tuple[Where, int, bool]]
    ) -> tuple[list[Row], list[BadRow], int]:
        """Good rows, bad rows, and how many rows the server had for the question."""
        bound = self._bound_to(stream)
        rows: list[Row] = []
        bad: list[BadRow] = []
        seen = 0
        spread = False
        for where, limit, spread in slices:
            asked = bound.fetch(where, limit=limit, spread=spread)
            try:
                found = self._fetched(asked)
            except RowTrouble:
                keys = self._session.keys(bound.list_keys(where, limit)).codes
                exactly = functools.partial(self._read_exactly, bound)
                good, broken = deliverable(sorted(set(keys)), exactly)
                rows, seen = rows + good, seen + len(keys)
                bad += broken
                continue
            if bound.coded:
                self._ring(stream).learn(found.natives, [int(row[0] or 0) for row in found.rows])
            rows = rows + found.rows if rows else found.rows
            bad += [BadRow(key, "key.twice") for key in found.twice]
            seen += found.seen
        if bound.coded or bad or spread:
            rows.sort(key=operator.itemgetter(0))
        return rows, bad, seen

    def _fetched(self, asked: wire.Fetch) -> wire.Records:
        """A page. One that kills the child again and again, or is never answered, is RowTrouble:
        some row of it is poison to the driver."""
        mark = (asked.sql, asked.params)
        try:
            found = self._session.fetch(asked)
        except (ReaderDied, ReaderOverdue) as error:
            died = isinstance(error, ReaderDied)
            times = self._suspects[mark] = self._suspects.get(mark, 0) + 1
            if times < (DEATHS_ON_ONE_PAGE if died else SILENCES_ON_ONE_PAGE):
                raise
            del self._suspects[mark]
            raise self._accused(error) from None
        assert isinstance(found, wire.Records)
        self._suspects.pop(mark, None)
        return found

    def _read_exactly(
        self, bound: BoundPlan, keys: Sequence[Key]
    ) -> tuple[list[Row], list[BadRow]]:
        """Raises RowTrouble."""
        rows: list[Row] = []
        for where in self._ring(bound.stream).among([int(key) for key in keys]):
            try:
                found = self._session.fetch(bound.fetch(where, spread=True))
            except (ReaderDied, ReaderOverdue) as error:
                raise self._accused(error) from None
            assert isinstance(found, wire.Records)
            rows += found.rows
        return rows, []

    def _accused(self, error: PmsUnavailable) -> RowTrouble:
        """A row is to blame only while the server is there. Raises the Pms errors if it is not."""
        self.clock()
        died = isinstance(error, ReaderDied)
        return RowTrouble("row.kills_driver" if died else "row.never_answered")

    def _digest_of_readable(self, stream: Stream, lo: Key | None, hi: Key | None) -> Digest:
        """Where a row cannot be read: the digest of the others, which the mirror can hold. The
        count says that there is one more, so that the chunk is looked at row by row."""
        ring = self._ring(stream)
        rows, bad, _ = self._read(stream, ring.slices(_number(lo), _number(hi), 0))
        sums = [(int(row[1]), int(row[2])) for row in rows]
        mixed = 0
        for _, last in sums:
            mixed ^= last
        return Digest(len(rows) + len(bad), sum(top for top, _ in sums), mixed)


def _number(key: Key | None) -> int | None:
    return None if key is None else int(key)
