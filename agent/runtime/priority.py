"""Whose work may wait: the office's never for ours."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading

NICE = 10  # a tenth of the processor beside somebody who wants all of it
_BELOW_NORMAL = -1  # THREAD_PRIORITY_BELOW_NORMAL


def give_way() -> None:
    """The calling thread steps behind all ordinary work of this computer, for good. Where the
    system does not let it, nothing happens."""
    if sys.platform == "linux":
        me = threading.get_native_id()
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, me, max(NICE, os.getpriority(os.PRIO_PROCESS, me)))
    elif sys.platform == "win32":
        kernel = ctypes.windll.kernel32
        kernel.GetCurrentThread.restype = ctypes.c_void_p
        kernel.SetThreadPriority.argtypes = (ctypes.c_void_p, ctypes.c_int)
        kernel.SetThreadPriority(kernel.GetCurrentThread(), _BELOW_NORMAL)
