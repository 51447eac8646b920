"""What the lane does to a machine it really does: lines, clock, disk."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from random import Random

import pytest

from tests.kill.machine import Clock, Disk, may_mount
from tests.kill.mishaps import MISHAPS, plan
from tests.support.proxy import Proxy
from tests.support.until import until

ASK = """
import sys, time
for _ in sys.stdin:
    began = time.monotonic()
    time.sleep(0.01)
    print(int(time.time()), time.monotonic() - began < 5, flush=True)
"""


def test_a_clock_is_stepped_under_a_running_process(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    assert clock.is_here
    with subprocess.Popen(
        [sys.executable, "-c", ASK], env={**os.environ, **clock.environment}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None

        def off() -> int:
            process.stdin.write("\n")
            process.stdin.flush()
            wall, is_steady = process.stdout.readline().split()
            assert is_steady == "True"  # what it waits by does not jump
            return round((int(wall) - time.time()) / 60)

        assert off() == 0
        for seconds in (-3600, 3600, 0):
            clock.step(seconds)
            until(lambda: off() == seconds / 60, 20, every_s=0.1)  # noqa: B023 - asked at once
        process.stdin.close()


def test_a_full_disk_says_so_and_has_room_again(tmp_path: Path) -> None:
    if not may_mount():
        pytest.skip("no right to mount a file system here")
    disk = Disk(tmp_path / "small", 2)
    try:
        assert disk.is_here
        disk.fill()
        with pytest.raises(OSError, match="No space left"):
            (tmp_path / "small" / "more").write_bytes(bytes(1 << 16))
        disk.free()
        (tmp_path / "small" / "more").write_bytes(bytes(1 << 16))
    finally:
        disk.close()


@pytest.fixture
def echo() -> socket.socket:
    """A server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(caller,), daemon=True).start()

    def answer(caller: socket.socket) -> None:
        with caller, contextlib.suppress(ConnectionResetError):
            while data := caller.recv(100):
                caller.sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    return listener


def test_a_line_is_cut_and_whole_again(echo: socket.socket) -> None:
    with Proxy(echo.getsockname()[1]) as proxy:
        with socket.create_connection(("127.0.0.1", proxy.port), 10) as line:
            line.sendall(b"a")
            assert line.recv(10) == b"a"
            proxy.cut()
            with pytest.raises(ConnectionResetError):
                line.recv(10)
        with (
            pytest.raises(ConnectionResetError),
            socket.create_connection(("127.0.0.1", proxy.port), 10) as line,
        ):
            line.recv(10)
        proxy.flow()
        with socket.create_connection(("127.0.0.1", proxy.port), 10) as line:
            line.sendall(b"b")
            assert line.recv(10) == b"b"
            proxy.slow(0.2)
            began = time.monotonic()
            line.sendall(b"c")
            assert line.recv(10) == b"c"
            assert time.monotonic() - began >= 0.4  # there and back
    echo.close()


def test_a_line_survives_a_server_that_is_away() -> None:
    with Proxy() as proxy:
        with (
            pytest.raises(ConnectionResetError),
            socket.create_connection(("127.0.0.1", proxy.port), 10) as line,
        ):
            line.recv(10)
        with socket.create_server(("127.0.0.1", 0)) as server:
            proxy.target = server.getsockname()[1]
            with socket.create_connection(("127.0.0.1", proxy.port), 10):
                server.settimeout(10)
                server.accept()[0].close()


def test_every_kind_comes_before_any_comes_twice() -> None:
    names = list(MISHAPS)
    planned = plan(names, len(names) + 3, Random(1))
    assert set(planned[: len(names)]) == set(names)
    assert planned == plan(names, len(names) + 3, Random(1))
