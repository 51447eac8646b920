"""``python -m tests.sim --seeds N --from S``: run a range of seeds; one summary line at the end.

Exit code 0 when every seed held (and, with ``--twice``, came out the same twice), else 1.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets is chance, too
    sys.exit(
        subprocess.run(
            [sys.executable, "-m", "tests.sim", *sys.argv[1:]],
            env={**os.environ, "PYTHONHASHSEED": "0"},
            check=False,
        ).returncode
    )

from tests.sim.faults import Strike
from tests.sim.shrink import replay, repro, shrink
from tests.sim.world import Result, run


@dataclass
class Told:
    """What a worker says of a seed; plain values, so that it can travel."""

    seed: int
    digest: str
    rule: str
    what: str
    fired: list[str]
    hits: dict[tuple[str, str, str], int]
    numbers: dict[str, float]
    is_same: bool = True
    trace: list[str] = field(default_factory=list)


def one(seed: int, *, twice: bool) -> Told:
    result = run(seed)
    is_same = not twice or run(seed).digest == result.digest
    return Told(
        seed,
        result.digest,
        result.rule,
        "" if result.error is None else str(result.error),
        [str(strike) for strike in result.fired],
        result.hits,
        {
            "virtual_s": result.virtual_s, "lives": result.lives, "edits": result.edits,
            "pushed": result.pushed, "wrote": result.wrote,
        },
        is_same,
        result.trace[-200:] if result.error else [],
    )  # fmt: skip


def _one_twice(seed: int) -> Told:
    return one(seed, twice=True)


def _one_once(seed: int) -> Told:
    return one(seed, twice=False)


def run_range(seeds: Iterable[int], *, jobs: int, twice: bool) -> Iterator[Told]:
    """In the order of the seeds, ``jobs`` processes at a time."""
    work = _one_twice if twice else _one_once
    if jobs <= 1:
        yield from map(work, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(work, seeds, chunksize=4)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--from", dest="first", type=int, default=1, help="the first seed")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--twice", action="store_true", help="each seed twice: the same digest")
    parser.add_argument("--nightly", action="store_true", help="20,000 seeds, each twice, coverage")
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
        return _mutants(asked.mutants, [n for n in asked.only.split(",") if n])
    seeds = 20_000 if asked.nightly and asked.seeds == 100 else asked.seeds
    began = time.monotonic()
    hits: Counter[tuple[str, str, str]] = Counter()
    numbers: Counter[str] = Counter()
    failed: list[Told] = []
    unlike: list[int] = []
    for told in run_range(
        range(asked.first, asked.first + seeds), jobs=asked.jobs, twice=asked.twice or asked.nightly
    ):
        hits.update(told.hits)
        numbers.update(told.numbers)
        if asked.digests:
            print(f"digest {told.seed} {told.digest}")
        if not told.is_same:
            unlike.append(told.seed)
            print(f"seed {told.seed}: two runs, two digests", flush=True)
        if told.rule:
            failed.append(told)
            print(f"seed {told.seed}: {told.what}", flush=True)
            if not asked.no_shrink:
                few = shrink(told.seed, [Strike.parse(s) for s in told.fired], told.rule)
                print(f"  {repro(told.seed, few)}", flush=True)
    if asked.coverage or asked.nightly:
        from tests.sim.coverage import table

        print(table(hits))
    took = time.monotonic() - began
    rules = ", ".join(f"{n} x {r}" for r, n in Counter(t.rule for t in failed).most_common())
    print(
        f"{seeds} seeds from {asked.first}: {len(failed)} failed{f' ({rules})' if rules else ''},"
        f" {len(unlike)} not the same twice; {numbers['virtual_s'] / 3600:.0f} virtual hours,"
        f" {numbers['lives']:.0f} lives, {numbers['edits']:.0f} edits,"
        f" {numbers['pushed']:.0f} pushed, {numbers['wrote']:.0f} written,"
        f" {sum(hits.values())} strikes of {len({k for k, _, _ in hits})} kinds;"
        f" {took:.0f} s, {seeds / took:.1f} seeds/s"
    )
    return 1 if failed or unlike else 0


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


def _mutants(most: int, names: list[str]) -> int:
    """Each planted bug against seed after seed, until a rule breaks."""
    from tests.sim.mutants import MUTANTS

    took: dict[str, int] = {}
    names = names or list(MUTANTS)
    for name in names:
        for n, (seed, plan) in enumerate(islice(MUTANTS[name].seeds(), most), 1):
            with MUTANTS[name].planted():
                result = run(seed, plan)
            if result.error is not None:
                took[name] = n
                print(f"{name:38} {n:4} seeds  {str(result.error)[:70]}", flush=True)
                break
        else:
            print(f"{name:38} lives after {most} seeds", flush=True)
    middle = sorted(took.values())[len(took) // 2] if took else 0
    print(f"{len(took)} of {len(names)} planted bugs killed; median {middle} seeds to kill")
    return 0 if len(took) == len(names) else 1


def _show(asked: str) -> int:
    seed, result = _again(asked)
    for line in result.trace:
        print(line)
    print(f"seed {seed}: {result.error or 'holds'}; digest {result.digest}")
    return 0 if result.error is None else 1


if __name__ == "__main__":
    sys.exit(main())
