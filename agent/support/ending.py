"""An end for deeds somebody waits on without one: Windows Installer waits for a program of ours for
ever, and an installation that hangs says nothing.

Imports nothing of ours.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

log = structlog.get_logger(__name__)


@contextmanager
def ends_within(
    seconds: float, action: str, leave: Callable[[int], object] = os._exit
) -> Iterator[None]:
    """Leave the process with code 1 when the block takes longer, and say in the log where it
    stood: the innermost line of ours that the thread was in which entered here."""
    waiting = threading.get_ident()

    def give_up() -> None:
        log.error("action.takes_too_long", action=action, after_s=seconds, place=_standing(waiting))
        logging.shutdown()
        leave(1)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _standing(thread: int) -> str:
    """``setup.tune_service:66``."""
    frame = sys._current_frames().get(thread)  # noqa: SLF001 - the only way there is
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith("agent."):
            return f"{module.rpartition('.')[2]}.{frame.f_code.co_name}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
