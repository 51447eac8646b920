"""The channel as a whole: greeting, asking, refusing, roles, places, ends. Real sockets."""

from __future__ import annotations

import grp
import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from agent.control import server as server_room
from agent.control.client import Client
from agent.control.line import Peer, role_of
from agent.control.protocol import MAX_LINE, ControlError
from agent.control.server import ControlServer, Limits
from agent.errors import AgentError, ExitCode
from agent.model.asking import Request, Role
from tests.control.conftest import Break, Decide, Echo, Install, Office, Raw, Serve, Wait


def test_who_greets_learns_whom_it_talks_to(client: Client) -> None:
    welcome = client.welcome
    assert (welcome.version, welcome.agent_version, welcome.pid) == (1, "1.2.3", os.getpid())
    assert welcome.role is Role.ADMIN  # our own account
    assert {"test.echo", "test.decide", "test.install", "ping"} <= set(welcome.methods)
    client.ping()


def test_an_answer_is_typed(client: Client) -> None:
    answer = client.ask(Echo(words=("a", "ü")))
    assert [line.id for line in answer.lines] == ["a", "ü"]
    assert answer.refused == 0


def test_a_call_before_the_hello_is_refused(raw: Raw) -> None:
    raw.say(b'{"jsonrpc":"2.0","id":1,"method":"test.echo"}\n')
    told = raw.hear()
    assert told is not None
    assert told["error"]["code"] == -32002
    assert raw.greet()["result"]["version"] == 1


def test_no_common_version_is_said(raw: Raw) -> None:
    raw.say(b'{"jsonrpc":"2.0","id":1,"method":"hello","params":{"versions":[99]}}\n')
    told = raw.hear()
    assert told is not None
    assert told["error"]["data"]["code"] == "control.version"


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.VIEWER, {"test.echo"}),
        (Role.MANAGER, {"test.echo", "test.decide"}),
        (Role.ADMIN, {"test.echo", "test.decide", "test.install"}),
    ],
)
def test_the_server_enforces_roles(
    serve: Serve, office: Office, monkeypatch: pytest.MonkeyPatch, role: Role, may: set[str]
) -> None:
    monkeypatch.setattr(server_room, "role_of", lambda *_: role)
    server = serve()
    with Client.call(server.path) as client:
        assert set(client.welcome.methods) & {"test.echo", "test.decide", "test.install"} == may
        requests: list[Request[Any]] = [Echo(), Decide(), Install()]
        for request in requests:
            if request.method in may:
                client.ask(request)
                continue
            with pytest.raises(ControlError) as refused:
                client.ask(request)  # the server's word, whatever the client believes
            assert refused.value.code == "control.forbidden"
            assert refused.value.facts == {"role": request.role.value}
    assert {caller.role for caller in office.callers} <= {role}


def test_roles_by_account(monkeypatch: pytest.MonkeyPatch) -> None:
    assert role_of(Peer(1, 1000, 1000), "", own_uid=1000) is Role.ADMIN
    assert role_of(Peer(1, 0, 0), "", own_uid=1000) is Role.ADMIN
    assert role_of(Peer(1, 1001, 1001), "", own_uid=1000) is Role.VIEWER
    assert role_of(Peer(), "", own_uid=1000) is Role.VIEWER
    root = "root" if sys.platform == "linux" else "wheel"
    monkeypatch.setattr(os, "getgrouplist", lambda *_: [0])
    assert role_of(Peer(1, 65534, 65534), root, own_uid=1000) is Role.MANAGER
    assert role_of(Peer(1, 65534, 65534), "no-such-group", own_uid=1000) is Role.VIEWER


_NOBODY = 65534
_CALL = """
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); f = s.makefile("rwb")
f.write(b'{"jsonrpc":"2.0","id":1,"method":"hello","params":{"versions":[1]}}\\n')
f.flush(); sys.stdout.write(f.readline().decode())
"""


def _call_as_nobody(place: Path) -> subprocess.CompletedProcess[str]:
    words = ["/usr/bin/env", "python3", "-c", _CALL, str(place)]
    return subprocess.run(
        words, user=_NOBODY, group=_NOBODY, extra_groups=[], capture_output=True, text=True, cwd="/"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_somebody_else_cannot_call_and_at_most_looks(serve: Serve) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        server = serve(path=Path(folder) / "c.sock")
        assert _call_as_nobody(server.path).returncode != 0  # 0600
        server.path.chmod(0o666)  # as if IT had opened it
        done = _call_as_nobody(server.path)
        assert '"role":"viewer"' in done.stdout, done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_a_member_of_the_named_group_is_a_manager(serve: Serve) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        group = grp.getgrgid(_NOBODY).gr_name
        server = serve(path=Path(folder) / "c.sock", group=group)
        assert stat.S_IMODE(server.path.stat().st_mode) == 0o660
        done = _call_as_nobody(server.path)
        assert '"role":"manager"' in done.stdout, done.stderr
        assert "test.decide" in done.stdout
        assert "test.install" not in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a folder away")
def test_a_folder_that_shuts_the_group_out_is_said(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    group = grp.getgrgid(_NOBODY).gr_name
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    serve(path=folder / "c.sock", group=group).stop()
    assert [r.message for r in caplog.records] == ["control.group_shut_out"]
    os.chown(folder, -1, _NOBODY)
    folder.chmod(0o710)
    caplog.clear()
    serve(path=folder / "c.sock", group=group)
    assert caplog.records == []


def test_an_error_in_an_answer_tells_nothing_of_its_text(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ControlError) as told:
        client.ask(Break())
    assert told.value.code == "internal"
    assert "Anna" not in str(told.value)
    assert any(record.message == "control.bug" for record in caplog.records)
    client.ping()  # the line goes on


def test_a_wrong_parameter_is_named_to_who_sent_it(raw: Raw) -> None:
    raw.greet()
    raw.say(b'{"jsonrpc":"2.0","id":2,"method":"test.echo","params":{"wrods":["a"]}}\n')
    told = raw.hear()
    assert told is not None
    assert told["error"]["data"]["code"] == "control.bad_params"
    assert "wrods" in told["error"]["data"]["facts"]["why"]
    raw.say(b'{"jsonrpc":"2.0","id":3,"method":"test.echo","params":[1]}\n')
    assert (raw.hear() or {})["id"] == 3


def test_an_unknown_method_and_a_notification(raw: Raw) -> None:
    raw.greet()
    raw.say(b'{"jsonrpc":"2.0","method":"test.echo"}\n{"jsonrpc":"2.0","id":7,"method":"nope"}\n')
    told = raw.hear()  # the notification was not answered
    assert told is not None
    assert (told["id"], told["error"]["code"]) == (7, -32601)


def test_an_answer_too_large_is_refused_not_cut(client: Client) -> None:
    with pytest.raises(ControlError) as told:
        client.ask(Echo(words=("x" * 1000,), times=1100))
    assert told.value.code == "control.too_large"
    with pytest.raises(ControlError) as ours:
        client.ask(Echo(words=("x" * MAX_LINE,)))
    assert ours.value.code == "control.too_large"
    client.ping()


def test_the_largest_line_that_fits_is_taken(raw: Raw) -> None:
    raw.greet()
    head = b'{"jsonrpc":"2.0","id":1,"method":"ping"'
    raw.say(head + b" " * (MAX_LINE - len(head) - 2) + b"}\n")
    assert (raw.hear() or {})["result"] == "ping"


def test_clients_work_side_by_side(server: ControlServer, office: Office) -> None:
    """One that waits for its answer holds up nobody."""
    with Client.call(server.path) as slow, Client.call(server.path) as quick:
        waiter = threading.Thread(target=lambda: slow.ask(Wait()))
        waiter.start()
        assert office.waiting.wait(5)
        quick.ping()
        office.go.set()
        waiter.join(5)
        assert not waiter.is_alive()


def test_a_late_answer_is_a_timeout(server: ControlServer) -> None:
    with Client.call(server.path) as client, pytest.raises(ControlError) as told:
        client.ask(Wait(), timeout_s=0.05)
    assert told.value.code == "control.timeout"


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(ControlError) as told:
        Client.call(tmp_path / "control.sock")
    assert told.value.code == "control.no_agent"
    assert told.value.exit_code is ExitCode.FAILED


def test_a_place_left_by_a_dead_agent_is_taken_over(tmp_path: Path, serve: Serve) -> None:
    place = tmp_path / "control.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(place))
    left.close()
    with pytest.raises(ControlError):
        Client.call(place)
    serve(path=place)
    with Client.call(place) as client:
        client.ping()


def test_a_living_agents_place_is_not_taken(server: ControlServer, serve: Serve) -> None:
    with pytest.raises(ControlError) as told:
        serve(path=server.path)
    assert told.value.code == "control.in_use"
    with Client.call(server.path) as client:
        client.ping()


def test_the_place_is_the_owners_alone_and_goes_with_the_server(serve: Serve) -> None:
    server = serve()
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o600
    with Client.call(server.path) as client:
        started = time.monotonic()
        server.stop()
        assert time.monotonic() - started < 1.0
        assert not server.path.exists()
        with pytest.raises(ControlError) as told:
            client.ping()
        assert told.value.code == "control.lost"
    assert server.clients == 0


def test_a_stop_waits_for_no_long_answer(server: ControlServer, office: Office) -> None:
    told: list[str] = []

    def ask() -> None:
        with Client.call(server.path) as client:
            try:
                client.ask(Wait())
            except ControlError as error:
                told.append(error.code)

    asker = threading.Thread(target=ask)
    asker.start()
    assert office.waiting.wait(5)
    started = time.monotonic()
    server.stop()
    assert time.monotonic() - started < 0.9
    office.go.set()
    asker.join(5)
    assert told == ["control.lost"]


def test_a_long_folder_name_is_no_obstacle(tmp_path: Path, serve: Serve) -> None:
    folder = tmp_path / ("long-" * 20) / ("name-" * 10)
    folder.mkdir(parents=True)
    server = serve(path=folder / "control.sock")
    assert len(str(server.path)) > 108
    with Client.call(server.path) as client:
        client.ping()
    assert [p.name for p in folder.iterdir()] == ["control.sock"]


def test_more_clients_than_places(serve: Serve) -> None:
    server = serve(limits=Limits(clients=3, reserved=1))
    clients = [Client.call(server.path) for _ in range(3)]
    with pytest.raises(AgentError) as told:
        Client.call(server.path)
    assert told.value.code in {"control.busy", "control.lost"}
    clients.pop().close()
    deadline = time.monotonic() + 5
    while server.clients > 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    clients.append(Client.call(server.path))  # a place became free
    for client in clients:
        client.close()


def test_viewers_leave_places_to_those_who_decide(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(limits=Limits(clients=3, reserved=1))
    roles = iter([Role.VIEWER, Role.VIEWER, Role.VIEWER, Role.MANAGER])
    monkeypatch.setattr(server_room, "role_of", lambda *_: next(roles))
    with Client.call(server.path), Client.call(server.path):
        with pytest.raises(AgentError):
            Client.call(server.path)
        with Client.call(server.path) as manager:
            assert manager.welcome.role is Role.MANAGER
