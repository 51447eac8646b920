"""The agent's disk: ``FaultDisk`` with faults that last a while, and machines that come back."""

from __future__ import annotations

from collections.abc import Callable

import apsw

from agent.journal.audit import SideAnchor
from tests.support.faultfs import TEMPORARY, Crash, Fault, FaultDisk, _File, _Write

PAGE = 4096
_MIRRORED = ("hash", "agreed", "sum48", "xor64", "seen_lsn")


class SimDisk(FaultDisk):
    """``standing``: while set, every write (or sync) fails so. ``looks_on()``: whether who reads
    just now is no part of the world; no fault strikes them. ``dies()`` is called when the process
    or the machine ends in what it writes: its other threads end with it."""

    def __init__(self, files: dict[str, bytes], seed: int) -> None:
        super().__init__(files, seed)
        self.standing: Fault | None = None
        self.looks_on: Callable[[], bool] = lambda: False
        self.dies: Callable[[], object] = lambda: None
        self._rolled_back: set[int] = set()  # files whose last turn failed and left bytes behind
        self.log = _Nothing()  # type: ignore[assignment]

    def boundary(self, what: str, file: _File | None = None, write: _Write | None = None) -> None:
        try:
            super().boundary(what, file, write)
            if self.standing is Fault.ENOSPC and write is not None:
                raise apsw.FullError(what)
            if self.standing not in (None, Fault.ENOSPC) and file is not None:
                raise apsw.IOError(what)
        except Crash:
            self.dies()
            raise
        except apsw.Error:
            self._rolled_back.add(id(file))
            raise

    def reading(self) -> None:
        if self.looks_on():
            return
        try:
            super().reading()
        except apsw.Error:
            self._rolled_back.update(map(id, self.files.values()))
            raise

    def sync(self, name: str) -> None:
        super().sync(name)
        self._rolled_back.discard(id(self.files[name]))

    def arm(self, fault: Fault, within: int) -> None:
        """The fault strikes at the ``within``-th boundary (or read) from now."""
        seen = self.reads if fault is Fault.EIO_READ else self.boundaries
        self.plan(seen + within, fault)

    def crash(self, fault: Fault) -> None:
        """The machine (or the process) ends now, between two boundaries."""
        self.plan(None, fault)
        self._dead = True

    @property
    def is_dead(self) -> bool:
        return self._dead

    def copied(self) -> dict[str, bytes]:
        """What a copy of the whole disk would hold just now."""
        return {name: bytes(file.durable) for name, file in self.files.items()}

    def replace(self, files: dict[str, bytes]) -> None:
        """Other files lie there; whoever held the old ones is dead."""
        self.files = {name: _File.of(content) for name, content in files.items()}

    def flip(self, name: str, share: float) -> None:
        """One bit of some page's first byte, which says what kind of page it is."""
        file = self.files[name]
        pages = len(file.durable) // PAGE
        if not pages:
            return
        at = int(share * 1000) % pages * PAGE
        for content in (file.durable, file.written):
            content[at + (100 if at == 0 else 0)] ^= 1 << int(share * 7919) % 8

    def unsynced(self) -> list[str]:
        """Files a power cut would take something from that anybody needs: a temporary file of
        SQLite's is of use to one statement."""
        return [
            name
            for name, file in self.files.items()
            if file.pending and id(file) not in self._rolled_back and not name.startswith(TEMPORARY)
        ]


class _Nothing(list[str]):
    def append(self, _line: str) -> None: ...


def flip_in_the_mirror(db: apsw.Connection, share: float) -> None:
    """One bit of one column of one record. Outside of a turn: nothing else is written."""
    keys = db.execute("SELECT stream, key FROM record ORDER BY stream, key").fetchall()
    if not keys:
        return
    column = _MIRRORED[int(share * 997) % len(_MIRRORED)]
    stream, key = keys[int(share * 7919) % len(keys)]
    (held,) = db.execute(
        f"SELECT {column} FROM record WHERE stream = ? AND key = ?", (stream, key)
    ).fetchone()
    if held is None:
        return
    bit = int(share * 104_729) % 40
    if isinstance(held, bytes):
        made: bytes | int = bytes((held[0] ^ (1 << bit % 8), *held[1:])) if held else held
    else:
        made = held ^ (1 << bit)
    db.execute(f"UPDATE record SET {column} = ? WHERE stream = ? AND key = ?", (made, stream, key))


class SimSides:
    """``agent.journal.audit.Sides``: the anchor beside the journal, a file of its own."""

    def __init__(self) -> None:
        self.anchor: SideAnchor | None = None

    def read(self) -> SideAnchor | None:
        return self.anchor

    def write(self, anchor: SideAnchor) -> None:
        self.anchor = anchor
