"""Identity: who links, who is asked about, who is nobody; and laws against an oracle of its own."""

from __future__ import annotations

import unicodedata
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st

from agent.model.commands import Contact
from agent.model.entities import Patient
from agent.model.entities.words import PatientStatus
from agent.sync.likeness import Likeness, compare, fold, person_of_contact, person_of_patient
from agent.sync.match import (
    MOST_SUSPECTS,
    Decision,
    Link,
    Nobody,
    PersonIndex,
    Suspect,
    decide,
    decide_all,
)
from tests.sync.properties import holds, run_many

PHONE, MAIL, BORN = "+12145550101", "ada@example.test", "1980-03-04"


def patient(key: str = "1", **changes: Any) -> Patient:
    values = {
        "last_name": "Muster", "first_name": "Ada", "birthdate": BORN, "phone_mobile": PHONE,
        "emails": (MAIL,), "status": PatientStatus.PATIENT,
    }  # fmt: skip
    return Patient(key, **{**values, **changes})


def contact(cloud_id: str = "c1", **changes: Any) -> Contact:
    values = {
        "last_name": "Muster", "first_name": "Ada", "birthdate": BORN, "phones": (PHONE,),
        "emails": (MAIL,),
    }  # fmt: skip
    return Contact(cloud_id, 1, **{**values, **changes})


def why(decision: Decision) -> str:
    return decision.why if isinstance(decision, Suspect) else type(decision).__name__


# -- the rules one by one --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, "Link"),
        ({"last_name": " MUSTER ", "first_name": "ada"}, "Link"),
        ({"emails": (), "phones": (PHONE, "+12145550199")}, "Link"),
        ({"phones": (), "emails": ("ADA@Example.test",)}, "Link"),
        ({"phones": (), "emails": ()}, "match.name_and_birthdate"),
        ({"phones": ("+12145550199",), "emails": ("x@y.test",)}, "match.name_and_birthdate"),
        ({"first_name": "Áda"}, "match.name_variant"),  # accents are suggested, not linked
        ({"last_name": "Mustre"}, "match.name_variant"),
        ({"first_name": "Adalbert"}, "match.name_variant"),
        ({"first_name": "A."}, "match.name_variant"),
        ({"last_name": "Ada", "first_name": "Muster"}, "match.names_swapped"),
        ({"last_name": "Married"}, "match.birthdate_and_contact"),
        ({"first_name": "Berta"}, "match.birthdate_and_contact"),  # a twin, or a nickname
        ({"birthdate": None}, "match.name_and_contact"),
        ({"birthdate": "1980-04-03"}, "match.name_and_contact"),  # day and month
        ({"birthdate": "1981-03-04"}, "match.name_and_contact"),
        ({"birthdate": None, "last_name": None, "first_name": None}, "match.contact_only"),
        ({"birthdate": "1955-11-30"}, "Nobody"),  # the father of the same name
        ({"birthdate": None, "first_name": "Berta"}, "Nobody"),  # a family shares the phone
        ({"birthdate": "2010-05-05", "first_name": "Berta"}, "Nobody"),
        ({"first_name": "Berta", "last_name": "Other"}, "Nobody"),
        ({"birthdate": None, "phones": ("+12145550199",), "emails": ()}, "Nobody"),
    ],
)
def test_each_rule(changes: dict[str, Any], found: str) -> None:
    assert why(decide(contact(**changes), [patient()])) == found


def test_a_name_alone_is_worth_a_look_where_nothing_speaks_against_it() -> None:
    bare: dict[str, Any] = {"birthdate": None, "phones": (), "emails": ()}
    unreached = patient(birthdate=None, phone_mobile=None, emails=())
    assert why(decide(contact(**bare), [unreached])) == "match.name_only"
    assert why(decide(contact(**bare), [patient()])) == "match.name_only"
    assert why(decide(contact(**{**bare, "phones": ("+12145550199",)}), [patient()])) == "Nobody"


def test_an_exact_link_says_so() -> None:
    assert decide(contact(), [patient("7")]) == Link("7", "identity")
    assert decide(contact(), []) == Nobody()


def test_two_records_of_one_person_are_asked_about() -> None:
    found = decide(contact(), [patient("1"), patient("2")])
    assert why(found) == "match.same_person_twice"
    assert isinstance(found, Suspect)
    assert [c.key for c in found.candidates] == ["1", "2"]


def test_a_family_at_one_phone_keeps_its_members_apart() -> None:
    family = [
        patient("1"),
        patient("2", first_name="Berta", birthdate="1982-01-01"),
        patient("3", first_name="Carl", birthdate="2012-06-06"),
    ]
    assert decide(contact(first_name="Carl", birthdate="2012-06-06"), family) == Link(
        "3", "identity"
    )
    assert decide(contact(first_name="Dora", birthdate="2014-07-07"), family) == Nobody()


def test_other_middle_names_are_other_people_until_a_person_says() -> None:
    record = patient(middle_name="Maria")
    assert why(decide(contact(fields={"middle_name": "M."}), [record])) == "Link"
    assert why(decide(contact(), [record])) == "Link"
    other = contact(fields={"middle_name": "Ruth"})
    assert why(decide(other, [record])) == "match.name_and_birthdate"


def test_the_permanent_reference_comes_first() -> None:
    married = contact(client_ref="1", last_name="Other", phones=(), emails=())
    assert decide(married, [patient("1"), patient("2", last_name="Other")]) == Link(
        "1", "reference"
    )
    corrected = contact(client_ref="1", birthdate="1999-09-09")
    assert decide(corrected, [patient("1")]) == Link("1", "reference")
    wrong = contact(client_ref="1", birthdate="1999-09-09", first_name="Zoe")
    assert why(decide(wrong, [patient("1")])) == "match.reference_contradicted"
    unknown = contact(client_ref="404")
    assert why(decide(unknown, [patient("1")])) == "match.same_person_twice"
    assert decide(contact(client_ref="404", last_name="Nemo", phones=(), emails=()), []) == Nobody()


def test_merged_records_stand_for_the_survivor() -> None:
    archived = PatientStatus.ARCHIVED
    loser = patient("1", merged_into="2", status=archived)
    middle = patient("2", merged_into="3", status=archived, phone_mobile=None, emails=())
    survivor = patient("3", phone_mobile=None, emails=())
    assert decide(contact(), [loser, middle, survivor]) == Link("3", "identity")
    assert decide(contact(client_ref="1"), [loser, middle, survivor]) == Link("3", "reference")
    renamed = patient("3", first_name="Zoe", phone_mobile=None, emails=())
    assert why(decide(contact(), [loser, middle, renamed])) == "match.merged_record"
    assert why(decide(contact(), [loser])) == "match.same_person_twice"  # the survivor is not here
    circle = [patient("1", merged_into="2"), patient("2", merged_into="1")]
    assert isinstance(decide(contact(), circle), Suspect)


def test_deleted_records_are_nobody() -> None:
    gone = patient(status=PatientStatus.DELETED)
    assert decide(contact(), [gone]) == Nobody()
    assert decide(contact(client_ref="1"), [gone]) == Nobody()


def test_a_rejection_stands() -> None:
    assert decide(contact(), [patient("1")], rejected=["1"]) == Nobody()
    assert decide(contact(client_ref="1"), [patient("1")], rejected=["1"]) == Nobody()
    assert decide(contact(), [patient("1"), patient("2")], rejected=["1"]) == Link("2", "identity")
    loser = patient("1", merged_into="2", status=PatientStatus.ARCHIVED)
    assert decide(contact(), [loser, patient("2")], rejected=["2"]) == Nobody()
    assert decide(contact(), [loser, patient("2")], rejected=["1"]) == Nobody()


def test_a_record_is_not_taken_from_another_contact() -> None:
    taken = {"1": "c2"}
    assert why(decide(contact(), [patient("1")], taken=taken)) == "match.taken_by_another"
    found = decide(contact(client_ref="1"), [patient("1")], taken=taken)
    assert why(found) == "match.taken_by_another"
    assert decide(contact(), [patient("1")], taken={"1": "c1"}) == Link("1", "identity")


def test_evidence_stands_side_by_side() -> None:
    asked = contact(first_name="Áda", birthdate="1980-03-04", phones=(), emails=("other@x.test",))
    found = decide(asked, [patient("1", middle_name="M")])
    assert isinstance(found, Suspect)
    entry = found.candidates[0].entry()
    assert entry["key"] == "1"
    assert 0 < entry["score"] <= 100
    assert entry["evidence"] == {
        "last_name": {"crm": "Muster", "pms": "Muster", "likeness": "equal"},
        "first_name": {"crm": "Áda", "pms": "Ada", "likeness": "similar"},
        "middle_name": {"crm": "", "pms": "M", "likeness": "missing"},
        "birthdate": {"crm": BORN, "pms": BORN, "likeness": "equal"},
        "phones": {"crm": [], "pms": [PHONE], "likeness": "missing"},
        "emails": {"crm": ["other@x.test"], "pms": [MAIL], "likeness": "differs"},
    }
    assert msgspec.json.decode(msgspec.json.encode(entry)) == entry


def test_suspects_are_in_order_and_few() -> None:
    crowd = [patient(str(n), phone_mobile=None, emails=()) for n in range(30)]
    crowd.append(patient("99", first_name="Adalyn", birthdate=BORN))
    found = decide(contact(), crowd)
    assert isinstance(found, Suspect)
    assert len(found.candidates) == MOST_SUSPECTS
    scores = [c.score for c in found.candidates]
    assert scores == sorted(scores, reverse=True)
    assert [c.key for c in found.candidates][:2] == ["99", "0"]  # the last to be looked at


def test_a_loser_beside_its_survivor_says_nothing_new() -> None:
    away = {"phone_mobile": None, "emails": ()}
    both = [patient("1", merged_into="2", **away), patient("2", **away)]
    assert why(decide(contact(), both)) == "match.name_and_birthdate"
    assert decide(contact(), both) == decide(contact(), both[::-1])


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"birthdate": None, "phones": (), "emails": ()}, "match.name_only"),
        ({"last_name": "Mustre", "phones": (), "emails": ()}, "match.name_variant"),
        ({"last_name": "Mustre", "birthdate": None, "emails": ()}, "match.name_and_contact"),
        ({"last_name": "Mustre", "birthdate": None, "phones": ()}, "match.name_and_contact"),
    ],
)
def test_the_index_looks_everywhere(changes: dict[str, Any], found: str) -> None:
    assert why(PersonIndex([patient()]).decide(contact(**changes))) == found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("O'Brien", "obrien"),
        ("Smith-Jones", "smith  jones"),
        ("St. John", "ST JOHN"),
        ("\uff21\uff24\uff21", "ada"),  # full width
        ("ADA", "ada"),
        ("Müller", "mu\u0308ller"),
    ],
)
def test_names_that_are_the_same(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Müller", "Muller"), ("Ana", "Anna"), ("Mary Ann", "Maryann"), ("Jón", "Jon")],
)
def test_names_that_are_not(one: str, other: str) -> None:
    assert fold(one) != fold(other)


# -- populations -----------------------------------------------------------------------------------


def test_contacts_that_claim_one_record_are_asked_about() -> None:
    index = PersonIndex([patient("1")])
    twice = decide_all([contact("c1"), contact("c2")], index)
    assert [why(d) for d in twice.values()] == ["match.taken_by_another"] * 2
    one_knows = decide_all([contact("c1"), contact("c2", client_ref="1")], index)
    assert why(one_knows["c1"]) == "match.taken_by_another"
    assert one_knows["c2"] == Link("1", "reference")
    gone = [contact("c1"), contact("c2", is_deleted=True), contact("c3", merged_into="c1")]
    assert decide_all(gone, index) == {"c1": Link("1", "identity")}


def test_rejections_and_owners_hold_in_populations() -> None:
    index = PersonIndex([patient("1")])
    assert decide_all([contact()], index, rejected={"c1": ["1"]}) == {"c1": Nobody()}
    taken = decide_all([contact()], index, taken={"1": "c9"})
    assert why(taken["c1"]) == "match.taken_by_another"
    with pytest.raises(ValueError, match="already"):
        index.add(patient("1"))


def test_the_index_follows_the_practice() -> None:
    index = PersonIndex([patient("1"), patient("2", first_name="Berta", birthdate="1982-01-01")])
    index.discard("1")
    index.discard("404")
    assert index.near(person_of_contact(contact())) == {"2"}  # the family's phone
    assert index.decide(contact()) == Nobody()
    index.add(patient("1", phone_mobile=None, emails=("new@example.test",)))
    assert why(index.decide(contact())) == "match.name_and_birthdate"
    assert index.decide(contact(emails=("new@example.test",))) == Link("1", "identity")


# -- laws ------------------------------------------------------------------------------------------

_LASTS = st.sampled_from(["Muster", "MUSTER", "Mústér", "Mustre", "Ada", "Other", None, "O'Brien"])
_FIRSTS = st.sampled_from(["Ada", "ada ", "Áda", "Adalbert", "Berta", "Muster", "B", None])
_BORN = st.sampled_from([BORN, "1980-04-03", "1980-03-05", "2012-06-06", None])
_PHONES = st.sampled_from([PHONE, "+12145550199", None])
_MAILS = st.lists(st.sampled_from([MAIL, "ADA@example.test", "b@example.test"]), max_size=2)
_MIDDLES = st.sampled_from([None, None, "M", "Maria", "Ruth"])
_STATES = st.sampled_from([PatientStatus.PATIENT] * 4 + [PatientStatus.DELETED])
_MERGED = st.sampled_from([None, None, None, "0", "1", "2", "404"])


@st.composite
def records(draw: st.DrawFn) -> list[Patient]:
    return [
        Patient(
            str(n), last_name=draw(_LASTS), first_name=draw(_FIRSTS), middle_name=draw(_MIDDLES),
            birthdate=draw(_BORN), phone_mobile=draw(_PHONES), phone_home=draw(_PHONES),
            emails=tuple(draw(_MAILS)), status=draw(_STATES), merged_into=draw(_MERGED),
        )
        for n in range(draw(st.integers(0, 5)))
    ]  # fmt: skip


@st.composite
def contacts(draw: st.DrawFn, cloud_id: str = "c1") -> Contact:
    middle = draw(_MIDDLES)
    phone = draw(_PHONES)
    return Contact(
        cloud_id, 1, last_name=draw(_LASTS), first_name=draw(_FIRSTS), birthdate=draw(_BORN),
        phones=(phone,) if phone else (), emails=tuple(draw(_MAILS)),
        client_ref=draw(st.sampled_from([None, None, None, "0", "1", "404"])),
        fields={"middle_name": middle} if middle else {},
    )  # fmt: skip


def flat(name: str | None) -> str:
    """The oracle's own normalised name: letters and digits in small, accents and all."""
    text = unicodedata.normalize("NFC", name or "").lower()
    return "".join(c for c in text if c.isalnum())


def oracle_identical(who: Contact, record: Patient) -> bool:
    names = (flat(who.last_name), flat(who.first_name))
    if not all(names) or names != (flat(record.last_name), flat(record.first_name)):
        return False
    phones = {record.phone_mobile, record.phone_home, record.phone_work} - {None}
    mails = {mail.lower() for mail in record.emails}
    reached = {*who.phones} & phones or {mail.lower() for mail in who.emails} & mails
    middles = flat(who.fields.get("middle_name")), flat(record.middle_name)
    clash = all(middles) and not (
        middles[0].startswith(middles[1]) or middles[1].startswith(middles[0])
    )
    return (
        who.birthdate is not None
        and who.birthdate == record.birthdate
        and bool(reached)
        and not clash
    )


def oracle_survivor(key: str, people: dict[str, Patient]) -> str | None:
    path = [key]
    while key in people and (following := people[key].merged_into) is not None:
        if following in path:
            return None
        path.append(following)
        key = following
    living = key in people and people[key].status is not PatientStatus.DELETED
    return key if living else None


@holds(200, who=contacts(), people=records(), rejected=st.sets(st.sampled_from("012"), max_size=2))
def test_only_the_same_name_and_birth_date_links(who: Contact, people: Any, rejected: Any) -> None:
    found = decide(who, people, rejected=rejected)
    by_key = {record.key: record for record in people}
    ends = {
        oracle_survivor(record.key, by_key)
        for record in people
        if oracle_identical(who, record) and record.key not in rejected
        and not (record.status is PatientStatus.DELETED and record.merged_into is None)
    } - {None}  # fmt: skip
    if isinstance(found, Link) and found.by == "identity":
        record = by_key[found.key]
        assert who.client_ref is None
        assert who.birthdate == record.birthdate is not None
        assert flat(who.first_name) == flat(record.first_name) != ""
        assert flat(who.last_name) == flat(record.last_name) != ""
        assert found.key in ends
        agreeing = {end for end in ends if flat(by_key[end].first_name) == flat(who.first_name)}
        assert found.key in agreeing
    if isinstance(found, Link) and found.by == "reference":
        assert found.key == oracle_survivor(who.client_ref or "", by_key)
    straight = [r for r in people if oracle_identical(who, r) and r.merged_into is None
                and r.status is not PatientStatus.DELETED]  # fmt: skip
    if who.client_ref is None and len(straight) == len(people) == 1 and not rejected:
        assert found == Link(straight[0].key, "identity")


@holds(who=contacts(), people=records(), rejected=st.sets(st.sampled_from("012"), max_size=2))
def test_nobody_rejected_comes_back(who: Contact, people: Any, rejected: Any) -> None:
    found = decide(who, people, rejected=rejected)
    offered = {found.key} if isinstance(found, Link) else set()
    if isinstance(found, Suspect):
        offered = {c.key for c in found.candidates}
    assert not offered & rejected
    by_key = {record.key: record for record in people}
    assert not offered & {oracle_survivor(key, by_key) for key in rejected}


@holds(who=contacts(), people=records(), data=st.data())
def test_the_order_of_candidates_does_not_matter(who: Contact, people: Any, data: Any) -> None:
    mixed = data.draw(st.permutations(people))
    assert decide(who, mixed) == decide(who, people)


@holds(who=contacts(), people=records(), owner=st.sampled_from(["c1", "c9"]))
def test_the_index_misses_nobody(who: Contact, people: Any, owner: str) -> None:
    taken = {"0": owner}
    assert PersonIndex(people).decide(who, taken=taken) == decide(who, people, taken=taken)


@holds(first=contacts("c1"), second=contacts("c2"), people=records())
def test_no_record_is_given_away_twice(first: Contact, second: Contact, people: Any) -> None:
    decided = decide_all([first, second], PersonIndex(people))
    links = [d.key for d in decided.values() if isinstance(d, Link)]
    assert len(links) == len(set(links))
    assert decided == decide_all([second, first], PersonIndex(people))


@holds(who=contacts(), people=records())
def test_likeness_has_no_sides(who: Contact, people: Any) -> None:
    mine = person_of_contact(who)
    for record in people:
        theirs = person_of_patient(record)
        there, back = compare(mine, theirs), compare(theirs, mine)
        assert there == back
        if there.birthdate is Likeness.EQUAL:
            assert mine.birthdate == theirs.birthdate


LAWS = [
    test_only_the_same_name_and_birth_date_links,
    test_nobody_rejected_comes_back,
    test_the_order_of_candidates_does_not_matter,
    test_the_index_misses_nobody,
    test_no_record_is_given_away_twice,
    test_likeness_has_no_sides,
]


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS)
def test_ten_thousand_cases(law: Any) -> None:
    run_many(law)
