"""The suite on a Windows Python: paths, locks, rights, registry, files, the named pipe, the
journal, what people ask, updates; the CRM's line, all of sync, the command line, drivers that need
no server.

Rooms that need a screen or a database server stay on Linux.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from installer.freeze import uv
from installer.interpreter import interpreter_step
from installer.pins import ROOT, load_pins
from installer.steps import Step, call, digest_of, run_step
from tests.wine.computer import Computer

pytestmark = pytest.mark.wine

ROOMS = {
    "foundation": (
        "tests/config", "tests/csvio", "tests/support", "tests/control/test_pipe.py",
        "tests/control/test_events.py", "tests/updates", "tests/runtime/test_power.py",
        "tests/desk", "tests/journal",
    ),
    "sync": ("tests/crm", "tests/sync", "tests/cli"),
    "drivers": ("tests/drivers", "tests/setup", "tests/runtime", "tests/fallback"),
}  # fmt: skip
AT_LEAST = {"foundation": 750, "sync": 1150, "drivers": 350}
# Thousands of crashes over a file layer of their own, the same on every system; SIGKILL; servers
# and drivers of Linux; a maker's program played by a script.
LEFT_OUT = (
    "tests/journal/test_crash_points.py", "tests/journal/test_pull_crash_points.py",
    "tests/journal/test_bit_flips.py", "tests/journal/test_kills.py",
    "tests/drivers/odbc", "tests/runtime/test_signin.py",
)  # fmt: skip
# By name, with what Wine 10 lacks, or Windows itself.
NOT_HERE = {
    "does_not_read": "speaks to a Unix socket itself",
    "never_reads": "speaks to a Unix socket itself",
    "only_one_agent_has_the_name": "a second pipe gets the name of the first",
    "trusted_only_through_the_ca_file": "no chain engine with roots of one's own",
    "proxys_tunnel": "no chain engine with roots of one's own",
    "its_refusal_is_named and tunnel": "no chain engine with roots of one's own",
    "stops_cleanly_within_two_seconds": "no console to break in",
    "programs_beside_ours": "starts a program of Linux",
    "a_backup_at_work": "starts a program of Linux",
    "restart_that_an_update_waits_for": "a file of Debian's says so",
    "test_causes and a_full_disk": "/dev/full",
}
OPTIONS = (
    "-q -p no:cacheprovider -p no:pytestqt -c pyproject.toml -o addopts= -o qt_api="
    " -o filterwarnings=default -m 'not mariadb and not slow and not bench and not odbc'"
    f" -k 'not ({') and not ('.join(NOT_HERE)})'"
    f" {' '.join(f'--ignore={file}' for file in LEFT_OUT)}"
)
TAKES_S = 2400.0
_LOCK = ROOT / "requirements.lock"


def _site(cache: Path, python: str) -> Path:
    def make(folder: Path) -> None:
        call(
            [
                uv(), "pip", "install", "--quiet", "--no-config", "--require-hashes",
                "--only-binary", ":all:", "--python-platform", "x86_64-pc-windows-msvc",
                "--python-version", python, "--target", folder / "site", "-r", _LOCK,
            ],
            "unpack the locked wheels of the tests",
            cwd=folder,
        )  # fmt: skip

    return run_step(Step("test-wheels", {"lock": digest_of([_LOCK])}, make), cache) / "site"


@pytest.fixture(scope="module")
def python(computer: Computer, cache: Path) -> Path:
    """A Windows Python with the locked wheels, and the source beside it; the source's folder."""
    pin = load_pins().interpreter
    home = computer.box.drive_c / "Python"
    shutil.copytree(run_step(interpreter_step(pin), cache) / "python", home)
    shutil.copytree(_site(cache, pin.python), home / "Lib/site-packages", dirs_exist_ok=True)
    source = computer.box.drive_c / "src"
    for name in ("agent", "drivers", "gui", "assets", "installer", "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(ROOT / "pyproject.toml", source)
    return source


@pytest.mark.parametrize("rooms", ROOMS)
def test_it_passes_there_too(rooms: str, computer: Computer, python: Path) -> None:
    line = (
        f"cd {computer.box.inside(python)} && wine 'C:\\Python\\python.exe' -m pytest"
        f" {' '.join(ROOMS[rooms])} 2>&1 | cat"
    )
    done = subprocess.run(
        computer.box.command(line, {"PYTEST_ADDOPTS": OPTIONS, "PYTHONPATH": r"C:\src"}),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TAKES_S, check=False,
    )  # fmt: skip
    print(done.stdout[-2000:])
    passed = re.search(r"^(\d+) passed", done.stdout, re.MULTILINE)
    assert passed, done.stdout[-3000:]
    assert "failed" not in done.stdout.splitlines()[-1]
    assert int(passed[1]) > AT_LEAST[rooms]
