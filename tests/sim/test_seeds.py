"""Every test run: some hundred seeds of the simulation, and every failure it ever found.

The seeds run in processes of their own, because the order of sets (the hash seed) is chance as well
and must be the same everywhere.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.nightly import kept_seeds

PART = 30
USUAL, ALL = 300, 900  # seeds of every run, and of one that may be slow
PAST = Path(__file__).with_name("past.txt")
ROOT = Path(__file__).resolve().parents[2]


def sim(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.sim", *args],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "first",
    [
        *range(1, USUAL, PART),
        *(pytest.param(n, marks=pytest.mark.slow) for n in range(USUAL + 1, ALL, PART)),
    ],
)
def test_seeds_hold(first: int) -> None:
    """Nothing lost, nothing twice, nothing overwritten unseen, and all settled in the end."""
    done = sim("--seeds", str(PART), "--from", str(first), "--jobs", "1")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert f"{PART} seeds from {first}: 0 failed" in done.stdout


def test_past_failures_hold() -> None:
    lines = [line.split() for line in PAST.read_text(encoding="utf-8").splitlines()]
    seeds = [words[0] for words in lines if words and words[0] != "#"]
    done = sim("--past", *seeds)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_the_long_lane_keeps_every_seed_and_goes_on(tmp_path: Path) -> None:
    words = ("--nightly", "--seeds", "2", "--jobs", "1", "--into", str(tmp_path))
    done = sim(*words, "--minutes", "0.002")  # the first seed takes longer
    assert done.returncode == 1, done.stdout[-4000:] + done.stderr[-2000:]
    assert "2 seeds are left; the same command goes on" in done.stdout  # none has run twice
    (path,) = tmp_path.glob("*.jsonl")
    with path.open("ab") as file:
        file.write(b'{"seed": 2, "dig')  # killed in the middle of a line
    kept = kept_seeds(tmp_path, path.stem.rstrip("+"))
    if path != kept.path:  # files differ from the commit: such a run starts anew
        path.rename(kept.path)
        kept = kept_seeds(tmp_path, kept.path.stem)
    assert kept.told.keys() == {1}
    with kept.adding() as add:
        add(kept.told[1])
    assert kept_seeds(tmp_path, kept.path.stem).told.keys() == {1}
    assert kept.path.read_bytes().count(b"\n") == 3


def test_a_seed_is_the_same_twice() -> None:
    """In one process, and in another."""
    one = sim("--seeds", "2", "--from", "2", "--jobs", "1", "--twice", "--digests")
    other = sim("--seeds", "2", "--from", "2", "--jobs", "1", "--digests")
    assert one.returncode == 0, one.stdout + one.stderr
    digests = [line for line in one.stdout.splitlines() if line.startswith("digest ")]
    assert len(digests) == 2
    assert digests == [line for line in other.stdout.splitlines() if line.startswith("digest ")]
