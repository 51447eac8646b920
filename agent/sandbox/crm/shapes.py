"""What requests must look like: the contract's request schemas as msgspec structs.

Imports msgspec and ``agent.model``. Tests hold them against ``assets/openapi/crm-sync.yaml`` by
fuzzing.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from agent.model.commands import LinkState
from agent.model.proof import Basis
from agent.model.streams import Stream
from agent.sandbox.crm.problems import Refusal

_Big = Annotated[int, Meta(ge=0, le=2**53 - 1)]
_Token = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,128}\Z")]
_Short = Annotated[str, Meta(max_length=64)]
_Key = Annotated[str, Meta(min_length=1, max_length=200)]
_Hash = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
_Coordinate = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{64}\Z")]
_Instant = Annotated[
    str, Meta(max_length=27, pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z\Z")
]
_Seconds = Annotated[float, Meta(ge=0, le=1e12)] | None
_Reason = Literal[
    "slot_taken", "patient_not_found", "patient_ambiguous", "provider_not_found",
    "operatory_invalid", "outside_hours", "in_past", "locked_by_user", "version_conflict",
    "permission_denied", "not_supported_by_pms", "validation_failed", "pms_unavailable", "expired",
    "duplicate_of", "policy_blocked", "internal",
]  # fmt: skip


class PublicJwk(msgspec.Struct, frozen=True):
    kty: Literal["EC"]
    crv: Literal["P-384"]
    x: _Coordinate
    y: _Coordinate
    kid: Annotated[str, Meta(max_length=128)] = ""
    alg: Literal["ES384"] = "ES384"
    use: Literal["sig"] = "sig"
    d: Any = msgspec.UNSET

    def public(self) -> dict[str, str]:
        if self.d is not msgspec.UNSET:
            raise Refusal(400, "invalid-request", "Keep the private part of the key")
        return {"kty": self.kty, "crv": self.crv, "x": self.x, "y": self.y}


class Enroll(msgspec.Struct, frozen=True):
    code: Annotated[str, Meta(min_length=4, max_length=40)]
    public_jwk: PublicJwk
    agent_version: Annotated[str, Meta(min_length=1, max_length=64)]
    label: Annotated[str, Meta(max_length=100)] = ""


class AddKey(msgspec.Struct, frozen=True):
    public_jwk: PublicJwk
    proof: Annotated[str, Meta(min_length=1, max_length=8192)]


class Proof(msgspec.Struct, frozen=True):
    """The last full proof of equality."""

    at: Annotated[str, Meta(max_length=40)]
    rows: _Big
    streams: Annotated[int, Meta(ge=0, le=1000)]
    root: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    since: Annotated[str, Meta(max_length=40)]
    basis: Basis
    excepted: _Big = 0


class Beat(msgspec.Struct, frozen=True):
    agent_version: _Short
    pms_kind: _Short
    pms_version: _Short
    journal_uuid: _Token
    epoch: _Big
    last_read_at: Annotated[str, Meta(max_length=40)] | None
    last_write_at: Annotated[str, Meta(max_length=40)] | None
    oldest_unsent_s: _Seconds
    oldest_unverified_s: _Seconds
    open_conflicts: _Big
    parked: _Big
    pending_batches: _Big
    audit_head: Annotated[str, Meta(max_length=128)] = ""
    capabilities: Annotated[list[_Token], Meta(max_length=64)] | msgspec.UnsetType = msgspec.UNSET
    booking_suspended: Annotated[str, Meta(max_length=64)] | None = None
    proof: Proof | None = None
    hours: Annotated[str, Meta(max_length=400)] = ""
    zone: Annotated[str, Meta(max_length=64)] = ""
    alerts: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=32)] = []


class DiffItem(msgspec.Struct, frozen=True):
    type: str
    key: _Key
    hash: _Hash


class Diff(msgspec.Struct, frozen=True):
    items: Annotated[list[DiffItem], Meta(max_length=2000)]


class Error(msgspec.Struct, frozen=True):
    reason: _Reason


class Poll(msgspec.Struct, frozen=True):
    capabilities: Annotated[list[_Token], Meta(max_length=64)]
    ack: Annotated[list[_Token], Meta(max_length=1000)] = []
    errs: Annotated[dict[str, Error], Meta(max_length=1000)] = {}
    max: Annotated[int, Meta(ge=0, le=100)] = 20
    wait_s: Annotated[int, Meta(ge=0, le=50)] = 0


class Slot(msgspec.Struct, frozen=True):
    start: _Instant
    minutes: Annotated[int, Meta(ge=1, le=1440)]
    operatory_key: _Key
    provider_key: _Key | None = None


class CommandResult(msgspec.Struct, frozen=True, omit_defaults=True):
    state: Literal["applied", "rejected", "expired", "superseded", "unknown", "conflict", "task"]
    reason_code: _Reason | msgspec.UnsetType = msgspec.UNSET
    staff_text: Annotated[str, Meta(max_length=500)] | msgspec.UnsetType = msgspec.UNSET
    pms_key: _Key | msgspec.UnsetType = msgspec.UNSET
    observed_version: _Big | msgspec.UnsetType = msgspec.UNSET
    alternatives: Annotated[list[Slot], Meta(max_length=20)] = []
    kept_fields: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=100)] = []


class LinkReport(msgspec.Struct, frozen=True):
    cloud_id: _Token
    state: LinkState
    key: _Key | msgspec.UnsetType = msgspec.UNSET
    candidates: Annotated[list[_Key], Meta(max_length=50)] = []


class Links(msgspec.Struct, frozen=True):
    links: Annotated[list[LinkReport], Meta(max_length=1000)]


class ConflictReport(msgspec.Struct, frozen=True, omit_defaults=True):
    id: _Token
    type: Stream
    key: _Key
    field: Annotated[str, Meta(min_length=1, max_length=64)]
    state: Literal["open", "resolved"]
    base: Any = None
    pms: Any = None
    crm: Any = None
    winner: Annotated[str, Meta(max_length=16)] | None = None
    command_id: _Token | None = None


class Conflicts(msgspec.Struct, frozen=True):
    conflicts: Annotated[list[ConflictReport], Meta(max_length=1000)]


class ChangesQuery(msgspec.Struct, frozen=True):
    cursor: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,200}\Z")] = ""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 200
    wait_s: Annotated[int, Meta(ge=0, le=25)] = 0


class ContactsQuery(msgspec.Struct, frozen=True):
    cursor: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,200}\Z")] = ""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 200


class RejectsQuery(msgspec.Struct, frozen=True):
    state: Literal["open", "resolved", "all"] = "open"
    limit: Annotated[int, Meta(ge=1, le=1000)] = 200


class EventsQuery(msgspec.Struct, frozen=True):
    for_s: Annotated[int, Meta(ge=0, le=3600)] = 3600


class DigestQuery(msgspec.Struct, frozen=True):
    type: str
    basis: Basis = Basis.KEPT
