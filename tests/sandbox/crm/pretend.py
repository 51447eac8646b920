"""The practice's side for the page's tests: takes commands by the contract and does what they say.

No agent and no practice system: each command becomes the record a practice would have pushed.
"""

from __future__ import annotations

import itertools
import json
import threading
from datetime import UTC, datetime
from typing import Any, Self

import httpx

from tests.sandbox.crm.desk import Desk

CAPABLE = (
    "appointment.book",
    "appointment.reschedule",
    "appointment.confirm",
    "appointment.cancel",
    "patient.update_contact",
    "consent.set",
)
_PLACE = ("start", "minutes", "operatory_key", "provider_key", "hygienist_key")
_BEAT: dict[str, Any] = {
    "agent_version": "0.1.0", "pms_kind": "opendental", "pms_version": "21.1.9.0", "epoch": 1,
    "oldest_unsent_s": None, "oldest_unverified_s": 9,
    "open_conflicts": 0, "parked": 0, "pending_batches": 0,
}  # fmt: skip


class Pretend:
    """``with Pretend(desk, records) as practice:``; ``seen`` keeps every command it was given.

    ``answers``: type -> result to give instead of doing it. ``let_go`` cleared: it has the commands
    and says nothing.
    """

    def __init__(self, desk: Desk, records: list[tuple[str, str, dict[str, Any]]]) -> None:
        self.desk = desk
        self.held = {(kind, key): record for kind, key, record in records}
        self.seen: list[dict[str, Any]] = []
        self.answers: dict[str, dict[str, Any]] = {}
        self.let_go = threading.Event()
        self.let_go.set()
        self._keys = itertools.count(9000)
        self._stopping = threading.Event()
        self._line = httpx.Client(
            base_url=desk.server.url,
            timeout=20,
            trust_env=False,
            headers={"Authorization": desk.http.headers["Authorization"]},
        )
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Self:
        self._poll([], 0)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self.let_go.set()
        self._thread.join(10)
        self._line.close()

    def beat(self, **said: Any) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = _BEAT | {"last_read_at": now, "last_write_at": now}
        body |= {"journal_uuid": self.desk.journal, "capabilities": list(CAPABLE)} | said
        assert self._line.post("/v1/agents/self/heartbeat", json=body).status_code == 200

    def _poll(self, ack: list[str], wait_s: int) -> list[dict[str, Any]]:
        asked = {"capabilities": CAPABLE, "ack": ack, "wait_s": wait_s}
        answer = self._line.post("/v1/sync/commands/poll", json=asked)
        assert answer.status_code == 200, answer.text
        return [json.loads(one["envelope"]["body"]) for one in answer.json()["commands"]]

    def _work(self) -> None:
        ack: list[str] = []
        while not self._stopping.is_set():
            try:
                commands = self._poll(ack, 1)
            except httpx.HTTPError:
                return  # the test stopped the server
            ack = [command["command_id"] for command in commands]
            if ack:
                self._poll(ack, 0)
            for command in commands:
                self.seen.append(command)
                self.let_go.wait(30)
                if not self._stopping.is_set():
                    self._answer(command)

    def _answer(self, command: dict[str, Any]) -> None:
        result = self.answers.get(command["type"]) or self._do(command)
        path = f"/v1/sync/commands/{command['command_id']}/result"
        answer = self._line.post(path, json=result)
        assert answer.status_code == 200, answer.text

    def _do(self, command: dict[str, Any]) -> dict[str, Any]:
        kind, _, verb = command["type"].partition(".")
        payload, target = command["payload"], command.get("target") or {}
        stream = "patient" if kind in {"patient", "consent"} else "appointment"
        key = str(target.get("key") or next(self._keys))
        record = dict(self.held.get((stream, key), {"key": key}))
        if verb == "book":
            person = payload["patient"]
            if "key" not in person:
                person = {"key": self._newcomer(person.get("new", {}))}
            record |= {"patient_key": person["key"], "status": "scheduled"}
            record |= {"is_new_patient": bool(payload.get("is_new_patient"))}
            record |= {"note": payload.get("note", "")}
        if verb in {"book", "reschedule"}:
            record |= {name: payload[name] for name in _PLACE if payload.get(name)}
            record.pop("end", None)
        elif verb == "confirm":
            record |= {"confirmation": "Confirmed", "confirmation_category": "confirmed"}
        elif verb == "cancel":
            record |= {"status": "broken", "note": payload.get("note", "")}
        elif verb == "update_contact":
            record |= payload["fields"]
        elif kind == "consent":
            record |= {f"{payload['channel']}_consent": payload["consent"]}
        self._push(stream, key, record)
        return {"state": "applied", "pms_key": key}

    def _newcomer(self, said: dict[str, Any]) -> str:
        key = str(next(self._keys))
        self._push("patient", key, {"key": key, "guarantor_key": key, "status": "patient"} | said)
        return key

    def _push(self, stream: str, key: str, record: dict[str, Any]) -> None:
        self.held[stream, key] = record
        self.desk.push(self.desk.change(stream, key, record))
