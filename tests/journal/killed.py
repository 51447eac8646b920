"""A writer to be killed: turns as fast as they go, each acknowledged after its commit."""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path

from agent.journal.journal import Journal, Turn
from agent.journal.pulled import CommandState
from agent.journal.rows import ParkClass, Tier
from tests.journal.conftest import PATIENT, SEAL, delete, outgoing, seen, upsert
from tests.journal.pulling import APPLIED, command, update
from tests.support.clock import START, HandClock


def _pull(turn: Turn, number: int) -> None:
    """A command comes in and begins; the one before it ends. Both in the turn of a mark, so that a
    turn seen half would show in the numbers."""
    name, before = f"c-{number}", f"c-{number - 1}"
    turn.receive(command(name), START)
    turn.command_state(name, CommandState.WORKING)
    effect = turn.intend(
        name.encode(),
        command_id=name,
        group=name,
        effect=update(number),
        before={"phone_mobile": None},
        after={"phone_mobile": "+15550100"},
        inverse=None,
        floor=None,
        actor="crm",
    )
    if number > 1:
        turn.effect_verified(effect - 1, number)
        turn.command_state(before, CommandState.DONE, outcome=APPLIED)


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
            _pull(turn, number)
            turn.set_mark("number", str(number))
        acknowledge.send((journal.epoch, turn.lsn, number))
