"""The safety switches: how much the agent may write, and who said so. Pure; no I/O.

Three places may say it: the CRM's configuration ("crm"), the settings ("file"), a person at the
desk ("desk"). The strictest holds; a canary list of one place cannot be widened by another.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from agent.model.commands import CommandType, Reason
from agent.model.desk import Canary, SafetyMode
from agent.model.reading import Key

CRM, FILE, DESK = "crm", "file", "desk"


class Scope(msgspec.Struct, frozen=True):
    """What a command would touch: PMS keys as text. ``is_newcomer``: somebody new as well, whose
    key nobody knows yet."""

    operatories: frozenset[str] = frozenset()
    providers: frozenset[str] = frozenset()
    patients: frozenset[str] = frozenset()
    is_newcomer: bool = False

    def joined(self, other: Scope) -> Scope:
        return Scope(
            self.operatories | other.operatories,
            self.providers | other.providers,
            self.patients | other.patients,
            self.is_newcomer or other.is_newcomer,
        )


class Switch(msgspec.Struct, frozen=True):
    """What one place says."""

    mode: SafetyMode = SafetyMode.NORMAL
    canary: Canary = Canary()


class Switches(msgspec.Struct, frozen=True):
    """What holds now. ``canaries``: of every place that lists any; each must allow a write."""

    mode: SafetyMode = SafetyMode.NORMAL
    canaries: tuple[Canary, ...] = ()


def strictest(said: Mapping[str, Switch]) -> Switches:
    """``said``: place -> its word. A place whose lists name anything counts as canary at least; a
    canary without lists lets nothing through."""
    mode = SafetyMode.NORMAL
    canaries: list[Canary] = []
    for place in sorted(said):
        switch = said[place]
        own = switch.mode
        listed = _names_anything(switch.canary)
        if own is SafetyMode.NORMAL and listed:
            own = SafetyMode.CANARY
        if own is SafetyMode.CANARY or listed:
            canaries.append(switch.canary)
        mode = max(mode, own, key=lambda m: m.strictness)
    return Switches(mode, tuple(canaries))


def of_crm(told: Mapping[str, Any]) -> Switch:
    """``AgentConfig.switches``: kill, read_only, dry_run, canary."""
    listed = told.get("canary") or {}

    def keys(name: str) -> tuple[str, ...]:
        return tuple(str(key) for key in listed.get(name) or ())

    canary = Canary(keys("operatories"), keys("providers"), keys("patients"))
    if told.get("kill"):
        return Switch(SafetyMode.STOPPED, canary)
    if told.get("read_only"):
        return Switch(SafetyMode.READ_ONLY, canary)
    if told.get("dry_run"):
        return Switch(SafetyMode.DRY_RUN, canary)
    return Switch(SafetyMode.CANARY if _names_anything(canary) else SafetyMode.NORMAL, canary)


def of_settings(mode: str, operatories: str, providers: str, patients: str) -> Switch:
    """The ``safety.*`` settings; the lists (keys, commas) are heeded in canary mode only."""
    chosen = SafetyMode(mode)
    if chosen is not SafetyMode.CANARY:
        return Switch(chosen)
    return Switch(chosen, Canary(_keys(operatories), _keys(providers), _keys(patients)))


def _keys(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _names_anything(canary: Canary) -> bool:
    return bool(canary.operatories or canary.providers or canary.patients)


def allows(canary: Canary, scope: Scope) -> bool:
    """A write must touch at least one list, and whatever it touches of a list must stand there. A
    new person stands in no list of patients."""
    if scope.is_newcomer and canary.patients:
        return False
    pairs = (
        (frozenset(canary.operatories), scope.operatories),
        (frozenset(canary.providers), scope.providers),
        (frozenset(canary.patients), scope.patients),
    )
    concerned = [(listed, touched) for listed, touched in pairs if listed and touched]
    return bool(concerned) and all(touched <= listed for listed, touched in concerned)


#: commands that write nothing to the PMS; no switch but the kill switch stops them
HARMLESS = frozenset({CommandType.RESYNC, CommandType.DIAGNOSTICS, CommandType.FORGET})
#: commands that take a place on the schedule; not offered while booking is suspended
BOOKING = frozenset({CommandType.APPOINTMENT_BOOK, CommandType.APPOINTMENT_RESCHEDULE})


def refusal(switches: Switches, command_type: CommandType, scope: Scope | None) -> Reason | None:
    """Why this command must not be done, or None. ``scope`` None: not known yet, the canary is
    asked later. STOPPED and DRY_RUN are no refusals: the first holds the command back, the second
    is answered when the plan is known."""
    if command_type in HARMLESS:
        return None
    if switches.mode is SafetyMode.READ_ONLY:
        return Reason.POLICY_BLOCKED
    if scope is not None and not all(allows(canary, scope) for canary in switches.canaries):
        return Reason.POLICY_BLOCKED
    return None


def scope_of(
    *,
    operatories: Collection[Key | str | None] = (),
    providers: Collection[Key | str | None] = (),
    patients: Collection[Key | str | None] = (),
) -> Scope:
    """None is left out."""
    return Scope(_texts(operatories), _texts(providers), _texts(patients))


def _texts(keys: Collection[Key | str | None]) -> frozenset[str]:
    return frozenset(str(key) for key in keys if key)
