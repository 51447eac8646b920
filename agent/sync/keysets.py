"""Key sets: rows that came or went without a trace, named from their keys alone (rung 3).

A deletion nobody logged, or a row written below the highest key without a stamp, moves its table
and nothing else the live lane looks at. Counting and mixing keys costs the server an index walk, a
small part of a content digest, so it is done within a minute of such a move instead of a rotation.
Names keys only; what is read and believed is decided where every lane decides it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import structlog

from agent.journal.journal import Journal
from agent.journal.rows import Urgency
from agent.model.reading import Key, SourceFacts
from agent.model.streams import Stream
from agent.ports import Clock, PmsReader
from agent.sync.capture import Capture
from agent.sync.pace import Pace, Paces
from agent.sync.streammap import StreamMap

log = structlog.get_logger(__name__)

FIRST_ROWS = 2000  # before anything is known of what a key costs
MOST_ROWS = 50_000
PIECE_MS = 10.0
REST_FACTOR = 20.0  # a walk nobody asked for is not repeated before so many times its own length
FEW_ROWS = 500  # so few keys are listed rather than halved again


class KeySets:
    """One reader's walk over the key sets of the streams whose tables moved."""

    def __init__(
        self,
        journal: Journal,
        capture: Capture,
        clock: Clock,
        facts: SourceFacts,
        maps: dict[Stream, StreamMap],
        *,
        every_s: float,
        duty: float,
        rest: Callable[[float], bool],
        believe: Callable[[PmsReader], None],
    ) -> None:
        self._journal = journal
        self._capture = capture
        self._clock = clock
        self._maps = maps
        self._tables = {stream: facts.streams[stream].table for stream in maps}
        self._ungated = {stream for stream in maps if not facts.streams[stream].gated}
        self._every_s = every_s
        self._paces = Paces(lambda: Pace(FIRST_ROWS, PIECE_MS, duty, ceiling_rows=MOST_ROWS))
        self._rest = rest
        self._believe = believe
        self._tokens: dict[Stream, str] = {}
        self._rested_mono: dict[Stream, float] = {}  # of tables no gate speaks of: not before then
        self._next_mono = clock.mono() + every_s  # the load or the last run has just looked

    def visit(self, reader: PmsReader, skip: Collection[Stream]) -> int:
        """Compare the key sets of tables that moved since they were last compared.

        Returns how many keys differed and were read. PmsErrors pass through; what was not compared
        is due again.
        """
        now = self._clock.mono()
        if now < self._next_mono:
            return 0
        self._next_mono = now + self._every_s
        tokens = reader.moved(sorted(set(self._tables.values())))
        found = 0
        for stream, table in self._tables.items():
            token = tokens.get(table, "")
            moved = not token or self._tokens.get(stream) != token
            resting = stream in self._ungated and now < self._rested_mono.get(stream, 0.0)
            is_text = isinstance(self._journal.max_key(stream), str)
            if stream in skip or not moved or resting or is_text:
                continue
            began = self._clock.mono()
            walked = self._walk(reader, stream)
            if walked is None:
                return found
            found += walked
            ended = self._clock.mono()
            self._rested_mono[stream] = ended + (ended - began) * REST_FACTOR
            self._tokens[stream] = token
        return found

    def _walk(self, reader: PmsReader, stream: Stream) -> int | None:
        """The whole key space in short pieces: how many keys differed, None when told to stop."""
        found = 0
        at: Key | None = None
        while True:
            end = self._journal.nth_key(stream, at, self._paces.of(stream).rows)
            found += self._compare(reader, stream, at, end)
            if not self._rest(0.0):
                return None
            if end is None:
                return found
            at = end

    def _compare(self, reader: PmsReader, stream: Stream, lo: Key | None, hi: Key | None) -> int:
        """Halve a range whose key sets differ until what differs can be listed."""
        pace = self._paces.of(stream)
        started = self._clock.mono()
        live = reader.key_digest(stream, lo, hi)
        self._rest(pace.after(live.count, (self._clock.mono() - started) * 1000))
        held = self._journal.key_digest(stream, lo, hi)
        if live == held:
            return 0
        size = max(live.count, held.count)
        middle = reader.nth_key(stream, lo, size // 2) if size > FEW_ROWS else None
        if middle is None or middle == hi:
            return self._read_differing(reader, stream, lo, hi)
        return self._compare(reader, stream, lo, middle) + self._compare(reader, stream, middle, hi)

    def _read_differing(
        self, reader: PmsReader, stream: Stream, lo: Key | None, hi: Key | None
    ) -> int:
        held = self._journal.held_range(stream, lo, hi)
        present = {key for key, record in held.items() if record.missing_since is None}
        live = self._keys(reader, stream, lo, hi)
        differing = sorted(live ^ present, key=lambda key: (isinstance(key, str), key))
        # A parked row that was never readable is in no mirror; its own retry looks after it.
        parked = self._journal.park_tries(stream, differing)
        asked = [key for key in differing if key not in parked]
        for start in range(0, len(asked), FEW_ROWS):
            keys = asked[start : start + FEW_ROWS]
            read_lsn = self._capture.last_lsn
            page = reader.read_keys(stream, keys)
            self._believe(reader)
            self._capture.take(
                self._maps[stream], page, read_lsn=read_lsn, urgency=Urgency.REPAIR, asked=keys
            )
        if asked:
            log.info("keysets.found", stream=stream.value, count=len(asked))
        return len(asked)

    @staticmethod
    def _keys(reader: PmsReader, stream: Stream, lo: Key | None, hi: Key | None) -> set[Key]:
        """The keys of the range as the PMS has them now."""
        found: set[Key] = set()
        at = lo
        while keys := reader.keys_after(stream, at, FEW_ROWS):
            inside = [key for key in keys if hi is None or key <= hi]  # type: ignore[operator]
            found.update(inside)
            if len(inside) < len(keys) or len(keys) < FEW_ROWS:
                break
            at = keys[-1]
        return found
