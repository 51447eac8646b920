"""The bulk lane steps back, and only that."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from agent.runtime.priority import NICE, give_way


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own word for it")
def test_one_thread_gives_way_and_no_other() -> None:
    def nice() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before, seen = nice(), []

    def work() -> None:
        give_way()
        seen.append(nice())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [max(NICE, before)]
    assert nice() == before
