"""kill -9 of a real writing process, again and again, on the real disk."""

from __future__ import annotations

import multiprocessing
import random
import sys
from pathlib import Path

from agent.journal.journal import Journal
from agent.journal.pulled import CommandState
from agent.journal.snapshot import status_snapshot, verify_file
from tests.journal.conftest import SEAL
from tests.journal.killed import write_until_killed
from tests.journal.oracle import structure_findings
from tests.support.clock import HandClock

KILLS = 30


def test_what_was_acknowledged_survives_every_kill(path: Path, clock: HandClock) -> None:
    if sys.platform == "win32":
        context = multiprocessing.get_context("spawn")
    else:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.journal.killed"])
    chance = random.Random(3)
    last = (0, 0, 0)
    worked = 0
    for _ in range(KILLS):
        receive, send = context.Pipe(duplex=False)
        writer = context.Process(target=write_until_killed, args=(path, send))
        writer.start()
        send.close()
        assert receive.poll(30), "the writer never started"
        while chance.random() < 0.9 and receive.poll(5):
            last = max(last, receive.recv())
        # Anywhere: while it opens, commits, checkpoints or reads.
        writer.join(chance.random() * 0.004)
        writer.kill()
        writer.join()
        try:
            while True:
                last = max(last, receive.recv())
                worked += 1
        except EOFError:
            receive.close()
        seen_outside = status_snapshot(path)
        assert verify_file(path) == []
        with_lsn = (seen_outside.epoch, seen_outside.lsn)
        assert with_lsn >= last[:2]
        assert int(seen_outside.marks["number"]) >= last[2]
        journal = Journal.open(path, seal=SEAL, clock=clock)
        assert journal.unclean
        assert not journal.restored
        assert structure_findings(journal) == []
        number = int(journal.mark("number") or 0)
        assert [row.command_id for row in journal.effects_open()] == [f"c-{number}"][:number]
        assert journal.command_counts().get(CommandState.DONE, 0) == max(0, number - 1)
        assert journal.lsn > with_lsn[1]
        if chance.random() < 0.5:
            journal.close()
        else:  # as if killed: the next start meets the files as they lie
            journal._writer.close(True)
            assert journal._lock is not None
            journal._lock.release()
    assert last[2] > KILLS
    assert worked > 0
