"""Who may call what: office version, mode of the API, permissions of the developer key. Pure.

Tiers and their methods as on the vendor's permission page (about 24.4); page sizes, throttles and
ports by mode. Imports nothing of ours.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

MAX_BODY_CHARS = 16_800_000


class Permission(StrEnum):
    READ_ALL = "ReadAll"
    COMM = "Comm"
    DOCUMENTS = "Documents"
    APPOINTMENTS = "Appointments"
    PATIENTS = "Patients"
    ALL_OTHERS = "AllOthers"
    PROCEDURE_LOGS = "ProcedureLogs"
    SETUP = "Setup"
    QUERIES = "Queries"
    ENTERPRISE = "Enterprise"


class Tier(StrEnum):
    """What the developer key was bought with."""

    READ = "read"  # free
    COMM = "comm"  # 15 dollars: communication, documents, set-up
    FULL = "full"  # 30 dollars: everything but payments and the special ones
    ENTERPRISE = "enterprise"  # full, with larger pages and a shorter throttle


_COMM = frozenset({
    Permission.READ_ALL, Permission.COMM, Permission.DOCUMENTS, Permission.SETUP,
    Permission.QUERIES,
})  # fmt: skip
_FULL = _COMM | {
    Permission.APPOINTMENTS, Permission.PATIENTS, Permission.ALL_OTHERS,
    Permission.PROCEDURE_LOGS,
}  # fmt: skip
PERMISSIONS: dict[Tier, frozenset[Permission]] = {
    Tier.READ: frozenset({Permission.READ_ALL}),
    Tier.COMM: _COMM,
    Tier.FULL: _FULL,
    Tier.ENTERPRISE: _FULL | {Permission.ENTERPRISE},
}


class Mode(StrEnum):
    SERVICE = "service"  # OpenDentalAPIService.exe, port 30223
    LOCAL = "local"  # inside OpenDental.exe, port 30222
    REMOTE = "remote"  # api.opendental.com through the office's eConnector


class ModeRules(msgspec.Struct, frozen=True):
    """``source``: histappointment.ApptSource. ``since``: the first version that has the mode."""

    since: str
    page: int
    enterprise_page: int
    is_throttled: bool
    source: int
    user: int


MODES: dict[Mode, ModeRules] = {
    Mode.SERVICE: ModeRules("22.2", 1000, 10_000, is_throttled=False, source=6, user=0),
    # The user who is logged in at that workstation; which number it logs is not verified.
    Mode.LOCAL: ModeRules("22.1", 1000, 10_000, is_throttled=False, source=0, user=1),
    Mode.REMOTE: ModeRules("21.1", 100, 1000, is_throttled=True, source=1, user=0),
}


def version_of(text: str) -> tuple[int, ...]:
    """``"24.2.31"`` -> ``(24, 2, 31)``."""
    return tuple(int(part) for part in text.split("."))


def has_version(office: str, since: str) -> bool:
    return version_of(office) >= version_of(since)


def page_limit(mode: Mode, permissions: frozenset[Permission]) -> int:
    rules = MODES[mode]
    return rules.enterprise_page if Permission.ENTERPRISE in permissions else rules.page


def throttle_s(mode: Mode, permissions: frozenset[Permission]) -> float:
    """Seconds one request occupies the customer key; 0 where nothing is throttled."""
    if not MODES[mode].is_throttled:
        return 0.0
    if Permission.ENTERPRISE in permissions:
        return 0.5
    return 5.0 if permissions <= {Permission.READ_ALL} else 1.0
