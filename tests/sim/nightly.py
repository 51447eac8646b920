"""The long lane: tens of thousands of seeds, each twice, on all cores, in as many sittings as it
takes. Every seed's result is kept at once; the same command goes on where the last one stopped,
with ``--keep`` also on another machine: what held so far is added up beside the artefact.

Green only if every seed held, came out the same twice, and every reachable cell of the coverage
table was hit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path

import msgspec

from tests import artefact
from tests.sim.coverage import reachable, table, unreached
from tests.sim.ranges import Cell, Told, Totals, run_range
from tests.sittings import Kept

SEEDS = 20_000
FULL_COVERAGE_SEEDS = 5_000  # fewer cannot be expected to reach every cell
SAY_EVERY_S = 60.0
COMMAND = "python -m tests.sim --nightly"


class Held(msgspec.Struct):
    """Seeds that held at a commit, both ends included, added up."""

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
    fits = held.commit == commit and held.first == wanted.start and held.last in wanted
    return held if fits else None


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
    missing = [seed for seed in wanted if seed not in kept.told]
    if len(missing) < seeds:
        print(f"{seeds - len(missing)} seeds of this commit are done already")
    began = time.monotonic()
    with kept.adding() as add:
        _work(missing, add, jobs=jobs, until=began + minutes * 60 if minutes else None)
    took += time.monotonic() - began
    for seed in takewhile(kept.told.__contains__, wanted):
        totals.add(kept.told[seed])
    is_sound = not (totals.failed or totals.unlike or commit.endswith("+"))  # "+": changed files
    if keep and totals.seeds and is_sound:
        last = first + totals.seeds - 1
        _keep_sum(Held(commit, first, last, took, list(totals.hits.items()), dict(totals.numbers)))
    ran = commit if keep else None
    return _tell(totals, first, seeds, took, ran=ran, new=len(missing))


def _work(
    missing: list[int], add: Callable[[Told], None], *, jobs: int, until: float | None
) -> None:
    said = time.monotonic()
    results = run_range(missing, jobs=jobs, twice=True)
    try:
        for done, told in enumerate(results, 1):
            add(told)
            if told.rule or not told.is_same:
                print(f"seed {told.seed}: {told.what or 'two runs, two digests'}", flush=True)
            if time.monotonic() - said > SAY_EVERY_S:
                said = time.monotonic()
                print(f"{done} of {len(missing)} seeds", flush=True)
            if until is not None and time.monotonic() > until:
                return
    except KeyboardInterrupt:
        print("stopped; what is done is kept")
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
    print(totals.line(first, took) + (f" ({new - (seeds - totals.seeds)} of them now)"))
    is_green = is_done and is_covered and not totals.failed and not totals.unlike
    return 0 if is_green else 1
