"""Garbage, endless lines, silence and dribble: survived, logged, and nobody else notices."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.control.client import Client
from agent.control.protocol import (
    MAX_LINE,
    Call,
    ControlError,
    Fault,
    Hello,
    Subscribe,
    parse_answer,
    parse_call,
    parse_params,
)
from agent.control.server import ControlServer, Limits
from agent.model.desk import REQUESTS
from tests.control.conftest import Raw, Serve


def _reasons(caplog: pytest.LogCaptureFixture) -> set[str]:
    return {str(r.__dict__.get("why")) for r in caplog.records if r.message == "control.dropped"}


def _handles() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def _gone(raw: Raw) -> bool:
    """Read to the end; True when the server hung up."""
    with contextlib.suppress(OSError):
        while raw.hear() is not None:
            pass
        return True
    return False


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.1\r\n",
        b"\xff\xfe\x00garbage\n",
        b"[]\n",
        b"[{}]\n",
        b"null\n",
        b'{"jsonrpc":"1.0","id":1,"method":"ping"}\n',
        b'{"jsonrpc":"2.0","id":{},"method":"ping"}\n',
        b'{"jsonrpc":"2.0","id":1,"method":5}\n',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":}}\n',
        b"[" * 100_000 + b"\n",
        b'{"a":' * 100_000 + b"\n",
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b"[" * 50_000 + b"\n",
    ],
)
def test_a_line_that_is_no_request_is_answered_and_forgiven(raw: Raw, line: bytes) -> None:
    raw.say(line)
    told = raw.hear()
    assert told is not None
    assert told["error"]["code"] in {-32700, -32600}
    assert told["id"] is None
    assert "result" in raw.greet()


def test_deep_params_are_refused_not_recursed_into(raw: Raw) -> None:
    raw.greet()
    deep = b'{"a":' * 50_000 + b"1" + b"}" * 50_000
    raw.say(b'{"jsonrpc":"2.0","id":1,"method":"test.echo","params":' + deep + b"}\n")
    told = raw.hear()
    assert told is not None
    assert "error" in told
    raw.say(b'{"jsonrpc":"2.0","id":2,"method":"ping"}\n')
    assert (raw.hear() or {}).get("result") == "ping"


def test_too_much_garbage_ends_the_line(raw: Raw, caplog: pytest.LogCaptureFixture) -> None:
    with contextlib.suppress(OSError):
        raw.say(b"nonsense\n" * 50)
    assert _gone(raw)
    assert _reasons(caplog) == {"garbage"}


def test_an_endless_line_is_cut_off_at_a_megabyte(
    server: ControlServer, raw: Raw, caplog: pytest.LogCaptureFixture
) -> None:
    raw.greet()
    with contextlib.suppress(OSError):  # it hangs up while we talk
        raw.say(b"x" * (3 * MAX_LINE))
    assert _gone(raw)
    assert _reasons(caplog) == {"oversize"}
    with Client.call(server.path) as other:
        other.ping()


@pytest.mark.parametrize(
    ("limits", "greets", "says", "why"),
    [
        (Limits(hello_s=0.1), False, b"", "silent"),
        (Limits(line_s=0.1), True, b'{"jsonrpc', "slow"),
        (Limits(idle_s=0.1), True, b"", "idle"),
    ],
)
def test_who_keeps_us_waiting_is_hung_up_on(
    serve: Serve,
    caplog: pytest.LogCaptureFixture,
    limits: Limits,
    greets: bool,
    says: bytes,
    why: str,
) -> None:
    raw = Raw(serve(limits=limits).path)
    if greets:
        raw.greet()
    raw.say(says)
    started = time.monotonic()
    assert _gone(raw)
    assert time.monotonic() - started < 5
    assert _reasons(caplog) == {why}
    raw.close()


def test_dribbling_byte_by_byte_gains_no_time(serve: Serve) -> None:
    raw = Raw(serve(limits=Limits(line_s=0.2)).path)
    raw.greet()
    started = time.monotonic()
    with contextlib.suppress(OSError):
        while time.monotonic() - started < 5:
            raw.say(b"x")
            time.sleep(0.02)
    assert time.monotonic() - started < 3
    raw.close()


def test_who_listens_may_be_silent(serve: Serve) -> None:
    server = serve(limits=Limits(idle_s=0.1))
    with Client.call(server.path) as client:
        client.subscribe(Subscribe())
        assert client.next_event(0.3) is None
        client.ping()


def test_a_client_that_leaves_in_the_middle_leaves_nothing(server: ControlServer) -> None:
    before = _handles()
    for say in (b"", b'{"jsonrpc"', b'{"jsonrpc":"2.0","id":1,"method":"test.echo"}\n' * 20):
        raw = Raw(server.path)
        raw.say(say)
        raw.close()
    deadline = time.monotonic() + 5
    while (server.clients or _handles() > before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.clients == 0
    assert _handles() <= before


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_break_the_parser(line: bytes) -> None:
    assert isinstance(parse_call(line), Call | Fault)
    with contextlib.suppress(ControlError):
        parse_answer(line)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([*REQUESTS, Hello, Subscribe]), _json)
def test_no_params_break_a_request(kind: type, params: object) -> None:
    raw = msgspec.Raw(json.dumps(params).encode())
    with contextlib.suppress(ControlError):
        assert isinstance(parse_params(raw, kind), kind)


def _request(ident: object, method: str, params: object) -> bytes:
    call = {"jsonrpc": "2.0", "id": ident, "method": method, "params": params}
    return json.dumps(call).encode()


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.binary(max_size=200)
        | st.builds(
            _request,
            st.integers() | st.text(max_size=5) | st.none(),
            st.sampled_from(["hello", "ping", "test.echo", "test.decide", "events.subscribe", "x"]),
            _json,
        ),
        max_size=8,
    )
)
def test_whatever_is_said_the_server_stays(server: ControlServer, lines: list[bytes]) -> None:
    raw = Raw(server.path)
    try:
        with contextlib.suppress(OSError):
            raw.greet()
            raw.say(b"\n".join(lines) + b"\n")
    finally:
        raw.close()
    with Client.call(server.path) as other:
        other.ping()
