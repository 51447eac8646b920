"""The long lane: tens of thousands of seeds, each twice, on all cores, in as many sittings as it
takes. First all of them once, for what falls is worth knowing early, then all again. Every result
is kept at once; the same command goes on where the last one stopped, with ``--keep`` also on
another machine: what held twice so far is added up beside the artefact.

Green only if every seed held, came out the same twice, and every reachable cell of the coverage
table was hit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from math import inf
from pathlib import Path

import msgspec

from tests import artefact
from tests.sim.coverage import reachable, table, unreached
from tests.sim.ranges import Cell, Told, Totals, run_range
from tests.sittings import Kept

SEEDS = 20_000
RUNS = 2  # of each seed
FULL_COVERAGE_SEEDS = 5_000  # fewer cannot be expected to reach every cell
SAY_EVERY_S = 60.0
COMMAND = "python -m tests.sim --nightly"


class Held(msgspec.Struct):
    """Seeds that held twice at a commit, both ends included, added up. ``seconds``: of all
    sittings."""

    commit: str
    first: int
    last: int
    seconds: float
    hits: list[tuple[Cell, int]]
    numbers: dict[str, float]


def _sum_file() -> Path:
    return artefact.FOLDER / "sittings" / "sim.json"


def _held_before(commit: str, wanted: range) -> Held | None:
    """Where ``wanted`` begins with them; of other code they are worth nothing."""
    path = _sum_file()
    if not path.exists():
        return None
    held = msgspec.json.decode(path.read_bytes(), type=Held)
    is_part = wanted.start - 1 <= held.last < wanted.stop
    return held if held.commit == commit and held.first == wanted.start and is_part else None


def _keep_sum(held: Held) -> None:
    path = _sum_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(held) + b"\n")


def kept_seeds(folder: Path, commit: str) -> Kept[Told]:
    return Kept(folder, commit, Told, lambda told: told.seed)


def nightly(
    first: int, seeds: int, *, jobs: int, minutes: float, keep: bool, folder: Path, commit: str
) -> int:
    """Exit code. ``minutes``: stop after so long (0: when done) and say how to go on."""
    kept = kept_seeds(folder, commit)
    wanted = range(first, first + seeds)
    totals, took = Totals(), 0.0
    held = _held_before(commit, wanted)
    if held is not None:
        totals.add_held(held.last - held.first + 1, held.hits, held.numbers)
        took = held.seconds
        wanted = range(held.last + 1, first + seeds)
    before = totals.seeds + len(_twice(kept, wanted))
    if before or kept.told:
        once = sum(told.runs < RUNS and seed in wanted for seed, told in kept.told.items())
        print(f"of this commit are done already: {before} seeds, and {once} once")
    for told in kept.told.values():
        if told.rule:
            print(f"seed {told.seed}: {told.what}")
    began = time.monotonic()
    try:
        with kept.adding() as add:
            _work(kept, wanted, add, jobs=jobs, until=began + minutes * 60 if minutes else inf)
    except KeyboardInterrupt:
        print("stopped; what is done is kept")
    took += time.monotonic() - began
    for told in _twice(kept, wanted):
        totals.add(told)
    has_fallen = any(told.rule or not told.is_same for told in kept.told.values())
    if keep and not has_fallen and not commit.endswith("+"):  # "+": changed files
        last = first + totals.seeds - 1
        _keep_sum(Held(commit, first, last, took, list(totals.hits.items()), dict(totals.numbers)))
    ran = commit if keep and totals.seeds else None
    return _tell(totals, first, seeds, took, ran=ran, new=totals.seeds - before)


def _twice(kept: Kept[Told], wanted: range) -> list[Told]:
    """From the first of ``wanted`` on, without a gap."""
    told = takewhile(lambda one: one is not None and one.runs == RUNS, map(kept.told.get, wanted))
    return [one for one in told if one is not None]


def _work(
    kept: Kept[Told], wanted: range, add: Callable[[Told], None], *, jobs: int, until: float
) -> None:
    once = [seed for seed in wanted if seed not in kept.told]
    for told in _results(once, "once", jobs, until):
        add(told)
        if told.rule:
            print(f"seed {told.seed}: {told.what}", flush=True)
    again = [seed for seed in wanted if seed in kept.told and kept.told[seed].runs < RUNS]
    for told in _results(again, "again", jobs, until):
        before = kept.told[told.seed]
        is_same = told.digest == before.digest
        add(msgspec.structs.replace(before, runs=RUNS, is_same=is_same))
        if not is_same:
            print(f"seed {told.seed}: two runs, two digests", flush=True)


def _results(seeds: Sequence[int], how: str, jobs: int, until: float) -> Iterator[Told]:
    """Each seed's run, until the time has come; says how far it is."""
    if time.monotonic() > until:
        return
    said = time.monotonic()
    results = run_range(seeds, jobs=jobs, twice=False)
    try:
        for done, told in enumerate(results, 1):
            yield told
            if time.monotonic() - said > SAY_EVERY_S:
                said = time.monotonic()
                print(f"{done} of {len(seeds)} seeds {how}", flush=True)
            if time.monotonic() > until:
                return
    finally:
        results.close()  # type: ignore[attr-defined]


def _tell(totals: Totals, first: int, seeds: int, took: float, *, ran: str | None, new: int) -> int:
    """``ran``: the commit to keep the figures under; None: they are only shown."""
    left = unreached(totals.hits)
    print(table(totals.hits))
    is_done = totals.seeds == seeds
    is_covered = not left or totals.seeds < FULL_COVERAGE_SEEDS
    if ran is not None:
        artefact.keep(
            "sim",
            ran=ran,
            command=f"{COMMAND} --seeds {totals.seeds} --from {first}",
            seconds=took,
            seeds=(first, first + totals.seeds - 1),
            figures={
                "seeds": (totals.seeds, ""),
                "seeds failed": (len(totals.failed), ""),
                "seeds not the same twice": (len(totals.unlike), ""),
                "virtual time": (round(totals.numbers["virtual_s"] / 3600), "h"),
                "lives": (totals.numbers["lives"], ""),
                "edits": (totals.numbers["edits"], ""),
                "pushed": (totals.numbers["pushed"], ""),
                "written": (totals.numbers["wrote"], ""),
                "undos done": (totals.numbers["undone"], ""),
                "undos refused": (totals.numbers["not undone"], ""),
                "strikes": (sum(totals.hits.values()), ""),
                "kinds of fault that struck": (totals.kinds, ""),
                "reachable cells": (len(reachable()), ""),
                "cells not reached": (len(left), ""),
            },
        )
    if not is_done:
        print(f"{seeds - totals.seeds} seeds are left; the same command goes on")
    if not is_covered:
        print(f"{len(left)} reachable cells were never hit")
    print(totals.line(first, took) + f" ({new} of them now)")
    is_green = is_done and is_covered and not totals.failed and not totals.unlike
    return 0 if is_green else 1
