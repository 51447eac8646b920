"""Does the front desk notice? Five people, 25 operations a second, with the agent off and on.

``python -m tests.bench.bench_front_desk [--rows N] [--engine innodb] [--quick] [--json]``

The desk works all the time in a process of its own; what the agent does changes under it in rounds:
off, first load (default duty), off, idle, off, sweep (rotations of ten seconds, so that something
is always due, at the default duty). Operations that began in a window belong to it. All on one
machine; the CRM, which in truth is elsewhere, runs at the lowest priority.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.sandbox.practice.create import PracticePlan
from tests.bench.rig import (
    DATABASE,
    ZONE,
    Rig,
    emit,
    options,
    percentile,
    rows_of,
    show,
    tell,
)

OFF, LOAD, IDLE, SWEEP = "agent off", "first load", "idle", "sweep"
_SWEEPING = {f"sync.sweep_{tier}_s": "10" for tier in ("hot", "warm", "cold")}


@dataclass
class Windows:
    """When which phase ran, and our longest statement in it."""

    spans: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    longest_ms: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    longest_sql: dict[str, str] = field(default_factory=dict)
    busy_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))


@contextmanager
def desk_at_work(rig: Rig, to: Path) -> Iterator[None]:
    with to.open("wb") as lines:
        desk = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.desk_process", str(rig.server.port), DATABASE, "1"],
            stdin=subprocess.PIPE, stdout=lines,
        )  # fmt: skip
        try:
            time.sleep(2)
            yield
        finally:
            assert desk.stdin is not None
            desk.stdin.close()
            try:
                desk.wait(20)
            except subprocess.TimeoutExpired:
                desk.kill()
                desk.wait()


def watch(rig: Rig, windows: Windows, phase: str, for_s: float) -> None:
    """One window; the first load's may end early, when the load does."""
    with rig.watching() as cost:
        began = time.time()
        while time.time() - began < for_s:
            time.sleep(0.2)
            if phase == LOAD and ((rig.status() or {}).get("snapshot") or {}).get("load") is None:
                break
        windows.spans[phase].append((began, time.time()))
    if cost[0].longest_ms > windows.longest_ms[phase]:
        windows.longest_ms[phase] = cost[0].longest_ms
        windows.longest_sql[phase] = cost[0].longest_sql
    windows.busy_s[phase] += cost[0].busy_s


def one_round(rig: Rig, windows: Windows, window_s: float) -> None:
    watch(rig, windows, OFF, window_s)
    rig.fresh()
    rig.start_agent()
    rig.wait_for("syncing", timeout_s=60)
    watch(rig, windows, LOAD, window_s)
    rig.stop_agent()
    watch(rig, windows, OFF, window_s)
    rig.start_agent({"sync.load_duty": "1"})
    rig.wait_loaded(3600)
    rig.stop_agent()
    rig.start_agent()
    rig.wait_loaded(60)
    time.sleep(6)
    watch(rig, windows, IDLE, window_s)
    rig.stop_agent()
    watch(rig, windows, OFF, window_s)
    rig.start_agent(_SWEEPING)
    rig.wait_loaded(60)
    watch(rig, windows, SWEEP, window_s)
    rig.stop_agent()


def sort_out(lines: Path, windows: Windows) -> dict[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for line in lines.read_text(encoding="ascii").splitlines():
        at, _, ms = line.split()
        for phase, spans in windows.spans.items():
            if any(start <= float(at) < end for start, end in spans):
                found[phase].append(float(ms))
    return found


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    rows, engine = rows_of(asked), asked.engine or "myisam"
    rounds, window_s = (1, 12.0) if asked.quick else (asked.rounds, asked.window)
    plan = PracticePlan(
        patients=1000, years=1, zone=ZONE, bulk_appointments=rows, bulk_procedures=rows
    )
    windows = Windows()
    rig = Rig(engine=engine, plan=plan, kept=asked.kept)
    rig.crm_nice = 19
    with rig:
        if asked.prepare:
            return {}
        lines = rig.folder / "desk.txt"
        with desk_at_work(rig, lines):
            for number in range(rounds):
                one_round(rig, windows, window_s)
                tell(f"round {number + 1} of {rounds}")
        took = sort_out(lines, windows)
    base = percentile(took[OFF], 0.99)
    table = []
    report: dict[str, Any] = {"engine": engine, "rows": rows}
    for phase in (OFF, LOAD, IDLE, SWEEP):
        ms = took[phase]
        span_s = sum(end - start for start, end in windows.spans[phase])
        p50, p99 = percentile(ms, 0.5), percentile(ms, 0.99)
        busy = windows.busy_s[phase] / span_s if span_s else 0.0
        table.append((phase, len(ms), p50, p99, max(ms, default=0.0), f"{p99 / base:.2f}",
                      f"{busy:.1%}", windows.longest_ms[phase]))  # fmt: skip
        report[phase] = {
            "n": len(ms),
            "p50": p50,
            "p99": p99,
            "max": max(ms, default=0.0),
            "server_busy": busy,
            "longest_statement_ms": windows.longest_ms[phase],
        }
    show(
        f"an operation at the front desk, ms, {engine}, {rows:,} old appointments "
        "(wanted: p99 at most 1.2 times and 20 ms more than with the agent off)",
        ("agent", "n", "p50", "p99", "max", "p99 to off", "server busy", "our longest ms"),
        table,
    )
    for phase, sql in windows.longest_sql.items():
        print(f"  longest during {phase}: {sql}")
    return report


def main() -> None:
    parser = options(__doc__ or "", rows=1_000_000, quick_rows=40_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--window", type=float, default=60.0, help="seconds of each phase")
    asked = parser.parse_args()
    emit(measure(asked), asked)


if __name__ == "__main__":
    main()
