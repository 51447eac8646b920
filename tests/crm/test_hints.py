"""Hints: heard at once, missed without harm, looked for again."""

from __future__ import annotations

import contextlib
import queue
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.crm import hints as hints_module
from agent.crm.hints import Hints, read_events
from agent.crm.limits import Backoff
from agent.sandbox.crm import CrmServer
from tests.crm.conftest import PairedAgent
from tests.crm.rawserver import RawServer, answer, read_request
from tests.crm.stub import client_at, problem

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
TOKEN = answer(b'{"access_token":"t0ken","expires_in":300}')
SHORT = Backoff(first_s=0.05, longest_s=0.1)


class Listening:
    """A listener in its thread; ``heard`` is a queue."""

    def __init__(self, hints: Hints, heard: queue.Queue[str]) -> None:
        self.hints = hints
        self.heard = heard
        self.thread = threading.Thread(target=hints.run)
        self.thread.start()

    def next(self, timeout_s: float = 5.0) -> str:
        return self.heard.get(timeout=timeout_s)

    def until(self, kind: str, timeout_s: float = 10.0) -> None:
        """Hear this kind, whatever else rings before: a hint may come twice."""
        while self.next(timeout_s) != kind:
            pass

    def stop(self) -> float:
        """Seconds until it had stopped."""
        began = time.perf_counter()
        self.hints.stop()
        self.thread.join(10)
        assert not self.thread.is_alive()
        return time.perf_counter() - began


@contextlib.contextmanager
def listening(agent: PairedAgent, backoff: Backoff = SHORT) -> Iterator[Listening]:
    heard: queue.Queue[str] = queue.Queue()
    hints = Hints(
        agent.transport, agent.auth, agent.clock, heard.put, rng=random.Random(1), backoff=backoff
    )
    running = Listening(hints, heard)
    try:
        yield running
    finally:
        running.stop()


@contextlib.contextmanager
def listening_to(url: str, backoff: Backoff = SHORT) -> Iterator[Listening]:
    crm = client_at(url)
    heard: queue.Queue[str] = queue.Queue()
    hints = Hints(crm._transport, crm._auth, crm._clock, heard.put, backoff=backoff)
    running = Listening(hints, heard)
    try:
        yield running
    finally:
        running.stop()
        crm.close()


def test_a_hint_is_heard_at_once(paired: PairedAgent) -> None:
    with listening(paired) as listener:
        listener.until("hello")
        took = []
        for n in range(5):
            while not listener.heard.empty():
                listener.next()
            began = time.perf_counter()
            paired.server.change_own("lead", str(n), {"secret": "Ada"})
            listener.until("changes")
            took.append(time.perf_counter() - began)
        assert min(took) < 0.1, took
        assert listener.stop() < 3, "stopping does not wait for the stream"


def test_a_crm_that_comes_back_is_heard_again(tmp_path: Path) -> None:
    server = CrmServer(tmp_path / "crm.db")
    server.start()
    agent = PairedAgent(server)
    agent.enroll()
    port = int(server.url.rpartition(":")[2])
    try:
        with listening(agent) as listener:
            assert listener.next() == "hello"
            server.stop()
            again = CrmServer(tmp_path / "crm.db", port=port)
            again.start()
            try:
                listener.until("hello")
                again.change_own("lead", "1", {})
                listener.until("changes")
            finally:
                listener.stop()
                again.stop()
    finally:
        agent.close()
        server.stop()


def serve_streams(*streams: list[bytes], hold_s: float = 0.0) -> RawServer:
    """One stream of parts after the other; the last is held open."""
    begun: list[int] = []

    def serve(conn: socket.socket, _: int) -> None:
        while True:
            head, _body = read_request(conn)
            if not head:
                return
            if b"/oauth/token" in head:
                conn.sendall(TOKEN)
                continue
            begun.append(1)
            conn.sendall(HEAD)
            for part in streams[min(len(begun), len(streams)) - 1]:
                conn.sendall(part)
            if len(begun) >= len(streams):
                conn.recv(1)
            return

    return RawServer(serve)


def test_a_stream_that_ends_is_opened_again() -> None:
    with (
        serve_streams(
            [b"event: hello\ndata:\n\n"],
            [],
            [b"event: hello\n", b"data:\n\nevent: comm", b"ands\r\ndata:\r\n\r\n"],
        ) as server,
        listening_to(server.url) as listener,
    ):
        assert [listener.next() for _ in range(3)] == ["hello", "hello", "commands"]


def test_a_stream_that_fell_silent_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints_module, "QUIET_S", 0.2)
    hello = b"event: hello\ndata:\n\n"

    def serve(conn: socket.socket, _: int) -> None:
        while True:
            head, _body = read_request(conn)
            if not head:
                return
            if b"/oauth/token" in head:
                conn.sendall(TOKEN)
                continue
            conn.sendall(HEAD + hello)
            conn.recv(1)  # silent until the other side goes
            return

    with RawServer(serve) as server, listening_to(server.url) as listener:
        assert [listener.next() for _ in range(3)] == ["hello"] * 3


def test_a_stream_that_says_it_is_still_there_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints_module, "QUIET_S", 0.3)

    def serve(conn: socket.socket, _: int) -> None:
        while True:
            head, _body = read_request(conn)
            if b"/oauth/token" in head:
                conn.sendall(TOKEN)
                continue
            conn.sendall(HEAD + b"event: hello\ndata:\n\n")
            for _ in range(8):
                time.sleep(0.1)
                conn.sendall(b": still here\n\n")
            conn.sendall(b"event: config\ndata:\n\n")
            conn.recv(1)
            return

    with RawServer(serve) as server, listening_to(server.url) as listener:
        assert [listener.next(), listener.next()] == ["hello", "config"]


def test_a_token_that_died_is_replaced_at_once(paired: PairedAgent) -> None:
    paired.auth._token = "dead"
    paired.auth._fresh_until = paired.clock.mono() + 100
    with listening(paired, Backoff(first_s=60)) as listener:
        assert listener.next() == "hello"


@pytest.mark.parametrize(
    "reply",
    [
        answer(b"<html>sign in</html>", media="text/html"),
        problem("insufficient-scope", 403),
        problem("invalid-token", 401),
        answer(b"", "503 No", extra="Retry-After: 1\r\n"),
        b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n",
        b"not http at all",
    ],
    ids=["portal", "scope", "token", "busy", "redirect", "noise"],
)
def test_whoever_gives_no_hints_is_asked_ever_more_rarely(reply: bytes) -> None:
    asked: list[float] = []
    enough = threading.Event()

    def serve(conn: socket.socket, _: int) -> None:
        while True:
            head, _body = read_request(conn)
            if not head:
                return
            if b"/oauth/token" in head:
                conn.sendall(TOKEN)
                continue
            asked.append(time.monotonic())
            if len(asked) >= 4:
                enough.set()
            conn.sendall(reply)
            if not reply.startswith(b"HTTP"):
                return

    backoff = Backoff(first_s=0.02, longest_s=1000)  # in the end it waits for minutes
    with RawServer(serve) as server, listening_to(server.url, backoff) as listener:
        assert enough.wait(10)
        assert listener.stop() < 3, "nor does stopping wait for the back-off"
        assert listener.heard.empty()


def test_stopping_before_it_began() -> None:
    with RawServer(lambda conn, _: None) as server:
        crm = client_at(server.url)
        hints = Hints(crm._transport, crm._auth, crm._clock, lambda _: None)
        hints.stop()
        hints.run()
        crm.close()
        assert server.connections == 0


@given(st.data())
def test_however_the_stream_is_cut_the_events_are_the_same(data: st.DataObject) -> None:
    end = data.draw(st.sampled_from([b"\n", b"\r\n"]))
    lines = [
        b"retry: 2000", b"event: hello", b"data:", b"", b": still here", b"", b"data: x", b"",
        b"event:commands", b"data:", b"", b"", b"event: config", b"data:", b"",
    ]  # fmt: skip
    whole = end.join(lines) + end
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=12)))
    parts = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert list(read_events(parts)) == ["hello", "commands", "config"]


def test_an_endless_line_is_not_kept() -> None:
    def parts() -> Iterator[bytes]:
        yield b"event: hello\n\n"
        while True:
            yield b"x" * 1000

    assert list(read_events(parts())) == ["hello"]
