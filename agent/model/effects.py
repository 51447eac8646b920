"""One write to the practice system, in canonical terms. A leaf.

The engine decides *what* is to hold (canonical fields of ``agent.model.entities``); a writer knows
*how* its PMS is told. Because effects, read-backs, merges and undo images all speak the same
fields, one comparison serves all of them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from agent.model.commands import Reason
from agent.model.reading import Finding, Key
from agent.model.streams import Stream


class EffectKind(StrEnum):
    """The verbs a writer may offer. Each is probed per site and announced as a capability."""

    BOOK = "book"  # create an appointment
    #: start, minutes, operatory_key, provider_key, hygienist_key of an appointment; status
    #: "scheduled" as well where it comes from the unscheduled list
    MOVE = "move"
    CONFIRM = "confirm"  # confirmation_key or confirmation_category
    SET_STATUS = "set_status"  # appointment status
    BREAK = "break"  # options: "to_unscheduled" yes|no, "break_type" missed|cancelled|""
    NOTE_APPOINTMENT = "note_appointment"  # append to the appointment's note
    CREATE_PATIENT = "create_patient"
    UPDATE_PATIENT = "update_patient"  # any canonical contact/identity field with direction both
    SET_CONSENT = "set_consent"  # sms_consent, email_consent
    APPEND_COMMLOG = "append_commlog"
    APPEND_NOTE = "append_note"  # progress note on a procedure
    RECORD_PERIO = "record_perio"
    UPDATE_RECALL = "update_recall"
    SET_CUSTOM = "set_custom"  # fields: {"custom": {name: text}}; only the named ones change
    ATTACH_DOCUMENT = "attach_document"


CREATES = frozenset(
    {
        EffectKind.BOOK,
        EffectKind.CREATE_PATIENT,
        EffectKind.APPEND_COMMLOG,
        EffectKind.APPEND_NOTE,
        EffectKind.RECORD_PERIO,
        EffectKind.ATTACH_DOCUMENT,
    }
)


class Effect(msgspec.Struct, frozen=True):
    """``fields``: canonical name -> value as in canonical JSON; None clears. ``key`` is None for
    creates. ``options``: how, where the PMS offers a choice; never what is to hold."""

    kind: EffectKind
    stream: Stream
    key: Key | None
    fields: dict[str, Any]
    options: dict[str, str] = {}


class Written(msgspec.Struct, frozen=True):
    """The PMS said yes. ``key``: of the record made or changed, None when it did not say."""

    key: Key | None = None


class WriterFacts(msgspec.Struct, frozen=True):
    """What the site's write path can do now. ``missing``: why a kind is not offered (message
    code), for people and the CRM."""

    kind: str  # "api" | "sql" | "none"
    mode: str = ""  # api: "service" | "local" | "remote"
    version: str = ""
    abilities: frozenset[EffectKind] = frozenset()
    missing: dict[EffectKind, str] = {}
    findings: tuple[Finding, ...] = ()
    rest_by_desk: bool = False  # what is missing is offered all the same, as desk tasks


class WriteRefused(Exception):
    """The PMS certainly did not do it. ``code`` is a message code; nothing of the record's text."""

    def __init__(self, reason: Reason, code: str = "write.refused") -> None:
        self.reason = reason
        self.code = code
        super().__init__(f"{reason.value} ({code})")


class WriteUnknown(Exception):
    """It may or may not have been done: no answer, a cut answer, 5xx or 504 after sending."""

    def __init__(self, code: str = "write.unknown") -> None:
        self.code = code
        super().__init__(code)
