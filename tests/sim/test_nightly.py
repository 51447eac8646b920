"""The long lane in several sittings, on several machines. Its seeds are made up here: what they run
is shown by ``test_seeds``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests import artefact
from tests.sim import nightly
from tests.sim.ranges import Told

CELL = ("kill", "idle", "watch")


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seeds that were run. Artefacts go elsewhere."""
    seen: list[int] = []

    def run_range(seeds: Iterable[int], **_: Any) -> Iterator[Told]:
        for seed in seeds:
            seen.append(seed)
            rule = "S2" if seed == 9 else ""
            yield Told(seed, "d", rule, rule and "twice", [], [(CELL, 2)], {"lives": 3})

    monkeypatch.setattr(nightly, "run_range", run_range)
    monkeypatch.setattr(artefact, "FOLDER", tmp_path / "artefacts")
    return seen


def sitting(tmp_path: Path, machine: str, seeds: int, commit: str = "abc") -> int:
    return nightly.nightly(
        1, seeds, jobs=1, minutes=0, keep=True, folder=tmp_path / machine, commit=commit
    )


def figures() -> dict[str, float]:
    kept = artefact.read(artefact.FOLDER / "sim.json")
    assert kept.seeds is not None
    return {"last": kept.seeds[1], **{name: f.value for name, f in kept.figures.items()}}


def test_another_machine_goes_on_where_the_checkout_says(tmp_path: Path, ran: list[int]) -> None:
    assert sitting(tmp_path, "one", 4) == 0
    assert sitting(tmp_path, "two", 6) == 0
    assert ran == [1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 5, 6]
    told = figures()
    assert (told["last"], told["seeds"], told["lives"], told["strikes"]) == (6, 6, 18, 12)
    assert sitting(tmp_path, "three", 6) == 0
    assert len(ran) == 12


@pytest.mark.parametrize("commit", ["abd", "abc+"])
def test_other_code_begins_anew(tmp_path: Path, ran: list[int], commit: str) -> None:
    sitting(tmp_path, "one", 2, "abc+" if commit == "abc+" else "abc")
    sitting(tmp_path, "two", 2, commit)
    assert ran == [1, 2, 1, 2] * 2


def test_all_are_run_once_before_any_is_run_again(
    tmp_path: Path, ran: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    true = nightly.run_range

    def stopped(seeds: Iterable[int], **how: Any) -> Iterator[Told]:
        if list(seeds) == [1, 2, 3] and ran:
            raise KeyboardInterrupt
        yield from true(seeds, **how)

    monkeypatch.setattr(nightly, "run_range", stopped)
    assert sitting(tmp_path, "one", 3) == 1
    assert not (artefact.FOLDER / "sim.json").exists()  # nothing is done twice
    monkeypatch.setattr(nightly, "run_range", true)
    assert sitting(tmp_path, "one", 3) == 0
    assert ran == [1, 2, 3] * 2


def test_another_digest_is_never_passed_over(
    tmp_path: Path, ran: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    true = nightly.run_range

    def differs(seeds: Iterable[int], **how: Any) -> Iterator[Told]:
        again = bool(ran)
        for told in true(seeds, **how):
            yield msgspec.structs.replace(told, digest=f"{told.seed == 2 and again}")

    monkeypatch.setattr(nightly, "run_range", differs)
    assert sitting(tmp_path, "one", 3) == 1
    assert figures()["seeds not the same twice"] == 1


def test_what_failed_is_never_passed_over(tmp_path: Path, ran: list[int]) -> None:
    assert sitting(tmp_path, "one", 10) == 1
    assert figures()["seeds failed"] == 1
    assert sitting(tmp_path, "two", 10) == 1
    assert ran == [*range(1, 11)] * 4
