"""Everything a developer or a build machine runs. Standard library only; Python 3.11 or newer.

python3 dev.py setup          make or refresh .venv from requirements.lock
python3 dev.py demo [--once]  a sample practice, a CRM to look at, the agent between them
python3 dev.py test [...]     every check; --fast, --all, other arguments go to pytest
python3 dev.py test --wine    the real MSI, built and installed under Wine (as root)
python3 dev.py run [...]      bridgework, inside the environment
python3 dev.py shot [...]     take the pictures of the window again (arguments: names of scenes)
python3 dev.py shot crm       ... of the CRM page
python3 dev.py lock           resolve the dependencies anew
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
LOCK = ROOT / "requirements.lock"
STAMP = VENV / ".bridgework-lock"

# What Qt's wheels expect of a Debian, by the library that shows it is there.
QT_LIBRARIES: dict[str, tuple[str, ...]] = {
    "libegl1": ("libEGL.so.1",),
    "libgl1": ("libGL.so.1",),
    "libopengl0": ("libOpenGL.so.0",),
    "libfontconfig1": ("libfontconfig.so.1",),
    "libglib2.0-0": ("libglib-2.0.so.0",),
    "libdbus-1-3": ("libdbus-1.so.3",),
    "dbus-daemon": ("dbus-daemon",),  # a session bus for tests of notifications
    "libxkbcommon0": ("libxkbcommon.so.0",),
    "fonts-dejavu-core": ("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",),
}
PANEL: dict[str, tuple[str, ...]] = {  # a virtual screen with a panel, for the tray
    "xvfb": ("Xvfb",),
    "trayer": ("trayer",),
    "openbox": ("openbox",),
    "xdotool": ("xdotool",),
    "dunst": ("dunst",),
    "x11-utils": ("xwininfo",),
    "libxkbcommon-x11-0": ("libxkbcommon-x11.so.0",),
    "libxcb-cursor0": ("libxcb-cursor.so.0",),
    "libxcb-icccm4": ("libxcb-icccm.so.4",),
    "libxcb-keysyms1": ("libxcb-keysyms.so.1",),
    "libxcb-image0": ("libxcb-image.so.0",),
    "libxcb-render-util0": ("libxcb-render-util.so.0",),
    "libxcb-shape0": ("libxcb-shape.so.0",),
    "libxcb-xkb1": ("libxcb-xkb.so.1",),
}
# What the window is measured and pictured in: Debian's own fallback is a tenth wider.
FONTS = {"fonts-inter": ("/usr/share/fonts/opentype/inter/Inter-Regular.otf",)}

FAST = "not slow and not bench and not mariadb and not odbc and not chromium and not wine"
USUAL = "not slow and not bench and not wine"
ALL = "not wine"
SHOWN_LINES = 60
ODBC_PACKAGES: dict[str, tuple[str, ...]] = {
    "unixodbc": ("isql",),
    "postgresql": ("/usr/lib/postgresql/*/bin/postgres", "postgres"),
    "odbc-postgresql": ("/usr/lib/*/odbc/psqlodbcw.so",),
    "libsqliteodbc": ("/usr/lib/*/odbc/libsqlite3odbc.so",),
    "virtuoso-opensource-7-bin": ("virtuoso-t",),
    "libvirtodbc0": ("/usr/lib/*/odbc/virtodbc_r.so",),
}
"""Servers and drivers that stand in for the vendors' own, by what each package brings."""


def main(arguments: Sequence[str]) -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 - run before anything is checked
        return _say("Bridgework needs Python 3.11 or newer.", 2)
    commands: dict[str, Callable[[list[str]], int]] = {
        "setup": setup,
        "demo": demo,
        "test": test,
        "run": run,
        "shot": shot,
        "lock": lock,
    }
    name, *rest = arguments or ["--help"]
    if name not in commands:
        print((__doc__ or "").strip())
        return 0 if name in {"-h", "--help", "help"} else 2
    try:
        return commands[name](rest)
    except KeyboardInterrupt:
        print()
        return 130


# --- commands -----------------------------------------------------------------------------------


def setup(_rest: list[str]) -> int:
    return 0 if ensure_environment() else 1


def demo(rest: list[str]) -> int:
    return _inside([_tool("bridgework"), "demo", *rest])


def run(rest: list[str]) -> int:
    return _inside([_tool("bridgework"), *rest])


def shot(rest: list[str]) -> int:
    if not ensure_environment():
        return 1
    if rest[:1] != ["crm"]:
        if not ensure_packages({**QT_LIBRARIES, **FONTS}):
            return 1
        command = [str(PYTHON), "-m", "tests.gui.shots", *rest]
        return subprocess.run(command, cwd=ROOT).returncode
    if not ensure_packages({"chromium": ("chromium",)}):
        return 1
    rest = rest[1:]
    environ = dict(os.environ, PYTHONPATH=str(ROOT), BRIDGEWORK_KEEP_PICTURES="1")
    command = [str(PYTHON), "-m", "pytest", "-q", "tests/sandbox/crm/test_page_chromium.py", *rest]
    return subprocess.run(command, cwd=ROOT, env=environ).returncode


def lock(rest: list[str]) -> int:
    """Universal: one file for every supported Python and platform; and the wheels of the Windows
    installer. No index address in them."""
    if not ensure_environment(check_lock=False) or not ensure_resolver():
        return 1
    common = [
        _tool("uv"), "pip", "compile", "pyproject.toml", "--extra", "gui", "--python-version",
        "3.11", "--generate-hashes", "--no-emit-index-url", "--quiet",
        "--custom-compile-command", "python3 dev.py lock", *rest,
    ]  # fmt: skip
    everywhere = ["--group", "dev", "--universal", "-o", LOCK.name]
    windows = ["--extra", "build", "--python-platform", "x86_64-pc-windows-msvc"]
    return max(
        subprocess.run([*common, *part], cwd=ROOT).returncode
        for part in (everywhere, [*windows, "-o", "installer/windows.lock"])
    )


def ensure_resolver() -> bool:
    install = [str(PYTHON), "-m", "pip", "install", "--quiet", "uv"]
    return Path(_tool("uv")).exists() or _quiet(install, "install the resolver")


def test(rest: list[str]) -> int:
    """Every check, each with its verdict; 1 if any failed."""
    if "--wine" in rest:
        return wine([r for r in rest if r != "--wine"])
    everything, fast = "--all" in rest, "--fast" in rest
    rest = [r for r in rest if r not in {"--all", "--fast"}]
    if not ensure_environment():
        return 1
    environ = dict(os.environ, PYTHONPATH=str(ROOT), NO_COLOR="1")
    if not fast:
        wanted = {
            "mariadb-server": ("mariadbd", "mysqld"),
            "msitools": ("msibuild",),
            "wixl": ("wixl",),
            "osslsigncode": ("osslsigncode",),
            **ODBC_PACKAGES,
            **QT_LIBRARIES,
            **FONTS,
        }
        if everything:
            wanted["chromium"] = ("chromium", "chromium-browser", "google-chrome")
            wanted.update(PANEL)
        if not ensure_packages(wanted):
            return 1
        # A missing server must fail these tests here, not skip them.
        required = ["mariadb", "msi", "odbc", *(["chromium", "panel"] if everything else [])]
        environ["BRIDGEWORK_REQUIRE"] = " ".join(required)

    python = str(PYTHON)
    checks: list[tuple[str, list[str]]] = [
        ("format", [_tool("ruff"), "format", "--check", "."]),
        ("lint", [_tool("ruff"), "check", "."]),
        ("types", [python, "-m", "mypy", "--strict", "agent", "drivers", "gui"]),
        ("walls", [_tool("lint-imports"), "--no-cache"]),
        ("licences", [python, "-m", "tests.house.licences"]),
    ]
    verdicts = [_check(name, command, environ) for name, command in checks]
    markers = FAST if fast else ALL if everything else USUAL
    verdicts.append(_pytest(markers, rest, environ))

    print()
    for name, passed, took_s in verdicts:
        print(f"  {'ok  ' if passed else 'FAIL'}  {name:<10} {took_s:6.1f} s")
    failed = [name for name, passed, _ in verdicts if not passed]
    return _say(
        f"\nFailed: {', '.join(failed)}." if failed else "\nAll checks passed.", bool(failed)
    )


def wine(rest: list[str]) -> int:
    """The real MSI, built and installed under Wine: root, some 4 GB and 15 minutes the first time;
    kept in the build's cache (BRIDGEWORK_BUILD_CACHE)."""
    wanted = {
        "mariadb-server": ("mariadbd", "mysqld"),
        "mmdebstrap": ("mmdebstrap",),
        "msitools": ("msibuild",),
        "wixl": ("wixl",),
        "osslsigncode": ("osslsigncode",),
    }
    if not ensure_environment() or not ensure_resolver() or not ensure_packages(wanted):
        return 1
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return _say("The Wine lane enters a root of its own: run it as root.", 1)
    environ = dict(os.environ, PYTHONPATH=str(ROOT), NO_COLOR="1", BRIDGEWORK_REQUIRE="mariadb msi")
    where = [] if any(r.startswith("tests/") for r in rest) else ["tests/wine"]
    command = [str(PYTHON), "-m", "pytest", "-m", "wine", "-s", *where, *rest]
    return subprocess.run(command, cwd=ROOT, env=environ).returncode


def _pytest(markers: str, rest: list[str], environ: dict[str, str]) -> tuple[str, bool, float]:
    command = [str(PYTHON), "-m", "pytest"]
    if not any(r.startswith(("-n", "--numprocesses")) or r == "--pdb" for r in rest):
        # Tests of one group share one server, so one worker runs them.
        command += ["-n", "2", "--dist", "loadgroup"]
    if markers and not any(r.startswith("-m") for r in rest):
        command += ["-m", markers]
    print("tests")
    started = time.monotonic()
    code = subprocess.run([*command, *rest], cwd=ROOT, env=environ).returncode
    return "tests", code == 0, time.monotonic() - started


def _check(name: str, command: list[str], environ: dict[str, str]) -> tuple[str, bool, float]:
    """Silent when it passes; its last lines when not."""
    started = time.monotonic()
    done = subprocess.run(
        command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    passed = done.returncode == 0
    print(f"{name:<10} {'ok' if passed else 'FAILED'}", flush=True)
    if not passed:
        print(
            "\n".join(f"  {line}" for line in done.stdout.splitlines()[-SHOWN_LINES:]), flush=True
        )
    return name, passed, time.monotonic() - started


# --- the environment ----------------------------------------------------------------------------


def ensure_environment(*, check_lock: bool = True) -> bool:
    """``.venv`` holds exactly what the lock file says; skipped when its stamp says so already."""
    wanted = _stamp()
    if PYTHON.exists() and STAMP.exists() and STAMP.read_text() == wanted:
        return True
    if PYTHON.exists() and not check_lock:
        return True
    if not PYTHON.exists() and not _make_venv():
        return False
    print("Installing what requirements.lock names ...", flush=True)
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    # Twice, for the build backend of our own package comes from the lock file too.
    if not _quiet([*pip, "--require-hashes", "-r", str(LOCK)], "install the dependencies"):
        return False
    if not _quiet(
        [*pip, "--no-deps", "--no-build-isolation", "-e", str(ROOT)], "install bridgework"
    ):
        return False
    STAMP.write_text(wanted)
    return True


def _stamp() -> str:
    """Changes when the lock file, the entry points or the interpreter do."""
    parts = (LOCK.read_bytes(), (ROOT / "pyproject.toml").read_bytes(), sys.version.encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _make_venv() -> bool:
    if importlib.util.find_spec("ensurepip") is None:  # Debian splits it off
        name = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        if not _install_packages([name]):
            return False
    print("Making .venv ...", flush=True)
    return _quiet([sys.executable, "-m", "venv", str(VENV)], "make .venv")


def ensure_packages(wanted: dict[str, tuple[str, ...]]) -> bool:
    """Debian packages by the programs, libraries or files they bring; installed if we may, else
    the exact command."""
    missing = [p for p, brings in wanted.items() if not any(_is_here(x) for x in brings)]
    return not missing or _install_packages(missing)


def _install_packages(names: list[str]) -> bool:
    command = f"apt-get update && apt-get install -y --no-install-recommends {' '.join(names)}"
    may = hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get") is not None
    if not may:
        print(f"Needed and not here: {', '.join(names)}. On Debian or Ubuntu:\n")
        print(f"  sudo sh -c '{command}'\n")
        return False
    print(f"Installing {', '.join(names)} ...", flush=True)
    environ = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    return _quiet(["sh", "-c", command], f"install {', '.join(names)}", environ)


def _is_here(brought: str) -> bool:
    if brought.startswith("/"):  # a file; its folder may be named after the machine
        return any(Path("/").glob(brought[1:]))
    if ".so" not in brought:
        return _which(brought) is not None
    try:
        ctypes.CDLL(brought)
    except OSError:
        return os.name == "nt"
    return True


def _which(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")


def _inside(command: list[str]) -> int:
    return subprocess.run(command, cwd=ROOT).returncode if ensure_environment() else 1


def _tool(name: str) -> str:
    return str(BIN / (f"{name}.exe" if os.name == "nt" else name))


def _quiet(command: list[str], purpose: str, environ: dict[str, str] | None = None) -> bool:
    done = subprocess.run(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        print("\n".join(done.stdout.splitlines()[-SHOWN_LINES:]))
        print(f"\nCould not {purpose}: {' '.join(command)}")
    return done.returncode == 0


def _say(line: str, code: int) -> int:
    print(line)
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
