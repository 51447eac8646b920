"""What every turn rests on: its transaction, its numbers, the counts and the audit chain.

The counts of ``tally`` follow the rows by *census*: a change of records is weighed before and
after over the same keys, and the difference is added when the turn ends. It costs under a
microsecond a row and cannot drift from a rule someone forgot to state. Never commits.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

import apsw

from agent.errors import JournalError
from agent.journal import audit
from agent.journal.meta import read_meta, write_meta
from agent.journal.seal import Seal
from agent.journal.values import Row, bound_keys, to_micros
from agent.model.reading import Key
from agent.model.streams import Stream

ANCHORS_KEPT = 100

_CENSUS = """
SELECT count(*), coalesce(sum(gone_at IS NULL), 0),
  coalesce(sum(gone_at IS NULL AND agreed IS hash), 0), coalesce(sum(batch IS NOT NULL), 0)
FROM record WHERE stream = ?
"""

Census = tuple[int, int, int, int]
"""Records there, present, agreed and waiting among some keys."""


class Writer:
    """One open transaction. Made, ended and committed by Journal only."""

    def __init__(
        self, db: apsw.Connection, *, seal: Seal, now: datetime, streams: Mapping[Stream, int]
    ) -> None:
        facts = read_meta(db)
        self._connection = db
        self._seal = seal
        self._streams = streams
        self._at = to_micros(now)
        self._uuid = facts.uuid
        self._epoch = facts.epoch
        self._batch = facts.batch  # last number given away, never given again
        self._head = audit.Head(facts.audit_seq, facts.audit_hash)
        self._first = (self._batch, self._head)
        self._counts: defaultdict[tuple[int, str], int] = defaultdict(int)
        self._changes = db.total_changes()
        self._ended = False
        self.lsn = facts.lsn + 1

    @property
    def _db(self) -> apsw.Connection:
        # SQLite ends a transaction by itself on some errors; whoever swallowed one must not go on
        # writing row by row outside any transaction.
        if self._ended or not self._connection.in_transaction:
            raise JournalError("journal.turn_over")
        return self._connection

    def audit(self, act: str, detail: Mapping[str, str | int | float], proves: bytes = b"") -> None:
        """One row of the chain; ``proves``: bytes whose sha256 the row holds."""
        self._head = audit.append(
            self._db,
            self._head,
            lsn=self.lsn,
            epoch=self._epoch,
            at=self._at,
            act=act,
            detail=detail,
            digest=hashlib.sha256(proves).digest() if proves else b"",
        )

    def anchor(self, head: str, receipt: str = "") -> None:
        """Someone outside (the CRM) now holds this head; later verification insists on it."""
        _, seq, hashed = head.split("-", 2)
        self._db.execute(
            "INSERT INTO anchor(seq, hash, lsn, at, receipt) VALUES (?,?,?,?,?)"
            " ON CONFLICT(seq) DO NOTHING",
            (int(seq), bytes.fromhex(hashed), self.lsn, self._at, receipt),
        )
        self._db.execute(
            "DELETE FROM anchor WHERE seq <= (SELECT seq FROM anchor ORDER BY seq DESC"
            " LIMIT 1 OFFSET ?)",
            (ANCHORS_KEPT,),
        )

    # --- counting and the end ----------------------------------------------------------------

    def _count(self, sql: str, bound: Row) -> int:
        return int(next(self._db.execute(sql, bound))[0])

    def _census(self, stream: int, keys: Sequence[Key]) -> Census:
        if not keys:
            return 0, 0, 0, 0
        sql = _CENSUS + " AND key IN (SELECT value FROM carray(?))"
        return _four(next(self._db.execute(sql, (stream, bound_keys(keys)))))

    def _census_range(self, span: tuple[int, Key, Key]) -> Census:
        return _four(next(self._db.execute(_CENSUS + " AND key BETWEEN ? AND ?", span)))

    def _recount(self, stream: int, before: Census, after: Census) -> None:
        gone = (after[0] - after[1]) - (before[0] - before[1])
        for name, change in (
            ("present", after[1] - before[1]),
            ("agreed", after[2] - before[2]),
            ("waiting", after[3] - before[3]),
            ("gone", gone),
        ):
            if change:
                self._counts[stream, name] += change

    def _settle_up(self) -> None:
        """Checks and clean-ups of the parts built on this, before the counts are written."""

    def finish(self) -> bool:
        """Last writes before the commit; False when the turn changed nothing. Called by Journal."""
        if self._connection.total_changes() == self._changes:
            return False
        self._settle_up()
        for (stream, name), change in self._counts.items():
            if change:
                self._db.execute(
                    f"UPDATE tally SET {name} = {name} + ? WHERE stream = ?", (change, stream)
                )
        write_meta(self._db, lsn=self.lsn)
        if self._batch != self._first[0]:
            write_meta(self._db, batch=self._batch)
        if self._head != self._first[1]:
            write_meta(self._db, audit_seq=self._head.seq, audit_hash=self._head.hash)
        return True

    def end(self) -> None:
        """Nothing can be done in this turn any more. Called by Journal."""
        self._ended = True


def _four(row: Row) -> Census:
    rows, present, agreed, waiting = row
    return rows, present, agreed, waiting
