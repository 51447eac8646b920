"""Commit in the practice to complete at the CRM, with front-desk life at 20 changes a second.

``python -m tests.bench.bench_latency [--rate R] [--seconds S] [--engine E] [--quick] [--json]``

A deed counts from right after its last commit to the last effect the CRM recorded on its main
record before anything else touched it, so half a deed does not count as seen. Deeds whose record
was touched again within two seconds are left out (their effects cannot be told apart). Deeds that
leave no trace (a silent edit, a hard delete) are the sweep's to find and are reported apart: how
many had arrived soon after. At the end both sides are compared after a proof of everything. Without
--engine both engines are measured.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections import Counter, defaultdict
from contextlib import closing
from typing import Any

from agent.model.streams import Stream
from agent.sandbox.compare import Report, compare
from agent.sandbox.practice.create import PracticePlan
from agent.sandbox.practice.life import Deed, Life
from tests.bench.rig import (
    DATABASE,
    ZONE,
    Rig,
    emit,
    options,
    percentile,
    rows_of,
    show,
)

APART_S = 2.0
PATIENCE_S = 4.0


def live(rig: Rig, rate: float, for_s: float) -> list[Deed]:
    desk = rig.desk()
    try:
        return list(Life(desk, seed=7).run(rate=rate, duration_s=for_s))
    finally:
        desk.close()


def effects_of(rig: Rig) -> dict[tuple[str, str], list[int]]:
    """(stream, key) -> when the CRM recorded an effect on it, microseconds since 1970."""
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    with rig.crm() as crm:
        for stream, key, at_us in crm.execute("SELECT type, key, at_us FROM effects"):
            found[str(stream), str(key)].append(int(at_us))
    return {record: sorted(moments) for record, moments in found.items()}


def judge(deeds: list[Deed], effects: dict[tuple[str, str], list[int]]) -> dict[str, Any]:
    """Latencies in ms by kind, and what could not be measured or never came."""
    touched: dict[tuple[Stream, int], list[tuple[int, int]]] = defaultdict(list)
    for deed in deeds:
        began_us = _us(deed) - int((deed.at_monotonic - deed.began_monotonic) * 1e6)
        for record in {(deed.stream, deed.key), *((t.stream, t.key) for t in deed.also)}:
            touched[record].append((deed.number, began_us))
    by_kind: dict[str, list[float]] = defaultdict(list)
    slowest: list[tuple[float, str, str]] = []
    left_out: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    traceless: Counter[str] = Counter()
    for before, deed in zip([None, *deeds], deeds, strict=False):
        record = (deed.stream, deed.key)
        done_us = _us(deed)
        began_us = done_us - int((deed.at_monotonic - deed.began_monotonic) * 1e6)
        others = [at for number, at in touched[record] if number != deed.number]
        moments = effects.get((deed.stream.value, str(deed.key)), [])
        if deed.traceless:
            seen = any(at >= began_us for at in moments)
            traceless[f"{deed.kind} {'seen' if seen else 'not yet seen'}"] += 1
            continue
        if any(abs(at - began_us) < APART_S * 1e6 for at in others):
            left_out[str(deed.kind)] += 1
            continue
        until_us = min((at for at in others if at > done_us), default=done_us + 3_600_000_000)
        mine = [at for at in moments if began_us <= at < until_us]
        if mine:
            ms = max(max(mine) - done_us, 0) / 1000
            by_kind[deed.kind].append(ms)
            slowest.append((ms, str(deed.kind), str(before.kind) if before else ""))
        else:
            lost[f"{deed.kind} of {deed.stream} {deed.key}"] += 1
    return {
        "by_kind": dict(by_kind),
        "left_out": dict(left_out),
        "never_arrived": dict(lost),
        "traceless": dict(traceless),
        "slowest": sorted(slowest, reverse=True)[:20],
    }


def _us(deed: Deed) -> int:
    return int(deed.at_wall.timestamp() * 1e6)


def proven(rig: Rig) -> Report:
    """Both sides compared after a proof of everything: what left no trace, the sweep finds within a
    rotation, which is up to a day, and what vanished gets its second look after 15 minutes."""
    sooner = ("--set", "pms.max_duty=1", "--set", "sync.confirm_delete_s=2")
    rig.bridgework(*sooner, "sync", "--prove")
    with closing(rig.server.connect(DATABASE)) as practice:
        return compare(practice, rig.crm_db, zone=ZONE)


def run(asked: argparse.Namespace, engine: str, for_s: float) -> dict[str, Any]:
    rows, rate = rows_of(asked), asked.rate
    plan = PracticePlan(patients=1500, years=1, zone=ZONE, bulk_appointments=rows,
                        bulk_procedures=rows)  # fmt: skip
    with Rig(engine=engine, plan=plan, kept=asked.kept) as rig:
        rig.load()
        if asked.prepare:
            return {}
        rig.start_agent()
        rig.wait_for("up_to_date", timeout_s=900)
        time.sleep(3)
        found: list[list[Deed]] = []
        desk = threading.Thread(target=lambda: found.append(live(rig, rate, for_s)))
        with rig.watching() as cost, rig.agent_meter() as agent:
            desk.start()
            desk.join()
        time.sleep(PATIENCE_S)
        deeds = found[0]
        judged = judge(deeds, effects_of(rig))
        rig.stop_agent()
        truth = proven(rig)
    kinds = judged["by_kind"]
    everything = [ms for values in kinds.values() for ms in values]
    lines = [("all", everything), *sorted(kinds.items(), key=lambda item: -len(item[1]))]
    show(
        f"commit -> complete at the CRM, {engine}, {len(deeds)} deeds at {rate:g}/s, ms "
        "(wanted: p50 60, p99 200)",
        ("deed", "n", "p50", "p95", "p99", "max"),
        [
            (name, len(ms), *(percentile(ms, p) for p in (0.5, 0.95, 0.99)), max(ms, default=0.0))
            for name, ms in lines
        ],
    )
    for name in ("left_out", "never_arrived", "traceless"):
        told = ", ".join(f"{what} ({n})" for what, n in judged[name].items())
        print(f"  {name.replace('_', ' ')}: {told or 'none'}")
    print("  slowest: " + "; ".join(f"{ms:.0f} ms {kind} after {before}"
                                    for ms, kind, before in judged["slowest"]))  # fmt: skip
    wrong = [line for line in truth.streams if not line.agrees]
    disagreeing = sum(line.missing + line.extra + line.different for line in wrong)
    print(f"  records compared: {truth.total:,}; {disagreeing} disagree after a proof")
    for line in wrong:
        keys = (*line.missing_keys, *line.extra_keys, *(e.key for e in line.examples))
        print(f"    {line.stream}: {', '.join(keys)} {', '.join(line.fields)}")
    print(
        f"  agent CPU {agent[0].cpu:.1%} of a core; server busy with us "
        f"{cost[0].busy_s / cost[0].wall_s:.1%}; longest statement {cost[0].longest_ms:.0f} ms"
    )
    print(f"  which was: {cost[0].longest_sql}")
    return {
        "deeds": len(deeds),
        "ms": {
            name: {"n": len(ms), **{f"p{p * 100:g}": percentile(ms, p) for p in (0.5, 0.95, 0.99)}}
            for name, ms in lines
        },
        **{k: v for k, v in judged.items() if k != "by_kind"},
        "disagreeing": disagreeing,
        "agent_cpu": agent[0].cpu,
        "server_busy_pct": 100 * cost[0].busy_s / cost[0].wall_s,
        "longest_statement_ms": cost[0].longest_ms,
    }


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    for_s = asked.seconds or (30.0 if asked.quick else 120.0)
    engines = [asked.engine] if asked.engine else ["myisam", "innodb"]
    return {engine: run(asked, engine, for_s) for engine in engines}


def main() -> None:
    parser = options(__doc__ or "", rows=200_000, quick_rows=10_000)
    parser.add_argument("--rate", type=float, default=20.0, help="changes per second")
    parser.add_argument("--seconds", type=float)
    asked = parser.parse_args()
    emit(measure(asked), asked)


if __name__ == "__main__":
    main()
