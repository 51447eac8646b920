"""What the engine hands to a CRM and what comes back. A leaf."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from agent.model.proof import FullProof
from agent.model.reading import Key
from agent.model.streams import Stream


class Verb(StrEnum):
    UPSERT = "upsert"
    DELETE = "delete"
    MERGE = "merge"


class Change(msgspec.Struct, frozen=True):
    """One operation on one record, as it leaves. ``canon`` is canonical JSON (b"" for a delete)."""

    op_id: bytes  # 16 bytes, deterministic (sync.plan.operation_id)
    stream: Stream
    key: Key
    verb: Verb
    version: int  # journal order; grows per record
    content_hash: bytes  # 16 bytes, sha256(canon)[:16]
    canon: bytes
    merge_into: Key | None = None


class Outcome(StrEnum):
    APPLIED = "applied"
    UNCHANGED = "unchanged"
    DUPLICATE = "duplicate"
    STALE = "stale"
    DEFERRED = "deferred"
    CONFLICT = "conflict"
    REJECTED = "rejected"
    RETRY = "retry"

    @property
    def is_done(self) -> bool:
        """The CRM holds this or a newer state; the operation is settled."""
        return self in _DONE


_DONE = frozenset(
    {Outcome.APPLIED, Outcome.UNCHANGED, Outcome.DUPLICATE, Outcome.STALE, Outcome.DEFERRED}
)


class ItemOutcome(msgspec.Struct, frozen=True):
    outcome: Outcome
    reason: str = ""
    retry_after_s: float | None = None


class PushReply(msgspec.Struct, frozen=True):
    """Outcomes in the order of the batch's changes."""

    outcomes: tuple[ItemOutcome, ...]


class CrmLimits(msgspec.Struct, frozen=True):
    """What the CRM says it takes in one push."""

    max_items: int = 1000
    max_body_bytes: int = 4_000_000


class Heartbeat(msgspec.Struct, frozen=True):
    """What the agent says about itself; PHI-free. Times are ISO 8601 UTC or None."""

    agent_version: str
    pms_kind: str
    pms_version: str
    journal_uuid: str
    epoch: int
    last_read_at: str | None
    last_write_at: str | None
    oldest_unsent_s: float | None
    oldest_unverified_s: float | None
    open_conflicts: int
    parked: int
    pending_batches: int
    audit_head: str = ""
    capabilities: tuple[str, ...] = ()  # command types that can be carried out now
    booking_suspended: str | None = None  # message code of why nothing may be booked
    proof: FullProof | None = None
    hours: str = ""  # when the office is open (agent.model.hours), in ``zone``
    zone: str = ""
    alerts: tuple[str, ...] = ()  # codes of what stands


class BucketDigest(msgspec.Struct, frozen=True):
    """Digest of one of 256 buckets of a stream on the CRM: bucket = first byte of sha256(key)."""

    bucket: int
    count: int
    sum48: int
    xor64: int
