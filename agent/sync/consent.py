"""Consent: what a refusal outweighs, what may lift it, and which commands need a yes first. Pure.

Decisions, where the sources leave room (``ARCHITECTURE.md`` has them in short):

- **Order.** denied outweighs unknown, unknown outweighs granted. Two sides that differ become the
  stricter of the two; silence is not a yes.
- **A sync never loosens.** An ordinary edit (``agent.sync.merge``) may only make consent stricter.
  Loosening happens in two ways: a person changes it in the PMS itself, or an explicit
  ``consent.set`` passes :func:`decide`.
- **What counts as an explicit grant.** It names a source of ``COUNTING_SOURCES`` (the person
  answered, on a form, by a keyword, to a member of staff; never "import" or "default") and a UTC
  instant that is not in the future.
- **What counts as newer than a refusal.** Either the command says that the CRM showed the refusal
  when the person granted (``precondition.expected``: cause, no clock), or its instant is later than
  the instant the PMS keeps of the refusal. Open Dental keeps none (``open-dental.md`` 1.1), so
  there only the first holds.
- **What no command lifts.** An opt-out of *all* messages that stands in the PMS's own opt-out list:
  a person lifts it in the PMS.
- A refusal is always taken, whatever its source.

Imports only ``agent.model``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from agent.model.commands import Command, CommandType, Reason
from agent.model.entities import Patient
from agent.model.entities.words import (
    CommunicationMode,
    Consent,
    ContactMethod,
    Direction,
    OptOut,
    PatientStatus,
)


class Channel(StrEnum):
    SMS = "sms"
    EMAIL = "email"

    @property
    def field(self) -> str:
        """The canonical patient field that holds the answer."""
        return f"{self.value}_consent"


CONSENT_FIELDS = frozenset(channel.field for channel in Channel)

_STRICTNESS = {Consent.GRANTED: 0, Consent.UNKNOWN: 1, Consent.DENIED: 2}

COUNTING_SOURCES = frozenset(
    {
        "double_opt_in",  # answered a confirmation message
        "in_person",
        "paper_form",
        "patient_form",
        "phone_call",
        "portal",
        "sms_keyword",
        "staff",
        "web_form",
    }
)
"""First word of a source ("web_form: implants page") that makes a grant explicit."""

MOST_AHEAD = timedelta(seconds=300)
"""How far a grant's instant may lie ahead of us: the tolerance of envelopes, not a comparison."""

_GONE = frozenset({PatientStatus.DELETED, PatientStatus.DECEASED, PatientStatus.ARCHIVED})


def as_consent(value: object) -> Consent:
    """The word, or UNKNOWN for nothing and for a word nobody knows."""
    try:
        return Consent(str(value)) if value else Consent.UNKNOWN
    except ValueError:
        return Consent.UNKNOWN


def strictest(*said: object) -> Consent:
    """The most restrictive of what was said; nothing said is UNKNOWN."""
    words = [as_consent(word) for word in said] or [Consent.UNKNOWN]
    return max(words, key=_STRICTNESS.__getitem__)


def loosens(held: object, wished: object) -> bool:
    """Whether ``wished`` allows more than ``held`` does."""
    return _STRICTNESS[as_consent(wished)] < _STRICTNESS[as_consent(held)]


# -- consent.set -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Decision:
    """``fields``: canonical patient fields to write ({}: nothing to do). ``reason`` says why the
    command is refused; ``code`` is the message for staff."""

    fields: dict[str, str]
    reason: Reason | None = None
    code: str = ""

    @property
    def is_refused(self) -> bool:
        return self.reason is not None


def decide(command: Command, patient: Patient, now: datetime) -> Decision:
    """What a ``consent.set`` does to this patient. ``now``: aware UTC.

    ``patient`` is as just read from the PMS.
    """
    payload = command.payload
    channel, wished = _channel(payload.get("channel")), payload.get("consent")
    if channel is None or wished not in {Consent.GRANTED, Consent.DENIED}:
        return Decision({}, Reason.VALIDATION_FAILED, "consent.not_understood")
    held = as_consent(getattr(patient, channel.field))
    if wished == held:
        return Decision({})
    if wished == Consent.DENIED:
        return Decision({channel.field: Consent.DENIED.value})
    at = instant(payload.get("at"))
    if not counts(payload.get("source")) or at is None or at > now + MOST_AHEAD:
        return Decision({}, Reason.POLICY_BLOCKED, "consent.no_proof")
    if held is Consent.DENIED:
        if OptOut.ALL in _opt_outs(patient, channel):
            return Decision({}, Reason.POLICY_BLOCKED, "consent.opted_out_in_pms")
        if not _is_newer(command, patient, channel, at):
            return Decision({}, Reason.POLICY_BLOCKED, "consent.refusal_stands")
    return Decision({channel.field: Consent.GRANTED.value})


def counts(source: object) -> bool:
    """Whether a grant with this source is an answer a person gave."""
    if not isinstance(source, str):
        return False
    word = source.partition(":")[0].strip().casefold().replace(" ", "_").replace("-", "_")
    return word in COUNTING_SOURCES


def instant(value: object) -> datetime | None:
    """ISO 8601 with a zone, as UTC; None when it is not one (a wall time proves no instant)."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment.astimezone(UTC)


def _is_newer(command: Command, patient: Patient, channel: Channel, at: datetime) -> bool:
    expected = command.precondition.get("expected")
    if isinstance(expected, Mapping) and expected.get(channel.field) == Consent.DENIED:
        return True
    refused_at = instant(getattr(patient, f"{channel.field}_at"))
    return refused_at is not None and at > refused_at


def _opt_outs(patient: Patient, channel: Channel) -> tuple[OptOut, ...]:
    return patient.opt_out_sms if channel is Channel.SMS else patient.opt_out_email


def _channel(value: object) -> Channel | None:
    return next((channel for channel in Channel if channel == value), None)


# -- outreach --------------------------------------------------------------------------------------

_MODES = {
    CommunicationMode.TEXT: frozenset({Channel.SMS}),
    CommunicationMode.EMAIL: frozenset({Channel.EMAIL}),
    CommunicationMode.EMAIL_AND_TEXT: frozenset({Channel.SMS, Channel.EMAIL}),
    CommunicationMode.PHONE_AND_TEXT: frozenset({Channel.SMS}),
}


@dataclass(frozen=True, slots=True)
class OutreachRule:
    """``unknown_is_yes``: channels where the practice reads "never answered" as a yes.

    Nothing by default. Open Dental: SMS when the preference TextMsgOkStatusTreatAsNo is off;
    e-mail, if the practice so decides, because there the PMS can store refusals only.
    """

    unknown_is_yes: frozenset[Channel] = frozenset()


_STRICT = OutreachRule()


def channels_needed(command: Command) -> frozenset[Channel]:
    """The channels whose consent this command needs before anything is done: an entry in the
    communication log that stands for a message to the patient, on ``channel`` or by its ``mode``.

    Without a direction the PMS takes it as sent (``open-dental.md`` 4.4). A message *from* the
    patient, and what the office does on its own schedule (booking, confirming), needs none.
    """
    if command.type is not CommandType.COMMLOG_APPEND:
        return frozenset()
    payload = command.payload
    if payload.get("direction") in {Direction.RECEIVED, Direction.NEITHER}:
        return frozenset()
    needed = next((found for mode, found in _MODES.items() if mode == payload.get("mode")), None)
    channel = _channel(payload.get("channel"))
    return (needed or frozenset()) | ({channel} if channel else frozenset())


def outreach_refusal(
    patient: Patient,
    channels: Iterable[Channel],
    *,
    topic: OptOut | None = None,
    also_said: Mapping[Channel, Any] | None = None,
    rule: OutreachRule = _STRICT,
) -> str | None:
    """Message code of why this patient must not be contacted on all of ``channels``, or None.

    ``topic``: kind of message, for opt-outs of single kinds. ``also_said``: the CRM's own word per
    channel, where it is known; the strictest counts. The command is refused with POLICY_BLOCKED.
    """
    asked = sorted(set(channels))
    if asked and (patient.status in _GONE or patient.deceased or patient.merged_into):
        return "consent.patient_gone"
    for channel in asked:
        said = [getattr(patient, channel.field)]
        if also_said is not None and channel in also_said:
            said.append(also_said[channel])
        if channel in rule.unknown_is_yes:  # then only what was said counts
            said = [word for word in said if as_consent(word) is not Consent.UNKNOWN]
            said = said or [Consent.GRANTED]
        if strictest(*said) is not Consent.GRANTED:
            return "consent.missing"
        opted_out = _opt_outs(patient, channel)
        if OptOut.ALL in opted_out or OptOut.OTHER in opted_out or (topic and topic in opted_out):
            return "consent.opted_out"
        if channel is Channel.SMS and _wants_no_calls(patient):
            return "consent.do_not_call"
        if not (patient.phone_mobile if channel is Channel.SMS else patient.emails):
            return "consent.no_address"
    return None


def _wants_no_calls(patient: Patient) -> bool:
    """``open-dental.md`` 3.5: "do not call" in any of the three wishes forbids text messages."""
    wishes = (patient.preferred_contact, patient.preferred_confirm, patient.preferred_recall)
    return ContactMethod.DO_NOT_CALL in wishes
