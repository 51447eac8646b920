"""People of both sides: matched, linked before the first push, decided by a person, followed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.journal.pulled import ContactState
from agent.model.commands import CommandType, Contact, EndState, LinkState, Reason
from agent.model.streams import Stream
from tests.sync.pullrig import Desk
from tests.sync.pullsite import desk, open_desk, site_template

__all__ = ["desk", "open_desk", "site_template"]


def contact_like(desk: Desk, key: Any, cloud_id: str, **other: Any) -> Contact:
    """A person of the CRM with the record's own identity."""
    held = desk.record(Stream.PATIENT, key)
    phones = [held[n] for n in ("phone_mobile", "phone_home", "phone_work") if held.get(n)]
    fields: dict[str, Any] = {
        "cloud_id": cloud_id, "rev": 1, "last_name": held["last_name"],
        "first_name": held["first_name"], "birthdate": held.get("birthdate"),
        "phones": tuple(phones), "emails": tuple(held.get("emails") or ()),
    }  # fmt: skip
    return Contact(**{**fields, **other})


def reachable(desk: Desk) -> list[int]:
    """Patients that can be matched for certain: named, born, with a phone of their own."""
    return [
        number
        for (number,) in desk.rows(
            "SELECT PatNum FROM patient p WHERE PatStatus=0 AND Birthdate > '1900-01-01'"
            " AND WirelessPhone <> '' ORDER BY PatNum"
        )
    ]


def state_of(desk: Desk, cloud_id: str) -> ContactState:
    row = desk.journal.contact(cloud_id)
    assert row is not None
    return row.state


def test_matched_people_are_linked_and_the_crm_is_told(desk: Desk) -> None:
    first, second = reachable(desk)[:2]
    desk.port.people = [
        contact_like(desk, first, "c-1"),
        contact_like(desk, second, "c-2", client_ref=str(second), phones=(), emails=()),
        Contact("c-3", 1, last_name="Nobody", first_name="Ned", birthdate="1970-01-01"),
    ]
    desk.match()
    assert desk.port.links["c-1"].state is LinkState.LINKED
    assert desk.port.links["c-1"].key == str(first)
    assert desk.port.links["c-2"].key == str(second)
    assert desk.port.links["c-3"].state is LinkState.UNLINKED
    assert not desk.journal.contacts_untold(10)


def test_first_contact_links_before_anything_is_pushed(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(begin=False)
    assert desk.engine.dispatcher.held
    key = reachable(desk)[0]
    desk.port.people = [contact_like(desk, key, "c-1")]
    assert desk.engine._believe(desk.reader, desk.session)
    desk.session.watch.start(desk.reader)
    desk.session.watching = True
    desk.run("UPDATE patient SET City='Before' WHERE PatNum=?", key)
    desk.engine.send_again(desk.reader, desk.session, Stream.PATIENT, [key])
    desk.send()
    assert not desk.crm.changes
    assert desk.two.people.holds_push
    desk.match()
    desk.match()
    assert desk.port.links["c-1"].key == str(key)
    assert not desk.two.people.holds_push


def test_a_hint_of_the_crm_brings_its_new_people_at_once(desk: Desk) -> None:
    first = reachable(desk)[0]
    mapped = desk.session.maps.get(Stream.PATIENT)
    desk.match()
    desk.port.people = [contact_like(desk, first, "c-1")]

    def steps() -> None:
        while desk.two.people.step(desk.reader, mapped, lambda _s: True):
            pass

    steps()
    assert desk.journal.contact("c-1") is None  # the feed is not due yet
    desk.two.hint("commands")
    steps()
    assert desk.journal.contact("c-1") is None
    desk.two.hint("contacts")
    steps()
    assert state_of(desk, "c-1") is ContactState.LINKED


def test_a_crm_without_people_holds_nothing_up(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(begin=False)
    desk.match()
    assert not desk.two.people.holds_push
    later = desk.again(begin=False)
    assert not later.two.people.holds_push
    later.close()


def test_doubt_is_a_persons_approve_and_reject(desk: Desk) -> None:
    first, second = reachable(desk)[:2]
    desk.port.people = [
        contact_like(desk, first, "c-1", phones=(), emails=()),
        contact_like(desk, second, "c-2", phones=(), emails=()),
    ]
    desk.match()
    assert desk.port.links["c-1"].state is LinkState.SUSPECT
    assert desk.port.links["c-1"].candidates == (str(first),)
    refused = desk.do(CommandType.APPOINTMENT_BOOK,
                      {"patient": {"cloud_id": "c-1"}, **desk.place()})  # fmt: skip
    assert refused.reason_code is Reason.PATIENT_AMBIGUOUS
    with pytest.raises(ValueError, match="no such record"):
        desk.two.linker.approve("c-1", 999_999, actor="tester")
    desk.two.linker.approve("c-1", first, actor="tester")
    desk.two.linker.reject("c-2", [second], actor="tester")
    desk.match()
    assert desk.port.links["c-1"].key == str(first)
    assert desk.port.links["c-2"].state is LinkState.UNLINKED
    booked = desk.do(CommandType.APPOINTMENT_BOOK,
                     {"patient": {"cloud_id": "c-1"}, **desk.place()})  # fmt: skip
    assert booked.state is EndState.APPLIED
    assert desk.visits()[0][1] == first
    with pytest.raises(ValueError, match="another contact"):
        desk.two.linker.approve("c-2", first, actor="tester")


def test_merge_and_unmerge(desk: Desk) -> None:
    key = reachable(desk)[0]
    desk.port.people = [
        contact_like(desk, key, "c-1"),
        Contact("c-2", 1, last_name="Nobody", first_name="Ned", birthdate="1970-01-01"),
    ]
    desk.match()
    desk.two.linker.merge("c-2", "c-1", actor="tester")
    desk.match()
    assert desk.port.links["c-2"].state is LinkState.MERGED
    assert desk.port.links["c-2"].key == str(key)
    assert desk.two.people.key_of("c-2") == key
    desk.two.linker.unmerge("c-2", actor="tester")
    desk.match()
    assert state_of(desk, "c-2") is ContactState.UNLINKED
    desk.two.linker.unmerge("c-1", actor="tester")
    desk.match()
    assert state_of(desk, "c-1") is ContactState.UNLINKED  # what was taken apart stays apart


def test_merges_of_the_practice_are_followed(desk: Desk) -> None:
    loser, survivor = reachable(desk)[:2]
    desk.port.people = [contact_like(desk, loser, "c-1")]
    desk.match()
    desk.run("UPDATE patient SET PatStatus=3 WHERE PatNum=?", loser)
    desk.run("INSERT INTO patientlink (PatNumFrom, PatNumTo, LinkType, DateTimeLink)"
             " VALUES (?,?,1,'2026-11-20 10:00:00')", loser, survivor)  # fmt: skip
    desk.engine.send_again(desk.reader, desk.session, Stream.PATIENT, [loser])
    assert desk.record(Stream.PATIENT, loser).get("merged_into") == str(survivor)
    desk.match()
    assert desk.port.links["c-1"].key == str(survivor)
    outcome = desk.do(CommandType.APPOINTMENT_BOOK,
                      {"patient": {"key": str(loser)}, **desk.place()})  # fmt: skip
    assert outcome.state is EndState.APPLIED
    assert desk.visits()[0][1] == survivor


def test_a_created_person_is_linked_at_once_and_not_created_twice(desk: Desk) -> None:
    person = {"last_name": "Novel", "first_name": "Nina", "birthdate": "1988-08-08",
              "phone_mobile": "+12125550188"}  # fmt: skip
    desk.port.people = [Contact("c-9", 1, last_name="Novel", first_name="Nina",
                                birthdate="1988-08-08", phones=("+12125550188",))]  # fmt: skip
    desk.match()
    made = desk.do(CommandType.PATIENT_CREATE, person, target=("patient", None, "c-9"))
    assert made.state is EndState.APPLIED
    assert desk.port.links["c-9"].key == made.pms_key
    again = desk.do(CommandType.PATIENT_CREATE, person, target=("patient", None, "c-9"))
    assert (again.reason_code, again.pms_key) == (Reason.DUPLICATE_OF, made.pms_key)
    other = desk.do(CommandType.PATIENT_CREATE, person)
    assert (other.reason_code, other.pms_key) == (Reason.DUPLICATE_OF, made.pms_key)
    unsure = desk.do(CommandType.PATIENT_CREATE, {**person, "phone_mobile": "+12125550189"})
    assert unsure.reason_code is Reason.PATIENT_AMBIGUOUS
    assert desk.one("SELECT COUNT(*) FROM patient WHERE LName='Novel'") == 1


def test_a_person_the_feed_has_not_brought_is_waited_for(desk: Desk) -> None:
    key = reachable(desk)[0]
    ident = desk.ask(CommandType.APPOINTMENT_BOOK,
                     {"patient": {"cloud_id": "c-1"}, **desk.place()})  # fmt: skip
    desk.work()
    assert desk.outcome(ident) is None
    desk.port.people = [contact_like(desk, key, "c-1")]
    desk.match()
    desk.settle(10)
    outcome = desk.outcome(ident)
    assert outcome is not None
    assert outcome.state is EndState.APPLIED
    stranger = desk.ask(CommandType.APPOINTMENT_BOOK,
                        {"patient": {"cloud_id": "c-404"}, **desk.place(3)})  # fmt: skip
    desk.settle(90)
    told = desk.outcome(stranger)
    assert told is not None
    assert told.reason_code is Reason.PATIENT_NOT_FOUND


def test_not_this_one_said_in_the_crm_holds_here(desk: Desk) -> None:
    key = reachable(desk)[0]
    desk.port.people = [contact_like(desk, key, "c-1", not_refs=(str(key),))]
    desk.match()
    assert desk.port.links["c-1"].state is LinkState.UNLINKED
    held = desk.record(Stream.PATIENT, key)
    person = {n: held[n] for n in ("last_name", "first_name", "birthdate", "phone_mobile")}
    assert desk.two.people.twin_of(person, None) == key
    assert desk.two.people.twin_of(person, "c-1") is None


@pytest.mark.parametrize("state", [ContactState.LINKED, ContactState.MERGED])
def test_a_link_the_crm_calls_wrong_is_dropped(desk: Desk, state: ContactState) -> None:
    key = reachable(desk)[0]
    desk.port.people = [
        contact_like(desk, key, "c-1"),
        Contact("c-2", 1, last_name="Nobody", first_name="Ned", birthdate="1970-01-01"),
    ]
    desk.match()
    cloud_id = "c-1"
    if state is ContactState.MERGED:
        cloud_id = "c-2"
        desk.two.linker.merge("c-2", "c-1", actor="tester")
        desk.match()
    assert state_of(desk, cloud_id) is state
    row = desk.journal.contact(cloud_id)
    assert row is not None
    known = {n: getattr(row.contact, n) for n in row.contact.__struct_fields__}
    desk.port.people.append(Contact(**{**known, "rev": 2, "not_refs": (str(key), "odd")}))
    desk.match()
    assert desk.port.links[cloud_id].state is LinkState.UNLINKED
    assert desk.port.links[cloud_id].key is None
    assert not desk.journal.contacts_untold(10)
    if state is ContactState.LINKED:
        with pytest.raises(ValueError, match="not this one"):
            desk.two.linker.approve(cloud_id, key, actor="tester")
    refused = desk.do(CommandType.APPOINTMENT_BOOK,
                      {"patient": {"cloud_id": cloud_id}, **desk.place()})  # fmt: skip
    assert refused.reason_code is Reason.PATIENT_NOT_FOUND


def test_the_index_forgets_how_people_were_called(desk: Desk) -> None:
    key = reachable(desk)[0]
    desk.match()
    index = desk.two.people._index
    assert index is not None
    was = index.people[str(key)].name
    desk.run("UPDATE patient SET LName='Otherwise' WHERE PatNum=?", key)
    desk.engine.send_again(desk.reader, desk.session, Stream.PATIENT, [key])
    with desk.two.people._lock:
        now = desk.two.people._index_now()
    assert str(key) not in now.people.sharing(iter([was]))
    assert now.people[str(key)].last_name == "Otherwise"


def test_a_patient_deleted_in_the_practice_leaves_the_index(desk: Desk) -> None:
    key = reachable(desk)[0]
    desk.match()
    assert desk.two.people._index is not None
    assert str(key) in desk.two.people._index.people
    desk.run("UPDATE patient SET PatStatus=4 WHERE PatNum=?", key)
    desk.engine.send_again(desk.reader, desk.session, Stream.PATIENT, [key])
    with desk.two.people._lock:
        assert str(key) not in desk.two.people._index_now().people
        desk.two.people._index = None
        assert str(key) not in desk.two.people._index_now().people


def test_a_record_that_left_the_practice_is_nobody(desk: Desk) -> None:
    key = reachable(desk)[0]
    desk.match()
    held = desk.record(Stream.PATIENT, key)
    person = {n: held[n] for n in ("last_name", "first_name", "birthdate", "phone_mobile")}
    assert desk.two.people.twin_of(person, None) == key
    gone = contact_like(desk, key, "c-1")
    with desk.journal.turn() as turn:
        turn.bury(Stream.PATIENT, [key], None)
    assert desk.two.people.twin_of(person, None) is None
    desk.two.people._index = None
    desk.port.people = [gone]
    desk.match()
    assert desk.port.links["c-1"].state is LinkState.UNLINKED
