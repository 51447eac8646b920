"""A control server with a few offers of its own, and raw lines to it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.control.client import Client
from agent.control.server import Caller, ControlServer, Limits, Offer
from agent.model.asking import Done, Request, Role, Settled, Settlement


class Echo(Request[Settlement], frozen=True):
    """Gives back as many lines as asked."""

    method = "test.echo"
    words: tuple[str, ...] = ()
    times: int = 1


class Decide(Request[Done], frozen=True):
    method = "test.decide"
    role = Role.MANAGER


class Install(Request[Done], frozen=True):
    method = "test.install"
    role = Role.ADMIN


class Break(Request[Done], frozen=True):
    method = "test.break"


class Wait(Request[Done], frozen=True):
    method = "test.wait"


@dataclass
class Office:
    """What the offers saw. ``go`` lets the waiting ones finish."""

    callers: list[Caller] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)
    waiting: threading.Event = field(default_factory=threading.Event)

    def offers(self) -> list[Offer]:
        return [
            Offer(Echo, self._echo),
            Offer(Decide, self._decide),
            Offer(Install, self._decide),
            Offer(Break, self._break),
            Offer(Wait, self._wait),
        ]

    def _echo(self, request: Echo, _caller: Caller) -> Settlement:
        return Settlement(tuple(Settled(word) for word in request.words) * request.times)

    def _decide(self, _request: Any, caller: Caller) -> Done:
        self.callers.append(caller)
        return Done()

    def _break(self, _request: Break, _caller: Caller) -> Done:
        raise RuntimeError("Anna Example, born 1980-02-03")  # must reach nobody

    def _wait(self, _request: Wait, _caller: Caller) -> Done:
        self.waiting.set()
        assert self.go.wait(10)
        return Done()


Serve = Callable[..., ControlServer]


@pytest.fixture
def office() -> Iterator[Office]:
    made = Office()
    yield made
    made.go.set()


@pytest.fixture
def serve(tmp_path: Path, office: Office) -> Iterator[Serve]:
    """``serve(limits=..., path=...)``: a started server."""
    made: list[ControlServer] = []

    def start(
        *, path: Path | None = None, limits: Limits | None = None, group: str = ""
    ) -> ControlServer:
        place = path or tmp_path / "control.sock"
        server = ControlServer(
            place, office.offers(), agent_version="1.2.3", group=group, limits=limits
        )
        server.start()
        made.append(server)
        return server

    yield start
    office.go.set()
    for server in made:
        server.stop()


@pytest.fixture
def server(serve: Serve) -> ControlServer:
    return serve()


@pytest.fixture
def client(server: ControlServer) -> Iterator[Client]:
    with Client.call(server.path, name="test") as made:
        yield made


class Raw:
    """A client that sends what it likes."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(str(path))
        self._file = self.sock.makefile("rb")

    def say(self, content: bytes) -> None:
        self.sock.sendall(content)

    def hear(self) -> dict[str, Any] | None:
        """The next answer; None when the server hung up."""
        try:
            line = self._file.readline()
        except ConnectionResetError:
            return None
        return msgspec.json.decode(line) if line else None

    def greet(self) -> dict[str, Any]:
        self.say(
            b'{"jsonrpc":"2.0","id":"h","method":"hello","params":{"versions":[1,2],"client":"x"}}\n'
        )
        told = self.hear()
        assert told is not None
        return told

    def close(self) -> None:
        self._file.close()
        self.sock.close()


@pytest.fixture
def raw(server: ControlServer) -> Iterator[Raw]:
    made = Raw(server.path)
    yield made
    made.close()
