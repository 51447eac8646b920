"""Every I/O boundary of the push path, failed in every way, on the real journal code.

The journal runs over a simulated disk. For each boundary k the run dies (or the operation fails)
there, the machine comes back with what its kind of fault leaves, the practice has been edited
meanwhile, the run goes on to its end, and the oracle looks: at every opening and at the end.

The mutants below break one rule each. They are expected to be caught at some boundary: that is
the proof that the oracle can see.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar
from unittest import mock

import apsw
import pytest

from agent.errors import CrmRefusedBatch, JournalError
from agent.journal import schema
from agent.journal.journal import Journal, Turn
from agent.journal.rows import Batch, Chunk, Operation, Seen, Urgency
from agent.model.reading import Key
from agent.model.writing import Outcome, Verb
from tests.journal.oracle import end_findings, recovery_findings
from tests.journal.pushpath import (
    PATH,
    STAGES,
    STREAM,
    TAIL,
    PushPath,
    Violation,
    World,
    hash_of,
    open_journal,
    sums_of,
)
from tests.support.faultfs import Crash, Fault, FaultDisk, FaultVfs

MOST_STEPS = 400
MOST_LIVES = 6

T = TypeVar("T")
Record = Callable[[str, object], None]
Tamper = Callable[[Journal], None]


@pytest.fixture(scope="module")
def vfs() -> Iterator[FaultVfs]:
    vfs = FaultVfs("bw-crash-points")
    yield vfs
    vfs.unregister()


@pytest.fixture(scope="module")
def empty_journal(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A migrated file without a row, as bytes for the simulated disk."""
    path = tmp_path_factory.mktemp("template") / "journal.db"
    schema.migrate(path)
    return path.read_bytes()


def live(world: World, vfs: str, make: type[PushPath], tamper: Tamper) -> None:
    """One life of the agent: until all is done, or until it dies of a Crash."""
    journals: list[Journal] = []
    try:
        path = make(world, _opened(world, vfs, tamper, journals))
        _work(path)
        while world.practice.stage < STAGES - 1:
            world.practice.advance()
            world.clock.advance(660)
            journals[-1].close()
            path = make(world, _opened(world, vfs, tamper, journals))
            _work(path)
        world.clock.advance(660)
        _work(path)  # one whole rotation over everything
        findings = end_findings(world, journals[-1])
        if findings:
            raise Violation(findings[0])
        journals[-1].close()
    finally:
        for journal in journals:
            with contextlib.suppress(apsw.Error, Crash):
                journal._writer.close(True)


def _opened(world: World, vfs: str, tamper: Tamper, journals: list[Journal]) -> Journal:
    journal = _again(lambda: open_journal(world, vfs))
    journals.append(journal)
    tamper(journal)
    findings = _again(lambda: recovery_findings(world, journal))
    if findings:
        raise Violation(findings[0])
    return journal


def _work(path: PushPath) -> None:
    for _ in range(MOST_STEPS):
        if not _again(path.step):
            return
    raise Violation("never comes to rest")


def _again(act: Callable[[], T]) -> T:
    """What the engine does on a failing disk: the same thing again."""
    try:
        return act()
    except JournalError as error:
        if error.code == "journal.damaged":
            raise Violation("damaged") from error
        return act()
    except apsw.Error:
        return act()


def trial(
    vfs: FaultVfs,
    empty: bytes,
    at: int | None,
    fault: Fault,
    make: type[PushPath] = PushPath,
    tamper: Tamper = lambda journal: None,
) -> FaultDisk:
    """One run with one fault; raises Violation."""
    disk = vfs.mount(FaultDisk({str(PATH): empty}, seed=at or 0))
    disk.plan(at, fault)
    world = World(disk)
    for _ in range(MOST_LIVES):
        try:
            live(world, vfs.name, make, tamper)
        except Crash:
            disk.recover()
            world.practice.edit_unattended()
        except JournalError as error:
            raise Violation(str(error)) from error
        else:
            return disk
    raise Violation("dies again and again")


def points(vfs: FaultVfs, empty: bytes, fault: Fault) -> list[int]:
    """Where the fault-free run can be failed: boundary numbers (or read numbers)."""
    disk = trial(vfs, empty, None, fault)
    return list(range(1, (disk.reads if fault is Fault.EIO_READ else disk.boundaries) + 1))


def sweep(
    vfs: FaultVfs, empty: bytes, fault: Fault, where: Sequence[int], record: Record
) -> list[str]:
    """One trial per place; what was found. ``record``: for the lane of tests/reliability."""
    findings = []
    for at in where:
        try:
            trial(vfs, empty, at, fault)
        except Violation as violation:
            findings.append(f"{fault} at {at} ({vfs.disk.fired}): {violation}")
    record("crash points", len(where))
    record("survived", len(where) - len(findings))
    return findings


def test_fault_free_run_crosses_every_kind_of_boundary(vfs: FaultVfs, empty_journal: bytes) -> None:
    disk = trial(vfs, empty_journal, None, Fault.KILL)
    kinds = {what.split()[0] for what in disk.log}
    assert kinds >= {"write", "sync", "truncate", "delete", "net:send", "net:reply"}
    assert disk.boundaries > 500
    assert disk.reads > 100


def test_killed_at_every_boundary(
    vfs: FaultVfs, empty_journal: bytes, record_property: Record
) -> None:
    where = points(vfs, empty_journal, Fault.KILL)
    assert sweep(vfs, empty_journal, Fault.KILL, where, record_property) == []


def test_power_cut_at_every_durable_state(
    vfs: FaultVfs, empty_journal: bytes, record_property: Record
) -> None:
    """With nothing un-synced surviving, all boundaries up to the next sync leave the same disk, so
    one trial at each sync, deletion and network boundary visits every state there is."""
    disk = trial(vfs, empty_journal, None, Fault.KILL)
    where = [at for at, what in enumerate(disk.log, 1) if not what.startswith(("write", "trunc"))]
    assert len(where) > 100
    assert sweep(vfs, empty_journal, Fault.POWER_KEEP_NONE, where, record_property) == []


@pytest.mark.slow
@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.KILL])
def test_every_boundary_fails_in_every_way(
    vfs: FaultVfs, empty_journal: bytes, fault: Fault, record_property: Record
) -> None:
    where = points(vfs, empty_journal, fault)
    assert sweep(vfs, empty_journal, fault, where, record_property) == []


@pytest.mark.parametrize("fault", [Fault.EIO, Fault.ENOSPC, Fault.TORN, Fault.POWER_KEEP_RANDOM])
def test_some_boundaries_fail_in_other_ways(
    vfs: FaultVfs, empty_journal: bytes, fault: Fault, record_property: Record
) -> None:
    """A sample of the slow matrix for every run of the tests; another part for each kind."""
    where = points(vfs, empty_journal, fault)
    few = where[list(Fault).index(fault) :: 23]
    assert sweep(vfs, empty_journal, fault, few, record_property) == []


# --- mutants ------------------------------------------------------------------------------------


class MarkBeforeRows(PushPath):
    """The tail's mark commits before what it read."""

    def follow(self, position: int, end: int) -> None:
        with self.turn() as turn:
            turn.set_mark(TAIL, str(end))
        super().follow(position, end)


class LoadedBeforeRows(PushPath):
    """The chunk counts as loaded before its rows are in."""

    def load(self, chunk: Chunk) -> None:
        with self.turn() as turn:
            turn.chunk_loaded(chunk, chunk.due_at)
        super().load(chunk)


class SeenBeforePlanned(PushPath):
    """The observation commits without the work it implies."""

    def load(self, chunk: Chunk) -> None:
        rows = self.practice.range(chunk.lo, chunk.hi)
        with self.turn() as turn:
            seen = [Seen(key, hash_of(c), *sums_of(c)) for key, c in rows.items()]
            turn.see(STREAM, seen, None)
        with self.turn() as turn:
            operations = [
                Operation(key, self._op_id(key, hash_of(c), None), Verb.UPSERT, hash_of(c))
                for key, c in rows.items()
            ]
            self.plan(turn, operations, rows, Urgency.LOAD)
            turn.chunk_loaded(chunk, chunk.due_at)


class SentBeforeCommitted(PushPath):
    """The batch leaves while the turn that plans it is still open."""

    def plan(
        self, turn: Turn, operations: list[Operation], contents: dict[Key, str], urgency: Urgency
    ) -> int:
        ident = turn.next_batch_id()
        number = super().plan(turn, operations, contents, urgency)
        with contextlib.suppress(CrmRefusedBatch):
            self.crm.push(ident, self._pack(operations, contents, turn.lsn))
        return number


class SettledBeforeSent(PushPath):
    """Outcomes are taken for granted, then the batch is sent."""

    def deliver(self, batch: Batch) -> None:
        with self.turn() as turn:
            turn.settle(batch, batch.operations)
        with contextlib.suppress(CrmRefusedBatch):
            self.send(batch)


class FreshIdEachTime(PushPath):
    """Every attempt gets its own idempotency key."""

    def send(self, batch: Batch) -> list[Outcome]:
        attempt = self.crm.disk.boundaries
        return self.crm.push(f"{batch.id}/{attempt}", batch.body)


class EveryOutcomeIsDone(PushPath):
    """Rejections and retries are settled like the rest."""

    def conclude(self, batch: Batch, outcomes: list[Outcome]) -> None:
        super().conclude(batch, [Outcome.APPLIED] * len(outcomes))


class AuditedLater(PushPath):
    """The audit row of an effect has a turn of its own."""

    def conclude(self, batch: Batch, outcomes: list[Outcome]) -> None:
        super().conclude(batch, outcomes)
        with self.turn() as turn:
            turn.audit("batch.settled", {"batch": batch.id})

    def settle(self, turn: Turn, batch: Batch, done: list[Operation]) -> None:
        with mock.patch.object(turn, "audit"):
            super().settle(turn, batch, done)


class UncountedDeletes(PushPath):
    """Somebody forgot the counts in one place."""

    def take(
        self, turn: Turn, rows: dict[Key, str], absent: Iterable[Key], urgency: Urgency
    ) -> None:
        with mock.patch.object(turn, "_recount") if absent else contextlib.nullcontext():
            super().take(turn, rows, absent, urgency)


class DeletesUntold(PushPath):
    """A deletion settles without the CRM being told."""

    def plan(
        self, turn: Turn, operations: list[Operation], contents: dict[Key, str], urgency: Urgency
    ) -> int:
        kept = [operation for operation in operations if operation.verb is not Verb.DELETE]
        if not kept:
            return 10**6
        return super().plan(turn, kept, contents, urgency)


def _untouched(journal: Journal) -> None:
    """No tampering."""


def _normal_sync(journal: Journal) -> None:
    journal._writer.pragma("synchronous", "normal")


def _no_sync(journal: Journal) -> None:
    journal._writer.pragma("synchronous", "off")


def _no_rollback_journal(journal: Journal) -> None:
    assert journal._writer.pragma("journal_mode", "off") == "off"


def _reused_numbers(journal: Journal) -> None:
    """Batch numbers start again above what is still waiting."""
    journal._writer.execute(
        "UPDATE meta SET value = (SELECT coalesce(max(number), 0) FROM batch) WHERE name = 'batch'"
    )


MUTANTS: list[tuple[type[PushPath], Tamper, Fault]] = [
    (PushPath, _normal_sync, Fault.POWER_KEEP_NONE),
    (PushPath, _no_sync, Fault.POWER_KEEP_RANDOM),
    (PushPath, _no_rollback_journal, Fault.KILL),
    (PushPath, _reused_numbers, Fault.KILL),
    (MarkBeforeRows, _untouched, Fault.KILL),
    (LoadedBeforeRows, _untouched, Fault.KILL),
    (SeenBeforePlanned, _untouched, Fault.KILL),
    (SentBeforeCommitted, _untouched, Fault.KILL),
    (SettledBeforeSent, _untouched, Fault.KILL),
    (FreshIdEachTime, _untouched, Fault.KILL),
    (EveryOutcomeIsDone, _untouched, Fault.KILL),
    (AuditedLater, _untouched, Fault.KILL),
    (UncountedDeletes, _untouched, Fault.KILL),
    (DeletesUntold, _untouched, Fault.KILL),
]


@pytest.mark.parametrize(
    ("make", "tamper", "fault"),
    MUTANTS,
    ids=[f"{make.__name__}{tamper.__name__}" for make, tamper, _ in MUTANTS],
)
def test_mutant_is_caught(
    vfs: FaultVfs,
    empty_journal: bytes,
    make: type[PushPath],
    tamper: Tamper,
    fault: Fault,
    record_property: Record,
) -> None:
    where = points(vfs, empty_journal, fault)
    random.Random(7).shuffle(where)  # the window of a mutant may lie anywhere
    for at in where:
        try:
            trial(vfs, empty_journal, at, fault, make, tamper)
        except Violation:
            record_property("planted bugs caught", 1)
            return
    pytest.fail("survived every boundary")
