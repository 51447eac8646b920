"""Properties in two sizes: a few hundred cases in every run, 10,000 and more in the slow lane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FEW = 100
MANY = 10_000

Check = Callable[..., None]


def _sized(check: Check, strategies: dict[str, st.SearchStrategy[Any]], examples: int) -> Check:
    sized = settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )(given(**strategies)(check))
    assert callable(sized)
    return sized


def holds(few: int = FEW, **strategies: st.SearchStrategy[Any]) -> Callable[[Check], Check]:
    """Turn a check into a test over ``few`` cases; ``run_many`` runs it over MANY."""

    def wrap(check: Check) -> Check:
        test = _sized(check, strategies, few)
        test.check, test.strategies = check, strategies  # type: ignore[attr-defined]
        return test

    return wrap


def run_many(test: Check, examples: int = MANY) -> None:
    """The same property, ``examples`` cases."""
    _sized(test.check, test.strategies, examples)()  # type: ignore[attr-defined]
