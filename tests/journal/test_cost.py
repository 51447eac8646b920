"""What the journal costs: rows a second, and that nothing on a timer grows with the mirror."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

import apsw
import pytest

from agent.journal.journal import Journal, Turn
from agent.journal.rows import Operation, Outgoing, Seen, Tier, Urgency
from agent.model.writing import Verb
from tests.journal.conftest import PATIENT, outgoing, seen, upsert
from tests.support.clock import START

PAGE = 1_000


def test_timers_never_scan_the_mirror(journal: Journal) -> None:
    """The plan of every statement that timers run: no step may scan ``record``."""
    with journal.turn() as turn:
        turn.see(PATIENT, [seen(key) for key in range(2_000)], None)
        batch = turn.enqueue(outgoing(upsert(1)))
        turn.see(PATIENT, [seen(1)], batch.number)
        turn.plan_chunks(PATIENT, [100], Tier.HOT, START)
        turn.miss(PATIENT, [5])
    statements: set[str] = set()
    reader = journal._reader()

    def remember(cursor: apsw.Cursor, sql: str, bound: object) -> bool:
        statements.add(sql)
        return True

    reader.exec_trace = remember
    journal.numbers(START)
    journal.stream_counts()
    journal.due_batches(START, 9, frozenset())
    journal.batches_waiting(Urgency.LOAD)
    journal.next_chunks(START, 9)
    journal.next_chunks(START, 9, loaded=False)
    journal.missing(START, 9)
    journal.due_parked(START, 9)
    journal.max_key(PATIENT)
    journal.is_empty(PATIENT, 1, 2)
    journal.held(PATIENT, [1])
    journal.recent_activity(9)
    reader.exec_trace = None
    assert len(statements) >= 12
    for sql in statements:
        if sql in {"BEGIN", "COMMIT"}:
            continue
        bound = tuple(1 for _ in range(sql.count("?")))
        plan = [row[3] for row in reader.execute(f"EXPLAIN QUERY PLAN {sql}", bound)]
        assert [step for step in plan if step.startswith("SCAN record")] == [], sql
        for step in plan:
            if step.startswith("SEARCH record"):
                few = "(stream=? AND key" in step or "record_missing" in step
                assert few or "LIMIT 1" in sql, (sql, step)


def _timed(journal: Journal, pages: int, act: Callable[[Turn, int], object]) -> float:
    """Rows a second inside the calls, over whole turns' commits not counted; the best of thirds."""
    took = []
    for page in range(pages):
        with journal.turn() as turn:
            started = time.process_time()
            act(turn, page)
            took.append(time.process_time() - started)
    third = max(1, pages // 3)
    return max(
        PAGE * third / sum(took[at : at + third]) for at in range(0, pages - third + 1, third)
    )


@pytest.mark.slow
@pytest.mark.bench
def test_rows_a_second(journal: Journal) -> None:
    pages = 300
    chance = random.Random(1)
    rows = [
        [
            Seen(page * PAGE + n, os.urandom(16), chance.getrandbits(48), chance.getrandbits(63))
            for n in range(PAGE)
        ]
        for page in range(pages)
    ]
    batches: list[object] = []

    def enqueue(turn: Turn, page: int) -> None:
        operations = [Operation(row.key, b"o" * 16, Verb.UPSERT, row.hash) for row in rows[page]]
        batches.append(turn.enqueue(Outgoing(PATIENT, Urgency.LOAD, b"x" * 40_000, operations)))

    speeds = {
        "see, empty": _timed(journal, pages, lambda t, p: t.see(PATIENT, rows[p], None)),
        "see, update": _timed(journal, pages, lambda t, p: t.see(PATIENT, rows[p], None)),
        "enqueue": _timed(journal, pages, enqueue),
        "settle": _timed(
            journal,
            pages,
            lambda t, p: t.settle(batches[p], batches[p].operations),  # type: ignore[attr-defined, arg-type]
        ),
    }
    started = time.process_time()
    for page in range(pages):
        journal.digest(PATIENT, page * PAGE - 1, (page + 1) * PAGE - 1)
    speeds["digest"] = pages * PAGE / (time.process_time() - started)
    started = time.process_time()
    for _ in range(200):
        journal.numbers(START)
        journal.stream_counts()
    timer_ms = (time.process_time() - started) * 1000 / 200
    size = journal.path.stat().st_size / (pages * PAGE)
    for name, speed in speeds.items():
        print(f"{name:<12} {speed:>10,.0f} rows/s")
    print(f"numbers + counts {timer_ms:.2f} ms; {size:.0f} bytes a record")
    assert speeds["see, empty"] >= 250_000
    assert speeds["see, update"] >= 200_000
    assert speeds["settle"] >= 250_000
    assert speeds["digest"] >= 1_000_000
    assert timer_ms < 2
