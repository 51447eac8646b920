"""The oscillation breaker: what goes back and forth is stopped, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import strategies as st

from agent.journal.pulled import EffectRow, EffectState, UndoState
from agent.model.effects import Effect, EffectKind
from agent.model.streams import Stream
from agent.sync.loops import looping_fields
from tests.sync.properties import holds, run_many

NOW = datetime(2027, 3, 10, 12, tzinfo=UTC)


def effect(
    number: int, before: dict[str, Any], after: dict[str, Any], minutes_ago: float = 1.0,
    state: EffectState = EffectState.VERIFIED,
) -> EffectRow:  # fmt: skip
    made = Effect(EffectKind.UPDATE_PATIENT, Stream.PATIENT, 1, after)
    return EffectRow(
        number, b"%16d" % number, None, "g", made, before, after, None, state,
        UndoState.ARMED, 1, None, "agent",
        NOW - timedelta(minutes=minutes_ago), None, "", None,
    )  # fmt: skip


def again(times: int, minutes_ago: float = 1.0, **more: Any) -> list[EffectRow]:
    """We wrote b over a, each time, because somebody put a back."""
    return [effect(n, {"f": "a"}, {"f": "b"}, minutes_ago, **more) for n in range(times)]


def loops(past: list[EffectRow], before: Any = "a", after: Any = "b") -> frozenset[str]:
    return looping_fields(past, {"f": before}, {"f": after}, NOW)


def test_the_third_return_breaks_the_loop() -> None:
    assert loops(again(0)) == set()
    assert loops(again(1)) == set()  # a b a b: two returns
    assert loops(again(2)) == {"f"}


def test_two_commands_that_toggle_are_a_loop_too() -> None:
    past = [effect(n, {"f": "ab"[n % 2]}, {"f": "ba"[n % 2]}) for n in range(3)]
    assert loops(past[:2], "a", "b") == set()
    assert loops(past, "b", "a") == {"f"}


def test_only_what_happened_lately_counts() -> None:
    assert loops(again(5, minutes_ago=10.01)) == set()
    assert loops(again(5, minutes_ago=9.99)) == {"f"}
    assert loops(again(5, state=EffectState.FAILED)) == set()
    assert loops(again(5, state=EffectState.UNKNOWN)) == {"f"}
    assert loops(list(reversed(again(2)))) == {"f"}


def test_an_edit_after_edit_is_no_loop() -> None:
    past = [effect(n, {"f": str(n)}, {"f": str(n + 1)}) for n in range(9)]
    assert loops(past, "9", "10") == set()


def test_each_field_by_itself() -> None:
    past = [effect(n, {"f": "a", "g": str(n)}, {"f": "b", "g": str(n + 1)}) for n in range(3)]
    found = looping_fields(past, {"f": "a", "g": "3"}, {"f": "b", "g": "4"}, NOW)
    assert found == {"f"}
    assert looping_fields(past, {"g": "3"}, {"g": "4"}, NOW) == set()


def test_own_fields_are_told_apart() -> None:
    past = [effect(n, {"custom": {"A": "1", "B": str(n)}}, {"custom": {"A": "2", "B": str(n + 1)}})
            for n in range(3)]  # fmt: skip
    before, after = {"custom": {"A": "1", "B": "3"}}, {"custom": {"A": "2", "B": "4"}}
    assert looping_fields(past, before, after, NOW) == {"custom.A"}


def test_empty_and_absent_are_one_value() -> None:
    past = [effect(n, {}, {"f": "b"}) for n in range(2)]
    assert looping_fields(past, {"f": None}, {"f": "b"}, NOW) == {"f"}


@holds(
    values=st.lists(st.sampled_from("abcd"), min_size=2, max_size=12),
    ages=st.lists(st.integers(0, 15), min_size=12, max_size=12),
    data=st.data(),
)
def test_returns_are_counted_as_by_hand(values: list[str], ages: list[int], data: Any) -> None:
    """Each step writes the next value over the one before it."""
    ages = sorted(ages, reverse=True)
    past = [
        effect(n, {"f": values[n]}, {"f": values[n + 1]}, ages[n]) for n in range(len(values) - 2)
    ]
    recent = [values[n : n + 2] for n in range(len(values) - 2) if ages[n] <= 10]
    line = [value for pair in [*recent, values[-2:]] for value in pair]
    told = [v for n, v in enumerate(line) if n == 0 or v != line[n - 1]]
    returns = sum(v in told[:n] for n, v in enumerate(told))
    mixed = data.draw(st.permutations(past))
    found = looping_fields(mixed, {"f": values[-2]}, {"f": values[-1]}, NOW)
    assert found == ({"f"} if returns >= 3 else set())


@pytest.mark.slow
def test_ten_thousand_cases() -> None:
    run_many(test_returns_are_counted_as_by_hand)
