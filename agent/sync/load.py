"""The initial load: hot first, chunk by chunk, resumable, beside the live lanes.

Order: small reference streams, then the hot window (schedule around today, its patients, recalls),
then every chunk of every stream. What the hot window brought is read again by the chunks and found
unchanged, so nothing leaves twice. A restart continues with the first chunk not loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec
import structlog

from agent.journal.journal import Journal, Turn
from agent.journal.rows import Chunk, Tier, Urgency
from agent.model.reading import BadRow, Key, Page, SourceFacts
from agent.model.streams import Stream
from agent.ports import Clock, PmsReader
from agent.sync.capture import Capture
from agent.sync.pace import Paces
from agent.sync.streammap import StreamMap
from agent.sync.sweep import Rotation, chunk_boundaries

log = structlog.get_logger(__name__)

SMALL_ROWS = 5000  # streams up to this size are loaded before the hot window
HOT_DONE = "load:hot"
PLANNED = "load:planned:"
WINDOW_PAGE = 500
TAKE_ROWS = 1000
MAX_WAITING_BATCHES = 24  # memory and disk stay flat when the CRM is slower than we are


class _PatientKey(msgspec.Struct):
    """The one field of a hot record that says whose it is."""

    patient_key: str | None = None


@dataclass(slots=True)
class Progress:
    """Counts for people. ``eta_s`` is None until the rate is trusted (30 s or 5 % of the work)."""

    total_rows: int = 0
    loaded_rows: int = 0
    started_mono: float | None = None
    done: bool = False
    phase: str = "waiting"
    by_stream: dict[Stream, tuple[int, int]] = field(default_factory=dict)  # loaded, expected
    resumed_rows: int = 0  # there when it was begun (again)

    def start(self, now_mono: float) -> None:
        self.started_mono = now_mono
        self.resumed_rows = self.loaded_rows

    def eta_s(self, now_mono: float) -> float | None:
        if self.started_mono is None or self.done:
            return None
        elapsed = now_mono - self.started_mono
        moved = self.loaded_rows - self.resumed_rows
        share = moved / self.total_rows if self.total_rows else 0.0
        if moved == 0 or (elapsed < 30 and share < 0.05):
            return None
        return max(self.total_rows - self.loaded_rows, 0) * elapsed / moved


class Load:
    """One run of the initial load with one reader; call ``step`` until it returns False."""

    def __init__(
        self,
        journal: Journal,
        capture: Capture,
        clock: Clock,
        facts: SourceFacts,
        maps: dict[Stream, StreamMap],
        paces: Paces,
        *,
        rotation: Rotation,
        window_days: int,
        rest: Callable[[float], bool],
        believe: Callable[[PmsReader], None],
    ) -> None:
        self._journal = journal
        self._capture = capture
        self._clock = clock
        self._facts = facts
        self._maps = maps
        self._paces = paces
        self._rotation = rotation
        self._window_days = window_days
        self._rest = rest
        self._believe = believe
        self._reads = ThreadPoolExecutor(1, thread_name_prefix="load-read")
        self.progress = Progress(total_rows=sum(facts.streams[s].rows for s in maps))
        for stream in maps:
            self.progress.by_stream[stream] = (0, facts.streams[stream].rows)

    def plan(self, reader: PmsReader) -> None:
        """Cut every stream that has no ledger yet into chunks. Of those that have, the rotation may
        have been made shorter."""
        planned = [s for s in self._maps if self._journal.mark(PLANNED + s.value)]
        with self._journal.turn() as turn:  # one for all: every session begins with it
            for stream in planned:
                latest = self._rotation.next_due(self._facts.streams[stream], self._clock.now())
                turn.hasten_chunks(stream, latest)
        for stream in self._maps:
            if stream in planned:
                continue
            boundaries = chunk_boundaries(reader, stream, self._rotation.chunk_rows, self._rest)
            with self._journal.turn() as turn:
                tier = Tier(self._facts.streams[stream].tier)
                turn.plan_chunks(stream, boundaries, tier, self._clock.now())
                turn.set_mark(PLANNED + stream.value, "1")
        self.progress.loaded_rows = 0
        for held in self._journal.stream_counts():
            if held.stream in self._maps:
                _, expected = self.progress.by_stream[held.stream]
                self.progress.by_stream[held.stream] = (0, expected)
                self._count(held.stream, held.present)
        self.progress.start(self._clock.mono())

    def run(self, reader: PmsReader) -> bool:
        """Load until done (True) or until ``rest`` says that we are to stop (False)."""
        self.plan(reader)
        if not self._journal.mark(HOT_DONE) and not self._load_hot(reader):
            return False
        self.progress.phase = "history"
        streams = list(self._maps)
        while chunks := self._journal.next_chunks(
            self._clock.now(), 1, loaded=False, streams=streams
        ):
            if not self._load_chunk(reader, chunks[0]):
                return False
        self.progress.phase = "done"
        self.progress.done = True
        return True

    def _load_hot(self, reader: PmsReader) -> bool:
        self.progress.phase = "reference"
        for stream in self._maps:
            if self._facts.streams[stream].rows <= SMALL_ROWS:
                for chunk in self._journal.next_chunks(
                    self._clock.now(), 1000, loaded=False, streams=[stream]
                ):
                    if not self._load_chunk(reader, chunk):
                        return False
        self.progress.phase = "schedule"
        patients: set[Key] = set()
        for stream, mapped in self._maps.items():
            if self._facts.streams[stream].windowed:
                kept_going = self._load_window(reader, mapped, patients)
                if not kept_going:
                    return False
        if Stream.PATIENT in self._maps and not self._load_keys(
            reader, self._maps[Stream.PATIENT], sorted(patients, key=str)
        ):
            return False
        with self._journal.turn() as turn:
            turn.set_mark(HOT_DONE, "1")
            turn.note("load.hot_done", None, len(patients))
        log.info("load.hot_done", patients=len(patients))
        return True

    def _load_window(self, reader: PmsReader, mapped: StreamMap, patients: set[Key]) -> bool:
        today = self._clock.now().date()
        first = today - timedelta(days=self._window_days)
        last = today + timedelta(days=self._window_days)
        at: Key | None = None
        while keys := reader.keys_in_window(mapped.stream, first, last, at, WINDOW_PAGE):
            if not self._load_keys(reader, mapped, keys, patients):
                return False
            at = keys[-1]
        return True

    def _load_keys(
        self,
        reader: PmsReader,
        mapped: StreamMap,
        keys: Sequence[Key],
        patients: set[Key] | None = None,
    ) -> bool:
        pace, at = self._paces.of(mapped.stream), 0
        while at < len(keys):
            if not self._make_room():
                return False
            read_lsn = self._capture.last_lsn
            asked = keys[at : at + min(pace.rows, WINDOW_PAGE)]
            at += len(asked)
            page = reader.read_keys(mapped.stream, asked)
            self._believe(reader)
            taken = self._capture.take(mapped, page, read_lsn=read_lsn, urgency=Urgency.REPAIR)
            self._count(mapped.stream, taken.created)
            if patients is not None:
                patients.update(self._patients_of(mapped, page))
            if not self._rest(pace.after(len(page.rows), page.took_ms)):
                return False
        return True

    def _patients_of(self, mapped: StreamMap, page: Page) -> set[Key]:
        observed, _ = mapped.observe(page)
        found = set()
        for row in observed:
            key = msgspec.json.decode(row.canon, type=_PatientKey).patient_key
            if key is not None:
                found.add(int(key) if key.lstrip("-").isdigit() else key)
        return found

    def _load_chunk(self, reader: PmsReader, chunk: Chunk) -> bool:
        mapped = self._maps[chunk.stream]
        with closing(self._read_ahead(reader, chunk)) as pages:
            for lo, page, read_lsn in pages:
                if not self._make_room():
                    return False
                taken = self._capture.take(
                    mapped,
                    page,
                    read_lsn=read_lsn,
                    urgency=Urgency.LOAD,
                    fresh=(lo, chunk.hi),
                    within=self._marks_loaded(chunk) if page.exhausted else None,
                )
                self._count(chunk.stream, taken.created)
                if page.exhausted:
                    return True
        return False

    def _read_ahead(
        self, reader: PmsReader, chunk: Chunk
    ) -> Generator[tuple[Key | None, Page, int], None, None]:
        """Pages of the chunk, each with its lower bound and the lsn before its read.

        The next page is fetched while the caller takes the current one: the server hashes while we
        normalise. Ends early when told to stop; closed early, it waits for the read under way, for
        the reader is nobody else's until then.
        """

        at = chunk.lo
        ahead = self._reads.submit(self._fetch, reader, chunk, at)
        try:
            while (got := ahead.result()) is not None:
                page, read_lsn = got
                lo = at
                if not page.exhausted:
                    at = page.last
                    ahead = self._reads.submit(self._fetch, reader, chunk, at)
                yield lo, page, read_lsn
                if page.exhausted:
                    return
        finally:
            wait([ahead])

    def _fetch(self, reader: PmsReader, chunk: Chunk, at: Key | None) -> tuple[Page, int] | None:
        """About ``TAKE_ROWS`` rows above ``at``, read in as many short statements as that takes.

        Short for the office's sake, gathered for ours: a turn and a request cost the same for a
        hundred rows as for a thousand. None when told to stop.
        """
        pace = self._paces.of(chunk.stream)
        read_lsn = self._capture.last_lsn
        rows: list[tuple[object, ...]] = []
        bad: list[BadRow] = []
        while True:
            page = reader.read_range(chunk.stream, at, chunk.hi, pace.rows)
            rows += page.rows
            bad += page.unreadable
            if not self._rest(pace.after(len(page.rows), page.took_ms)):
                return None
            if page.exhausted or len(rows) + pace.rows // 2 >= TAKE_ROWS:
                self._believe(reader)
                return Page(rows, tuple(bad), page.exhausted, page.took_ms), read_lsn
            at = page.last

    def _make_room(self) -> bool:
        """Wait while the CRM is behind; False when told to stop."""
        while self._journal.batches_waiting(Urgency.LOAD) >= MAX_WAITING_BATCHES:
            if not self._rest(0.02):
                return False
        return True

    def _count(self, stream: Stream, rows: int) -> None:
        loaded, expected = self.progress.by_stream[stream]
        self.progress.by_stream[stream] = (loaded + rows, max(expected, loaded + rows))
        self.progress.loaded_rows += rows

    def _marks_loaded(self, chunk: Chunk) -> Callable[[Turn], None]:
        def within(turn: Turn) -> None:
            facts = self._facts.streams[chunk.stream]
            turn.chunk_loaded(chunk, self._rotation.next_due(facts, self._clock.now()))

        return within
