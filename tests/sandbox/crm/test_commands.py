"""Commands and the CRM's own changes: leases, signatures, cursors, wake-ups."""

from __future__ import annotations

import base64
import json
import threading
import time
from typing import Any

import httpx
import pytest
from cryptography.exceptions import InvalidSignature
from joserfc.jwk import OKPKey

from agent.sandbox.crm import CrmServer
from tests.sandbox.crm.contract import Contract
from tests.sandbox.crm.desk import Desk, stored

BOOK = "appointment.book"


def poll(desk: Desk, **more: Any) -> dict[str, Any]:
    body = {"capabilities": [BOOK]} | more
    answer = desk.http.post("/v1/sync/commands/poll", json=body)
    assert answer.status_code == 200
    polled: dict[str, Any] = answer.json()
    return polled


def test_a_command_is_signed_and_fits_the_contract(
    desk: Desk, server: CrmServer, contract: Contract
) -> None:
    sent = server.send_command(BOOK, {"patient_key": "1"}, target={"type": "patient", "key": "1"})
    (leased,) = poll(desk)["commands"]
    envelope = leased["envelope"]
    assert leased["command_id"] == envelope["id"] == sent
    body = json.loads(envelope["body"])
    contract.fits(body, contract.schema("Command"))
    assert (body["type"], body["payload"]) == (BOOK, {"patient_key": "1"})
    config = desk.http.get("/v1/agents/self/config").json()
    key: Any = OKPKey.import_key(config["server_keys"][0]).public_key
    version, _, signature = envelope["signature"].partition(",")
    assert version == "v1a"
    raw = base64.b64decode(signature)
    signed = f"{envelope['id']}.{envelope['timestamp']}.{envelope['body']}"
    key.verify(raw, signed.encode())
    with pytest.raises(InvalidSignature):
        key.verify(raw, signed.replace('"1"', '"2"').encode())


def test_delivery_is_at_least_once_until_acknowledged(desk: Desk, server: CrmServer) -> None:
    sent = server.send_command(BOOK, {})
    assert len(poll(desk)["commands"]) == 1
    assert poll(desk)["commands"] == [], "leased"
    stored(server, "UPDATE command SET lease_us = 0")
    assert len(poll(desk)["commands"]) == 1, "the lease ran out"
    assert poll(desk, ack=[sent, "unknown"])["commands"] == []
    stored(server, "UPDATE command SET lease_us = 0")
    assert poll(desk)["commands"] == [], "acknowledged"


def test_only_what_the_agent_can_do_is_delivered(desk: Desk, server: CrmServer) -> None:
    server.send_command("note.append", {})
    server.send_command(BOOK, {}, priority=5)
    server.send_command(BOOK, {}, priority=1)
    first = poll(desk, max=1)
    assert first["more"] is True
    assert json.loads(first["commands"][0]["envelope"]["body"])["priority"] == 1
    assert len(poll(desk)["commands"]) == 1
    assert poll(desk, max=0)["commands"] == []


def test_old_commands_expire(desk: Desk, server: CrmServer) -> None:
    server.send_command(BOOK, {}, not_after_us=1)
    assert poll(desk)["commands"] == []
    assert stored(server, "SELECT state FROM command") == [("expired",)]


def test_results_are_terminal(desk: Desk, server: CrmServer) -> None:
    sent = server.send_command(BOOK, {})
    poll(desk)
    url = f"/v1/sync/commands/{sent}/result"
    assert desk.http.post(url, json={"state": "unknown"}).json()["state"] == "unknown"
    assert desk.http.post(url, json={"state": "rejected"}).status_code == 400, "say why"
    slot = {"state": "rejected", "reason_code": "slot_taken", "staff_text": "Taken at the desk."}
    for _ in range(2):
        assert desk.http.post(url, json=slot).json()["state"] == "rejected"
    other = desk.http.post(url, json={"state": "applied", "pms_key": "7"})
    assert other.status_code == 409
    missing = desk.http.post("/v1/sync/commands/nothing/result", json={"state": "applied"})
    assert missing.status_code == 404


def test_commands_that_could_not_be_verified(desk: Desk, server: CrmServer) -> None:
    sent = server.send_command(BOOK, {})
    poll(desk)
    poll(desk, errs={sent: {"reason": "validation_failed"}})
    assert stored(server, "SELECT state FROM command") == [("rejected",)]


def test_a_waiting_poll_wakes_at_once(desk: Desk, server: CrmServer) -> None:
    timer = threading.Timer(0.2, lambda: server.send_command(BOOK, {}))
    timer.start()
    began = time.monotonic()
    assert len(poll(desk, wait_s=5)["commands"]) == 1
    assert 0.15 < time.monotonic() - began < 3
    timer.join()
    began = time.monotonic()
    assert poll(desk, wait_s=1)["commands"] == []
    assert time.monotonic() - began >= 0.95


def test_the_crms_changes_by_cursor(desk: Desk, server: CrmServer) -> None:
    first = desk.http.get("/v1/sync/changes").json()
    assert (first["changes"], first["has_more"]) == ([], False)
    for n in range(5):
        server.change_own("lead", str(n), {"n": n} if n != 3 else None)
    page = desk.http.get(f"/v1/sync/changes?limit=3&cursor={first['next_cursor']}").json()
    assert [c["key"] for c in page["changes"]] == ["0", "1", "2"]
    assert page["has_more"] is True
    rest = desk.http.get(f"/v1/sync/changes?cursor={page['next_cursor']}").json()
    assert [(c["key"], c["op"], c.get("data")) for c in rest["changes"]] == [
        ("3", "delete", None),
        ("4", "upsert", {"n": 4}),
    ]
    end = desk.http.get(f"/v1/sync/changes?cursor={rest['next_cursor']}").json()
    assert (end["changes"], end["next_cursor"]) == ([], rest["next_cursor"])


@pytest.mark.parametrize("cursor", ["nonsense", "YzE6OTk5", "YzE6LTE", "YzI6MQ"])
def test_a_cursor_nobody_gave_out(desk: Desk, cursor: str) -> None:
    answer = desk.http.get(f"/v1/sync/changes?cursor={cursor}")
    assert answer.status_code == 410
    assert answer.json()["type"].endswith("/cursor-expired")


def test_changes_wake_a_waiting_reader(desk: Desk, server: CrmServer) -> None:
    timer = threading.Timer(0.2, lambda: server.change_own("lead", "1", {}))
    timer.start()
    assert len(desk.http.get("/v1/sync/changes?wait_s=5").json()["changes"]) == 1
    timer.join()


def test_events_are_hints_without_content(desk: Desk, server: CrmServer) -> None:
    heard: list[str] = []
    url = f"{server.url}/v1/sync/events?for_s=3"
    headers = {"Authorization": desk.http.headers["Authorization"]}
    with httpx.stream("GET", url, headers=headers, timeout=10) as stream:
        for line in stream.iter_lines():
            if line.startswith("event:"):
                heard.append(line.removeprefix("event: "))
                if heard == ["hello"]:
                    server.send_command(BOOK, {"secret": "Lee"})
                if heard[-1] == "commands":
                    break
            assert "Lee" not in line
    assert heard == ["hello", "commands"]


def test_stopping_does_not_wait_for_listeners(desk: Desk, server: CrmServer) -> None:
    url = f"{server.url}/v1/sync/events"
    headers = {"Authorization": desk.http.headers["Authorization"]}
    with httpx.stream("GET", url, headers=headers, timeout=10) as stream:
        lines = stream.iter_lines()
        next(lines)
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 2
