"""New versions of the agent itself: what is offered, what came of it, what people may ask. A leaf.

Versions are three whole numbers, ``a.b.c``.
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum

import msgspec

from agent.model.asking import Done, Request, Role

_VERSION = re.compile(r"\d{1,5}\.\d{1,5}\.\d{1,5}")


class UpdatePolicy(StrEnum):
    AUTO = "auto"  # installs by itself, outside the office hours
    NOTIFY = "notify"  # says that there is one
    MANAGED = "managed"  # IT's own tool does it: nothing is asked for, nothing said


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=False):
    """A version somebody with the product's key offers. ``sha256``: of the whole MSI, lower-case
    hex; ``size``: its bytes; ``notes``: an address where what is new can be read, or ""."""

    version: str
    url: str
    sha256: str
    size: int
    notes: str = ""


class Ending(StrEnum):
    DONE = "done"
    TAKEN_BACK = "taken_back"  # it did not show that it works: the version before runs again
    FAILED = "failed"  # nothing came of it; the version before was never gone
    STRANDED = "stranded"  # … and the version before could not be put back either


class Outcome(msgspec.Struct, frozen=True):
    """What came of the last update. ``why``: a word for support, such as ``installer_1603``."""

    version: str
    before: str
    ending: Ending
    at: datetime
    why: str = ""


class UpdateView(msgspec.Struct, frozen=True):
    """``code``: message of what is to be said now ("" = nothing), ``facts`` its blanks."""

    policy: UpdatePolicy
    version: str
    release: Release | None = None
    looked_at: datetime | None = None
    outcome: Outcome | None = None
    code: str = ""
    facts: dict[str, str | int | float | None] = {}


class GetUpdate(Request[UpdateView], frozen=True):
    method = "update.show"


class LookForUpdate(Request[UpdateView], frozen=True):
    """Ask now whether there is a newer version."""

    method = "update.look"
    role = Role.MANAGER


class InstallUpdate(Request[Done], frozen=True):
    """Install what is offered now, whatever the policy and the hour say."""

    method = "update.install"
    role = Role.ADMIN


def numbers(version: str) -> tuple[int, int, int] | None:
    """None for what is no version of ours."""
    if not _VERSION.fullmatch(version):
        return None
    high, middle, low = map(int, version.split("."))
    return high, middle, low


def is_newer(version: str, than: str) -> bool:
    offered, held = numbers(version), numbers(than)
    return offered is not None and held is not None and offered > held
