"""Outgoing batches: planned, split, settled, deferred. Part of a turn; never commits.

- An outgoing batch *is* the durable intent (T2). Nothing records "sent": the CRM deduplicates by
  batch id, so a batch still here after a crash is simply due again, same id and same bytes (T5).
- A record's ``batch`` names the batch that carries the record's present content, or nothing.
- ``agreed_lsn`` is the journal position of the content that was agreed, not of the reply. Replies
  may settle out of order; older content never replaces newer as the agreed one.
- A dropped batch leaves no record pointing at it: checked before the commit, whatever the order of
  the calls in the turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import apsw
import msgspec
import structlog

from agent.errors import JournalError
from agent.journal.rows import Batch, Operation, Outgoing, Urgency
from agent.journal.seal import Seal, batch_context
from agent.journal.values import (
    RANK_OF_URGENCY,
    bound_keys,
    fetch,
    from_micros,
    pack_operations,
    to_micros,
)
from agent.journal.writer import Writer
from agent.model.reading import Key
from agent.model.streams import Stream

log = structlog.get_logger(__name__)

_RANGE_MIN = 32  # below this many operations, settling key by key is as fast

_SETTLE_RANGE = """
UPDATE record SET agreed = hash, agreed_lsn = ?, batch = NULL
WHERE stream = ? AND key BETWEEN ? AND ? AND batch = ?
"""
_SETTLE_KEY = """
UPDATE record SET agreed = ?1, agreed_lsn = ?2,
  batch = CASE WHEN batch = ?3 THEN NULL ELSE batch END
WHERE stream = ?4 AND key = ?5 AND (batch = ?3 OR agreed_lsn IS NULL OR agreed_lsn < ?2)
"""


class _Dropped(msgspec.Struct):
    """A batch row that left in this turn, and the keys it may still be named by."""

    stream: int
    lsn: int
    planned_at: int
    open_keys: list[Key]


class Outbox(Writer):
    """The part of a turn that changes outgoing batches."""

    def __init__(
        self, db: apsw.Connection, *, seal: Seal, now: datetime, streams: Mapping[Stream, int]
    ) -> None:
        super().__init__(db, seal=seal, now=now, streams=streams)
        self._dropped: dict[int, _Dropped] = {}

    def next_batch_id(self, ahead: int = 0) -> str:
        """The id ``enqueue`` will assign next inside this turn (``ahead``: the one after, ...)."""
        return f"{self._uuid}-{self._batch + 1 + ahead}"

    def enqueue(self, outgoing: Outgoing) -> Batch:
        """Durable intent. Records that hold exactly an operation's content are carried by it now.

        A retry of content that was waiting keeps the older planning time: its age is not reset.
        """
        number = self._streams[outgoing.stream]
        keys = [operation.key for operation in outgoing.operations]
        before = self._census(number, keys)
        planned_at = min(
            [self._at, *self._ages(number, outgoing.operations)] if before[3] else [self._at]
        )
        batch = self._add(outgoing, planned_at=planned_at, lsn=self.lsn, attempts=0)
        if before[0]:
            self._db.executemany(
                "UPDATE record SET batch = ? WHERE stream = ? AND key = ? AND hash = ?",
                [(batch.number, number, o.key, o.hash) for o in outgoing.operations],
            )
            self._recount(number, before, self._census(number, keys))
        return batch

    def replace(self, batch: Batch, parts: Sequence[Outgoing]) -> list[Batch]:
        """Split a batch (bisect, item retries); records move to the parts, age and order stay.

        Operations in no part must be settled, parked or enqueued in this turn.
        """
        dropped = self._drop(batch)
        if dropped is None:
            return []
        number = dropped.stream
        added: list[Batch] = []
        for part in parts:
            new = self._add(
                part, planned_at=dropped.planned_at, lsn=dropped.lsn, attempts=batch.attempts
            )
            self._db.executemany(
                "UPDATE record SET batch = ? WHERE stream = ? AND key = ? AND batch = ?",
                [(new.number, number, o.key, batch.number) for o in part.operations],
            )
            added.append(new)
        self.audit(
            "batch.split",
            {"batch": batch.id, "parts": len(added), "of": len(batch.operations)},
            pack_operations(batch.operations),
        )
        return added

    def settle(self, batch: Batch, done: Sequence[Operation]) -> None:
        """These operations are agreed; the batch row goes; one audit row proves them.

        Operations of the batch not in ``done`` must be parked, enqueued again or moved by
        ``replace`` in this turn. A batch that is not here any more (a late second reply) is
        ignored.
        """
        dropped = self._drop(batch)
        if dropped is None:
            log.info("journal.settled_before", batch=batch.id)
            return
        settled = 0
        if len(done) >= _RANGE_MIN and batch.urgency is Urgency.LOAD:
            settled = self._settle_range(batch, dropped, [operation.key for operation in done])
        if settled < len(done):
            self._settle_keys(batch, dropped, done)
        if len(done) == len(batch.operations):
            dropped.open_keys = []
        self.audit(
            "batch.settled",
            {
                "batch": batch.id,
                "stream": batch.stream.value,
                "planned_lsn": dropped.lsn,
                "done": len(done),
                "of": len(batch.operations),
            },
            pack_operations(done),
        )

    def defer(self, batch: Batch, due_at: datetime, why: str) -> None:
        """attempts += 1, not before ``due_at``."""
        self._db.execute(
            "UPDATE batch SET attempts = attempts + 1, due_at = ?, why = ? WHERE number = ?",
            (to_micros(due_at), why, batch.number),
        )

    def _add(self, outgoing: Outgoing, *, planned_at: int, lsn: int, attempts: int) -> Batch:
        if not outgoing.operations:
            raise ValueError("a batch without operations")
        ident = self.next_batch_id()
        self._batch += 1
        number, items = self._streams[outgoing.stream], len(outgoing.operations)
        self._db.execute(
            "INSERT INTO batch(number, id, stream, rank, due_at, planned_at, lsn, attempts, items,"
            " operations, body) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            (
                self._batch,
                ident,
                number,
                RANK_OF_URGENCY[outgoing.urgency],
                self._at,
                planned_at,
                lsn,
                attempts,
                items,
                self._seal.seal(
                    pack_operations(outgoing.operations), batch_context("operations", ident)
                ),
                self._seal.seal(outgoing.body, batch_context("body", ident)),
            ),
        )
        self._counts[number, "batches"] += 1
        self._counts[number, "operations"] += items
        return Batch(
            number=self._batch,
            id=ident,
            stream=outgoing.stream,
            urgency=outgoing.urgency,
            body=outgoing.body,
            operations=outgoing.operations,
            attempts=attempts,
            planned_at=from_micros(planned_at),
        )

    def _drop(self, batch: Batch) -> _Dropped | None:
        """Take the batch row away (once); None when an earlier turn did."""
        if batch.number in self._dropped:
            return self._dropped[batch.number]
        row = next(
            self._db.execute(
                "DELETE FROM batch WHERE number = ? AND id = ?"
                " RETURNING stream, lsn, planned_at, items",
                (batch.number, batch.id),
            ),
            None,
        )
        if row is None:
            return None
        stream, lsn, planned_at, items = row
        self._counts[stream, "batches"] -= 1
        self._counts[stream, "operations"] -= items
        dropped = _Dropped(stream, lsn, planned_at, [o.key for o in batch.operations])
        self._dropped[batch.number] = dropped
        return dropped

    def _ages(self, stream: int, operations: Sequence[Operation]) -> Iterable[int]:
        """Planning times of batches that carry exactly these contents now."""
        contents = {operation.key: operation.hash for operation in operations}
        rows = fetch(
            self._db,
            "SELECT r.key, r.hash, r.batch, b.planned_at FROM record r"
            " LEFT JOIN batch b ON b.number = r.batch"
            " WHERE r.stream = ? AND r.key IN (SELECT value FROM carray(?))"
            " AND r.batch IS NOT NULL",
            (stream, bound_keys(list(contents))),
        )
        for key, hashed, number, planned_at in rows:
            if contents[key] != hashed:
                continue
            if planned_at is not None:
                yield planned_at
            elif number in self._dropped:
                yield self._dropped[number].planned_at

    def _settle_range(self, batch: Batch, dropped: _Dropped, keys: Sequence[Key]) -> int:
        """One UPDATE over the key range, where the mirror is not much denser than the batch.

        A row's ``batch`` names the batch that carries the row's present hash, so within the range
        that column alone selects the rows and ``hash`` is what they agree on.
        """
        span = (dropped.stream, min(keys), max(keys))
        where = "stream = ? AND key BETWEEN ? AND ?"
        limit = 2 * len(keys)
        inside = self._count(
            f"SELECT count(*) FROM (SELECT 1 FROM record WHERE {where} LIMIT ?)", (*span, limit + 1)
        )
        if inside > limit:
            return 0
        before = self._census_range(span)
        self._db.execute(_SETTLE_RANGE, (dropped.lsn, *span, batch.number))
        changed = self._db.changes()
        self._recount(dropped.stream, before, self._census_range(span))
        return changed

    def _settle_keys(self, batch: Batch, dropped: _Dropped, done: Sequence[Operation]) -> None:
        if not done:
            return
        keys = [operation.key for operation in done]
        before = self._census(dropped.stream, keys)
        self._db.executemany(
            _SETTLE_KEY,
            [(o.hash, dropped.lsn, batch.number, dropped.stream, o.key) for o in done],
        )
        self._recount(dropped.stream, before, self._census(dropped.stream, keys))

    def _settle_up(self) -> None:
        """No record may name a batch that left: parked ones are freed, any other is a bug."""
        super()._settle_up()
        for number, dropped in self._dropped.items():
            if not dropped.open_keys:
                continue
            before = self._census(dropped.stream, dropped.open_keys)
            bound = (dropped.stream, bound_keys(dropped.open_keys), number)
            where = "stream = ? AND key IN (SELECT value FROM carray(?)) AND batch = ?"
            self._db.execute(
                f"UPDATE record SET batch = NULL WHERE {where} AND EXISTS (SELECT 1 FROM park p"
                " WHERE p.stream = record.stream AND p.key = record.key)",
                bound,
            )
            self._recount(dropped.stream, before, self._census(dropped.stream, dropped.open_keys))
            left = self._count(f"SELECT count(*) FROM record WHERE {where}", bound)
            if left:
                raise JournalError("journal.unsettled", batch=number, operations=left)
