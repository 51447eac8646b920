"""``bridgework crm`` beside a running server: commands, people, switches and keys."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from click.testing import CliRunner, Result

from agent.cli import main
from agent.sandbox.crm import CrmServer
from tests.sandbox.crm.desk import Desk

BOOK = "appointment.book"


def crm(server: CrmServer, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["crm", *arguments, "--db", str(server.db)])


def told(server: CrmServer, *arguments: str) -> Any:
    done = crm(server, *arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def test_a_command_from_the_line_ends_in_the_practice(desk: Desk, server: CrmServer) -> None:
    refused = crm(server, "command", BOOK)
    assert (refused.exit_code, "not_supported_by_pms" in refused.output) == (1, True)
    assert told(server, "command", BOOK, "--unchecked")["state"] == "queued"

    def agent() -> None:
        poll = {"capabilities": [BOOK], "wait_s": 5}
        (first,) = desk.http.post("/v1/sync/commands/poll", json=poll).json()["commands"]
        ack = {"ack": [first["command_id"]]}
        (second,) = desk.http.post("/v1/sync/commands/poll", json=poll | ack).json()["commands"]
        body = json.loads(second["envelope"]["body"])
        assert body["target"] == {"type": "patient", "key": "7"}
        assert body["precondition"] == {"expected": {"note": None}}
        result = {"state": "applied", "pms_key": body["payload"]["n"]}
        desk.http.post(f"/v1/sync/commands/{second['command_id']}/result", json=result)

    works = threading.Thread(target=agent)
    works.start()
    while told(server, "commands")[0]["state"] == "queued":
        time.sleep(0.01)
    done = told(
        server, "command", BOOK, "--payload", '{"n": "5"}', "--target", "patient:7",
        "--expected", '{"note": null}', "--expires-in", "60", "--wait", "10",
    )  # fmt: skip
    works.join()
    assert (done["state"], done["pms_key"], done["sent_times"]) == ("applied", "5", 1)
    listed = told(server, "commands")
    assert [one["state"] for one in listed] == ["applied", "applying"]
    assert crm(server, "command", BOOK, "--wait", "0.05").exit_code == 1, "nobody ended it"


def test_what_the_line_cannot_read(server: CrmServer) -> None:
    for wrong in (["--payload", "{"], ["--payload", "[]"], ["--payload", "@/nowhere"],
                  ["--target", "patient"], ["--target", "shoe:7"]):  # fmt: skip
        done = crm(server, "command", BOOK, "--unchecked", *wrong)
        assert done.exit_code == 2, wrong
    assert crm(server, "contacts", "--add", '{"phones": 3}').exit_code == 2
    assert told(server, "commands") == []


def test_people_switches_and_keys(desk: Desk, server: CrmServer) -> None:
    (made,) = told(server, "contacts", "--add", '{"last_name": "Tester", "first_name": "Ada"}')
    (seen,) = desk.http.get("/v1/sync/contacts").json()["contacts"]
    assert seen["cloud_id"] == made["cloud_id"]
    assert told(server, "contacts")[0]["state"] == "new"
    assert "Tester" not in crm(server, "contacts").output

    told(server, "switches", "--kill", "--canary-operatory", "9")
    now = told(server, "switches", "--no-kill", "--read-only")
    assert (now["kill"], now["read_only"], now["canary"]["operatories"]) == (False, True, ["9"])
    assert desk.http.get("/v1/agents/self/config").json()["switches"] == now
    assert told(server, "switches", "--no-canary")["canary"]["operatories"] == []

    (old,) = told(server, "keys")
    assert len(told(server, "keys", "--add")) == 2
    assert crm(server, "keys", "--add").exit_code == 2
    (new,) = told(server, "keys", "--retire", old["kid"])
    assert new["kid"] != old["kid"]
    assert crm(server, "keys", "--retire", new["kid"]).exit_code == 2
