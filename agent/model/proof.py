"""Proof that practice, journal and CRM hold the same: its figures, and how it is asked for. A leaf.

Counts are of records. What was compared with the CRM is the journal's mirror; that the mirror
equals the practice system is the sweep's proof, whose age stands beside (``proven_at``, ``since``).
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from agent.model.asking import Request, Role
from agent.model.longwork import Job
from agent.model.streams import Stream


class Basis(StrEnum):
    """What the CRM's digests are made of: sums it keeps, or its contents hashed again now."""

    KEPT = "kept"
    CONTENT = "content"


class Standing(StrEnum):
    """How one stream stands. Only EQUAL is green."""

    EQUAL = "equal"
    WAITING = "waiting"  # differs by nothing but what is on its way or parked
    DIFFERS = "differs"
    SKIPPED = "skipped"  # was not compared: that is never fine


class StreamProof(msgspec.Struct, frozen=True):
    """One stream against the CRM. ``at_crm``: live records there, None where it was not asked.

    ``missing``: agreed here, absent there; ``different``: other content there; ``extra``: only
    there. ``waiting``: differ because a change is on its way or parked. ``repaired``: of the three,
    sent again or taken back. ``why``: message code of a skip, or of why nothing was repaired.
    """

    stream: Stream
    standing: Standing
    at: datetime
    records: int = 0
    at_crm: int | None = None
    missing: int = 0
    different: int = 0
    extra: int = 0
    waiting: int = 0
    repaired: int = 0
    excepted: int = 0  # of the waiting: parked ones a person chose to leave so
    why: str = ""
    proven_at: datetime | None = None  # practice side: its oldest proof
    digest: str = ""  # of the stream's buckets, where both sides have the same

    @property
    def wrong(self) -> int:
        return self.missing + self.different + self.extra


class FullProof(msgspec.Struct, frozen=True):
    """Every stream was equal, nothing on its way. ``root``: see the contract's ``FullProof``.

    ``since``: each record was read or proven in the practice system no longer ago than this.
    ``excepted``: parked records a person chose to leave as they are.
    """

    at: datetime
    rows: int
    streams: int
    root: str
    since: datetime
    basis: Basis = Basis.CONTENT
    excepted: int = 0


class Audit(msgspec.Struct, frozen=True):
    """What a comparison of all streams found. ``proof`` None: it proved no full equality."""

    lines: tuple[StreamProof, ...]
    basis: Basis
    took_s: float
    proof: FullProof | None = None

    @property
    def is_equal(self) -> bool:
        """Equal, or differing only by what is on its way; nothing skipped."""
        return all(line.standing in {Standing.EQUAL, Standing.WAITING} for line in self.lines)


class CompareSides(Request[Job], frozen=True):
    """Compare everything with the CRM; the job's result is an ``Audit``.

    ``prove``: prove every record of the practice first. ``repair``: send again and take back what
    is wrong, by the usual way; ``many``: even if it is more than would be repaired unattended.
    ``basis``: of the CRM's digests.
    """

    method = "audit.compare"
    role = Role.MANAGER
    prove: bool = False
    repair: bool = False
    many: bool = False
    basis: Basis = Basis.CONTENT
