"""The desk: booking, moving, editing through the page's API, and what the schedule shows of it."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from agent.sandbox.crm import CrmServer, CrmSettings
from agent.sandbox.crm.people import Said
from tests.sandbox.crm.contract import Contract
from tests.sandbox.crm.desk import Desk, stored

PAGE = {"X-Bridgework-Page": "1"}
DAY = "2027-03-08"  # a Monday
ZONE = ZoneInfo("America/Los_Angeles")
CAN = [
    "appointment.book", "appointment.reschedule", "appointment.confirm", "appointment.cancel",
    "appointment.status_set", "patient.update_contact", "consent.set", "commlog.append",
]  # fmt: skip


def at(hour: int, minute: int = 0) -> str:
    """A wall time of the day, in UTC."""
    day = datetime.fromisoformat(DAY).replace(hour=hour, minute=minute, tzinfo=ZONE)
    return day.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def visit(desk: Desk, key: str, start: str, minutes: int = 60, **more: Any) -> dict[str, Any]:
    record = {"key": key, "patient_key": "1", "status": "scheduled", "start": start,
              "minutes": minutes, "operatory_key": "1", "provider_key": "10"}  # fmt: skip
    return desk.change("appointment", key, record | more)


@pytest.fixture
def office(desk: Desk, server: CrmServer) -> Desk:
    """Two rooms, two people at work from 9 to 12, one visit at 10, an agent that can do things."""
    server.core.now = lambda: datetime(2027, 3, 1, 8, 0, tzinfo=ZONE)
    hours = {"kind": "provider_hours", "status": "open", "date": DAY, "start": at(9), "end": at(12)}
    results = desk.push(
        desk.change("practice", "0", {"key": "0", "name": "Willow Creek", "zone": ZONE.key}),
        desk.change("provider", "10", {"key": "10", "abbr": "Dr Lee"}),
        desk.change("provider", "11", {"key": "11", "abbr": "Sam RDH", "is_hygienist": True}),
        desk.change("operatory", "1", {"key": "1", "abbr": "Op 1", "dentist_key": "10"}),
        desk.change("operatory", "2", {"key": "2", "abbr": "Hyg", "hygienist_key": "11",
                                       "is_hygiene": True, "sort_order": 2}),
        desk.change("patient", "1", {"key": "1", "last_name": "Tester", "first_name": "Ada",
                                     "birthdate": "1985-03-14", "phone_mobile": "+15035550142",
                                     "city": "Salem", "sms_consent": "granted"}),
        desk.change("schedule_block", "1", hours | {"provider_key": "10"}),
        desk.change("schedule_block", "2", hours | {"provider_key": "11"}),
        visit(desk, "5", at(10)),
    )  # fmt: skip
    assert {r["outcome"] for r in results} == {"applied"}
    poll(desk)
    return desk


def poll(desk: Desk, **more: Any) -> list[dict[str, Any]]:
    """Commands as they are, acknowledged."""
    answer = desk.http.post("/v1/sync/commands/poll", json={"capabilities": CAN} | more)
    bodies = [json.loads(one["envelope"]["body"]) for one in answer.json()["commands"]]
    ack = [body["command_id"] for body in bodies]
    desk.http.post("/v1/sync/commands/poll", json={"capabilities": CAN, "ack": ack, "max": 0})
    return bodies


def tell(desk: Desk, command_id: str, **result: Any) -> None:
    answer = desk.http.post(f"/v1/sync/commands/{command_id}/result", json=result)
    assert answer.status_code == 200, answer.text


def act(desk: Desk, path: str, **body: Any) -> httpx.Response:
    return desk.http.post(f"/app/api/{path}", json=body, headers=PAGE)


def look(desk: Desk, path: str) -> Any:
    answer = desk.http.get(f"/app/api/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def book(desk: Desk, start: str, **more: Any) -> httpx.Response:
    body = {"patient": {"key": "1"}, "start": start, "minutes": 60, "operatory_key": "1"}
    return act(desk, "book", **(body | more))


def free(desk: Desk, **more: Any) -> list[str]:
    asked = "&".join(f"{name}={value}" for name, value in more.items())
    slots = look(desk, f"slots?date={DAY}&minutes=60&{asked}")["slots"]
    return [f"{slot['operatory']} {slot['at'][11:]}" for slot in slots]


def test_slots_are_what_is_free(office: Desk, server: CrmServer) -> None:
    room_1 = [f"Op 1 {time}" for time in ("09:00", "11:00")]
    room_2 = [f"Hyg {h:02}:{m:02}" for h in (9, 10) for m in range(0, 60, 10)] + ["Hyg 11:00"]
    assert free(office) == sorted(room_1 + room_2, key=lambda s: (s[-5:], s[0] == "H"))
    assert free(office, operatory=1) == room_1
    assert free(office, provider=11) == room_2
    assert "Op 1 10:00" in free(office, operatory=1, moving=5)
    server.core.now = lambda: datetime.fromisoformat(at(10, 45))
    assert free(office, operatory=1) == ["Op 1 11:00"]
    slot = look(office, f"slots?date={DAY}&minutes=60&operatory=1")["slots"][0]
    assert slot == {
        "start": at(11), "minutes": 60, "operatory_key": "1", "provider_key": "10",
        "at": f"{DAY}T11:00", "minute": 660, "operatory": "Op 1", "provider": "Dr Lee",
    }  # fmt: skip
    assert look(office, f"slots?date={DAY}&days=3")["suspended"] is None
    assert office.http.get("/app/api/slots?date=tomorrow").status_code == 400


def test_blocks_days_off_and_whose_time_a_visit_takes(office: Desk) -> None:
    def put(key: str, **block: Any) -> None:
        office.push(office.change("schedule_block", key, {"status": "open", "date": DAY} | block))

    lunch = {"kind": "blockout", "start": at(11), "end": at(12), "operatory_keys": ["1"]}
    put("3", **lunch)
    assert free(office, operatory=1) == ["Op 1 09:00", "Op 1 11:00"], "it forbids nothing"
    put("3", **lunch, forbids_booking=True)
    assert free(office, operatory=1) == ["Op 1 09:00"]
    assert "Hyg 11:00" in free(office)
    # In the second half of the visit at 10 the provider is free for another room.
    put("4", kind="provider_hours", provider_key="10", operatory_keys=["2"],
        start=at(10), end=at(12))  # fmt: skip
    assert "Hyg 10:30" not in free(office, provider=10)
    office.push(visit(office, "5", at(10), pattern="XXXXXX//////"))
    assert "Hyg 10:30" in free(office, provider=10)
    put("5", kind="provider_hours", provider_key="11", status="closed")
    assert free(office, provider=11) == [], "a day off"
    put("6", kind="practice", status="holiday")
    assert free(office) == []
    assert book(office, at(9)).json()["reason_code"] == "outside_hours"


def test_a_booking_from_request_to_the_real_visit(office: Desk, contract: Contract) -> None:
    made = book(office, at(11), note="Crown prep", type_key="3")
    assert made.status_code == 202
    view = made.json()
    assert (view["state"], view["told"]) == ("queued", "Waiting for the practice")
    assert (view["patient"], view["date"], view["minute"]) == ("Ada Tester", DAY, 660)
    assert free(office, operatory=1) == ["Op 1 09:00"], "the request holds its place"
    (pending,) = look(office, f"day?date={DAY}")["pending"]
    assert (pending["kind"], pending["look"], pending["operatory"]) == ("book", "pending", "1")

    (body,) = poll(office)
    contract.fits(body, contract.schema("Command"))
    assert body["payload"] == {
        "patient": {"key": "1"}, "start": at(11), "minutes": 60, "operatory_key": "1",
        "note": "Crown prep", "type_key": "3",
    }  # fmt: skip
    url = f"commands/{view['command_id']}"
    assert look(office, url)["state"] == "applying"
    tell(office, view["command_id"], state="applied", pms_key="77")
    seen = look(office, url)
    assert (seen["state"], seen["is_here"], seen["is_open"]) == ("applied", False, False)
    assert len(look(office, f"day?date={DAY}")["pending"]) == 1, "until the record arrives"
    assert free(office, operatory=1) == ["Op 1 09:00"]
    office.push(visit(office, "77", at(11)))
    assert look(office, url)["is_here"] is True
    day = look(office, f"day?date={DAY}")
    assert day["pending"] == []
    assert {v["key"] for v in day["visits"]} == {"5", "77"}


def test_a_refused_booking_says_why_and_what_else_there_is(office: Desk) -> None:
    view = book(office, at(11)).json()
    poll(office)
    offers = [{"start": at(9), "minutes": 60, "operatory_key": "1", "provider_key": "10"}]
    tell(
        office, view["command_id"], state="rejected", reason_code="slot_taken", alternatives=offers
    )
    (refused,) = look(office, f"day?date={DAY}")["pending"]
    assert (refused["look"], refused["reason_code"]) == ("refused", "slot_taken")
    assert refused["why"] == "Another visit has that place."
    assert [slot["at"] for slot in refused["alternatives"]] == [f"{DAY}T09:00"]
    assert "Op 1 11:00" in free(office), "it holds nothing any more"
    assert act(office, f"commands/{view['command_id']}/dismiss").json()["is_dismissed"] is True
    assert look(office, f"day?date={DAY}")["pending"] == []


def test_two_who_want_the_same_place(office: Desk) -> None:
    """Forty at once: one gets it, everybody else is told and offered another."""

    def ask(n: int) -> httpx.Response:
        with httpx.Client(base_url=office.server.url, timeout=20, trust_env=False) as line:
            body = {"patient": {"key": "1"}, "start": at(11), "minutes": 30 if n % 2 else 60,
                    "operatory_key": "1"}  # fmt: skip
            return line.post("/app/api/book", json=body, headers=PAGE)

    with ThreadPoolExecutor(8) as many:
        answers = list(many.map(ask, range(40)))
    assert sorted(a.status_code for a in answers) == [202] + [409] * 39
    refused = next(a for a in answers if a.status_code == 409).json()
    assert refused["type"].endswith("/command-refused")
    assert (refused["reason_code"], refused["staff_text"]) == (
        "slot_taken",
        "Another visit has that place.",
    )
    # Half of them asked for an hour, and whose refusal comes first is chance.
    assert refused["alternatives"][0]["at"] in {f"{DAY}T09:00", f"{DAY}T09:30"}
    assert len(poll(office)) == 1


@pytest.mark.parametrize("reason", ["validation_failed", "duplicate_of"])
def test_a_request_that_was_not_believed_is_told_as_that(office: Desk, reason: str) -> None:
    made = book(office, at(11)).json()["command_id"]
    for more in ({}, {"errs": {made: {"reason": reason}}, "max": 0}):  # leased, then sent back
        office.http.post("/v1/sync/commands/poll", json={"capabilities": CAN} | more)
    told = look(office, f"commands/{made}")
    assert told["state"] == "rejected"
    assert told["why"].startswith("The request was not believed")


def test_why_the_agent_said_no_stays_its_own_word(office: Desk) -> None:
    made = book(office, at(11)).json()["command_id"]
    poll(office)
    tell(office, made, state="rejected", reason_code="validation_failed", staff_text="No such one.")
    assert look(office, f"commands/{made}")["why"] == "No such one."


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"start": at(10, 30)}, "slot_taken"),
        ({"start": "2027-02-01T17:00:00Z"}, "in_past"),
        ({"start": at(11, 30)}, "outside_hours"),
        ({"operatory_key": "9"}, "operatory_invalid"),
        ({"patient": {"key": "404"}}, "patient_not_found"),
        ({"patient": {"cloud_id": "nobody"}}, "patient_not_found"),
        (
            {"patient": {"new": {"last_name": "tester", "first_name": "Ada",
                                 "birthdate": "1985-03-14"}}},
            "duplicate_of",
        ),
    ],
)  # fmt: skip
def test_what_is_refused_at_the_desk(office: Desk, more: dict[str, Any], reason: str) -> None:
    answer = book(office, more.pop("start", at(11)), **more)
    assert (answer.status_code, answer.json()["reason_code"]) == (409, reason)
    assert poll(office) == []


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"patient": {}}, "patient"),
        ({"patient": {"key": "1", "cloud_id": "c"}}, "patient"),
        ({"minutes": 7}, "minutes"),
        ({"patient": {"new": {"last_name": "A", "first_name": "B", "phone_mobile": "12"}}},
         "phone_mobile"),
        ({"start": "2027-13-40T00:00:00Z"}, "start"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood(office: Desk, more: dict[str, Any], field: str) -> None:
    answer = book(office, more.pop("start", at(11)), **more)
    assert (answer.status_code, answer.json()["detail"]) == (400, field)


def test_while_booking_is_suspended_nothing_is_offered(office: Desk, server: CrmServer) -> None:
    client = office.client_id
    stored(server, "UPDATE agent SET suspended = 'sync.critical' WHERE client_id = ?", client)
    assert free(office) == []
    assert look(office, "desk")["suspended"] == "sync.critical"
    assert book(office, at(11)).json()["reason_code"] == "pms_unavailable"
    move = act(office, "visits/5/move", start=at(9))
    assert move.json()["reason_code"] == "pms_unavailable"
    assert act(office, "visits/5/confirm").status_code == 202, "the rest goes on"


def test_a_new_person_is_one_of_ours_at_once(office: Desk) -> None:
    new = {"last_name": "Newcomer", "first_name": "Fay", "phone_mobile": "(503) 555-0177",
           "emails": "fay@example.com", "birthdate": "1990-02-03", "city": "Bend"}  # fmt: skip
    view = book(office, at(11), patient={"new": new}, is_new_patient=True).json()
    assert (view["patient"], view["patient_key"]) == ("Fay Newcomer", None)
    (body,) = poll(office)
    told = {**new, "phone_mobile": "+15035550177", "emails": ["fay@example.com"]}
    assert body["payload"]["patient"] == {"cloud_id": view["cloud_id"], "new": told}
    (contact,) = office.http.get("/v1/sync/contacts").json()["contacts"]
    assert contact["cloud_id"] == view["cloud_id"]
    assert (contact["phones"], contact["fields"]) == (["+15035550177"], {"city": "Bend"})
    assert len(look(office, f"contacts/{view['cloud_id']}")["pending"]) == 1
    # The next booking of the same person names them; once linked, it names the patient.
    again = book(office, at(9), patient={"cloud_id": view["cloud_id"]})
    (body,) = poll(office)
    assert body["payload"]["patient"]["new"]["emails"] == ["fay@example.com"]
    act(office, f"commands/{again.json()['command_id']}/dismiss")
    links = [{"cloud_id": view["cloud_id"], "state": "linked", "key": "1"}]
    office.http.post("/v1/sync/links", json={"links": links})
    book(office, at(9), operatory_key="2", patient={"cloud_id": view["cloud_id"]})
    (body,) = poll(office)
    assert body["payload"]["patient"] == {"key": "1"}


def test_a_refused_place_leaves_no_new_person_behind(office: Desk) -> None:
    new = {"last_name": "Newcomer", "first_name": "Fay"}
    assert book(office, at(10), patient={"new": new}).status_code == 409
    assert look(office, "contacts")["people"] == []


def test_a_merged_patient_is_booked_as_the_one_they_became(office: Desk) -> None:
    office.push(
        office.change("patient", "2", {"key": "2", "last_name": "Old"}),
        office.change("patient", "2", op="merge", merge_into="1"),
    )
    book(office, at(11), patient={"key": "2"})
    (body,) = poll(office)
    assert body["payload"]["patient"] == {"key": "1"}


def test_a_move_says_what_was_shown(office: Desk) -> None:
    view = act(office, "visits/5/move", start=at(10, 30)).json()
    assert (view["label"], view["minutes"], view["operatory_key"]) == ("Move", 60, "1")
    day = look(office, f"day?date={DAY}")
    (shown,) = day["visits"]
    assert shown["pending"]["command_id"] == view["command_id"]
    assert [p["kind"] for p in day["pending"]] == ["move"]
    assert free(office, operatory=1) == ["Op 1 09:00"], "the old and the new place are held"
    (body,) = poll(office)
    assert (body["target"], body["payload"]) == (
        {"type": "appointment", "key": "5"},
        {"start": at(10, 30)},
    )
    stood = {"start": at(10), "operatory_key": "1", "status": "scheduled"}
    assert body["precondition"] == {"expected": stood}
    tell(office, view["command_id"], state="applied", pms_key="5")
    assert len(look(office, f"day?date={DAY}")["pending"]) == 1
    office.push(visit(office, "5", at(10, 30)))
    assert look(office, f"day?date={DAY}")["pending"] == []
    act(office, "visits/5/move", start=at(9), operatory_key="2", expected={"start": at(10)})
    (body,) = poll(office)
    assert body["precondition"]["expected"] == stood
    assert act(office, "visits/404/move", start=at(9)).status_code == 404


def test_confirm_cancel_and_status(office: Desk) -> None:
    act(office, "visits/5/confirm")
    act(office, "visits/5/cancel", break_type="missed", note="Called in sick")
    act(office, "visits/5/status", status="complete")
    stood = {"start": at(10), "operatory_key": "1", "status": "scheduled"}
    told = [(b["type"], b["payload"], b["precondition"]["expected"]) for b in poll(office)]
    assert told == [
        ("appointment.confirm", {"confirmation_category": "confirmed"},
         {"confirmation_category": None, **stood}),
        ("appointment.cancel",
         {"break_type": "missed", "to_unscheduled": False, "note": "Called in sick"},
         stood),
        ("appointment.status_set", {"status": "complete"}, stood),
    ]  # fmt: skip


def test_an_answer_is_about_the_visit_as_it_was_shown(office: Desk) -> None:
    act(office, "visits/5/confirm", expected={"start": at(9), "status": "asap"})
    act(office, "visits/5/cancel", expected={"start": at(9)})
    office.push(office.change("appointment", "6", {"key": "6", "start": at(14)}))
    act(office, "visits/6/confirm")
    assert [body["precondition"]["expected"] for body in poll(office)] == [
        {"confirmation_category": None, "start": at(9), "operatory_key": "1", "status": "asap"},
        {"start": at(9), "operatory_key": "1", "status": "scheduled"},
        {"confirmation_category": None, "start": at(14)},
    ]


def test_an_edit_carries_what_the_page_showed(office: Desk) -> None:
    shown = {"phone_mobile": "+15035550100", "email": "left over"}
    view = act(
        office, "patients/1/edit", expected=shown,
        fields={"phone_mobile": "503.555.0188", "city": " ",
                "emails": "a@example.com; b@example.com"},
    ).json()  # fmt: skip
    (body,) = poll(office)
    fields = {"phone_mobile": "+15035550188", "city": None,
              "emails": ["a@example.com", "b@example.com"]}  # fmt: skip
    assert body["payload"] == {"fields": fields}
    assert body["precondition"]["expected"] == {
        "phone_mobile": "+15035550100", "city": "Salem", "emails": None,
    }  # fmt: skip
    assert view["fields"] == fields
    tell(office, view["command_id"], state="applied", kept_fields=["city"])
    (seen,) = look(office, "patients/1")["pending"]
    assert seen["kept_fields"] == ["city"]
    assert act(office, "patients/1/edit", fields={"balance": "0"}).status_code == 400
    assert act(office, "patients/404/edit", fields={"city": "x"}).status_code == 404
    act(office, "patients/1/consent", channel="sms", consent="denied")
    act(office, "patients/1/note", note="Asked about whitening")
    consent, note = poll(office)
    assert consent["precondition"]["expected"] == {"sms_consent": "granted"}
    assert (consent["payload"]["source"], consent["payload"]["at"][-1]) == ("CRM page", "Z")
    assert note["payload"]["patient_key"] == "1"


def test_asking_twice_with_one_key_asks_once(office: Desk) -> None:
    headers = PAGE | {"Idempotency-Key": "booking-0001"}
    body = {"patient": {"key": "1"}, "start": at(11), "minutes": 60, "operatory_key": "1"}
    first, second = (
        office.http.post("/app/api/book", json=body, headers=headers) for _ in range(2)
    )
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json()["command_id"] == second.json()["command_id"]
    other = office.http.post("/app/api/book", json=body | {"minutes": 30}, headers=headers)
    assert other.status_code == 422
    assert len(poll(office)) == 1


def test_any_command_and_waiting_for_its_end(office: Desk) -> None:
    made = act(office, "commands", type="consent.set", payload={"channel": "sms"}, priority=3,
               target={"type": "patient", "key": "1"})  # fmt: skip
    assert made.status_code == 202
    assert (made.json()["patient"], made.json()["label"]) == ("Ada Tester", "Consent")
    command_id = made.json()["command_id"]

    def end() -> None:
        poll(office)
        tell(office, command_id, state="task")

    timer = threading.Timer(0.2, end)
    timer.start()
    began = time.monotonic()
    with httpx.Client(base_url=office.server.url, timeout=20, trust_env=False) as line:
        seen = line.get(f"/app/api/commands/{command_id}?wait_s=5").json()
    timer.join()
    assert time.monotonic() - began < 3
    assert (seen["state"], seen["is_open"]) == ("task", True)
    assert seen["told"] == "The front desk does it by hand"
    assert act(office, "commands", type="perio.record", payload={}).json()["reason_code"] == (
        "not_supported_by_pms"
    )
    assert act(office, "commands", type="make.coffee", payload={}).status_code == 400
    assert office.http.get("/app/api/commands/nothing?wait_s=1").status_code == 404


def test_withdrawing_before_anybody_took_it(office: Desk) -> None:
    first = book(office, at(11)).json()["command_id"]
    assert act(office, f"commands/{first}/withdraw").json()["state"] == "superseded"
    assert act(office, f"commands/{first}/withdraw").status_code == 200
    assert poll(office) == []
    second = book(office, at(11)).json()["command_id"]
    poll(office)
    assert act(office, f"commands/{second}/withdraw").status_code == 409
    listed = look(office, "commands")["commands"]
    assert [one["command_id"] for one in listed] == [second, first]
    assert [c["command_id"] for c in look(office, "commands?state=open")["commands"]] == [second]


def test_what_can_be_done_is_said(office: Desk) -> None:
    seen = look(office, "desk")
    assert seen["capabilities"] == sorted(CAN)
    assert (seen["agent"], seen["suspended"], seen["open_commands"]) == ("listening", None, 0)
    assert {"name": "emails", "label": "E-mail", "kind": "emails", "group": "contact"} in (
        seen["patient_fields"]
    )


def test_the_page_hears_of_it(office: Desk) -> None:
    heard: list[str] = []
    with httpx.stream("GET", f"{office.server.url}/app/events", timeout=10) as stream:
        for line in stream.iter_lines():
            if line.startswith("event:"):
                heard.append(line.removeprefix("event: "))
                if heard == ["hello"]:
                    book(office, at(11))
                elif heard[-1] == "commands":
                    break
    assert "commands" in heard


def test_who_may_act(tmp_path: Path) -> None:
    settings = CrmSettings(pilot_token="let-me-in-please")
    with CrmServer(tmp_path / "crm.db", settings=settings) as server:
        url = f"{server.url}/app/api/contacts"
        body = {"last_name": "Tester", "first_name": "Ada"}
        away = {"Host": "crm.example"}
        pilot = {"Authorization": "Bearer let-me-in-please"}
        assert httpx.post(url, json=body).status_code == 403, "not from the page"
        assert httpx.post(url, json=body, headers=away | PAGE).status_code == 403
        assert httpx.get(url, headers=away).status_code == 403
        wrong = {"Authorization": "Bearer let-me-in"}
        assert httpx.post(url, json=body, headers=away | wrong).status_code == 403
        assert httpx.post(url, json=body, headers=away | pilot).status_code == 201
        assert httpx.get(url, headers=away | pilot).json()["people"][0]["name"] == "Ada Tester"
        assert stored(server, "SELECT count(*) FROM contact") == [(1,)]


def test_without_a_pilot_token_nobody_is_one(server: CrmServer) -> None:
    headers = {"Authorization": "Bearer", "Host": "crm.example"}
    assert httpx.get(f"{server.url}/app/api/desk", headers=headers).status_code == 403
    server.add_contact(Said("Tester", "Ada"))
    assert httpx.get(f"{server.url}/app/api/desk").json()["agent"] == "none"
