"""Which side of a conflict is probably meant, by the values alone. Pure; it never decides.

Which of two edits is newer is no reason: the clocks are two.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Suggestion(NamedTuple):
    """``side``: pms | crm | merged; ``why``: word of the texts."""

    side: str
    why: str


def suggestion(pms: Any, crm: Any) -> Suggestion | None:
    """None where the values say nothing."""
    if isinstance(pms, list) and isinstance(crm, list) and pms and crm:
        return Suggestion("merged", "lists")
    if _is_empty(pms) != _is_empty(crm):
        return Suggestion("crm" if _is_empty(pms) else "pms", "empty")
    if not isinstance(pms, str) or not isinstance(crm, str):
        return None
    here, there = _plain(pms), _plain(crm)
    if here == there:
        return Suggestion("pms", "alike")
    if here and there and (here in there or there in here):
        return Suggestion("pms" if there in here else "crm", "more")
    return None


def _is_empty(value: Any) -> bool:
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
