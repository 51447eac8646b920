"""What the pull costs the journal: turns a command, and that timers look at open work only."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import timedelta

import apsw
import pytest

from agent.journal.journal import Journal
from agent.journal.pulled import CommandState, ContactState
from tests.journal.conftest import PATIENT, seen
from tests.journal.pulling import APPLIED, command, contact, done, intend, update
from tests.support.clock import START

# Indexes that hold open work only; scanning one of them is scanning what is open.
_FEW = (
    "command_due", "command_expiry", "command_open", "command_unreported", "effect_open",
    "conflict_open", "conflict_untold", "task_due", "contact_untold",
)  # fmt: skip


def test_timers_look_at_open_work_only(journal: Journal) -> None:
    for name in "abc":
        done(journal, name)
    intend(journal, command_id=None)
    with journal.turn() as turn:
        turn.receive(command("open", not_after="2026-03-02T09:00:00Z"), START)
        turn.add_task("open", update(), "write.read_only", START)
        turn.see_contact(contact())
        turn.contact_state("p-1", ContactState.SUSPECT)
    statements: set[str] = set()
    reader = journal._reader()

    def remember(cursor: apsw.Cursor, sql: str, bound: object) -> bool:
        statements.add(sql)
        return True

    reader.exec_trace = remember
    journal.numbers(START)
    journal.commands_due(START, 9)
    journal.commands_open(9)
    journal.commands_unreported(9)
    journal.commands_expiring(START)
    journal.effects_open()
    journal.effects_unknown()
    journal.effects_on(PATIENT, 12, START)
    journal.effects_of("a")
    journal.conflicts()
    journal.conflicts_untold(9)
    journal.tasks()
    journal.tasks_due(START)
    journal.tasks_open()
    journal.contacts(ContactState.NEW, 9)
    journal.contacts_untold(9)
    journal.contact_of(12)
    journal.commands_kept_waiting(START)
    reader.exec_trace = None
    assert len(statements) >= 17
    for sql in statements:
        if sql in {"BEGIN", "COMMIT"}:
            continue
        bound = tuple(1 for _ in range(sql.count("?")))
        for *_, step in reader.execute(f"EXPLAIN QUERY PLAN {sql}", bound):
            scans = step.startswith("SCAN ") and step.split()[1] in {
                "command", "effect", "conflict", "task", "contact",
            }  # fmt: skip
            assert not scans or step.split()[-1] in _FEW, (sql, step)


def test_a_command_takes_five_turns(journal: Journal) -> None:
    before = journal.lsn
    _pull(journal, "c-1", 12)
    assert journal.lsn - before == 5


def _pull(journal: Journal, name: str, key: int) -> None:
    """The five turns of a command that is applied."""
    with journal.turn() as turn:
        turn.receive(command(name, str(key)), START)
    with journal.turn() as turn:
        turn.command_state(name, CommandState.WORKING)
        number = turn.intend(
            name.encode(),
            command_id=name,
            group=name,
            effect=update(key),
            before={"phone_mobile": None},
            after={"phone_mobile": "+15550100"},
            inverse=update(key),
            floor=None,
            actor="crm",
        )
    with journal.turn() as turn:
        turn.effect_written(number, key)
    with journal.turn() as turn:
        turn.effect_verified(number, key)
        turn.see(PATIENT, [seen(key, 1, b"x" * 600)], None)
        turn.command_state(name, CommandState.DONE, outcome=APPLIED)
    with journal.turn() as turn:
        turn.reported(name, APPLIED)


def _timed(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return (time.perf_counter() - started) * 1000


@pytest.mark.slow
@pytest.mark.bench
def test_milliseconds_a_command(journal: Journal) -> None:
    took = [_timed(lambda n=n: _pull(journal, f"c-{n}", n)) for n in range(1_000)]  # type: ignore[misc]
    late = [_timed(lambda: journal.numbers(START + timedelta(days=1))) for _ in range(100)]
    proof = _timed(journal.verify_audit)
    took.sort()
    print(
        f"a command, five turns: p50 {statistics.median(took):.2f} ms, p95 {took[949]:.2f} ms,"
        f" p99 {took[989]:.2f} ms; numbers {statistics.median(late):.2f} ms;"
        f" proof of 1,000 effects {proof:.0f} ms"
    )
    assert journal.verify_audit() == []
    assert statistics.median(took) < 50
    assert statistics.median(late) < 2
