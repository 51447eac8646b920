"""Who is this person of the CRM in the practice? Link, ask a person, or nobody. Pure; no I/O.

- The permanent reference the CRM was once told comes first.
- Else only *deterministic* agreement links: the same normalised last and first name, the same birth
  date, and a phone or an e-mail in common; and only if exactly one record agrees like that.
- Everything else that may be the same person is a *suspect*: spelled otherwise (accents, short
  forms, a slip), first and last name swapped, a birth date missing or off by a slip. A person
  decides, with the evidence side by side.
- People who share a phone are a family, not one person: with another first name or another birth
  date they are never linked, and without anything more not even suspected.
- What a person rejected stays rejected; a record the PMS merged away stands for the survivor.

RapidFuzz puts suspects in order. It never makes one and never links.
Imports only ``agent.model``, ``agent.sync.likeness``, ``agent.sync.crowd`` and ``rapidfuzz``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from rapidfuzz import fuzz

from agent.model.commands import Contact
from agent.model.entities import Patient
from agent.sync.crowd import Crowd
from agent.sync.likeness import (
    CLOSE,
    Likeness,
    Pair,
    Person,
    bare,
    compare,
    fold,
    like_date,
    like_name,
    person_of_contact,
    person_of_patient,
)

MOST_SUSPECTS = 8
"""So many records are shown beside a contact; the best, of however many there are."""


class Evidence(msgspec.Struct, frozen=True):
    """One line of the side-by-side view; values as both sides hold them."""

    field: str
    crm: Any
    pms: Any
    likeness: Likeness


class Candidate(msgspec.Struct, frozen=True):
    """A record the contact may be. ``why``: code of the rule that says so. ``score``: 0..100, for
    the order only."""

    key: str
    why: str
    score: float
    evidence: tuple[Evidence, ...] = ()

    def entry(self) -> dict[str, Any]:
        """As the approval queue keeps it (``ContactRow.candidates``)."""
        found = {
            line.field: {"crm": line.crm, "pms": line.pms, "likeness": line.likeness.value}
            for line in self.evidence
        }
        return {"key": self.key, "why": self.why, "score": round(self.score, 1), "evidence": found}


@dataclass(frozen=True, slots=True)
class Link:
    """This is that record. ``by``: "reference" or "identity"."""

    key: str
    by: str


@dataclass(frozen=True, slots=True)
class Suspect:
    """A person decides. ``why``: of the best candidate, or why a link was not made."""

    candidates: tuple[Candidate, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Nobody:
    """No record is this person."""


Decision = Link | Suspect | Nobody


# -- one pair --------------------------------------------------------------------------------------


def _suspicion(pair: Pair) -> str | None:
    """Code of the rule that makes a pair worth a person's look, or None. Never fuzzy."""
    birthdate = pair.birthdate
    is_unnamed = Likeness.MISSING in (pair.last, pair.first)
    if pair.is_identical:
        return "match.same_person_twice"
    if birthdate is Likeness.EQUAL:
        if pair.has_close_name:
            if pair.is_swapped:
                return "match.names_swapped"
            return "match.name_and_birthdate" if pair.has_same_name else "match.name_variant"
        if pair.is_reached_alike and (pair.last in CLOSE or pair.first in CLOSE or is_unnamed):
            return "match.birthdate_and_contact"
        return None
    if birthdate is Likeness.DIFFERS:
        return None
    if pair.is_reached_alike:
        if pair.has_close_name:
            return "match.name_and_contact"
        fits = Likeness.DIFFERS not in (pair.last, pair.first)
        return "match.contact_only" if is_unnamed and fits else None
    # Nothing but the name: a look is worth it where nothing speaks against it.
    is_silent = {birthdate, pair.phone, pair.email} == {Likeness.MISSING}
    return "match.name_only" if is_silent and pair.has_same_name else None


def _score(contact: Person, record: Person, pair: Pair) -> float:
    """0..100 for ordering suspects: names by RapidFuzz, the rest by likeness."""
    worth = {Likeness.EQUAL: 1.0, Likeness.SIMILAR: 0.6, Likeness.MISSING: 0.3}
    names = fuzz.token_sort_ratio(
        f"{bare(contact.last)} {bare(contact.first)}", f"{bare(record.last)} {bare(record.first)}"
    )
    date = worth.get(pair.birthdate, 0.0)
    reach = max(worth.get(pair.phone, 0.0), worth.get(pair.email, 0.0))
    return 0.5 * names + 30.0 * date + 20.0 * reach


def evidence(contact: Person, record: Person) -> tuple[Evidence, ...]:
    """Side by side, in the order a person reads them."""
    pair = compare(contact, record)
    middle = like_name(fold(contact.middle_name), fold(record.middle_name))
    return (
        Evidence("last_name", contact.last_name, record.last_name, pair.last),
        Evidence("first_name", contact.first_name, record.first_name, pair.first),
        Evidence("middle_name", contact.middle_name, record.middle_name, middle),
        Evidence("birthdate", contact.birthdate, record.birthdate, pair.birthdate),
        Evidence("phones", list(contact.phones), list(record.phones), pair.phone),
        Evidence("emails", list(contact.emails), list(record.emails), pair.email),
    )


# -- the decision ----------------------------------------------------------------------------------


def decide(
    contact: Contact,
    candidates: Iterable[Patient],
    *,
    rejected: Collection[str] = (),
    taken: Mapping[str, str] | None = None,
) -> Decision:
    """Who of ``candidates`` the contact is. The order of ``candidates`` does not matter.

    ``candidates``: every record that shares a birth date, phone, e-mail or name with the contact,
    the record its reference names, and the survivors of merged ones (``PersonIndex`` finds them).
    ``rejected``: keys a person said it is not. ``taken``: key -> cloud id of records that are
    linked already; another contact's record is never taken from it.
    """
    records = {person.key: person for person in map(person_of_patient, candidates)}
    return _decide(person_of_contact(contact), records, frozenset(rejected), taken or {})


def _decide(
    contact: Person,
    records: Mapping[str, Person],
    rejected: Collection[str],
    taken: Mapping[str, str],
    among: Iterable[str] | None = None,
) -> Decision:
    """``among``: the keys worth comparing; all by default."""
    refused = {*rejected, *(_survivor(key, records)[0] for key in rejected)}
    suspects: dict[str, tuple[str, Pair]] = {}
    identical: set[str] = set()
    for key in records if among is None else among:
        record = records.get(key)
        if record is None or key in refused or (record.is_deleted and not record.merged_into):
            continue
        if like_date(contact.birthdate, record.birthdate) is Likeness.DIFFERS:
            continue  # the families at one phone: nothing else can make it the same person
        pair = compare(contact, record)
        why = _suspicion(pair)
        if why is None:
            continue
        end, is_whole = _survivor(key, records)
        if end in refused:
            continue
        agrees = pair.is_identical and is_whole
        if end != key:  # what the survivor says now must agree as well
            pair = compare(contact, records[end])
            agrees = agrees and pair.has_same_name and pair.birthdate is Likeness.EQUAL
            agrees = agrees and not pair.has_other_middle
        if agrees:
            identical.add(end)
        if end == key or end not in suspects:
            suspects[end] = (why if end == key else "match.merged_record", pair)
    return _settle(contact, records, suspects, identical, refused, taken)


def _settle(
    contact: Person,
    records: Mapping[str, Person],
    suspects: dict[str, tuple[str, Pair]],
    identical: Collection[str],
    refused: Collection[str],
    taken: Mapping[str, str],
) -> Decision:
    """The reference first, then the only identical record; whatever is in doubt is asked."""

    def is_free(key: str) -> bool:
        return taken.get(key, contact.key) == contact.key

    link = None
    if contact.reference is not None:
        end, is_whole = _survivor(contact.reference, records)
        if is_whole and end not in refused:
            pair = compare(contact, records[end])
            if Likeness.DIFFERS is pair.birthdate and Likeness.DIFFERS is pair.first:
                suspects[end] = ("match.reference_contradicted", pair)
            else:
                link = Link(end, "reference")
                suspects[end] = ("match.taken_by_another", pair)
        # A reference that names nobody any more is a riddle; identity alone does not solve it.
    elif len(identical) == 1:
        (end,) = identical
        link = Link(end, "identity")
        suspects[end] = ("match.taken_by_another", suspects[end][1])
    if link is not None and is_free(link.key):
        return link
    if not suspects:
        return Nobody()
    found = [
        Candidate(key, why, _score(contact, records[key], pair))
        for key, (why, pair) in suspects.items()
    ]
    found.sort(key=lambda candidate: (-candidate.score, candidate.key))
    best = tuple(
        msgspec.structs.replace(one, evidence=evidence(contact, records[one.key]))
        for one in found[:MOST_SUSPECTS]
    )
    return Suspect(best, best[0].why)


def _survivor(key: str, records: Mapping[str, Person]) -> tuple[str, bool]:
    """Where the PMS's merges lead, and whether that is a record on file: not deleted, not unknown,
    no circle. Else the last record on the way that is known (the key itself if none is)."""
    seen = {key}
    record = records.get(key)
    while record is not None and record.merged_into:
        target = records.get(record.merged_into)
        if target is None or target.key in seen:
            return record.key, False
        seen.add(target.key)
        record = target
    return (key, False) if record is None else (record.key, not record.is_deleted)


# -- whole populations -----------------------------------------------------------------------------


class PersonIndex:
    """The practice's people by what could make them match: a contact is compared with the few that
    share a birth date, a phone, an e-mail or both names with it, and misses none by that.

    Holds names, birth dates and ways to reach people: keep it as long as it is needed, no longer.
    """

    def __init__(self, patients: Iterable[Patient]) -> None:
        self.people = Crowd()
        for patient in patients:
            self.add(patient)

    def add(self, patient: Patient) -> None:
        """A record not yet in the index."""
        person = person_of_patient(patient)
        self.people.add(person, _marks(person))

    def discard(self, key: str) -> None:
        """A record that is gone, or about to be added again as it reads now."""
        self.people.discard(key)

    def near(self, contact: Person) -> set[str]:
        """Keys worth comparing, and perhaps a few that are not."""
        return self.people.sharing(_marks(contact))

    def decide(
        self,
        contact: Contact,
        *,
        rejected: Collection[str] = (),
        taken: Mapping[str, str] | None = None,
    ) -> Decision:
        """As the function ``decide`` with everybody as candidates."""
        person = person_of_contact(contact)
        return _decide(person, self.people, rejected, taken or {}, self.near(person))


def _marks(person: Person) -> Iterator[object]:
    """What two descriptions of one person have in common: any one of these."""
    if person.birthdate:
        yield person.birthdate
    yield from person.phones
    yield from person.emails
    if person.last and person.first:
        yield person.name


def decide_all(
    contacts: Sequence[Contact],
    index: PersonIndex,
    *,
    rejected: Mapping[str, Collection[str]] | None = None,
    taken: Mapping[str, str] | None = None,
) -> dict[str, Decision]:
    """First contact of two populations: cloud id -> decision, in the order given.

    Contacts the CRM deleted or merged away are left out. Where several contacts would link to one
    record, the one with a reference does if it is the only such; the others are suspects.
    """
    refused = rejected or {}
    decided = {
        contact.cloud_id: index.decide(
            contact, rejected=refused.get(contact.cloud_id, ()), taken=taken
        )
        for contact in contacts
        if not contact.is_deleted and contact.merged_into is None
    }
    claims: dict[str, list[str]] = {}
    for cloud_id, decision in decided.items():
        if isinstance(decision, Link):
            claims.setdefault(decision.key, []).append(cloud_id)
    crowded = {key: ids for key, ids in claims.items() if len(ids) > 1}
    by_id = {contact.cloud_id: contact for contact in contacts} if crowded else {}
    for key, ids in crowded.items():
        referred = [one for one in ids if decided[one] == Link(key, "reference")]
        for cloud_id in ids:
            if [cloud_id] == referred:
                continue
            contact = person_of_contact(by_id[cloud_id])
            record = index.people[key]
            score = _score(contact, record, compare(contact, record))
            why = "match.taken_by_another"
            found = Candidate(key, why, score, evidence(contact, record))
            decided[cloud_id] = Suspect((found,), why)
    return decided
