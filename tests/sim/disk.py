"""The agent's disk: ``FaultDisk`` with faults that last a while, and machines that come back."""

from __future__ import annotations

import apsw

from agent.journal.audit import SideAnchor
from tests.support.faultfs import TEMPORARY, Fault, FaultDisk, _File, _Write


class SimDisk(FaultDisk):
    """``standing``: while set, every write (or sync) fails so."""

    def __init__(self, files: dict[str, bytes], seed: int) -> None:
        super().__init__(files, seed)
        self.standing: Fault | None = None
        self._rolled_back: set[int] = set()  # files whose last turn failed and left bytes behind
        self.log = _Nothing()  # type: ignore[assignment]

    def boundary(self, what: str, file: _File | None = None, write: _Write | None = None) -> None:
        try:
            super().boundary(what, file, write)
            if self.standing is Fault.ENOSPC and write is not None:
                raise apsw.FullError(what)
            if self.standing not in (None, Fault.ENOSPC) and file is not None:
                raise apsw.IOError(what)
        except apsw.Error:
            self._rolled_back.add(id(file))
            raise

    def reading(self) -> None:
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


class SimSides:
    """``agent.journal.audit.Sides``: the anchor beside the journal, a file of its own."""

    def __init__(self) -> None:
        self.anchor: SideAnchor | None = None

    def read(self) -> SideAnchor | None:
        return self.anchor

    def write(self, anchor: SideAnchor) -> None:
        self.anchor = anchor
