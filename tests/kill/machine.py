"""The agent's computer, in parts that can go wrong for real: its lines, its clock, its disk.

Lines are TCP proxies. The clock is the process's own, stepped by libfaketime (what the C library
answers for the wall clock; the monotonic one is left alone, as when somebody sets a computer's
clock). The disk is a small file system of its own, filled until the kernel says "no space". A clock
needs the library, a disk the right to mount: ``Clock.is_here`` and ``Disk.is_here`` say whether.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path


class Clock:
    """``environment``: for the process whose clock this is. ``step``: seconds off the truth."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self._file.write_text("+0")
        # Debian 12's own (0.9.10) makes time.sleep fail when the monotonic clock is left alone.
        package = importlib.util.find_spec("libfaketime")
        folders = [] if package is None else list(package.submodule_search_locations or [])
        found = [path for folder in folders for path in Path(folder).rglob("libfaketime.so.1")]
        self._library = str(found[0]) if found else ""

    @property
    def is_here(self) -> bool:
        return bool(self._library)

    @property
    def environment(self) -> dict[str, str]:
        if not self.is_here:
            return {}
        return {
            "LD_PRELOAD": self._library,
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def step(self, seconds: int) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}")
        new.replace(self._file)


class Disk:
    """A file system of ``size_mb`` at ``folder`` until ``close``; a plain folder where we may not
    mount."""

    def __init__(self, folder: Path, size_mb: int) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        options = ["-o", f"size={size_mb}m,mode=0700"]
        command = ["mount", "-t", "tmpfs", *options, "bridgework-test", str(folder)]
        self.is_here = may_mount() and not subprocess.run(command, check=False).returncode
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Until not a byte more fits."""
        piece = bytes(1 << 20)
        with self._filler.open("ab", buffering=0) as filler:
            while piece:
                try:
                    filler.write(piece)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    piece = piece[: len(piece) // 2]

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)

    def close(self) -> None:
        if self.is_here:
            subprocess.run(["umount", "-l", str(self._folder)], check=False)
            self.is_here = False


def may_mount() -> bool:
    """Tried with a file system nobody sees."""
    if os.name == "nt" or os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as folder, suppress(FileNotFoundError):
        command = ["mount", "-t", "tmpfs", "-o", "size=64k", "bridgework-test", folder]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            subprocess.run(["umount", folder], check=False)
            return True
    return False
