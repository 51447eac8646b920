"""Every request the client makes is one the contract describes, and every path it knows exists."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import yaml
from jsonschema import Draft202012Validator

from agent.crm.commands import NativeCommands
from agent.crm.envelope import KeyRing
from agent.crm.transport import Answer
from agent.crm.wire import gunzip
from agent.model.commands import (
    CommandOutcome,
    CommandType,
    ConflictReport,
    EndState,
    LinkReport,
    LinkState,
    Reason,
    Slot,
)
from agent.model.proof import Basis, FullProof
from agent.model.streams import Stream
from agent.model.writing import Heartbeat, Verb
from agent.sandbox.crm import CrmServer
from tests.crm.conftest import PairedAgent
from tests.crm.made import make_appointments, make_change

CONTRACT = Path(__file__).parents[2] / "assets" / "openapi" / "crm-sync.yaml"


class Contract:
    """The part of OpenAPI these checks need."""

    def __init__(self, path: Path) -> None:
        self._root: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))

    def check(self, method: str, target: str, headers: dict[str, str], body: bytes | None) -> str:
        """The operation's id. Raises AssertionError where the request breaks the contract."""
        path, _, query = target.partition("?")
        template, operation, path_values = self._operation(method, path)
        parameters = [self._resolved(p) for p in operation.get("parameters", [])]
        given = {"path": path_values, "query": dict(parse_qsl(query)), "header": headers}
        for parameter in parameters:
            where, name = parameter["in"], parameter["name"]
            name = name.lower() if where == "header" else name
            value = given[where].get(name)
            assert value is not None or not parameter.get("required"), (template, name)
            if value is not None:
                kind = self._resolved(parameter["schema"]).get("type")
                self._validate(parameter["schema"], int(value) if kind == "integer" else value)
        known = {p["name"] for p in parameters if p["in"] == "query"}
        assert set(given["query"]) <= known, template
        if "requestBody" in operation:
            media = headers["content-type"]
            schema = operation["requestBody"]["content"][media]["schema"]
            assert body is not None, template
            plain = gunzip(body) if headers.get("content-encoding") == "gzip" else body
            form = media == "application/x-www-form-urlencoded"
            self._validate(schema, dict(parse_qsl(plain.decode())) if form else json.loads(plain))
        else:
            assert body is None, template
        needs_token = operation.get("security", self._root["security"]) != []
        assert ("authorization" in headers) == needs_token, template
        return str(operation["operationId"])

    def _operation(self, method: str, path: str) -> tuple[str, dict[str, Any], dict[str, str]]:
        for template, operations in self._root["paths"].items():
            match = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template), path)
            if match is not None and method.lower() in operations:
                return template, operations[method.lower()], match.groupdict()
        raise AssertionError(f"{method} {path} is not in the contract")

    def _resolved(self, node: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in node:
            target: Any = self._root
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node

    def _validate(self, schema: dict[str, Any], value: Any) -> None:
        whole = {**schema, "components": self._root["components"]}
        Draft202012Validator(whole).validate(value)


def test_all_requests_follow_the_contract(
    server: CrmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, contract, seen = PairedAgent(server), Contract(CONTRACT), set()
    real = agent.transport.send

    def checked(method: str, path: str, **options: Any) -> Answer:
        headers = dict(options.get("headers") or {})
        seen.add(contract.check(method, path, headers, options.get("body")))
        answer = real(method, path, **options)
        assert answer.status < 400, (method, path, answer.status)
        return answer

    monkeypatch.setattr(agent.transport, "send", checked)
    agent.enroll()
    crm = agent.crm()
    crm.limits()
    crm.refresh_config()
    batch = [
        *make_appointments(20),
        make_change(1),
        make_change(2, verb=Verb.DELETE),
        make_change(3, verb=Verb.MERGE),
    ]
    crm.push("batch-0001", crm.pack("batch-0001", batch))
    for stream in Stream:
        crm.digests(stream)
        crm.digests(stream, Basis.CONTENT)
    crm.bucket(Stream.APPOINTMENT, 255)
    crm.heartbeat(
        Heartbeat("0.1.0", "opendental", "21.1", "j" * 32, 1, None, None, None, None, 0, 0, 0, "ab")
    )
    now = datetime(2026, 5, 4, tzinfo=UTC)
    crm.heartbeat(
        Heartbeat(
            "0.1.0", "opendental", "21.1", "j" * 32, 1, None, None, None, None, 0, 0, 0, "ab",
            proof=FullProof(now, 12, 2, "0" * 64, now), hours="mon-fri 08:00-17:00",
            zone="America/Chicago", alerts=("alert.slow",),
        )
    )  # fmt: skip
    agent.rotation.rotate()
    commands = NativeCommands(
        agent.transport, agent.auth, KeyRing(crm, agent.clock, str), "demo", agent.clock
    )
    sent = server.send_command("appointment.book", {})
    polled = commands.poll(
        capabilities=[*CommandType], ack=["a"], errs={"b": Reason.INTERNAL}, most=500, wait_s=0
    )
    assert [command.command_id for command in polled.commands] == [sent]
    slot = Slot("2026-11-23T16:00:00Z", 60, "3")
    for outcome in (
        CommandOutcome(EndState.UNKNOWN, staff_text="x" * 900),
        CommandOutcome(EndState.REJECTED, Reason.SLOT_TAKEN, alternatives=(slot,) * 30),
    ):
        commands.finish(sent, outcome)
    commands.contacts(commands.contacts(None, 5000).cursor, 10)
    commands.link(
        [
            LinkReport("c-1", LinkState.LINKED, "42"),
            LinkReport("c-2", LinkState.SUSPECT, candidates=("1", "2")),
        ]
    )
    commands.tell_conflicts(
        [
            ConflictReport("1", "patient", "42", "emails", "open", [], ["a@b.example"], []),
            ConflictReport("2", "patient", "42", "city", "resolved", winner="pms", command_id=sent),
        ]
    )
    assert seen == {
        "pollCommands",
        "commandResult",
        "contacts",
        "links",
        "conflicts",
        "enroll",
        "token",
        "config",
        "push",
        "digests",
        "digestBucket",
        "heartbeat",
        "listKeys",
        "addKey",
        "retireKey",
    }
    agent.close()
