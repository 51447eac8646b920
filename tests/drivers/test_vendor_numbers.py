"""Numbers of a site are proven by its rows, or left unknown."""

from __future__ import annotations

import pytest

from agent.errors import PmsDrift
from drivers.dentrix.asks import length_note
from drivers.dentrix.numbers import status_type, time_encodings
from drivers.dentrix.source import refuse_unreadable
from drivers.odbc.login import OdbcLogin


def test_the_list_with_the_makers_names_is_the_list_of_statuses() -> None:
    rows = [(19, "??????"), (19, "FIRM"), (19, "here "), (19, "Our own"), (4, "READY"), (None, "x")]
    assert status_type(rows) == 19
    assert status_type(rows[:2]) is None  # two names may be chance
    both = [(kind, name) for kind in (3, 4) for name in ("FIRM", "HERE", "LMM")]
    assert status_type(both) is None
    assert status_type([]) is None


@pytest.mark.parametrize(
    ("values", "fits"),
    [
        ([480, 575, 1020], ("minutes",)),
        ([800, 1430, 1730], ("hhmm",)),
        ([28800, 61200], ("seconds",)),
        ([600, 720], ("minutes", "hhmm", "seconds")),  # proves nothing: each would do
        ([0, 0], ()),
        ([90_000], ()),
    ],
)
def test_ways_a_time_may_be_kept(values: list[int], fits: tuple[str, ...]) -> None:
    assert time_encodings(values) == fits


def test_lengths_say_which_units_fit() -> None:
    assert length_note([30, 60, 90]).endswith("1 or 5")
    assert length_note([2, 6, 12]).endswith("5 or 10 or 15")
    assert "none fits" in length_note([1, 700])
    assert length_note([0]) == "prove nothing"


@pytest.mark.parametrize(
    ("connection", "version", "code"),
    [
        ("DRIVER={x};HOST=https://api.dentrixascend.com", 0.0, "pms.dentrix_cloud"),
        ("DRIVER={c-treeACE ODBC Driver};HOST=srv", 14.9, "pms.dentrix_too_old"),
    ],
)
def test_editions_that_are_not_read(connection: str, version: float, code: str) -> None:
    with pytest.raises(PmsDrift) as refused:
        refuse_unreadable(OdbcLogin(connection=connection), version)
    assert refused.value.code == code


def test_g6_is_read() -> None:
    refuse_unreadable(OdbcLogin(connection="DRIVER={c-treeACE ODBC Driver};HOST=srv"), 16.2)
    refuse_unreadable(OdbcLogin(connection="DRIVER={c-treeACE ODBC Driver};HOST=srv"), 0.0)
