"""A writer to be killed: turns as fast as they go, each acknowledged after its commit."""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path

from agent.journal.journal import Journal
from agent.journal.rows import ParkClass, Tier
from tests.journal.conftest import PATIENT, SEAL, delete, outgoing, seen, upsert
from tests.support.clock import HandClock


def write_until_killed(path: Path, acknowledge: Connection) -> None:
    """Never returns by itself. Sends (epoch, lsn, mark) of every committed turn."""
    clock = HandClock()
    journal = Journal.open(path, seal=SEAL, clock=clock)
    # Small checkpoints, so that kills meet them too.
    journal._writer.pragma("wal_autocheckpoint", 20)
    number = int(journal.mark("number") or 0)
    while True:
        number += 1
        keys = [(number * 7 + n) % 300 for n in range(20)]
        due = journal.due_batches(clock.now(), 1, frozenset())
        with journal.turn() as turn:
            gone, here = keys[:2], keys[2:]
            operations = [upsert(key, number) for key in here] + [delete(key) for key in gone]
            batch = turn.enqueue(outgoing(*operations))
            turn.see(PATIENT, [seen(key, number) for key in here], batch.number)
            turn.bury(PATIENT, gone, batch.number)
            for old in due:
                turn.settle(old, old.operations)
            if number % 5 == 0:
                turn.park(PATIENT, keys[5], ParkClass.SCHEMA, "r", b"", clock.now())
                turn.plan_chunks(PATIENT, [number], Tier.HOT, clock.now())
            turn.set_mark("number", str(number))
        acknowledge.send((journal.epoch, turn.lsn, number))
