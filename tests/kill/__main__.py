"""``python -m tests.kill --kills N --seed S --engine E``: N kills, then questions.

Exit code 0 when nothing was lost, done twice, overwritten unseen or left stuck; else 1, and the
folder of the practice, the CRM and the agent is kept and named. The seed chooses what happens in
which order and how long is waited; what the machine is doing at that instant is the machine's.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.artefact import Figure, keep
from tests.bench.rig import percentile
from tests.kill.lane import ACTS, Outcome, run
from tests.kill.rig import ENGINES

LONG = 2000


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.kill", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--kills", type=int, default=50, help="in all, shared by the engines")
    parser.add_argument("--long", action="store_true", help=f"{LONG:,} kills")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=[*ENGINES, "all"], default="all")
    parser.add_argument("--patients", type=int, default=120)
    parser.add_argument("--json", type=Path, metavar="FILE", help="everything as JSON")
    parser.add_argument("--keep", action="store_true", help="write tests/artefacts/kill.json")
    asked = parser.parse_args(argv)
    engines = list(ENGINES) if asked.engine == "all" else [asked.engine]
    kills = LONG if asked.long else asked.kills
    began = time.monotonic()
    outcomes = []
    for number, engine in enumerate(engines):
        share = kills // len(engines) + (number < kills % len(engines))
        acts = (*ACTS[number:], *ACTS[:number])  # a short run, too, puts everything back once
        outcomes.append(
            run(engine, kills=share, seed=asked.seed, patients=asked.patients, acts=acts)
        )
        print(outcomes[-1].line(), flush=True)
        for wrong in outcomes[-1].wrong:
            print(f"  {wrong.kind}: {wrong.what}", flush=True)
    seconds = time.monotonic() - began
    if asked.json:
        asked.json.write_text(json.dumps([plain(one) for one in outcomes], indent=1) + "\n")
    if asked.keep:
        words = [f"--kills {kills}", f"--seed {asked.seed}", f"--engine {asked.engine}"]
        keep("kill", command=" ".join(["python -m tests.kill", *words]), seconds=seconds,
             seeds=(asked.seed, asked.seed), figures=figures(outcomes))  # fmt: skip
    wrong = sum(len(one.wrong) for one in outcomes)
    print(f"{sum(one.kills for one in outcomes)} kills, {wrong} wrong, {seconds:.0f} s")
    return 1 if wrong else 0


def figures(outcomes: list[Outcome]) -> dict[str, Figure]:
    """Of all engines together, and each engine's kills."""
    asked: Counter[str] = sum((one.asked for one in outcomes), Counter())
    quiet = [s for one in outcomes for s in one.quiet_s]
    found = {
        "kills": sum(one.kills for one in outcomes),
        **{f"kills, {one.engine}": one.kills for one in outcomes},
        **{f"{k}": sum(one.count(k) for one in outcomes)
           for k in ("lost", "twice", "silent", "stuck")},
        "kinds of mishap": len({name for one in outcomes for name in one.mishaps}),
        "deeds in the practice": sum(one.deeds for one in outcomes),
        "requests of the CRM": asked.total(),
        "requests applied": asked["applied"],
        "edits witnessed": sum(one.witnessed for one in outcomes),
        "replaced in the moment of writing": sum(one.raced for one in outcomes),
        "clock steps": sum(one.mishaps["clock step"] for one in outcomes),
        "fenced": sum(one.fenced for one in outcomes),
        "sent again": sum(one.sent_again for one in outcomes),
        "writes looked up by a person": sum(one.settled for one in outcomes),
        **{f"{act} restored": sum(one.restored[act] for one in outcomes) for act in ACTS},
    }  # fmt: skip
    made = {name: Figure(value) for name, value in found.items()}
    made["quiet to agreement, p50"] = Figure(round(percentile(quiet, 0.5), 1), "s")
    made["quiet to agreement, most"] = Figure(round(max(quiet, default=0.0), 1), "s")
    return made


def plain(one: Outcome) -> dict[str, Any]:
    return {
        **{name: getattr(one, name) for name in one.__dataclass_fields__},
        "wrong": [wrong._asdict() for wrong in one.wrong],
    }


if __name__ == "__main__":
    sys.exit(main())
