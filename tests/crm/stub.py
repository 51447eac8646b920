"""A CRM of canned answers, for what the reference server would never say; and a secret store."""

from __future__ import annotations

import json
import socket
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Self

from agent.crm.auth import Auth
from agent.crm.native import NativeCrm
from agent.crm.pairing import Pairing, PairingStore, new_key
from agent.crm.transport import Transport
from agent.crm.wire import Origin, gunzip
from tests.crm.clocks import RealClock
from tests.crm.rawserver import RawServer, answer, read_request

ORIGIN = Origin("0.1.0", "0c9e3c0e6f8b4c1f9a4d2b7e5f6a7b8c", 1, "demo", "opendental", "21.1.9.0")
Reply = Callable[[bytes], bytes]


class MemorySecrets:
    """agent.ports.SecretStore in memory."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def get(self, name: str) -> str | None:
        return self.values.get(name)

    def set(self, name: str, value: str) -> None:
        self.values[name] = value

    def delete(self, name: str) -> None:
        self.values.pop(name, None)


def problem(name: str, status: int, extra: str = "") -> bytes:
    body = {"type": f"https://crm.example/problems/{name}", "title": "No", "status": status}
    return answer(json.dumps(body).encode(), f"{status} No", "application/problem+json", extra)


def settled(body: bytes, **changes: Any) -> bytes:
    """The answer of a CRM that applied everything, with some of it replaced."""
    sent = json.loads(gunzip(body))
    results = [{"event_id": item["event_id"], "outcome": "applied"} for item in sent["changes"]]
    reply = {
        "batch_id": sent["batch_id"],
        "received": len(results),
        "results": results,
        "ack_seq": 1,
    }
    return answer(json.dumps(reply | changes).encode())


class StubCrm:
    """Answers ``METHOD /path`` from ``script``: one reply after the other, the last for ever."""

    def __init__(self, script: dict[str, list[Reply]]) -> None:
        self._script = {
            "POST /oauth/token": [lambda _: answer(b'{"access_token":"t0ken","expires_in":300}')],
            **script,
        }
        self.calls: dict[str, int] = defaultdict(int)
        self.heads: list[bytes] = []
        self._server = RawServer(self._serve)
        self.url = self._server.url

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()

    def _serve(self, conn: socket.socket, _: int) -> None:
        while True:
            head, body = read_request(conn)
            if not head:
                return
            self.heads.append(head)
            method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
            name = f"{method} {target.partition('?')[0]}"
            replies = self._script[name]
            reply = replies[min(self.calls[name], len(replies) - 1)]
            self.calls[name] += 1
            conn.sendall(reply(body))

    def client(self, clock: RealClock | None = None, **options: Any) -> NativeCrm:
        return client_at(self.url, clock, **options)


def client_at(url: str, clock: RealClock | None = None, **options: Any) -> NativeCrm:
    """A paired client of whoever listens at ``url``."""
    clock = clock or RealClock()
    transport = Transport(url, clock=clock, agent_version="0.1.0", proxy="none", deadline_s=5)
    pairings = PairingStore(MemorySecrets())
    pairings.save(Pairing("agent-1", "demo", "Demo", url, new_key(), "2026-01-01T00:00:00Z"))
    return NativeCrm(transport, Auth(transport, pairings, clock), ORIGIN, clock, **options)
