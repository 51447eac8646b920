"""The server as a whole: restarts, its file, what it serves about itself, and the commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml
from click.testing import CliRunner, Result

from agent.cli import main
from agent.sandbox.crm import CrmServer, CrmSettings, StoreBusy
from agent.sandbox.crm.http import Quota
from agent.sandbox.crm.problems import Refusal
from tests.sandbox.crm.contract import FILE
from tests.sandbox.crm.desk import Desk, stored


def test_the_served_contract_is_the_file(server: CrmServer) -> None:
    served = httpx.get(f"{server.url}/openapi.json").json()
    assert served == json.loads(json.dumps(yaml.safe_load(FILE.read_text())))


def test_every_promised_path_is_served(desk: Desk) -> None:
    for path, item in yaml.safe_load(FILE.read_text())["paths"].items():
        for method in item:
            asked = path.replace("{type}", "patient").replace("{bucket}", "1")
            asked = asked.replace("{id}", "1").replace("{key}", "k").replace("{kid}", "k")
            answer = desk.http.request(method, asked, params={"for_s": 0})
            if answer.status_code == 404:
                assert "{" in path, f"{method} {path} is not there"
            assert answer.status_code != 405, f"{method} {path}"


def test_answers_leave_at_once(desk: Desk) -> None:
    """Nagle's algorithm would hold every answer back for 40 ms."""
    took = []
    for _ in range(20):
        answer = desk.http.get("/healthz")
        took.append(answer.elapsed.total_seconds())
    assert sorted(took)[10] < 0.03


def test_problems_repeat_nothing_of_the_request(desk: Desk) -> None:
    media = {"Content-Type": "application/json"}
    for answer in (
        desk.http.get("/v1/records/patient/SECRET%20NAME"),
        desk.http.get("/nowhere/SECRET"),
        desk.http.post("/v1/sync/diff", json={"items": [{"type": "SECRET"}]}),
        desk.http.post("/v1/sync/diff", content=b'{"SECRET', headers=media),
        desk.http.put("/v1/sync/push"),
    ):
        assert answer.headers["content-type"] == "application/problem+json"
        assert "SECRET" not in answer.text
        assert answer.json()["instance"].startswith("urn:uuid:")


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    db = tmp_path / "crm.db"
    with CrmServer(db) as first:
        desk = Desk(first)
        port = first.port
        change = desk.change("patient", "1", {"last_name": "Lee"})
        assert desk.outcomes(change) == ["applied"]
        (bad,) = desk.push(desk.change("patient", "2", {}, content_hash="0" * 32))
        seq = desk.http.get("/v1/sync/status").json()["ack_seq"]
        desk.http.close()
    with CrmServer(db, port=port) as second:
        desk.server = second
        desk.http = httpx.Client(base_url=second.url, headers=desk.http.headers)
        assert desk.http.get("/v1/sync/status").json()["ack_seq"] == seq, "the token lives on"
        assert desk.outcomes(change) == ["duplicate"]
        assert desk.outcomes(desk.change("patient", "3", {})) == ["applied"]
        assert desk.http.get("/v1/sync/status").json()["ack_seq"] == seq + 1
        listed = desk.http.get("/v1/sync/rejects").json()
        assert [r["id"] for r in listed["rejects"]] == [bad["reject_id"]]
        desk.authorize()
        desk.close()


def test_one_server_per_file(server: CrmServer) -> None:
    with pytest.raises(StoreBusy):
        CrmServer(server.db)


def test_a_file_of_another_practice_is_not_touched(tmp_path: Path) -> None:
    db = tmp_path / "crm.db"
    CrmServer(db, settings=CrmSettings(practice_id="north")).stop()
    with pytest.raises(ValueError, match="north"):
        CrmServer(db, settings=CrmSettings(practice_id="south"))
    CrmServer(db, settings=CrmSettings(practice_id="north")).stop()


def test_a_quota_refills(server: CrmServer) -> None:
    now = [0.0]
    quota = Quota("push", 2, 60, clock=lambda: now[0])
    assert quota.spend("a")["RateLimit"].startswith('"push";r=1;')
    quota.spend("a")
    with pytest.raises(Refusal) as refused:
        quota.spend("a")
    assert refused.value.status == 429
    assert refused.value.headers["Retry-After"] == "31"
    assert b'"violated-policies":["push"]' in refused.value.body()
    quota.spend("b")
    now[0] += 31
    quota.spend("a")


def run(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--home", str(home), "crm", *arguments])


def test_commands_look_at_a_file(desk: Desk, server: CrmServer, home: Path) -> None:
    desk.push(
        desk.change("patient", "1", {"last_name": "Lee"}),
        desk.change("patient", "2", {}),
        desk.change("patient", "2", op="delete"),
    )
    db = ["--db", str(server.db), "--json"]
    assert json.loads(run(home, "records", *db).output)["patient"] == 1
    listed = json.loads(run(home, "records", "patient", *db).output)
    assert [(r["key"], r["state"]) for r in listed] == [("1", "live"), ("2", "deleted")]
    one = json.loads(run(home, "records", "patient", "2", *db).output)
    assert [e["op"] for e in one["effects"]] == ["upsert", "delete"]
    assert run(home, "records", "patient", "9", *db).exit_code == 1
    verified = run(home, "verify", *db)
    assert (verified.exit_code, json.loads(verified.output)) == (
        0,
        {"records": 1, "wrong_hashes": 0, "wrong_buckets": 0},
    )
    code = json.loads(run(home, "code", *db).output)["code"]
    agents = json.loads(run(home, "agents", *db).output)
    assert [a["client_id"] for a in agents] == [desk.client_id]
    assert run(home, "agents", "--revoke", desk.client_id, *db).exit_code == 0
    assert desk.http.get("/v1/sync/status").status_code == 403
    assert run(home, "agents", "--revoke", desk.client_id, *db).exit_code == 1
    desk.key = desk.key.generate_key("P-384")
    desk.enroll(code)
    desk.authorize()
    assert desk.http.get("/v1/sync/status").status_code == 200


def test_verify_finds_a_damaged_record(desk: Desk, server: CrmServer, home: Path) -> None:
    desk.push(desk.change("patient", "1", {"last_name": "Lee"}))
    stored(server, "UPDATE body SET json = replace(json, 'Lee', 'Leo')")
    told = run(home, "verify", "--db", str(server.db), "--json")
    assert (told.exit_code, json.loads(told.output)["wrong_hashes"]) == (1, 1)


def test_commands_without_a_file_say_so(home: Path) -> None:
    for command in ("code", "records", "agents", "verify"):
        answer = run(home, command)
        assert answer.exit_code == 2
        assert "there is no CRM database" in answer.output


def test_serve_as_a_process(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from agent.cli import main; main()",
        "--home",
        str(tmp_path / "home"),
        "crm",
        "serve",
        "--port",
        "0",
        "--json",
        "--practice-name",
        "Oak Dental",
    ]
    environment = {**os.environ, "PYTHONPATH": str(FILE.parents[2])}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        told = json.loads(process.stdout.readline())
        assert httpx.get(f"{told['url']}/healthz").json()["status"] == "ok"
        assert httpx.get(f"{told['url']}/app/api/overview").json()["practice_name"] == "Oak Dental"
        second = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert (second.returncode, second.stderr) == (5, "Error: another server holds crm.db\n")
    finally:
        process.send_signal(signal.SIGINT)
        process.stdout.close()
        assert process.wait(10) in {0, 130, -signal.SIGINT}
