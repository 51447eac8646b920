"""A Debian root of its own with Wine 10 and wixl, and how to run things in it.

Mounts live in a mount namespace of the call, so nothing stays behind and the folder can be deleted
safely; ``opened`` holds one open over many calls, for services that go on running. Needs root, as
``chroot`` does.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from installer.pins import Wine
from installer.steps import BuildError, Step, call, need

_SCREEN = "-screen 0 1280x800x24 -nolisten tcp"
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/wine"


def root_step(wine: Wine) -> Step:
    """The root file system: about 1.5 GB, a minute or more to make."""

    def make(folder: Path) -> None:
        maker = need("mmdebstrap", "mmdebstrap")
        call(
            [
                maker, "--variant=minbase", "--components=main",
                f"--include={','.join(wine.packages)}", wine.suite, folder / "root",
            ],
            "make the Wine root",
        )  # fmt: skip

    return Step("wine-root", {"suite": wine.suite, "packages": ",".join(wine.packages)}, make)


@dataclass(frozen=True, slots=True)
class WineBox:
    """``root``: the file system. ``work``: a folder of the host, seen inside as ``/w``; the Wine
    prefix lies in ``/w/<prefix>``, drive C below it."""

    root: Path
    work: Path
    prefix: str = "prefix"
    display: str = ""
    keeper: int = 0  # process that holds the mounts; 0: every call makes its own

    @property
    def drive_c(self) -> Path:
        return self.work / self.prefix / "drive_c"

    def inside(self, path: Path) -> str:
        """How a path below ``work`` is called in there."""
        return f"/w/{path.resolve().relative_to(self.work.resolve())}"

    def command(self, line: str, environ: Mapping[str, str] | None = None) -> list[str]:
        """What the host runs for a shell line inside."""
        given = {
            "PATH": _PATH,
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "WINEPREFIX": f"/w/{self.prefix}",
            "WINEARCH": "win64",
            "WINEDEBUG": "-all",
            **({"DISPLAY": self.display} if self.display else {}),
            **(environ or {}),
        }
        words = ["chroot", str(self.root), "/usr/bin/env", "-i"]
        words += [f"{name}={value}" for name, value in given.items()]
        words += ["/bin/bash", "-c", f"cd /w; {line}"]
        if self.keeper:
            return [need("nsenter", "util-linux"), "--mount", "--target", str(self.keeper), *words]
        return self._mounted(shlex.join(words))

    def _mounted(self, line: str) -> list[str]:
        root = shlex.quote(str(self.root))
        mounts = (
            f"mkdir -p {root}/w && mount --bind {shlex.quote(str(self.work))} {root}/w"
            f" && mount -t proc proc {root}/proc && mount --rbind /sys {root}/sys"
            f" && mount --rbind /dev {root}/dev && mount -t tmpfs tmpfs {root}/tmp"
            f" && mkdir -p {root}/tmp/.X11-unix /tmp/.X11-unix"
            f" && mount --bind /tmp/.X11-unix {root}/tmp/.X11-unix"
        )
        return [
            need("unshare", "util-linux"), "--mount", "--propagation", "private",
            "/bin/bash", "-c", f"{mounts} && exec {line}",
        ]  # fmt: skip

    @contextmanager
    def opened(self) -> Iterator[WineBox]:
        """This box with its Wine and a screen until the block ends: services outlive a call.

        A console program started by one without a console (an installer's action) needs a screen
        for its console. Wine is started apart, for its first program would hand its own output on
        to every service.
        """
        line = f"chroot {shlex.quote(str(self.root))} /usr/bin/Xvfb -displayfd 1 {_SCREEN}"
        keeper = subprocess.Popen(
            self._mounted(line), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            assert keeper.stdout is not None
            display = keeper.stdout.readline().strip()
            if not display:
                raise BuildError("The Wine root could not be mounted, or has no Xvfb.")
            inner = replace(self, keeper=keeper.pid, display=f":{display}")
            inner.boot()
            inner.run("(wineserver -p; wine cmd /c ver) >/dev/null 2>&1 </dev/null", "start Wine")
            yield inner
        finally:
            subprocess.run(
                replace(self, keeper=keeper.pid).command("wineserver -k"),
                capture_output=True, check=False,
            )  # fmt: skip
            keeper.terminate()
            keeper.wait()
            if keeper.stdout is not None:
                keeper.stdout.close()

    def run(self, line: str, purpose: str, *, quiet_is_success: bool = False) -> str:
        """A shell line inside; BuildError when it fails."""
        return call(self.command(line), purpose, quiet_is_success=quiet_is_success)

    def wine(self, words: Sequence[str], purpose: str, *, timeout_s: float = 900.0) -> str:
        """A Windows program. Its output goes through a pipe: a plain file as standard output
        makes Python under Wine stop at its start."""
        line = f"set -o pipefail; wine {shlex.join(words)} 2>&1 | cat"
        done = subprocess.run(
            self.command(line),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
        if done.returncode:
            said = "\n".join(f"    {part}" for part in done.stdout.splitlines()[-60:])
            raise BuildError(f"Could not {purpose} (exit code {done.returncode}):\n{said}")
        return done.stdout

    def boot(self) -> None:
        """Make the prefix; a crash of a program must end it, not wait for a click."""
        if self.drive_c.is_dir():
            return
        if os.geteuid() != 0:
            raise BuildError("The Wine root needs to be entered as root: run this with sudo.")
        self.work.mkdir(parents=True, exist_ok=True)
        self.run("wine wineboot -i 2>&1 | cat; wineserver -w", "start Wine")
        self.wine(
            ["reg", "add", r"HKCU\Software\Wine\WineDbg", "/v", "ShowCrashDialog", "/t",
             "REG_DWORD", "/d", "0", "/f"],
            "set Wine up",
        )  # fmt: skip
