"""Every question the journal answers. Reads only; knows nothing of how its connection was opened.

Each method sees one committed snapshot and never waits for the writer. Nothing that is asked on a
timer scans ``record``: counts come from ``tally``, ages from indexes. ``proof_reads`` does scan;
it belongs to the slow proof against the CRM.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from agent.journal import audit
from agent.journal.activities import ActivityReads
from agent.journal.contents import content_of, contents_of
from agent.journal.coverage import CHUNK_COLUMNS, chunk_of
from agent.journal.fallback_reads import FallbackReads
from agent.journal.meta import read_meta
from agent.journal.proof_reads import ProofReads
from agent.journal.pull_reads import PullReads
from agent.journal.rows import (
    Activity,
    Batch,
    Chunk,
    Held,
    Numbers,
    ParkClass,
    Parked,
    StreamCount,
    Urgency,
)
from agent.journal.seal import batch_context
from agent.journal.values import (
    RANK_OF_STREAM,
    RANK_OF_URGENCY,
    URGENCY_OF_RANK,
    Row,
    bound_keys,
    fetch,
    from_micros,
    opt_from_micros,
    range_clause,
    to_micros,
    unpack_operations,
)
from agent.journal.week_reads import WeekReads
from agent.model.reading import EMPTY_DIGEST, Digest, Key
from agent.model.streams import Stream

LAST_CHAR = "\U0010ffff"  # above every name that begins with a prefix

# A number no turn can have given yet comes of a damaged disk: no read would ever count as newer.
_HELD = """
SELECT key, hash, sum48, xor64,
  CASE WHEN seen_lsn > (SELECT value + 1 FROM meta WHERE name = 'lsn') THEN 0 ELSE seen_lsn END,
  agreed, batch, missing_since, gone_at IS NOT NULL,
  EXISTS (SELECT 1 FROM park p WHERE p.stream = record.stream AND p.key = record.key)
FROM record WHERE stream = ?
"""
# The sum of 48-bit values of a long range leaves 64 bits, so its halves are summed apart.
_DIGEST = """
SELECT count(*), sum(sum48 >> 24), sum(sum48 & 16777215), xor64(xor64)
FROM record WHERE stream = ? AND gone_at IS NULL AND missing_since IS NULL
"""
_KEY_DIGEST = """
SELECT count(*), sum((key >> 24) & 16777215), sum(key & 16777215), xor64(key)
FROM record WHERE stream = ? AND gone_at IS NULL AND missing_since IS NULL
"""
_BATCH = "number, id, stream, rank, attempts, planned_at, operations, body"


class Reads(PullReads, ActivityReads, FallbackReads, ProofReads, WeekReads):
    """The reading face of a journal."""

    # --- records -----------------------------------------------------------------------------

    def held(self, stream: Stream, keys: Sequence[Key]) -> dict[Key, Held]:
        """What is held of these keys, tombstones too; unknown keys are absent."""
        if not keys:
            return {}
        sql = _HELD + " AND key IN (SELECT value FROM carray(?))"
        return _held(self._rows(sql, (self._streams[stream], bound_keys(keys))))

    def held_range(self, stream: Stream, lo: Key | None, hi: Key | None) -> dict[Key, Held]:
        """Present (not gone) records with lo < key <= hi, keys ascending."""
        clause, bound = range_clause(lo, hi)
        sql = f"{_HELD} AND gone_at IS NULL{clause} ORDER BY key"
        return _held(self._rows(sql, (self._streams[stream], *bound)))

    def digest(self, stream: Stream, lo: Key | None, hi: Key | None) -> Digest:
        """Count, exact sum and signed xor of the present records with lo < key <= hi.

        Records a validated read did not find are left out: the PMS is believed about them for this
        proof, and whether they are deleted is decided by the second look.
        """
        clause, bound = range_clause(lo, hi)
        count, high, low, xor = self._rows(_DIGEST + clause, (self._streams[stream], *bound))[0]
        return Digest(count, (high << 24) + low, xor) if count else EMPTY_DIGEST

    def key_digest(self, stream: Stream, lo: Key | None, hi: Key | None) -> Digest:
        """The same over the (whole-number) keys alone: count, sum of low 48 bits, xor."""
        clause, bound = range_clause(lo, hi)
        sql = _KEY_DIGEST + clause
        count, high, low, xor = self._rows(sql, (self._streams[stream], *bound))[0]
        return Digest(count, (high << 24) + low, xor) if count else EMPTY_DIGEST

    def is_empty(self, stream: Stream, lo: Key | None, hi: Key | None) -> bool:
        """True when the mirror never held any record in the range: the load's fast path."""
        clause, bound = range_clause(lo, hi)
        sql = f"SELECT 1 FROM record WHERE stream = ?{clause} LIMIT 1"
        return self._one(sql, (self._streams[stream], *bound)) is None

    def nth_key(self, stream: Stream, lo: Key | None, n: int) -> Key | None:
        """The n-th mirrored key above ``lo`` (1-based), or None when fewer exist."""
        clause, bound = range_clause(lo, None)
        key: Key | None = self._one(
            f"SELECT key FROM record WHERE stream = ?{clause} ORDER BY key LIMIT 1 OFFSET ?",
            (self._streams[stream], *bound, n - 1),
        )
        return key

    def max_key(self, stream: Stream) -> Key | None:
        """Highest key ever mirrored, gone ones too."""
        key: Key | None = self._one(
            "SELECT key FROM record WHERE stream = ? ORDER BY key DESC LIMIT 1",
            (self._streams[stream],),
        )
        return key

    def content(self, stream: Stream, key: Key) -> bytes | None:
        """Canonical content last seen, for streams that keep it."""
        with self._snapshot() as db:
            return content_of(db, self._seal, stream, self._streams[stream], key)

    def contents(self, stream: Stream, keys: Sequence[Key]) -> dict[Key, bytes]:
        """The same of many keys (of one type); those without one are left out."""
        with self._snapshot() as db:
            return contents_of(db, self._seal, stream, self._streams[stream], keys)

    def missing(
        self, before: datetime, limit: int, streams: Sequence[Stream] | None = None
    ) -> list[tuple[Stream, Key, datetime]]:
        """Present records (of these streams) missing since before the moment: candidates for the
        second look."""
        names = self._names
        wanted = list(self._streams if streams is None else streams)
        if not wanted:
            return []
        return [
            (names[stream], key, from_micros(since))
            for stream, key, since in self._rows(
                "SELECT stream, key, missing_since FROM record WHERE missing_since < ?"
                " AND +stream IN (SELECT value FROM carray(?)) ORDER BY missing_since LIMIT ?",
                (to_micros(before), bound_keys([self._streams[s] for s in wanted]), limit),
            )
        ]

    def cloud_id(self, stream: Stream, key: Key) -> str | None:
        """The CRM's own id of a record, following one merge."""
        found: str | None = self._one(
            "SELECT coalesce(w.cloud_id, i.cloud_id) FROM ident i LEFT JOIN ident w"
            " ON w.stream = i.stream AND w.key = i.merged_into WHERE i.stream = ? AND i.key = ?",
            (self._streams[stream], key),
        )
        return found

    def linked_key(self, stream: Stream, cloud_id: str) -> Key | None:
        """The record the CRM knows by this id."""
        key: Key | None = self._one(
            "SELECT coalesce(merged_into, key) FROM ident WHERE stream = ? AND cloud_id = ?",
            (self._streams[stream], cloud_id),
        )
        return key

    # --- work --------------------------------------------------------------------------------

    def due_batches(
        self,
        now: datetime,
        limit: int,
        busy: frozenset[Stream],
        flying: frozenset[int] = frozenset(),
    ) -> list[Batch]:
        """Next batches to send, most urgent first, none of ``flying`` (numbers under way).

        Changes of a stream leave one batch after the other: none of ``busy`` streams, at most one
        each. Batches of the first load carry distinct records and may fly side by side. A deferred
        batch lets later ones of its stream pass: records stay in order by version.
        """
        if limit < 1:
            return []
        load = RANK_OF_URGENCY[Urgency.LOAD]
        free = [number for stream, number in self._streams.items() if stream not in busy]
        rows = (
            self._rows(
                f"SELECT {_BATCH} FROM batch"
                " WHERE number IN (SELECT (SELECT b.number FROM batch b WHERE b.stream = s.value"
                "   AND b.rank < ? AND b.due_at <= ? ORDER BY b.rank, b.number LIMIT 1)"
                "   FROM carray(?) s) ORDER BY rank, number LIMIT ?",
                (load, to_micros(now), bound_keys(free), limit),
            )
            if free
            else []
        )
        if len(rows) < limit:
            rows += self._rows(
                f"SELECT {_BATCH} FROM batch WHERE rank = ? AND due_at <= ?"
                " AND number NOT IN (SELECT value FROM carray(?)) ORDER BY number LIMIT ?",
                (load, to_micros(now), bound_keys([-1, *flying]), limit - len(rows)),
            )
        return self._batches(rows)

    def batches_after(self, stream: Stream, after: int, limit: int) -> list[Batch]:
        """Waiting batches of a stream above a number, in order."""
        rows = self._rows(
            f"SELECT {_BATCH} FROM batch WHERE stream = ? AND number > ? ORDER BY number LIMIT ?",
            (self._streams[stream], after, limit),
        )
        return self._batches(rows)

    def _batches(self, rows: Sequence[Row]) -> list[Batch]:
        names = self._names
        return [
            Batch(
                number=number,
                id=ident,
                stream=names[stream],
                urgency=URGENCY_OF_RANK[rank],
                body=self._seal.open(body, batch_context("body", ident)),
                operations=unpack_operations(
                    self._seal.open(operations, batch_context("operations", ident))
                ),
                attempts=attempts,
                planned_at=from_micros(planned_at),
            )
            for number, ident, stream, rank, attempts, planned_at, operations, body in rows
        ]

    def batches_waiting(self, urgency: Urgency | None = None) -> int:
        if urgency is None:
            return int(self._one("SELECT coalesce(sum(batches), 0) FROM tally"))
        return int(
            self._one("SELECT count(*) FROM batch WHERE rank = ?", (RANK_OF_URGENCY[urgency],))
        )

    def due_parked(
        self, now: datetime, limit: int, streams: Iterable[Stream] | None = None
    ) -> list[Parked]:
        """Parks (of these streams) whose next try is due, the longest due first."""
        wanted = [self._streams[s] for s in (self._streams if streams is None else streams)]
        if not wanted:
            return []
        return self._parks(
            "WHERE due_at <= ? AND class <> 'ignored'"
            " AND +stream IN (SELECT value FROM carray(?)) ORDER BY due_at LIMIT ?",
            (to_micros(now), bound_keys(wanted), limit),
        )

    def parked(self, limit: int, *, ignored: bool = False) -> list[Parked]:
        """Parks, the oldest first; or those a person chose to ignore."""
        sign = "=" if ignored else "<>"
        return self._parks(f"WHERE class {sign} 'ignored' ORDER BY since LIMIT ?", (limit,))

    def parked_ignored(self) -> int:
        return int(self._one("SELECT count(*) FROM park WHERE class = 'ignored'"))

    def park_tries(self, stream: Stream, keys: Sequence[Key]) -> dict[Key, int]:
        """How often each of these keys was parked with its present content; others are absent."""
        sql = (
            "SELECT key, tries FROM park WHERE stream = ? AND key IN (SELECT value FROM carray(?))"
        )
        return dict(self._rows(sql, (self._streams[stream], bound_keys(keys)))) if keys else {}

    def _parks(self, clause: str, bound: Row) -> list[Parked]:
        names = self._names
        return [
            Parked(
                stream=names[stream],
                key=key,
                why=ParkClass(why),
                reason=reason,
                content_hash=content_hash,
                tries=tries,
                since=from_micros(since),
                due_at=from_micros(due_at),
            )
            for stream, key, why, reason, content_hash, tries, since, due_at in self._rows(
                "SELECT stream, key, class, reason, content_hash, tries, since, due_at FROM park "
                + clause,
                bound,
            )
        ]

    # --- coverage ----------------------------------------------------------------------------

    def next_chunks(
        self,
        now: datetime,
        limit: int,
        *,
        loaded: bool | None = None,
        streams: Sequence[Stream] | None = None,
        newest_first: bool = False,
    ) -> list[Chunk]:
        """Chunks due, most overdue first.

        ``loaded=False`` gives the load's next chunks in stream order, then key order
        (descending with ``newest_first``).
        """
        wanted = sorted(
            self._streams if streams is None else streams, key=RANK_OF_STREAM.__getitem__
        )
        if not wanted:
            return []
        micros = to_micros(now)
        if loaded is False:
            order = "lo DESC" if newest_first else "lo"
            found: list[Chunk] = []
            with self._snapshot() as db:
                for stream in wanted:
                    rows = fetch(
                        db,
                        f"SELECT {CHUNK_COLUMNS} FROM chunk WHERE stream = ? AND loaded = 0"
                        f" AND due_at <= ? ORDER BY {order} LIMIT ?",
                        (self._streams[stream], micros, limit - len(found)),
                    )
                    found += [chunk_of(stream, row) for row in rows]
                    if len(found) >= limit:
                        break
            return found
        names = self._names
        only = "" if loaded is None else " AND loaded = 1"
        return [
            chunk_of(names[row[0]], row[1:])
            for row in self._rows(
                f"SELECT stream, {CHUNK_COLUMNS} FROM chunk WHERE due_at <= ?{only}"
                " AND stream IN (SELECT value FROM carray(?)) ORDER BY due_at, number LIMIT ?",
                (micros, bound_keys([self._streams[s] for s in wanted]), limit),
            )
        ]

    def chunks(self, stream: Stream) -> list[Chunk]:
        """The stream's whole ledger in key order."""
        sql = f"SELECT {CHUNK_COLUMNS} FROM chunk WHERE stream = ? ORDER BY lo"
        return [chunk_of(stream, row) for row in self._rows(sql, (self._streams[stream],))]

    def mark(self, name: str) -> str | None:
        value: str | None = self._one("SELECT value FROM mark WHERE name = ?", (name,))
        return value

    def marks(self, prefix: str) -> dict[str, str]:
        """Marks whose name starts with ``prefix``, by name."""
        return dict(
            self._rows(
                "SELECT name, value FROM mark WHERE name >= ? AND name < ? ORDER BY name",
                (prefix, prefix + LAST_CHAR),
            )
        )

    def low_watermark(self, stream: Stream, lane: str) -> datetime | None:
        """End of the closed coverage that started first: the beginning of the first hole."""
        return opt_from_micros(
            self._one(
                "SELECT hi FROM span WHERE stream = ? AND lane = ? ORDER BY lo LIMIT 1",
                (self._streams[stream], lane),
            )
        )

    def source(self) -> tuple[str, str, dict[str, int]] | None:
        """(identity, state, high_marks) last stored."""
        rows = self._rows("SELECT identity, state, high_marks FROM source")
        if not rows:
            return None
        identity, state, marks = rows[0]
        return identity, state, msgspec.json.decode(marks, type=dict[str, int])

    # --- numbers -----------------------------------------------------------------------------

    def numbers(self, now: datetime) -> Numbers:
        """The honest numbers, of one snapshot."""
        with self._snapshot() as db:
            row = fetch(
                db,
                "SELECT (SELECT min(planned_at) FROM batch), (SELECT min(since) FROM chunk),"
                " (SELECT count(*) FROM conflict WHERE state = 'open'),"
                " (SELECT count(*) FROM command INDEXED BY command_open WHERE state <> 'done'),"
                " (SELECT count(*) FROM task WHERE state = 'open'),"
                " (SELECT count(*) FROM contact WHERE state = 'suspect'),"
                " (SELECT count(*) FROM effect WHERE state IN ('intent', 'written', 'unknown')"
                "   AND state = 'unknown'),"
                " (SELECT count(*) FROM chunk WHERE due_at < ?),"
                " (SELECT count(*) FROM (SELECT DISTINCT stream, key"
                "   FROM conflict INDEXED BY conflict_open WHERE state = 'open')),"
                " coalesce(sum(batches), 0), coalesce(sum(operations), 0),"
                " coalesce(sum(parked), 0), coalesce(sum(chunks), 0), coalesce(sum(unloaded), 0)"
                " FROM tally",
                (to_micros(now),),
            )[0]
        unsent, unverified, conflicts, commands, tasks, suspects, unknown, *counts = row
        overdue, disputed, batches, operations, parked, chunks, unloaded = counts
        return Numbers(
            oldest_unsent_at=opt_from_micros(unsent),
            oldest_unverified_at=opt_from_micros(unverified),
            pending_batches=batches,
            pending_operations=operations,
            open_conflicts=conflicts,
            conflict_records=disputed,
            parked=parked,
            chunks=chunks,
            chunks_unloaded=unloaded,
            chunks_overdue=overdue,
            commands_waiting=commands,
            tasks_open=tasks,
            suspects=suspects,
            effects_unknown=unknown,
        )

    def stream_counts(self) -> list[StreamCount]:
        """Counts of every stream, in stream order."""
        rows = self._rows("SELECT stream, present, agreed, waiting, parked, gone FROM tally")
        names = self._names
        counts = [StreamCount(names[row[0]], *row[1:]) for row in rows if row[0] in names]
        return sorted(counts, key=lambda count: RANK_OF_STREAM[count.stream])

    # --- what happened -----------------------------------------------------------------------

    def recent_activity(self, limit: int, before: int | None = None) -> list[Activity]:
        """Newest first; ``before`` continues above a line's number."""
        names = self._names
        return [
            Activity(
                at=from_micros(at),
                code=code,
                stream=None if stream is None else names[stream],
                count=count,
                facts=msgspec.json.decode(facts, type=dict[str, str | int | float]),
                number=number,
            )
            for number, at, code, stream, count, facts in self._rows(
                "SELECT number, at, code, stream, count, facts FROM activity WHERE number < ?"
                " ORDER BY number DESC LIMIT ?",
                (2**62 if before is None else before, limit),
            )
        ]

    def refused_since(self, at: datetime) -> dict[str, int]:
        """Code -> how many envelopes were not believed since then, as far as activity is kept."""
        return dict(
            self._rows(
                "SELECT code, sum(count) FROM activity"
                " WHERE code >= 'envelope.' AND code < 'envelope/' AND at >= ? GROUP BY code",
                (to_micros(at),),
            )
        )

    @property
    def lsn(self) -> int:
        """Number of the last committed turn."""
        return int(self._one("SELECT value FROM meta WHERE name = 'lsn'"))

    def audit_head(self) -> str:
        """``epoch-seq-hash`` of the chain's end: what the CRM is asked to remember."""
        with self._snapshot() as db:
            facts = read_meta(db)
        return audit.head_text(facts.epoch, audit.Head(facts.audit_seq, facts.audit_hash))


def _held(rows: list[Row]) -> dict[Key, Held]:
    return {
        row[0]: Held(
            hash=row[1],
            sum48=row[2],
            xor64=row[3],
            seen_lsn=row[4],
            agreed=row[5],
            batch=row[6],
            missing_since=opt_from_micros(row[7]),
            gone=bool(row[8]),
            parked=bool(row[9]),
        )
        for row in rows
    }
