"""What the page and scripts may ask of the desk: request shapes, and how people type things. Pure.

Imports msgspec and ``agent.model``.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from agent.model.commands import CommandType
from agent.model.entities.words import (
    AppointmentStatus,
    CommunicationMode,
    ConfirmationCategory,
    Direction,
)
from agent.sandbox.crm.problems import Refusal

Json = dict[str, Any]

Key = Annotated[str, Meta(min_length=1, max_length=64)]
Note = Annotated[str, Meta(min_length=1, max_length=4000)]
Minutes = Annotated[int, Meta(ge=5, le=540, multiple_of=5)]
Priority = Annotated[int, Meta(ge=0, le=1000)]
Text = Annotated[str, Meta(max_length=255)]
Instant = Annotated[
    str, Meta(max_length=27, pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?Z\Z")
]
_DIGITS_US: Final = 10


class _Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True): ...


class _Ordering(_Asked, frozen=True, kw_only=True):
    """What every request for a command may say beside its own."""

    priority: Priority = 50
    expires_in_s: Annotated[int, Meta(ge=1, le=30 * 86_400)] | None = None


class Who(_Asked, frozen=True):
    """One of the three."""

    key: Key | None = None
    cloud_id: Key | None = None
    new: Json | None = None


class Book(_Ordering, frozen=True):
    patient: Who
    start: Instant
    minutes: Minutes
    operatory_key: Key
    provider_key: Key | None = None
    hygienist_key: Key | None = None
    type_key: Key | None = None
    note: Note | None = None
    is_new_patient: bool | None = None
    confirmation_category: ConfirmationCategory | None = None
    is_sure: bool = False


class Move(_Ordering, frozen=True):
    start: Instant
    minutes: Minutes | None = None
    operatory_key: Key | None = None
    provider_key: Key | None = None
    hygienist_key: Key | None = None
    expected: Json = {}


class Confirm(_Ordering, frozen=True):
    confirmation_category: ConfirmationCategory = ConfirmationCategory.CONFIRMED
    expected: Json = {}


class Cancel(_Ordering, frozen=True):
    break_type: Literal["cancelled", "missed"] = "cancelled"
    to_unscheduled: bool = False
    note: Note | None = None
    expected: Json = {}


class SetStatus(_Ordering, frozen=True):
    status: AppointmentStatus
    expected: Json = {}


class Edit(_Ordering, frozen=True):
    fields: Annotated[Json, Meta(min_length=1, max_length=40)]
    expected: Json = {}


class SetConsent(_Ordering, frozen=True):
    channel: Literal["sms", "email"]
    consent: Literal["granted", "denied"]


class AddNote(_Ordering, frozen=True):
    note: Note
    mode: CommunicationMode = CommunicationMode.PHONE
    direction: Direction = Direction.NEITHER


class Target(_Asked, frozen=True):
    type: str
    key: Key | None = None
    cloud_id: Key | None = None


class AnyCommand(_Asked, frozen=True):
    type: CommandType
    payload: Json
    target: Target | None = None
    precondition: Json | None = None
    not_before: Instant | None = None
    not_after: Instant | None = None
    priority: Priority = 50


class NewContact(_Asked, frozen=True):
    """Also an edit of one: what is left out stays. ``fields``: further canonical patient fields."""

    last_name: Text | msgspec.UnsetType = msgspec.UNSET
    first_name: Text | msgspec.UnsetType = msgspec.UNSET
    birthdate: str | msgspec.UnsetType | None = msgspec.UNSET
    phones: Annotated[list[str], Meta(max_length=10)] | msgspec.UnsetType = msgspec.UNSET
    emails: Annotated[list[Text], Meta(max_length=10)] | msgspec.UnsetType = msgspec.UNSET
    fields: Json | msgspec.UnsetType = msgspec.UNSET
    is_sure: bool = False


class Into(_Asked, frozen=True):
    into: Key


class ThatKey(_Asked, frozen=True):
    key: Key


class Nothing(_Asked, frozen=True): ...


# --- people's details ---------------------------------------------------------------------------


class Detail(msgspec.Struct, frozen=True):
    """A field of a patient the page may edit. ``kind``: text, phone, date or emails."""

    name: str
    label: str
    kind: str = "text"
    group: str = "contact"


DETAILS: Final = (
    Detail("first_name", "First name", group="person"),
    Detail("middle_name", "Middle name", group="person"),
    Detail("last_name", "Last name", group="person"),
    Detail("preferred_name", "Preferred name", group="person"),
    Detail("birthdate", "Birth date", "date", "person"),
    Detail("phone_mobile", "Mobile phone", "phone"),
    Detail("phone_home", "Home phone", "phone"),
    Detail("phone_work", "Work phone", "phone"),
    Detail("emails", "E-mail", "emails"),
    Detail("language", "Language", group="person"),
    Detail("address", "Address", group="address"),
    Detail("address2", "Address, second line", group="address"),
    Detail("city", "City", group="address"),
    Detail("state", "State", group="address"),
    Detail("postal_code", "Postal code", group="address"),
)
_KIND: Final = {detail.name: detail.kind for detail in DETAILS}
LABELS: Final = {detail.name: detail.label for detail in DETAILS}


def details(fields: Json) -> Json:
    """Fields as people type them, in canonical spelling. Raises Refusal 400 naming the field."""
    return {name: detail(name, value) for name, value in fields.items()}


def detail(name: str, value: object) -> object:
    kind = _KIND.get(name)
    if kind == "emails":
        return emails(value)
    if value is None or (isinstance(value, str) and not value.strip()):
        if kind is not None:
            return None
    elif isinstance(value, str) and len(value) <= 255:
        if kind == "phone":
            return phone(value, name)
        if kind == "date":
            return day(value, name)
        if kind == "text":
            return value.strip()
    raise Refusal(400, "invalid-request", name[:40])


def phone(text: str, name: str = "phones") -> str:
    """E.164. Ten digits are a number of the United States. Raises Refusal 400."""
    digits = "".join(c for c in text if c.isascii() and c.isdigit())
    is_plain = all(c.isdigit() or c in " ()-.+/" for c in text.strip())
    if is_plain and text.strip().startswith("+") and 8 <= len(digits) <= 15:
        return f"+{digits}"
    if is_plain and len(digits) == _DIGITS_US + 1 and digits.startswith("1"):
        digits = digits[1:]
    if is_plain and len(digits) == _DIGITS_US and digits[0] not in "01":
        return f"+1{digits}"
    raise Refusal(400, "invalid-request", name[:40])


def day(text: str, name: str = "birthdate") -> str:
    try:
        return date.fromisoformat(text.strip()).isoformat()
    except ValueError:
        raise Refusal(400, "invalid-request", name[:40]) from None


def emails(value: object) -> list[str]:
    """A list, or a text with commas."""
    words = value.replace(";", ",").split(",") if isinstance(value, str) else value
    if words is None:
        return []
    if not isinstance(words, list | tuple) or not all(isinstance(one, str) for one in words):
        raise Refusal(400, "invalid-request", "emails")
    found = [one.strip() for one in words if one.strip()]
    if any("@" not in one[1:-1] or len(one) > 254 or " " in one for one in found):
        raise Refusal(400, "invalid-request", "emails")
    return list(dict.fromkeys(found))
