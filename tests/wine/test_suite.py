"""The suite on a Windows Python under Wine: the rooms of ``rooms``."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from installer.freeze import uv
from installer.interpreter import interpreter_step
from installer.pins import ROOT, load_pins
from installer.steps import Step, call, digest_of, run_step
from tests.wine.computer import Computer
from tests.wine.rooms import AT_LEAST, NOT_ON_WINDOWS, NOT_UNDER_WINE, ROOMS, options

pytestmark = pytest.mark.wine

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
    told = shlex.join(options([*NOT_ON_WINDOWS, *NOT_UNDER_WINE]))
    line = (
        f"cd {computer.box.inside(python)} && wine 'C:\\Python\\python.exe' -m pytest"
        f" {' '.join(ROOMS[rooms])} 2>&1 | cat"
    )
    done = subprocess.run(
        computer.box.command(line, {"PYTEST_ADDOPTS": told, "PYTHONPATH": r"C:\src"}),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TAKES_S, check=False,
    )  # fmt: skip
    print(done.stdout[-2000:])
    passed = re.search(r"^(\d+) passed", done.stdout, re.MULTILINE)
    assert passed, done.stdout[-3000:]
    assert "failed" not in done.stdout.splitlines()[-1]
    assert int(passed[1]) > AT_LEAST[rooms]
