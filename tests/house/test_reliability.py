"""RELIABILITY.md is what its generator makes of the artefacts, and says what was not measured."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from tests.artefact import Artefact, Figure, read_all
from tests.kill.lane import Outcome
from tests.kill.parts import figures as kill_figures
from tests.kill.rig import ENGINES
from tests.load.__main__ import figures as load_figures
from tests.load.test_load import OFFLINE, STEADY
from tests.reliability.__main__ import FILE
from tests.reliability.document import NOT_MEASURED, document, ours, spelled
from tests.reliability.lanes import LANES, run
from tests.reliability.scoreboard import SCOREBOARD, Part, Row


def artefact(lane: str, **figures: Figure) -> Artefact:
    named = {name.replace("_", " "): figure for name, figure in figures.items()}
    return Artefact(
        lane=lane, command=f"python -m tests.{lane}", commit="abc1234", date="2026-11-29",
        seconds=61.0, machine="2 cores", seeds=(1, 9), figures=named,
    )  # fmt: skip


def test_the_committed_file_is_what_the_generator_makes() -> None:
    assert FILE.read_text(encoding="utf-8") == document(read_all()), (
        "run: python -m tests.reliability"
    )


def test_figures_come_with_their_command_seeds_commit_and_date() -> None:
    text = document({"kill": artefact("kill", lost=Figure(0), kills=Figure(2000))})
    (line,) = [line for line in text.splitlines() if line.startswith("| Lost records")]
    assert "0 lost in 2,000 kills" in line
    assert "kill (seeds 1-9, abc1234, 2026-11-29)" in line
    assert "`python -m tests.kill`" in text


def test_what_no_lane_kept_is_not_measured() -> None:
    text = document({})
    assert text.count(NOT_MEASURED) == len(SCOREBOARD)
    row = Row("x", "", "", (Part("kill", "{lost} lost"),))
    assert ours(row, {"kill": artefact("kill", kills=Figure(5))}) == NOT_MEASURED


def test_numbers_are_spelled_for_people() -> None:
    assert spelled(Figure(2000)) == "2,000"
    assert spelled(Figure(3.0, "min")) == "3 min"
    assert spelled(Figure(1.25, "s")) == "1.25 s"


def test_no_measured_number_is_typed_into_the_scoreboard() -> None:
    for row in SCOREBOARD:
        for part in row.ours:
            assert not re.search(r"\d", re.sub(r"\{[^}]*\}|p50|p99|kill -9", "", part.text)), part


MADE_NOW = {  # what a lane's code makes today; what was kept may be older
    "kill": set(kill_figures([Outcome(engine, 1, quiet_s=[1.0]) for engine in ENGINES])),
    "load": set(load_figures({"steady": dict.fromkeys(STEADY, 1), "offline": OFFLINE})),
}


def test_every_lane_named_by_the_scoreboard_knows_its_figures() -> None:
    """A figure's name that a lane does not know would read as not measured for ever."""
    made = {lane: set(kept.figures) for lane, kept in read_all().items()} | MADE_NOW
    for row in SCOREBOARD:
        for part in row.ours:
            if part.lane in made:
                names = set(re.findall(r"\{([^}]*)\}", part.text))
                assert names <= made[part.lane], (part.lane, row.figure)


def test_the_success_rate_comes_from_the_load_lane() -> None:
    (row,) = [row for row in SCOREBOARD if row.figure == "Success rate"]
    rounds = {**dict.fromkeys(STEADY, 1), "rounds": 6000, "rounds_failed": 3}
    held = msgspec.structs.replace(artefact("load"), figures=load_figures({"steady": rounds}))
    assert ours(row, {"load": held}).startswith("99.95 % of 6,000 rounds")


def test_every_lane_of_tests_answers_a_row() -> None:
    assert set(LANES) <= {part.lane for row in SCOREBOARD for part in row.ours}


def test_a_lane_that_did_not_run_keeps_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tests.artefact.FOLDER", tmp_path)
    monkeypatch.setitem(LANES, "audit", LANES["audit"]._replace(only="no such test"))
    assert run("audit", keep=True) != 0
    assert list(tmp_path.iterdir()) == []


def test_the_folder_holds_artefacts_only() -> None:
    """And what the long lane goes on from, in a folder of its own."""
    folder = Path(__file__).parents[1] / "artefacts"
    assert [p.name for p in folder.iterdir() if p.suffix != ".json"] in ([], ["sittings"])
    assert all(p.suffix == ".json" for p in folder.glob("sittings/*"))
