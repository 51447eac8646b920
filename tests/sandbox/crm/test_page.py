"""The page's own endpoints: whom they serve, and that what they say is what is held."""

from __future__ import annotations

import http.client
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.sandbox.crm import CrmServer, Fault, FaultKind
from agent.sandbox.crm.words import search_words
from tests.sandbox.crm.desk import Desk
from tests.sandbox.crm.practice import ZONE, practice

NOON = datetime(2026, 11, 20, 10, 42, tzinfo=ZONE)
FOLDER = Path(__file__).resolve().parents[3] / "assets" / "crm-page"


@pytest.fixture
def filled(desk: Desk, server: CrmServer) -> Desk:
    server.core.now = lambda: NOON
    records = list(practice(NOON.date()))
    for start in range(0, len(records), 1000):
        results = desk.push(*[desk.change(*one) for one in records[start : start + 1000]])
        assert {r["outcome"] for r in results} == {"applied"}
    return desk


def ask(desk: Desk, path: str) -> Any:
    answer = desk.http.get(f"/app/api/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_every_file_of_the_page_is_served_and_stays_at_home(server: CrmServer) -> None:
    for path in FOLDER.iterdir():
        answer = httpx.get(f"{server.url}/app/{path.name}")
        assert answer.content == path.read_bytes()
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        text = path.read_text()
        assert "https://" not in text, path.name
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", ""), path.name
    assert httpx.get(f"{server.url}/app/").text.startswith("<!doctype html>")
    assert httpx.get(f"{server.url}/", follow_redirects=True).status_code == 200
    assert httpx.get(f"{server.url}/app/../../pyproject.toml").status_code == 404
    assert httpx.get(f"{server.url}/app/%2e%2e/%2e%2e/pyproject.toml").status_code == 404


def test_the_page_is_for_this_computer_only(server: CrmServer) -> None:
    line = http.client.HTTPConnection("127.0.0.1", server.port)
    for host, status in (("localhost", 200), ("127.0.0.1", 200), ("evil.example", 403)):
        line.request("GET", "/app/api/overview", headers={"Host": f"{host}:{server.port}"})
        answer = line.getresponse()
        answer.read()
        assert answer.status == status, host
    line.close()


def test_retry_must_come_from_the_page(desk: Desk) -> None:
    (result,) = desk.push(desk.change("patient", "1", {}, content_hash="0" * 32))
    url = f"/app/api/rejects/{result['reject_id']}/retry"
    assert desk.http.post(url).status_code == 403
    from_page = desk.http.post(url, headers={"X-Bridgework-Page": "1"})
    assert from_page.json()["outcome"] == "rejected"
    assert desk.http.post(
        "/app/api/rejects/99/retry", headers={"X-Bridgework-Page": "1"}
    ).status_code == 404  # fmt: skip


def test_an_empty_crm_says_so_everywhere(desk: Desk) -> None:
    seen = ask(desk, "overview")
    assert (seen["practice_name"], seen["heartbeat"]) == ("Willow Creek Dental", None)
    assert ask(desk, "day?date=2026-11-20")["columns"] == []
    assert ask(desk, "patients?q=x") == {"people": [], "more": False}
    assert ask(desk, "activity")["lines"] == []
    assert ask(desk, "rejects")["rejects"] == []
    assert desk.http.get("/app/api/patients/1").status_code == 404
    assert desk.http.get("/app/api/day?date=tomorrow").status_code == 400


def test_the_day_is_the_practices_own(filled: Desk) -> None:
    seen = ask(filled, "day?date=2026-11-20")
    assert (seen["zone"], seen["now"]) == (ZONE.key, 10 * 60 + 42)
    assert [c["name"] for c in seen["columns"]][:2] == ["Op 1", "Op 2"]
    assert min(v["start"] for v in seen["visits"]) == 480, "eight o'clock in the practice"
    lunch = [b for b in seen["blocks"] if b["kind"] == "blockout"]
    assert (lunch[0]["start"], lunch[0]["minutes"], lunch[0]["label"]) == (720, 45, "Lunch")
    hours = [b for b in seen["blocks"] if b["kind"] == "provider_hours"]
    assert {b["start"] for b in hours} == {480}
    assert [b["label"] for b in seen["blocks"] if b["kind"] == "practice"]
    assert ask(filled, "day?date=2026-11-22")["visits"] == []
    assert ask(filled, "day?date=2026-11-22")["now"] is None


def test_the_day_moves_with_its_visits(filled: Desk) -> None:
    key = "90001"
    visit = {
        "key": key, "patient_key": "1", "status": "scheduled", "minutes": 30,
        "start": "2026-11-20T23:30:00Z", "operatory_key": "1",
    }  # fmt: skip

    def days() -> list[str]:
        return [
            day
            for day in ("2026-11-19", "2026-11-20", "2026-11-21")
            if key in {v["key"] for v in ask(filled, f"day?date={day}")["visits"]}
        ]

    filled.push(filled.change("appointment", key, visit))
    assert days() == ["2026-11-20"]
    filled.push(filled.change("appointment", key, visit | {"start": "2026-11-21T07:59:00Z"}))
    assert days() == ["2026-11-20"], "23:59 on the 20th in the practice"
    filled.push(filled.change("appointment", key, visit | {"start": "2026-11-21T08:00:00Z"}))
    assert days() == ["2026-11-21"]
    unscheduled = {k: v for k, v in visit.items() if k not in {"start", "operatory_key"}}
    filled.push(filled.change("appointment", key, unscheduled | {"status": "unscheduled"}))
    assert days() == []
    filled.push(filled.change("appointment", key, visit))
    filled.push(filled.change("appointment", key, op="delete"))
    assert days() == []


def test_the_days_when_clocks_change(filled: Desk) -> None:
    """25 hours on the first Sunday of November: the last hour belongs to that day."""
    for number, start in ((1, "2026-11-01T07:00:00Z"), (2, "2026-11-02T07:59:00Z")):
        visit = {"key": f"d{number}", "patient_key": "1", "status": "scheduled", "start": start}
        filled.push(filled.change("appointment", f"d{number}", visit))
    seen = ask(filled, "day?date=2026-11-01")
    assert {v["key"]: v["start"] for v in seen["visits"]} == {"d1": 0, "d2": 23 * 60 + 59}


@pytest.mark.parametrize(
    "typed",
    ["castell", "MARISOL cast", "cast mari", "mari", "(503) 555-0001", "5550001", "1984-03-14",
     "3/14/1984", "castellanos, marisol"],
)  # fmt: skip
def test_people_are_found_by_what_people_type(filled: Desk, typed: str) -> None:
    found = {p["key"] for p in ask(filled, f"patients?q={typed}")["people"]}
    assert "1" in found


def test_accents_do_not_matter(filled: Desk) -> None:
    person = {"key": "800", "first_name": "Zoë", "last_name": "Ångström-Ó'Neil"}
    filled.push(filled.change("patient", "800", person))
    for typed in ("angstrom", "ÅNGSTRÖM", "zoe ang", "ångström-o"):
        assert [p["key"] for p in ask(filled, f"patients?q={typed}")["people"]] == ["800"]


def test_a_renamed_or_removed_person_is_found_no_more(filled: Desk) -> None:
    for name in ("Quillfeather", "Ravensbourne"):
        person = {"key": "801", "first_name": "Ida", "last_name": name}
        filled.push(filled.change("patient", "801", person))
    assert ask(filled, "patients?q=quill")["people"] == []
    assert len(ask(filled, "patients?q=ravens")["people"]) == 1
    filled.push(filled.change("patient", "801", op="delete"))
    assert ask(filled, "patients?q=ravens")["people"] == []
    assert filled.http.get("/app/api/patients/801").status_code == 404


def test_search_words() -> None:
    assert search_words("Lee, Ana") == [" lee", " ana"]
    assert search_words("(503) 555-0142") == ["503", "5550142"]
    assert search_words("3/4/1985 1985-03-04") == ["1985-03-04", "1985-03-04"]
    assert search_words("   ") == []


def test_a_card_holds_everything(filled: Desk) -> None:
    seen = ask(filled, "patients/1")
    assert seen["name"] == "Marisol Castellanos"
    assert seen["family"][0]["key"] == "1", "the guarantor first"
    assert {m["key"] for m in seen["family"]} == {"1", "2", "3"}
    assert seen["upcoming"] == sorted(seen["upcoming"], key=lambda v: v["at"])
    assert seen["upcoming"][0]["at"] >= "2026-11-20T10:42"
    assert seen["past"][0]["at"] >= seen["past"][-1]["at"]
    assert len(seen["plan"]) == 3
    assert seen["coverage"][0]["carrier"] == "Evergreen Dental PPO"
    assert seen["balance"]["family_total"]
    assert seen["recalls"][0]["type"] == "Prophy"
    assert seen["communications"][0]["mode"] == "text"
    assert seen["heard_from"] == "Google search"


def test_a_record_that_moved_to_another_patient_leaves_the_card(filled: Desk) -> None:
    recall = {"key": "r1", "patient_key": "1", "type": "Perio", "due": "2026-12-01"}
    filled.push(filled.change("recall", "r1", recall))
    assert "Perio" in [r["type"] for r in ask(filled, "patients/1")["recalls"]]
    filled.push(filled.change("recall", "r1", recall | {"patient_key": "2"}))
    assert "Perio" not in [r["type"] for r in ask(filled, "patients/1")["recalls"]]
    assert "Perio" in [r["type"] for r in ask(filled, "patients/2")["recalls"]]


def test_finished_work_leaves_the_plan(filled: Desk) -> None:
    work = {"key": "p1", "patient_key": "2", "status": "treatment_planned", "code": "D9999"}
    filled.push(filled.change("procedure", "p1", work))
    assert "D9999" in [w["code"] for w in ask(filled, "patients/2")["plan"]]
    filled.push(filled.change("procedure", "p1", work | {"status": "completed"}))
    assert "D9999" not in [w["code"] for w in ask(filled, "patients/2")["plan"]]


def told(desk: Desk) -> str:
    line = ask(desk, "activity")["lines"][0]
    assert line["latency_ms"] < 5000
    return f"{line['mark']}|{line['who']}|{line['text']}"


def test_activity_in_plain_words(filled: Desk) -> None:
    visit = {
        "key": "v1", "patient_key": "1", "status": "scheduled", "start": "2026-11-23T17:00:00Z",
        "operatory_key": "1", "confirmation": "Not Called",
    }  # fmt: skip
    steps: list[tuple[dict[str, Any], str]] = [
        ({}, "new|booked for Mon Nov 23, 9:00 AM"),
        ({"confirmation": "Confirmed"}, "change|Confirmed: visit of Mon Nov 23, 9:00 AM"),
        (
            {"start": "2026-11-24T22:30:00Z"},
            "change|moved from Mon Nov 23, 9:00 AM to Tue Nov 24, 2:30 PM",
        ),
        (
            {"operatory_key": "2"},
            "change|visit of Tue Nov 24, 2:30 PM moved to another operatory",
        ),
        ({"note": "x"}, "change|visit of Tue Nov 24, 2:30 PM: note changed"),
        ({"status": "broken"}, "change|visit of Tue Nov 24, 2:30 PM broken"),
        ({"status": "complete"}, "change|visit of Tue Nov 24, 2:30 PM completed"),
    ]
    for change, expected in steps:
        visit |= change
        filled.push(filled.change("appointment", "v1", visit))
        assert told(filled) == expected.replace("|", "|Marisol Castellanos|")
    filled.push(filled.change("appointment", "v1", op="delete"))
    assert told(filled) == "gone|Marisol Castellanos|visit of Tue Nov 24, 2:30 PM removed"
    filled.push(filled.change("payment", "m1", {"patient_key": "1", "amount": "120.00"}))
    assert told(filled) == "new|Marisol Castellanos|payment of $120.00"
    filled.push(filled.change("patient", "900", {"first_name": "Ada", "last_name": "Winslow"}))
    assert told(filled) == "new|Ada Winslow|is a new patient"
    filled.push(filled.change("patient", "900", {"first_name": "Ada", "last_name": "Finch"}))
    assert told(filled) == "change|Ada Finch|last name changed"
    filled.push(filled.change("patient", "900", op="delete"))
    assert told(filled) == "gone|Ada Finch|patient removed"
    filled.push(*[filled.change("claim", str(n), {"patient_key": "1"}) for n in range(1000)])
    assert told(filled) == "load||1,000 claims loaded"


def test_activity_pages_back_to_the_start(filled: Desk) -> None:
    for n in range(130):
        filled.push(filled.change("recall", f"x{n}", {"patient_key": "1"}))
    seen: list[int] = []
    before = ""
    while True:
        page = ask(filled, f"activity{before}")
        seen += [line["id"] for line in page["lines"]]
        if not page["more"]:
            break
        before = f"?before={seen[-1]}"
    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) > 130


def test_events_reach_the_page(desk: Desk, server: CrmServer) -> None:
    heard: list[str] = []
    with httpx.stream("GET", f"{server.url}/app/events", timeout=10) as stream:
        for line in stream.iter_lines():
            if not line.startswith("event:"):
                continue
            heard.append(line.removeprefix("event: "))
            if heard == ["hello"]:
                for n in range(5):
                    desk.push(desk.change("patient", str(n), {}))
            else:
                break
    assert heard == ["hello", "records"], "five pushes, one hint"


def test_rejects_are_told_to_the_page(desk: Desk, server: CrmServer) -> None:
    server.faults.arm(Fault(FaultKind.ITEM, type="patient"))
    desk.push(desk.change("patient", "1", {"last_name": "Lee"}))
    seen = ask(desk, "rejects")
    assert (seen["open"], seen["rejects"][0]["key"]) == (1, "1")
    assert "Lee" in seen["rejects"][0]["item"]
    assert seen["rejects"][0]["why"].endswith(".")


def test_views_stay_fast_while_pushes_run(filled: Desk) -> None:
    began = time.monotonic()
    for path in ("overview", "day?date=2026-11-20", "patients?q=zz", "patients/1", "activity"):
        ask(filled, path)
    assert time.monotonic() - began < 2
