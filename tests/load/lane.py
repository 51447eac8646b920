"""Two loads on the real parts: many edits a second for long, and a month without the CRM.

``steady``: the practice is edited at a fixed rate while somebody looks at the agent's memory each
second; then, how long until the CRM has the last edit. ``offline``: the CRM is away, the agent's
clock passes a day at a time, each day's edits are done at once; then the CRM is back, and the
backlog drains. Both end with the independent comparer's verdict on every record.
"""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.sandbox.compare import Report, compare
from agent.sandbox.practice.create import PracticePlan
from agent.sandbox.practice.life import Life
from tests.bench.rig import DATABASE, ZONE, Rig, percentile, tell
from tests.e2e.two_sided import TRACED
from tests.kill.machine import Clock
from tests.support.until import until

DAY_S = 86_400
ROUNDS = re.compile(
    r'^bridgework_lane_rounds_total\{.*result="(\w+)".*\} ([\d.e+]+)$', re.MULTILINE
)
DRAIN_S = 1800.0
SETTINGS = {  # what no rung above it sees, the sweep must find before the comparer gives up
    "sync.sweep_warm_s": "600",
    "sync.sweep_cold_s": "600",
    "sync.load_duty": "1.0",
    "sync.brake_rows": "100000",
    "sync.change_brake_share": "1.0",
}


def plan(patients: int, rows: int) -> PracticePlan:
    """``rows``: a quarter of them visits, the others procedures, as in an office."""
    return PracticePlan(
        patients=patients, years=1, seed=5, zone=ZONE,
        bulk_appointments=rows // 4, bulk_procedures=rows - rows // 4,
    )  # fmt: skip


class LoadRig(Rig):
    """The bench's rig; the agent's clock can be set."""

    def __init__(self, *, engine: str, plan: PracticePlan, kept: Path | None = None) -> None:
        super().__init__(engine=engine, plan=plan, kept=kept)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.clock = Clock(self.folder)

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), **self.clock.environment}

    def ready(self) -> None:
        self.load()
        self.configure(SETTINGS)
        self.start_agent()
        self.wait_loaded(600)

    def rounds(self) -> tuple[int, int]:
        """(all, failed) rounds of the reading lanes since the agent's start, by its own figures."""
        shown = subprocess.run(
            self._command("metrics", "show"), env=self._environment(), capture_output=True,
            text=True, check=True,
        )  # fmt: skip
        found = ROUNDS.findall(shown.stdout)
        every = sum(float(count) for _, count in found)
        return int(every), int(sum(float(n) for result, n in found if result != "ok"))

    def verdict(self) -> Report:
        with closing(self.server.connect(DATABASE)) as practice:
            return compare(practice, self.crm_db, zone=ZONE)

    def pending(self) -> int:
        report = self.status()
        return 0 if report is None else int(report["snapshot"]["pending"])


@dataclass
class Memory:
    """MB, one each second."""

    mb: list[float] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """Share by which the last third's mean exceeds the middle third's; the first warms up."""
        third = len(self.mb) // 3
        if not third:
            return 0.0
        middle, last = self.mb[third : 2 * third], self.mb[-third:]
        return (sum(last) / len(last)) / (sum(middle) / len(middle)) - 1


@contextmanager
def watched(rig: LoadRig) -> Iterator[Memory]:
    found, done = Memory(), threading.Event()

    def look() -> None:
        while not done.wait(1.0):
            found.mb.append(rig.rss_mb())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield found
    finally:
        done.set()
        watcher.join()


def steady(rig: LoadRig, *, rate: float, minutes: float, desks: int = 2) -> dict[str, Any]:
    """``desks``: connections that share the rate; one alone does not get to fifty a second."""
    counts = [0] * desks
    most_pending = 0

    def work(number: int) -> None:
        with closing(rig.desk()) as desk:
            life = Life(desk, seed=number, mix=TRACED)
            for _ in life.run(rate=rate / desks, duration_s=minutes * 60):
                counts[number] += 1

    with watched(rig) as memory, rig.agent_meter() as cost:
        began = time.monotonic()
        threads = [threading.Thread(target=work, args=(n,)) for n in range(desks)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(1)
            most_pending = max(most_pending, rig.pending())
        took = time.monotonic() - began
    drained = drain(rig)
    rounds, failed = rig.rounds()
    return {
        "rounds": rounds,
        "rounds_failed": failed,
        "minutes": round(took / 60, 2),
        "edits": sum(counts),
        "edits_per_s": round(sum(counts) / took, 1),
        "most_pending": most_pending,
        **drained.told(),
        "agent_cpu": round(cost[0].cpu, 3),
        "rss_mb": [round(mb, 1) for mb in memory.mb],
        "rss_p50_mb": round(percentile(memory.mb, 0.5), 1),
        "rss_most_mb": round(max(memory.mb), 1),
        "rss_growth": round(memory.growth, 4),
    }


def offline(rig: LoadRig, *, days: int, edits_a_day: int) -> dict[str, Any]:
    rig.crm_down()
    done = 0
    began = time.monotonic()
    with closing(rig.desk()) as desk, watched(rig) as memory:
        life = Life(desk, seed=77, mix=TRACED)
        for day in range(1, days + 1):
            for _ in range(edits_a_day):
                life.step()
            done += edits_a_day
            if rig.clock.is_here:
                rig.clock.step(day * DAY_S)
            time.sleep(1.1)  # the library looks at its file once a second
        edited_s = time.monotonic() - began
        rig.crm_up()
        drained = drain(rig)
    return {
        "days": days,
        "by_the_agents_clock": rig.clock.is_here,
        "edits": done,
        "edited_s": round(edited_s, 1),
        **drained.told(),
        "rss_most_mb": round(max(memory.mb), 1),
    }


@dataclass(frozen=True)
class Drained:
    """Seconds until nothing waited any more, until the last effect the CRM took (what vanished
    without a trace waits for its second look), and the verdict of the comparer."""

    sent_s: float
    last_s: float
    verdict: Report

    def told(self) -> dict[str, Any]:
        return {
            "sent_s": round(self.sent_s, 1),
            "drained_s": round(self.last_s, 1),
            "agrees": self.verdict.agrees,
            "compared": self.verdict.total,
        }


def drain(rig: LoadRig) -> Drained:
    """The comparer looks until both sides are equal; often that takes longer than the draining."""
    began = time.time()
    until(lambda: rig.pending() == 0, DRAIN_S, every_s=0.2)
    sent_s = time.time() - began
    while True:
        verdict = rig.verdict()
        if verdict.agrees or time.time() - began > DRAIN_S:
            break
        time.sleep(0.2)
    with rig.crm() as crm:
        last_us = crm.execute("SELECT coalesce(max(at_us), 0) FROM effects").fetchone()[0]
    drained = Drained(sent_s, max(last_us / 1e6 - began, 0.0), verdict)
    tell(
        f"nothing waits after {drained.sent_s:.1f} s, last effect after {drained.last_s:.1f} s;"
        f" {'equal' if verdict.agrees else verdict.table()}"
    )
    return drained
