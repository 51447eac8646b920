"""The CRM's own people, who they are in the practice, and conflicts as the agent reports them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from agent.sandbox.crm import CrmServer, people
from agent.sandbox.crm.people import Said
from agent.sandbox.crm.schema import connect
from tests.sandbox.crm.desk import Desk, stored

PAGE = {"X-Bridgework-Page": "1"}
ADA = Said(
    "Tester", "Ada", "1985-03-14", ("+15035550142",), ("ada@example.com",), {"city": "Salem"}
)


def feed(desk: Desk, cursor: str = "", limit: int = 200) -> dict[str, Any]:
    more = f"&cursor={cursor}" if cursor else ""
    answer = desk.http.get(f"/v1/sync/contacts?limit={limit}{more}")
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def act(desk: Desk, path: str, **body: Any) -> httpx.Response:
    return desk.http.post(f"/app/api/{path}", json=body, headers=PAGE)


def report(desk: Desk, *links: dict[str, Any]) -> int:
    answer = desk.http.post("/v1/sync/links", json={"links": list(links)})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["taken"])


def person(desk: Desk, cloud_id: str) -> dict[str, Any]:
    found: dict[str, Any] = desk.http.get(f"/app/api/contacts/{cloud_id}").json()
    return found


def patient(desk: Desk, key: str, **more: Any) -> None:
    record = {"key": key, "last_name": "Tester", "first_name": "Ada", "status": "patient"} | more
    assert desk.outcomes(desk.change("patient", key, record)) == ["applied"]


def test_the_feed_tells_each_person_in_its_newest_state(desk: Desk, server: CrmServer) -> None:
    first = feed(desk)
    assert (first["contacts"], first["more"]) == ([], False)
    for n in range(5):
        server.add_contact(Said(f"Person{n}", "Fay"), f"c-{n}")
    server.add_contact(ADA, "c-ada")
    page = feed(desk, first["next_cursor"], limit=4)
    assert [c["cloud_id"] for c in page["contacts"]] == ["c-0", "c-1", "c-2", "c-3"]
    assert page["more"] is True
    act(desk, "contacts/c-1", first_name="Flo")
    act(desk, "contacts/c-4/delete")
    rest = feed(desk, page["next_cursor"])
    assert rest["contacts"] == [
        {"cloud_id": "c-ada", "rev": 6, "last_name": "Tester", "first_name": "Ada",
         "birthdate": "1985-03-14", "phones": ["+15035550142"], "emails": ["ada@example.com"],
         "fields": {"city": "Salem"}},
        {"cloud_id": "c-1", "rev": 7, "last_name": "Person1", "first_name": "Flo"},
        {"cloud_id": "c-4", "rev": 8, "is_deleted": True},
    ]  # fmt: skip
    end = feed(desk, rest["next_cursor"])
    assert (end["contacts"], end["next_cursor"]) == ([], rest["next_cursor"])
    assert len(feed(desk)["contacts"]) == 6, "from the start: everybody once"


def test_cursors_that_are_no_good_any_more(desk: Desk, server: CrmServer) -> None:
    server.add_contact(ADA, "c-1")
    cursor = feed(desk)["next_cursor"]
    for other in ("nonsense", "cDE6MQ", cursor + "A"):
        answer = desk.http.get(f"/v1/sync/contacts?cursor={other}")
        assert answer.status_code == 410, other
        assert answer.json()["type"].endswith("/cursor-expired")
    act(desk, "contacts/c-1/delete")
    stored(server, "UPDATE contact SET changed_us = 1")
    assert feed(desk)["contacts"] == [], "the tombstone is forgotten"
    assert desk.http.get(f"/v1/sync/contacts?cursor={cursor}").status_code == 410
    server.add_contact(ADA, "c-2")
    assert [c["rev"] for c in feed(desk)["contacts"]] == [3], "a revision is never used twice"


def test_a_hint_says_that_people_changed(desk: Desk, server: CrmServer) -> None:
    heard: list[str] = []
    headers = {"Authorization": desk.http.headers["Authorization"]}
    url = f"{server.url}/v1/sync/events?for_s=3"
    with httpx.stream("GET", url, headers=headers, timeout=10) as stream:
        for line in stream.iter_lines():
            if line.startswith("event:"):
                heard.append(line.removeprefix("event: "))
                if heard == ["hello"]:
                    server.add_contact(ADA)
                if heard[-1] == "contacts":
                    break
    assert heard[0] == "hello"
    assert heard[-1] == "contacts"


def test_a_report_makes_contact_and_patient_one_person(desk: Desk, server: CrmServer) -> None:
    patient(desk, "7")
    rev = server.add_contact(ADA, "c-1").rev
    assert report(desk, {"cloud_id": "c-1", "state": "linked", "key": "7"},
                  {"cloud_id": "c-unknown", "state": "unlinked"}) == 1  # fmt: skip
    assert report(desk, {"cloud_id": "c-1", "state": "linked", "key": "7"}) == 1, "again"
    seen = person(desk, "c-1")
    assert (seen["state"], seen["key"], seen["rev"]) == ("linked", "7", rev)
    assert feed(desk)["contacts"][0]["client_ref"] == "7"
    assert desk.http.get("/app/api/patients/7").json()["cloud_ids"] == ["c-1"]
    assert act(desk, "contacts/c-1", first_name="Eve").status_code == 409, "edit the patient"
    assert desk.http.get("/app/api/contacts?state=open").json()["people"] == []
    report(desk, {"cloud_id": "c-1", "state": "merged", "key": "9"})
    assert person(desk, "c-1")["key"] == "9"
    without = {"links": [{"cloud_id": "c-1", "state": "linked"}]}
    assert desk.http.post("/v1/sync/links", json=without).status_code == 400


def test_duplicates_are_shown_side_by_side_and_decided(desk: Desk, server: CrmServer) -> None:
    patient(desk, "7", birthdate="1985-03-14", phone_mobile="+15035550142")
    patient(
        desk, "8", birthdate="2012-01-01", phone_home="+15035550142", emails=["ADA@example.com"]
    )
    server.add_contact(ADA, "c-1")
    report(desk, {"cloud_id": "c-1", "state": "suspect", "candidates": ["7", "8", "404"]})
    seen = desk.http.get("/app/api/duplicates").json()
    assert seen["open"] == 1
    (suspect,) = seen["suspects"]
    assert suspect["contact"]["name"] == "Ada Tester"
    assert [(c["key"], c["same"], c["different"]) for c in suspect["candidates"]] == [
        ("7", ["last_name", "first_name", "birthdate", "phone"], []),
        ("8", ["last_name", "first_name", "phone", "email"], ["birthdate"]),
    ]
    rev = person(desk, "c-1")["rev"]
    assert act(desk, "contacts/c-1/reject", key="8").json()["not_refs"] == ["8"]
    assert person(desk, "c-1")["state"] == "suspect"
    assert act(desk, "contacts/c-1/link", key="7").json()["state"] == "linked"
    assert act(desk, "contacts/c-1/link", key="404").status_code == 404
    (told,) = feed(desk)["contacts"]
    assert (told["client_ref"], told["not_refs"]) == ("7", ["8"])
    assert told["rev"] == rev + 2, "what a person decides is news to the agent"
    assert desk.http.get("/app/api/duplicates").json() == {"open": 0, "suspects": []}


def test_no_report_undoes_what_a_person_decided(desk: Desk, server: CrmServer) -> None:
    patient(desk, "7")
    server.add_contact(ADA, "c-1")
    act(desk, "contacts/c-1/link", key="7")
    stale: list[dict[str, Any]] = [
        {"state": "unlinked"},
        {"state": "suspect", "candidates": ["7", "8"]},
        {"state": "linked", "key": "8"},
    ]
    for old in stale:
        report(desk, {"cloud_id": "c-1"} | old)
        assert person(desk, "c-1")["key"] == "7", old
    report(desk, {"cloud_id": "c-1", "state": "merged", "key": "9"})
    assert person(desk, "c-1")["key"] == "9", "but the practice's own merge is followed"
    unlinked = act(desk, "contacts/c-1/unlink").json()
    assert (unlinked["state"], unlinked["key"], unlinked["not_refs"]) == ("unlinked", None, ["9"])
    report(desk, {"cloud_id": "c-1", "state": "linked", "key": "9"})
    assert person(desk, "c-1")["state"] == "unlinked"
    report(desk, {"cloud_id": "c-1", "state": "suspect", "candidates": ["9"]})
    assert person(desk, "c-1")["state"] == "unlinked", "nobody is left to ask about"
    report(desk, {"cloud_id": "c-1", "state": "linked", "key": "7"})
    assert person(desk, "c-1")["key"] == "7"


def test_two_of_ours_become_one(desk: Desk, server: CrmServer) -> None:
    patient(desk, "7")
    server.add_contact(ADA, "c-1")
    server.add_contact(Said("Tester", "Ada", None, ("+15035550199",)), "c-2")
    report(desk, {"cloud_id": "c-2", "state": "linked", "key": "7"})
    assert act(desk, "contacts/c-2/merge", into="c-2").status_code == 400
    kept = act(desk, "contacts/c-2/merge", into="c-1").json()
    assert (kept["cloud_id"], kept["state"], kept["key"]) == ("c-1", "linked", "7")
    assert kept["phones"] == ["+15035550142", "+15035550199"]
    told = {one["cloud_id"]: one for one in feed(desk)["contacts"]}
    assert told["c-2"] == {"cloud_id": "c-2", "rev": 3, "merged_into": "c-1"}
    assert told["c-1"]["client_ref"] == "7"
    assert act(desk, "contacts/c-2/merge", into="c-1").status_code == 404
    server.add_contact(ADA, "c-3")
    report(desk, {"cloud_id": "c-3", "state": "linked", "key": "8"})
    assert act(desk, "contacts/c-3/merge", into="c-1").status_code == 409, "two patients"


def test_people_are_found_as_they_are_typed(desk: Desk, server: CrmServer) -> None:
    server.add_contact(ADA, "c-1")
    server.add_contact(Said("Müller", "Zoë"), "c-2")

    def found(typed: str) -> list[str]:
        answer = desk.http.get("/app/api/contacts", params={"q": typed})
        return [one["cloud_id"] for one in answer.json()["people"]]

    assert found("") == ["c-2", "c-1"]
    assert found("test ada") == found("(503) 555-0142") == found("1985-03-14") == ["c-1"]
    assert found("muller") == ["c-2"]
    assert found("esther") == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"last_name": "A", "first_name": ""}, "last_name, first_name"),
        ({"last_name": "A", "first_name": "B", "phones": ["call me"]}, "phones"),
        ({"last_name": "A", "first_name": "B", "birthdate": "14.3.1985"}, "birthdate"),
        ({"last_name": "A", "first_name": "B", "emails": ["nobody"]}, "emails"),
        ({"last_name": "A", "first_name": "B", "fields": {"balance": "1"}}, "balance"),
        ({"last_name": "A", "first_name": "B", "nickname": "C"}, "body"),
    ],
)
def test_what_is_wrong_with_a_new_person_is_named(
    desk: Desk, body: dict[str, Any], field: str
) -> None:
    answer = act(desk, "contacts", **body)
    assert (answer.status_code, answer.json()["detail"]) == (400, field)


def test_somebody_who_is_there_already(desk: Desk, server: CrmServer) -> None:
    patient(desk, "7", birthdate="1985-03-14")
    server.add_contact(Said("tester", "Ada", None, ("+15035550142",)), "c-1")
    new = {"last_name": "Tester", "first_name": "Ada", "birthdate": "1985-03-14",
           "phones": ["503-555-0142"]}  # fmt: skip
    refused = act(desk, "contacts", **new)
    assert (refused.status_code, refused.json()["reason_code"]) == (409, "duplicate_of")
    assert [one["cloud_id"] for one in refused.json()["people"]] == ["c-1"]
    assert [one["key"] for one in refused.json()["patients"]] == ["7"]
    assert act(desk, "contacts", **new, is_sure=True).status_code == 201
    other = new | {"birthdate": "1990-01-01", "phones": ["503-555-0777"]}
    assert act(desk, "contacts", **other).status_code == 201, "a namesake"


def test_an_erased_patient_is_erased_here(desk: Desk, server: CrmServer) -> None:
    patient(desk, "7")
    server.add_contact(ADA, "c-1")
    report(desk, {"cloud_id": "c-1", "state": "linked", "key": "7"})
    edit = server.send_command(
        "patient.update_contact",
        {"fields": {"city": "Bend"}},
        target={"type": "patient", "key": "7"},
    )
    forget = server.send_command("privacy.forget", {"patient_key": "7"})
    for sent in (edit, forget):
        url = f"/v1/sync/commands/{sent}/result"
        assert desk.http.post(url, json={"state": "applied"}).status_code == 200
    assert feed(desk)["contacts"] == [{"cloud_id": "c-1", "rev": 2, "is_deleted": True}]
    store = connect(server.db, read_only=True)
    kept = "".join(str(row) for row in store.execute("SELECT * FROM contact, command"))
    store.close()
    assert "Bend" not in kept
    assert "ada@example.com" not in kept


def test_conflicts_are_kept_by_their_id(desk: Desk, server: CrmServer) -> None:
    patient(desk, "7")
    one = {"id": "n-1", "type": "patient", "key": "7", "field": "phone_mobile", "state": "open",
           "base": "+15035550100", "pms": "+15035550101", "crm": "+15035550102",
           "command_id": "c1"}  # fmt: skip
    other = {"id": "n-2", "type": "recall", "key": "3", "field": "due", "state": "open"}

    def tell(*reports: dict[str, Any]) -> Any:
        return desk.http.post("/v1/sync/conflicts", json={"conflicts": list(reports)})

    assert tell(one, other).json() == {"taken": 2}
    seen = desk.http.get("/app/api/conflicts").json()
    assert seen["open"] == 2
    shown = {c["id"]: c for c in seen["conflicts"]}
    assert shown["n-1"]["who"] == "Ada Tester"
    assert (shown["n-1"]["label"], shown["n-1"]["crm"]) == ("Mobile phone", "+15035550102")
    assert len(desk.http.get("/app/api/patients/7").json()["conflicts"]) == 1
    assert tell(one | {"state": "resolved", "winner": "pms"}).json() == {"taken": 1}
    assert desk.http.get("/app/api/conflicts").json()["open"] == 1
    (closed,) = desk.http.get("/app/api/conflicts?state=resolved").json()["conflicts"]
    assert (closed["winner"], closed["opened_at"] < closed["changed_at"]) == ("pms", True)
    assert tell({"id": "n-3", "type": "nothing", "key": "1", "field": "x", "state": "open"}
                ).status_code == 400  # fmt: skip


def test_prune_without_tombstones_changes_nothing(server: CrmServer) -> None:
    server.add_contact(ADA)
    store = connect(server.db)
    people.prune(store, kept_us=0)
    assert store.total_changes() == 0
    store.close()
