"""Many people in little memory: found by what they share, forgotten when they leave."""

from __future__ import annotations

import sys

import pytest

from agent.sync.crowd import Crowd
from agent.sync.likeness import Person

MANY = 30_000  # more than are kept unsorted


def person(number: int) -> Person:
    return Person(
        str(number), f"Name{number}", "Ada", "", "1980-01-01", (f"+1214{number:07d}",), (),
        f"name{number}", "ada",
    )  # fmt: skip


@pytest.fixture(scope="module")
def crowd() -> Crowd:
    made = Crowd()
    for number in range(MANY):
        made.add(person(number), iter([number // 3, f"only {number}"]))
    return made


def test_everybody_is_found_by_every_mark(crowd: Crowd) -> None:
    for number in (0, 1, 4097, 8192, MANY - 1):
        assert str(number) in crowd.sharing(iter([f"only {number}"]))
        family = {str(n) for n in range(MANY) if n // 3 == number // 3}
        assert family <= crowd.sharing(iter([number // 3]))
        assert crowd[str(number)] == person(number)


def test_strangers_are_not_named(crowd: Crowd) -> None:
    assert len(crowd.sharing(iter([7, "only 9000"]))) < 8
    assert crowd.sharing(iter(["nobody's"])) == set()
    assert "404404" not in crowd
    with pytest.raises(KeyError):
        crowd["404404"]


def test_who_left_is_named_no_more_and_may_come_back(crowd: Crowd) -> None:
    crowd.discard("12000")
    crowd.discard("404404")
    assert "12000" not in crowd.sharing(iter(["only 12000"]))
    assert len(crowd) == MANY - 1
    crowd.add(person(12_000), iter(["under another"]))
    assert "12000" not in crowd.sharing(iter(["only 12000"]))
    assert crowd.sharing(iter(["under another"])) == {"12000"}
    with pytest.raises(ValueError, match="already"):
        crowd.add(person(12_000), iter([]))


def test_a_person_costs_a_few_hundred_bytes(crowd: Crowd) -> None:
    packed = sum(sys.getsizeof(one) for one in crowd._packed)
    marks = sys.getsizeof(crowd._sorted) + 200 * crowd._loose_count
    keys = sys.getsizeof(crowd._place_of) + 60 * len(crowd)
    assert (packed + marks + keys) / len(crowd) < 500
