"""The dispatcher on a real journal: outcomes settle, park, retry; a refused batch is bisected."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from agent.config.secrets import PayloadSeal
from agent.errors import RESTING, CrmAuthError, CrmRefusedBatch, CrmUnavailable
from agent.journal.journal import Journal
from agent.journal.rows import Outgoing, Urgency
from agent.model.proof import Basis
from agent.model.streams import Stream
from agent.model.writing import (
    BucketDigest,
    Change,
    CrmLimits,
    Heartbeat,
    ItemOutcome,
    Outcome,
    PushReply,
)
from agent.runtime.clock import SystemClock
from agent.sync.pace import Backoff, item_retry_s
from agent.sync.plan import make_changes, operations_of, seen_of
from agent.sync.push import Dispatcher, halves, judge
from agent.sync.streammap import Observation

Answer = Callable[[Sequence[Change]], PushReply]


class ScriptedCrm:
    """Stands in for a CRM that answers as told; what a real one does is tested in tests/e2e."""

    def __init__(self) -> None:
        self.answer: Answer = all_applied
        self.sent: list[list[Change]] = []

    def limits(self) -> CrmLimits:
        return CrmLimits()

    def pack(self, batch_id: str, changes: Sequence[Change]) -> bytes:
        return msgspec.msgpack.encode(list(changes))

    def unpack(self, body: bytes) -> list[Change]:
        return msgspec.msgpack.decode(body, type=list[Change])

    def push(self, batch_id: str, body: bytes) -> PushReply:
        changes = self.unpack(body)
        self.sent.append(changes)
        return self.answer(changes)

    def digests(self, stream: Stream, basis: Basis = Basis.KEPT) -> list[BucketDigest]:
        return []

    def bucket(self, stream: Stream, bucket: int) -> dict[str, str]:
        return {}

    def heartbeat(self, beat: Heartbeat) -> None: ...
    def close(self) -> None: ...


def all_applied(changes: Sequence[Change]) -> PushReply:
    return PushReply(tuple(ItemOutcome(Outcome.APPLIED) for _ in changes))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal.open(
        tmp_path / "journal.db", seal=PayloadSeal(os.urandom(32)), clock=SystemClock()
    )
    yield opened
    opened.close()


@pytest.fixture
def crm() -> ScriptedCrm:
    return ScriptedCrm()


@pytest.fixture
def dispatcher(journal: Journal, crm: ScriptedCrm) -> Dispatcher:
    backoff = Backoff(lambda: 0.0, first_s=0.02, cap_s=0.02)
    return Dispatcher(journal, crm, SystemClock(), backoff, on_limits=lambda: None)


def enqueue(
    journal: Journal, crm: ScriptedCrm, count: int, urgency: Urgency = Urgency.LIVE
) -> None:
    rows = [Observation(n, 1, 2, b"{}", n.to_bytes(16, "big")) for n in range(1, count + 1)]
    with journal.turn() as turn:
        changes = make_changes(Stream.PATIENT, rows, prefix=b"prefix__", lsn=turn.lsn)
        body = crm.pack(turn.next_batch_id(), changes)
        batch = turn.enqueue(Outgoing(Stream.PATIENT, urgency, body, operations_of(changes)))
        turn.see(Stream.PATIENT, seen_of(rows, keep_canon=False), batch.number)


def work(dispatcher: Dispatcher, done: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not (dispatcher.idle() and done()):
        dispatcher.dispatch()
        time.sleep(0.002)
        assert time.monotonic() < deadline, "did not happen in time"


def agreed(journal: Journal) -> set[object]:
    held = journal.held_range(Stream.PATIENT, None, None)
    return {key for key, row in held.items() if row.agreed == row.hash and row.batch is None}


def test_judge_sorts_by_outcome() -> None:
    rows = [Observation(n, 1, 2, b"{}", b"h") for n in range(4)]
    operations = operations_of(make_changes(Stream.RECALL, rows, prefix=b"p" * 8, lsn=1))
    verdict = judge(
        operations,
        [
            ItemOutcome(Outcome.STALE),
            ItemOutcome(Outcome.RETRY, retry_after_s=7),
            ItemOutcome(Outcome.REJECTED, "birthdate"),
            ItemOutcome(Outcome.CONFLICT),
        ],
    )
    assert [operation.key for operation in verdict.done] == [0]
    assert verdict.again == [1]
    assert verdict.refused == [(2, "birthdate"), (3, "conflict")]
    assert verdict.retry_after_s == 7


def test_halves_lose_nothing() -> None:
    rows = [Observation(n, 1, 2, b"{}", b"h") for n in range(5)]
    changes = make_changes(Stream.RECALL, rows, prefix=b"p" * 8, lsn=1)
    assert [c for part in halves(changes) for c in part] == changes
    assert all(halves(changes))


def test_applied_is_agreed(journal: Journal, crm: ScriptedCrm, dispatcher: Dispatcher) -> None:
    enqueue(journal, crm, 3)
    work(dispatcher, lambda: not journal.batches_waiting())
    assert agreed(journal) == {1, 2, 3}
    assert journal.verify_audit() == []


def test_a_poison_record_is_found_by_halving_and_parked_alone(
    journal: Journal, crm: ScriptedCrm, dispatcher: Dispatcher
) -> None:
    def refuses_seven(changes: Sequence[Change]) -> PushReply:
        if any(change.key == 7 for change in changes):
            raise CrmRefusedBatch("crm.batch_refused", status=422)
        return all_applied(changes)

    crm.answer = refuses_seven
    enqueue(journal, crm, 64)
    work(dispatcher, lambda: not journal.batches_waiting())
    assert agreed(journal) == set(range(1, 65)) - {7}
    assert [parked.key for parked in journal.parked(9)] == [7]
    assert len(crm.sent) <= 2 * 6 + 1  # two halves a level, log2(64) levels


def test_refused_items_are_parked_and_the_rest_agreed(
    journal: Journal, crm: ScriptedCrm, dispatcher: Dispatcher
) -> None:
    crm.answer = lambda changes: PushReply(
        tuple(
            ItemOutcome(Outcome.REJECTED, "no_name") if c.key == 2 else ItemOutcome(Outcome.APPLIED)
            for c in changes
        )
    )
    enqueue(journal, crm, 3)
    work(dispatcher, lambda: not journal.batches_waiting())
    assert agreed(journal) == {1, 3}
    assert [(p.key, p.reason) for p in journal.parked(9)] == [(2, "no_name")]


def test_an_item_retried_again_and_again_waits_longer_each_time(
    journal: Journal, crm: ScriptedCrm, dispatcher: Dispatcher
) -> None:
    crm.answer = lambda changes: PushReply(tuple(ItemOutcome(Outcome.RETRY) for _ in changes))
    enqueue(journal, crm, 1)
    waits = []
    for _ in range(7):
        now = SystemClock().now()
        (batch,) = journal.due_batches(now.replace(year=now.year + 1), 1, frozenset())
        dispatcher._send(batch)
        (later,) = journal.due_batches(now.replace(year=now.year + 1), 1, frozenset())
        assert later.attempts == batch.attempts + 1
        waits.append(item_retry_s(batch.attempts))
    assert waits == sorted(waits)
    assert waits[-1] > waits[0]
    assert later.planned_at == batch.planned_at  # its age is not forgotten


def test_a_line_that_fails_keeps_everything_and_says_so(
    journal: Journal, crm: ScriptedCrm, dispatcher: Dispatcher
) -> None:
    def down(changes: Sequence[Change]) -> PushReply:
        raise CrmUnavailable("crm.timed_out")

    crm.answer = down
    enqueue(journal, crm, 2)
    work(dispatcher, lambda: dispatcher.line.error is not None)
    assert journal.batches_waiting() == 1
    crm.answer = all_applied
    work(dispatcher, lambda: not journal.batches_waiting())
    assert dispatcher.line.error is None
    assert crm.sent[0] == crm.sent[-1]  # the very same operations


def test_why_the_line_fails_is_not_forgotten_while_nobody_calls(
    journal: Journal, crm: ScriptedCrm, dispatcher: Dispatcher
) -> None:
    """A person reads "cannot be reached", not "we wait before the next try"."""
    why = ["crm.timed_out"]

    def down(changes: Sequence[Change]) -> PushReply:
        raise CrmUnavailable(why[0])

    crm.answer = down
    enqueue(journal, crm, 1)
    work(dispatcher, lambda: dispatcher.line.error is not None)
    why[0] = RESTING
    calls = len(crm.sent)
    dispatcher.hurry()
    work(dispatcher, lambda: len(crm.sent) > calls)
    assert dispatcher.line.error is not None
    assert dispatcher.line.error.code == "crm.timed_out"


def test_while_the_line_is_down_one_batch_asks_for_all(
    journal: Journal, crm: ScriptedCrm, dispatcher: Dispatcher
) -> None:
    def down(changes: Sequence[Change]) -> PushReply:
        raise CrmUnavailable("crm.timed_out")

    for _ in range(3):
        enqueue(journal, crm, 1, Urgency.LOAD)
    crm.answer = down
    assert dispatcher.dispatch() == 3
    work(dispatcher, lambda: dispatcher.line.error is not None)
    dispatcher.hurry()
    assert dispatcher.dispatch() == 1
    crm.answer = all_applied
    work(dispatcher, lambda: not journal.batches_waiting())


def test_a_batch_queued_by_a_pool_that_then_failed_is_sent_once(
    journal: Journal, crm: ScriptedCrm, dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()

    def slow(changes: Sequence[Change]) -> PushReply:
        gate.wait(10)
        return all_applied(changes)

    def queue_then_fail(pool: ThreadPoolExecutor) -> None:
        raise RuntimeError("can't start new thread")

    crm.answer = slow
    enqueue(journal, crm, 1)
    with monkeypatch.context() as patched:
        patched.setattr(ThreadPoolExecutor, "_adjust_thread_count", queue_then_fail)
        with pytest.raises(RuntimeError):
            dispatcher.dispatch()
    assert dispatcher.dispatch() == 1  # the first of the two in the queue is the stale one
    gate.set()
    work(dispatcher, lambda: not journal.batches_waiting())
    assert len(crm.sent) == 1


def test_a_lost_pairing_stops_the_sending_until_it_is_renewed(
    journal: Journal, crm: ScriptedCrm, dispatcher: Dispatcher
) -> None:
    def revoked(changes: Sequence[Change]) -> PushReply:
        raise CrmAuthError("crm.auth_revoked")

    crm.answer = revoked
    enqueue(journal, crm, 1)
    work(dispatcher, lambda: dispatcher.line.auth_lost)
    assert dispatcher.dispatch() == 0
    crm.answer = all_applied
    dispatcher.retry_auth()
    work(dispatcher, lambda: not journal.batches_waiting())


def test_fenced_and_paused_send_nothing(
    journal: Journal, crm: ScriptedCrm, dispatcher: Dispatcher
) -> None:
    enqueue(journal, crm, 1)
    dispatcher.fenced = True
    assert dispatcher.dispatch() == 0
    dispatcher.fenced, dispatcher.paused = False, True
    assert dispatcher.dispatch() == 0
    assert crm.sent == []
