"""Judging a batch and storing what it changes: the one writer of records.

Imports apsw and this package's pure parts. All of a batch commits in one transaction together with
its remembered answer. ``Intake`` is not thread-safe and expects to be the only writer of records.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Final

import apsw
import msgspec

from agent.model.writing import Outcome
from agent.sandbox.crm import extract as x
from agent.sandbox.crm.digests import Digests, Recount
from agent.sandbox.crm.faults import Faults
from agent.sandbox.crm.problems import Refusal
from agent.sandbox.crm.schema import TYPE_NAME, State, now_us
from agent.sandbox.crm.telling import Telling
from agent.sandbox.crm.wire import (
    BadItem,
    Batch,
    Item,
    Op,
    Result,
    encode_item,
    read_batch,
    read_item,
)
from agent.sandbox.crm.work import (
    HELD_COLUMNS,
    INSERT_RECORD,
    UPDATE_RECORD,
    Held,
    Work,
    bucket_of,
    index,
    read_held,
)

ANSWER_KEPT_US: Final = 7 * 86_400 * 1_000_000
_PATIENTS_REMEMBERED: Final = 400_000
_LIVE: Final = int(State.LIVE)
_STATE_AFTER = {Op.UPSERT: State.LIVE, Op.DELETE: State.DELETED, Op.MERGE: State.MERGED}


class Answer(msgspec.Struct, frozen=True):
    """What a push is answered, and what it moved (empty on a replay)."""

    body: bytes
    replayed: bool = False
    moved: bool = False


class Intake:
    """Takes batches. ``store`` is the read-write connection; ``faults`` may overrule outcomes."""

    def __init__(self, store: apsw.Connection, faults: Faults) -> None:
        self._db = store
        self._faults = faults
        self._digests = Digests(store)
        self._telling = Telling(store)
        self._journals: dict[str, int] = {}
        self._patients: set[str] = set()
        self._next_rid = 0
        self._next_seq = 0
        self.open_rejects = 0
        self.last_push_us: int | None = None
        self._recall_counters()

    @property
    def ack_seq(self) -> int:
        """Number of the newest effect."""
        return self._next_seq - 1

    @property
    def digests(self) -> Digests:
        return self._digests

    def knows_journal(self, uuid: str, epoch: int) -> bool:
        row = self._db.execute(
            "SELECT 1 FROM record WHERE journal = (SELECT id FROM journal WHERE uuid = ?)"
            " AND epoch = ? LIMIT 1",
            (uuid, epoch),
        ).fetchone()
        return row is not None

    # --- push -----------------------------------------------------------------------------------

    def push(self, client: str, practice: str, key: str, body_hash: bytes, raw: bytes) -> Answer:
        """Take a batch. Raises Refusal; then nothing was stored."""
        known = self._db.execute(
            "SELECT body_hash, batch, ack_seq, results FROM answer WHERE client = ? AND key = ?",
            (client, key),
        ).fetchone()
        if known is not None:
            if known[0] != body_hash:
                raise Refusal(422, "idempotency-reused")
            return _remembered(known, raw)
        batch = read_batch(raw)
        if batch.source.practice != practice:
            raise Refusal(403, "wrong-practice")
        results = self._store(client, batch, (client, key, body_hash))
        return Answer(
            _answer(batch.batch_id, results, self.ack_seq),
            moved=any(r.outcome in {Outcome.APPLIED, Outcome.DEFERRED} for r in results),
        )

    def retry(self, reject_id: int) -> Result | None:
        """Judge a kept reject again, as it is. None when there is no such reject."""
        row = self._db.execute(
            "SELECT r.client, r.batch, j.uuid, r.epoch, r.item, r.resolved_us, r.event"
            " FROM reject r JOIN journal j ON j.id = r.journal WHERE r.id = ?",
            (reject_id,),
        ).fetchone()
        if row is None:
            return None
        client, batch_id, uuid, epoch, item, resolved_us, event = row
        if resolved_us is not None:
            return Result(event, Outcome.DUPLICATE)
        judged = read_item(item.encode())
        with self._transaction():
            work = self._begin(uuid, epoch)
            result = self._judge_all(work, client, batch_id, [judged])[0]
            if result.outcome.is_done:
                self._db.execute(
                    "UPDATE reject SET resolved_us = ? WHERE id = ?", (work.at_us, reject_id)
                )
            self._finish(work, batch_id)
        self.open_rejects = self._count_rejects()
        return result

    def put_right(self, type_id: int, seen: Recount) -> None:
        """Kept hashes and sums follow what a recount saw stored. What a push changed meanwhile is
        right already: the sums move by what they were off, a hash only if it is the one seen."""
        if not (seen.wrong or seen.off):
            return
        with self._transaction():
            for bucket, off in seen.off.items():
                self._digests.shift(type_id, bucket, off)
            for wrong in seen.wrong:
                self._db.execute(
                    "UPDATE record SET hash = ?, bucket = ?"
                    " WHERE rid = ? AND state = ? AND hash IS ?",
                    (wrong.true, wrong.true_bucket, wrong.rid, _LIVE, wrong.kept),
                )
                if self._db.changes():
                    if wrong.kept is not None and wrong.is_counted:
                        self._digests.remove(type_id, wrong.bucket, wrong.kept)
                    self._digests.add(type_id, wrong.true_bucket, wrong.true)
            self._digests.flush()

    def _store(self, client: str, batch: Batch, remember: tuple[str, str, bytes]) -> list[Result]:
        with self._transaction():
            work = self._begin(batch.source.journal, batch.source.epoch)
            results = self._judge_all(work, client, batch.batch_id, batch.items)
            self._finish(work, batch.batch_id)
            plain = all(r.outcome is Outcome.APPLIED for r in results)
            kept = None if plain else zlib.compress(msgspec.json.encode(results), 1)
            self._db.execute(
                "INSERT INTO answer VALUES(?, ?, ?, ?, ?, ?, ?)",
                (*remember, batch.batch_id, self.ack_seq, work.at_us, kept),
            )
            self._forget_answers(work.at_us)
        self.last_push_us = work.at_us
        return results

    def _begin(self, journal_uuid: str, epoch: int) -> Work:
        return Work(self._journal_id(journal_uuid), epoch, now_us())

    # --- judging --------------------------------------------------------------------------------

    def _judge_all(
        self, work: Work, client: str, batch_id: str, items: Sequence[Item | BadItem]
    ) -> list[Result]:
        held = self._look_up(items)
        results: list[Result] = []
        for item in items:
            if isinstance(item, BadItem):
                results.append(self._reject(work, client, batch_id, item))
                continue
            if self._faults.has_items:
                forced = self._forced(work, client, batch_id, item)
                if forced is not None:
                    results.append(forced)
                    continue
            place = (item.type_id, item.key)
            if place in work.touched:
                # Twice in one batch: what ``held`` says is old. Write what waits, then look again.
                self._write(work)
                held.update(self._look_up([item]))
            results.append(self._judge(work, item, held.get(place)))
        return results

    def _judge(self, work: Work, item: Item, held: Held | None) -> Result:
        if held is not None and held.state != State.STUB:
            settled = self._settled(work, item, held)
            if settled is not None:
                return settled
        found = x.NOTHING
        missing: tuple[int, str] | None = None
        if item.op is Op.UPSERT:
            found = x.extract(item.type_id, item.key, item.data)
            if found.patient is not None and not self._has_patient(found.patient):
                missing = (x.PATIENT, found.patient)
        elif item.op is Op.MERGE and item.merge_into is not None:
            if (item.type_id, item.merge_into) in work.touched:
                self._write(work)
            survivor = self._look_up_one(item.type_id, item.merge_into)
            if survivor is None or survivor.state == State.STUB:
                missing = (item.type_id, item.merge_into)
        if held is None and item.op is Op.UPSERT:
            self._apply_new(work, item, found)
        else:
            self._apply(work, item, held, found)
        if missing is None:
            return Result(item.event_id, Outcome.APPLIED)
        if missing != (item.type_id, item.key):
            self._leave_stub(work, *missing)
        return Result(item.event_id, Outcome.DEFERRED, f"parent-missing:{TYPE_NAME[missing[0]]}")

    def _settled(self, work: Work, item: Item, held: Held) -> Result | None:
        """The outcome when nothing needs to be stored, else None."""
        if held.event == item.event or self._was_taken(held.rid, item.event):
            return Result(item.event_id, Outcome.DUPLICATE, server_version=held.version)
        same_journal = held.journal == work.journal
        # Versions grow over restarts. A change of an earlier start may be delayed and even come in
        # a batch of the present one (what is retried is packed anew), so epochs say nothing.
        if same_journal and item.version < held.version:
            return Result(item.event_id, Outcome.STALE, server_version=held.version)
        if item.op is Op.UPSERT:
            equal = held.state == State.LIVE and held.hash == item.hash
        elif item.op is Op.DELETE:
            equal = held.state == State.DELETED
        else:
            equal = held.state == State.MERGED and held.merged_into == item.merge_into
        if not equal:
            return None
        if not same_journal or item.version > held.version:
            work.confirmed.append((work.journal, work.epoch, item.version, held.rid))
            held.journal, held.epoch, held.version = work.journal, work.epoch, item.version
        return Result(item.event_id, Outcome.UNCHANGED, server_version=held.version)

    def _was_taken(self, rid: int, event: bytes) -> bool:
        row = self._db.execute(
            "SELECT 1 FROM past_effect WHERE rid = ? AND event = ?", (rid, event)
        ).fetchone()
        return row is not None

    def _apply_new(self, work: Work, item: Item, found: x.Found) -> None:
        """A record never seen before: what a first load consists of, kept short for its sake."""
        rid, seq, key, type_id = self._next_rid, self._next_seq, item.key, item.type_id
        self._next_rid, self._next_seq = rid + 1, seq + 1
        bucket = bucket_of(key)
        work.new.append(
            (rid, type_id, key, bucket, _LIVE, work.journal, work.epoch, item.version, item.hash,
             seq, item.event, item.version, work.at_us, None)
        )  # fmt: skip
        work.touched.add((type_id, key))
        work.bodies.append((rid, item.data.decode()))
        self._digests.add(type_id, bucket, item.hash)
        if found is not x.NOTHING:
            index(work, rid, type_id, found, is_new=True)
            if type_id == x.PATIENT:
                self._remember_patient(key)
        self._telling.note(rid, item, is_new=True)

    def _apply(self, work: Work, item: Item, held: Held | None, found: x.Found) -> None:
        state = _STATE_AFTER[item.op]
        content = item.hash if item.op is Op.UPSERT else b""
        bucket = bucket_of(item.key)
        seq = self._next_seq
        self._next_seq += 1
        row = (
            state,
            work.journal,
            work.epoch,
            item.version,
            content or None,
            seq,
            item.event,
            item.version,
            work.at_us,
            item.merge_into if item.op is Op.MERGE else None,
        )
        is_new = held is None or held.seq == 0
        if held is None:
            rid = self._next_rid
            self._next_rid += 1
            work.new.append((rid, item.type_id, item.key, bucket, *row))
        else:
            rid = held.rid
            work.changed.append((*row, rid))
            if held.seq:
                op = int(held.state)
                work.past.append(
                    (held.seq, rid, held.event, op, held.journal, held.epoch,
                     held.event_version, held.hash or None, held.arrived_us)
                )  # fmt: skip
            if held.state == State.LIVE:
                self._digests.remove(item.type_id, bucket, held.hash)
        work.touched.add((item.type_id, item.key))
        if state is State.LIVE:
            work.bodies.append((rid, item.data.decode()))
            self._digests.add(item.type_id, bucket, content)
            index(work, rid, item.type_id, found, is_new=is_new)
            if item.type_id == x.PATIENT:
                self._remember_patient(item.key)
        elif held is not None:
            work.unbodied.append((rid,))
            work.unslotted.append((rid,))
            work.unnamed.append((rid,))
        self._telling.note(rid, item, is_new=is_new)

    def _leave_stub(self, work: Work, type_id: int, key: str) -> None:
        place = (type_id, key)
        if place in work.touched or self._look_up_one(type_id, key) is not None:
            return
        rid = self._next_rid
        self._next_rid += 1
        work.new.append(
            (rid, type_id, key, bucket_of(key), State.STUB, work.journal, work.epoch, 0, None, 0,
             None, 0, work.at_us, None)
        )  # fmt: skip
        work.touched.add(place)

    def _has_patient(self, key: str) -> bool:
        if key in self._patients:
            return True
        held = self._look_up_one(x.PATIENT, key)
        if held is None or held.state == State.STUB:
            return False
        self._remember_patient(key)
        return True

    def _remember_patient(self, key: str) -> None:
        if len(self._patients) >= _PATIENTS_REMEMBERED:
            self._patients.clear()
        self._patients.add(key)

    # --- rejects --------------------------------------------------------------------------------

    def _forced(self, work: Work, client: str, batch_id: str, item: Item) -> Result | None:
        type_name = TYPE_NAME[item.type_id]
        fault = self._faults.of_item(type_name, item.key)
        if fault is None:
            return None
        outcome = Outcome(fault.outcome)
        if outcome is Outcome.REJECTED:
            raw = encode_item(item, type_name)
            bad = BadItem(item.event_id, type_name, item.key, fault.reason, raw)
            return self._reject(work, client, batch_id, bad)
        retry_after_s = float(fault.retry_after_s or 0) if outcome is Outcome.RETRY else None
        return Result(item.event_id, outcome, fault.reason, retry_after_s)

    def _reject(self, work: Work, client: str, batch_id: str, bad: BadItem) -> Result:
        """Keep the item among the rejects; the same item refused again stays one reject."""
        row = self._db.execute(
            "INSERT INTO reject(at_us, client, batch, journal, epoch, event, type, key, reason,"
            " item, item_hash) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT(item_hash) WHERE resolved_us IS NULL"
            " DO UPDATE SET at_us = excluded.at_us, batch = excluded.batch,"
            " reason = excluded.reason RETURNING id",
            (work.at_us, client, batch_id, work.journal, work.epoch, bad.event_id, bad.type,
             bad.key, bad.reason, bad.raw.decode("utf-8", "replace"), sha256(bad.raw).digest()),
        ).fetchone()  # fmt: skip
        assert row is not None
        self.open_rejects += 1
        return Result(bad.event_id, Outcome.REJECTED, bad.reason, reject_id=int(row[0]))

    def _count_rejects(self) -> int:
        row = self._db.execute("SELECT count(*) FROM reject WHERE resolved_us IS NULL").fetchone()
        assert row is not None
        return int(row[0])

    def _resolve_rejects(self, work: Work) -> None:
        """A newer state of a record makes an older refusal of it history."""
        if not self.open_rejects:
            return
        self._db.executemany(
            "UPDATE reject SET resolved_us = ? WHERE resolved_us IS NULL AND type = ? AND key = ?"
            " AND at_us < ?",
            [(work.at_us, TYPE_NAME[t], key, work.at_us) for t, key in work.touched],
        )

    # --- reading and writing --------------------------------------------------------------------

    def _look_up(self, items: Iterable[Item | BadItem]) -> dict[tuple[int, str], Held]:
        wanted: dict[int, list[str]] = {}
        for item in items:
            if isinstance(item, Item):
                wanted.setdefault(item.type_id, []).append(item.key)
        held: dict[tuple[int, str], Held] = {}
        for type_id, keys in wanted.items():
            rows = self._db.execute(
                f"SELECT key, {HELD_COLUMNS} FROM record WHERE type = ?"
                " AND key IN (SELECT value FROM json_each(?))",
                (type_id, msgspec.json.encode(keys).decode()),
            )
            for key, *rest in rows:
                held[type_id, key] = read_held(rest)
        return held

    def _look_up_one(self, type_id: int, key: str) -> Held | None:
        row = self._db.execute(
            f"SELECT {HELD_COLUMNS} FROM record WHERE type = ? AND key = ?", (type_id, key)
        ).fetchone()
        return None if row is None else read_held(row)

    def _finish(self, work: Work, batch_id: str) -> None:
        touched = bool(work.touched)
        self._telling.before(work.at_us, batch_id)
        self._write(work)
        self._telling.after(work.at_us, batch_id)
        if touched:
            self._resolve_rejects(work)
        if self.open_rejects:
            self.open_rejects = self._count_rejects()
        self._digests.flush()

    def _write(self, work: Work) -> None:
        for sql, rows in (
            (INSERT_RECORD, work.new),
            (UPDATE_RECORD, work.changed),
            ("INSERT OR REPLACE INTO body VALUES(?, ?)", work.bodies),
            ("DELETE FROM body WHERE rid = ?", work.unbodied),
            ("INSERT INTO past_effect VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)", work.past),
            ("UPDATE record SET journal=?, epoch=?, version=? WHERE rid=?", work.confirmed),
            ("DELETE FROM slot WHERE rid = ?", work.unslotted),
            ("DELETE FROM patient_name WHERE rid = ?", work.unnamed),
            ("INSERT OR REPLACE INTO patient_name VALUES(?, ?, ?)", work.names),
            ("INSERT OR REPLACE INTO slot VALUES(?, ?, ?)", work.slots),
            ("INSERT OR IGNORE INTO kin VALUES(?, ?, ?)", work.kin),
        ):
            if rows:
                self._db.executemany(sql, rows)
                rows.clear()

    def _journal_id(self, uuid: str) -> int:
        known = self._journals.get(uuid)
        if known is not None:
            return known
        row = self._db.execute("SELECT id FROM journal WHERE uuid = ?", (uuid,)).fetchone()
        if row is None:
            row = self._db.execute(
                "INSERT INTO journal(uuid, seen_us) VALUES(?, ?) RETURNING id", (uuid, now_us())
            ).fetchone()
        assert row is not None
        self._journals[uuid] = int(row[0])
        return int(row[0])

    def _forget_answers(self, at_us: int) -> None:
        self._db.execute(
            "DELETE FROM answer WHERE (client, key) IN"
            " (SELECT client, key FROM answer WHERE at_us < ? LIMIT 10)",
            (at_us - ANSWER_KEPT_US,),
        )

    def _recall_counters(self) -> None:
        row = self._db.execute(
            "SELECT coalesce((SELECT max(rid) FROM record), 0) + 1,"
            " 1 + max(coalesce((SELECT max(seq) FROM past_effect), 0),"
            "         coalesce((SELECT max(seq) FROM record), 0)),"
            " (SELECT max(arrived_us) FROM record)"
        ).fetchone()
        assert row is not None
        self._next_rid, self._next_seq = int(row[0]), int(row[1])
        self.last_push_us = row[2]
        self.open_rejects = self._count_rejects()

    def _transaction(self) -> _Transaction:
        return _Transaction(self)

    def rolled_back(self) -> None:
        """Forget everything remembered in memory that the transaction would have made true."""
        self._journals.clear()
        self._patients.clear()
        self._telling.forget()
        self._digests.reload()
        self._recall_counters()


class _Transaction:
    """BEGIN IMMEDIATE … COMMIT; on any error ROLLBACK, and memory follows the file."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._db = intake._db  # noqa: SLF001 - one thing in two classes

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._db.execute("COMMIT")
                return
        except apsw.Error:
            self._undo()
            raise
        self._undo()

    def _undo(self) -> None:
        with suppress(apsw.Error):
            self._db.execute("ROLLBACK")
        self._intake.rolled_back()


def _answer(batch_id: str, results: Sequence[Result], ack_seq: int) -> bytes:
    return msgspec.json.encode(
        {"batch_id": batch_id, "received": len(results), "results": results, "ack_seq": ack_seq}
    )


def _remembered(known: Sequence[object], raw: bytes) -> Answer:
    _, batch_id, ack_seq, kept = known
    assert isinstance(batch_id, str)
    assert isinstance(ack_seq, int)
    if isinstance(kept, bytes):
        results = msgspec.json.decode(zlib.decompress(kept), type=list[Result])
    else:
        items = read_batch(raw).items
        results = [Result(item.event_id, Outcome.APPLIED) for item in items]
    return Answer(_answer(batch_id, results, ack_seq), replayed=True)
