"""An agent worth a picture: a sample practice that has lived a little, things that wait."""

from __future__ import annotations

import json
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.cli.stage import ZONE, Stage
from agent.errors import PmsError
from agent.sandbox.crm_life import CrmLife
from agent.sandbox.practice.front import DeedKind
from agent.sandbox.practice.life import Life
from tests.gui import waiting

LOADED_S = 120.0


@contextmanager
def showcase(folder: Path) -> Iterator[Path]:
    """The home of the running agent."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHON_KEYRING_BACKEND", "tests.gui.keys.Keys")
        patch.setenv("BRIDGEWORK_TEST_KEYS", str(folder / "keys.json"))
        patch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
        with Stage(folder, patients=120, seed=3) as stage:
            waiting.suspect(stage, waiting.patients(stage, 40)[33])
            stage.start_agent()
            stage.wait_loaded(LOADED_S)
            stage.stop_agent()
            a_day_before(stage.paths.journal_file())
            stage.start_agent()
            stage.wait_loaded(LOADED_S)
            live(stage)
            to_decide(stage)
            yield stage.paths.home


def a_day_before(journal: Path) -> None:
    """A day's activity of a busy practice, so that lists and chart look as they do in one."""
    dice = random.Random(3)
    now = time.time()
    with sqlite3.connect(journal) as db:
        ids = dict(db.execute("SELECT name, id FROM stream"))
        db.execute("DELETE FROM activity")
        for minute in range(24 * 60, 2, -1):
            at = now - minute * 60
            hour = time.localtime(at).tm_hour
            busy = 0.5 if 8 <= hour < 18 else 0.02
            for stream in ("appointment", "patient", "communication", "payment"):
                if dice.random() < busy:
                    count, ms = dice.randint(1, 6), dice.randint(35, 120)
                    keys = " ".join(str(dice.randint(100, 9999)) for _ in range(count))
                    facts = {"keys": f" {keys} ", "ms": ms, "timed": 1, "most_ms": ms * 2}
                    _note(db, at, "sent.records", ids[stream], count, facts)
            if dice.random() < busy / 4:
                kind = dice.choice(("appointment.book", "appointment.confirm", "commlog.append"))
                _note(db, at + 9, "command.applied", None, 1, {"type": kind})


def _note(
    db: sqlite3.Connection, at: float, code: str, stream: int | None, count: int, facts: object
) -> None:
    db.execute(
        "INSERT INTO activity(at, code, stream, count, facts) VALUES (?,?,?,?,?)",
        (int(at * 1e6), code, stream, count, json.dumps(facts)),
    )


def to_decide(stage: Stage) -> None:
    """One of everything that waits for a person."""
    numbers = waiting.patients(stage, 40)
    waiting.task_meanwhile(stage, numbers[20])
    waiting.conflicts(stage, 4, first=10)
    waiting.parked(stage, numbers[24:26])
    waiting.wait(stage, lambda s: s.open_conflicts >= 8 and s.parked >= 2 and s.tasks_open >= 1)


def live(stage: Stage) -> None:
    """A bit of everything, from both sides."""
    life = Life(stage.desk, seed=3)
    for kind in DeedKind:
        try:
            life.step(kind)
        except PmsError:
            continue  # nothing of the kind to act on
    for _ in CrmLife(stage.crm, stage.desk, ZONE).run(20.0):
        pass
