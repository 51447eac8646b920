"""The tray's menu: what stands there now, in the order it stands. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from agent.model.asking import Request
from agent.model.desk import Pause, Resume
from agent.model.status import State
from gui.i18n import Texts
from gui.presenter.status import StatusView


class Asking(Protocol):
    """The line, as far as the menu cares: what we may ask."""

    def may(self, kind: type[Request[Any]]) -> bool: ...


class Snoozing(Protocol):
    """The person's choices: until when notifications are off."""

    def moment(self, name: str) -> datetime | None: ...


@dataclass(frozen=True, slots=True)
class Item:
    """``text`` "" is a line between; ``do``: what ``Tray.wanted`` says."""

    do: str = ""
    text: str = ""
    is_enabled: bool = True
    items: tuple[Item, ...] = ()


LINE = Item()
PAUSES = {"pause:15": "pause.quarter", "pause:60": "pause.hour", "pause:tomorrow": "pause.tomorrow"}
SNOOZES = {
    "snooze:60": "snooze.hour",
    "snooze:240": "snooze.hours",
    "snooze:tomorrow": "snooze.tomorrow",
}


def menu_items(
    view: StatusView, link: Asking, prefs: Snoozing, now: datetime, texts: Texts
) -> tuple[Item, ...]:
    def say(key: str, **facts: str | int) -> str:
        return texts(f"menu.{key}", **facts)

    is_there = view.state not in {State.UNREACHABLE, State.NOT_SET_UP}
    items = [Item("", view.head, is_enabled=False), Item("open", say("open"))]
    if view.state is State.NOT_SET_UP:
        items.append(Item("setup", say("setup")))
    if view.to_review:
        items.append(Item("review", say("review", n=view.to_review)))
    items.append(Item("sync", say("sync"), is_enabled=is_there and view.state is not State.PAUSED))
    if view.state is State.PAUSED:
        items.append(Item("resume", say("resume"), is_enabled=link.may(Resume)))
    else:
        choices = tuple(Item(do, say(key)) for do, key in PAUSES.items())
        may = is_there and link.may(Pause)
        items.append(
            Item(text=say("pause.title"), items=choices)
            if may
            else Item("pause", say("pause.title"), is_enabled=False)
        )
    until = prefs.moment("notify/snoozed")
    if until is not None and until > now:
        items.append(Item("snooze:off", say("snooze.off", until=texts.when(until, now))))
    else:
        choices = tuple(Item(do, say(key)) for do, key in SNOOZES.items())
        items.append(Item(text=say("snooze.title"), items=choices))
    items += [
        LINE,
        Item("settings", say("settings")),
        Item("help", say("help")),
        Item("support", say("support")),
        Item("about", say("about")),
        Item("close", say("close")),
    ]
    return tuple(items)
