"""Every kind of effect, by every writer, read back with the real reader and the real data map."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from agent.model.commands import Reason
from agent.model.effects import EffectKind, WriteRefused
from agent.model.streams import Stream
from drivers.opendental.api.methods import Mode
from drivers.opendental.api.writer import ApiWriter, Keys, Place
from drivers.opendental.direct.mariadb import MariaPen
from drivers.opendental.direct.writer import DirectWriter
from drivers.sample.pen import SamplePen
from tests.drivers.conftest import FilePractice
from tests.drivers.writing import (
    ALEX,
    GONE,
    PROCEDURE,
    RECALL,
    ROBIN,
    VISIT,
    WRITER,
    Site,
    load,
    refill,
    stand_in,
)
from tests.support.mariadb import MariaDb

Sites = Callable[[str], Site]

KINDS = [
    pytest.param("api-myisam", marks=[pytest.mark.mariadb, pytest.mark.slow]),
    pytest.param("api-innodb", marks=pytest.mark.mariadb),
    pytest.param("sql-myisam", marks=[pytest.mark.mariadb, pytest.mark.slow]),
    pytest.param("sql-innodb", marks=[pytest.mark.mariadb, pytest.mark.slow]),
    "sample",
]


@pytest.fixture(scope="module")
def sites(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sites]:
    """A site of each kind, made when first asked for, kept for the module: probing takes time."""
    made: dict[str, Site] = {}
    stack = ExitStack()
    folder = tmp_path_factory.mktemp("sample")

    def site_of(name: str) -> Site:
        if name not in made:
            made[name] = make(name)
            refill(made[name].practice.run)
            facts = made[name].writer.probe()
            assert facts.abilities == set(EffectKind), facts.missing
        return made[name]

    def make(name: str) -> Site:
        if name == "sample":
            path = folder / "practice.db"
            site = Site(name, FilePractice(path))
            site.writer = DirectWriter(
                lambda: SamplePen(path), site.office, allowed=True, is_vendors=False
            )
            return site
        way, engine = name.split("-")
        named = {"myisam": "MyISAM", "innodb": "InnoDB"}[engine]
        server: MariaDb = request.getfixturevalue("server")
        practice = load(server, f"w_{way}_{engine}", named, later=way == "api")
        site = Site(name, practice)
        if way == "api":
            api = stack.enter_context(stand_in(practice))
            keys = Keys(api.developer_key, api.customer_key)
            site.writer = ApiWriter([Place(api.url, Mode.SERVICE)], keys, site.office)
        else:
            login = practice.login(user=WRITER)
            site.writer = DirectWriter(lambda: MariaPen(login), site.office, allowed=True)
        return site

    with stack:
        yield site_of
        for site in made.values():
            site.close()


@pytest.fixture(params=KINDS)
def site(request: pytest.FixtureRequest, sites: Sites) -> Site:
    found = sites(request.param)
    refill(found.practice.run)
    return found


def held(site: Site, stream: Stream, key: Any, *fields: str) -> dict[str, Any]:
    """The named fields as they read now; absent ones are None."""
    record = site.reader.one(stream, key)
    return {name: record.get(name) for name in fields}


def test_book(site: Site) -> None:
    fields = {
        "patient_key": f"{ALEX}", "start": "2027-03-02T15:30:00Z", "minutes": 50,
        "operatory_key": "2", "provider_key": "1", "hygienist_key": "2", "type_key": "3",
        "note": "First line\nSeñora: café", "is_new_patient": True,
        "confirmation_category": "confirmed",
    }  # fmt: skip
    made = site.write(EffectKind.BOOK, Stream.APPOINTMENT, None, fields)
    assert held(site, Stream.APPOINTMENT, made.key, *fields) == fields
    more = held(site, Stream.APPOINTMENT, made.key, "status", "pattern", "confirmation_key",
                "start_local", "end")  # fmt: skip
    assert more == {
        "status": "scheduled", "pattern": "///XXXXX//", "confirmation_key": "26",
        "start_local": "2027-03-02T09:30:00", "end": "2027-03-02T16:20:00Z",
    }  # fmt: skip
    visit = f"WHERE AptNum={made.key}"
    assert site.rows(f"SELECT HistApptAction FROM histappointment {visit}") == [("0",)]
    first = held(site, Stream.PATIENT, ALEX, "first_visit")
    assert first == {"first_visit": "2027-03-02"}


def test_book_without_more_than_needed(site: Site) -> None:
    fields = {"patient_key": f"{ROBIN}", "start": "2027-07-06T14:00:00Z", "minutes": 20,
              "operatory_key": "1"}  # fmt: skip
    made = site.write(EffectKind.BOOK, Stream.APPOINTMENT, None, fields)
    assert held(site, Stream.APPOINTMENT, made.key, *fields) == fields
    more = held(site, Stream.APPOINTMENT, made.key, "pattern", "provider_key", "confirmation_key")
    assert more == {"pattern": "/XX/", "provider_key": "1", "confirmation_key": "19"}


def test_move(site: Site) -> None:
    fields = {"start": "2027-03-09T16:00:00Z", "minutes": 60, "operatory_key": "2",
              "provider_key": "2", "hygienist_key": "2"}  # fmt: skip
    assert site.write(EffectKind.MOVE, Stream.APPOINTMENT, VISIT, fields).key == VISIT
    assert held(site, Stream.APPOINTMENT, VISIT, *fields) == fields
    kept = held(site, Stream.APPOINTMENT, VISIT, "pattern", "note", "arrived", "status")
    assert kept["pattern"] == "//XXXXXXXX//"  # the assistant's time at both ends stays
    assert kept == {**kept, "note": "Window seat", "arrived": None, "status": "scheduled"}


@pytest.mark.parametrize("status", ["unscheduled", "broken"])
def test_move_from_the_list_puts_it_back(site: Site, status: str) -> None:
    site.write(EffectKind.SET_STATUS, Stream.APPOINTMENT, VISIT, {"status": status})
    fields = {"status": "scheduled", "start": "2027-03-09T16:00:00Z", "operatory_key": "2"}
    site.write(EffectKind.MOVE, Stream.APPOINTMENT, VISIT, fields)
    assert held(site, Stream.APPOINTMENT, VISIT, *fields) == fields


def test_a_move_sets_no_other_status(site: Site) -> None:
    before = site.state()
    with pytest.raises(WriteRefused) as caught:
        site.write(EffectKind.MOVE, Stream.APPOINTMENT, VISIT, {"status": "complete"})
    assert caught.value.reason is Reason.NOT_SUPPORTED
    assert site.state() == before


def test_copies_tell_how_a_visit_stood_after_each_change(site: Site) -> None:
    """What a probe asks when the record itself says something else by now."""
    end = site.reader.past_end(Stream.APPOINTMENT)
    assert end is not None
    site.write(EffectKind.CONFIRM, Stream.APPOINTMENT, VISIT, {"confirmation_key": "21"})
    site.write(EffectKind.SET_STATUS, Stream.APPOINTMENT, VISIT, {"status": "unscheduled"})
    stood = [
        (key, is_new, fields["status"], fields["confirmation_key"], fields.get("operatory_key"))
        for key, is_new, fields in site.reader.past(Stream.APPOINTMENT, end, key=VISIT)
    ]
    assert stood == [
        (VISIT, False, "scheduled", "21", "1"),
        (VISIT, False, "unscheduled", "21", None),
    ]
    place = {"patient_key": str(ROBIN), "start": "2027-03-10T16:00:00Z", "minutes": 20,
             "operatory_key": "1"}  # fmt: skip
    made = site.write(EffectKind.BOOK, Stream.APPOINTMENT, None, place).key
    assert made is not None
    born = site.reader.past(Stream.APPOINTMENT, int(made) - 1, patient=ROBIN)
    assert born[0][:2] == (made, True)
    assert {name: born[0][2][name] for name in place} == place


def test_who_entered_a_patient(site: Site) -> None:
    person = {"last_name": "Logged", "first_name": "Lee", "birthdate": "1990-05-06"}
    made = site.write(EffectKind.CREATE_PATIENT, Stream.PATIENT, None, person).key
    assert made is not None
    assert site.reader.entered(Stream.PATIENT, [made, ROBIN]) == {made: True}


def test_move_shorter_keeps_both_ends(site: Site) -> None:
    site.write(EffectKind.MOVE, Stream.APPOINTMENT, VISIT, {"minutes": 20})
    assert held(site, Stream.APPOINTMENT, VISIT, "pattern") == {"pattern": "////"}


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"confirmation_category": "confirmed"}, "26"),  # of two, the one the office means
        ({"confirmation_category": "contacted"}, "20"),
        ({"confirmation_key": "21"}, "21"),
    ],
)
def test_confirm(site: Site, fields: dict[str, Any], key: str) -> None:
    site.write(EffectKind.CONFIRM, Stream.APPOINTMENT, VISIT, fields)
    found = held(site, Stream.APPOINTMENT, VISIT, "confirmation_key", *fields)
    assert found == {"confirmation_key": key, **fields}


def test_confirm_as_arrived_stamps_the_time(site: Site) -> None:
    fields = {"confirmation_category": "arrived"}
    site.write(EffectKind.CONFIRM, Stream.APPOINTMENT, VISIT, fields)
    found = held(site, Stream.APPOINTMENT, VISIT, "confirmation_category", "arrived")
    assert found["confirmation_category"] == "arrived"
    assert found["arrived"] is not None


def test_a_meaning_the_office_has_no_word_for_is_refused(site: Site) -> None:
    before = site.state()
    with pytest.raises(WriteRefused) as caught:  # the only one that says so is hidden
        site.write(EffectKind.CONFIRM, Stream.APPOINTMENT, VISIT,
                   {"confirmation_category": "declined"})  # fmt: skip
    assert caught.value.reason is Reason.NOT_SUPPORTED
    assert site.state() == before


def test_set_status_and_back(site: Site) -> None:
    for status in ("unscheduled", "scheduled", "broken"):
        site.write(EffectKind.SET_STATUS, Stream.APPOINTMENT, VISIT, {"status": status})
        assert held(site, Stream.APPOINTMENT, VISIT, "status") == {"status": status}
    found = held(site, Stream.APPOINTMENT, VISIT, "operatory_key", "start")
    assert found == {"operatory_key": None, "start": "2027-03-02T15:00:00Z"}


@pytest.mark.parametrize(
    ("options", "status", "chair"),
    [
        ({"to_unscheduled": "yes", "break_type": "cancelled"}, "unscheduled", None),
        ({"to_unscheduled": "no", "break_type": "missed"}, "broken", "1"),
    ],
)
def test_break(site: Site, options: dict[str, str], status: str, chair: str | None) -> None:
    site.write(EffectKind.BREAK, Stream.APPOINTMENT, VISIT, {"status": status}, **options)
    found = held(site, Stream.APPOINTMENT, VISIT, "status", "operatory_key")
    assert found == {"status": status, "operatory_key": chair}
    assert site.number("SELECT COUNT(*) FROM commlog") == 1  # the office wants one


def test_break_of_what_is_broken_is_refused(site: Site) -> None:
    site.write(EffectKind.SET_STATUS, Stream.APPOINTMENT, VISIT, {"status": "broken"})
    with pytest.raises(WriteRefused) as caught:
        site.write(EffectKind.BREAK, Stream.APPOINTMENT, VISIT, {"status": "broken"},
                   to_unscheduled="no")  # fmt: skip
    assert caught.value.reason is Reason.VALIDATION_FAILED


def test_note_on_an_appointment_is_added(site: Site) -> None:
    fields = {"note": "Asked for an earlier time"}
    site.write(EffectKind.NOTE_APPOINTMENT, Stream.APPOINTMENT, VISIT, fields)
    note = held(site, Stream.APPOINTMENT, VISIT, "note")["note"]
    assert note.split() == ["Window", "seat", *fields["note"].split()]


def test_create_patient(site: Site) -> None:
    fields = {
        "last_name": "O'Malley-Groß", "first_name": "Ada", "middle_name": "B", "gender": "female",
        "preferred_name": "Addie", "birthdate": "1991-12-31", "phone_mobile": "+13125550123",
        "phone_home": "+442079460958", "emails": ["ada@example.com", "a.b@example.org"],
        "address": "5 Elm St", "address2": "Apt 2", "city": "Springfield", "state": "IL",
        "postal_code": "60601-1234", "preferred_contact": "text_message", "language": "spa",
        "marital_status": "married", "sms_consent": "granted", "primary_provider_key": "2",
        "guarantor_key": f"{ROBIN}",
    }  # fmt: skip
    made = site.write(EffectKind.CREATE_PATIENT, Stream.PATIENT, None, fields)
    assert held(site, Stream.PATIENT, made.key, *fields) == fields
    found = held(site, Stream.PATIENT, made.key, "status", "family_role", "billing_type_key")
    assert found == {"status": "patient", "family_role": "member", "billing_type_key": "40"}
    where = f"WHERE PatNum={made.key}"
    stored = site.rows(f"SELECT WirelessPhone FROM patient {where}")
    assert stored == [("(312)555-0123",)]
    assert site.number(f"SELECT COUNT(*) FROM phonenumber {where}") == 2
    assert site.number(f"SELECT COUNT(*) FROM securitylog {where} AND PermType=106") == 1


def test_a_new_patient_heads_their_own_family(site: Site) -> None:
    fields = {"last_name": "de Vries", "first_name": "jo"}
    made = site.write(EffectKind.CREATE_PATIENT, Stream.PATIENT, None, fields)
    found = held(site, Stream.PATIENT, made.key, "last_name", "first_name", "guarantor_key")
    assert found == {"last_name": "De Vries", "first_name": "Jo", "guarantor_key": f"{made.key}"}


def test_the_same_person_is_not_made_twice(site: Site) -> None:
    fields = {"last_name": "Quill", "first_name": "Robin", "birthdate": "1980-02-03",
              "phone_home": "+13125550100"}  # fmt: skip
    before = site.state()
    with pytest.raises(WriteRefused) as caught:
        site.write(EffectKind.CREATE_PATIENT, Stream.PATIENT, None, fields)
    assert caught.value.reason is Reason.DUPLICATE_OF
    assert site.state() == before


def test_update_patient(site: Site) -> None:
    fields = {
        "last_name": "Quill-Berg", "phone_home": "+13125550177", "phone_work": None,
        "emails": ["new@example.com"], "address": "9 Oak Rd", "birthdate": None,
        "preferred_confirm": "email", "gender": "male",
    }  # fmt: skip
    site.write(EffectKind.UPDATE_PATIENT, Stream.PATIENT, ROBIN, fields)
    assert held(site, Stream.PATIENT, ROBIN, *fields) == fields
    kept = held(site, Stream.PATIENT, ROBIN, "first_name", "city", "guarantor_key")
    assert kept == {"first_name": "Robin", "city": "Millbrook", "guarantor_key": f"{ROBIN}"}
    assert site.rows("SELECT PhoneNumberVal FROM phonenumber WHERE PatNum=11 AND PhoneType=1") == [
        ("(312)555-0177",)
    ]


def test_clearing_fields(site: Site) -> None:
    fields = {"emails": None, "phone_home": None, "address": None, "city": None}
    site.write(EffectKind.UPDATE_PATIENT, Stream.PATIENT, ROBIN, fields)
    found = held(site, Stream.PATIENT, ROBIN, *fields)
    assert found == {"emails": None, "phone_home": None, "address": None, "city": None}


def test_a_field_nobody_may_write_refuses_the_whole(site: Site) -> None:
    before = site.state()
    fields = {"city": "Springfield", "needs_premedication": True}
    with pytest.raises(WriteRefused) as caught:
        site.write(EffectKind.UPDATE_PATIENT, Stream.PATIENT, ROBIN, fields)
    assert caught.value.reason is Reason.NOT_SUPPORTED
    assert site.state() == before


def test_a_deleted_patient_is_not_found(site: Site) -> None:
    with pytest.raises(WriteRefused) as caught:
        site.write(EffectKind.BOOK, Stream.APPOINTMENT, None, {
            "patient_key": "4711", "start": "2027-03-03T15:00:00Z", "minutes": 30,
            "operatory_key": "1",
        })  # fmt: skip
    assert caught.value.reason is Reason.PATIENT_NOT_FOUND
    with pytest.raises(WriteRefused):
        site.write(EffectKind.UPDATE_PATIENT, Stream.PATIENT, GONE, {"city": "Nowhere"})


@pytest.mark.parametrize("consent", ["granted", "denied", "unknown"])
def test_sms_consent(site: Site, consent: str) -> None:
    fields = {"sms_consent": consent}
    site.write(EffectKind.SET_CONSENT, Stream.PATIENT, ROBIN, fields)
    assert held(site, Stream.PATIENT, ROBIN, "sms_consent") == fields


def test_a_yes_beside_an_opt_out_of_everything(site: Site) -> None:
    site.practice.run("INSERT INTO commoptout (PatNum,OptOutSms,OptOutEmail) VALUES (11,5,1)")
    fields = {"sms_consent": "granted"}
    if site.name.startswith("api"):
        with pytest.raises(WriteRefused) as caught:
            site.write(EffectKind.SET_CONSENT, Stream.PATIENT, ROBIN, fields)
        assert caught.value.code == "write.opted_out"
        assert held(site, Stream.PATIENT, ROBIN, "sms_consent") == {"sms_consent": "denied"}
        return
    site.write(EffectKind.SET_CONSENT, Stream.PATIENT, ROBIN, fields)
    found = held(site, Stream.PATIENT, ROBIN, "sms_consent", "opt_out_sms", "email_consent")
    assert found == {**fields, "opt_out_sms": ["reminder"], "email_consent": "denied"}


def test_email_consent_only_where_it_can_be_kept(site: Site) -> None:
    fields = {"email_consent": "denied"}
    if site.name.startswith("api"):
        with pytest.raises(WriteRefused) as caught:
            site.write(EffectKind.SET_CONSENT, Stream.PATIENT, ROBIN, fields)
        assert caught.value.code == "write.email_consent_unsupported"
        return
    site.write(EffectKind.SET_CONSENT, Stream.PATIENT, ROBIN, fields)
    assert held(site, Stream.PATIENT, ROBIN, "email_consent") == fields
    with pytest.raises(WriteRefused):  # the program knows refusals only
        site.write(EffectKind.SET_CONSENT, Stream.PATIENT, ROBIN, {"email_consent": "granted"})


def test_commlog(site: Site) -> None:
    fields = {
        "patient_key": f"{ROBIN}", "note": "Reminder sent\nAnswered: yes",
        "at": "2026-07-01T14:05:06Z", "mode": "in_person", "direction": "received",
        "type_key": "235",
    }  # fmt: skip
    made = site.write(EffectKind.APPEND_COMMLOG, Stream.COMMUNICATION, None, fields)
    assert held(site, Stream.COMMUNICATION, made.key, *fields) == fields


def test_progress_note_keeps_what_was_said_before(site: Site) -> None:
    first = {"patient_key": f"{ROBIN}", "procedure_key": f"{PROCEDURE}", "note": "Seated 9:00"}
    made = site.write(EffectKind.APPEND_NOTE, Stream.CLINICAL_NOTE, None, first)
    assert held(site, Stream.CLINICAL_NOTE, made.key, *first) == first
    second = {**first, "note": "Left 9:40"}
    again = site.write(EffectKind.APPEND_NOTE, Stream.CLINICAL_NOTE, None, second)
    assert again.key != made.key
    note = held(site, Stream.CLINICAL_NOTE, again.key, "note")["note"]
    assert note == "Seated 9:00\n\nLeft 9:40"  # the newest row is the note


def test_perio(site: Site) -> None:
    measures = [
        {"kind": "bleeding", "tooth": 3, "mb": 1, "b": 0, "db": 0, "ml": 0, "l": 0, "dl": 9},
        {"kind": "gingival_margin", "tooth": 3, "mb": -5, "b": 0, "db": 2},
        {"kind": "mobility", "tooth": 4, "tooth_value": 2},
        {"kind": "probing", "tooth": 3, "mb": 3, "b": 2, "db": 3, "ml": 4, "l": 2, "dl": 12},
        {"kind": "skipped_tooth", "tooth": 16, "tooth_value": 1},
    ]
    fields = {"patient_key": f"{ROBIN}", "provider_key": "2", "date": "2026-11-02",
              "note": "Full mouth", "measures": measures}  # fmt: skip
    made = site.write(EffectKind.RECORD_PERIO, Stream.PERIO_EXAM, None, fields)
    assert held(site, Stream.PERIO_EXAM, made.key, *fields) == fields
    later = {"patient_key": f"{ROBIN}", "date": "2026-11-09",
             "measures": [{"kind": "probing", "tooth": 2, "b": 1}]}  # fmt: skip
    again = site.write(EffectKind.RECORD_PERIO, Stream.PERIO_EXAM, None, later)
    found = held(site, Stream.PERIO_EXAM, again.key, "measures")["measures"]
    assert later["measures"][0] in found
    assert {"kind": "skipped_tooth", "tooth": 16, "tooth_value": 1} in found  # as the program does


def test_recall(site: Site) -> None:
    fields = {"due": "2027-02-14", "interval": "P1Y6M2W3D", "status_key": "97",
              "note": "Call after six", "is_disabled": True, "disabled_until": "2027-01-01",
              "priority": "asap"}  # fmt: skip
    site.write(EffectKind.UPDATE_RECALL, Stream.RECALL, RECALL, fields)
    assert held(site, Stream.RECALL, RECALL, *fields) == fields
    back = {"status_key": None, "is_disabled": False, "note": None, "disabled_until": None}
    site.write(EffectKind.UPDATE_RECALL, Stream.RECALL, RECALL, back)
    assert held(site, Stream.RECALL, RECALL, *back) == back


def test_custom_fields(site: Site) -> None:
    for values in ({"Pharmacy": "Corner & Sons"}, {"Pharmacy": "Hill"}, {"Shirt size": "M"}):
        site.write(EffectKind.SET_CUSTOM, Stream.PATIENT, ROBIN, {"custom": values})
    found = held(site, Stream.PATIENT, ROBIN, "custom")
    assert found == {"custom": {"Pharmacy": "Hill", "Shirt size": "M"}}
    site.write(EffectKind.SET_CUSTOM, Stream.PATIENT, ROBIN, {"custom": {"Pharmacy": ""}})
    assert held(site, Stream.PATIENT, ROBIN, "custom") == {"custom": {"Shirt size": "M"}}
    escort = {"custom": {"Escort": "Mother"}}
    site.write(EffectKind.SET_CUSTOM, Stream.APPOINTMENT, VISIT, escort)
    assert held(site, Stream.APPOINTMENT, VISIT, "custom") == escort


@pytest.mark.parametrize(
    "custom", [{"pharmacy": "x"}, {"Secret": "x"}, {"Shirt size": "XXL"}, {"VIP": "yes"}]
)
def test_custom_fields_as_the_office_defined_them(site: Site, custom: dict[str, str]) -> None:
    before = site.state()
    with pytest.raises(WriteRefused) as caught:
        site.write(EffectKind.SET_CUSTOM, Stream.PATIENT, ROBIN, {"custom": custom})
    assert caught.value.reason is Reason.VALIDATION_FAILED
    assert site.state() == before


def test_document(site: Site) -> None:
    made = site.write(EffectKind.ATTACH_DOCUMENT, Stream.PATIENT, None, {
        "patient_key": f"{ROBIN}", "file_name": "Intake form.pdf", "content_base64": "JVBERi0=",
        "category": "patient pictures",
    })  # fmt: skip
    found = site.rows(
        f"SELECT PatNum,Description,DocCategory FROM document WHERE DocNum={made.key}"
    )
    assert found == [(f"{ROBIN}", "Intake form", "190")]


def test_signs_the_tables_cannot_hold(site: Site) -> None:
    fields = {"patient_key": f"{ROBIN}", "note": "Thanks 😀 ✓ café"}
    made = site.write(EffectKind.APPEND_COMMLOG, Stream.COMMUNICATION, None, fields)
    note = held(site, Stream.COMMUNICATION, made.key, "note")
    assert note == {"note": "Thanks \ufffd \ufffd café"}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"minutes": 47}, Reason.VALIDATION_FAILED),
        ({"minutes": 545}, Reason.VALIDATION_FAILED),
        ({"start": "2026-11-01T07:30:00Z"}, Reason.VALIDATION_FAILED),  # half past one, again
        ({"start": "yesterday"}, Reason.VALIDATION_FAILED),
        ({"operatory_key": "77"}, Reason.OPERATORY_INVALID),
        ({"provider_key": "77"}, Reason.PROVIDER_NOT_FOUND),
    ],
)
def test_a_booking_that_cannot_be(site: Site, fields: dict[str, Any], reason: Reason) -> None:
    whole = {"patient_key": f"{ROBIN}", "start": "2027-03-03T15:00:00Z", "minutes": 30,
             "operatory_key": "1", **fields}  # fmt: skip
    before = site.state()
    with pytest.raises(WriteRefused) as caught:
        site.write(EffectKind.BOOK, Stream.APPOINTMENT, None, whole)
    assert caught.value.reason is reason
    assert site.state() == before
