"""What a conflict's values alone suggest."""

from __future__ import annotations

from typing import Any

import pytest

from gui.presenter.suggest import suggestion


@pytest.mark.parametrize(
    ("pms", "crm", "side", "why"),
    [
        ("", "12 Elm St", "crm", "empty"),
        ("12 Elm St", None, "pms", "empty"),
        ("12 ELM  ST", "12 Elm St", "pms", "alike"),
        ("12 Elm St", "12 Elm St, rear", "crm", "more"),
        ("12 Elm St, rear", "12 Elm St", "pms", "more"),
        (["a@x.example"], ["b@x.example"], "merged", "lists"),
        ([], ["b@x.example"], "crm", "empty"),
        (0, None, "pms", "empty"),
    ],
)
def test_one_side_is_probably_meant(pms: Any, crm: Any, side: str, why: str) -> None:
    assert suggestion(pms, crm) == (side, why)


@pytest.mark.parametrize(("pms", "crm"), [("Elm", "Oak"), (1, 2), (True, False), ("", None)])
def test_where_the_values_say_nothing_nobody_suggests(pms: Any, crm: Any) -> None:
    assert suggestion(pms, crm) is None
