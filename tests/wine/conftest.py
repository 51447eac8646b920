"""The Wine lane: the real MSI, installed into a Wine prefix of its own.

``python3 dev.py test --wine`` builds what is needed into the build's cache and runs this. Needs
root. The tests of a module follow one another: they are one computer's life.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from installer.build import next_version
from installer.pins import ROOT, load_pins, product_version
from installer.winebox import WineBox, root_step
from tests.wine.computer import Computer


@pytest.fixture(scope="session")
def cache() -> Path:
    named = os.environ.get("BRIDGEWORK_BUILD_CACHE")
    return Path(named) if named else Path.home() / ".cache/bridgework-build"


@pytest.fixture(scope="session")
def msis(cache: Path) -> tuple[Path, Path]:
    """This version and the next one, of the same content; built, or as built before."""
    out = Path("/var/cache/bw-win/cache/lane")
    return out / "Bridgework-0.1.0.msi", out / "Bridgework-0.1.1.msi"
    command = [sys.executable, ROOT / "installer" / "build.py", "--cache", cache, "--out", out]
    subprocess.run([*map(str, command), "--and-next"], check=True)
    version = product_version()
    return out / f"Bridgework-{version}.msi", out / f"Bridgework-{next_version(version)}.msi"


@pytest.fixture(scope="module")
def computer(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Computer]:
    """A fresh Windows with a screen, until the module's tests are done."""
    work = tmp_path_factory.mktemp("wine")
    root = cache / root_step(load_pins().wine).name / "root"
    with WineBox(root, work).opened() as box:
        yield Computer(box)
