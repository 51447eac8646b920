"""The sweep: prove every chunk of every stream equal to the PMS, again and again (rungs 4 and 5).

The server digests the chunk; it must equal the aggregate of what the mirror holds *now* (never a
remembered server value: a source that silently returns to an old state would match it for ever).
If not, bisect to the rows, read them, and only a fresh comparison may accept the chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

import structlog

from agent.journal.journal import Journal
from agent.journal.rows import Chunk, Urgency
from agent.model.hours import Week
from agent.model.reading import Digest, Key, SourceFacts, StreamFacts
from agent.model.streams import Stream
from agent.ports import Clock, PmsReader
from agent.sync.capture import Capture
from agent.sync.offpeak import is_dear, quiet_due
from agent.sync.pace import Pace, Paces
from agent.sync.streammap import StreamMap

log = structlog.get_logger(__name__)

FIRST_DIGEST_ROWS = 200  # before anything is known of what a row costs
DIGEST_MS = 25.0  # target of one digest statement
MAX_TRIES = 3  # repairs of one chunk before it is split: somebody keeps writing into it


@dataclass(frozen=True, slots=True)
class Swept:
    """One chunk's visit. ``late``: changes only the sweep found (a measure of the upper rungs)."""

    verified: bool
    rows: int = 0
    late: int = 0
    missing: int = 0
    unreadable: int = 0

    def plus(self, other: Swept) -> Swept:
        return Swept(
            self.verified and other.verified,
            self.rows + other.rows,
            self.late + other.late,
            self.missing + other.missing,
            self.unreadable + other.unreadable,
        )


@dataclass(frozen=True, slots=True)
class Rotation:
    """Longest time a chunk may stay unproven, by tier, and the rows one chunk should hold.

    ``week``: the office's hours, in ``zone``; what is dear to prove keeps clear of them.
    """

    hot_s: float
    warm_s: float
    cold_s: float
    chunk_rows: int = 8000
    week: Week = ()
    zone: tzinfo = UTC

    def period_s(self, tier: str) -> float:
        return {"hot": self.hot_s, "warm": self.warm_s}.get(tier, self.cold_s)

    def next_due(self, facts: StreamFacts, now: datetime) -> datetime:
        """A little early: the promise is "within R", not "about R"."""
        period = timedelta(seconds=self.period_s(facts.tier))
        due = now + period * 0.8
        if not self.week or not is_dear(facts, self.chunk_rows):
            return due
        wall = now.astimezone(self.zone)
        quiet = quiet_due(self.week, due.astimezone(self.zone), wall + period, wall)
        return quiet.astimezone(UTC)


class Sweep:
    """Works through due chunks with one reader; rests between statements (``rest``)."""

    def __init__(
        self,
        journal: Journal,
        capture: Capture,
        clock: Clock,
        rotation: Rotation,
        facts: SourceFacts,
        paces: Paces,
        duty: float,
        rest: Callable[[float], bool],
        believe: Callable[[PmsReader], None],
    ) -> None:
        self._journal = journal
        self._capture = capture
        self._clock = clock
        self._rotation = rotation
        self._facts = facts
        self._paces = paces
        self._digest_paces = Paces(
            lambda: Pace(FIRST_DIGEST_ROWS, DIGEST_MS, duty, ceiling_rows=rotation.chunk_rows)
        )
        self._rest = rest
        self._believe = believe

    def visit(self, reader: PmsReader, mapped: StreamMap, chunk: Chunk) -> Swept:
        """Prove one chunk, piece by piece, each piece a short statement.

        PmsErrors pass through; the ledger then keeps the last proof's time.
        """
        began = self._clock.now()
        total = Swept(True)
        at = chunk.lo
        while True:
            end = self._piece_end(chunk, at)
            piece = self._prove(reader, mapped, at, end)
            total = total.plus(piece)
            if not piece.verified:
                self._split_or_fail(chunk)
                return total
            if end == chunk.hi:
                self._accept(reader, chunk, began, total.rows)
                return total
            at = end

    def _piece_end(self, chunk: Chunk, at: Key | None) -> Key | None:
        """Upper bound of the next piece: so many mirrored rows on, or the chunk's own end."""
        rows = self._digest_paces.of(chunk.stream).rows
        end = self._journal.nth_key(chunk.stream, at, rows)
        if end is None or (chunk.hi is not None and not _below(end, chunk.hi)):
            return chunk.hi
        return end

    def _prove(self, reader: PmsReader, mapped: StreamMap, lo: Key | None, hi: Key | None) -> Swept:
        stream = mapped.stream
        late = missing = unreadable = rows = 0
        for _ in range(MAX_TRIES):
            live = self._server_digest(reader, stream, lo, hi)
            rows = live.count
            if live == self._journal.digest(stream, lo, hi):
                return Swept(True, rows, late, missing, unreadable)
            found = self._repair(reader, mapped, lo, hi, live)
            late, missing, unreadable = (
                late + found.late,
                missing + found.missing,
                found.unreadable,
            )
            if unreadable and not found.late and not found.missing:
                # All that is readable is equal, the rest is parked in sight: proven but for it.
                return Swept(True, rows, late, missing, unreadable)
        return Swept(False, rows, late, missing, unreadable)

    def _server_digest(
        self, reader: PmsReader, stream: Stream, lo: Key | None, hi: Key | None
    ) -> Digest:
        started = self._clock.mono()
        digest = reader.digest(stream, lo, hi)
        took_ms = (self._clock.mono() - started) * 1000
        self._rest(self._digest_paces.of(stream).after(digest.count, took_ms))
        return digest

    def _repair(
        self, reader: PmsReader, mapped: StreamMap, lo: Key | None, hi: Key | None, live: Digest
    ) -> Swept:
        """Bisect to the rows that differ and read them."""
        stream = mapped.stream
        held = self._journal.digest(stream, lo, hi)
        if live == held:
            return Swept(True, live.count)
        size = max(live.count, held.count)
        few = self._paces.of(stream).rows
        middle = reader.nth_key(stream, lo, size // 2) if size > few else None
        if middle is None or middle == hi:
            return self._reread(reader, mapped, lo, hi)
        left = self._repair(
            reader, mapped, lo, middle, self._server_digest(reader, stream, lo, middle)
        )
        right = self._repair(
            reader, mapped, middle, hi, self._server_digest(reader, stream, middle, hi)
        )
        return left.plus(right)

    def _reread(
        self, reader: PmsReader, mapped: StreamMap, lo: Key | None, hi: Key | None
    ) -> Swept:
        stream = mapped.stream
        pace = self._paces.of(stream)
        rows = late = missing = unreadable = 0
        at = lo
        while True:
            read_lsn = self._capture.last_lsn
            page = reader.read_range(stream, at, hi, pace.rows)
            self._believe(reader)
            last = page.last
            upto = hi if page.exhausted else last
            held = self._journal.held_range(stream, at, upto)
            present = {row[0] for row in page.rows}
            asked = [*present, *(key for key in held if key not in present)]
            taken = self._capture.take(
                mapped,
                page,
                read_lsn=read_lsn,
                urgency=Urgency.REPAIR,
                asked=asked,  # type: ignore[arg-type]
            )
            rows += taken.rows
            late += taken.changed
            missing += taken.missing
            unreadable += taken.unreadable
            self._rest(pace.after(len(page.rows), page.took_ms))
            if page.exhausted or last is None:
                return Swept(False, rows, late, missing, unreadable)
            at = last

    def _accept(self, reader: PmsReader, chunk: Chunk, began: datetime, count: int) -> None:
        grown = count > 2 * self._rotation.chunk_rows
        at = reader.nth_key(chunk.stream, chunk.lo, self._rotation.chunk_rows) if grown else None
        with self._journal.turn() as turn:
            due = self._rotation.next_due(self._facts.streams[chunk.stream], self._clock.now())
            turn.chunk_verified(chunk, began, due)
            if at is not None and at != chunk.hi:
                turn.split_chunk(chunk, at)

    def _split_or_fail(self, chunk: Chunk) -> None:
        """Somebody writes faster than we prove: smaller pieces get quiet sooner."""
        held = list(self._journal.held_range(chunk.stream, chunk.lo, chunk.hi))
        with self._journal.turn() as turn:
            if len(held) > 1:
                turn.split_chunk(chunk, held[len(held) // 2 - 1])
            else:
                due = self._clock.now() + timedelta(seconds=5)
                turn.chunk_failed(chunk, due, "unsettled")
        log.info("sweep.unsettled", stream=chunk.stream.value, rows=len(held))


def _below(left: Key, right: Key) -> bool:
    """Key order of the journal: numbers before text."""
    return (isinstance(left, str), left) < (isinstance(right, str), right)


def chunk_boundaries(
    reader: PmsReader, stream: Stream, chunk_rows: int, rest: Callable[[float], bool]
) -> list[Key]:
    """Keys that cut the stream into chunks of about ``chunk_rows`` rows; index-only steps."""
    boundaries: list[Key] = []
    at: Key | None = None
    while (key := reader.nth_key(stream, at, chunk_rows)) is not None:
        boundaries.append(key)
        at = key
        rest(0.0)
    return boundaries
