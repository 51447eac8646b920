"""What threads held is given back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

from agent.runtime.memory import give_back, keep_small

WORK = """
import sys, threading
from agent.runtime.memory import keep_small
if "keep" in sys.argv:
    keep_small()

def held_mb():
    with open("/proc/self/statm") as facts:
        return int(facts.read().split()[1]) * 4096 / 1e6

def work():
    for _ in range(20):  # large blocks with small ones between that stay a while
        large = [b"x" * 400_000 for _ in range(20)]
        small.append(b"y" * 2000)
        del large

small, before = [], held_mb()
threads = [threading.Thread(target=work) for _ in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
print(held_mb() - before)
"""


BETWEEN = """
from agent.runtime.memory import give_back

def held_mb():
    with open("/proc/self/statm") as facts:
        return int(facts.read().split()[1]) * 4096 / 1e6

blocks = [b"x" * 60_000 for _ in range(400)]
del blocks[:-1]  # the last one stands above all that is free now
before = held_mb()
give_back()
print(before - held_mb())
"""


def left_mb(*words: str) -> float:
    line = [sys.executable, "-c", WORK, *words]
    return float(subprocess.run(line, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="only there is anything to do")
def test_blocks_that_were_freed_are_gone() -> None:
    assert left_mb("keep") < 5
    assert left_mb() > left_mb("keep")


@pytest.mark.skipif(sys.platform != "linux", reason="only there is anything to do")
def test_what_lies_free_between_blocks_is_given_back() -> None:
    line = [sys.executable, "-c", BETWEEN]
    given = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    assert float(given) > 15


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr("ctypes.CDLL", lambda _name: pytest.fail("asked for a C library"))
    keep_small()
    give_back()
