"""The simulated CRM behind CrmPort and CommandPort.

Pushes: idempotent by batch id as long as it remembers, by operation id and by version within
one journal, as the contract's intake judges (agent/sandbox/crm/intake.py). Commands: leased,
acknowledged, delivered at least once and sometimes again; the contacts feed by cursor. A ledger
keeps every effect for the oracles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from hashlib import sha256
from operator import xor
from typing import Any

import msgspec

from agent.errors import CrmUnavailable
from agent.model.commands import (
    Command,
    CommandOutcome,
    CommandType,
    ConflictReport,
    Contact,
    ContactPage,
    LinkReport,
    Polled,
)
from agent.model.proof import Basis
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.model.writing import (
    BucketDigest,
    Change,
    CrmLimits,
    Heartbeat,
    ItemOutcome,
    Outcome,
    PushReply,
    Verb,
)
from tests.sim.faults import Faults, Kind
from tests.sim.kernel import Kernel, Outside, Violation
from tests.sim.threads import Event

LEASE_S = 30.0
Place = tuple[Stream, Key]


class Body(msgspec.Struct):
    batch_id: str
    journal: str
    epoch: int
    changes: list[Change]


@dataclass(frozen=True, slots=True)
class HeldRecord:
    """``canon`` None: deleted."""

    journal: str
    epoch: int
    version: int
    op_id: bytes
    hash: bytes
    canon: bytes | None


@dataclass(slots=True)
class Asked:
    """A command as the CRM keeps it."""

    command: Command
    at: float
    leased_until: float = 0.0
    is_acked: bool = False
    outcomes: list[CommandOutcome] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CrmBackup:
    records: dict[Place, HeldRecord]
    replies: dict[str, tuple[bytes, PushReply]]
    taken: frozenset[tuple[Place, bytes]]


class SimCrm:
    """What survives: records, commands, people. ``line`` gives an agent process its port."""

    def __init__(self, kernel: Kernel, faults: Faults) -> None:
        self.kernel, self.faults = kernel, faults
        self.records: dict[Place, HeldRecord] = {}
        self.taken: set[tuple[Place, bytes]] = set()  # operations applied, by record
        self.replies: dict[str, tuple[bytes, PushReply]] = {}
        self.bodies: dict[str, bytes] = {}  # of every batch id ever seen
        self.contents: dict[bytes, tuple[Verb, bytes]] = {}  # of every operation ever seen
        self.effects: list[tuple[float, Place, bytes, Verb]] = []
        self.asked: dict[str, Asked] = {}
        self.people: list[Contact] = []
        self.links: dict[str, LinkReport] = {}
        self.conflicts: dict[str, ConflictReport] = {}
        self.capabilities: Sequence[CommandType] = ()
        self.limits = CrmLimits(max_items=20)
        self.arrived = Event(kernel)
        self.pushing: Callable[[str, list[Change]], None] = lambda ident, changes: None
        self.landed: Callable[[Change, HeldRecord | None], None] = lambda change, before: None
        self.arrives: Callable[[Change], None] = lambda change: None
        self.refused: Callable[[Change], None] = lambda change: None
        self.push_failed: Callable[[], None] = lambda: None
        self.push_answered: Callable[[], None] = lambda: None

    # -- people's side ----------------------------------------------------------------------------

    def ask(self, command: Command) -> None:
        self.asked[command.command_id] = Asked(command, self.kernel.now)
        self.arrived.set()

    def record(self, stream: Stream, key: Key) -> dict[str, Any] | None:
        held = self.records.get((stream, key))
        if held is None or held.canon is None:
            return None
        found: dict[str, Any] = msgspec.json.decode(held.canon)
        return found

    def keys(self, stream: Stream) -> list[Key]:
        return sorted(
            (k for (s, k), held in self.records.items() if s is stream and held.canon is not None),
            key=str,
        )

    def canons(self, stream: Stream) -> dict[Key, bytes]:
        return {
            k: held.canon
            for (s, k), held in self.records.items()
            if s is stream and held.canon is not None
        }

    def backup(self) -> CrmBackup:
        return CrmBackup(dict(self.records), dict(self.replies), frozenset(self.taken))

    def restore(self, backup: CrmBackup) -> None:
        """Records as they were. Commands and their outcomes live in another store."""
        self.records = dict(backup.records)
        self.replies = dict(backup.replies)
        self.taken = set(backup.taken)

    # -- judging ----------------------------------------------------------------------------------

    def take(self, body: bytes) -> PushReply:
        batch = msgspec.msgpack.decode(body, type=Body)
        known = self.bodies.setdefault(batch.batch_id, body)
        if known != body:
            raise Violation("S15", f"batch {batch.batch_id} has two bodies")
        if batch.batch_id in self.replies:
            return self.replies[batch.batch_id][1]
        reply = PushReply(tuple(self._judge(batch, change) for change in batch.changes))
        self.replies[batch.batch_id] = (body, reply)
        return reply

    def _judge(self, batch: Body, change: Change) -> ItemOutcome:
        content = (change.verb, change.content_hash)
        if self.contents.setdefault(change.op_id, content) != content:
            raise Violation("S15", f"operation of {change.stream} {change.key} has two contents")
        self.arrives(change)
        if self.faults.fires(Kind.PARTIAL):
            n = len(self.effects)
            if self.faults.chance("partial", n) < 0.7:
                return ItemOutcome(Outcome.RETRY, "busy", 2.0)
            self.refused(change)
            return ItemOutcome(Outcome.REJECTED, "planted")
        place = (change.stream, change.key)
        held = self.records.get(place)
        if (place, change.op_id) in self.taken:
            return ItemOutcome(Outcome.DUPLICATE)
        content_hash = b"" if change.verb is Verb.DELETE else change.content_hash
        if held is not None:
            is_same_line = held.journal == batch.journal
            if is_same_line and change.version < held.version:
                return ItemOutcome(Outcome.STALE)
            if held.hash == content_hash:
                if not is_same_line or change.version > held.version:
                    self.records[place] = replace(
                        held, journal=batch.journal, epoch=batch.epoch, version=change.version
                    )
                return ItemOutcome(Outcome.UNCHANGED)
        self.records[place] = HeldRecord(
            batch.journal, batch.epoch, change.version, change.op_id, content_hash,
            None if change.verb is Verb.DELETE else change.canon,
        )  # fmt: skip
        self.taken.add((place, change.op_id))
        if change.verb is Verb.DELETE and held is None:
            return ItemOutcome(Outcome.APPLIED)  # a tombstone of what was never here
        self.effects.append((self.kernel.now, place, change.op_id, change.verb))
        self.landed(change, held)
        return ItemOutcome(Outcome.APPLIED)

    def bucket(self, stream: Stream, number: int) -> dict[str, str]:
        return {
            str(key): held.hash.hex()
            for (s, key), held in self.records.items()
            if s is stream and held.canon is not None
            and sha256(str(key).encode()).digest()[0] == number
        }  # fmt: skip

    def digests(self, stream: Stream, basis: Basis = Basis.KEPT) -> list[BucketDigest]:
        held: dict[int, list[bytes]] = {}
        for (s, key), record in self.records.items():
            if s is stream and record.canon is not None:
                number = sha256(str(key).encode()).digest()[0]
                held.setdefault(number, []).append(record.hash)
        return [
            BucketDigest(
                number,
                len(hashes),
                sum(int.from_bytes(h[:6], "big") for h in hashes),
                reduce(xor, (int.from_bytes(h[8:16], "big", signed=True) for h in hashes)),
            )
            for number, hashes in sorted(held.items())
        ]

    # -- commands ---------------------------------------------------------------------------------

    def lease(self, most: int) -> list[Command]:
        now = self.kernel.now
        found: list[Command] = []
        for asked in self.asked.values():
            if len(found) >= most:
                break
            if asked.is_acked and not (
                self.kernel.now - asked.at < 600 and self.faults.fires(Kind.DUPLICATE)
            ):
                continue
            if asked.leased_until > now and not asked.is_acked:
                continue
            asked.leased_until = now + LEASE_S
            found.append(asked.command)
        if len(found) > 1 and self.faults.fires(Kind.REORDER):
            found.reverse()
        return found


class CrmLine:
    """One agent process's line to it: CrmPort and CommandPort."""

    def __init__(self, crm: SimCrm, journal: str, epoch: int) -> None:
        self._crm, self._faults, self._kernel = crm, crm.faults, crm.kernel
        self._journal, self._epoch = journal, epoch
        self._woken = Event(crm.kernel)

    def _call(self, what: str, run: Callable[[], Any]) -> Any:
        with Outside(self._kernel):
            self._faults.crm_call(what)
            found = run()
            self._kernel.trace(f"crm {what}")
            self._faults.crm_answer(what)
            return found

    def limits(self) -> CrmLimits:
        return self._call("limits", lambda: self._crm.limits)  # type: ignore[no-any-return]

    def pack(self, batch_id: str, changes: Sequence[Change]) -> bytes:
        return msgspec.msgpack.encode(Body(batch_id, self._journal, self._epoch, list(changes)))

    def unpack(self, body: bytes) -> list[Change]:
        return msgspec.msgpack.decode(body, type=Body).changes

    def push(self, batch_id: str, body: bytes) -> PushReply:
        self._crm.pushing(batch_id, self.unpack(body))
        try:
            reply: PushReply = self._call("push", lambda: self._crm.take(body))
        except CrmUnavailable:
            self._crm.push_failed()
            raise
        self._crm.push_answered()
        return reply

    def digests(self, stream: Stream, basis: Basis = Basis.KEPT) -> list[BucketDigest]:
        return self._call("digests", lambda: self._crm.digests(stream))  # type: ignore[no-any-return]

    def bucket(self, stream: Stream, bucket: int) -> dict[str, str]:
        return self._call("bucket", lambda: self._crm.bucket(stream, bucket))  # type: ignore[no-any-return]

    def heartbeat(self, beat: Heartbeat) -> None:
        self._call("heartbeat", lambda: None)

    def close(self) -> None: ...

    # -- commands ---------------------------------------------------------------------------------

    def poll(
        self, *, capabilities: Sequence[CommandType], ack: Sequence[str],
        errs: Mapping[str, str], most: int, wait_s: int,
    ) -> Polled:  # fmt: skip
        with Outside(self._kernel):
            return self._poll(capabilities, ack, errs, most, wait_s)

    def _poll(
        self, capabilities: Sequence[CommandType], ack: Sequence[str], errs: Mapping[str, str],
        most: int, wait_s: int,
    ) -> Polled:  # fmt: skip
        crm = self._crm
        self._faults.crm_call("poll")
        crm.capabilities = tuple(capabilities)
        for ident in (*ack, *errs):
            if ident in crm.asked:
                crm.asked[ident].is_acked = True
        found = crm.lease(most)
        if not found and wait_s:
            self._woken.clear()
            crm.arrived.clear()
            self._wait(wait_s)
            found = crm.lease(most)
        self._kernel.trace(f"crm poll {len(found)}")
        self._faults.crm_answer("poll")
        return Polled(tuple(found))

    def _wait(self, wait_s: float) -> None:
        until = self._kernel.now + wait_s
        while not (self._woken.is_set() or self._crm.arrived.is_set()):
            left = until - self._kernel.now
            if left <= 0:
                return
            self._kernel.sleep(min(left, 1.0))

    def wake(self) -> None:
        self._woken.set()

    def finish(self, command_id: str, outcome: CommandOutcome) -> None:
        def run() -> None:
            asked = self._crm.asked[command_id]
            if outcome not in asked.outcomes[-1:]:
                asked.outcomes.append(outcome)

        self._call("finish", run)

    def contacts(self, cursor: str | None, limit: int) -> ContactPage:
        people = self._crm.people
        start = int(cursor or 0)
        if start and self._faults.fires(Kind.FEED_GAP):
            start = max(start - 3, 0)  # a page comes twice
        page = people[start : start + limit]
        return self._call(  # type: ignore[no-any-return]
            "contacts",
            lambda: ContactPage(tuple(page), str(start + len(page)), start + limit < len(people)),
        )

    def link(self, links: Sequence[LinkReport]) -> None:
        self._call("link", lambda: self._crm.links.update({r.cloud_id: r for r in links}))

    def tell_conflicts(self, conflicts: Sequence[ConflictReport]) -> None:
        self._call("conflicts", lambda: self._crm.conflicts.update({c.id: c for c in conflicts}))
