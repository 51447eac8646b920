"""A Windows of the lane: what an administrator types, and what they look at."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from installer.winebox import WineBox
from tests.support.until import until

PROGRAM = r"C:\Program Files\Bridgework\bridgework.exe"
HOME = r"C:\ProgramData\Bridgework"
UPGRADE_NEEDS_S = 120.0
# Exit codes arrive modulo 256.
FAILED = 1603 % 256


@dataclass
class Done:
    """``log``: what msiexec wrote with /l*v; ``took_s`` of wall time."""

    code: int
    took_s: float
    log: str


@dataclass
class Computer:
    box: WineBox
    installs: int = 0
    is_single_user: bool = False  # MODE=user: each person has a folder of their own
    measured: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Windows waits this long for the first word of a service; Wine waits 10 s.
        self.reg_add(r"HKLM\System\CurrentControlSet\Control", "ServicesPipeTimeout", 30_000)

    @property
    def home(self) -> Path:
        if self.is_single_user:
            return self.box.drive_c / "users" / "root" / "AppData" / "Local" / "Bridgework"
        return self.box.drive_c / "ProgramData" / "Bridgework"

    @property
    def programs(self) -> Path:
        return self.box.drive_c / "Program Files" / "Bridgework"

    @property
    def kept(self) -> Path:
        """Where the way back is kept, and what came of the last update."""
        return self.box.drive_c / "Program Files" / "Bridgework Updates"

    # --- what is typed ---------------------------------------------------------------------------

    def wine(self, *words: str, timeout_s: float = 120.0) -> tuple[int, str]:
        """Exit code and output."""
        line = f"set -o pipefail; wine {shlex.join(words)} 2>&1 | cat"
        done = subprocess.run(
            self.box.command(line), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, timeout=timeout_s, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout.decode(errors="replace").replace("\r", "")

    def msiexec(self, what: str, msi: Path, **properties: str) -> Done:
        """``what``: /i, /x. Silent, with a log of everything."""
        inside = self.box.work / msi.name
        if not inside.exists():
            shutil.copy(msi, inside)
        self.installs += 1
        log = self.box.drive_c / f"install-{self.installs}.log"
        given = [f"{name}={value}" for name, value in properties.items()]
        began = time.monotonic()
        code, _ = self.wine(
            "msiexec", what, f"Z:\\w\\{msi.name}", "/qn", "/norestart", "/l*v",
            f"C:\\{log.name}", *given, timeout_s=UPGRADE_NEEDS_S,
        )  # fmt: skip
        took_s = time.monotonic() - began
        content = log.read_bytes() if log.exists() else b""
        return Done(code, took_s, content.decode("utf-16-le", errors="replace"))

    def bridgework(self, *words: str, timeout_s: float = 120.0) -> str:
        """A command of the installed program; RuntimeError when it fails."""
        code, said = self.wine(PROGRAM, *words, timeout_s=timeout_s)
        if code:
            raise RuntimeError(f"{words[0]} ended with {code}: {said[-2000:]}")
        return said

    @staticmethod
    def program(*words: str) -> tuple[str, ...]:
        return (PROGRAM, *words)

    def status(self) -> dict[str, Any]:
        """What the running service answers through its pipe, whatever the exit code says of it."""
        _, said = self.wine(PROGRAM, "status", "--json")
        found: dict[str, Any] = json.loads(said[said.index("{") :])
        return found

    def reg_add(self, key: str, name: str, value: str | int) -> None:
        kind = "REG_DWORD" if isinstance(value, int) else "REG_SZ"
        self.wine("reg", "add", key, "/v", name, "/t", kind, "/d", str(value), "/f")

    def reg(self, key: str) -> dict[str, str]:
        """Values of a key as text; empty without it."""
        code, said = self.wine("reg", "query", key, "/reg:64")
        if code:
            return {}
        found = re.findall(r"^ {4}(.+?) {4}REG_\w+ {4}(.*)$", said, re.MULTILINE)
        return {name: value.strip() for name, value in found}

    # --- what is looked at -----------------------------------------------------------------------

    def service_state(self, name: str = "Bridgework") -> str:
        """RUNNING, STOPPED …; "" where there is no such service."""
        found = re.search(r"STATE\s+: \d+\s+(\w+)", self.wine("sc", "query", name)[1])
        return found[1] if found else ""

    def wait_service(self, state: str, timeout_s: float = 60.0) -> None:
        until(
            lambda: self.service_state() == state, timeout_s, every_s=0.2,
            said=lambda: f"the service is {self.service_state()!r}, not {state!r}",
        )  # fmt: skip

    def service_process(self) -> psutil.Process:
        """Of the service itself, as the host sees it."""
        for process in psutil.process_iter(["cmdline"]):
            words = [word for word in process.info["cmdline"] or [] if word]  # Wine leaves blanks
            if words[:1] == [PROGRAM] and words[-2:] == ["service", "run"]:
                return process
        raise LookupError("the service has no process")

    def log(self, name: str = "bridgework.log") -> str:
        path = self.home / "logs" / name
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def update_log(self) -> str:
        """Of the helper and the watch."""
        path = self.kept / "update.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def put(self, name: str, content: Mapping[str, Any]) -> str:
        """A JSON file on drive C; its Windows path."""
        (self.box.drive_c / name).write_text(json.dumps(content), encoding="utf-8")
        return f"C:\\{name}"
