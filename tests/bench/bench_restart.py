"""Restart with a journal of a million rows: process start to the first sync.

``python -m tests.bench.bench_restart [--rows N] [--engine E] [--quick] [--json]``

A change is committed while the agent is down; the clock runs from the start of the process until
that change is complete at the CRM ("first sync"), and until the status says that reading and
sending go on ("running": up to date, or behind with the proofs that fell due meanwhile). Stopped
in order and killed -9, in turns. Wanted: 5 s to the first sync.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from agent.sandbox.practice.create import PracticePlan
from tests.bench.edits import Editor
from tests.bench.rig import ZONE, Rig, emit, options, rows_of, show

ROUNDS = 3
WANTED_S = 5.0
PATIENCE_S = 300.0


def change(rig: Rig, note: str) -> str:
    """Edits the newest visit; its key."""
    with Editor(rig, seed=7) as editor:
        (key,) = editor.newest(1)
        editor.edit(key, note)
    return str(key)


def last_effect_us(rig: Rig, key: str) -> int:
    with rig.crm() as crm:
        sql = "SELECT coalesce(max(at_us), 0) FROM effects WHERE type='appointment' AND key=?"
        return int(crm.execute(sql, (key,)).fetchone()[0])


def one(rig: Rig, round_: int, how: str) -> tuple[float, float]:
    """(seconds to the first sync, seconds to running). The agent runs before and after."""
    if how == "killed":
        rig.agent.kill()
        rig.agent.wait()
    rig.stop_agent()
    key = change(rig, f"restart {how} {round_} {time.time():.0f}")  # unlike any run before
    (rig.home / "status.json").unlink(missing_ok=True)
    began, wall_us = time.monotonic(), time.time() * 1e6
    rig.start_agent()
    while last_effect_us(rig, key) < wall_us:
        if time.monotonic() - began > PATIENCE_S:
            raise TimeoutError("the change never came")
        time.sleep(0.02)
    first_s = (last_effect_us(rig, key) - wall_us) / 1e6
    rig.wait_loaded(PATIENCE_S)
    return first_s, time.monotonic() - began


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    rows = rows_of(asked)
    plan = PracticePlan(patients=500, years=1, zone=ZONE, bulk_appointments=rows)
    with Rig(engine=asked.engine or "myisam", plan=plan, kept=asked.kept) as rig:
        rig.load()
        if asked.prepare:
            return {}
        journal_mb = sum(p.stat().st_size for p in rig.home.rglob("journal.db*")) / 1e6
        rig.start_agent()
        rig.wait_loaded(PATIENCE_S)
        took: dict[str, list[tuple[float, float]]] = {"in order": [], "killed": []}
        for round_ in range(ROUNDS):
            for how, found in took.items():
                found.append(one(rig, round_, how))
        rig.stop_agent()
    show(
        f"restart with {rows:,} appointments in the journal ({journal_mb:,.0f} MB), seconds"
        f" (wanted: {WANTED_S:g} to the first sync)",
        ("stopped", "first sync, best", "worst", "running, best", "worst"),
        [
            (how, *(f(t[i] for t in found) for i in (0, 1) for f in (min, max)))
            for how, found in took.items()
        ],
    )
    return {
        "rows": rows,
        "journal_mb": round(journal_mb),
        **{
            how: {
                f"{name}_{which}_s": round(pick(t[i] for t in found), 2)
                for i, name in enumerate(("first_sync", "running"))
                for which, pick in (("best", min), ("worst", max))
            }
            for how, found in took.items()
        },
    }


def main() -> None:
    parser = options(__doc__ or "", rows=1_000_000, quick_rows=20_000)
    asked = parser.parse_args()
    emit(measure(asked), asked)


if __name__ == "__main__":
    main()
