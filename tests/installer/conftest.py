"""A small MSI of the real source: real wixl and msibuild, a bundle of a few files.

Its programs are the launchers pip carries: real Windows programs with a version resource. What the
real bundle holds is the Wine lane's business.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pip
import pytest

from installer.msi import build_msi
from installer.pins import load_pins

LAUNCHER = Path(pip.__file__).parent / "_vendor" / "distlib" / "w64.exe"
TOOLS = ("wixl", "msibuild", "msiinfo")


@pytest.fixture(scope="session")
def msi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing and "msi" not in os.environ.get("BRIDGEWORK_REQUIRE", ""):
        pytest.skip(f"not here: {', '.join(missing)} (Debian: wixl msitools)")
    scratch = tmp_path_factory.mktemp("msi")
    bundle = scratch / "bundle"
    icons = bundle / "_internal" / "assets" / "icons"
    icons.mkdir(parents=True)
    (icons / "bridgework.ico").write_bytes(b"\0\0\1\0")
    for name in ("bridgework.exe", "bridgework-tray.exe", "_internal/part.dll"):
        shutil.copy(LAUNCHER, bundle / name)
    (bundle / "_internal" / "text.txt").write_text("a file without a version")
    return build_msi(scratch, product=load_pins().product, version="0.1.0", commit="abc")
