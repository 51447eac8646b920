"""An agent worth a picture: a sample practice that has lived a little, things that wait."""

from __future__ import annotations

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
        patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
        with Stage(folder, patients=120, seed=3) as stage:
            waiting.suspect(stage, waiting.patients(stage, 40)[33])
            stage.start_agent()
            stage.wait_loaded(LOADED_S)
            live(stage)
            to_decide(stage)
            yield stage.paths.home


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
