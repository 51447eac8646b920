"""Send what waits: outgoing batches to the CRM, one outcome per item, settled in one turn (T3).

A batch's bytes and id are fixed when it is planned, so sending it again after a crash or a lost
answer is the same request; the CRM answers it from memory. Nothing here reads the PMS.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from agent.errors import (
    RESTING,
    AgentError,
    CrmAuthError,
    CrmError,
    CrmRefusedBatch,
    CrmUnavailable,
    JournalError,
)
from agent.journal.journal import Journal
from agent.journal.rows import Batch, Operation, Outgoing, ParkClass, Urgency
from agent.model.metrics import CHANGE, Metric
from agent.model.writing import Change, ItemOutcome, Outcome
from agent.ports import UNMEASURED, Clock, CrmPort, Meter
from agent.sync.pace import Backoff, item_retry_s
from agent.sync.plan import operations_of

log = structlog.get_logger(__name__)

IN_FLIGHT = 3
IDLE_S = 1.0  # a deferred batch is looked for this often


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the item outcomes of one batch mean, by position in the batch."""

    done: list[Operation] = field(default_factory=list)
    again: list[int] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)  # (position, reason code)
    retry_after_s: float = 0.0


def judge(operations: Sequence[Operation], outcomes: Sequence[ItemOutcome]) -> Verdict:
    """Sort a batch's items; pure. Conflict: the CRM holds a newer edit, a person decides."""
    verdict = Verdict()
    wait = 0.0
    for position, (operation, item) in enumerate(zip(operations, outcomes, strict=True)):
        if item.outcome.is_done:
            verdict.done.append(operation)
        elif item.outcome is Outcome.RETRY:
            verdict.again.append(position)
            wait = max(wait, item.retry_after_s or 0.0)
        else:
            verdict.refused.append((position, item.reason or item.outcome.value))
    return Verdict(verdict.done, verdict.again, verdict.refused, wait)


def halves(changes: Sequence[Change]) -> list[list[Change]]:
    """Bisect a refused batch; a batch of one is the poison itself."""
    middle = len(changes) // 2
    return [part for part in (list(changes[:middle]), list(changes[middle:])) if part]


@dataclass(slots=True)
class Line:
    """What the dispatcher knows about the line to the CRM. Read by the status; replaced whole."""

    ok_mono: float | None = None
    error: AgentError | None = None
    since_mono: float | None = None  # of the error
    auth_lost: bool = False


class Dispatcher:
    """Owns the sending threads. ``wake`` may be called from anywhere."""

    def __init__(
        self,
        journal: Journal,
        crm: CrmPort,
        clock: Clock,
        backoff: Backoff,
        *,
        on_limits: Callable[[], None],
        in_flight: int = IN_FLIGHT,
        meter: Meter = UNMEASURED,
    ) -> None:
        self._journal = journal
        self._crm = crm
        self._clock = clock
        self._backoff = backoff
        self._on_limits = on_limits
        self._meter = meter
        self._in_flight = in_flight
        self._pool = ThreadPoolExecutor(in_flight, thread_name_prefix="push")
        self._flying: dict[int, Batch] = {}
        self._awake = threading.Event()
        self._lock = threading.Lock()
        self._not_before = 0.0
        self.fenced = False  # the source is not believed: nothing leaves
        self.paused = False
        self.held = False  # the people of both sides have not met yet: nothing leaves
        self.line = Line()
        self.last_write_at: datetime | None = None

    def wake(self) -> None:
        self._awake.set()

    def run(self, stopping: threading.Event) -> None:
        """The push lane: until ``stopping``; returns after the sends under way have settled."""
        while not stopping.is_set():
            self._awake.clear()
            started = 0
            try:
                started = self.dispatch()
            except Exception as error:  # noqa: BLE001 - the lane goes on, the batches are due
                self._stumbled(error)
            if not started:
                self._awake.wait(self._idle_s())
        self._pool.shutdown(wait=True)

    def dispatch(self) -> int:
        """Start what may start now; returns how many batches left."""
        if self.fenced or self.paused or self.held or self.line.auth_lost:
            return 0
        if self._clock.mono() < self._not_before:
            return 0
        with self._lock:
            flying = self._flying.values()
            busy = frozenset(b.stream for b in flying if b.urgency is not Urgency.LOAD)
            # While the line is down one batch finds out whether it still is, not all at once.
            most = self._in_flight if self.line.error is None else 1
            room = most - len(flying)
            if room <= 0:
                return 0
            numbers = frozenset(self._flying)
            batches = self._journal.due_batches(self._clock.now(), room, busy, numbers)
            for batch in batches:
                self._flying[batch.number] = batch
                try:
                    self._pool.submit(self._carry, batch)
                except BaseException:  # no thread to be had
                    del self._flying[batch.number]
                    raise
        return len(batches)

    def idle(self) -> bool:
        with self._lock:
            return not self._flying

    def retry_auth(self) -> None:
        """The pairing was renewed."""
        self.line = Line()
        self._not_before = 0.0
        self.wake()

    def hurry(self) -> None:
        """Try again now what waits for a back-off; a refused pairing still waits."""
        if not self.line.auth_lost:
            self._not_before = 0.0
        self.wake()

    def _idle_s(self) -> float:
        wait = self._not_before - self._clock.mono()
        return max(wait, 0.01) if 0 < wait < IDLE_S else IDLE_S

    def _carry(self, batch: Batch) -> None:
        with self._lock:
            # A pool that found no thread may have queued the work before it said so.
            if self._flying.get(batch.number) is not batch:
                return
        try:
            self._send(batch)
        except Exception as error:  # noqa: BLE001 - the batch is still due, nothing was lost
            self._stumbled(error)
        finally:
            with self._lock:
                del self._flying[batch.number]
            self.wake()

    def _send(self, batch: Batch) -> None:
        began = self._clock.mono()
        if batch.urgency is Urgency.LIVE and not batch.attempts:
            waited = (self._clock.now() - batch.planned_at).total_seconds()
            self._meter.took(Metric.STAGE, "queue", seconds=waited)
        try:
            reply = self._crm.push(batch.id, batch.body)
        except CrmAuthError as error:
            self._unanswered(batch)
            self._failed(error, 60.0)
            self.line.auth_lost = True
            log.warning("push.auth", code=error.code)
        except CrmUnavailable as error:
            self._unanswered(batch)
            wait = self._backoff.failed(error.retry_after_s)
            self._failed(error, wait)
            log.info("push.unavailable", code=error.code, wait_s=round(wait, 2))
        except CrmRefusedBatch as error:
            self._answered()
            self._bisect(batch, error)
        except CrmError as error:
            # Our own stored bytes are no batch any more; read the records again instead.
            log.error("push.unsendable", code=error.code, stream=batch.stream.value)
            self._drop(batch, error)
        else:
            self._answered()
            self._meter.took(Metric.STAGE, "send", seconds=self._clock.mono() - began)
            for outcome, count in Counter(item.outcome for item in reply.outcomes).items():
                self._meter.count(Metric.CHANGES, batch.stream.value, outcome.value, by=count)
            self._settle(batch, judge(batch.operations, reply.outcomes))

    def _unanswered(self, batch: Batch) -> None:
        count = len(batch.operations)
        self._meter.count(Metric.CHANGES, batch.stream.value, "failed", by=count)

    def _answered(self) -> None:
        first = self.line.ok_mono is None
        self._backoff.succeeded()
        self._not_before = 0.0
        self.line = Line(ok_mono=self._clock.mono())
        if first:
            self._on_limits()

    def _stumbled(self, error: Exception) -> None:
        """Neither the CRM nor the batch: our own disk (told by the status), or a bug."""
        if isinstance(error, JournalError):
            log.error("push.journal", code=error.code, exc_info=error)
            self._failed(error, 5.0)
        else:
            log.error("push.bug", error=type(error).__name__, exc_info=error)
            self._failed(AgentError(), max(self._backoff.failed(), 2.0))

    def _failed(self, error: AgentError, wait_s: float) -> None:
        now = self._clock.mono()
        self._not_before = now + wait_s
        before = self.line.error
        since = self.line.since_mono if before is not None else now
        why = before if before is not None and error.code == RESTING else error
        self.line = Line(error=why, since_mono=since)

    def _settle(self, batch: Batch, verdict: Verdict) -> None:
        again = self._changes(batch, verdict.again)
        with self._journal.turn() as turn:
            for position, reason in verdict.refused:
                operation = batch.operations[position]
                due = self._clock.now() + timedelta(seconds=item_retry_s(9))
                turn.park(
                    batch.stream, operation.key, ParkClass.VALIDATION, reason, operation.hash, due
                )
            if again:
                body = self._crm.pack(turn.next_batch_id(), again)
                outgoing = Outgoing(batch.stream, Urgency.REPAIR, body, operations_of(again))
                (later,) = turn.replace(batch, [outgoing])  # keeps the age and the tries
                wait = max(verdict.retry_after_s, item_retry_s(batch.attempts))
                turn.defer(later, self._clock.now() + timedelta(seconds=wait), "item_retry")
            turn.settle(batch, verdict.done)
            took_ms = self._took_ms(batch)
            if verdict.done:
                turn.tally(
                    batch.stream,
                    [operation.key for operation in verdict.done],
                    took_ms,
                    first_load=batch.urgency is Urgency.LOAD,
                )
            if verdict.refused:
                turn.note("crm.rejected", batch.stream, len(verdict.refused))
        if verdict.done and took_ms is not None:
            self._meter.took(Metric.STAGE, CHANGE, seconds=took_ms / 1000)
        self.last_write_at = self._clock.now()
        log.debug("push.settled", stream=batch.stream.value, done=len(verdict.done))

    def _took_ms(self, batch: Batch) -> float | None:
        """From noticing a change until the CRM had it; a load measures nothing of the kind."""
        if batch.urgency is not Urgency.LIVE:
            return None
        return (self._clock.now() - batch.planned_at).total_seconds() * 1000

    def _bisect(self, batch: Batch, error: CrmRefusedBatch) -> None:
        changes = self._changes(batch, range(len(batch.operations)))
        with self._journal.turn() as turn:
            if len(changes) == 1:
                operation = batch.operations[0]
                due = self._clock.now() + timedelta(seconds=item_retry_s(9))
                turn.park(
                    batch.stream,
                    operation.key,
                    ParkClass.VALIDATION,
                    error.code,
                    operation.hash,
                    due,
                )
                turn.settle(batch, [])
                turn.note("crm.rejected", batch.stream, 1)
                return
            parts = []
            for ahead, part in enumerate(halves(changes)):
                body = self._crm.pack(turn.next_batch_id(ahead), part)
                parts.append(Outgoing(batch.stream, batch.urgency, body, operations_of(part)))
            turn.replace(batch, parts)
        log.info("push.bisect", stream=batch.stream.value, items=len(changes), code=error.code)

    def _drop(self, batch: Batch, error: CrmError) -> None:
        """Park every record of the batch, due at once: its retry reads and sends it anew."""
        with self._journal.turn() as turn:
            for operation in batch.operations:
                turn.park(
                    batch.stream,
                    operation.key,
                    ParkClass.UNKNOWN_OUTCOME,
                    error.code,
                    operation.hash,
                    self._clock.now(),
                )
            turn.settle(batch, [])

    def _changes(self, batch: Batch, positions: Sequence[int]) -> list[Change]:
        if not positions:
            return []
        changes = self._crm.unpack(batch.body)
        return [changes[position] for position in positions]
