"""The Wine lane: the real MSI, installed into a Wine prefix of its own.

``python3 dev.py test --wine`` builds what is needed into the build's cache and runs this. Needs
root. The tests of a module follow one another: they are one computer's life.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from installer.pins import ROOT, load_pins, product_version
from installer.variants import LANE, USUAL
from installer.winebox import WineBox, root_step
from tests.wine.computer import Computer


@pytest.fixture(scope="session")
def cache() -> Path:
    named = os.environ.get("BRIDGEWORK_BUILD_CACHE")
    return Path(named) if named else Path.home() / ".cache/bridgework-build"


@dataclass(frozen=True, slots=True)
class Installers:
    """``next``: the same as the next version; ``broken``: a later one that does not work."""

    this: Path
    next: Path
    broken: Path

    @staticmethod
    def version_of(msi: Path) -> str:
        return msi.stem.removeprefix("Bridgework-")


@pytest.fixture(scope="session")
def msis(cache: Path) -> Installers:
    """Built, or as they lie in the folder BRIDGEWORK_MSI_FOLDER."""
    named = os.environ.get("BRIDGEWORK_MSI_FOLDER")
    folder = Path(named) if named else cache / "lane"
    if not named:
        build = [sys.executable, ROOT / "installer" / "build.py", "--lane"]
        subprocess.run([*build, "--cache", cache, "--out", folder], check=True)
    this = product_version()
    made = (USUAL, *LANE)
    return Installers(*(folder / f"Bridgework-{one.version(this)}.msi" for one in made))


@pytest.fixture(scope="module")
def computer(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Computer]:
    """A fresh Windows with a screen, until the module's tests are done."""
    work = tmp_path_factory.mktemp("wine")
    root = cache / root_step(load_pins().wine).name / "root"
    with WineBox(root, work).opened() as box:
        yield Computer(box)
