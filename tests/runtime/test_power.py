"""Sleep, wake-up, a clock that is set, somebody signing in: heard, and nothing stands still."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.cli.stage import Stage
from agent.config import load_settings
from agent.model.status import State
from agent.runtime.power import ClockWatch, Event, Wakefulness, meaning_of
from agent.runtime.runner import Runner
from agent.runtime.scheduler import Chores
from agent.sandbox.practice.life import Life
from tests.support.until import until

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("control", "kind", "event"),
    [
        (13, 0x4, Event.SUSPEND),
        (13, 0x7, Event.RESUME),
        (13, 0x12, Event.RESUME),
        (13, 0xA, None),  # the battery: PBT_APMPOWERSTATUSCHANGE
        (14, 0x5, Event.SESSION),
        (14, 0x8, Event.SESSION),
        (14, 0x6, None),  # signed out
        (14, 0x7, None),  # locked
        (16, 0, Event.CLOCK),
        (5, 0, None),
    ],
)
def test_what_windows_means(control: int, kind: int, event: Event | None) -> None:
    assert meaning_of(control, kind) is event


def test_a_clock_that_was_set_is_told_from_one_that_runs() -> None:
    watch = ClockWatch()
    assert not watch.moved(NOON, 100.0)
    assert not watch.moved(NOON + timedelta(seconds=61), 160.5), "the network corrects gently"
    assert watch.moved(NOON - timedelta(hours=1), 161.0)
    assert not watch.moved(NOON - timedelta(hours=1), 161.5)
    assert watch.moved(NOON + timedelta(days=9000), 162.0)


def test_a_wake_up_we_are_told_of_counts_from_now() -> None:
    wake = Wakefulness(NOON - timedelta(days=3))
    wake.woke(NOON)
    assert wake.awake_s(NOON + timedelta(seconds=5)) == 5


class Clock:
    """The wall clock as the library sees it, set by tests."""

    offset = timedelta(0)

    @classmethod
    def now(cls, zone: Any = None) -> datetime:
        return datetime.now(zone) + cls.offset


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Clock]]:
    import apscheduler.schedulers.base as library

    import agent.runtime.scheduler as ours

    for module in (library, ours):
        monkeypatch.setattr(module, "datetime", Clock)
    yield Clock
    Clock.offset = timedelta(0)


@pytest.fixture
def beats() -> Iterator[tuple[Chores, list[int]]]:
    chores, heard = Chores(), [0]

    def beat() -> None:
        heard[0] += 1

    chores.every(0.05, "beat", beat)
    chores.start()
    yield chores, heard
    chores.stop()


def test_chores_go_on_after_the_clock_was_set_back(
    clock: type[Clock], beats: tuple[Chores, list[int]]
) -> None:
    chores, heard = beats
    until(lambda: heard[0] > 2)
    clock.offset = timedelta(hours=-2)
    chores.clock_moved()
    then = heard[0]
    until(lambda: heard[0] > then + 2)


def test_a_clock_set_forward_by_years_is_one_missed_beat(
    clock: type[Clock], beats: tuple[Chores, list[int]]
) -> None:
    _, heard = beats
    until(lambda: heard[0] > 2)
    clock.offset = timedelta(days=365 * 30)  # a dead battery, then the network's time
    then = heard[0]
    until(lambda: heard[0] > then + 2)
    assert heard[0] < then + 1000


def test_an_agent_that_wakes_up_goes_on_at_once(tmp_path: Path) -> None:
    """In this process, so that it can be told what Windows tells a service."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
        with Stage(tmp_path, patients=20) as stage:
            runner = Runner(lambda: load_settings((), home=stage.paths.home), stage.paths)
            runner.start()
            try:
                until(lambda: runner.report().state is State.UP_TO_DATE, 60, every_s=0.1)
                before = runner.report().snapshot.awake_s
                for event in (Event.SUSPEND, Event.SESSION, Event.CLOCK, Event.RESUME):
                    runner.heard(event)
                after = runner.report().snapshot.awake_s
                assert after is not None
                assert after < 10
                assert before is None or before > after
                runner.look()
                life = Life(stage.desk, seed=3)
                assert list(life.run(rate=50, changes=10))
                assert stage.wait_agreed(60).agrees
                until(lambda: runner.report().state is State.UP_TO_DATE, 60, every_s=0.1)
            finally:
                assert runner.stop()
