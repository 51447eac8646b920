"""The live lane: see a change within milliseconds of its commit; say only which keys it touched.

Every tick: the PMS's own logs (hints), a change gate per table, then for the tables that moved the
timestamp lanes and the key tail. All of these name keys; the rows are read by key and taken. What
these rungs miss, the sweep finds: they buy latency, never correctness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

import structlog

from agent.journal.journal import Journal, Turn
from agent.journal.rows import Urgency
from agent.model.reading import Hint, Key, LaneFacts, Page, ServerClock, SourceFacts, Stamped
from agent.model.streams import Stream
from agent.ports import Clock, PmsReader
from agent.sync.capture import Capture, PageRead
from agent.sync.pace import Beat
from agent.sync.polling import Polls
from agent.sync.streammap import StreamMap

log = structlog.get_logger(__name__)

TAIL = "tail:"  # journal marks: last log key read, by log name
KEY_TAIL = "key_tail:"  # highest key the live lane has looked at, by stream
READ_KEYS = 500  # keys per read: a page of a few ms even on MyISAM
PAGES_AT_ONCE = 4  # taken before more are read: a stamp storm leaves in steps, not in one
TAIL_LIMIT = 2000
LANE_LIMIT = 2000
RESOLUTION_S = 2.0  # whole-second stamps, plus one second for a statement that started before it
HOT_AFTER_MOVE_S = 2.5  # gates have whole-second tokens: keep looking after the last move
WIDE_EVERY_S = 60.0  # the overlap is re-read this often, and once at the start
GAP_YOUNG_S = 60.0  # a hole below the highest key may still be filled by a slower transaction
MAX_GAPS = 500
TINY_ROWS = 100
UNINDEXED_ROWS = 100_000  # an unindexed lane on a larger table is left to hints and sweep
SCAN_LIMIT_S = 0.08  # a lane whose scans took longer than this
SLOW_SCANS = 2  # so many times in a row
SLOW = Beat(least_s=30.0, most_s=900.0, duty=0.005, most_duty=1.0)  # rests so: a backup passes
CALM_AFTER_S = 10.0  # nothing moved for so long: looking less often is not noticed
GATE_DUTY = 0.04  # share of the time the change gate may use
SCAN_DUTY = 0.08  # share all unindexed lanes may use together
SCAN_CREDIT_S = 0.1  # what they may save up
LOOK_EVERY_S = 0.15  # a table that moved lately is looked at this often, and at once when it moves
UNGATED_EVERY_S = {"hot": 0.5, "warm": 2.0}  # of a source without gates; others every COLD_EVERY_S
COLD_EVERY_S = 10.0
SURE_S = 120.0  # where open statements are not shown: no write becomes visible later than this
REREAD_S = 0.5  # a row stamped in the running second may change again without moving its stamp
SPAN_EVERY_S = 10.0
MARK_EVERY_S = 1.0  # marks trail the rows they stand for: a restart re-reads a second of logs


@dataclass(frozen=True, slots=True)
class Read:
    """A stamped row as last read. ``final``: its second was over, a change since then moves the
    stamp. ``sure``: nor can a write of that second still become visible."""

    stamp: int
    final: bool
    sure: bool
    at_mono: float


@dataclass(frozen=True, slots=True)
class Found:
    """What one look at a lane brought; remembered only after its rows were taken."""

    stream: Stream
    lane: str
    state: LaneState
    hits: list[Stamped]
    low: datetime
    server: ServerClock
    wide: bool


@dataclass(slots=True)
class LaneState:
    """One timestamp lane. ``low``: every stamp before it has been seen (server clock)."""

    low: datetime
    recent: dict[int, Read] = field(default_factory=dict)  # by row
    next_wide_mono: float = 0.0
    looked_mono: float = 0.0
    slow_scans: int = 0  # in a row
    rests_until_mono: float = 0.0
    span_mono: float = 0.0


@dataclass(frozen=True, slots=True)
class Looked:
    """A keyed read not yet taken."""

    stream: Stream
    asked: list[Key]
    read_lsn: int
    page: Page


@dataclass(slots=True)
class KeyTail:
    """Keys above the highest seen, and young holes below it."""

    high: int
    gaps: dict[int, float] = field(default_factory=dict)  # missing key -> first noticed (mono)

    def advance(self, keys: Iterable[int], now_mono: float) -> None:
        for key in sorted(keys):
            if key > self.high:
                hole = range(self.high + 1, key)
                if len(hole) <= MAX_GAPS - len(self.gaps):
                    self.gaps.update(dict.fromkeys(hole, now_mono))
                self.high = key
            else:
                self.gaps.pop(key, None)

    def young(self, now_mono: float) -> list[int]:
        for key in [k for k, since in self.gaps.items() if now_mono - since > GAP_YOUNG_S]:
            del self.gaps[key]
        return list(self.gaps)


def reads_of(hits: Iterable[Stamped], server: ServerClock, now_mono: float) -> dict[int, Read]:
    """What is known of rows read when the server's clock said ``server``."""
    edge = int(server.now.timestamp()) - 1
    oldest = server.oldest_open or server.now - timedelta(seconds=SURE_S)
    sure = min(edge, int(oldest.timestamp()) - 1)
    return {hit.row: Read(hit.stamp, hit.stamp < edge, hit.stamp < sure, now_mono) for hit in hits}


def is_news(hit: Stamped, known: Read | None, now_mono: float, *, wide: bool) -> bool:
    """Must this row be read (again)? Not if nothing can have changed since we did.

    Two writes of one second, the later one visible long after (it waited for a lock): the stamp
    says nothing. So a wide look reads such rows again until they are sure.
    """
    if known is None or known.stamp != hit.stamp:
        return True
    known_enough = known.sure if wide else known.final
    return not known_enough and now_mono - known.at_mono >= REREAD_S


def next_low(now: datetime, oldest_open: datetime | None) -> datetime:
    """Everything stamped before this is visible: server now, or the start of what still runs."""
    edge = now if oldest_open is None else min(now, oldest_open)
    return edge - timedelta(seconds=RESOLUTION_S)


class Watch:
    """The live lane over one reader. ``tick`` does one round; returns how many records changed."""

    def __init__(
        self,
        journal: Journal,
        capture: Capture,
        clock: Clock,
        facts: SourceFacts,
        maps: dict[Stream, StreamMap],
        *,
        overlap_s: float,
        polls: Polls,
        believe: Callable[[PmsReader], None],
    ) -> None:
        self._journal = journal
        self._polls = polls
        self._capture = capture
        self._clock = clock
        self._facts = facts
        self._maps = maps
        self._believe = believe
        self._overlap = timedelta(seconds=overlap_s)
        self._marks = {k.removeprefix(TAIL): int(v) for k, v in journal.marks(TAIL).items() if v}
        self._tables = sorted({t for s in maps for t in facts.streams[s].tables})
        self._tokens: dict[str, str] = {}
        self._moved_mono: dict[str, float] = {}
        self._warm: set[str] = set()
        self._round_mono = clock.mono()
        self._gate_next_mono = 0.0
        self._marks_mono = 0.0
        self._unsaved_marks: dict[str, int] = {}
        self._saved_highs: dict[Stream, int] = {}
        self._lanes: dict[tuple[Stream, str], LaneState] = {}
        self._tails: dict[Stream, KeyTail] = {}
        self._server_now: datetime | None = None
        self._looked_mono: dict[Stream, float] = {}
        self._scan_credit_s = SCAN_CREDIT_S
        self._credited_mono = clock.mono()
        self.clock_stepped_back = False

    @property
    def marks(self) -> dict[str, int]:
        """How far each of the PMS's own logs has been read, by table."""
        return dict(self._marks)

    def start(self, reader: PmsReader) -> None:
        """Fix where the lane begins, before the load reads; a journal's marks are kept."""
        server = reader.clock()
        begin = next_low(server.now, server.oldest_open)
        if not self._marks:
            self._marks = reader.tail({}, 1).marks
        with self._journal.turn() as turn:
            for name, mark in self._marks.items():
                turn.set_mark(TAIL + name, str(mark))
            for stream in self._maps:
                for lane in self._usable_lanes(stream):
                    known = self._journal.low_watermark(stream, lane.name)
                    # A server clock set back while we were off leaves a mark in its future.
                    low = begin if known is None else min(known, begin)
                    self._lanes[stream, lane.name] = LaneState(low=low)
                    if known is None:
                        turn.open_span(
                            stream, lane.name, begin, begin, server.now, server.oldest_open
                        )
                self._start_key_tail(reader, stream, turn)

    @property
    def is_calm(self) -> bool:
        """No table has moved lately; never where nothing tells that."""
        moved = self._moved_mono.values()
        return bool(moved) and self._clock.mono() - max(moved) > CALM_AFTER_S

    def tick(self, reader: PmsReader, skip: frozenset[Stream]) -> int:
        """One round; ``skip``: braked streams. PmsErrors pass through, nothing advances then."""
        try:
            return self._round(reader, skip)
        except BaseException:
            # What the gates said was not acted upon: once we can read again, all tables moved.
            self._tokens.clear()
            raise

    def _round(self, reader: PmsReader, skip: frozenset[Stream]) -> int:
        wanted: dict[Stream, set[Key]] = {}
        deleted: dict[Stream, set[Key]] = {}
        tail = reader.tail(self._marks, TAIL_LIMIT)
        self._collect_hints(tail.hints, wanted, deleted)
        looks: list[Found] = []
        new_keys: dict[Stream, list[int]] = {}
        for stream, due in self._capture.settling_due().items():
            wanted.setdefault(stream, set()).update(due)
        chosen = self._streams_to_look_at(reader)
        polled = self._polls.look(reader, skip, self._warm)
        for place, named in ((wanted, polled.wanted), (deleted, polled.gone)):
            for stream, keys in named.items():
                place.setdefault(stream, set()).update(keys)
        if lanes := self._lanes_to_look_at(chosen):
            # Before any of them is read; while nothing moves nobody needs the server's time.
            server = reader.clock()
            self._note_clock(server.now)
            for stream, lane in lanes:
                if not lane.indexed and self._scan_credit_s <= 0:
                    continue
                found = self._look(reader, stream, lane, server)
                looks.append(found)
                wanted.setdefault(stream, set()).update(hit.key for hit in found.hits)
        for stream in chosen:
            facts = self._facts.streams[stream]
            if not facts.lanes and facts.rows <= TINY_ROWS:
                # Nothing tells which row moved, and reading all of them costs nothing.
                wanted.setdefault(stream, set()).update(reader.keys_after(stream, None, TINY_ROWS))
            elif stream in self._tails and facts.table in self._warm:
                new_keys[stream] = self._keys_above(reader, stream)
                young = self._tails[stream].young(self._clock.mono())
                wanted.setdefault(stream, set()).update(new_keys[stream], young)
        pages = (
            looked
            for stream in Stream  # parents before children
            if stream in self._maps and stream not in skip
            for looked in self._read(reader, stream, wanted.get(stream, set()))
        )
        changed = 0
        while some := list(islice(pages, PAGES_AT_ONCE)):
            # After the reads and before any is taken: a backup restored in between would show old
            # rows, and a guard looked at earlier would not know.
            self._believe(reader)
            changed += self._take(some, deleted)
        for stream, fresh in new_keys.items():
            self._tails[stream].advance(fresh, self._clock.mono())
        self._polls.remember()
        self._remember(tail.marks, looks)
        return changed

    def _collect_hints(
        self,
        hints: Iterable[Hint],
        wanted: dict[Stream, set[Key]],
        deleted: dict[Stream, set[Key]],
    ) -> None:
        for hint in hints:
            wanted.setdefault(hint.stream, set()).add(hint.key)
            if hint.deleted:
                deleted.setdefault(hint.stream, set()).add(hint.key)

    def _streams_to_look_at(self, reader: PmsReader) -> list[Stream]:
        """Streams one of whose tables moved just now or lately, or whose overlap is due."""
        now = self._clock.mono()
        moved: set[str] = set()
        if now >= self._gate_next_mono:
            tokens = reader.moved(self._tables)
            self._gate_next_mono = now + (self._clock.mono() - now) / GATE_DUTY
            moved = {t for t, token in tokens.items() if not token or self._tokens.get(t) != token}
            self._tokens.update(tokens)
            self._moved_mono.update(dict.fromkeys(moved, now))
        # By when we last looked: however late this round comes, a table that moved is looked at
        # once more after the second its token said is over.
        last, self._round_mono = self._round_mono, now
        self._warm = {t for t, at in self._moved_mono.items() if last - at <= HOT_AFTER_MOVE_S}
        wide = {s for (s, _), state in self._lanes.items() if state.next_wide_mono <= now}
        chosen = []
        for stream in self._maps:
            tables = self._facts.streams[stream].tables
            certain = any(self._tokens.get(table) for table in tables)
            every_s = self._look_every_s(stream)
            waited = now - self._looked_mono.get(stream, -every_s) >= every_s
            if (
                (certain and not moved.isdisjoint(tables))
                or (waited and not self._warm.isdisjoint(tables))
                or stream in wide
            ):
                self._looked_mono[stream] = now
                chosen.append(stream)
        return chosen

    def _look_every_s(self, stream: Stream) -> float:
        facts = self._facts.streams[stream]
        return LOOK_EVERY_S if facts.gated else UNGATED_EVERY_S.get(facts.tier, COLD_EVERY_S)

    def _usable_lanes(self, stream: Stream) -> list[LaneFacts]:
        return [
            lane
            for lane in self._facts.streams[stream].lanes
            if lane.indexed or (lane.rows <= UNINDEXED_ROWS and not self._rests(stream, lane))
        ]

    def _rests(self, stream: Stream, lane: LaneFacts) -> bool:
        state = self._lanes.get((stream, lane.name))
        return state is not None and state.rests_until_mono > self._clock.mono()

    def _lanes_to_look_at(self, streams: Iterable[Stream]) -> list[tuple[Stream, LaneFacts]]:
        """Lanes whose own table moved or whose overlap is due: indexed first, then the scans, those
        not looked at for longest before the others; scans share one credit."""
        now = self._clock.mono()
        earned = (now - self._credited_mono) * SCAN_DUTY
        self._scan_credit_s = min(self._scan_credit_s + earned, SCAN_CREDIT_S)
        self._credited_mono = now
        lanes = [
            (stream, lane)
            for stream in streams
            for lane in self._usable_lanes(stream)
            if lane.table in self._warm or self._lanes[stream, lane.name].next_wide_mono <= now
        ]
        lanes.sort(key=lambda at: (not at[1].indexed, self._lanes[at[0], at[1].name].looked_mono))
        return lanes

    def _look(
        self,
        reader: PmsReader,
        stream: Stream,
        lane: LaneFacts,
        server: ServerClock,
    ) -> Found:
        state = self._lanes[stream, lane.name]
        now = self._clock.mono()
        wide = now >= state.next_wide_mono
        since = state.low - (self._overlap if wide else timedelta(0))
        news: list[Stamped] = []
        after: tuple[int, int] | None = None
        while True:
            hits = reader.keys_since(stream, lane.name, since, after, LANE_LIMIT)
            news.extend(
                hit for hit in hits if is_news(hit, state.recent.get(hit.row), now, wide=wide)
            )
            if len(hits) < LANE_LIMIT:
                break
            after = (hits[-1].stamp, hits[-1].row)
        state.looked_mono = now
        if not lane.indexed:
            self._scanned(stream, lane, self._clock.mono() - now)
        low = next_low(server.now, server.oldest_open)
        return Found(stream, lane.name, state, news, low, server, wide)

    def _scanned(self, stream: Stream, lane: LaneFacts, took_s: float) -> None:
        """A scan that takes long rests: what it would have seen waits where it was."""
        state = self._lanes[stream, lane.name]
        self._scan_credit_s -= took_s
        state.slow_scans = state.slow_scans + 1 if took_s > SCAN_LIMIT_S else 0
        if state.slow_scans >= SLOW_SCANS:
            rest_s = SLOW.rest_s(took_s)
            state.rests_until_mono = self._clock.mono() + rest_s
            log.info(
                "watch.lane_rests", stream=stream.value, table=lane.table, seconds=round(rest_s)
            )

    def _start_key_tail(self, reader: PmsReader, stream: Stream, turn: Turn) -> None:
        if self._facts.random_keys or not self._facts.streams[stream].tailed:
            return
        known = self._journal.mark(KEY_TAIL + stream.value)
        high = known or reader.max_key(stream)
        high = 0 if high is None else high
        if isinstance(high, int) or str(high).lstrip("-").isdigit():
            self._tails[stream] = KeyTail(int(high))
            self._saved_highs[stream] = int(high)
            turn.set_mark(KEY_TAIL + stream.value, str(high))

    def _keys_above(self, reader: PmsReader, stream: Stream) -> list[int]:
        """Keys higher than any looked at before; the tail moves on once they were taken."""
        high = self._tails[stream].high
        found: list[int] = []
        top = reader.max_key(stream)
        while isinstance(top, int) and top > high:
            keys = [k for k in reader.keys_after(stream, high, LANE_LIMIT) if isinstance(k, int)]
            if not keys:
                break
            found.extend(keys)
            high = keys[-1]
        return found

    def _read(self, reader: PmsReader, stream: Stream, keys: set[Key]) -> Iterator[Looked]:
        ordered = sorted(keys, key=lambda key: (isinstance(key, str), key))
        for start in range(0, len(ordered), READ_KEYS):
            asked = ordered[start : start + READ_KEYS]
            read_lsn = self._capture.last_lsn
            yield Looked(stream, asked, read_lsn, reader.read_keys(stream, asked))

    def _take(self, looked: Sequence[Looked], deleted: Mapping[Stream, set[Key]]) -> int:
        """In as few turns as there are pages of one stream among them."""
        changed = 0
        left = list(looked)
        while left:
            now = list({one.stream: one for one in reversed(left)}.values())[::-1]
            left = [one for one in left if one not in now]
            reads = [
                PageRead(
                    self._maps[one.stream],
                    one.page,
                    one.read_lsn,
                    one.asked,
                    deleted.get(one.stream, set()),
                )
                for one in now
            ]
            for taken in self._capture.take_together(reads, urgency=Urgency.LIVE):
                changed += taken.changed
        for one in looked:
            tail = self._tails.get(one.stream)
            if tail is not None:
                found = (row[0] for row in one.page.rows if isinstance(row[0], int))
                tail.advance(found, self._clock.mono())
        return changed

    def _remember(self, marks: dict[str, int], looks: list[Found]) -> None:
        """Advance watermarks; written now and then only, a restart just re-reads a little more."""
        now = self._clock.mono()
        self._unsaved_marks.update(
            {name: mark for name, mark in marks.items() if self._marks.get(name) != mark}
        )
        self._marks = marks
        due: list[tuple[Found, datetime]] = []
        for found in looks:
            state = found.state
            if now - state.span_mono >= SPAN_EVERY_S:
                # From where the last look ended: hours without a line are one span, not a hole.
                due.append((found, min(state.low, found.low) - self._overlap))
            state.low = found.low if self.clock_stepped_back else max(state.low, found.low)
            state.recent.update(reads_of(found.hits, found.server, now))
            if found.wide:
                state.next_wide_mono = now + WIDE_EVERY_S
                edge = int((state.low - self._overlap).timestamp()) - 5
                state.recent = {r: read for r, read in state.recent.items() if read.stamp >= edge}
        highs = {s: t.high for s, t in self._tails.items() if self._saved_highs.get(s) != t.high}
        marks_due = (self._unsaved_marks or highs) and now - self._marks_mono >= MARK_EVERY_S
        if not (marks_due or due):
            return
        with self._journal.turn() as turn:
            for name, mark in self._unsaved_marks.items():
                turn.set_mark(TAIL + name, str(mark))
            self._unsaved_marks.clear()
            self._marks_mono = now
            for stream, high in highs.items():
                turn.set_mark(KEY_TAIL + stream.value, str(high))
            self._saved_highs.update(highs)
            for found, begin in due:
                server = found.server
                turn.open_span(
                    found.stream, found.lane, begin, found.low, server.now, server.oldest_open
                )
                found.state.span_mono = now

    def _note_clock(self, server_now: datetime) -> None:
        """A server clock set back would hide changes behind the watermark: begin there again."""
        last, self._server_now = self._server_now, server_now
        self.clock_stepped_back = last is not None and server_now < last - timedelta(seconds=1)
        if self.clock_stepped_back:
            log.warning("watch.clock_back", seconds=round((last - server_now).total_seconds(), 1))  # type: ignore[operator]
            for state in self._lanes.values():
                state.low = min(state.low, server_now - timedelta(seconds=RESOLUTION_S))
                state.recent.clear()
                state.next_wide_mono = 0.0
            with self._journal.turn() as turn:
                turn.due_all_chunks(None)
