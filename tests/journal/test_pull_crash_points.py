"""Every I/O boundary of the pull path, failed in every way, on the real journal code.

As ``test_crash_points`` does for the push path: the run is failed at boundary k (of the journal's
disk, of the PMS, of the line to the CRM), the machine comes back with what that fault leaves, the
front desk has worked meanwhile, recovery looks at the PMS, and the oracle looks at everything: each
command ends with its one outcome, told to the CRM, and exactly one effect (or none, if refused).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import apsw
import pytest

from agent.errors import JournalError
from agent.journal import schema
from agent.journal.inbox import Inbox
from agent.journal.journal import Journal, Turn
from agent.journal.pulled import CommandRow, CommandState, EffectRow, EffectState
from agent.model.commands import Command
from agent.model.effects import WriteRefused, WriteUnknown
from tests.journal.pulloracle import end_findings, recovery_findings
from tests.journal.pullpath import APPLIED, REFUSED, PullPath, PullWorld
from tests.journal.sealing import TestSeal
from tests.support.faultfs import Crash, Fault, FaultDisk, FaultVfs

PATH = Path("journal.db")
SEAL = TestSeal()
MOST_STEPS = 200
MOST_LIVES = 6

T = TypeVar("T")
Record = Callable[[str, object], None]
Tamper = Callable[[Journal], None]


class Violation(Exception):
    """A rule was seen broken."""


@pytest.fixture(scope="module")
def vfs() -> Iterator[FaultVfs]:
    vfs = FaultVfs("bw-pull-crash-points")
    yield vfs
    vfs.unregister()


@pytest.fixture(scope="module")
def empty_journal(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("template") / "journal.db"
    schema.migrate(path)
    return path.read_bytes()


def live(world: PullWorld, vfs: str, make: type[PullPath], tamper: Tamper) -> None:
    """One life of the agent: until all is done, or until it dies of a Crash."""
    journals: list[Journal] = []
    try:
        for _ in range(2):  # and a clean restart
            for journal in journals:
                journal.close()
            journal = _again(lambda: Journal.open(PATH, seal=SEAL, clock=world.clock, vfs=vfs))
            journal._writer.pragma("wal_autocheckpoint", 12)
            journals.append(journal)
            world.epochs.append(journal.epoch)
            tamper(journal)
            _raise(_again(lambda: recovery_findings(world, journal)))  # noqa: B023
            path = make(world, journal)
            for _ in range(MOST_STEPS):
                world.clock.advance(1)
                if not _again(path.step):
                    break
            else:
                raise Violation("never comes to rest")
        _raise(_again(lambda: end_findings(world, journals[-1])))
        journals[-1].close()
    finally:
        for journal in journals:
            with contextlib.suppress(apsw.Error, Crash):
                journal._writer.close(True)


def _raise(findings: list[str]) -> None:
    if findings:
        raise Violation(findings[0])


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
    make: type[PullPath] = PullPath,
    tamper: Tamper = lambda journal: None,
) -> FaultDisk:
    """One run with one fault; raises Violation."""
    disk = vfs.mount(FaultDisk({str(PATH): empty}, seed=at or 0))
    disk.plan(at, fault)
    world = PullWorld(disk)
    for _ in range(MOST_LIVES):
        try:
            live(world, vfs.name, make, tamper)
        except Crash:
            disk.recover()
            world.pms.live()
        except (JournalError, ValueError) as error:
            raise Violation(str(error)) from error
        else:
            return disk
    raise Violation("dies again and again")


def points(vfs: FaultVfs, empty: bytes, fault: Fault) -> list[int]:
    """Where the fault-free run can be failed: boundary numbers (or read numbers)."""
    disk = trial(vfs, empty, None, fault)
    return list(range(1, (disk.reads if fault is Fault.EIO_READ else disk.boundaries) + 1))


def sweep(
    vfs: FaultVfs,
    empty: bytes,
    fault: Fault,
    where: Sequence[int | None],
    make: type[PullPath] = PullPath,
    tamper: Tamper = lambda journal: None,
) -> list[str]:
    """One trial per place; what was found."""
    findings = []
    for at in where:
        try:
            trial(vfs, empty, at, fault, make, tamper)
        except Violation as violation:
            findings.append(f"{fault} at {at} ({vfs.disk.fired}): {violation}")
    if len(where) > 1:
        print(f"{fault}: {len(where)} trials, {len(findings)} violations")
    return findings


def durable(vfs: FaultVfs, empty: bytes) -> list[int]:
    """Boundaries between which the disk's durable state cannot change."""
    return _durable(trial(vfs, empty, None, Fault.KILL))


def _durable(disk: FaultDisk) -> list[int]:
    return [at for at, what in enumerate(disk.log, 1) if not what.startswith(("write", "trunc"))]


def test_fault_free_run_crosses_every_kind_of_boundary(vfs: FaultVfs, empty_journal: bytes) -> None:
    disk = trial(vfs, empty_journal, None, Fault.KILL)
    kinds = {what.split()[0] for what in disk.log}
    assert kinds >= {
        "write", "sync", "net:poll", "net:commands", "net:outcome", "net:thanks",
        "pms:send", "pms:done", "pms:answer",
    }  # fmt: skip
    assert disk.boundaries > 400


def test_dies_at_durable_states(vfs: FaultVfs, empty_journal: bytes) -> None:
    """Killed at a third of them, the power cut at another; the slow form visits every one."""
    where = durable(vfs, empty_journal)
    assert len(where) > 120
    found = sweep(vfs, empty_journal, Fault.KILL, where[::3])
    assert found + sweep(vfs, empty_journal, Fault.POWER_KEEP_NONE, where[1::3]) == []


@pytest.mark.slow
@pytest.mark.parametrize("fault", list(Fault))
def test_every_boundary_fails_in_every_way(
    vfs: FaultVfs, empty_journal: bytes, fault: Fault, record_property: Record
) -> None:
    where = points(vfs, empty_journal, fault)
    findings = sweep(vfs, empty_journal, fault, where)
    record_property("crash points", len(where))
    record_property("survived", len(where) - len(findings))
    assert findings == []


@pytest.mark.parametrize("fault", [Fault.EIO, Fault.ENOSPC, Fault.TORN, Fault.POWER_KEEP_RANDOM])
def test_some_boundaries_fail_in_other_ways(
    vfs: FaultVfs, empty_journal: bytes, fault: Fault
) -> None:
    """A sample of the slow matrix for every run of the tests; another part for each kind."""
    where = points(vfs, empty_journal, fault)
    assert sweep(vfs, empty_journal, fault, where[list(Fault).index(fault) :: 67]) == []


# --- mutants ------------------------------------------------------------------------------------


class IntentAfterWrite(PullPath):
    """The write leaves first; what it was is remembered afterwards."""

    def work(self, row: CommandRow) -> None:
        effect, before = self.plan(row.command)
        floor = dict(self.pms.rows)
        written, refused = None, False
        try:
            written = self.pms.write(effect)
        except WriteRefused:
            refused = True
        except WriteUnknown:
            pass
        with mock.patch.object(self.pms, "rows", floor):
            number = self.intend(row.command, effect, before)
        if refused:
            self.fail(number, row.command.command_id, REFUSED)
        if written is not None:
            with self.journal.turn() as turn:
                turn.effect_written(number, written.key)


class WriteInsideTheTurn(PullPath):
    """The write leaves while the turn of its intent is still open."""

    def work(self, row: CommandRow) -> None:
        effect, before = self.plan(row.command)
        written, refused = None, False
        real = Turn.intend

        def intend(turn: Turn, *args: Any, **kwargs: Any) -> int:
            nonlocal written, refused
            number = real(turn, *args, **kwargs)
            try:
                written = self.pms.write(effect)
            except WriteRefused:
                refused = True
            except WriteUnknown:
                pass
            return number

        with mock.patch.object(Turn, "intend", intend):
            number = self.intend(row.command, effect, before)
        if refused:
            self.fail(number, row.command.command_id, REFUSED)
        if written is not None:
            with self.journal.turn() as turn:
                turn.effect_written(number, written.key)


class OutcomeLater(PullPath):
    """The effect is verified in one turn, the outcome follows in another."""

    def verify(self, row: EffectRow, key: int) -> None:
        assert row.command_id is not None
        with self.journal.turn() as turn:
            turn.effect_verified(row.number, key)
            self.mirror(turn, key)
        with self.journal.turn() as turn:
            turn.command_state(row.command_id, CommandState.DONE, outcome=APPLIED)


class OutcomeFirst(PullPath):
    """The outcome is stored before the effect is known to hold."""

    def verify(self, row: EffectRow, key: int) -> None:
        assert row.command_id is not None
        with mock.patch.object(Inbox, "_settle_up"), self.journal.turn() as turn:
            turn.command_state(row.command_id, CommandState.DONE, outcome=APPLIED)
        super().verify(row, key)


class SettledUnread(PullPath):
    """What the PMS said yes to is taken for granted."""

    def probe(self, row: EffectRow) -> None:
        if row.state is EffectState.WRITTEN:
            self.verify(row, int(row.key or row.effect.key or 0))
        else:
            super().probe(row)


class MirrorForgotten(PullPath):
    """The mirror learns of our own write by detection, as if somebody else had made it."""

    def mirror(self, turn: Turn, key: int) -> None:
        return None


class WrittenAgainUnprobed(PullPath):
    """After a restart an open intent is simply done again."""

    def __init__(self, world: PullWorld, journal: Journal) -> None:
        super().__init__(world, journal)
        for row in journal.effects_open():
            self.retry(row)


class NothingIsNotDone(PullPath):
    """An open intent is taken for done."""

    def candidates(self, row: EffectRow) -> list[int]:
        return super().candidates(row) or [max(self.pms.rows)]


class FloorForgotten(PullPath):
    """A row that looks like ours is ours, however old."""

    def candidates(self, row: EffectRow) -> list[int]:
        return [
            key
            for key, fields in self.pms.rows.items()
            if all(fields.get(name) == value for name, value in row.after.items())
        ]


class AckedBeforeCommitted(PullPath):
    """The CRM hears that a command is safe before it is."""

    def receive(self, commands: list[Command]) -> None:
        self.crm.poll([command.command_id for command in commands])
        super().receive(commands)


class ToldBeforeCommitted(PullPath):
    """The CRM hears the outcome before it is durable."""

    def verify(self, row: EffectRow, key: int) -> None:
        assert row.command_id is not None
        self.crm.finish(row.command_id, APPLIED)
        super().verify(row, key)


class ReportedBeforeTold(PullPath):
    """The outcome counts as reported before the CRM heard it."""

    def report(self, row: CommandRow) -> None:
        assert row.outcome is not None
        with self.journal.turn() as turn:
            turn.reported(row.command.command_id, row.outcome)
        self.crm.finish(row.command.command_id, row.outcome)


class Unaudited(PullPath):
    """The outcome leaves no trace in the chain."""

    def verify(self, row: EffectRow, key: int) -> None:
        with mock.patch.object(Turn, "audit"):
            super().verify(row, key)


def _untouched(journal: Journal) -> None:
    """No tampering."""


def _normal_sync(journal: Journal) -> None:
    journal._writer.pragma("synchronous", "normal")


MUTANTS: list[tuple[type[PullPath], Tamper, Fault, str]] = [
    (PullPath, _normal_sync, Fault.POWER_KEEP_NONE, "was not durable"),
    (IntentAfterWrite, _untouched, Fault.KILL, "written without an intent"),
    (WriteInsideTheTurn, _untouched, Fault.KILL, "written without an intent"),
    (OutcomeLater, _untouched, Fault.KILL, "verified without an outcome"),
    (OutcomeFirst, _untouched, Fault.KILL, "ended with its effect"),
    (SettledUnread, _untouched, Fault.KILL, "in effect 0 times"),
    (MirrorForgotten, _untouched, Fault.KILL, "without the mirror"),
    (WrittenAgainUnprobed, _untouched, Fault.KILL, "effect 2 times"),
    (NothingIsNotDone, _untouched, Fault.KILL, "in effect 0 times"),
    (FloorForgotten, _untouched, Fault.KILL, "is not what the PMS holds"),
    (AckedBeforeCommitted, _untouched, Fault.KILL, "acknowledged and lost"),
    (ToldBeforeCommitted, _untouched, Fault.KILL, "that was not durable"),
    (ReportedBeforeTold, _untouched, Fault.KILL, "the CRM heard []"),
    (Unaudited, _untouched, Fault.KILL, "audit.effect_edited"),
]


@pytest.mark.parametrize(
    ("make", "tamper", "fault", "why"),
    MUTANTS,
    ids=[f"{make.__name__}{tamper.__name__}" for make, tamper, _, _ in MUTANTS],
)
def test_mutant_is_caught(
    vfs: FaultVfs,
    empty_journal: bytes,
    make: type[PullPath],
    tamper: Tamper,
    fault: Fault,
    why: str,
    record_property: Record,
) -> None:
    """And for the right reason. What only shows after a crash shows nothing without one."""
    found = sweep(vfs, empty_journal, fault, [None], make, tamper)
    if not found:
        disk = trial(vfs, empty_journal, None, fault, make, tamper)
        where = _durable(disk)
        outside = [at for at in where if not disk.log[at - 1].startswith("sync")]
        inside = [at for at in where if disk.log[at - 1].startswith("sync")]
        for at in chain.from_iterable(zip_longest(outside, inside)):
            found = found or (at and sweep(vfs, empty_journal, fault, [at], make, tamper)) or []
    assert found
    assert why in found[0]
    record_property("planted bugs caught", 1)
