"""The price of watching while nothing changes: what looking costs the server and this computer.

``python -m tests.bench.bench_idle [--rows N] [--engine innodb] [--quick] [--json]``

N appointments and three times as many procedures. Server: time the agent's login kept it busy, per
look (one gate interval) and as a share of a core, from the server's own user statistics; beside it
the whole server process with the agent on and off in alternating windows. Agent: its process's CPU
and memory.
"""

from __future__ import annotations

import argparse
import time
from statistics import median
from typing import Any

import psutil

from agent.sandbox.practice.create import PracticePlan
from agent.sync.engine import CALM_STRETCH
from agent.sync.watch import CALM_AFTER_S
from tests.bench.rig import ZONE, Rig, cpu_s, emit, options, rows_of, show

ROUNDS = 3
GATE_S = 0.05 * CALM_STRETCH  # sync.gate_ms, while nothing moves


def _cpu_share(process: psutil.Process, for_s: float) -> float:
    before, began = cpu_s(process), time.monotonic()
    time.sleep(for_s)
    return (cpu_s(process) - before) / (time.monotonic() - began)


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    rows, engine = rows_of(asked), asked.engine or "myisam"
    window_s = 5.0 if asked.quick else 20.0
    plan = PracticePlan(
        patients=2000, years=1, zone=ZONE, bulk_appointments=rows, bulk_procedures=3 * rows
    )
    on: list[dict[str, float]] = []
    off: list[float] = []
    with Rig(engine=engine, plan=plan, kept=asked.kept) as rig:
        rig.load()
        if asked.prepare:
            return {}
        # What fell due since it was loaded is proven first, at full speed.
        rig.start_agent({"pms.max_duty": "1"})
        rig.wait_for("up_to_date", timeout_s=900)
        rig.stop_agent()
        server = rig.server_process()
        for _ in range(ROUNDS):
            off.append(_cpu_share(server, window_s))
            rig.start_agent()
            rig.wait_for("up_to_date", timeout_s=120)
            time.sleep(CALM_AFTER_S + 6)  # a start's wide look-back is not what an idle hour costs
            with rig.watching() as cost, rig.agent_meter() as agent:
                server_cpu = _cpu_share(server, window_s)
            on.append(
                {
                    "server ms per look": cost[0].ms_per_look(GATE_S),
                    "server busy, share of a core": cost[0].busy_s / cost[0].wall_s,
                    "server CPU of the process": server_cpu,
                    "statements per s": cost[0].statements / cost[0].wall_s,
                    "longest statement ms": cost[0].longest_ms,
                    "agent CPU, share of a core": agent[0].cpu,
                    "agent RSS MB": agent[0].rss_mb,
                }
            )
            rig.stop_agent()
        counts = {table: rig.row_count(table) for table in ("appointment", "procedurelog")}
    found = {name: round(median(o[name] for o in on), 4) for name in on[0]}
    base = median(off)
    show(
        f"idle, {counts['appointment']:,} appointments and {counts['procedurelog']:,} procedures, "
        f"{engine}, median of {ROUNDS} windows of {window_s:g} s",
        ("", "agent on", "agent off", "wanted"),
        [
            ("server ms per look (125 ms apart)", found["server ms per look"], "0", ""),
            ("server kept busy by us, % of a core", found["server busy, share of a core"] * 100,
             "0", ""),
            ("server process CPU, % of a core", found["server CPU of the process"] * 100,
             f"{base * 100:.2f}", ""),
            ("statements per s", found["statements per s"], "0", ""),
            ("longest statement, ms", found["longest statement ms"], "", "100"),
            ("agent CPU, % of a core", found["agent CPU, share of a core"] * 100, "", "2"),
            ("agent RSS, MB", found["agent RSS MB"], "", "120"),
        ],
    )  # fmt: skip
    return {"engine": engine, "rows": counts, "on": found, "server_cpu_off": base, "rounds": on}


def main() -> None:
    asked = options(__doc__ or "", rows=1_000_000, quick_rows=30_000).parse_args()
    emit(measure(asked), asked)


if __name__ == "__main__":
    main()
