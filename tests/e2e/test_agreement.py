"""The whole product against real parts: MariaDB, the reference CRM, the agent as a process.

A practice lives at 20 changes a second while the agent is killed, the server dies and the CRM comes
and goes; after quiet an independent comparer must find nothing missing, extra or different.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from contextlib import closing

import pytest

from agent.sandbox.compare import Report, compare
from agent.sandbox.practice.create import PracticePlan
from agent.sandbox.practice.life import Deed, Life
from agent.sandbox.watcher import Watcher
from tests.bench.rig import DATABASE, ZONE, Rig
from tests.support.odschema import dump_path

# Each test starts a server of its own: they need not wait for those who share one.
pytestmark = [pytest.mark.mariadb, pytest.mark.xdist_group("agreement")]

# Rotations and second looks a practice allows hours, in seconds, so that silent edits and deletions
# without a trace are found while the test runs.
IMPATIENT = {
    "sync.sweep_hot_s": "6",
    "sync.sweep_warm_s": "6",
    "sync.sweep_cold_s": "6",
    "sync.confirm_delete_s": "2",
    "sync.load_duty": "1.0",
    "pms.max_duty": "0.5",
    # Life deletes without a trace far more often than any office: the brake has its own test.
    "sync.brake_rows": "100000",
    "sync.change_brake_share": "1.0",
}


def plan(patients: int) -> PracticePlan:
    return PracticePlan(patients=patients, years=2, seed=7, zone=ZONE, schema_dump=dump_path())


def verdict(rig: Rig) -> Report:
    with closing(rig.server.connect(DATABASE)) as practice:
        return compare(practice, rig.crm_db, zone=ZONE)


def wait_agreed(rig: Rig, timeout_s: float) -> Report:
    deadline = time.monotonic() + timeout_s
    while True:
        found = verdict(rig)
        if found.agrees or time.monotonic() > deadline:
            return found
        time.sleep(1)


def live(rig: Rig, seed: int, rate: float, seconds: float) -> list[Deed]:
    with closing(rig.desk()) as desk:
        return list(Life(desk, seed=seed).run(rate=rate, duration_s=seconds))


def kill_agent(rig: Rig) -> None:
    os.kill(rig.agent.pid, signal.SIGKILL)
    rig.stop_agent()


def lives_through(engine: str, patients: int, seconds: float, timeout_s: float) -> None:
    with Rig(engine=engine, plan=plan(patients)) as rig:
        rig.set_up(IMPATIENT)
        rig.start_agent()
        # Killed in the middle of the first load, with life already going on.
        deeds = live(rig, 1, 20, 2)
        kill_agent(rig)
        rig.start_agent()
        deeds += live(rig, 2, 20, seconds / 2)
        kill_agent(rig)
        deeds += live(rig, 3, 20, 3)  # nobody is looking
        rig.start_agent()
        # Both sides gone at once, and back one after the other; then a line that flaps.
        rig.crm_down()
        rig.server.kill()
        time.sleep(1)
        rig.server.start()
        deeds += live(rig, 4, 20, 1)
        for number in range(5, 8):
            rig.crm_up()
            deeds += live(rig, number, 20, 1)
            rig.crm_down()
        rig.crm_up()
        deeds += live(rig, 8, 20, max(seconds / 2 - 4, 1))
        found = wait_agreed(rig, timeout_s)
        kinds = Counter(deed.kind for deed in deeds)
        assert len(kinds) >= 12, kinds
        assert found.agrees, found.table()
        assert rig.stop_agent() <= 2.5


@pytest.mark.parametrize("engine", ["myisam", "innodb"])
def test_nothing_missing_extra_or_different(engine: str) -> None:
    lives_through(engine, patients=400, seconds=20, timeout_s=120)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["myisam", "innodb"])
def test_a_large_practice_for_minutes(engine: str) -> None:
    lives_through(engine, patients=20_000, seconds=180, timeout_s=600)


def test_a_change_is_at_the_crm_well_within_a_second() -> None:
    with Rig(engine="myisam", plan=plan(300)) as rig:
        rig.set_up(IMPATIENT)
        rig.start_agent()
        rig.wait_loaded(60)
        watcher = Watcher(rig.crm_db)
        took = []
        with closing(rig.desk()) as desk:
            for deed in Life(desk, seed=5).run(rate=10, changes=60):
                if not deed.traceless:
                    place = (deed.stream, deed.key)
                    seen = watcher.wait(
                        [place],
                        deed.at_wall.fromtimestamp(
                            deed.at_wall.timestamp() - 2, deed.at_wall.tzinfo
                        ),
                        20,
                    )
                    assert place in seen, deed.kind
                    took.append(time.monotonic() - deed.at_monotonic)
        watcher.close()
        assert sorted(took)[len(took) // 2] < 1.0
