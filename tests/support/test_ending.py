"""What somebody waits for without an end gets one, and says where it stood."""

from __future__ import annotations

import json
import queue
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent.cli.service_cmd import ENDS_WITHIN_S, service
from agent.support.ending import ends_within
from installer.pins import ROOT

_STUCK = """
from pathlib import Path
from agent.crm.sockets import DeadlineBackend
from agent.support.ending import ends_within
from agent.support.logs import configure

configure(file=Path({log!r}))
with ends_within(0.3, "prepare"):
    DeadlineBackend.sleep(None, 3600)
"""


def test_an_action_that_takes_too_long_says_where_it_stood(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _STUCK.format(log=str(log))],
        cwd=ROOT, stderr=subprocess.DEVNULL, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert time.monotonic() - began < 30
    (said,) = map(json.loads, log.read_text(encoding="utf-8").splitlines())
    assert said["event"] == "action.takes_too_long"
    assert said["action"] == "prepare"
    assert re.fullmatch(r"sockets\.sleep:\d+", said["place"])


def test_one_in_time_is_left_alone() -> None:
    left: queue.SimpleQueue[int] = queue.SimpleQueue()
    with capture_logs() as logs, ends_within(0.2, "prepare", left.put):
        pass
    time.sleep(0.5)
    assert left.empty()
    assert logs == []


def test_it_ends_although_the_one_who_waits_never_looks_up() -> None:
    left: queue.SimpleQueue[int] = queue.SimpleQueue()
    gate = threading.Event()

    def leave(code: int) -> None:
        left.put(code)
        gate.set()

    with capture_logs() as logs, ends_within(0.05, "purge", leave):
        assert gate.wait(10)
    assert left.get() == 1
    assert (logs[0]["action"], logs[0]["after_s"]) == ("purge", 0.05)


@pytest.mark.parametrize("service_of_windows", ["run", "update", "watch"])
def test_what_lives_on_has_no_end(service_of_windows: str) -> None:
    assert service_of_windows not in ENDS_WITHIN_S


def test_every_action_of_the_installer_has_an_end() -> None:
    source = (ROOT / "installer" / "bridgework.wxs").read_text(encoding="utf-8")
    called = set(re.findall(r'ExeCommand="[^"]*\bservice ([a-z-]+)', source))
    assert called == set(ENDS_WITHIN_S)
    assert set(service.commands) >= called
