"""What the computer itself can tell the doctor: sleep, updates, missing files, other programs.

``Machine`` is the port; ``LocalMachine`` asks this computer. What only Windows knows stands in
``_windows`` functions, which have not been run here: they are written against Microsoft's
documented registry keys and tools, answer None when anything is unexpected, and never raise.
"""

from __future__ import annotations

import csv
import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import psutil

from agent.config.paths import assets_dir

# Programs that copy a practice's data, by name of the process; lower case, without ".exe".
BACKUP_PROGRAMS = frozenset(
    {"mysqldump", "mariadb-dump", "mariabackup", "mariadb-backup", "xtrabackup", "mydumper",
     "wbengine", "wbadmin", "veeamagent", "acronis_service_backup", "cobian", "robocopy"}
)  # fmt: skip
_REBOOT_FILES = (Path("/var/run/reboot-required"), Path("/run/reboot-required"))
_REBOOT_KEYS = (
    r"SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired",
    r"SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending",
)
FILE_LIST = "program-files.json"  # written by the installer: {"relative path": size}


class Machine(Protocol):
    """None = cannot be told here."""

    def may_sleep(self) -> bool | None:
        """Whether the power settings put this computer to sleep when nobody uses it."""

    def restart_pending(self) -> bool | None:
        """A system update waits for a restart."""

    def missing_files(self) -> Sequence[str] | None:
        """Program files that were installed and are gone (relative paths)."""

    def backups_running(self) -> Sequence[str]:
        """Names of backup programs at work now."""

    def agents(self) -> Sequence[tuple[int, Path | None]]:
        """(process id, folder as its command line names it) of agents at work here."""


class LocalMachine:
    def __init__(
        self, root: Path | None = None, reboot_files: Sequence[Path] = _REBOOT_FILES
    ) -> None:
        """``root``: where the program lies, with or without a list of its files."""
        self._root = root or assets_dir().parent
        self._reboot_files = reboot_files

    def may_sleep(self) -> bool | None:
        return _windows_may_sleep() if sys.platform == "win32" else None

    def restart_pending(self) -> bool | None:
        if sys.platform == "win32":
            return _windows_restart_pending()
        return any(path.exists() for path in self._reboot_files)

    def missing_files(self) -> Sequence[str] | None:
        listed = self._listed()
        if listed is None:
            return None
        return sorted(name for name in listed if not (self._root / name).exists())

    def backups_running(self) -> Sequence[str]:
        names = set()
        for process in psutil.process_iter(["name"]):
            name = (process.info["name"] or "").lower().removesuffix(".exe")
            if name in BACKUP_PROGRAMS:
                names.add(name)
        return sorted(names)

    def agents(self) -> Sequence[tuple[int, Path | None]]:
        found = []
        for process in psutil.process_iter(["pid", "cmdline"]):
            words = process.info["cmdline"] or []
            names = {Path(word).name.lower().removesuffix(".exe") for word in words[:3]}
            is_agent = "bridgework" in names or "agent" in words[1:3]
            if is_agent and "run" in words:
                at = words.index("--home") + 1 if "--home" in words else len(words)
                home = Path(words[at]) if at < len(words) else None
                found.append((int(process.info["pid"]), home))
        return found

    def _listed(self) -> list[str] | None:
        """Of the installer's list, else of the package's own record; None without either."""
        try:
            told = json.loads((self._root / FILE_LIST).read_text(encoding="utf-8"))
            return [str(name) for name in told]
        except (OSError, ValueError, TypeError):
            pass
        record = next(self._root.glob("bridgework-*.dist-info/RECORD"), None)
        if record is None:
            try:
                importlib.metadata.distribution("bridgework")
            except importlib.metadata.PackageNotFoundError:
                return None
            return None  # an editable installation: its files are a developer's
        rows = csv.reader(record.read_text(encoding="utf-8").splitlines())
        return [row[0] for row in rows if row and not row[0].endswith(".pyc")]


def _windows_restart_pending() -> bool | None:
    """Not run here. https://learn.microsoft.com/ documents neither key officially; both are what
    Microsoft's own tools look at."""
    try:
        import winreg

        for name in _REBOOT_KEYS:
            try:
                winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, name).Close()  # type: ignore[attr-defined]
            except FileNotFoundError:
                continue
            return True
    except (ImportError, OSError, AttributeError):
        return None
    return False


def _windows_may_sleep() -> bool | None:
    """Not run here. ``powercfg /query SCHEME_CURRENT SUB_SLEEP STANDBYIDLE`` ends with the seconds
    on mains and on battery, in hexadecimal; 0 = never."""
    try:
        told = subprocess.run(
            ["powercfg", "/query", "SCHEME_CURRENT", "SUB_SLEEP", "STANDBYIDLE"],
            capture_output=True, text=True, timeout=5, check=True,
        ).stdout  # fmt: skip
        numbers = [word for word in told.split() if word.startswith("0x")]
        return int(numbers[-2], 16) > 0
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
