"""The hot window compared again and again: for streams where no stamp or log says what moved.

The reader gives key and hash of every record of some days; what differs from the last look is named
and read by key. Days near today are compared about every half second and at least every two
seconds, the whole window less often, a year around today now and then, all within a share of the
time. Where a gate tells that a table moved, nothing is compared before that, and then a fortnight
at a time: such a source is large, and no statement may be long. A key that vanished was moved out
of the window or deleted: it is read at once, and once more before a deletion is believed. Names
keys only; what is read and believed is decided where every lane decides it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from agent.journal.journal import Journal
from agent.model.reading import Key, SourceFacts, StreamFacts
from agent.model.streams import Stream
from agent.ports import Clock, PmsReader, PollingReader
from agent.sync.pace import Beat

HELD_AT_ONCE = 2000
SURE_GONE_S = 5.0  # between the two reads that must not find a vanished record

Hashes = dict[Key, tuple[int, int]]


NEAR = Beat(0.4, 2.0, 0.06, 0.25)
FAR = Beat(0.8, 20.0, 0.04, 0.06)
YEAR = Beat(5.0, 60.0, 0.02, 0.05)
AHEAD = Beat(2.0, 20.0, 0.01, 0.02)  # each fortnight after the next
NEAR_DAYS = (1, 14)  # before and after today
FORTNIGHT = 14
YEAR_DAYS = 400


@dataclass(slots=True)
class Window:
    """One stream's look at some days, ``first`` to ``last`` from today. ``tables``: whose moves a
    gate tells; None: none does, so the window may have moved at any time."""

    stream: Stream
    first: int
    last: int
    beat: Beat
    tables: frozenset[str] | None = None
    has_moved: bool = True
    seen: Hashes | None = None
    next_mono: float = 0.0
    fresh: Hashes | None = None  # of a look whose findings are not taken yet
    vanished: dict[Key, float] = field(default_factory=dict)  # key -> when first missed (mono)


@dataclass(slots=True)
class Named:
    """Keys to read; ``gone``: those whose absence, seen a second time, is a deletion."""

    wanted: dict[Stream, set[Key]] = field(default_factory=dict)
    gone: dict[Stream, set[Key]] = field(default_factory=dict)


class Polls:
    """The windows of one source's polled streams, looked at by the live lane."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        facts: SourceFacts,
        streams: Collection[Stream],
        *,
        zone: str,
        days: int,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._zone = ZoneInfo(zone)
        self._windows = [
            window
            for stream in streams
            if facts.streams[stream].polled
            for window in windows(stream, facts.streams[stream], days)
        ]

    def look(self, reader: PmsReader, skip: Collection[Stream], moved: Collection[str]) -> Named:
        """Compare every window that is due; ``moved``: tables a gate saw move lately. PmsErrors
        pass through; nothing is remembered then."""
        named = Named()
        today = self._clock.now().astimezone(self._zone).date()
        for window in self._windows:
            if window.tables is not None and not window.tables.isdisjoint(moved):
                window.has_moved = True
            if window.stream in skip:
                continue
            wanted = named.wanted.setdefault(window.stream, set())
            if window.has_moved and self._clock.mono() >= window.next_mono:
                assert isinstance(reader, PollingReader)
                wanted |= self._compare(reader, window, today)
            wanted |= self._doubts(window, named)
        return named

    def remember(self) -> None:
        """What was named has been read and taken."""
        for window in self._windows:
            if window.fresh is not None:
                window.seen, window.fresh = window.fresh, None
                window.has_moved = window.tables is None

    def _compare(self, reader: PollingReader, window: Window, today: date) -> set[Key]:
        first, last = today + timedelta(days=window.first), today + timedelta(days=window.last)
        started = self._clock.mono()
        found = reader.hashes_in_window(window.stream, first, last)
        ended = self._clock.mono()
        window.next_mono = ended + window.beat.rest_s(ended - started)
        now: Hashes = {key: (sum48, xor64) for key, sum48, xor64 in found}
        before = window.seen
        window.fresh = now
        if before is None:
            before = self._held(window.stream, list(now))
        changed = {key for key, mark in now.items() if before.get(key) != mark}
        missed = before.keys() - now.keys()
        window.vanished = {k: at for k, at in window.vanished.items() if k not in now}
        window.vanished.update({k: ended for k in missed if k not in window.vanished})
        return changed | missed

    def _doubts(self, window: Window, named: Named) -> set[Key]:
        """Vanished long enough ago to be looked for a second time."""
        now = self._clock.mono()
        due = {key for key, at in window.vanished.items() if now - at >= SURE_GONE_S}
        if due:
            named.gone.setdefault(window.stream, set()).update(due)
            window.vanished = {k: at for k, at in window.vanished.items() if k not in due}
        return due

    def _held(self, stream: Stream, keys: list[Key]) -> Hashes:
        """What the mirror has of these: the first look after a start."""
        held: Hashes = {}
        for start in range(0, len(keys), HELD_AT_ONCE):
            some = self._journal.held(stream, keys[start : start + HELD_AT_ONCE])
            held.update({key: (row.sum48, row.xor64) for key, row in some.items() if not row.gone})
        return held


def windows(stream: Stream, facts: StreamFacts, days: int) -> list[Window]:
    """What is compared of a polled stream."""
    before, after = NEAR_DAYS
    if not facts.gated:
        far = [Window(stream, -days, days, FAR)] if days > after else []
        year = Window(stream, -YEAR_DAYS, YEAR_DAYS, YEAR)
        return [Window(stream, -before, after, NEAR), *far, year]
    tables = frozenset(facts.tables)
    ahead = range(after + 1, days + 1, FORTNIGHT)
    return [
        Window(stream, -before, after, NEAR, tables),
        *(Window(stream, at, min(at + FORTNIGHT - 1, days), AHEAD, tables) for at in ahead),
    ]
