"""The way back: what is offered and refused, delivery under faults, seals, waking, results."""

from __future__ import annotations

import base64
import hmac
import json
import socket
import threading
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import OKPKey

from agent.sandbox.crm import CrmServer, CrmSettings, Fault, FaultKind
from agent.sandbox.crm.orders import CannotOrder
from agent.sandbox.crm.schema import connect, now_us
from tests.sandbox.crm.contract import Contract
from tests.sandbox.crm.desk import Desk, stored

BOOK, NOTE = "appointment.book", "note.append"
SECRET = "whsec_" + base64.b64encode(b"a secret of the endpoint, long enough").decode()


def poll(desk: Desk, **more: Any) -> list[dict[str, Any]]:
    answer = desk.http.post("/v1/sync/commands/poll", json={"capabilities": [BOOK, NOTE]} | more)
    assert answer.status_code == 200, answer.text
    commands: list[dict[str, Any]] = answer.json()["commands"]
    return commands


def ids(leased: list[dict[str, Any]]) -> list[str]:
    return [one["command_id"] for one in leased]


def beat(desk: Desk, **more: Any) -> dict[str, Any]:
    body = {
        "agent_version": "0.1.0", "pms_kind": "opendental", "pms_version": "21.1",
        "journal_uuid": desk.journal, "epoch": 1, "last_read_at": None, "last_write_at": None,
        "oldest_unsent_s": None, "oldest_unverified_s": None, "open_conflicts": 0, "parked": 0,
        "pending_batches": 0,
    }  # fmt: skip
    answer = desk.http.post("/v1/agents/self/heartbeat", json=body | more)
    assert answer.status_code == 200, answer.text
    heard: dict[str, Any] = answer.json()
    return heard


def tell(desk: Desk, command_id: str, **result: Any) -> httpx.Response:
    return desk.http.post(f"/v1/sync/commands/{command_id}/result", json=result)


def state(server: CrmServer, command_id: str) -> str:
    (row,) = stored(server, "SELECT state FROM command WHERE id = ?", command_id)
    return str(row[0])


def keys(desk: Desk) -> list[Any]:
    config = desk.http.get("/v1/agents/self/config").json()
    return [OKPKey.import_key(jwk).public_key for jwk in config["server_keys"]]


def marks(envelope: dict[str, Any], kind: str) -> list[bytes]:
    words = [word.partition(",") for word in envelope["signature"].split(" ")]
    return [base64.b64decode(coded) for name, _, coded in words if name == kind]


def is_signed(envelope: dict[str, Any], key: Any) -> bool:
    text = f"{envelope['id']}.{envelope['timestamp']}.{envelope['body']}".encode()
    for mark in marks(envelope, "v1a"):
        try:
            key.verify(mark, text)
        except Exception:
            continue
        return True
    return False


# --- what the practice can do -------------------------------------------------------------------


def test_a_command_nobody_can_do_is_refused_where_it_is_made(desk: Desk, server: CrmServer) -> None:
    def refusal(kind: str) -> str | None:
        try:
            server.send_command(kind, {}, is_checked=True)
        except CannotOrder as refused:
            return refused.reason.value
        return None

    assert refusal(BOOK) == "not_supported_by_pms", "nobody has said anything yet"
    poll(desk)
    assert refusal(BOOK) is None
    assert refusal("perio.record") == "not_supported_by_pms"
    beat(desk, capabilities=["perio.record", BOOK], booking_suspended="sync.critical")
    assert refusal("perio.record") is None
    assert refusal(NOTE) == "not_supported_by_pms", "the newest word counts"
    assert refusal(BOOK) == "pms_unavailable"
    beat(desk)
    assert refusal("perio.record") is None, "a heartbeat that does not say changes nothing"
    assert refusal(BOOK) is None, "no longer suspended"
    server.revoke(desk.client_id)
    assert refusal(BOOK) == "not_supported_by_pms", "the agent is nobody's any more"


def test_a_body_names_practice_bounds_and_target(
    desk: Desk, server: CrmServer, contract: Contract
) -> None:
    at = now_us()
    sent = server.send_command(
        "perio.record",
        {"patient_key": "7", "measures": []},
        target={"type": "patient", "key": "7", "cloud_id": "c-1"},
        precondition={"expected": {"note": None}},
        not_before_us=at - 1,
        not_after_us=at + 60_000_000,
        priority=7,
    )
    (leased,) = poll(desk, capabilities=["perio.record"])
    body = json.loads(leased["envelope"]["body"])
    contract.fits(body, contract.schema("Command"))
    assert (body["command_id"], body["practice_id"], body["priority"]) == (sent, "demo", 7)
    assert body["precondition"] == {"expected": {"note": None}}
    assert body["not_before"] < body["not_after"]


# --- delivery -----------------------------------------------------------------------------------


def test_a_waiting_poll_is_answered_within_milliseconds(desk: Desk, server: CrmServer) -> None:
    """Queued in the server's own loop, as the page does it; the best of several must be quick."""
    took: list[float] = []
    for _ in range(8):
        waits = threading.Thread(target=lambda: took.append(_answered_at(desk)))
        waits.start()
        while not server.core.polls._waiting:
            time.sleep(0.002)
        asked = time.perf_counter()
        server.send_command(BOOK, {})
        waits.join()
        took[-1] -= asked
    assert min(took) < 0.05, took  # 2 to 5 ms when this machine has nothing else to do
    assert max(took) < 2


def _answered_at(desk: Desk) -> float:
    leased = poll(desk, wait_s=5, max=1)
    at = time.perf_counter()
    poll(desk, ack=ids(leased), max=0)
    return at


def test_a_poll_whose_caller_hung_up_takes_nothing(desk: Desk, server: CrmServer) -> None:
    """The command goes to the next poll at once, not after a lease."""
    with socket.create_connection(("127.0.0.1", server.port)) as line:
        body = json.dumps({"capabilities": [BOOK], "wait_s": 5}).encode()
        head = (
            f"POST /v1/sync/commands/poll HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: {desk.http.headers['Authorization']}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        line.sendall(head.encode() + body)
        while not server.core.polls._waiting:
            time.sleep(0.005)
    while server.core.polls._waiting:
        time.sleep(0.005)
    sent = server.send_command(BOOK, {})
    assert ids(poll(desk, wait_s=2)) == [sent]


def test_a_newer_poll_ends_the_older(desk: Desk, server: CrmServer) -> None:
    first: list[list[dict[str, Any]]] = []
    waits = threading.Thread(target=lambda: first.append(poll(desk, wait_s=5)))
    waits.start()
    while not server.core.polls._waiting:
        time.sleep(0.005)
    second = threading.Thread(target=lambda: first.append(poll(desk, wait_s=5)))
    second.start()
    waits.join(3)
    assert first == [[]]
    sent = server.send_command(BOOK, {})
    second.join(3)
    assert ids(first[1]) == [sent]


def test_a_poll_waits_for_a_time_to_come_and_a_lease_to_end(tmp_path: Path) -> None:
    settings = CrmSettings(longest_wait_s=5, lease_s=0.4)
    with CrmServer(tmp_path / "crm.db", settings=settings) as server:
        desk = Desk(server)
        began = time.monotonic()
        sent = server.send_command(BOOK, {}, not_before_us=now_us() + 400_000)
        assert ids(poll(desk, wait_s=5)) == [sent]
        assert 0.35 < time.monotonic() - began < 3
        began = time.monotonic()
        assert ids(poll(desk, wait_s=5)) == [sent], "never acknowledged: delivered again"
        assert 0.3 < time.monotonic() - began < 3
        assert poll(desk, ack=[sent], wait_s=1) == []
        desk.close()


def test_another_process_queues_a_command(desk: Desk, server: CrmServer) -> None:
    """What any process writes into the file is noticed, and wakes."""
    answers: list[list[dict[str, Any]]] = []
    waits = threading.Thread(target=lambda: answers.append(poll(desk, wait_s=5)))
    waits.start()
    while not server.core.polls._waiting:
        time.sleep(0.005)
    began = time.monotonic()
    from agent.sandbox.crm.orders import enqueue

    store = connect(server.db)
    sent = enqueue(store, BOOK, {})
    store.close()
    waits.join()
    assert [ids(one) for one in answers] == [[sent]]
    assert time.monotonic() - began < 3


def test_time_ends_what_nobody_took_but_not_what_is_on_its_way(
    desk: Desk, server: CrmServer
) -> None:
    waiting = server.send_command(NOTE, {}, not_after_us=now_us() + 150_000)
    late = server.send_command(BOOK, {}, not_after_us=now_us() + 150_000)
    assert ids(poll(desk, capabilities=[BOOK])) == [late]
    deadline = time.monotonic() + 5
    while state(server, waiting) != "expired" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert state(server, waiting) == "expired", "by itself, without any poll"
    assert state(server, late) == "leased"
    assert tell(desk, late, state="applied", pms_key="5").json()["state"] == "applied"
    # The CRM gave it up, the practice did it all the same: the practice tells the truth.
    assert tell(desk, waiting, state="applied").json()["state"] == "applied"
    assert tell(desk, waiting, state="expired").status_code == 409


def test_a_refused_second_copy_takes_nothing_back(desk: Desk, server: CrmServer) -> None:
    sent = server.send_command(BOOK, {})
    poll(desk)
    poll(desk, ack=[sent])
    poll(desk, errs={sent: {"reason": "validation_failed"}})
    assert state(server, sent) == "applying"


# --- results ------------------------------------------------------------------------------------


def test_results_that_are_no_end_are_replaced(desk: Desk, server: CrmServer) -> None:
    sent = server.send_command(BOOK, {})
    poll(desk)
    for standing in ("unknown", "conflict", "task"):
        assert tell(desk, sent, state=standing).json()["state"] == standing
    free = {"start": "2027-01-04T17:00:00Z", "minutes": 30, "operatory_key": "3"}
    taken = {
        "state": "rejected",
        "reason_code": "slot_taken",
        "alternatives": [free | {"provider_key": "2"}, free | {"provider_key": None}],
    }
    assert tell(desk, sent, **taken).json()["state"] == "rejected"
    assert tell(desk, sent, state="unknown").json()["state"] == "rejected", "an old message"
    (kept,) = stored(server, "SELECT result FROM command")
    assert json.loads(str(kept[0]))["alternatives"][0]["provider_key"] == "2"
    assert tell(desk, sent, state="applied", kept_fields=["phone"]).status_code == 409
    broken = {"state": "rejected", "reason_code": "slot_taken", "alternatives": [{"minutes": 3}]}
    assert tell(desk, sent, **broken).status_code == 400


# --- seals --------------------------------------------------------------------------------------


def test_two_keys_sign_while_they_are_changed(desk: Desk, server: CrmServer) -> None:
    (old,) = keys(desk)
    tag = desk.http.get("/v1/agents/self/config").headers["ETag"]
    added = server.add_key()
    both = keys(desk)
    assert len(both) == 2
    assert beat(desk)["config_etag"] != tag
    server.send_command(BOOK, {})
    ((envelope,),) = [[one["envelope"] for one in poll(desk)]]
    assert [is_signed(envelope, key) for key in both] == [True, True]
    with pytest.raises(ValueError, match="two keys"):
        server.add_key()
    config = desk.http.get("/v1/agents/self/config").json()["server_keys"]
    (first,) = [jwk["kid"] for jwk in config if jwk["kid"] != added]
    server.retire_key(first)
    with pytest.raises(ValueError, match="last"):
        server.retire_key(added)
    (new,) = keys(desk)
    server.send_command(BOOK, {})
    (leased,) = poll(desk)
    assert (is_signed(leased["envelope"], new), is_signed(leased["envelope"], old)) == (True, False)


def test_an_endpoint_secret_signs_too(tmp_path: Path) -> None:
    settings = CrmSettings(endpoint_secret=SECRET)
    with CrmServer(tmp_path / "crm.db", settings=settings) as server:
        desk = Desk(server)
        server.send_command(BOOK, {})
        (leased,) = poll(desk)
        envelope = leased["envelope"]
        text = f"{envelope['id']}.{envelope['timestamp']}.{envelope['body']}".encode()
        secret = base64.b64decode(SECRET.removeprefix("whsec_"))
        assert marks(envelope, "v1") == [hmac.digest(secret, text, sha256)]
        assert len(marks(envelope, "v1a")) == 1
        desk.close()
    with pytest.raises(ValueError, match="24 bytes"):
        CrmServer(tmp_path / "other.db", settings=CrmSettings(endpoint_secret="whsec_c2hvcnQ="))


def test_a_file_of_version_1_is_brought_up_and_keeps_its_key(tmp_path: Path) -> None:
    import apsw

    from agent.sandbox.crm import schema

    old = OKPKey.generate_key("Ed25519")
    db = apsw.Connection(str(tmp_path / "crm.db"))
    db.execute("PRAGMA journal_mode=WAL")
    db.execute(schema._DDL)
    db.executemany("INSERT INTO record_type VALUES(?, ?)", sorted(schema.TYPE_NAME.items()))
    kept = json.dumps(old.as_dict(private=True))
    db.execute("INSERT INTO meta VALUES('envelope_key', ?), ('practice_id', 'demo')", (kept,))
    db.execute(
        "INSERT INTO command(id, type, body, state, priority, created_us)"
        " VALUES('c1', ?, '{}', 'queued', 1, 1)",
        (BOOK,),
    )
    db.execute("PRAGMA user_version=1")
    db.close()
    with CrmServer(tmp_path / "crm.db") as server:
        desk = Desk(server)
        (leased,) = poll(desk)
        assert leased["command_id"] == "c1"
        assert is_signed(leased["envelope"], old.public_key)
        desk.close()


# --- faults -------------------------------------------------------------------------------------


def test_a_poll_cut_after_leasing_is_delivered_again(tmp_path: Path) -> None:
    settings = CrmSettings(longest_wait_s=5, lease_s=0.3)
    with CrmServer(tmp_path / "crm.db", settings=settings) as server:
        desk = Desk(server)
        server.faults.arm(Fault(FaultKind.LEASE_CUT))
        assert poll(desk) == [], "nothing to lease: the fault waits"
        sent = server.send_command(BOOK, {})
        with pytest.raises(httpx.TransportError):
            poll(desk)
        assert state(server, sent) == "leased"
        assert ids(poll(desk, wait_s=5)) == [sent]
        desk.close()


def test_duplicate_and_reordered_delivery(desk: Desk, server: CrmServer) -> None:
    first = server.send_command(BOOK, {"n": 1}, priority=1)
    second = server.send_command(BOOK, {"n": 2}, priority=2)
    server.faults.arm(Fault(FaultKind.REORDER), Fault(FaultKind.REDELIVER))
    got = poll(desk)
    assert ids(got)[:2] == [second, first]
    assert sorted(ids(got)) == sorted([first, second] * 2)
    assert poll(desk, ack=[first, second]) == []
    tell(desk, first, state="applied")
    third = server.send_command(BOOK, {"n": 3})
    server.faults.arm(Fault(FaultKind.REDELIVER))
    again = poll(desk)
    assert {first, second, third} <= set(ids(again)), "finished ones too"
    bodies = {one["envelope"]["body"] for one in [*got, *again] if one["command_id"] == first}
    assert len(bodies) == 1


@pytest.mark.parametrize(
    "how", ["tampered", "stale", "early", "wrong_key", "wrong_practice", "swapped"]
)
def test_forged_envelopes(desk: Desk, server: CrmServer, how: str) -> None:
    (key,) = keys(desk)
    sent = server.send_command(BOOK, {})
    server.faults.arm(Fault(FaultKind.FORGED, outcome=how))
    (leased,) = poll(desk)
    envelope = leased["envelope"]
    body = json.loads(envelope["body"])
    assert is_signed(envelope, key) == (how in {"stale", "early", "wrong_practice"})
    assert (abs(envelope["timestamp"] - time.time()) > 300) == (how in {"stale", "early"})
    assert (body["practice_id"] != "demo") == (how == "wrong_practice")
    assert (envelope["id"] != sent) == (how == "swapped")
    assert (body["priority"] != 100) == (how == "tampered")


def test_results_fail_before_and_after_their_effect(desk: Desk, server: CrmServer) -> None:
    sent = server.send_command(BOOK, {})
    poll(desk)
    where = "/v1/sync/commands/*/result"
    server.faults.arm(
        Fault(FaultKind.STATUS, path=where), Fault(FaultKind.STATUS_AFTER, path=where)
    )
    assert tell(desk, sent, state="applied").status_code == 503
    assert state(server, sent) == "leased"
    assert tell(desk, sent, state="applied").status_code == 503
    assert state(server, sent) == "applied"
    assert tell(desk, sent, state="applied").status_code == 200


# --- switches -----------------------------------------------------------------------------------


def test_switches_reach_the_agent_with_its_configuration(desk: Desk, server: CrmServer) -> None:
    first = desk.http.get("/v1/agents/self/config")
    off = {"kill": False, "read_only": False, "dry_run": False}
    nobody: dict[str, list[str]] = {"operatories": [], "providers": [], "patients": []}
    assert first.json()["switches"] == off | {"canary": nobody}
    headers = {"If-None-Match": first.headers["ETag"]}
    assert desk.http.get("/v1/agents/self/config", headers=headers).status_code == 304
    page = {"X-Bridgework-Page": "1"}
    answer = desk.http.post("/app/api/switches", json={"kill": True}, headers=page)
    assert answer.json()["kill"] is True
    canary = {"canary": {"operatories": ["9"]}}
    desk.http.post("/app/api/switches", json=canary, headers=page)
    now = desk.http.get("/v1/agents/self/config", headers=headers)
    assert now.json()["switches"] == off | {
        "kill": True,
        "canary": nobody | {"operatories": ["9"]},
    }
    assert desk.http.post("/app/api/switches", json={"kil": 1}, headers=page).status_code == 400
