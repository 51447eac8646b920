"""The transport against real sockets: deadlines, cut answers, strangers, proxies, TLS."""

from __future__ import annotations

import gzip
import logging
import socket
import threading
import time
from collections.abc import Callable
from email.utils import format_datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent.crm import sockets
from agent.crm.transport import Transport, checked_base_url, proxy_for
from agent.errors import ConfigError, CrmUnavailable
from tests.crm.clocks import RealClock
from tests.crm.rawserver import ForwardProxy, RawServer, answer, make_authority, read_request


def transport(url: str, **more: object) -> Transport:
    options: dict[str, object] = {"clock": RealClock(), "agent_version": "1.2.3", "proxy": "none"}
    return Transport(url, **(options | more))  # type: ignore[arg-type]


def get(client: Transport, **more: object) -> object:
    return client.send("GET", "/x", route="test", **more)  # type: ignore[arg-type]


def always(reply: bytes) -> Callable[[socket.socket, int], None]:
    def script(conn: socket.socket, _: int) -> None:
        while read_request(conn)[0]:
            conn.sendall(reply)

    return script


def code_of(reply: bytes, **more: object) -> str:
    with RawServer(always(reply)) as server:
        client = transport(server.url, **more)
        with pytest.raises(CrmUnavailable) as caught:
            get(client)
        client.close()
    return caught.value.code


def test_one_connection_serves_many_requests_and_carries_the_user_agent() -> None:
    heads: list[bytes] = []

    def script(conn: socket.socket, _: int) -> None:
        while True:
            head, body = read_request(conn)
            if not head:
                return
            heads.append(head)
            conn.sendall(answer(b'{"got": %d}' % len(body)))

    with RawServer(script) as server:
        client = transport(server.url)
        for _ in range(3):
            reply = client.send("POST", "/v1/x", route="test", body=b"12345")
            assert reply.body == b'{"got": 5}'
        client.close()
        assert server.connections == 1
    assert b"user-agent: bridgework/1.2.3" in heads[0].lower()


def drip_body(conn: socket.socket) -> None:
    conn.sendall(answer(length=100_000, body=b"{"))
    while True:
        conn.sendall(b" ")
        time.sleep(0.02)


def drip_head(conn: socket.socket) -> None:
    conn.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        conn.sendall(b"X-A: b\r\n")
        time.sleep(0.02)


def say_nothing(conn: socket.socket) -> None:
    conn.recv(1)


@pytest.mark.parametrize("trick", [drip_body, drip_head, say_nothing])
def test_the_deadline_is_for_the_whole_request(trick: Callable[[socket.socket], None]) -> None:
    def script(conn: socket.socket, _: int) -> None:
        read_request(conn)
        trick(conn)

    with RawServer(script) as server:
        client = transport(server.url, deadline_s=0.4)
        began = time.monotonic()
        with pytest.raises(CrmUnavailable) as caught:
            get(client)
        took_s = time.monotonic() - began
        client.close()
    assert caught.value.code == "crm.timed_out"
    assert 0.3 < took_s < 1.0


def test_a_peer_that_does_not_read_our_body_is_left_at_the_deadline() -> None:
    with RawServer(lambda _conn, _n: server.stopping.wait(30)) as server:
        client = transport(server.url, deadline_s=0.4)
        began = time.monotonic()
        with pytest.raises(CrmUnavailable) as caught:
            client.send("POST", "/x", route="test", body=b"x" * 60_000_000)
        took_s = time.monotonic() - began
        client.close()
    assert caught.value.code == "crm.timed_out"
    assert took_s < 10


def test_closing_interrupts_a_request_in_another_thread() -> None:
    asked = threading.Event()

    def script(conn: socket.socket, _: int) -> None:
        read_request(conn)
        asked.set()
        conn.recv(1)

    codes: list[str] = []

    def call(client: Transport) -> None:
        try:
            get(client)
        except CrmUnavailable as exc:
            codes.append(exc.code)

    with RawServer(script) as server:
        client = transport(server.url, deadline_s=20)
        thread = threading.Thread(target=call, args=(client,))
        thread.start()
        assert asked.wait(5)
        client.close()
        thread.join(2)
        assert not thread.is_alive()
        with pytest.raises(CrmUnavailable):
            get(client)
    assert codes == ["crm.closed"]


@pytest.mark.parametrize("as_on_windows", [False, True])
def test_dropped_lines_end_whoever_waits_on_them_and_serve_nobody_again(
    as_on_windows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if as_on_windows:  # there a thread waits on in a socket that another has shut
        monkeypatch.setattr(sockets, "_LOOK_S", 0.05)
        monkeypatch.setattr(socket.socket, "shutdown", lambda *_: None)
    asked = threading.Event()

    def script(conn: socket.socket, number: int) -> None:
        while read_request(conn)[0]:
            if number == 0:
                asked.set()
                conn.recv(1)
            conn.sendall(answer())

    codes: list[str] = []

    def call() -> None:
        with pytest.raises(CrmUnavailable) as caught:
            get(client, replayable=False)
        codes.append(caught.value.code)

    with RawServer(script) as server:
        client = transport(server.url, deadline_s=20)
        thread = threading.Thread(target=call)
        thread.start()
        assert asked.wait(5)
        client.drop_lines()
        thread.join(3)
        assert codes == ["crm.cut_answer"]
        for _ in range(2):
            get(client, replayable=False)
            client.drop_lines()
        assert server.connections == 3
        client.close()


def test_a_dead_kept_alive_connection_is_replaced_once() -> None:
    def script(conn: socket.socket, number: int) -> None:
        read_request(conn)
        conn.sendall(answer())
        if number == 0:
            read_request(conn)  # the second request arrives, and the peer hangs up on it
            return
        while read_request(conn)[0]:
            conn.sendall(answer())

    with RawServer(script) as server:
        client = transport(server.url)
        get(client)
        get(client)
        assert server.connections == 2
        client.close()
    with RawServer(script) as server:
        client = transport(server.url)
        get(client)
        with pytest.raises(CrmUnavailable) as caught:
            get(client, replayable=False)
        client.close()
    assert caught.value.code == "crm.cut_answer"


def test_half_a_body_or_a_reset_is_not_an_answer() -> None:
    assert code_of_script(lambda c: c.sendall(answer(b'{"a": 1', length=40))) == "crm.cut_answer"
    packed = gzip.compress(b'{"a": "' + b"x" * 500 + b'"}')
    half = answer(packed[:-12], extra="Content-Encoding: gzip\r\n")
    assert code_of_script(lambda c: c.sendall(half)) == "crm.cut_answer"
    broken = answer(b"\x1f\x8b\x08zzzzzzzzzzzz", extra="Content-Encoding: gzip\r\n")
    assert code_of_script(lambda c: c.sendall(broken)) == "crm.bad_answer"
    assert code_of_script(lambda c: c.sendall(b"SSH-2.0-x\r\n\r\n")) == "crm.cut_answer"

    def reset(conn: socket.socket) -> None:
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    assert code_of_script(reset) == "crm.cut_answer"


def code_of_script(trick: Callable[[socket.socket], None]) -> str:
    def script(conn: socket.socket, _: int) -> None:
        read_request(conn)
        trick(conn)

    with RawServer(script) as server:
        client = transport(server.url, deadline_s=5)
        with pytest.raises(CrmUnavailable) as caught:
            get(client)
        client.close()
    return caught.value.code


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = transport(f"http://127.0.0.1:{port}")
    with pytest.raises(CrmUnavailable) as caught:
        get(client)
    assert caught.value.code == "crm.unreachable"
    client = transport("https://no-such-host.invalid", deadline_s=5)
    with pytest.raises(CrmUnavailable) as caught:
        get(client)
    assert caught.value.code == "crm.name_not_found"


def test_strangers_are_not_the_crm() -> None:
    page = b"<html>Welcome to the hotel</html>"
    assert code_of(answer(page, media="text/html; charset=utf-8")) == "crm.captive_portal"
    assert code_of(answer(page, "511 Network Authentication Required")) == "crm.captive_portal"
    away = "Location: http://login.example/\r\n"
    assert code_of(answer(page, "302 Found", "text/html", away)) == "crm.redirected"
    assert code_of(answer(b"hello", media="text/plain")) == "crm.bad_answer"
    assert code_of(answer(page, "407 Proxy Authentication Required")) == "crm.proxy_refused"


def test_a_redirect_of_a_post_is_never_followed() -> None:
    requests: list[bytes] = []

    def script(conn: socket.socket, _: int) -> None:
        while True:
            head, _body = read_request(conn)
            if not head:
                return
            requests.append(head)
            conn.sendall(answer(b"", "307 Temporary Redirect", extra="Location: /elsewhere\r\n"))

    with RawServer(script) as server:
        client = transport(server.url)
        with pytest.raises(CrmUnavailable):
            client.send("POST", "/v1/sync/push", route="push", body=b"x")
        client.close()
    assert len(requests) == 1


def test_gzip_answers_are_read_and_bombs_refused() -> None:
    packed = gzip.compress(b'{"a": 1}')
    with RawServer(always(answer(packed, extra="Content-Encoding: gzip\r\n"))) as server:
        client = transport(server.url)
        assert client.send("GET", "/x", route="test").body == b'{"a": 1}'
        client.close()
    bomb = gzip.compress(b" " * 5_000_000)
    reply = answer(bomb, extra="Content-Encoding: gzip\r\n")
    assert code_of(reply, max_answer_bytes=100_000) == "crm.answer_too_large"
    assert code_of(answer(b"1" * 2000), max_answer_bytes=1000) == "crm.answer_too_large"


@pytest.mark.parametrize(("wrong_by_s", "warns"), [(0.0, False), (-3600.0, True), (250.0, False)])
def test_clock_skew_is_measured_from_the_date_header(wrong_by_s: float, warns: bool) -> None:
    def script(conn: socket.socket, _: int) -> None:
        while read_request(conn)[0]:
            date = format_datetime(RealClock().now(), usegmt=True)
            conn.sendall(answer(extra=f"Date: {date}\r\n"))

    with RawServer(script) as server, capture_logs() as logs:
        client = transport(server.url, clock=RealClock(wrong_by_s))
        assert client.skew_s == 0.0
        get(client)
        get(client)
        assert client.skew_s == pytest.approx(-wrong_by_s, abs=1.5)
        client.close()
    warnings = [entry for entry in logs if entry["event"] == "crm.clock_skewed"]
    assert len(warnings) == (1 if warns else 0)


def test_a_private_authority_is_trusted_only_through_the_ca_file(tmp_path: Path) -> None:
    ca_file, context = make_authority(tmp_path)
    with RawServer(always(answer()), context) as server:
        client = transport(server.url)
        with pytest.raises(CrmUnavailable) as caught:
            get(client)
        assert caught.value.code == "crm.tls_untrusted"
        client.close()
        trusting = transport(server.url, ca_file=ca_file)
        assert get(trusting).status == 200  # type: ignore[attr-defined]
        trusting.close()
    with pytest.raises(ConfigError) as wrong:
        transport("https://127.0.0.1", ca_file=tmp_path / "absent.pem")
    assert wrong.value.code == "crm.ca_file_unreadable"


def test_plain_talk_on_a_tls_port_is_named() -> None:
    def script(conn: socket.socket, _: int) -> None:
        conn.recv(65536)  # what is unread at the end would reset the line, on Windows before ours
        conn.sendall(b"HTTP/1.1 400 Bad\r\n\r\n")

    with RawServer(script) as server:
        client = transport(server.url.replace("http:", "https:"))
        with pytest.raises(CrmUnavailable) as caught:
            get(client)
        client.close()
    assert caught.value.code == "crm.tls_failed"


def test_requests_go_through_the_proxys_tunnel(tmp_path: Path) -> None:
    ca_file, context = make_authority(tmp_path)
    with RawServer(always(answer()), context) as server, ForwardProxy() as proxy:
        client = transport(server.url, ca_file=ca_file, proxy=f"127.0.0.1:{proxy.port}")
        get(client)
        get(client)
        assert proxy.seen == [f"CONNECT 127.0.0.1:{server.port} HTTP/1.1".encode()]
        client.close()


def test_plain_requests_go_through_the_proxy() -> None:
    with RawServer(always(answer())) as server, ForwardProxy() as proxy:
        client = transport(server.url, proxy=f"http://127.0.0.1:{proxy.port}")
        get(client)
        assert proxy.seen == [f"GET {server.url}/x HTTP/1.1".encode()]
        client.close()


@pytest.mark.parametrize("is_tunnel", [True, False], ids=["tunnel", "plain"])
def test_a_proxy_wanting_a_password_gets_it_and_its_refusal_is_named(
    is_tunnel: bool, tmp_path: Path
) -> None:
    ca_file, context = make_authority(tmp_path)
    basic = "Basic dXNlcjpzM2NyZXQ="  # user:s3cret
    with (
        RawServer(always(answer()), context if is_tunnel else None) as server,
        ForwardProxy(authorization=basic) as proxy,
        capture_logs() as logs,
    ):
        client = transport(
            server.url, ca_file=ca_file, proxy=f"http://user:s3cret@127.0.0.1:{proxy.port}"
        )
        get(client)
        client.close()
        refused = transport(
            server.url, ca_file=ca_file, proxy=f"http://user:wr0ng@127.0.0.1:{proxy.port}"
        )
        with pytest.raises(CrmUnavailable) as caught:
            get(refused)
        refused.close()
    assert (caught.value.code, caught.value.facts["status"]) == ("crm.proxy_refused", 407)
    assert "s3cret" not in repr(logs)
    assert "wr0ng" not in repr(logs) + repr(caught.value) + str(caught.value)


def test_the_proxy_setting_wins_over_the_system_and_loopback_goes_direct() -> None:
    def none_bypassed(_: str) -> bool:
        return False

    def chosen(url: str, setting: str | None, **known: str) -> str | None:
        proxy = proxy_for(url, setting, system=lambda: known, bypassed=none_bypassed)
        return None if proxy is None else str(proxy.url)

    crm = "https://crm.example"
    assert chosen(crm, None) is None
    assert chosen(crm, "", https="http://sys:8080") == "http://sys:8080"
    assert chosen(crm, "none", https="http://sys:8080") is None
    assert chosen(crm, "own:3128", https="http://sys:8080") == "http://own:3128"
    assert chosen("http://127.0.0.1:9", None, http="http://sys:8080") is None
    bypass = proxy_for(crm, None, system=lambda: {"https": "http://s:1"}, bypassed=lambda _: 1)
    assert bypass is None
    with pytest.raises(ConfigError):
        chosen(crm, "ftp://x:1")


def test_only_https_or_this_machine() -> None:
    assert checked_base_url(" https://crm.example/api/ ") == "https://crm.example/api"
    assert checked_base_url("http://localhost:8000") == "http://localhost:8000"
    for url, code in [
        ("http://crm.example", "crm.url_not_https"),
        ("https://user:pw@crm.example", "crm.url_has_password"),
        ("crm.example", "crm.url_invalid"),
        ("https://crm.example/?a=b", "crm.url_invalid"),
        ("https://crm.example:99999", "crm.url_invalid"),
    ]:
        with pytest.raises(ConfigError) as caught:
            checked_base_url(url)
        assert caught.value.code == code
        assert "pw" not in str(caught.value)


def test_nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with RawServer(always(answer(b'{"x": "canary-answer"}'))) as server, capture_logs() as logs:
        client = transport(server.url)
        client.send(
            "POST",
            "/v1/canary-path",
            route="test",
            body=b"canary-body",
            headers={"authorization": "Bearer canary-token"},
        )
        client.close()
    assert [entry["event"] for entry in logs] == ["crm.answered"]
    assert "canary" not in repr(logs) + caplog.text
