"""What the page needs to find a record again, taken from its JSON when it arrives. Pure.

Imports msgspec and ``agent.model``. Only the types that need it are looked into, and only at the
few fields named here; a field of another shape than expected is as good as absent, because the CRM
keeps whatever hashes right.
"""

from __future__ import annotations

import unicodedata
from typing import Final

import msgspec

from agent.model.streams import Stream
from agent.sandbox.crm.schema import TYPE_ID

PATIENT: Final = TYPE_ID[Stream.PATIENT]
APPOINTMENT: Final = TYPE_ID[Stream.APPOINTMENT]
SCHEDULE_BLOCK: Final = TYPE_ID[Stream.SCHEDULE_BLOCK]
PROCEDURE: Final = TYPE_ID[Stream.PROCEDURE]
BALANCE: Final = TYPE_ID[Stream.BALANCE]

_OF_PATIENT: Final = frozenset(
    TYPE_ID[stream]
    for stream in (
        Stream.APPOINTMENT,
        Stream.RECALL,
        Stream.COVERAGE,
        Stream.PROCEDURE,
        Stream.CLAIM,
        Stream.PAYMENT,
        Stream.ADJUSTMENT,
        Stream.COMMUNICATION,
        Stream.CLINICAL_NOTE,
        Stream.PERIO_EXAM,
        Stream.LAB_CASE,
    )
)
_ON_CARD: Final = frozenset(
    TYPE_ID[stream]
    for stream in (Stream.APPOINTMENT, Stream.RECALL, Stream.COVERAGE, Stream.COMMUNICATION)
)
"""Types listed on a patient's card. Of procedures only planned work is; the rest are too many."""


class Found(msgspec.Struct, frozen=True, gc=False):
    """``patient``: the key this record belongs to; ``kin``: the key whose card lists it."""

    patient: str | None = None
    kin: str | None = None
    starts: str | None = None
    sort: str | None = None
    search: str | None = None


NOTHING: Final = Found()


class _Links(msgspec.Struct, frozen=True, gc=False):
    patient_key: str | None = None
    start: str | None = None
    date: str | None = None
    status: str | None = None


class _Person(msgspec.Struct, frozen=True, gc=False):
    first_name: str = ""
    last_name: str = ""
    preferred_name: str = ""
    birthdate: str = ""
    phone_mobile: str = ""
    phone_home: str = ""
    phone_work: str = ""
    guarantor_key: str | None = None


_links = msgspec.json.Decoder(_Links)
_person = msgspec.json.Decoder(_Person)


def extract(type_id: int, key: str, content: bytes) -> Found:
    """The few facts of a record that are worth an index."""
    if type_id == PATIENT:
        return _of_person(content)
    if type_id == BALANCE:
        return Found(patient=key)
    if type_id not in _OF_PATIENT and type_id != SCHEDULE_BLOCK:
        return NOTHING
    try:
        links = _links.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return NOTHING
    on_card = type_id in _ON_CARD or (type_id == PROCEDURE and links.status == "treatment_planned")
    starts = None
    if type_id == APPOINTMENT:
        starts = links.start
    elif type_id == SCHEDULE_BLOCK:
        starts = links.start or links.date
    return Found(
        patient=links.patient_key,
        kin=links.patient_key if on_card else None,
        starts=starts,
    )


def fold(text: str) -> str:
    """Lower case without accents: how names are compared in a search."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text)
    return "".join(c for c in plain if not unicodedata.combining(c)).casefold()


def _of_person(content: bytes) -> Found:
    try:
        person = _person.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Found(sort="", search="")
    last, first = fold(person.last_name), fold(person.first_name)
    numbers = {
        "".join(c for c in phone if c.isdigit())
        for phone in (person.phone_mobile, person.phone_home, person.phone_work)
    }
    words = [first, last, fold(person.preferred_name), person.birthdate, *sorted(numbers)]
    # Each word begins with a space, so that " smi" finds a beginning and "smi" finds anywhere.
    search = " " + " ".join(word for word in words if word)
    return Found(kin=person.guarantor_key, sort=f"{last} {first}", search=search)
