"""A run of the lane in parts: one engine and one seed each, every part with servers of its own, in
processes side by side, as most of a part's time is waiting.

``plan`` cuts a number of kills into parts, ``side_by_side`` runs them, ``kept_parts`` keeps what
they said, ``figures`` and ``summary`` add it up.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from math import inf
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from tests.artefact import Figure
from tests.bench.rig import percentile
from tests.kill.lane import ACTS, Outcome, run
from tests.kill.rig import ENGINES
from tests.sittings import Kept

MOST = 50  # kills of a part: two chapters
KINDS = ("lost", "twice", "silent", "stuck")


class Part(NamedTuple):
    engine: str
    seed: int
    kills: int
    patients: int = 120

    @property
    def acts(self) -> tuple[str, ...]:
        """Each engine begins with another one: a short run, too, puts everything back once."""
        first = (ENGINES.index(self.engine) + self.seed - 1) % len(ACTS)
        return (*ACTS[first:], *ACTS[:first])


def plan(
    kills: int, seed: int, engines: Sequence[str] = ENGINES, patients: int = 120
) -> list[Part]:
    """The engines share the kills; one that is left with more than ``MOST`` takes further seeds.
    Seed by seed: a run that is stopped has been on every engine."""
    left = {
        engine: kills // len(engines) + (number < kills % len(engines))
        for number, engine in enumerate(engines)
    }
    parts = []
    while any(left.values()):
        for engine in engines:
            if share := min(left[engine], MOST):
                parts.append(Part(engine, seed, share, patients))
                left[engine] -= share
        seed += 1
    return parts


def run_part(part: Part) -> Outcome:
    return run(
        part.engine, kills=part.kills, seed=part.seed, patients=part.patients, acts=part.acts
    )


def side_by_side(
    parts: Sequence[Part],
    *,
    jobs: int,
    until: float = inf,
    work: Callable[[Part], Outcome] = run_part,
) -> Iterator[Outcome]:
    """As they end. None is begun after ``until`` (of the monotonic clock); what runs then, ends."""
    waiting = deque(parts)
    under_way: set[Future[Outcome]] = set()
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        while True:
            while waiting and len(under_way) < jobs and time.monotonic() < until:
                under_way.add(pool.submit(work, waiting.popleft()))
            if not under_way:
                return
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for one in done:
                yield one.result()


def part_of(outcome: Outcome) -> Part:
    return Part(outcome.engine, outcome.seed, outcome.asked_for, outcome.patients)


def kept_parts(folder: Path, commit: str) -> Kept[Outcome]:
    return Kept(folder, commit, Outcome, part_of)


def summary(outcomes: Sequence[Outcome], seconds: float) -> str:
    counts = ", ".join(f"{sum(one.count(kind) for one in outcomes)} {kind}" for kind in KINDS)
    broken = sum(one.count("broken off") for one in outcomes)
    seeds = sorted({one.seed for one in outcomes})
    return (
        f"{sum(one.kills for one in outcomes):,} kills"
        + (f", seeds {seeds[0]} to {seeds[-1]}" if seeds else "")
        + f": {counts}"
        + (f"; {broken} parts broken off" if broken else "")
        + f"; {seconds:.0f} s"
    )


def figures(outcomes: Sequence[Outcome]) -> dict[str, Figure]:
    """Of all parts together; then each part's kills, by its engine and seed."""
    asked: Counter[str] = sum((one.asked for one in outcomes), Counter())
    quiet = [s for one in outcomes for s in one.quiet_s]
    engines = dict.fromkeys(one.engine for one in outcomes)
    found = {
        "kills": sum(one.kills for one in outcomes),
        **{f"kills, {engine}": sum(one.kills for one in outcomes if one.engine == engine)
           for engine in engines},
        "kills at work": sum(one.at_work for one in outcomes),
        **{kind: sum(one.count(kind) for one in outcomes) for kind in KINDS},
        "parts": len(outcomes),
        "parts broken off": sum(one.count("broken off") for one in outcomes),
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
    for one in sorted(outcomes, key=lambda one: (one.engine, one.seed)):
        made[f"part {one.engine}, seed {one.seed}"] = Figure(one.kills, "kills")
    return made
