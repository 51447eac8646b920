"""``python -m tests.load --minutes M --rows N --days D``: hold a load, drain a month.

Numbers on standard output as JSON; nothing fails on a time. Exit code 1 when the comparer found a
difference at the end. ``--days 0`` or ``--minutes 0`` leaves that part out. The goal is 50 edits a
second for 8 hours beside a mirror of 5 M rows (``--minutes 480 --rows 5000000``), memory flat
within 5 %; what was really run stands in the numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from tests.artefact import Figure, keep
from tests.load.lane import LoadRig, offline, plan, steady


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.load", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--minutes", type=float, default=3.0, help="of steady load")
    parser.add_argument("--rate", type=float, default=50.0, help="edits a second")
    parser.add_argument("--rows", type=int, default=0, help="bulk rows beside the practice's own")
    parser.add_argument(
        "--patients", type=int, default=2000, help="few patients meet the brake on mass changes"
    )
    parser.add_argument("--days", type=int, default=30, help="offline, by the agent's clock")
    parser.add_argument("--edits-a-day", type=int, default=200)
    parser.add_argument("--engine", choices=["myisam", "innodb"], default="myisam")
    kept = os.environ.get("BRIDGEWORK_BENCH_KEPT")
    parser.add_argument("--kept", type=Path, metavar="FOLDER", default=kept and Path(kept),
                        help="keep the practice here, use what is kept")  # fmt: skip
    parser.add_argument("--keep", action="store_true", help="write tests/artefacts/load.json")
    asked = parser.parse_args(argv)
    began = time.monotonic()
    found: dict[str, Any] = {"engine": asked.engine, "rate": asked.rate, "rows": asked.rows}
    made = plan(asked.patients, asked.rows)
    with LoadRig(engine=asked.engine, plan=made, kept=asked.kept) as rig:
        rig.ready()
        if asked.minutes:
            found["steady"] = steady(rig, rate=asked.rate, minutes=asked.minutes)
        if asked.days:
            found["offline"] = offline(rig, days=asked.days, edits_a_day=asked.edits_a_day)
        rig.stop_agent()
    print(json.dumps(found, indent=1))
    if asked.keep:
        words = " ".join(
            f"--{name.replace('_', '-')} {getattr(asked, name)}"
            for name in ("minutes", "rate", "rows", "patients", "days", "edits_a_day", "engine")
        )
        keep("load", command=f"python -m tests.load {words}", seconds=time.monotonic() - began,
             figures=figures(found))  # fmt: skip
    return 0 if all(found[part]["agrees"] for part in ("steady", "offline") if part in found) else 1


def figures(found: dict[str, Any]) -> dict[str, Figure]:
    made: dict[str, Figure] = {}
    if "steady" in found:
        part = found["steady"]
        made |= {
            "load held for": Figure(part["minutes"], "min"),
            "edits a second": Figure(part["edits_per_s"], "edits/s"),
            "records compared": Figure(part["compared"]),
            "most waiting": Figure(part["most_pending"]),
            "nothing waited after": Figure(part["sent_s"], "s"),
            "drained after": Figure(part["drained_s"], "s"),
            "agent CPU": Figure(round(part["agent_cpu"] * 100, 1), "% of a core"),
            "memory p50": Figure(part["rss_p50_mb"], "MB"),
            "memory most": Figure(part["rss_most_mb"], "MB"),
            "memory, last third to middle": Figure(round(part["rss_growth"] * 100, 1), "%"),
            "differences after load": Figure(int(not part["agrees"])),
            "rounds of the reading lanes": Figure(part["rounds"]),
            "rounds failed": Figure(part["rounds_failed"]),
        }
        if part["rounds"]:
            well = 1 - part["rounds_failed"] / part["rounds"]
            made["rounds that succeeded"] = Figure(round(100 * well, 3), "%")
    if "offline" in found:
        part = found["offline"]
        made |= {
            "offline": Figure(part["days"], "days by the agent's clock"),
            "offline edits": Figure(part["edits"]),
            "offline, nothing waited after": Figure(part["sent_s"], "s"),
            "offline drained after": Figure(part["drained_s"], "s"),
            "differences after offline": Figure(int(not part["agrees"])),
        }
    return made


if __name__ == "__main__":
    sys.exit(main())
