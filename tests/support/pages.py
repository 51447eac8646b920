"""A journal's file from below: where an index begins, and one bit of it flipped."""

from __future__ import annotations

import sqlite3
from pathlib import Path

PAGE = 4096
LEAF = 0x0A  # of an index; with bit 3 flipped a head


def page_of(path: Path, index: str) -> int:
    """Where in the file the first page of an index begins; it is a leaf."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    [(page,)] = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (index,))
    db.close()
    at = int(page - 1) * PAGE
    with path.open("rb") as file:
        file.seek(at)
        assert file.read(1)[0] == LEAF
    return at


def flip(path: Path, at: int, bit: int) -> None:
    """In place: whoever has the file open sees it."""
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))


def behead(path: Path, index: str) -> None:
    """An empty index becomes a head without a page below."""
    flip(path, page_of(path, index), 3)
