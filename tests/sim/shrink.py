"""From a failing seed to the few strikes it takes: the line that shows it again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tests.sim.faults import Strike
from tests.sim.world import Result, run, seeds_plan

MOST_RUNS = 150


def replay(seed: int, strikes: Sequence[Strike]) -> Result:
    return run(seed, replace(seeds_plan(seed), only=frozenset(strikes)))


def shrink(
    seed: int,
    fired: Sequence[Strike],
    rule: str,
    again: Callable[[int, Sequence[Strike]], Result] = replay,
) -> list[Strike]:
    """Delta debugging over the strikes that fired: kinds first, then halves, then one by one. The
    same rule must break; what a strike leads to may differ. Best of ``MOST_RUNS`` runs."""
    kept = list(dict.fromkeys(fired))
    runs = 0

    def fails(some: Sequence[Strike]) -> bool:
        nonlocal runs
        runs += 1
        return again(seed, some).rule == rule

    if not fails(kept):
        return kept  # it takes chances that did not strike as well: shown whole
    for kind in sorted({s.kind for s in kept}):
        less = [s for s in kept if s.kind is not kind]
        if len(less) < len(kept) and runs < MOST_RUNS and fails(less):
            kept = less
    size = max(len(kept) // 2, 1)
    while kept and runs < MOST_RUNS:
        at, moved = 0, False
        while at < len(kept) and runs < MOST_RUNS:
            less = kept[:at] + kept[at + size :]
            if fails(less):
                kept, moved = less, True
            else:
                at += size
        if size == 1 and not moved:
            break
        size = max(size // 2, 1)
    return kept


def repro(seed: int, strikes: Sequence[Strike]) -> str:
    named = ",".join(map(str, strikes)) or "none"
    return f"python -m tests.sim --repro {seed}:{named}"
