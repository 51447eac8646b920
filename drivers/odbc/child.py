"""The reader's child: loads the driver, runs one statement at a time, answers in typed frames.

Started as ``python -m drivers.odbc.child`` and fed through stdin; it may be killed at any moment
and must then leave nothing behind. It ends when its parent does: the thread that reads stdin sees
the end of the stream even while the driver is busy. Only msgspec and pyodbc beside the standard
library: a 32-bit interpreter may run this.
"""

from __future__ import annotations

import gc
import os
import queue
import sys
import threading
from typing import BinaryIO

from drivers.odbc import wire
from drivers.odbc.link import Link, Trouble


def main() -> None:
    gc.set_threshold(100_000, 50, 50)  # pages of tuples make no cycles worth looking for
    answers = _private_stdout()
    asked: queue.SimpleQueue[wire.Request] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, asked), daemon=True).start()
    link = Link(tell=lambda part: wire.send(answers, part))
    try:
        while True:
            request = asked.get()
            try:
                reply = link.answer(request)
            except Trouble as trouble:
                reply = trouble.failed
            wire.send(answers, reply)
    except wire.Ended:
        _end()


def _listen(pipe: BinaryIO, asked: queue.SimpleQueue[wire.Request]) -> None:
    try:
        while True:
            asked.put(wire.receive_request(pipe))
    except wire.Ended:
        _end()


def _private_stdout() -> BinaryIO:
    """Drivers print; what they print must not get between the frames."""
    private = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(private, "wb")


def _end() -> None:
    os._exit(0)  # a driver's own clean-up may hang


if __name__ == "__main__":
    main()
