"""Dentrix and Eaglesoft as dependable as Open Dental: the same proof in their layouts.

A real agent process reads a practice that lives on a real server through a real ODBC driver, is
killed, loses its server, and must end with nothing missing, extra or different.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from contextlib import closing

import pytest

from agent.sandbox.compare import Report
from agent.sandbox.practice.create import PracticePlan
from agent.sandbox.practice.life import Deed
from tests.bench.rig import ZONE
from tests.e2e.test_agreement import IMPATIENT
from tests.e2e.vendor_rig import DENTRIX_GRANTED, VendorRig

GRANTED = {"dentrix": DENTRIX_GRANTED, "eaglesoft": None}
LAYOUTS = ["dentrix", "eaglesoft"]


def plan(patients: int) -> PracticePlan:
    return PracticePlan(patients=patients, years=1, seed=7, zone=ZONE)


def wait_agreed(rig: VendorRig, timeout_s: float) -> Report:
    deadline = time.monotonic() + timeout_s
    while True:
        found = rig.compare()
        if found.agrees or time.monotonic() > deadline:
            return found
        time.sleep(1)


def live(rig: VendorRig, seed: int, rate: float, seconds: float) -> list[Deed]:
    with closing(rig.db()) as db:
        return list(rig.life(db, seed).run(rate=rate, duration_s=seconds))


def lives_through(layout: str, patients: int, seconds: float, timeout_s: float) -> None:
    with VendorRig(layout, plan=plan(patients), granted=GRANTED[layout]) as rig:
        rig.set_up(IMPATIENT)
        rig.start_agent()
        deeds = live(rig, 1, 20, 2)
        os.kill(rig.agent.pid, signal.SIGKILL)
        rig.stop_agent()
        deeds += live(rig, 2, 20, 2)  # nobody is looking
        rig.start_agent()
        deeds += live(rig, 3, 20, seconds / 2)
        rig.postgres.kill()
        time.sleep(1)
        rig.postgres.start()
        deeds += live(rig, 4, 20, seconds / 2)
        found = wait_agreed(rig, timeout_s)
        kinds = Counter(deed.kind for deed in deeds)
        assert len(kinds) >= 10, kinds
        assert found.agrees, found.table()
        assert rig.stop_agent() <= 4


@pytest.mark.odbc
@pytest.mark.xdist_group("odbc")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_missing_extra_or_different(layout: str) -> None:
    lives_through(layout, patients=150, seconds=6, timeout_s=60)
