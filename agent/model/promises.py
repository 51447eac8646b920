"""What the agent promises and how that stands. A leaf; figures and codes only.

The bounds are judged in ``agent.support.alerts``; a promise that is not kept for two looks is told.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from agent.model.asking import Request
from agent.model.proof import FullProof, StreamProof


class Promise(msgspec.Struct, frozen=True):
    """``code``: of the alert that tells of it. ``value`` and ``bound`` in the promise's own unit: %
    of records taken at once, seconds of 99 in 100 changes, rotations of the oldest proof.
    ``value`` None: too little happened to say; ``count``: what it is made from. ``told_since``: an
    alert stands since then."""

    code: str
    value: float | None
    bound: float
    count: int
    told_since: datetime | None = None


class Checks(msgspec.Struct, frozen=True):
    """``promises`` of the last hour; ``lines``: each stream's last comparison with the CRM;
    ``proof``: the last time everything was equal."""

    promises: tuple[Promise, ...]
    lines: tuple[StreamProof, ...]
    proof: FullProof | None


class ShowChecks(Request[Checks], frozen=True):
    method = "checks.show"
