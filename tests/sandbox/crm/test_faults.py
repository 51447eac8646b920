"""Faults on purpose do what they say, and what was taken before one stays taken once."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from agent.sandbox.crm import CrmServer, CrmSettings, Fault, FaultKind
from tests.sandbox.crm.desk import Desk, uuid7

LEE = {"key": "1", "last_name": "Lee"}


def effects(desk: Desk, key: str = "1") -> int:
    answer = desk.http.get(f"/v1/records/patient/{key}/history")
    return len(answer.json()["effects"]) if answer.status_code == 200 else 0


def test_a_burst_of_refusals_then_health(desk: Desk, server: CrmServer) -> None:
    server.faults.arm(Fault(FaultKind.STATUS, times=2, status=503, retry_after_s=1))
    server.faults.arm(Fault(FaultKind.STATUS, status=429, retry_after_s=7))
    batch_id = uuid7()
    body = desk.body([desk.change("patient", "1", LEE)], batch_id)
    answers = [desk.send(body, batch_id) for _ in range(4)]
    assert [a.status_code for a in answers] == [503, 503, 429, 200]
    assert [a.headers.get("Retry-After") for a in answers] == ["1", "1", "7", None]
    assert server.faults.fired[FaultKind.STATUS] == 3
    assert effects(desk) == 1


@pytest.mark.parametrize(
    ("kind", "error", "taken"),
    [
        (FaultKind.RESET_BEFORE, httpx.TransportError, 0),
        (FaultKind.RESET_AFTER, httpx.TransportError, 1),
        (FaultKind.TRUNCATED, httpx.RemoteProtocolError, 1),
        (FaultKind.SILENT_AFTER, httpx.TransportError, 1),
    ],
)
def test_lost_answers(
    desk: Desk, server: CrmServer, kind: FaultKind, error: type[Exception], taken: int
) -> None:
    server.faults.arm(Fault(kind, delay_s=0.1))
    batch_id = uuid7()
    body = desk.body([desk.change("patient", "1", LEE)], batch_id)
    with pytest.raises(error):
        desk.send(body, batch_id)
    assert effects(desk) == taken
    again = desk.send(body, batch_id)
    assert again.json()["results"][0]["outcome"] == "applied"
    assert ("Idempotent-Replayed" in again.headers) == bool(taken)
    assert effects(desk) == 1


def test_slow_is_slow_and_nothing_else(desk: Desk, server: CrmServer) -> None:
    server.faults.arm(Fault(FaultKind.SLOW, delay_s=0.3))
    began = time.monotonic()
    assert desk.outcomes(desk.change("patient", "1", LEE)) == ["applied"]
    assert time.monotonic() - began >= 0.3


def test_outcomes_for_one_record(desk: Desk, server: CrmServer) -> None:
    server.faults.arm(
        Fault(FaultKind.ITEM, times=0, type="patient", key="1", reason="policy"),
        Fault(FaultKind.ITEM, type="recall", outcome="retry", retry_after_s=3),
        Fault(FaultKind.ITEM, key="9", outcome="conflict"),
    )
    results = desk.push(
        desk.change("patient", "1", LEE),
        desk.change("recall", "5", {}),
        desk.change("payment", "9", {}),
        desk.change("patient", "2", {}),
    )
    assert [r["outcome"] for r in results] == ["rejected", "retry", "conflict", "applied"]
    assert (results[0]["reason"], results[1]["retry_after_s"]) == ("policy", 3)
    assert desk.outcomes(desk.change("patient", "1", LEE)) == ["rejected"], "until cleared"
    server.faults.clear()
    assert desk.outcomes(desk.change("patient", "1", LEE)) == ["applied"]


def test_other_paths_can_be_hit(desk: Desk, server: CrmServer) -> None:
    server.faults.arm(Fault(FaultKind.STATUS, path="/oauth/token", status=503))
    assert desk.ask_token(desk.assertion()).status_code == 503
    assert desk.ask_token(desk.assertion()).status_code == 200


def test_the_test_door_wants_its_token(tmp_path: Path) -> None:
    settings = CrmSettings(test_token="open-sesame")
    with CrmServer(tmp_path / "crm.db", settings=settings) as server:
        door = f"{server.url}/testing/faults"
        fault = [{"kind": "status", "status": 503, "path": "/healthz"}]
        for token in ("", "wrong", "open-sesam"):
            headers = {"X-Test-Token": token}
            assert httpx.post(door, json=fault, headers=headers).status_code == 403
        headers = {"X-Test-Token": "open-sesame"}
        assert httpx.post(door, json=fault, headers=headers).json() == {"armed": 1}
        assert httpx.get(f"{server.url}/healthz").status_code == 503
        assert httpx.get(f"{server.url}/healthz").status_code == 200


def test_without_a_token_there_is_no_door(server: CrmServer) -> None:
    assert httpx.post(f"{server.url}/testing/faults", json=[]).status_code == 404
