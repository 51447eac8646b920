"""Seeds by the range: run in worker processes, added up, told in one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor

import msgspec

from tests.sim.world import run

Cell = tuple[str, str, str]  # fault, state, lane


class Told(msgspec.Struct):
    """What a worker says of a seed; plain values, so that it can travel and be kept."""

    seed: int
    digest: str
    rule: str
    what: str
    fired: list[str]
    hits: list[tuple[Cell, int]]
    numbers: dict[str, float]
    is_same: bool = True
    runs: int = 1


def one(seed: int, *, twice: bool) -> Told:
    result = run(seed)
    is_same = not twice or run(seed).digest == result.digest
    return Told(
        seed,
        result.digest,
        result.rule,
        "" if result.error is None else str(result.error),
        [str(strike) for strike in result.fired],
        list(result.hits.items()),
        {
            "virtual_s": result.virtual_s, "lives": result.lives, "edits": result.edits,
            "pushed": result.pushed, "wrote": result.wrote, "undone": result.undone,
            "not undone": result.not_undone,
        },
        is_same,
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
        try:
            yield from pool.map(work, seeds, chunksize=2)
        finally:
            pool.shutdown(cancel_futures=True)


class Totals:
    """Of all seeds told so far."""

    def __init__(self) -> None:
        self.seeds = 0
        self.hits: Counter[Cell] = Counter()
        self.numbers: Counter[str] = Counter()
        self.failed: list[Told] = []
        self.unlike: list[int] = []

    def add(self, told: Told) -> None:
        self.seeds += 1
        self.hits.update(dict(told.hits))
        self.numbers.update(told.numbers)
        if not told.is_same:
            self.unlike.append(told.seed)
        if told.rule:
            self.failed.append(told)

    def add_held(
        self, seeds: int, hits: Iterable[tuple[Cell, int]], numbers: Mapping[str, float]
    ) -> None:
        """Of seeds that held, in sum."""
        self.seeds += seeds
        self.hits.update(dict(hits))
        self.numbers.update(numbers)

    @property
    def kinds(self) -> int:
        """Kinds of fault that struck."""
        return len({kind for kind, _, _ in self.hits})

    def line(self, first: int, took_s: float) -> str:
        rules = Counter(told.rule for told in self.failed).most_common()
        named = ", ".join(f"{n} x {rule}" for rule, n in rules)
        said = {name: f"{value:.0f}" for name, value in self.numbers.items()}
        return (
            f"{self.seeds} seeds from {first}: {len(self.failed)} failed"
            f"{f' ({named})' if named else ''}, {len(self.unlike)} not the same twice;"
            f" {self.numbers['virtual_s'] / 3600:.0f} virtual hours,"
            f" {said.get('lives', 0)} lives, {said.get('edits', 0)} edits,"
            f" {said.get('pushed', 0)} pushed, {said.get('wrote', 0)} written,"
            f" {sum(self.hits.values())} strikes of {self.kinds} kinds;"
            f" {took_s:.0f} s, {self.seeds / max(took_s, 0.001):.1f} seeds/s"
        )
