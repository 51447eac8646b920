"""How alike two descriptions of a person are, field by field: folded names, dates, ways to reach
them. Pure; deterministic throughout (nothing fuzzy).

Imports only ``agent.model``.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from agent.model.commands import Contact
from agent.model.entities import Patient
from agent.model.entities.words import PatientStatus


class Likeness(StrEnum):
    EQUAL = "equal"
    SIMILAR = "similar"
    DIFFERS = "differs"
    MISSING = "missing"  # on either side


@dataclass(frozen=True, slots=True)
class Person:
    """What identity is told by, of either side. Names as written; the folded ones are compared."""

    key: str
    last_name: str
    first_name: str
    middle_name: str
    birthdate: str
    phones: tuple[str, ...]
    emails: tuple[str, ...]
    last: str = ""
    first: str = ""
    reference: str | None = None
    merged_into: str | None = None
    is_deleted: bool = False

    @property
    def name(self) -> tuple[str, str]:
        """Both names without accents, in an order that does not mind swapping."""
        one, other = bare(self.last), bare(self.first)
        return (one, other) if one <= other else (other, one)


def person_of_contact(contact: Contact) -> Person:
    middle = contact.fields.get("middle_name")
    return _person(
        contact.cloud_id,
        (contact.last_name, contact.first_name, middle if isinstance(middle, str) else None),
        contact.birthdate,
        contact.phones,
        contact.emails,
        reference=contact.client_ref,
        merged_into=contact.merged_into,
        is_deleted=contact.is_deleted,
    )


def person_of_patient(patient: Patient) -> Person:
    phones = (patient.phone_mobile, patient.phone_home, patient.phone_work)
    return _person(
        patient.key,
        (patient.last_name, patient.first_name, patient.middle_name),
        patient.birthdate,
        [phone for phone in phones if phone],
        patient.emails,
        merged_into=patient.merged_into,
        is_deleted=patient.status is PatientStatus.DELETED,
    )


def _person(
    key: str,
    names: tuple[str | None, str | None, str | None],
    birthdate: str | None,
    phones: Iterable[str],
    emails: Iterable[str],
    *,
    reference: str | None = None,
    merged_into: str | None = None,
    is_deleted: bool = False,
) -> Person:
    last, first, middle = (name or "" for name in names)
    return Person(
        key, last, first, middle, birthdate or "", tuple(sorted({*phones})),
        tuple(sorted({email.strip().casefold() for email in emails if email.strip()})),
        fold(last), fold(first), reference, merged_into, is_deleted,
    )  # fmt: skip


# -- names and dates -------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def fold(name: str) -> str:
    """The normalised name: compatibility forms, no capitals, no punctuation, single spaces.
    Accents stay: names that differ in accents only are suggested, not linked."""
    if name.isascii():
        text = name.lower()
    else:
        text = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name).casefold())
    if text.isalpha():
        return text
    # A hyphen and a space join two names alike; an apostrophe or a full stop joins nothing.
    spaced = (" " if c.isspace() or unicodedata.category(c) == "Pd" else c for c in text)
    kept = (c for c in spaced if c == " " or unicodedata.category(c)[0] in "LMN")
    return " ".join("".join(kept).split())


_BARE = str.maketrans(
    {
        "ø": "o",
        "ł": "l",
        "đ": "d",
        "ð": "d",
        "æ": "ae",
        "œ": "oe",
        "þ": "th",
        "\u0131": "i",
        " ": "",
    }
)


@lru_cache(maxsize=4096)
def bare(folded: str) -> str:
    """A folded name without accents and spaces."""
    if folded.isalpha() and folded.isascii():
        return folded
    split = unicodedata.normalize("NFKD", folded)
    return "".join(c for c in split if not unicodedata.combining(c)).translate(_BARE)


def like_name(one: str, other: str) -> Likeness:
    """Of two folded names."""
    if not one or not other:
        return Likeness.MISSING
    if one == other:
        return Likeness.EQUAL
    return Likeness.SIMILAR if _is_variant(bare(one), bare(other)) else Likeness.DIFFERS


def _is_variant(one: str, other: str) -> bool:
    """Accents, a short form ("Rob", "Robert"; an initial), two names written as one, one slip."""
    if one == other or not one or not other:
        return one == other
    short, long = sorted((one, other), key=len)
    if long.startswith(short):
        return True
    return len(short) >= _WORTH_A_SLIP and _one_slip(one, other)


_WORTH_A_SLIP = 4  # in shorter names every slip is another name


def _one_slip(one: str, other: str) -> bool:
    """One sign changed, added, left out, or two neighbours swapped."""
    if abs(len(one) - len(other)) > 1:
        return False
    at = 0
    while at < min(len(one), len(other)) and one[at] == other[at]:
        at += 1
    if len(one) == len(other):
        swapped = one[at : at + 2] == other[at : at + 2][::-1] and one[at + 2 :] == other[at + 2 :]
        return one[at + 1 :] == other[at + 1 :] or swapped
    short, long = sorted((one, other), key=len)
    return short[at:] == long[at + 1 :]


def like_date(one: str, other: str) -> Likeness:
    """Of two dates YYYY-MM-DD; similar: day and month swapped, or one slip."""
    if not one or not other:
        return Likeness.MISSING
    if one == other:
        return Likeness.EQUAL
    swapped = f"{other[:4]}-{other[8:10]}-{other[5:7]}"
    is_slip = len(one) == len(other) and _one_slip(one, other)
    return Likeness.SIMILAR if one == swapped or is_slip else Likeness.DIFFERS


def _like_any(one: tuple[str, ...], other: tuple[str, ...]) -> Likeness:
    """Equal when they have one in common."""
    if not one or not other:
        return Likeness.MISSING
    return Likeness.EQUAL if any(item in other for item in one) else Likeness.DIFFERS


# -- one pair --------------------------------------------------------------------------------------

CLOSE = frozenset({Likeness.EQUAL, Likeness.SIMILAR})


@dataclass(frozen=True, slots=True)
class Pair:
    """How a contact and a record compare, field by field."""

    last: Likeness
    first: Likeness
    birthdate: Likeness
    phone: Likeness
    email: Likeness
    is_swapped: bool
    has_other_middle: bool

    @property
    def has_same_name(self) -> bool:
        return self.last is Likeness.EQUAL and self.first is Likeness.EQUAL

    @property
    def has_close_name(self) -> bool:
        return self.is_swapped or (self.last in CLOSE and self.first in CLOSE)

    @property
    def is_reached_alike(self) -> bool:
        return Likeness.EQUAL in (self.phone, self.email)

    @property
    def is_identical(self) -> bool:
        return (
            self.has_same_name
            and self.birthdate is Likeness.EQUAL
            and self.is_reached_alike
            and not self.has_other_middle
        )


def compare(contact: Person, record: Person) -> Pair:
    last, first = like_name(contact.last, record.last), like_name(contact.first, record.first)
    crossed = contact.last != contact.first and not (last in CLOSE and first in CLOSE)
    middles = sorted((bare(fold(contact.middle_name)), bare(fold(record.middle_name))), key=len)
    return Pair(
        last,
        first,
        like_date(contact.birthdate, record.birthdate),
        _like_any(contact.phones, record.phones),
        _like_any(contact.emails, record.emails),
        is_swapped=crossed
        and like_name(contact.last, record.first) in CLOSE
        and like_name(contact.first, record.last) in CLOSE,
        has_other_middle=not middles[1].startswith(middles[0]),
    )
