"""Part of the suite on a Windows Python: paths, locks, rights, registry, files, the named pipe, the
journal, what people ask, updates."""

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

SHOWN = (
    "tests/config", "tests/csvio", "tests/support", "tests/control/test_pipe.py",
    "tests/control/test_events.py", "tests/updates", "tests/runtime/test_power.py", "tests/desk",
    "tests/journal",
)  # fmt: skip
# Thousands of crashes over a file layer of their own, the same on every system; and SIGKILL.
LEFT_OUT = (
    "tests/journal/test_crash_points.py", "tests/journal/test_pull_crash_points.py",
    "tests/journal/test_bit_flips.py", "tests/journal/test_kills.py",
)  # fmt: skip
# Two speak to a Unix socket themselves; Wine 10 lets a second pipe have the name of the first.
NOT_HERE = ("does_not_read", "never_reads", "only_one_agent_has_the_name")
OPTIONS = (
    "-q -p no:cacheprovider -p no:pytestqt -c pyproject.toml -o addopts= -o qt_api="
    " -o filterwarnings=default -m 'not mariadb and not slow and not bench and not odbc'"
    f" -k 'not {' and not '.join(NOT_HERE)}'"
    f" {' '.join(f'--ignore={file}' for file in LEFT_OUT)}"
)
TAKES_S = 1500.0
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


def test_it_passes_there_too(computer: Computer, cache: Path) -> None:
    pin = load_pins().interpreter
    python = computer.box.drive_c / "Python"
    shutil.copytree(run_step(interpreter_step(pin), cache) / "python", python)
    shutil.copytree(_site(cache, pin.python), python / "Lib/site-packages", dirs_exist_ok=True)
    source = computer.box.drive_c / "src"
    for name in ("agent", "drivers", "gui", "assets", "installer", "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(ROOT / "pyproject.toml", source)
    line = (
        f"cd /w/{computer.box.prefix}/drive_c/src && wine 'C:\\Python\\python.exe' -m pytest"
        f" {' '.join(SHOWN)} 2>&1 | cat"
    )
    done = subprocess.run(
        computer.box.command(line, {"PYTEST_ADDOPTS": OPTIONS, "PYTHONPATH": r"C:\src"}),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TAKES_S, check=False,
    )  # fmt: skip
    print(done.stdout[-2000:])
    passed = re.search(r"^(\d+) passed", done.stdout, re.MULTILINE)
    assert passed, done.stdout[-3000:]
    assert "failed" not in done.stdout.splitlines()[-1]
    assert int(passed[1]) > 700
