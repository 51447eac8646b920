"""Struct types made ready before threads use them. A leaf."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import msgspec

_guard = threading.Lock()
_ready: set[type[msgspec.Struct]] = set()


def prepare_structs() -> int:
    """Have msgspec look at every struct type there is; how many were new to it.

    It does so at a type's first decoding otherwise, and two threads doing that at once crash the
    interpreter (seen with 0.22). Call it after the imports, before the first thread; costs about
    20 ms the first time.
    """
    with _guard:
        new = set(_known(msgspec.Struct)) - _ready
        for kind in new:
            with contextlib.suppress(TypeError):  # never decoded: it holds what JSON cannot
                msgspec.json.Decoder(kind)
        _ready.update(new)
    return len(new)


def _known(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for one in kind.__subclasses__():
        yield one
        yield from _known(one)
