"""The one button of a message: what it says and where it leads. Pure.

The catalogue says both (``button``, ``go``). What changes something asks back first, and that is
done at the finding itself: elsewhere its button leads there.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from agent.support.messages import Message

DEED = "do"
START = (DEED, "start")


@dataclass(frozen=True, slots=True)
class Offer:
    """``go``: tab and place, or ``START``."""

    label: str
    go: tuple[str, str]


def place_of(message: Message) -> tuple[str, str]:
    """``setup:pms`` as ("setup", "pms")."""
    tab, _, place = message.go.partition(":")
    return tab, place


def offer(message: Message, tabs: Collection[str], *, may_start: bool = False) -> Offer | None:
    """For a passing line or a notification; None where nothing here helps."""
    go = place_of(message)
    if go == START:
        return Offer(message.button, go) if may_start else None
    if go[0] == DEED:
        return Offer(message.button, ("overview", message.code)) if "overview" in tabs else None
    return Offer(message.button, go) if message.button and go[0] in tabs else None
