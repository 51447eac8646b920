"""A small but whole push path over the real journal: a practice, a CRM, an agent, their world.

The practice has a change log (hints by position) and is edited between stages and whenever the
agent is dead. The CRM is deliberately dumb: it is idempotent by batch id and orders by version,
and nothing else; every application of an item is an effect on its ledger. So a batch that is
planned twice, sent before it is durable or sent under another id shows as a double effect, an id
with two bodies, or a lost record. ``World`` survives crashes; ``PushPath`` does not.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import reduce
from operator import xor
from pathlib import Path

import msgspec

from agent.errors import CrmRefusedBatch
from agent.journal.journal import Journal, Turn
from agent.journal.rows import (
    Batch,
    Chunk,
    Held,
    Operation,
    Outgoing,
    ParkClass,
    Seen,
    Tier,
    Urgency,
)
from agent.model.reading import Digest, Key
from agent.model.streams import Stream
from agent.model.writing import Outcome, Verb
from tests.journal.sealing import TestSeal
from tests.support.clock import HandClock
from tests.support.faultfs import FaultDisk

STREAM = Stream.PATIENT
PATH = Path("journal.db")
BOUNDARIES: list[Key] = [4, 8]
STAGES = 3
TAIL = "tail"

Item = tuple[int, str, bytes, int, bytes, str]  # key, verb, op id, version, hash, content
_items = msgspec.msgpack.Decoder(list[Item])


def hash_of(content: str) -> bytes:
    return hashlib.sha256(content.encode()).digest()[:16]


def sums_of(content: str) -> tuple[int, int]:
    digest = hashlib.sha256(b"row" + content.encode()).digest()
    return int.from_bytes(digest[:6], "big"), int.from_bytes(digest[8:16], "big", signed=True)


class Violation(Exception):
    """A rule was seen broken."""


class Practice:
    """Rows and a change log. Its truth never rolls back."""

    def __init__(self) -> None:
        self.rows = {key: f"record {key}" for key in range(1, 11)}
        self.rows[3] = "rejected for its content"
        self.rows[6] = "poison"
        self.rows[9] = "retry once"
        self.first = dict(self.rows)
        self.log: list[tuple[int, bytes]] = []  # (key, content hash or b"" for a deletion)
        self.stage = 0
        self.edits = 0

    def write(self, key: int, content: str | None, *, hint: bool = True) -> None:
        if content is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = content
        if hint:
            self.log.append((key, hash_of(content) if content is not None else b""))

    def advance(self) -> None:
        """The next batch of front-desk life."""
        self.stage += 1
        if self.stage == 1:
            self.write(2, "record 2 edited")
            self.write(3, "record 3 mended")
            self.write(11, "record 11 new")
            self.write(7, None, hint=False)
            self.write(5, "record 5 edited silently", hint=False)
        elif self.stage == 2:
            self.write(2, "record 2")
            self.write(7, "record 7 back")

    def edit_unattended(self) -> None:
        """What the front desk does while the agent is dead: one edit with a hint, one without."""
        self.edits += 1
        self.write(1, f"record 1 edit {self.edits}")
        self.write(10, f"record 10 edit {self.edits}", hint=False)

    def range(self, lo: Key | None, hi: Key | None) -> dict[Key, str]:
        return {
            key: content
            for key, content in sorted(self.rows.items())
            if (lo is None or key > lo) and (hi is None or key <= hi)  # type: ignore[operator]
        }

    def digest(self, lo: Key | None, hi: Key | None) -> Digest:
        sums = [sums_of(content) for content in self.range(lo, hi).values()]
        return Digest(len(sums), sum(a for a, _ in sums), reduce(xor, (b for _, b in sums), 0))


class Crm:
    """Idempotent by batch id, ordered by version; every applied item is an effect."""

    def __init__(self, disk: FaultDisk) -> None:
        self.disk = disk
        self.rows: dict[int, str] = {}
        self.versions: dict[int, int] = {}
        self.effects: Counter[tuple[bytes, bytes]] = Counter()
        self.history: defaultdict[int, set[bytes]] = defaultdict(set)
        self.bodies: dict[str, bytes] = {}
        self.replies: dict[str, list[Outcome]] = {}
        self.retried = False

    def push(self, batch_id: str, body: bytes) -> list[Outcome]:
        self.disk.boundary("net:send")
        if self.bodies.setdefault(batch_id, body) != body:
            raise Violation(f"{batch_id}: one id, two bodies")
        if batch_id not in self.replies:
            items = _items.decode(body)
            if len(items) > 1 and any(content == "poison" for *_, content in items):
                self.disk.boundary("net:reply")
                raise CrmRefusedBatch
            self.replies[batch_id] = [self._apply(item) for item in items]
        self.disk.boundary("net:reply")
        return self.replies[batch_id]

    def _apply(self, item: Item) -> Outcome:
        key, verb, op_id, version, hashed, content = item
        if content == "poison" or content.startswith("rejected"):
            return Outcome.REJECTED
        if content == "retry once" and not self.retried:
            self.retried = True
            return Outcome.RETRY
        if version < self.versions.get(key, 0):
            return Outcome.STALE
        self.effects[op_id, hashed] += 1
        self.history[key].add(hashed)
        self.versions[key] = version
        if verb == Verb.DELETE:
            self.rows.pop(key, None)
        else:
            self.rows[key] = content
        return Outcome.APPLIED


class World:
    """What a crash of the agent does not touch, and what the oracle remembers."""

    def __init__(self, disk: FaultDisk) -> None:
        self.disk = disk
        self.practice = Practice()
        self.crm = Crm(disk)
        self.clock = HandClock()
        self.last_lsn = 0
        self.epochs: list[int] = []
        self.violations: list[str] = []


class PushPath:
    """The agent: tail hints, chunked load, outgoing batches, sweep. Every step is one decision."""

    def __init__(self, world: World, journal: Journal) -> None:
        self.world, self.journal = world, journal
        self.practice, self.crm, self.clock = world.practice, world.crm, world.clock

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        with self.journal.turn() as turn:
            lsn, before = turn.lsn, self.world.last_lsn
            if lsn <= before:
                self.world.violations.append(f"lsn {lsn} after {before}")
            yield turn
        self.world.last_lsn = lsn

    def step(self) -> bool:
        """Do one thing; False when nothing is to be done now."""
        now = self.clock.now()
        if not self.journal.chunks(STREAM):
            with self.turn() as turn:
                turn.plan_chunks(STREAM, BOUNDARIES, Tier.HOT, now)
                turn.set_mark(TAIL, "0")
            return True
        for batch in self.journal.due_batches(now, 4, frozenset()):
            self.deliver(batch)
            return True
        unloaded = self.journal.next_chunks(now, 1, loaded=False)
        if unloaded:
            self.load(unloaded[0])
            return True
        position = int(self.journal.mark(TAIL) or 0)
        if position < len(self.practice.log):
            self.follow(position, len(self.practice.log))
            return True
        due = self.journal.next_chunks(now, 1, loaded=True)
        if due:
            self.sweep(due[0])
            return True
        missing = self.journal.missing(now + timedelta(seconds=1), 9)
        if missing:
            self.look_again([key for _, key, _ in missing])
            return True
        return False

    # --- reading ------------------------------------------------------------------------------

    def load(self, chunk: Chunk) -> None:
        rows = self.practice.range(chunk.lo, chunk.hi)
        with self.turn() as turn:
            self.take(turn, rows, (), Urgency.LOAD)
            turn.chunk_loaded(chunk, chunk.due_at)

    def follow(self, position: int, end: int) -> None:
        keys = {key for key, _ in self.practice.log[position:end]}
        rows: dict[Key, str] = {k: self.practice.rows[k] for k in keys if k in self.practice.rows}
        with self.turn() as turn:
            self.take(turn, rows, [k for k in keys if k not in rows], Urgency.LIVE)
            turn.set_mark(TAIL, str(end))

    def sweep(self, chunk: Chunk) -> None:
        """Proof first; a range that differs is read, and stays due until it proves equal."""
        now = self.clock.now()
        lo, hi = chunk.lo, chunk.hi
        if self.journal.digest(STREAM, lo, hi) == self.practice.digest(lo, hi):
            with self.turn() as turn:
                turn.chunk_verified(chunk, now, now + timedelta(minutes=10))
            return
        rows = self.practice.range(lo, hi)
        absent = [key for key in self.journal.held_range(STREAM, lo, hi) if key not in rows]
        with self.turn() as turn:
            self.take(turn, rows, absent, Urgency.REPAIR)
            turn.chunk_failed(chunk, now, "different")

    def look_again(self, keys: list[Key]) -> None:
        """A record that vanished is believed gone at the second look."""
        rows: dict[Key, str] = {k: self.practice.rows[k] for k in keys if k in self.practice.rows}
        with self.turn() as turn:
            self.take(turn, rows, [key for key in keys if key not in rows], Urgency.REPAIR)

    def take(
        self, turn: Turn, rows: dict[Key, str], absent: Iterable[Key], urgency: Urgency
    ) -> None:
        """Observations and the work they imply, in this turn."""
        held = self.journal.held(STREAM, [*rows, *absent])
        changed = {k: c for k, c in rows.items() if self._is_change(held.get(k), hash_of(c))}
        same = {k: c for k, c in rows.items() if k not in changed}
        turn.touch(STREAM, [(key, *sums_of(content)) for key, content in same.items()])
        known = [key for key in absent if key in held and not held[key].gone]
        first = [key for key in known if held[key].missing_since is None]
        buried = [key for key in known if held[key].missing_since is not None]
        turn.miss(STREAM, first)
        if not changed and not buried:
            return
        operations = [
            Operation(key, self._op_id(key, hash_of(c), held.get(key)), Verb.UPSERT, hash_of(c))
            for key, c in changed.items()
        ] + [
            Operation(key, self._op_id(key, b"", held.get(key)), Verb.DELETE, b"") for key in buried
        ]
        contents = {**changed, **dict.fromkeys(buried, "")}
        number = self.plan(turn, operations, contents, urgency)
        turn.see(
            STREAM,
            [Seen(key, hash_of(c), *sums_of(c), c.encode()) for key, c in changed.items()],
            number,
        )
        turn.bury(STREAM, buried, number)

    def plan(
        self,
        turn: Turn,
        operations: list[Operation],
        contents: dict[Key, str],
        urgency: Urgency,
    ) -> int:
        body = self._pack(operations, contents, turn.lsn)
        return turn.enqueue(Outgoing(STREAM, urgency, body, operations)).number

    @staticmethod
    def _is_change(held: Held | None, content_hash: bytes) -> bool:
        return held is None or held.gone or held.hash != content_hash

    def _op_id(self, key: Key, content_hash: bytes, held: Held | None) -> bytes:
        base = b"none" if held is None else b"%d" % held.seen_lsn
        seed = b"|".join((self.journal.uuid.encode(), str(key).encode(), base, content_hash))
        return hashlib.sha256(seed).digest()[:16]

    @staticmethod
    def _pack(operations: list[Operation], contents: dict[Key, str], version: int) -> bytes:
        return msgspec.msgpack.encode(
            [(o.key, o.verb, o.op_id, version, o.hash, contents[o.key]) for o in operations]
        )

    # --- sending ------------------------------------------------------------------------------

    def deliver(self, batch: Batch) -> None:
        try:
            outcomes = self.send(batch)
        except CrmRefusedBatch:
            self.bisect(batch)
            return
        self.conclude(batch, outcomes)

    def send(self, batch: Batch) -> list[Outcome]:
        return self.crm.push(batch.id, batch.body)

    def bisect(self, batch: Batch) -> None:
        items = _items.decode(batch.body)
        middle = len(items) // 2
        parts = [
            Outgoing(
                STREAM,
                batch.urgency,
                msgspec.msgpack.encode(items[a:b]),
                batch.operations[a:b],
            )
            for a, b in ((0, middle), (middle, len(items)))
        ]
        with self.turn() as turn:
            turn.replace(batch, parts)

    def conclude(self, batch: Batch, outcomes: list[Outcome]) -> None:
        pairs = list(zip(batch.operations, outcomes, strict=True))
        done = [o for o, outcome in pairs if outcome.is_done]
        rejected = [o for o, outcome in pairs if outcome is Outcome.REJECTED]
        retry = [o for o, outcome in pairs if outcome is Outcome.RETRY]
        due_at = self.clock.now() + timedelta(hours=1)
        # A record that has moved on is no longer this batch's to park or to try again.
        held = self.journal.held(STREAM, [o.key for o in (*rejected, *retry)])
        with self.turn() as turn:
            for operation in rejected:
                if held[operation.key].batch == batch.number:
                    turn.park(
                        STREAM, operation.key, ParkClass.VALIDATION, "E_INVALID", operation.hash,
                        due_at,
                    )  # fmt: skip
            again = [o for o in retry if held[o.key].batch == batch.number]
            if again:
                kept = {item[2]: item for item in _items.decode(batch.body)}
                body = msgspec.msgpack.encode([kept[o.op_id] for o in again])
                turn.enqueue(Outgoing(STREAM, batch.urgency, body, again))
            turn.forget_parked(STREAM, [o.key for o in done])
            self.settle(turn, batch, done)

    def settle(self, turn: Turn, batch: Batch, done: list[Operation]) -> None:
        turn.settle(batch, done)


SEAL = TestSeal()


def open_journal(world: World, vfs: str) -> Journal:
    journal = Journal.open(PATH, seal=SEAL, clock=world.clock, vfs=vfs)
    # Checkpoints must happen in the run, not only when closing.
    journal._writer.pragma("wal_autocheckpoint", 12)
    world.epochs.append(journal.epoch)
    return journal
