"""A turn: the one writer's transaction as the engine sees it, and every change of rows there is.

May not commit, roll back or open anything; ``journal`` does. Observation, the work it implies and
the progress of the read are one turn (T1), as are outcome, agreed state, park and audit row (T3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from agent.journal import coverage, waits
from agent.journal.activities import ACTIVITY_KEPT, Activities
from agent.journal.conflicts import Conflicts
from agent.journal.effects import Effects
from agent.journal.fallback import Fallback
from agent.journal.forgetting import Forgetting
from agent.journal.inbox import Inbox
from agent.journal.meta import write_meta
from agent.journal.outbox import Outbox
from agent.journal.people import People
from agent.journal.retention import oldest_open_intent, prune_pull
from agent.journal.rows import Chunk, ParkClass, Seen, Tier
from agent.journal.values import bound_keys, fetch, to_micros
from agent.model.reading import Key
from agent.model.streams import Stream

AUDIT_KEPT = 500_000
WORK_KEPT = timedelta(days=90)  # settled commands and effects, with their undo images

_MICROSECOND = timedelta(microseconds=1)

_SEE = """
INSERT INTO record(stream, key, hash, sum48, xor64, seen_lsn, batch) VALUES (?,?,?,?,?,?,?)
ON CONFLICT(stream, key) DO UPDATE SET
  hash = excluded.hash, sum48 = excluded.sum48, xor64 = excluded.xor64,
  seen_lsn = excluded.seen_lsn, missing_since = NULL, gone_at = NULL,
  batch = CASE WHEN excluded.batch IS NULL AND excluded.hash = hash THEN batch
               ELSE excluded.batch END
"""
_BURY = """
UPDATE record SET hash = x'', sum48 = 0, xor64 = 0, seen_lsn = ?, missing_since = NULL,
  batch = CASE WHEN ?2 IS NULL AND gone_at IS NOT NULL THEN batch ELSE ?2 END,
  gone_at = coalesce(gone_at, ?3)
WHERE stream = ?4 AND key IN (SELECT value FROM carray(?5))
"""
# Why it was parked before: what could not be read has no content.
_HEED = (
    "CASE WHEN class <> 'ignored' THEN class WHEN content_hash = x'' THEN 'decode'"
    " ELSE 'validation' END"
)
_PARK = """
INSERT INTO park(stream, key, class, reason, content_hash, tries, since, due_at)
VALUES (?,?,?,?,?,1,?,?)
ON CONFLICT(stream, key) DO UPDATE SET
  class = CASE WHEN class = 'ignored' AND excluded.content_hash = content_hash THEN class
    ELSE excluded.class END, reason = excluded.reason, due_at = excluded.due_at,
  tries = CASE WHEN excluded.content_hash = content_hash THEN tries + 1 ELSE 1 END,
  content_hash = excluded.content_hash
"""


class Turn(Outbox, Inbox, Effects, Conflicts, People, Forgetting, Activities, Fallback):
    """The one writer's transaction. Everything done in a turn commits together or not at all.

    ``lsn``: this turn's log sequence number; strictly growing, gap-free over committed turns.
    A turn that changed nothing commits nothing and takes no number.
    """

    # --- records -----------------------------------------------------------------------------

    def see(
        self, stream: Stream, seen: Sequence[Seen], batch: int | None, *, paged: bool = False
    ) -> None:
        """Upsert mirror rows with this turn's lsn; clears missing and gone; sets the batch.

        ``batch`` None on unchanged content leaves the batch that already carries that content.
        ``paged``: the rows are in key order and hardly any of them is held yet (an initial load).
        """
        if not seen:
            return
        number, lsn = self._streams[stream], self.lsn
        keys = [row.key for row in seen]
        before = self._census(number, keys)
        self._db.executemany(
            _SEE, [(number, s.key, s.hash, s.sum48, s.xor64, lsn, batch) for s in seen]
        )
        self._recount(number, before, self._census(number, keys))
        self._keep(stream, seen, paged=paged)

    def touch(self, stream: Stream, rows: Sequence[tuple[Key, int, int]]) -> None:
        """The server hash moved but the content did not: store (key, sum48, xor64) and this lsn."""
        number, lsn = self._streams[stream], self.lsn
        self._db.executemany(
            "UPDATE record SET sum48 = ?, xor64 = ?, seen_lsn = ?, missing_since = NULL"
            " WHERE stream = ? AND key = ? AND gone_at IS NULL",
            [(sum48, xor64, lsn, number, key) for key, sum48, xor64 in rows],
        )

    def miss(self, stream: Stream, keys: Sequence[Key]) -> None:
        """First validated read that did not find these present records; an earlier miss stays."""
        number = self._streams[stream]
        self._db.executemany(
            "UPDATE record SET missing_since = ? WHERE stream = ? AND key = ?"
            " AND gone_at IS NULL AND missing_since IS NULL",
            [(self._at, number, key) for key in keys],
        )

    def bury(self, stream: Stream, keys: Sequence[Key], batch: int | None) -> None:
        """Tombstone: gone, hash b"", out of digests, kept with its agreed image."""
        if not keys:
            return
        number = self._streams[stream]
        before = self._census(number, keys)
        self._db.execute(_BURY, (self.lsn, batch, self._at, number, bound_keys(keys)))
        self._recount(number, before, self._census(number, keys))

    def link(self, stream: Stream, key: Key, cloud_id: str) -> None:
        """The CRM's own id of a record. One id names one record of a stream."""
        self._db.execute(
            "INSERT INTO ident(stream, key, cloud_id, state, born_side, born_lsn)"
            " VALUES (?,?,?,'linked','pms',?)"
            " ON CONFLICT(stream, key) DO UPDATE SET"
            " cloud_id = excluded.cloud_id, state = 'linked'",
            (self._streams[stream], key, cloud_id, self.lsn),
        )

    def merge(self, stream: Stream, loser: Key, winner: Key) -> None:
        """The PMS merged ``loser`` into ``winner``; its links are followed from now on."""
        self._db.execute(
            "INSERT INTO ident(stream, key, state, merged_into, born_side, born_lsn)"
            " VALUES (?,?,'merged',?,'pms',?) ON CONFLICT(stream, key) DO UPDATE SET"
            " merged_into = excluded.merged_into, state = 'merged'",
            (self._streams[stream], loser, winner, self.lsn),
        )

    # --- time ---------------------------------------------------------------------------------

    def clock_set(self, by_s: float) -> None:
        """The wall clock was set by so much (back: below 0), and our own waits go with it. Called
        by Journal, before anything is written by the new time."""
        waits.move(self._db, by_s, self._at)

    # --- quarantine --------------------------------------------------------------------------

    def park(
        self,
        stream: Stream,
        key: Key,
        why: ParkClass,
        reason: str,
        content_hash: bytes,
        due_at: datetime,
    ) -> None:
        """Quarantine one record; a repeat with the same content counts one more try.

        The record is no longer carried by a batch that held exactly ``content_hash``.
        """
        number = self._streams[stream]
        known = self._parks(number, [key])
        self._db.execute(
            _PARK,
            (number, key, why.value, reason, content_hash, self._at, to_micros(due_at)),
        )
        self._counts[number, "parked"] += self._parks(number, [key]) - known
        before = self._census(number, [key])
        self._db.execute(
            "UPDATE record SET batch = NULL WHERE stream = ? AND key = ? AND hash = ?",
            (number, key, content_hash),
        )
        self._recount(number, before, self._census(number, [key]))

    def forget_parked(self, stream: Stream, keys: Sequence[Key]) -> None:
        """Release parks of records that were read fine or accepted; others are left alone."""
        if not keys:
            return
        number = self._streams[stream]
        known = self._parks(number, keys)
        self._db.execute(
            "DELETE FROM park WHERE stream = ? AND key IN (SELECT value FROM carray(?))",
            (number, bound_keys(keys)),
        )
        self._counts[number, "parked"] -= known

    def retry_parked(self, stream: Stream, keys: Sequence[Key]) -> set[Key]:
        """Due now; ignored ones count again. Returns those that are parked."""
        return self._move_parked(stream, keys, _HEED, "1", due_at=self._at)

    def ignore_parked(self, stream: Stream, keys: Sequence[Key]) -> set[Key]:
        """They stay as they are until they change, and count no more. Returns those it was said
        of."""
        return self._move_parked(stream, keys, "'ignored'", "class <> 'ignored'")

    def heed_parked(self, stream: Stream, keys: Sequence[Key]) -> set[Key]:
        """Take ``ignore_parked`` back; they are tried again at their time."""
        return self._move_parked(stream, keys, _HEED, "class = 'ignored'")

    def _move_parked(
        self,
        stream: Stream,
        keys: Sequence[Key],
        to_class: str,
        where: str,
        due_at: int | None = None,
    ) -> set[Key]:
        number = self._streams[stream]
        before = self._parks(number, keys)
        moved = {
            row[0]
            for row in self._db.execute(
                f"UPDATE park SET class = {to_class}, due_at = coalesce(?, due_at)"
                f" WHERE stream = ? AND key IN (SELECT value FROM carray(?)) AND {where}"
                " RETURNING key",
                (due_at, number, bound_keys(keys)),
            )
        }
        self._counts[number, "parked"] += self._parks(number, keys) - before
        return moved

    def _parks(self, stream: int, keys: Sequence[Key]) -> int:
        """Of these, how many count as parked."""
        return self._count(
            "SELECT count(*) FROM park WHERE stream = ? AND key IN (SELECT value FROM carray(?))"
            " AND class <> 'ignored'",
            (stream, bound_keys(keys)),
        )

    # --- coverage ----------------------------------------------------------------------------

    def set_mark(self, name: str, value: str) -> None:
        """A scalar of a lane: a log position, a step reached."""
        self._db.execute(
            "INSERT INTO mark(name, value) VALUES (?,?) ON CONFLICT(name) DO UPDATE"
            " SET value = excluded.value WHERE value <> excluded.value",
            (name, value),
        )

    def drop_marks(self, first: str, before: str) -> None:
        """Those whose name lies from ``first`` up to, not including, ``before``."""
        self._db.execute("DELETE FROM mark WHERE name >= ? AND name < ?", (first, before))

    def open_span(
        self,
        stream: Stream,
        lane: str,
        lo: datetime,
        hi: datetime,
        server_now: datetime,
        oldest_open: datetime | None,
    ) -> None:
        """Timestamp coverage [lo, hi) of a lane, merged with touching spans."""
        coverage.cover(
            self._db,
            self._streams[stream],
            lane,
            lo,
            hi,
            server_now=server_now,
            oldest_open=oldest_open,
            lsn=self.lsn,
        )

    def plan_chunks(
        self,
        stream: Stream,
        boundaries: Sequence[Key],
        tier: Tier,
        due_at: datetime,
        *,
        keep: bool = True,
    ) -> None:
        """(Re)plan the ledger: b1<b2<... gives (-inf,b1],(b1,b2],...,(bn,+inf).

        Replaces the stream's chunks. With ``keep`` a new chunk counts as loaded or verified where
        every old chunk it overlaps was (and is as old as the oldest of them); without, all is to
        be loaded again.
        """
        coverage.plan(
            self._db,
            self._streams[stream],
            boundaries,
            tier,
            now=self._at,
            due_at=to_micros(due_at),
            keep=keep,
        )
        self._recount_chunks(self._streams[stream])

    def chunk_loaded(self, chunk: Chunk, due_at: datetime) -> None:
        """Its first full read is in the mirror. Verifying it, by ``due_at``, is the sweep's."""
        number = self._streams[chunk.stream]
        self._db.execute(
            "UPDATE chunk SET loaded = 1, due_at = ?, tries = 0, why = ''"
            " WHERE number = ? AND loaded = 0",
            (to_micros(due_at), chunk.number),
        )
        self._counts[number, "unloaded"] -= self._db.changes()

    def chunk_verified(self, chunk: Chunk, at: datetime, due_at: datetime) -> None:
        """Proven equal to the PMS at ``at`` (the start of the proof)."""
        micros = to_micros(at)
        self._db.execute(
            "UPDATE chunk SET verified_at = ?, since = ?, due_at = ?, tries = 0, why = ''"
            " WHERE number = ?",
            (micros, micros, to_micros(due_at), chunk.number),
        )

    def chunk_failed(self, chunk: Chunk, due_at: datetime, why: str) -> None:
        """Error or skipped: verified_at unchanged; due_at moves so that others get their turn."""
        self._db.execute(
            "UPDATE chunk SET due_at = ?, tries = tries + 1, why = ? WHERE number = ?",
            (to_micros(due_at), why, chunk.number),
        )

    def split_chunk(self, chunk: Chunk, at: Key) -> tuple[Chunk, Chunk]:
        """(lo, at] and (at, hi], both as old, loaded and due as the whole was."""
        halves = coverage.split(self._db, chunk, self._streams[chunk.stream], at)
        self._recount_chunks(self._streams[chunk.stream])
        return halves

    def hasten_chunks(self, stream: Stream, latest: datetime) -> None:
        """None of them is due later than that."""
        micros = to_micros(latest)
        self._db.execute(
            "UPDATE chunk SET due_at = ? WHERE stream = ? AND due_at > ?",
            (micros, self._streams[stream], micros),
        )

    def due_all_chunks(self, stream: Stream | None, tier: Tier | None = None) -> None:
        """Verify everything (of one stream, of one tier) as soon as can be."""
        clause = ""
        bound: list[int | str] = []
        if stream is not None:
            clause, bound = " AND stream = ?", [self._streams[stream]]
        if tier is not None:
            clause, bound = f"{clause} AND tier = ?", [*bound, tier.value]
        self._db.execute(
            f"UPDATE chunk SET due_at = ? WHERE due_at > ?{clause}", (self._at, self._at, *bound)
        )

    def _recount_chunks(self, stream: int) -> None:
        self._db.execute(
            "UPDATE tally SET (chunks, unloaded) ="
            " (SELECT count(*), coalesce(sum(loaded = 0), 0) FROM chunk WHERE stream = ?1)"
            " WHERE stream = ?1",
            (stream,),
        )
        self._counts.pop((stream, "unloaded"), None)

    # --- what happened -----------------------------------------------------------------------

    def note(
        self,
        code: str,
        stream: Stream | None,
        count: int,
        facts: Mapping[str, str | int | float] | None = None,
    ) -> None:
        """An activity line; the oldest beyond the bound go."""
        self._db.execute(
            "INSERT INTO activity(at, code, stream, count, facts) VALUES (?,?,?,?,?)",
            (
                self._at,
                code,
                None if stream is None else self._streams[stream],
                count,
                msgspec.json.encode(dict(facts or {})).decode(),
            ),
        )
        self._db.execute(
            "DELETE FROM activity WHERE number <= ?",
            (self._db.last_insert_rowid() - ACTIVITY_KEPT,),
        )

    def remember_schema(self, version: str, fingerprint: str, decision: str) -> None:
        """What the PMS looked like and what was decided about it."""
        self._db.execute(
            "INSERT INTO schema_history(lsn, at, version, fingerprint, decision)"
            " VALUES (?,?,?,?,?)",
            (self.lsn, self._at, version, fingerprint, decision),
        )

    def set_source(self, identity: str, state: str, high_marks: Mapping[str, int]) -> None:
        """The database this journal mirrors, its state and the highest keys ever seen."""
        self._db.execute(
            "INSERT INTO source(id, identity, state, high_marks, lsn) VALUES (1,?,?,?,?)"
            " ON CONFLICT(id) DO UPDATE SET identity = excluded.identity, state = excluded.state,"
            " high_marks = excluded.high_marks, lsn = excluded.lsn",
            (identity, state, msgspec.json.encode(dict(high_marks)).decode(), self.lsn),
        )

    def prune(
        self,
        *,
        tombstones_before: datetime,
        audit_kept: int = AUDIT_KEPT,
        work_before: datetime | None = None,
    ) -> None:
        """Retention. Never touches what open work names, nor audit rows behind no anchor.

        Tombstones go only when the CRM agreed to the deletion and nothing carries, parks,
        contests, writes or links them. ``work_before``: settled work of the pull older than this
        goes; WORK_KEPT ago when not given.
        """
        kept = self._at - WORK_KEPT // _MICROSECOND
        prune_pull(self._db, work_before=kept if work_before is None else to_micros(work_before))
        gone = fetch(
            self._db,
            "DELETE FROM record WHERE gone_at < ?1 AND batch IS NULL AND agreed IS x''"
            " AND NOT EXISTS (SELECT 1 FROM park p"
            "   WHERE p.stream = record.stream AND p.key = record.key)"
            " AND NOT EXISTS (SELECT 1 FROM conflict c WHERE c.state = 'open'"
            "   AND c.stream = record.stream AND c.key = record.key)"
            " AND NOT EXISTS (SELECT 1 FROM effect e WHERE e.stream = record.stream"
            "   AND e.key = record.key AND e.state IN ('intent', 'written', 'unknown'))"
            " AND NOT (stream = ?2 AND EXISTS (SELECT 1 FROM contact p WHERE p.key = record.key))"
            " RETURNING stream, key",
            (to_micros(tombstones_before), self._streams[Stream.PATIENT]),
        )
        names = {number: stream for stream, number in self._streams.items()}
        dropped: dict[Stream, list[Key]] = {}
        for number, key in gone:
            self._counts[number, "gone"] -= 1
            dropped.setdefault(names[number], []).append(key)
        for stream, keys in dropped.items():
            self._erase(stream, keys)
        floor = next(
            self._db.execute(
                "SELECT a.seq, a.hash FROM audit a WHERE a.seq ="
                " min(?, (SELECT coalesce(max(seq), 0) FROM anchor), ?)",
                (self._head.seq - audit_kept, (oldest_open_intent(self._db) or 2**62) - 1),
            ),
            None,
        )
        if floor is not None:
            seq, hashed = floor
            self._db.execute("DELETE FROM audit WHERE seq <= ?", (seq,))
            write_meta(self._db, audit_floor_seq=seq, audit_floor_hash=hashed)
