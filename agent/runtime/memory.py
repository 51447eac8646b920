"""Keep the process small: what the C library holds back after a load. Linux (glibc) only.

Each thread would get a heap of its own, and once a large block was freed, large blocks come from
those heaps too and are never given back. Windows' heap does neither; there nothing is done.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1
_LARGE_BYTES = 128 * 1024  # bodies and pages: mapped one by one, gone when freed


def keep_small() -> None:
    """Call before threads start. Does nothing where the C library has no such switches."""
    mallopt = _of_the_library("mallopt")
    if mallopt is not None:
        mallopt(_ARENA_MAX, 2)
        mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_TRIM_THRESHOLD, _LARGE_BYTES)


def give_back() -> None:
    """Return what lies free between blocks in use: 2 to 14 MB after a load (measured)."""
    trim = _of_the_library("malloc_trim")
    if trim is not None:
        trim(0)


def _of_the_library(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
