"""What a command may carry, per type: checked, and brought into the canonical spelling. Pure.

The spelling is the one reading gives (``normalize``), so that what is written and what is read
back compare as equal. Nothing of a payload's text ever enters an error: only the field's name.
Imports only ``agent.model`` and this package's ``normalize``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from agent.model.commands import Command, CommandType
from agent.model.entities import RECORD_OF, Patient, PerioExam
from agent.model.entities.words import (
    AppointmentStatus,
    CommunicationMode,
    ConfirmationCategory,
    Direction,
    Priority,
)
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.sync import normalize

MOST_MINUTES = 540  # one day's longest visit: 9 h is the vendor's limit (open-dental.md 4.4)
MOST_NOTE = 4000
MOST_DOCUMENT = 11_000_000  # base64 signs; the vendor's API takes 16.8 M characters a body

_WHOLE = re.compile(r"-?[0-9]{1,19}")
_PERIOD = re.compile(r"P(?=[0-9])(?:[0-9]{1,3}Y)?(?:[0-9]{1,3}M)?(?:[0-9]{1,3}W)?(?:[0-9]{1,3}D)?")


class Invalid(Exception):
    """The payload cannot be understood. ``field`` names where; never what was there."""

    def __init__(self, field: str) -> None:
        self.field = field
        super().__init__(field)


KeyText = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Note = Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_NOTE)]
Minutes = Annotated[int, msgspec.Meta(ge=5, le=MOST_MINUTES, multiple_of=5)]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True): ...


class WhichPatient(_Strict, frozen=True):
    """One of the three."""

    key: KeyText | None = None
    cloud_id: KeyText | None = None
    new: dict[str, Any] | None = None


class Book(_Strict, frozen=True):
    patient: WhichPatient
    start: str
    minutes: Minutes
    operatory_key: KeyText
    provider_key: KeyText | None = None
    hygienist_key: KeyText | None = None
    type_key: KeyText | None = None
    note: Note | None = None
    is_new_patient: bool | None = None
    confirmation_category: ConfirmationCategory | None = None


class Reschedule(_Strict, frozen=True):
    start: str
    minutes: Minutes | None = None
    operatory_key: KeyText | None = None
    provider_key: KeyText | None = None
    hygienist_key: KeyText | None = None


class Confirm(_Strict, frozen=True):
    confirmation_category: ConfirmationCategory | None = None
    confirmation_key: KeyText | None = None


class StatusSet(_Strict, frozen=True):
    status: AppointmentStatus


class Cancel(_Strict, frozen=True):
    break_type: Literal["cancelled", "missed"] = "cancelled"
    to_unscheduled: bool = False
    note: Note | None = None


class UpdatePatient(_Strict, frozen=True):
    fields: dict[str, Any]


class ConsentSet(_Strict, frozen=True):
    channel: Literal["sms", "email"]
    consent: Literal["granted", "denied"]
    source: Annotated[str, msgspec.Meta(max_length=200)]
    at: str


class CommlogAppend(_Strict, frozen=True):
    patient_key: KeyText
    note: Note
    at: str | None = None
    mode: CommunicationMode | None = None
    direction: Direction | None = None
    type_key: KeyText | None = None
    channel: Literal["sms", "email"] | None = None


class NoteAppend(_Strict, frozen=True):
    procedure_key: KeyText
    patient_key: KeyText
    note: Note


class PerioRecord(_Strict, frozen=True):
    patient_key: KeyText
    measures: list[dict[str, Any]]
    date: str | None = None
    provider_key: KeyText | None = None
    note: Note | None = None


class RecallUpdate(_Strict, frozen=True):
    due: str | msgspec.UnsetType | None = msgspec.UNSET
    interval: str | msgspec.UnsetType | None = msgspec.UNSET
    status_key: KeyText | msgspec.UnsetType | None = msgspec.UNSET
    note: Note | msgspec.UnsetType | None = msgspec.UNSET
    is_disabled: bool | msgspec.UnsetType = msgspec.UNSET
    disabled_until: str | msgspec.UnsetType | None = msgspec.UNSET
    priority: Priority | msgspec.UnsetType = msgspec.UNSET


class CustomSet(_Strict, frozen=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=50)]
    value: Annotated[str, msgspec.Meta(max_length=MOST_NOTE)]


class DocumentAttach(_Strict, frozen=True):
    patient_key: KeyText
    file_name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    content_base64: Annotated[str, msgspec.Meta(min_length=4, max_length=MOST_DOCUMENT)]
    category: Annotated[str, msgspec.Meta(max_length=100)] | None = None


class Resync(_Strict, frozen=True):
    types: list[Stream] = []


class Nothing(_Strict, frozen=True): ...


class Forget(_Strict, frozen=True):
    patient_key: KeyText


PAYLOAD_OF: dict[CommandType, type[msgspec.Struct]] = {
    CommandType.APPOINTMENT_BOOK: Book,
    CommandType.APPOINTMENT_RESCHEDULE: Reschedule,
    CommandType.APPOINTMENT_CONFIRM: Confirm,
    CommandType.APPOINTMENT_STATUS_SET: StatusSet,
    CommandType.APPOINTMENT_CANCEL: Cancel,
    CommandType.PATIENT_UPDATE: UpdatePatient,
    CommandType.CONSENT_SET: ConsentSet,
    CommandType.COMMLOG_APPEND: CommlogAppend,
    CommandType.NOTE_APPEND: NoteAppend,
    CommandType.PERIO_RECORD: PerioRecord,
    CommandType.RECALL_UPDATE: RecallUpdate,
    CommandType.CUSTOM_FIELD_SET: CustomSet,
    CommandType.DOCUMENT_ATTACH: DocumentAttach,
    CommandType.RESYNC: Resync,
    CommandType.DIAGNOSTICS: Nothing,
    CommandType.FORGET: Forget,
}
"""Shape of each payload; ``patient.create`` is any set of patient fields (``patient_fields``)."""

_P = TypeVar("_P", bound=msgspec.Struct)


def read(command: Command, shape: type[_P]) -> _P:
    """The command's payload as its type. Raises Invalid."""
    try:
        return msgspec.convert(command.payload, type=shape, strict=True)
    except msgspec.ValidationError as error:
        # The library's text may quote what it found; only its path is ours to keep.
        _, _, path = str(error).rpartition("`$")
        raise Invalid(path.strip(".`") or "payload") from None


def as_key(text: str | None, field: str = "key") -> Key:
    """A PMS key as the mirror holds it. Every kind of PMS known so far numbers its records: signed
    64-bit integers, never 0; anything else is refused here rather than by a driver."""
    if not text or not _WHOLE.fullmatch(text):
        raise Invalid(field)
    number = int(text)
    if number == 0 or not -(2**63) <= number < 2**63:
        raise Invalid(field)
    return number


def instant(text: str | None, field: str) -> str:
    """ISO 8601 with a zone -> ``YYYY-MM-DDTHH:MM:SSZ``. Raises Invalid."""
    return spelled(moment(text, field))


def moment(text: str | None, field: str) -> datetime:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        raise Invalid(field) from None
    if found.tzinfo is None or not 1900 < found.year < 2200:
        raise Invalid(field)
    return found.astimezone(UTC).replace(microsecond=0)


def spelled(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def day(text: Any, field: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except (ValueError, TypeError):
        raise Invalid(field) from None


def period(text: Any, field: str) -> str:
    if not isinstance(text, str) or not _PERIOD.fullmatch(text):
        raise Invalid(field)
    return text


# -- patients ------------------------------------------------------------------------------------

_EMAIL = normalize.Email()
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_NAMES = frozenset({"last_name", "first_name", "middle_name", "preferred_name", "title"})
#: fields a new record may carry beside those that may be edited later
BIRTH_FIELDS = frozenset(
    {"guarantor_key", "primary_provider_key", "secondary_provider_key", "clinic_key",
     "billing_type_key", "referral_source_key", "chart_number"}
)  # fmt: skip
_OWN_COMMAND = frozenset({"sms_consent", "email_consent", "custom"})  # have commands of their own


def patient_fields(
    said: Mapping[str, Any], writable: Collection[str], today: date, *, new: bool = False
) -> dict[str, Any]:
    """Canonical values of the patient fields a command sets; None clears.

    ``writable``: fields the site's map sends both ways. ``today``: of the practice; nobody was born
    after it. ``new``: the record is to be created, so names are needed and consent may come along.
    Raises Invalid.
    """
    allowed = {*writable, *(BIRTH_FIELDS if new else ())} - (set() if new else _OWN_COMMAND)
    made = {field: _patient_value(field, value, allowed) for field, value in said.items()}
    if not new and not made:
        raise Invalid("fields")
    if new:
        made = {field: value for field, value in made.items() if value not in (None, [], {})}
    for field in ("last_name", "first_name"):
        if (new or field in made) and not made.get(field):
            raise Invalid(field)
    if (made.get("birthdate") or "") > today.isoformat():
        raise Invalid("birthdate")
    return made


def _patient_value(field: str, value: Any, allowed: Collection[str]) -> Any:
    if field not in allowed:
        raise Invalid(field)
    if field == "emails":
        return _emails(value)
    if value is None or value == "":
        return None
    try:
        msgspec.convert({"key": "1", field: value}, type=Patient, strict=True)
    except msgspec.ValidationError:
        raise Invalid(field) from None
    if field in _NAMES:
        return normalize.name(value)
    if field in ("birthdate", "deceased", "first_visit", "admitted"):
        return day(value, field)
    if field.startswith("phone_") and not _E164.fullmatch(value):
        raise Invalid(field)
    if field == "language":
        return normalize.language(value)
    return normalize.text(value) if isinstance(value, str) else value


def _emails(value: Any) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise Invalid("emails")
    good: dict[str, None] = {}
    for one in value:
        found, raw = _EMAIL(one.strip())
        if raw is not None or len(found) != 1:
            raise Invalid("emails")
        good[found[0]] = None
    return list(good)


def measures(said: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Perio measures in canonical JSON, fields at their default left out. Raises Invalid."""
    if not said:
        raise Invalid("measures")
    try:
        exam = msgspec.convert({"key": "1", "measures": said}, type=PerioExam, strict=True)
    except msgspec.ValidationError:
        raise Invalid("measures") from None
    if any(m.kind.value == "unknown" or not 1 <= m.tooth <= 32 for m in exam.measures):
        raise Invalid("measures")
    made: list[dict[str, Any]] = msgspec.to_builtins(exam.measures)
    return made


def given(payload: msgspec.Struct, **checks: Callable[[Any, str], Any]) -> dict[str, Any]:
    """Fields of a payload that were set, as builtins; ``checks`` normalise single ones."""
    made: dict[str, Any] = {}
    for field in payload.__struct_fields__:
        value = getattr(payload, field)
        if value is msgspec.UNSET:
            continue
        check = checks.get(field)
        made[field] = value if value is None or check is None else check(value, field)
    built: dict[str, Any] = msgspec.to_builtins(made)
    return built


def fields_of(stream: Stream) -> frozenset[str]:
    return frozenset(RECORD_OF[stream].__struct_fields__)
