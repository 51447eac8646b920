"""The kernel itself: time, order, waits, locks, pools, and ends."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.sim.agent import NAME
from tests.sim.faults import Faults, Kind, Plan, Strike, drawn_plan
from tests.sim.kernel import Kernel, Violation
from tests.sim.spinning import noticed
from tests.sim.threads import Event, SimThreading
from tests.sim.world import World
from tests.support.faultfs import Crash, Fault

ROOT = Path(__file__).resolve().parents[2]


def over() -> bool:
    return False


def test_time_passes_only_while_everybody_waits() -> None:
    kernel, seen = Kernel(1), []

    def walker(name: str, step: float) -> None:
        for _ in range(3):
            kernel.sleep(step)
            seen.append((name, kernel.now))

    kernel.spawn("slow", lambda: walker("slow", 3.0))
    kernel.spawn("quick", lambda: walker("quick", 1.0))
    kernel.run(over)
    assert [at for _, at in seen] == sorted(at for _, at in seen)
    assert ("slow", 9.0) in seen
    assert kernel.now == 9.0


def test_one_seed_is_one_order_and_another_is_another() -> None:
    def order(seed: int) -> list[str]:
        kernel, seen = Kernel(seed), []
        for name in "abcdefgh":
            kernel.spawn(name, lambda n=name: seen.append(n))
        kernel.run(over)
        return seen

    assert order(5) == order(5)
    assert len({tuple(order(seed)) for seed in range(6)}) > 1


def test_an_event_wakes_who_waits_and_times_out() -> None:
    kernel = Kernel(1)
    event, told = SimThreading(kernel, lambda: "x").Event(), []
    kernel.spawn("waits", lambda: told.append((event.wait(5.0), kernel.now)))
    kernel.spawn("gives up", lambda: told.append((event.wait(1.0), kernel.now)))
    kernel.spawn("sets", event.set, after=2.0)
    kernel.run(over)
    assert told == [(False, 1.0), (True, 2.0)]


def test_who_computes_for_ever_is_noticed() -> None:
    kernel = Kernel(1)

    def spins() -> None:
        while True:
            pass

    kernel.spawn("steady", lambda: [kernel.sleep(1.0) for _ in range(3)])
    kernel.spawn("spins", spins, after=9.0)
    with noticed(kernel, 0.05), pytest.raises(Violation, match="without giving way"):
        kernel.run(over)
    assert kernel.now == 9.0


def test_a_lock_is_held_by_one() -> None:
    kernel = Kernel(1)
    kernel.preempt_p = 0.5
    lock, inside = SimThreading(kernel, lambda: "x").Lock(), []

    def enters() -> None:
        with lock:
            inside.append(+1)
            kernel.sleep(1.0)
            assert sum(inside) == 1
            inside.append(-1)

    for n in range(4):
        kernel.spawn(str(n), enters)
    kernel.run(over)
    assert len(inside) == 8


def test_who_is_killed_does_nothing_more() -> None:
    kernel, did = Kernel(1), []

    def works() -> None:
        try:
            kernel.sleep(10.0)
            did.append("went on")
        finally:
            with pytest.raises(Crash):
                kernel.sleep(1.0)
            did.append("ended")

    kernel.spawn("works", works, process="agent")
    kernel.spawn("fate", lambda: kernel.kill("agent"), after=1.0)
    kernel.run(over)
    assert did == ["ended"]
    assert kernel.now == 1.0


def test_no_thread_outlives_the_process() -> None:
    """Seed 11174: the power went while one wrote, and another sent before the first had ended."""
    world = World(1)
    kernel, sent = world.kernel, []

    def sends() -> None:
        kernel.sleep(1.0)
        sent.append("a batch")

    def writes() -> None:
        world.disk.arm(Fault.POWER_KEEP_NONE, 1)
        world.disk.boundary("write")

    kernel.spawn("push", sends, process=NAME)
    kernel.spawn("writes", writes, process=NAME, after=0.5)
    with pytest.raises(Crash):
        kernel.run(over)
    with pytest.raises(Crash, match="still dying"):
        kernel.run(over)
    assert not sent


def test_who_spins_is_stopped() -> None:
    kernel = Kernel(1)

    def spins() -> None:
        while True:
            kernel.sleep(0.0)

    kernel.spawn("spins", spins)
    with pytest.raises(Violation, match="V4"):
        kernel.run(over)


def test_taking_a_strike_away_leaves_the_others() -> None:
    def fired(only: frozenset[Strike] | None) -> list[Strike]:
        faults = Faults(Kernel(3), Plan({Kind.REFUSE: 0.2, Kind.HANG: 0.1}, only))
        for _ in range(60):
            faults.fires(Kind.REFUSE)
            faults.fires(Kind.HANG)
        return faults.fired

    whole = fired(None)
    less = frozenset(whole[1:])
    assert len(whole) > 5
    assert fired(less) == whole[1:]
    assert Strike.parse(str(whole[0])) == whole[0]


def test_a_swarm_has_some_kinds_only() -> None:
    sizes = [len(drawn_plan(Kernel(seed), set(Kind)).rates) for seed in range(40)]
    assert 0 < sum(sizes) / len(sizes) < len(Kind) / 2


#: what comes through a port or a constructor, and who may name it all the same: a journal's own
#: name is made once, and a visitor from outside the agent has no clock but the machine's
FORBIDDEN: dict[str, tuple[str, ...]] = {
    "time": (), "random": (), "secrets": (), "socket": (), "uuid": ("meta.py", "journal.py"),
}  # fmt: skip
VISITORS = ("snapshot.py",)


def test_decisions_take_neither_time_nor_chance_from_the_machine() -> None:
    found = []
    for room in ("sync", "journal"):
        for path in sorted((ROOT / "agent" / room).glob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.module:
                    names = [node.module]
                found += [
                    f"{room}/{path.name}: {name}"
                    for name in names
                    if name in FORBIDDEN and path.name not in FORBIDDEN[name]
                ]
                if isinstance(node, ast.Attribute) and node.attr in ("utcnow", "urandom"):
                    found.append(f"{room}/{path.name}: {node.attr}")
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and node.func.attr == "now"
                    and isinstance(node.func.value, ast.Name)
                    and node.func.value.id == "datetime"
                    and path.name not in VISITORS
                ):
                    found.append(f"{room}/{path.name}: datetime.now")
    assert found == []


def test_nothing_wakes_a_process_that_sleeps() -> None:
    kernel = Kernel(1)
    seen: list[float] = []
    event = Event(kernel)

    def lane() -> None:
        event.wait()
        seen.append(kernel.now)

    def world() -> None:
        kernel.sleep(1.0)
        kernel.delay("agent", 10.0)
        event.set()
        kernel.sleep(20.0)

    kernel.spawn("lane", lane, process="agent")
    kernel.spawn("world", world)
    kernel.run(lambda: False, most_s=30.0)
    assert seen == [11.0]
