"""The price of proof: what one whole rotation of the sweep costs the server.

``python -m tests.bench.bench_sweep [--rows N] [--engine innodb] [--quick] [--json]``

After the load, ``bridgework sync`` once without and once with ``--prove``: the difference of the
login's server time is one rotation over every chunk of every stream. Beside it, in the same run, a
C client reading every row of the two large tables. "At office duty" is how long the rotation takes
when the agent keeps to its default share of the server.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from agent.model.streams import Stream
from agent.sandbox.practice.create import PracticePlan
from tests.bench.rig import ZONE, Rig, ServerCost, emit, options, rows_of, show

OFFICE_DUTY = 0.10  # pms.max_duty


def proof(rig: Rig, *words: str) -> ServerCost:
    with rig.watching() as cost:
        said = json.loads(
            rig.bridgework("--set", "pms.max_duty=1", "sync", "--json", *words, timeout_s=3600)
        )
    assert said["agrees"], said
    return cost[0]


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    rows, engine = rows_of(asked), asked.engine or "myisam"
    plan = PracticePlan(
        patients=2000, years=1, zone=ZONE, bulk_appointments=rows, bulk_procedures=3 * rows
    )
    with Rig(engine=engine, plan=plan, kept=asked.kept) as rig:
        rig.load()
        if asked.prepare:
            return {}
        without, with_proof = proof(rig), proof(rig, "--prove")
        records = sum(rig.crm_count(stream.value) for stream in Stream)
        large = {t: rig.row_count(t) for t in ("appointment", "procedurelog")}
        c_s = sum(rig.c_client_s(f"SELECT * FROM {table}", rounds=2) for table in large)
    busy_s = max(with_proof.busy_s - without.busy_s, 0.0)
    cpu_s = max(with_proof.cpu_s - without.cpu_s, 0.0)
    million = records / 1e6
    c_per_million = c_s / (sum(large.values()) / 1e6)
    show(
        f"one rotation over {records:,} records of all streams, {engine}",
        ("", "value", "of C client"),
        [
            ("server busy, s per 1 M records", busy_s / million,
             f"{busy_s / million / c_per_million:.2f}"),
            ("server CPU, s per 1 M records", cpu_s / million,
             f"{cpu_s / million / c_per_million:.2f}"),
            ("C client reading whole rows, s per 1 M", c_per_million, "1.00"),
            ("rotation flat out, s", with_proof.wall_s - without.wall_s, ""),
            (f"rotation at office duty ({OFFICE_DUTY:.0%}), s", busy_s / OFFICE_DUTY, ""),
            ("longest statement, ms (wanted: 100)", with_proof.longest_ms, ""),
            ("statements", with_proof.statements - without.statements, ""),
        ],
    )  # fmt: skip
    print(f"  longest: {with_proof.longest_sql}")
    return {
        "engine": engine,
        "records": records,
        "busy_s_per_million": busy_s / million,
        "cpu_s_per_million": cpu_s / million,
        "c_client_s_per_million": c_per_million,
        "rotation_at_office_duty_s": busy_s / OFFICE_DUTY,
        "longest_statement_ms": with_proof.longest_ms,
    }


def main() -> None:
    asked = options(__doc__ or "", rows=1_000_000, quick_rows=60_000).parse_args()
    emit(measure(asked), asked)


if __name__ == "__main__":
    main()
