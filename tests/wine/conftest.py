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
    """This version and the next one, of the same content. Built, or as they lie in the folder
    BRIDGEWORK_MSI_FOLDER."""
    named = os.environ.get("BRIDGEWORK_MSI_FOLDER")
    folder = Path(named) if named else cache / "lane"
    if not named:
        build = [sys.executable, ROOT / "installer" / "build.py", "--and-next"]
        subprocess.run([*build, "--cache", cache, "--out", folder], check=True)
    this = product_version()
    return folder / f"Bridgework-{this}.msi", folder / f"Bridgework-{next_version(this)}.msi"


@pytest.fixture(scope="module")
def computer(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Computer]:
    """A fresh Windows with a screen, until the module's tests are done."""
    work = tmp_path_factory.mktemp("wine")
    root = cache / root_step(load_pins().wine).name / "root"
    with WineBox(root, work).opened() as box:
        yield Computer(box)
