"""What goes wrong beside the kills. Each is a block: it begins, something happens, it is mended.

``MISHAPS`` names them; ``possible`` leaves out what this machine or this practice cannot do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from random import Random

from tests.e2e.two_sided import CRM_FAULTS
from tests.kill.rig import OpenDental, Troubled

Mishap = Callable[[Troubled, Random], AbstractContextManager[None]]
STEPS_S = (-3600, -120, 120, 3600)


@contextmanager
def nothing(rig: Troubled, rng: Random) -> Iterator[None]:
    yield


@contextmanager
def server_killed(rig: Troubled, rng: Random) -> Iterator[None]:
    rig.kill_server()
    yield
    rig.start_server()


@contextmanager
def crm_killed(rig: Troubled, rng: Random) -> Iterator[None]:
    rig.kill_crm()
    yield
    rig.crm_up()


@contextmanager
def line_cut(rig: Troubled, rng: Random) -> Iterator[None]:
    line = rig.lines[rng.choice(sorted(rig.lines))]
    line.cut()
    yield
    line.flow()


@contextmanager
def line_slow(rig: Troubled, rng: Random) -> Iterator[None]:
    line = rig.lines[rng.choice(sorted(rig.lines))]
    line.slow(rng.uniform(0.02, 0.3))
    yield
    line.flow()


@contextmanager
def line_silent(rig: Troubled, rng: Random) -> Iterator[None]:
    line = rig.lines[rng.choice(sorted(rig.lines))]
    line.stall()
    yield
    line.flow()


@contextmanager
def clock_step(rig: Troubled, rng: Random) -> Iterator[None]:
    """Under a running agent, before a kill and back after it."""
    rig.clock.step(rng.choice(STEPS_S))
    yield
    rig.clock.step(0)


@contextmanager
def disk_full(rig: Troubled, rng: Random) -> Iterator[None]:
    rig.disk.fill()
    yield
    rig.disk.free()


@contextmanager
def api_down(rig: Troubled, rng: Random) -> Iterator[None]:
    assert isinstance(rig, OpenDental)
    rig.api.stop()
    yield
    rig.api.start()


@contextmanager
def api_faults(rig: Troubled, rng: Random) -> Iterator[None]:
    assert isinstance(rig, OpenDental)
    rig.api_faults()
    yield


def crm_faults(name: str) -> Mishap:
    @contextmanager
    def armed(rig: Troubled, rng: Random) -> Iterator[None]:
        rig.crm_faults(*CRM_FAULTS[name])
        yield

    return armed


MISHAPS: dict[str, Mishap] = {
    "nothing else": nothing,
    "server killed": server_killed,
    "crm killed": crm_killed,
    "line cut": line_cut,
    "line slow": line_slow,
    "line silent": line_silent,
    "clock step": clock_step,
    "disk full": disk_full,
    "api down": api_down,
    "api faults": api_faults,
    **{name: crm_faults(name) for name in CRM_FAULTS},
}


def possible(rig: Troubled) -> list[str]:
    left_out = set()
    if not rig.clock.is_here:
        left_out.add("clock step")
    if not rig.disk.is_here:
        left_out.add("disk full")
    if not isinstance(rig, OpenDental):
        left_out |= {"api down", "api faults"}
    return [name for name in MISHAPS if name not in left_out]


def plan(names: list[str], count: int, rng: Random) -> list[str]:
    """Each kind once before any comes twice."""
    planned: list[str] = []
    while len(planned) < count:
        planned += rng.sample(names, len(names))
    return planned[:count]


def all_is_well(rig: Troubled) -> None:
    for line in rig.lines.values():
        line.flow()
    rig.clock.step(0)
    rig.disk.free()
    rig.crm_faults()
    if isinstance(rig, OpenDental):
        rig.api.faults.clear()


def wait(rng: Random, most_s: float) -> None:
    """A random instant; the seed chooses it, the machine decides what is going on then."""
    time.sleep(rng.uniform(0.05, most_s))
