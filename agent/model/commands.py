"""What the CRM asks the practice to do, and how that ends. A leaf.

Types, states and reasons are the contract's (``assets/openapi/crm-sync.yaml``). A command is
delivered at least once and applied at most once; it always ends with an outcome.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class CommandType(StrEnum):
    APPOINTMENT_BOOK = "appointment.book"
    APPOINTMENT_RESCHEDULE = "appointment.reschedule"
    APPOINTMENT_CONFIRM = "appointment.confirm"
    APPOINTMENT_STATUS_SET = "appointment.status_set"
    APPOINTMENT_CANCEL = "appointment.cancel"
    PATIENT_CREATE = "patient.create"
    PATIENT_UPDATE = "patient.update_contact"
    CONSENT_SET = "consent.set"
    COMMLOG_APPEND = "commlog.append"
    NOTE_APPEND = "note.append"
    PERIO_RECORD = "perio.record"
    RECALL_UPDATE = "recall.update"
    CUSTOM_FIELD_SET = "custom_field.set"
    DOCUMENT_ATTACH = "document.attach"
    RESYNC = "resync.request"
    DIAGNOSTICS = "agent.diagnostics"
    FORGET = "privacy.forget"


class Reason(StrEnum):
    """Why a command was not applied: the closed list of the contract."""

    SLOT_TAKEN = "slot_taken"
    PATIENT_NOT_FOUND = "patient_not_found"
    PATIENT_AMBIGUOUS = "patient_ambiguous"
    PROVIDER_NOT_FOUND = "provider_not_found"
    OPERATORY_INVALID = "operatory_invalid"
    OUTSIDE_HOURS = "outside_hours"
    IN_PAST = "in_past"
    LOCKED_BY_USER = "locked_by_user"
    VERSION_CONFLICT = "version_conflict"
    PERMISSION_DENIED = "permission_denied"
    NOT_SUPPORTED = "not_supported_by_pms"
    VALIDATION_FAILED = "validation_failed"
    PMS_UNAVAILABLE = "pms_unavailable"
    EXPIRED = "expired"
    DUPLICATE_OF = "duplicate_of"
    POLICY_BLOCKED = "policy_blocked"
    INTERNAL = "internal"

    @property
    def is_retryable(self) -> bool:
        """The same request may succeed later without anybody changing it."""
        return self in (Reason.PMS_UNAVAILABLE, Reason.LOCKED_BY_USER, Reason.INTERNAL)


class EndState(StrEnum):
    """How a command stands for the CRM. UNKNOWN, CONFLICT and TASK are not terminal."""

    APPLIED = "applied"
    REJECTED = "rejected"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    UNKNOWN = "unknown"  # may have reached the PMS; a probe or a person will tell
    CONFLICT = "conflict"  # a person decides between two edits
    TASK = "task"  # nothing may be written; the front desk does it by hand

    @property
    def is_terminal(self) -> bool:
        return self not in (EndState.UNKNOWN, EndState.CONFLICT, EndState.TASK)


class Target(msgspec.Struct, frozen=True):
    """The record a command is about: by PMS key, by the CRM's own id, or by both."""

    type: str = ""
    key: str | None = None
    cloud_id: str | None = None


class Command(msgspec.Struct, frozen=True):
    """A verified command. Instants are ISO 8601 UTC text.

    ``expected`` (in ``precondition``): for each field the command changes, the value the CRM showed
    when the person or AI decided; the base of the merge. ``payload`` is checked where it is used.
    """

    command_id: str
    type: CommandType
    created_at: str
    practice_id: str = ""
    not_before: str | None = None
    not_after: str | None = None
    priority: int = 100  # lower first
    target: Target = Target()
    precondition: dict[str, Any] = msgspec.field(default_factory=dict)
    payload: dict[str, Any] = msgspec.field(default_factory=dict)


class Slot(msgspec.Struct, frozen=True):
    """A free place on the schedule. ``start``: UTC; keys are PMS keys as text."""

    start: str
    minutes: int
    operatory_key: str
    provider_key: str | None = None


class CommandOutcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a command ended (or stands). ``staff_text`` is a sentence for the front desk, made from
    the message catalogue: codes and times, never a name. ``pms_key``: the record it is about."""

    state: EndState
    reason_code: Reason | None = None
    staff_text: str = ""
    pms_key: str | None = None
    observed_version: int | None = None
    alternatives: tuple[Slot, ...] = ()
    kept_fields: tuple[str, ...] = ()  # fields left to a person while the others were applied


class Refusal(msgspec.Struct, frozen=True):
    """An envelope that was not believed. ``code``: ``envelope.tampered|stale|replayed|...``."""

    command_id: str
    code: str


class Polled(msgspec.Struct, frozen=True):
    """One answer to a poll: what was verified, what was refused, and whether more waits."""

    commands: tuple[Command, ...] = ()
    refused: tuple[Refusal, ...] = ()
    more: bool = False


class Contact(msgspec.Struct, frozen=True, omit_defaults=True):
    """A person as the CRM holds them, before or beside any PMS record.

    ``client_ref``: the PMS patient key the CRM was once told; it links without any matching.
    ``not_refs``: keys a person of the CRM said this is not; never linked again.
    Phones are E.164, ``birthdate`` YYYY-MM-DD. ``merged_into``: the CRM's own merge.
    """

    cloud_id: str
    rev: int
    last_name: str | None = None
    first_name: str | None = None
    birthdate: str | None = None
    phones: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    client_ref: str | None = None
    not_refs: tuple[str, ...] = ()
    merged_into: str | None = None
    is_deleted: bool = False
    fields: dict[str, Any] = msgspec.field(default_factory=dict)  # further canonical patient fields


class ContactPage(msgspec.Struct, frozen=True):
    contacts: tuple[Contact, ...]
    cursor: str
    more: bool


class LinkState(StrEnum):
    LINKED = "linked"
    UNLINKED = "unlinked"  # no record of the PMS is this person
    SUSPECT = "suspect"  # a person decides; ``candidates`` says between whom
    MERGED = "merged"


class LinkReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the agent tells the CRM about one contact."""

    cloud_id: str
    state: LinkState
    key: str | None = None
    candidates: tuple[str, ...] = ()


class ConflictReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the agent tells the CRM about one field both sides changed. ``state``: open|resolved."""

    id: str
    type: str
    key: str
    field: str
    state: str
    base: Any = None
    pms: Any = None
    crm: Any = None
    winner: str | None = None
    command_id: str | None = None
