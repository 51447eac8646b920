"""A long run is cut, kept, gone on with and added up; no server is needed for that."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.two_sided import Wrong
from tests.kill import __main__ as command
from tests.kill import parts as room
from tests.kill.lane import ACTS, Outcome
from tests.kill.parts import Part, figures, kept_parts, plan, side_by_side, summary
from tests.kill.rig import ENGINES


def made(part: Part) -> Outcome:
    """Stands in for a part's minutes with real servers."""
    return Outcome(
        part.engine, part.seed, part.kills, part.patients, kills=part.kills, seconds=10.0,
        asked=Counter(applied=3, rejected=1), restored=Counter(part.acts[:1]),
        ended=Counter({"3": 1}), quiet_s=[1.5],
        wrong=[Wrong("lost", "a")] if part.seed == 99 else [],
    )  # fmt: skip


def test_fifty_kills_are_one_seed_on_three_engines_each_with_another_copy_put_back() -> None:
    parts = plan(50, seed=1)
    assert [(part.engine, part.seed, part.kills) for part in parts] == [
        ("myisam", 1, 17), ("innodb", 1, 17), ("postgres", 1, 16),
    ]  # fmt: skip
    assert {part.acts[0] for part in parts} == set(ACTS)


def test_a_long_run_goes_seed_by_seed() -> None:
    parts = plan(2000, seed=5)
    assert sum(part.kills for part in parts) == 2000
    assert max(part.kills for part in parts) == 50
    assert [part.engine for part in parts[:6]] == [*ENGINES, *ENGINES]
    assert [part.seed for part in parts[:6]] == [5, 5, 5, 6, 6, 6]
    assert len({(part.engine, part.seed) for part in parts}) == len(parts)
    # A larger goal needs nothing again but what was cut short.
    assert {part for part in plan(600, seed=5) if part.kills == 50} <= set(parts)


def test_an_outcome_is_read_as_it_was_kept(tmp_path: Path) -> None:
    kept = kept_parts(tmp_path, "abc")
    outcome = made(Part("innodb", 99, 50))
    with kept.adding() as add:
        add(outcome)
    assert kept_parts(tmp_path, "abc").told == {Part("innodb", 99, 50): outcome}
    assert kept_parts(tmp_path, "abd").told == {}


def test_parts_run_in_processes_and_none_is_begun_too_late() -> None:
    parts = plan(50, seed=1)
    assert {o.engine for o in side_by_side(parts, jobs=2, work=made)} == set(ENGINES)
    assert list(side_by_side(parts, jobs=2, work=made, until=0.0)) == []


@pytest.fixture
def no_servers(monkeypatch: pytest.MonkeyPatch) -> list[Part]:
    """The command without its servers; the parts it has run."""
    ran: list[Part] = []

    def run(parts: list[Part], *, jobs: int, until: float) -> list[Outcome]:
        ran.extend(parts[:4] if until < float("inf") else parts)
        return [made(part) for part in ran]

    monkeypatch.setattr(command, "side_by_side", run)
    monkeypatch.setattr(command, "code", lambda: "abc")
    return ran


def test_a_long_run_goes_on_where_it_stopped(
    no_servers: list[Part], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    kept: list[dict[str, object]] = []
    monkeypatch.setattr(command, "keep", lambda lane, **what: kept.append(what))
    words = ["--long", "--kills", "300", "--into", str(tmp_path), "--keep"]
    assert command.main([*words, "--minutes", "1"]) == 1
    assert "2 of 6 parts are left; the same command goes on" in capsys.readouterr().out
    assert kept == []
    no_servers.clear()
    assert command.main(words) == 0
    assert len(no_servers) == 2
    assert "300 kills, seeds 1 to 2: 0 lost, 0 twice" in capsys.readouterr().out
    (artefact,) = kept
    assert (artefact["ran"], artefact["seconds"], artefact["seeds"]) == ("abc", 60.0, (1, 2))


def test_nothing_is_kept_of_a_checkout_that_moved_on(
    no_servers: list[Part], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = iter(["abc", "abd", "abd"])
    monkeypatch.setattr(command, "code", lambda: next(commits))
    monkeypatch.setattr(command, "keep", lambda *_, **__: pytest.fail("kept"))
    assert command.main(["--keep"]) == 0
    assert "not kept: the checkout was abc when this began" in capsys.readouterr().out


def test_what_is_wrong_makes_the_run_red(
    no_servers: list[Part], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--seed", "99"]) == 1
    assert "50 kills, seeds 99 to 99: 3 lost, 0 twice" in capsys.readouterr().out


def test_parts_are_added_up_and_each_is_named() -> None:
    found = figures([made(part) for part in plan(300, seed=1)])
    assert found["kills"].value == 300
    assert found["kills, innodb"].value == 100
    assert found["requests of the CRM"].value == 24
    assert found["part postgres, seed 2"].value == 50
    assert sum(f.value for name, f in found.items() if name.startswith("part ")) == 300
    assert [found[f"{act} restored"].value for act in ACTS] == [2, 2, 2]


def test_a_part_broken_off_is_said() -> None:
    broken = Outcome("myisam", 1, wrong=[Wrong("broken off", "TimeoutError: never offered")])
    assert "1 parts broken off" in summary([broken], 1.0)
    assert figures([broken])["parts broken off"].value == 1


def test_a_part_that_raises_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(*_: object, **__: object) -> None:
        raise TimeoutError("never offered")

    monkeypatch.setattr("tests.kill.lane.make", make)
    outcome = room.run_part(Part("myisam", 1, 5))
    assert outcome.wrong == [Wrong("broken off", "TimeoutError: never offered")]
