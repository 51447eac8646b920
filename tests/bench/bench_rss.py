"""Memory of the agent: flat whatever the size of the tables?

``python -m tests.bench.bench_rss [--rows N] [--engine innodb] [--quick] [--json]``

The same practice with ten thousand and with N appointments: resident memory right after the load,
after a while of watching, and the highest seen meanwhile. The first row is the baseline.
"""

from __future__ import annotations

import argparse
import threading
import time
from pathlib import Path
from typing import Any

from agent.sandbox.practice.create import PracticePlan
from tests.bench.rig import ZONE, Rig, emit, options, rows_of, show

SMALL_ROWS = 10_000


def size_of(engine: str, rows: int, settle_s: float, kept: Path | None) -> dict[str, Any]:
    plan = PracticePlan(patients=500, years=1, zone=ZONE, bulk_appointments=rows)
    with Rig(engine=engine, plan=plan, kept=kept) as rig:
        rig.fresh({"sync.load_duty": "1"})
        rig.start_agent()
        done, highest = threading.Event(), [0.0]

        def sample() -> None:
            while not done.wait(0.1):
                highest[0] = max(highest[0], rig.rss_mb())

        sampler = threading.Thread(target=sample)
        sampler.start()
        try:
            rig.wait_loaded(3600)
            loaded = rig.rss_mb()
            time.sleep(settle_s)
            settled = rig.rss_mb()
        finally:
            done.set()
            sampler.join()
        return {
            "rows": rig.row_count("appointment"),
            "loaded_mb": loaded,
            "settled_mb": settled,
            "highest_mb": highest[0],
        }


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    engine, settle_s = asked.engine or "myisam", 5.0 if asked.quick else 60.0
    found = [size_of(engine, rows, settle_s, asked.kept) for rows in (SMALL_ROWS, rows_of(asked))]
    base = found[0]["settled_mb"]
    show(
        f"agent memory, MB, {engine} (wanted: at most 120, within 10 % of the first line)",
        ("appointments", "after load", "watching", "highest", "to first"),
        [
            (f"{f['rows']:,}", f["loaded_mb"], f["settled_mb"], f["highest_mb"],
             f"{f['settled_mb'] / base - 1:+.0%}")
            for f in found
        ],
    )  # fmt: skip
    return {"engine": engine, "sizes": found}


def main() -> None:
    asked = options(__doc__ or "", rows=1_000_000, quick_rows=100_000).parse_args()
    emit(measure(asked), asked)


if __name__ == "__main__":
    main()
