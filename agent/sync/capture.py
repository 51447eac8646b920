"""Take a page of PMS rows into the journal: rows, implied work, progress in one turn (T1).

Every lane (load, live, sweep, repair) ends here: one place where a read becomes a change.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from agent.journal.journal import Journal, Turn
from agent.journal.rows import Held, Outgoing, ParkClass, Urgency
from agent.model.metrics import Metric
from agent.model.reading import BadRow, Key, Page
from agent.model.streams import Stream
from agent.model.writing import Change, CrmLimits
from agent.ports import UNMEASURED, Clock, CrmPort, Meter
from agent.sync.brakes import Braked, Brakes
from agent.sync.pace import item_retry_s
from agent.sync.plan import (
    absent_keys,
    make_changes,
    make_deletions,
    operation_prefix,
    operations_of,
    plan_page,
    refused_deletions,
    seen_of,
    split_by_size,
)
from agent.sync.streammap import Observation, StreamMap

log = structlog.get_logger(__name__)

# A row that lacks this field, where the site has it, was caught between two of the PMS's own
# statements (CreateNewPatient: INSERT, then hash, then Guarantor); it is looked at again before it
# leaves.
_COMPLETE_WHEN = {Stream.PATIENT: "guarantor_key"}

Within = Callable[[Turn], None]


@dataclass(frozen=True, slots=True)
class Taken:
    """Counts of one page. ``unreadable`` rows were parked; ``lsn`` is the turn's, 0 if none."""

    rows: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    missing: int = 0
    deleted: int = 0
    unreadable: int = 0

    @property
    def changed(self) -> int:
        return self.created + self.updated + self.deleted


@dataclass(frozen=True, slots=True)
class PageRead:
    """A page and what it was read for; see ``Capture.take``."""

    mapped: StreamMap
    page: Page
    lsn: int
    asked: Sequence[Key] | None = None
    log_says_deleted: Collection[Key] = ()


@dataclass(frozen=True, slots=True)
class _Seen:
    read: PageRead
    observed: Sequence[Observation]
    bad: Sequence[BadRow]


@dataclass(frozen=True, slots=True)
class _Took:
    counts: Taken
    changed: Sequence[Observation] = ()
    braked: bool = False
    again: bool = False  # deletions the CRM refused before leave once more


class Capture:
    """Thread-safe: lanes call ``take`` from their threads; the journal's turn serialises them."""

    def __init__(
        self,
        journal: Journal,
        crm: CrmPort,
        clock: Clock,
        brakes: Brakes,
        *,
        settle_s: float,
        on_work: Callable[[], None],
        meter: Meter = UNMEASURED,
    ) -> None:
        self._journal = journal
        self._crm = crm
        self._clock = clock
        self._brakes = brakes
        self._settle_s = settle_s
        self._on_work = on_work
        self._meter = meter
        self._settling: dict[tuple[Stream, Key], tuple[bytes, float]] = {}
        self._settling_lock = threading.Lock()
        self._present = {c.stream: c.present for c in journal.stream_counts()}
        self.limits = CrmLimits()  # refreshed by the dispatcher whenever the CRM answers
        self.watchers: dict[Stream, Callable[[Sequence[Observation]], None]] = {}

    @property
    def last_lsn(self) -> int:
        """The last committed turn: asked before a read, it says later who read a record last."""
        return self._journal.lsn

    def take(
        self,
        mapped: StreamMap,
        page: Page,
        *,
        read_lsn: int,
        urgency: Urgency,
        asked: Sequence[Key] | None = None,
        log_says_deleted: Collection[Key] = (),
        fresh: tuple[Key | None, Key | None] | None = None,
        force: bool = False,
        within: Within | None = None,
    ) -> Taken:
        """Commit one page.

        ``asked``: the keys the page was read for; absent ones are noticed.
        ``log_says_deleted``: keys the PMS's own log calls deleted; absence then needs no second
        look. ``fresh``: the key range read by an initial load; while the mirror holds nothing in it
        there is nothing to compare with. ``within`` adds the lane's progress to the same turn.
        A page over a brake is not taken: the brake is recorded instead. Raises JournalError.
        """
        read = PageRead(mapped, page, read_lsn, asked, log_says_deleted)
        began = self._clock.mono()
        seen = [self._see(read)]
        with self._journal.turn() as turn:
            taken = self._into(turn, seen[0], urgency, fresh=fresh, force=force)
            if within is not None and not taken.braked:
                within(turn)
        self._meter.took(Metric.STAGE, "take", seconds=self._clock.mono() - began)
        self._after(seen, [taken])
        return taken.counts

    def take_together(self, reads: Sequence[PageRead], *, urgency: Urgency) -> list[Taken]:
        """Pages of different streams in one turn: a wait for the disk each would be most of the
        time a change takes. As ``take`` otherwise. ValueError for two pages of one stream."""
        if len({read.mapped.stream for read in reads}) < len(reads):
            raise ValueError("two pages of one stream")  # their operations would be named alike
        began = self._clock.mono()
        seen = [self._see(read) for read in reads]
        with self._journal.turn() as turn:
            taken = [self._into(turn, one, urgency) for one in seen]
        self._meter.took(Metric.STAGE, "take", seconds=self._clock.mono() - began)
        self._after(seen, taken)
        return [one.counts for one in taken]

    @staticmethod
    def _see(read: PageRead) -> _Seen:
        observed, bad = read.mapped.observe(read.page)
        return _Seen(read, observed, [*read.page.unreadable, *bad])

    def _into(
        self,
        turn: Turn,
        seen: _Seen,
        urgency: Urgency,
        *,
        fresh: tuple[Key | None, Key | None] | None = None,
        force: bool = False,
    ) -> _Took:
        read, observed, bad = seen.read, seen.observed, seen.bad
        mapped, asked = read.mapped, read.asked
        stream = mapped.stream
        keys = [row.key for row in observed]
        wanted = keys if asked is None else [*asked]
        blank = fresh is not None and self._journal.is_empty(stream, *fresh)
        held = {} if blank else self._journal.held(stream, wanted)
        plan = plan_page(observed, held, read_lsn=read.lsn, force=force)
        changed = self._settled(mapped, plan.changed, held)
        gone = self._gone(stream, wanted, keys, bad, held, read.lsn) if asked else []
        deleted = [key for key in gone if key in read.log_says_deleted]
        missing = [key for key in gone if key not in read.log_says_deleted]
        try:
            present = self._present.get(stream, 0)
            # What is only sent again did not change in the practice.
            self._brakes.check_changes(stream, plan.updated - plan.resent, present)
            self._brakes.check_deletes(stream, len(deleted), present)
        except Braked as braked:
            self._brakes.record(turn, braked)
            log.warning("capture.braked", stream=stream.value, code=braked.code)
            return _Took(Taken(rows=len(observed)), braked=True)
        if fresh is None:
            self._brakes.note_created(stream, plan.created)
        there = {*keys, *(row.key for row in bad)}
        again = refused_deletions(wanted, there, held) if force else []
        self._send(turn, mapped, changed, [*deleted, *again], urgency, paged=fresh is not None)
        never_read = [key for key in wanted if key not in there and key not in held]  # and gone
        turn.forget_parked(stream, [*again, *never_read, *plan.released])
        if plan.touched:
            turn.touch(stream, plan.touched)
        if missing:
            turn.miss(stream, missing)
        self._park(turn, stream, bad)
        counts = Taken(
            rows=len(observed),
            created=plan.created,
            updated=plan.updated,
            unchanged=plan.unchanged,
            missing=len(missing),
            deleted=len(deleted),
            unreadable=len(bad),
        )
        return _Took(counts, changed, again=bool(again))

    def _after(self, seen: Sequence[_Seen], taken: Sequence[_Took]) -> None:
        """What others are told once the turn has committed."""
        for one, took in zip(seen, taken, strict=True):
            if took.braked:
                continue
            stream, counts = one.read.mapped.stream, took.counts
            self._present[stream] = self._present.get(stream, 0) + counts.created - counts.deleted
            if took.changed or counts.deleted or took.again:
                self._on_work()
            watcher = self.watchers.get(stream)
            if watcher is not None and took.changed:
                watcher(took.changed)

    def bury(self, mapped: StreamMap, keys: Sequence[Key]) -> int:
        """Believe these disappearances (confirmed by a second look). Returns how many left."""
        stream = mapped.stream
        with self._journal.turn() as turn:
            held = self._journal.held(stream, keys)
            present = [key for key in keys if key in held and not held[key].gone]
            try:
                self._brakes.check_deletes(stream, len(present), self._present.get(stream, 0))
            except Braked as braked:
                self._brakes.record(turn, braked)
                log.warning("capture.braked", stream=stream.value, code=braked.code)
                return 0
            self._send(turn, mapped, [], present, Urgency.REPAIR)
        self._present[stream] = self._present.get(stream, 0) - len(present)
        if present:
            self._on_work()
        return len(present)

    def retract(self, stream: Stream, keys: Sequence[Key]) -> None:
        """Tell the CRM that these records do not exist; not of those that the mirror came to hold
        meanwhile, whose end is noticed as any other's."""
        with self._journal.turn() as turn:
            held = self._journal.held(stream, keys)
            absent = [key for key in keys if key not in held or held[key].gone]
            if not absent:
                return
            prefix = operation_prefix(self._journal.uuid, stream, turn.lsn)
            for part in self._split(make_deletions(stream, absent, prefix=prefix, lsn=turn.lsn)):
                self._enqueue(turn, stream, part, Urgency.REPAIR)
            turn.audit("reconcile.retract", {"stream": stream.value, "count": len(absent)})
        self._on_work()

    def settling_due(self) -> dict[Stream, list[Key]]:
        """Half-built records whose second look is due, by stream."""
        now = self._clock.mono()
        due: dict[Stream, list[Key]] = {}
        with self._settling_lock:
            for (stream, key), (_, since) in self._settling.items():
                if now - since >= self._settle_s:
                    due.setdefault(stream, []).append(key)
        return due

    def _settled(
        self, mapped: StreamMap, changed: Sequence[Observation], held: Mapping[Key, Held]
    ) -> Sequence[Observation]:
        """Drop half-built records until two reads ``settle_s`` apart agree. Known ones, too: a key
        may have been given away again, and what the mirror holds be another's. Only what is sent
        again as it was has been believed before."""
        stream = mapped.stream
        needed = _COMPLETE_WHEN.get(stream)
        if needed is None or needed not in mapped.fields:
            return changed
        mark = f'"{needed}":'.encode()
        now = self._clock.mono()
        ready: list[Observation] = []
        with self._settling_lock:
            for row in changed:
                place = (stream, row.key)
                known = held.get(row.key)
                if mark in row.canon or (known is not None and known.hash == row.hash):
                    self._settling.pop(place, None)
                    ready.append(row)
                    continue
                first = self._settling.get(place)
                if first is None or first[0] != row.hash:
                    self._settling[place] = (row.hash, now)
                elif now - first[1] >= self._settle_s:
                    del self._settling[place]
                    ready.append(row)
        return ready

    def _gone(
        self,
        stream: Stream,
        asked: Sequence[Key],
        present: Sequence[Key],
        bad: Sequence[BadRow],
        held: Mapping[Key, Held],
        read_lsn: int,
    ) -> list[Key]:
        there = {*present, *(row.key for row in bad)}
        gone = absent_keys(asked, there, held, read_lsn=read_lsn)
        with self._settling_lock:
            for key in asked:
                if key not in there:
                    self._settling.pop((stream, key), None)
        return gone

    def _send(
        self,
        turn: Turn,
        mapped: StreamMap,
        rows: Sequence[Observation],
        deleted: Sequence[Key],
        urgency: Urgency,
        *,
        paged: bool = False,
    ) -> None:
        """Enqueue upserts and deletions and store what the mirror now holds."""
        stream = mapped.stream
        prefix = operation_prefix(self._journal.uuid, stream, turn.lsn)
        changes = make_changes(stream, rows, prefix=prefix, lsn=turn.lsn)
        taken = 0
        for part in self._split(changes):
            number = self._enqueue(turn, stream, part, urgency)
            batch_rows = rows[taken : taken + len(part)]
            seen = seen_of(batch_rows, keep_canon=mapped.merges)
            turn.see(stream, seen, number, paged=paged)
            taken += len(part)
        deletions = make_deletions(stream, deleted, prefix=prefix, lsn=turn.lsn, first=len(changes))
        for part in self._split(deletions):
            number = self._enqueue(turn, stream, part, urgency)
            turn.bury(stream, [change.key for change in part], number)

    def _split(self, changes: Sequence[Change]) -> list[list[Change]]:
        limits = self.limits
        return split_by_size(changes, max_items=limits.max_items, max_bytes=limits.max_body_bytes)

    def _enqueue(
        self, turn: Turn, stream: Stream, changes: Sequence[Change], urgency: Urgency
    ) -> int:
        body = self._crm.pack(turn.next_batch_id(), changes)
        return turn.enqueue(Outgoing(stream, urgency, body, operations_of(changes))).number

    def _park(self, turn: Turn, stream: Stream, bad: Sequence[BadRow]) -> None:
        tries = self._journal.park_tries(stream, [row.key for row in bad])
        for row in bad:
            wait_s = item_retry_s(tries.get(row.key, 0))
            due = self._clock.now() + timedelta(seconds=wait_s)
            turn.park(stream, row.key, ParkClass.DECODE, row.reason, b"", due)
            log.warning("record.parked", stream=stream.value, reason=row.reason)
