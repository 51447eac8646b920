"""``python -m tests.kill --kills N --seed S --engine E``: N kills, then questions.

Exit code 0 when nothing was lost, done twice, overwritten unseen or left stuck; else 1, and the
folder of the practice, the CRM and the agent is kept and named. The seed chooses what happens in
which order and how long is waited; what the machine is doing at that instant is the machine's.

The kills are shared by the engines and cut into parts of at most 50, one seed each, run side by
side. ``--long`` keeps each part's outcome, by the commit that ran, and goes on where it stopped.
``--keep`` writes nothing unless every part of the run is there and the code is still that of that
commit; its time is that of all parts added up.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import fields
from math import inf
from pathlib import Path
from typing import Any

from tests.artefact import code, keep
from tests.bench.rig import tell
from tests.kill.lane import Outcome
from tests.kill.parts import Part, figures, kept_parts, plan, side_by_side, summary
from tests.kill.rig import ENGINES
from tests.sittings import cache_folder

USUAL, LONG = 50, 2000


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.kill", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--kills", type=int, help=f"in all ({USUAL}; --long: {LONG:,})")
    parser.add_argument("--long", action="store_true", help="in as many sittings as it takes")
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--engine", choices=[*ENGINES, "all"], default="all")
    parser.add_argument("--patients", type=int, default=120)
    parser.add_argument(
        "--jobs", type=int, default=max(len(ENGINES), os.cpu_count() or 1), metavar="N",
        help="parts side by side (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--minutes", type=float, default=0, help="begin no part after so long")
    parser.add_argument("--into", type=Path, help="--long: where outcomes are kept meanwhile")
    parser.add_argument("--json", type=Path, metavar="FILE", help="everything as JSON")
    parser.add_argument("--keep", action="store_true", help="write tests/artefacts/kill.json")
    asked = parser.parse_args(argv)
    kills = asked.kills or (LONG if asked.long else USUAL)
    engines = list(ENGINES) if asked.engine == "all" else [asked.engine]
    parts = plan(kills, asked.seed, engines, asked.patients)
    ran, began = code(), time.monotonic()
    until = began + asked.minutes * 60 if asked.minutes else inf
    if asked.long:
        outcomes = _in_sittings(parts, asked.into or cache_folder("kill"), ran, asked.jobs, until)
    else:
        outcomes = list(_telling(side_by_side(parts, jobs=asked.jobs, until=until), kills))
    if asked.json:
        asked.json.write_text(json.dumps([plain(one) for one in outcomes], indent=1) + "\n")
    left = len(parts) - len(outcomes)
    if left:
        goes_on = "; the same command goes on" if asked.long else ""
        print(f"{left} of {len(parts)} parts are left{goes_on}")
    elif asked.keep:
        _keep(asked, kills, outcomes, ran)
    print(summary(outcomes, time.monotonic() - began))
    return 1 if left or any(one.wrong for one in outcomes) else 0


def _in_sittings(
    parts: Sequence[Part], folder: Path, ran: str, jobs: int, until: float
) -> list[Outcome]:
    """Every outcome there is of these parts."""
    kept = kept_parts(folder, ran)
    missing = [part for part in parts if part not in kept.told]
    done = sum(part.kills for part in parts if part in kept.told)
    if done:
        tell(f"{done:,} kills of this commit are done already: {kept.path}")
    all_kills = sum(part.kills for part in parts)
    with kept.adding() as add, suppress(KeyboardInterrupt):
        for one in _telling(side_by_side(missing, jobs=jobs, until=until), all_kills, done):
            add(one)
    return [kept.told[part] for part in parts if part in kept.told]


def _telling(outcomes: Iterable[Outcome], kills: int, done: int = 0) -> Iterable[Outcome]:
    began, before = time.monotonic(), done
    for one in outcomes:
        print(one.line(), flush=True)
        for wrong in one.wrong:
            print(f"  {wrong.kind}: {wrong.what}", flush=True)
        done += one.asked_for
        minutes = (time.monotonic() - began) / 60
        left = minutes / (done - before) * max(kills - done, 0)
        tell(f"{done:,} of {kills:,} kills; {minutes:.0f} min, about {left:.0f} min left")
        yield one


def _keep(asked: argparse.Namespace, kills: int, outcomes: Sequence[Outcome], ran: str) -> None:
    if code() != ran:
        print(f"not kept: the checkout was {ran} when this began and is {code()} now")
        return
    words = [f"--kills {kills}", f"--seed {asked.seed}", f"--engine {asked.engine}"]
    words += ["--long"] * asked.long + [f"--patients {asked.patients}"] * (asked.patients != 120)
    seeds = [one.seed for one in outcomes]
    keep("kill", command=" ".join(["python -m tests.kill", *words]), ran=ran,
         seconds=sum(one.seconds for one in outcomes), seeds=(min(seeds), max(seeds)),
         figures=figures(outcomes))  # fmt: skip


def plain(one: Outcome) -> dict[str, Any]:
    return {
        **{field.name: getattr(one, field.name) for field in fields(one)},
        "wrong": [wrong._asdict() for wrong in one.wrong],
    }


if __name__ == "__main__":
    sys.exit(main())
