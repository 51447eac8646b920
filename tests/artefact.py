"""What a lane of tests measured, kept as one small JSON file under ``tests/artefacts/``.

``RELIABILITY.md`` is made from these files and from nothing else (``python -m tests.reliability``).
A lane calls ``keep`` when it was asked to (``--keep``), never by itself: an ordinary run of the
tests must not change the checkout.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "tests" / "artefacts"
_NOT_CODE = ":!tests/artefacts"
_RUN = (
    "agent", "drivers", "assets", "requirements.lock", "tests",
    _NOT_CODE, ":!assets/help", ":(exclude,glob)tests/**/test_*.py",
)  # fmt: skip


class Figure(NamedTuple):
    """One number of a lane; ``unit`` as shown to people: "s", "ms", "MB"; "" for a count."""

    value: float
    unit: str = ""


class Artefact(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one lane. ``lane`` is the file's name: sim, kill, load, bench-latency ..."""

    lane: str
    command: str
    """What to type to run it again."""
    commit: str
    """Short hash; with "+" behind it where files differed from that commit."""
    date: str
    """Day of the run's end, UTC, as 2026-11-29."""
    seconds: float
    machine: str
    seeds: tuple[int, int] | None
    """First and last; None where chance has no part."""
    figures: dict[str, Figure]


def keep(
    lane: str,
    *,
    command: str,
    seconds: float,
    figures: Mapping[str, Figure | tuple[float, str]],
    seeds: tuple[int, int] | None = None,
    ran: str | None = None,
    folder: Path | None = None,
) -> Path:
    """Write ``<lane>.json``, in place of an earlier one; where it is now. ``ran``: the commit that
    ran, where the checkout may have moved on meanwhile. ``folder``: elsewhere than ``FOLDER``."""
    folder = folder or FOLDER
    made = Artefact(
        lane=lane,
        command=command,
        commit=ran or commit(),
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        seconds=round(seconds, 1),
        machine=_machine(),
        seeds=seeds,
        figures={name: Figure(*figure) for name, figure in figures.items()},
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{lane}.json"
    path.write_text(json.dumps(_plain(made), indent=1) + "\n", encoding="utf-8")
    return path


def read(path: Path) -> Artefact:
    """The artefact in a file. ValueError says what is wrong with it."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    figures = {name: [f["value"], f["unit"]] for name, f in found.pop("figures").items()}
    try:
        made = msgspec.convert({**found, "figures": figures}, Artefact)
    except msgspec.ValidationError as error:
        raise ValueError(f"{path.name}: {error}") from None
    if made.lane != path.stem:
        raise ValueError(f"{path.name}: is of the lane {made.lane!r}")
    return made


def read_all(folder: Path = FOLDER) -> dict[str, Artefact]:
    """Every artefact kept, by lane."""
    return {path.stem: read(path) for path in sorted(folder.glob("*.json"))}


def _plain(made: Artefact) -> dict[str, Any]:
    return {
        **msgspec.structs.asdict(made),
        "figures": {name: figure._asdict() for name, figure in made.figures.items()},
    }


def commit() -> str:
    """Short hash of what is checked out; with "+" behind it where files differ from it."""
    return _marked(_git("rev-parse", "--short=9", "HEAD"), (".", _NOT_CODE))


def code() -> str:
    """As ``commit``, of the last one that changed what a lane of many hours runs: what it found
    stays true when a text, a test of its own or a figure is committed meanwhile."""
    return _marked(_git("log", "-1", "--abbrev=9", "--format=%h", "--", *_RUN), _RUN)


def _marked(name: str, paths: Sequence[str]) -> str:
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", *paths)
    return (name or "unknown") + ("+" if changed else "")


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _machine() -> str:
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {gib:.0f} GiB, Python {platform.python_version()}"
