"""Artefacts come back as they were kept, and a file that is none says so."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests import artefact
from tests.artefact import Figure, keep, read, read_all
from tests.bench.rig import figures_of


def test_what_is_kept_is_read(tmp_path: Path) -> None:
    figures = {"kills": Figure(50), "recovery p99": Figure(1.25, "s")}
    path = keep(
        "kill", command="python -m tests.kill", seconds=61.234, seeds=(1, 4), figures=figures,
        folder=tmp_path,
    )  # fmt: skip
    found = read(path)
    assert (found.lane, found.seconds, found.seeds) == ("kill", 61.2, (1, 4))
    assert found.figures == figures
    assert found.commit.rstrip("+").isalnum()
    plain = json.loads(path.read_text())
    assert plain["figures"]["recovery p99"] == {"value": 1.25, "unit": "s"}
    assert read_all(tmp_path) == {"kill": found}


def test_a_page_of_text_or_a_test_makes_no_long_lane_begin_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*words: str) -> None:
        named = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
        subprocess.run(["git", *named, *words], cwd=tmp_path, check=True, capture_output=True)

    def written(name: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name} {len(list(tmp_path.rglob('*')))}")
        git("add", "-A")
        git("commit", "-m", name)
        return artefact.code()

    monkeypatch.setattr(artefact, "ROOT", tmp_path)
    git("init")
    first = written("agent/engine.py")
    for name in ("README.md", "tests/artefacts/sim.json", "tests/sim/test_seeds.py",
                 "assets/help/index.html", "gui/app.py"):  # fmt: skip
        assert written(name) == first
        assert artefact.commit() != first
    (tmp_path / "README.md").write_text("changed")
    assert artefact.code() == first
    assert artefact.commit().endswith("+")
    for name in ("tests/sim/world.py", "tests/support/until.py", "drivers/odbc.py"):
        assert written(name) not in (first, "unknown")
        first = artefact.code()
    (tmp_path / "agent/engine.py").write_text("changed")
    assert artefact.code() == f"{first}+"


def test_what_is_no_artefact_says_so(tmp_path: Path) -> None:
    path = keep("load", command="x", seconds=1, figures={}, folder=tmp_path)
    path.rename(tmp_path / "other.json")
    with pytest.raises(ValueError, match="of the lane 'load'"):
        read(tmp_path / "other.json")
    (tmp_path / "other.json").write_text(json.dumps({"lane": "other", "figures": {}}))
    with pytest.raises(ValueError, match="missing required field"):
        read_all(tmp_path)


def test_a_benchs_report_becomes_figures() -> None:
    report = {"myisam": {"ms": {"all": {"n": 3, "p50": 41.23456}}, "longest_ms": 9, "rows": 5,
                         "took_s": float("nan"), "slowest": [1, 2]}, "engine": "x"}  # fmt: skip
    assert dict(figures_of(report)) == {
        "myisam ms all n": Figure(3),
        "myisam ms all p50": Figure(41.235, "ms"),
        "myisam longest_ms": Figure(9, "ms"),
        "myisam rows": Figure(5),
    }
