"""A simulated disk under SQLite that fails on purpose at the k-th I/O boundary.

For every file it keeps what was written (what a surviving operating system holds) apart from what
was synced (what survives a power cut), and the un-synced operations between the two in order. A
*boundary* is the moment before a write, sync, truncate or delete takes effect; tests may declare
further ones (``disk.boundary("net:send")``). Reads are counted apart, for ``Fault.EIO_READ``.

A fault that ends the process raises ``Crash`` there; from then on the disk is dead to everything
opened before ``recover`` was called, so that a dying object cannot write a last will.
"""

# ruff: noqa: N802 - the method names are SQLite's

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import apsw

SECTOR = 512
TEMPORARY = "temporary-"  # how files without a name begin


class Fault(StrEnum):
    KILL = "kill"  # the process dies, the operating system's cache survives
    POWER_KEEP_NONE = "power_keep_none"  # nothing un-synced survives
    POWER_KEEP_RANDOM = "power_keep_random"  # any subset of un-synced operations survives
    TORN = "torn"  # the write under way is cut at a sector; the rest as KEEP_RANDOM
    EIO = "eio"  # the operation fails once, the process lives
    EIO_READ = "eio_read"  # a read fails once, the process lives
    ENOSPC = "enospc"  # the disk is full for this operation, the process lives
    FSYNC_LOST = "fsync_lost"  # a sync fails and what it covered never becomes durable

    @property
    def ends_process(self) -> bool:
        return self in (Fault.KILL, Fault.POWER_KEEP_NONE, Fault.POWER_KEEP_RANDOM, Fault.TORN)


class Crash(BaseException):
    """The process ends here. Not an Exception: nothing in the product may catch it."""


@dataclass(slots=True)
class _Write:
    offset: int
    content: bytes


@dataclass(slots=True)
class _Truncate:
    size: int


def _apply(content: bytearray, change: _Write | _Truncate) -> None:
    if isinstance(change, _Truncate):
        del content[change.size :]
        return
    end = change.offset + len(change.content)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    content[change.offset : end] = change.content


@dataclass(slots=True)
class _File:
    written: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list[_Write | _Truncate] = field(default_factory=list)

    @classmethod
    def of(cls, content: bytes) -> _File:
        return cls(bytearray(content), bytearray(content))

    def change(self, change: _Write | _Truncate) -> None:
        _apply(self.written, change)
        self.pending.append(change)


class FaultDisk:
    """Files of one simulated machine; ``plan(k, fault)`` arms one fault, counting from 1."""

    def __init__(self, files: dict[str, bytes] | None = None, seed: int = 0) -> None:
        self.files = {name: _File.of(content) for name, content in (files or {}).items()}
        self.boundaries = 0
        self.reads = 0
        self.generation = 0
        self.log: list[str] = []
        self.fired: str | None = None
        self._buried: dict[str, bytes] = {}  # deleted, but the directory was not synced
        self._at: int | None = None
        self._fault = Fault.KILL
        self._dead = False
        self._random = random.Random(seed)

    def plan(self, at: int | None, fault: Fault) -> None:
        self._at, self._fault = at, fault

    def boundary(self, what: str, file: _File | None = None, write: _Write | None = None) -> None:
        """Count one boundary; fail here if this is the planned one."""
        self.boundaries += 1
        self.log.append(what)
        if self._fault is Fault.EIO_READ or self.boundaries != self._at:
            return
        self.fired = what
        if self._fault.ends_process:
            if self._fault is Fault.TORN and file is not None and write is not None:
                sectors = self._random.randrange(0, max(1, len(write.content) // SECTOR) + 1)
                file.change(_Write(write.offset, write.content[: sectors * SECTOR]))
            self._dead = True
            raise Crash(what)
        if file is None:
            return  # a network boundary has no disk to fail
        if self._fault is Fault.ENOSPC and write is not None:
            half = len(write.content) // 2
            file.change(_Write(write.offset, write.content[:half]))
            raise apsw.FullError(what)
        if self._fault is Fault.FSYNC_LOST:
            if not what.startswith("sync"):
                return
            file.pending.clear()
        raise apsw.IOError(what)

    def randomness(self, length: int) -> bytes:
        """Seeded, so that a trial can be run again as it was."""
        return self._random.randbytes(length)

    def reading(self) -> None:
        self.reads += 1
        if self._fault is Fault.EIO_READ and self.reads == self._at:
            self.fired = "read"
            raise apsw.IOError("read")

    def check_alive(self, generation: int) -> None:
        if self._dead and generation == self.generation:
            raise Crash("still dying")  # SQLite may go on calling; nothing may hide the crash
        if generation != self.generation:
            raise apsw.IOError("the process that opened this is dead")

    def recover(self) -> None:
        """Start the machine (or only the process) again; one planned fault strikes once."""
        fault, self._at, self._dead = self._fault, None, False
        self.generation += 1
        if fault is Fault.KILL or not fault.ends_process:
            return
        for name, content in self._buried.items():
            if fault is Fault.POWER_KEEP_NONE or self._random.random() < 0.5:
                self.files.setdefault(name, _File.of(content))
        self._buried.clear()
        for file in self.files.values():
            survived = bytearray(file.durable)
            for change in file.pending:
                if fault is not Fault.POWER_KEEP_NONE and self._random.random() < 0.5:
                    _apply(survived, change)
            file.written, file.durable, file.pending = survived, bytearray(survived), []

    # --- what the VFS calls --------------------------------------------------------------------

    def write(self, name: str, offset: int, content: bytes) -> None:
        file, write = self.files[name], _Write(offset, content)
        self.boundary(f"write {name[-4:]}", file, write)
        file.change(write)

    def sync(self, name: str) -> None:
        file = self.files[name]
        self.boundary(f"sync {name[-4:]}", file)
        for change in file.pending:
            _apply(file.durable, change)
        file.pending = []

    def truncate(self, name: str, size: int) -> None:
        file = self.files[name]
        self.boundary(f"truncate {name[-4:]}", file)
        file.change(_Truncate(size))

    def delete(self, name: str, sync_directory: bool) -> None:
        file = self.files.get(name)
        if file is None:
            return
        self.boundary(f"delete {name[-4:]}", file)
        del self.files[name]
        if sync_directory:
            self._buried.pop(name, None)
        elif file.durable:
            self._buried[name] = bytes(file.durable)


class _VfsFile:
    def __init__(self, disk: FaultDisk, name: str) -> None:
        self._disk, self._name, self._generation = disk, name, disk.generation
        disk.files.setdefault(name, _File())

    def _live(self) -> FaultDisk:
        self._disk.check_alive(self._generation)
        return self._disk

    def xRead(self, amount: int, offset: int) -> bytes:
        disk = self._live()
        disk.reading()
        return bytes(disk.files[self._name].written[offset : offset + amount])

    def xWrite(self, content: bytes, offset: int) -> None:
        self._live().write(self._name, offset, content)

    def xSync(self, flags: int) -> None:
        self._live().sync(self._name)

    def xTruncate(self, size: int) -> None:
        self._live().truncate(self._name, size)

    def xFileSize(self) -> int:
        return len(self._live().files[self._name].written)

    def xClose(self) -> None:
        return None

    def xLock(self, level: int) -> None:
        return None

    def xUnlock(self, level: int) -> None:
        return None

    def xCheckReservedLock(self) -> bool:
        return False

    def xSectorSize(self) -> int:
        return 4096

    def xDeviceCharacteristics(self) -> int:
        # As SQLite assumes of real disks: a torn write does not harm bytes beside it.
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE

    def xFileControl(self, op: int, pointer: int) -> bool:
        return False


class FaultVfs(apsw.VFS):
    """Registered once under ``name``; put a disk under it with ``mount``."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "")
        self.name = name
        self.disk = FaultDisk()
        self._temporary = 0

    def mount(self, disk: FaultDisk) -> FaultDisk:
        self.disk = disk
        self._temporary = 0
        return disk

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        if name is None:
            self._temporary += 1
            path = f"{TEMPORARY}{self._temporary}"
        else:
            path = name.filename() if isinstance(name, apsw.URIFilename) else name
        flags[1] = flags[0]
        return _VfsFile(self.disk, path)

    def xAccess(self, pathname: str, flags: int) -> bool:
        file = self.disk.files.get(pathname)
        return file is not None and len(file.written) > 0

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.disk.check_alive(self.disk.generation)
        self.disk.delete(filename, syncdir)

    def xFullPathname(self, name: str) -> str:
        return name

    def xRandomness(self, numbytes: int) -> bytes:
        return self.disk.randomness(numbytes)

    def xSleep(self, microseconds: int) -> int:
        return microseconds
