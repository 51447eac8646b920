"""What the switches say now and whether booking is suspended: kept in the journal's marks.

A restart forgets nothing: the CRM's last word and the desk's stay until they are changed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

import msgspec
import structlog

from agent.journal.journal import Journal
from agent.model.desk import Canary, SafetyMode, SafetyView
from agent.ports import Clock
from agent.sync.switches import FILE, Switch, Switches, strictest

log = structlog.get_logger(__name__)

_SWITCH = "safety:"
_SUSPENDED = "booking:suspended"


class _Suspension(msgspec.Struct, frozen=True):
    code: str
    at: datetime


class Safety:
    """Thread-safe. ``on_change`` is called after the switches or the suspension changed.

    ``live``: message code of a trouble that suspends booking while it lasts, or None; asked anew
    each time, kept nowhere.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        *,
        live: Callable[[], str | None],
        on_change: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._live = live
        self._on_change = on_change
        self._lock = threading.Lock()
        marks = journal.marks(_SWITCH)
        self._said = {
            name.removeprefix(_SWITCH): msgspec.json.decode(text, type=Switch)
            for name, text in marks.items()
            if text
        }
        self._now = strictest(self._said)
        held = journal.mark(_SUSPENDED)
        self._suspension = msgspec.json.decode(held, type=_Suspension) if held else None

    @property
    def now(self) -> Switches:
        return self._now

    def say(self, place: str, switch: Switch, actor: str) -> None:
        """One place changes its word. Nothing happens when it says the same again."""
        with self._lock:
            if self._said.get(place, Switch()) == switch:
                return
            if place != FILE:  # the settings are read at every start
                text = msgspec.json.encode(switch).decode()
                with self._journal.turn() as turn:
                    turn.set_mark(_SWITCH + place, text)
                    turn.audit("safety.switched", _facts(place, switch, actor))
                    turn.note("safety.switched", None, 1, {"mode": switch.mode.value})
            else:
                with self._journal.turn() as turn:
                    turn.audit("safety.switched", _facts(place, switch, actor))
            self._said[place] = switch
            self._now = strictest(self._said)
        log.warning("safety.switched", place=place, mode=switch.mode.value)
        self._on_change()

    # -- booking ----------------------------------------------------------------------------------

    @property
    def suspended(self) -> str | None:
        """Message code of why nothing may be booked now, or None."""
        held = self._suspension
        return held.code if held is not None else self._live()

    @property
    def latched(self) -> str | None:
        """The part of it that a person must clear."""
        held = self._suspension
        return None if held is None else held.code

    def suspend(self, code: str, actor: str = "agent") -> None:
        """Until a person clears it. The first reason stays."""
        with self._lock:
            if self._suspension is not None:
                return
            held = _Suspension(code, self._clock.now())
            with self._journal.turn() as turn:
                turn.set_mark(_SUSPENDED, msgspec.json.encode(held).decode())
                turn.audit("booking.suspended", {"code": code, "actor": actor})
                turn.note("booking.suspended", None, 1, {"code": code})
            self._suspension = held
        log.error("booking.suspended", code=code)
        self._on_change()

    def clear(self, actor: str) -> None:
        with self._lock:
            if self._suspension is None:
                return
            with self._journal.turn() as turn:
                turn.set_mark(_SUSPENDED, "")
                turn.audit("booking.cleared", {"actor": actor})
                turn.note("booking.cleared", None, 1)
            self._suspension = None
        log.warning("booking.cleared")
        self._on_change()

    # -- for people -------------------------------------------------------------------------------

    def view(self) -> SafetyView:
        held = self._suspension
        own = self._said.get("desk", Switch()).canary
        listed = [s.canary for s in self._said.values() if s.canary != Canary()]
        return SafetyView(
            mode=self._now.mode,
            canary=own if own != Canary() or not listed else listed[0],
            sources={place: switch.mode for place, switch in sorted(self._said.items())},
            suspended=self.suspended or "",
            suspended_at=None if held is None else held.at,
        )

    def desk_switch(self, mode: SafetyMode, canary: Canary | None) -> Switch:
        """The desk's next word: ``canary`` None keeps its lists."""
        held = self._said.get("desk", Switch())
        return Switch(mode, held.canary if canary is None else canary)


def _facts(place: str, switch: Switch, actor: str) -> dict[str, str | int | float]:
    return {
        "place": place,
        "mode": switch.mode.value,
        "operatories": len(switch.canary.operatories),
        "providers": len(switch.canary.providers),
        "patients": len(switch.canary.patients),
        "actor": actor,
    }
