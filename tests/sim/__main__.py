"""``python -m tests.sim --seeds N --from S``: run a range of seeds; one summary line at the end.

Exit code 0 when every seed held (and, with ``--twice``, came out the same twice), else 1.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path
from statistics import median

if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets is chance, too
    sys.exit(
        subprocess.run(
            [sys.executable, "-m", "tests.sim", *sys.argv[1:]],
            env={**os.environ, "PYTHONHASHSEED": "0"},
            check=False,
        ).returncode
    )

from tests import artefact
from tests.sim import nightly
from tests.sim.coverage import table
from tests.sim.faults import Strike
from tests.sim.mutants import MUTANTS
from tests.sim.ranges import Totals, run_range
from tests.sim.shrink import replay, repro, shrink
from tests.sim.world import Result, run
from tests.sittings import cache_folder


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, help="how many (100; --nightly: 20,000)")
    parser.add_argument("--from", dest="first", type=int, default=1, help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2, help="processes (cores)")
    parser.add_argument("--twice", action="store_true", help="each seed twice: the same digest")
    parser.add_argument(
        "--nightly", action="store_true",
        help="the long lane: each seed twice, every cell of the coverage; goes on where it stopped",
    )  # fmt: skip
    parser.add_argument("--minutes", type=float, default=0, help="--nightly: stop after so long")
    parser.add_argument("--into", type=Path, help="--nightly: where results are kept meanwhile")
    parser.add_argument("--keep", action="store_true", help="write the figures to tests/artefacts/")
    parser.add_argument("--coverage", action="store_true", help="print fault x state x lane")
    parser.add_argument("--no-shrink", action="store_true", help="show failures as they fell")
    parser.add_argument("--repro", metavar="SEED[:STRIKES]", help="show one failure again")
    parser.add_argument("--past", nargs="*", metavar="SEED[:STRIKES]", help="failures of the past")
    parser.add_argument("--digests", action="store_true", help="print each seed's digest")
    parser.add_argument(
        "--mutants", type=int, metavar="N", help="planted bugs, N seeds each at most"
    )
    parser.add_argument("--only", default="", help="of the planted bugs: these, by commas")
    asked = parser.parse_args(argv)
    if asked.repro:
        return _show(asked.repro)
    if asked.past is not None:
        return _past(asked.past)
    if asked.mutants:
        names = [name for name in asked.only.split(",") if name]
        return _mutants(asked.mutants, names, jobs=asked.jobs, keep=asked.keep)
    if asked.nightly:
        return nightly.nightly(
            asked.first, asked.seeds or nightly.SEEDS, jobs=asked.jobs, minutes=asked.minutes,
            keep=asked.keep, folder=asked.into or cache_folder("sim"), commit=artefact.code(),
        )  # fmt: skip
    return _range(asked)


def _range(asked: argparse.Namespace) -> int:
    began = time.monotonic()
    totals = Totals()
    seeds = range(asked.first, asked.first + (asked.seeds or 100))
    for told in run_range(seeds, jobs=asked.jobs, twice=asked.twice):
        totals.add(told)
        if asked.digests:
            print(f"digest {told.seed} {told.digest}")
        if not told.is_same:
            print(f"seed {told.seed}: two runs, two digests", flush=True)
        if told.rule:
            print(f"seed {told.seed}: {told.what}", flush=True)
            if not asked.no_shrink:
                few = shrink(told.seed, [Strike.parse(s) for s in told.fired], told.rule)
                print(f"  {repro(told.seed, few)}", flush=True)
    if asked.coverage:
        print(table(totals.hits))
    print(totals.line(asked.first, time.monotonic() - began))
    return 1 if totals.failed or totals.unlike else 0


def _again(asked: str) -> tuple[str, Result]:
    seed, _, named = asked.partition(":")
    if not named:
        return seed, run(int(seed))
    strikes = [Strike.parse(s) for s in named.split(",") if s != "none"]
    return seed, replay(int(seed), strikes)


def _past(asked: list[str]) -> int:
    failed = 0
    for one_of in asked:
        seed, result = _again(one_of)
        if result.error is not None:
            failed += 1
            print(f"seed {seed}: {result.error}", flush=True)
    print(f"{len(asked)} failures of the past, {failed} are back")
    return 1 if failed else 0


def _killed_by(name: str, most: int) -> tuple[str, int, str]:
    """(planted bug, seeds it took, what broke); 0 seeds: it lives."""
    for n, (seed, plan) in enumerate(islice(MUTANTS[name].seeds(), most), 1):
        with MUTANTS[name].planted():
            result = run(seed, plan)
        if result.error is not None:
            return name, n, str(result.error)
    return name, 0, ""


def _mutants(most: int, names: list[str], *, jobs: int, keep: bool) -> int:
    """Each planted bug against seed after seed, until a rule breaks."""
    began = time.monotonic()
    names = names or list(MUTANTS)
    took: list[int] = []
    with ProcessPoolExecutor(jobs) as pool:
        for name, n, what in pool.map(_killed_by, names, [most] * len(names)):
            said = f"{n:4} seeds  {what[:70]}" if n else f"lives after {most} seeds"
            print(f"{name:38} {said}", flush=True)
            took += [n] if n else []
    middle = median(took) if took else 0
    if keep:
        artefact.keep(
            "sim-mutants",
            command=f"python -m tests.sim --mutants {most}",
            seconds=time.monotonic() - began,
            figures={
                "planted bugs": (len(names), ""),
                "planted bugs killed": (len(took), ""),
                "median seeds to kill": (middle, ""),
                "most seeds to kill": (max(took, default=0), ""),
            },
        )
    print(f"{len(took)} of {len(names)} planted bugs killed; median {middle:g} seeds to kill")
    return 0 if len(took) == len(names) else 1


def _show(asked: str) -> int:
    seed, result = _again(asked)
    for line in result.trace:
        print(line)
    print(f"seed {seed}: {result.error or 'holds'}; digest {result.digest}")
    return 0 if result.error is None else 1


if __name__ == "__main__":
    sys.exit(main())
