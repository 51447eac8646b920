"""From source and locked wheels to a folder of Windows programs: PyInstaller, run under Wine."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from installer.icon import write_ico
from installer.pins import HERE, LOCK, ROOT, Interpreter
from installer.steps import BuildError, Step, call, digest_of, need
from installer.variants import set_version
from installer.winebox import WineBox

PROGRAMS = ("bridgework", "bridgework-tray")
SOURCE = ("agent", "drivers", "gui", "assets")
RECIPE = (
    "bridgework.spec", "left_out.py", "entry_bridgework.py", "entry_tray.py", "freeze.py",
    "icon.py",
)  # fmt: skip
_VERSION_RESOURCE = """\
VSVersionInfo(
  ffi=FixedFileInfo(filevers={numbers}, prodvers={numbers}, mask=0x3F, flags=0x0, OS=0x40004,
                    fileType=0x1, subtype=0x0, date=(0, 0)),
  kids=[
    StringFileInfo([StringTable("040904B0", [
      StringStruct("CompanyName", "{company}"),
      StringStruct("FileDescription", "{what}"),
      StringStruct("FileVersion", "{version}"),
      StringStruct("InternalName", "{name}"),
      StringStruct("OriginalFilename", "{name}.exe"),
      StringStruct("ProductName", "Bridgework"),
      StringStruct("ProductVersion", "{version}"),
      StringStruct("LegalCopyright", "Apache-2.0"),
    ])]),
    VarFileInfo([VarStruct("Translation", [1033, 1200])]),
  ],
)
"""
_WHAT = {"bridgework": "Bridgework service", "bridgework-tray": "Bridgework"}


def wheels_step(pin: Interpreter) -> Step:
    """The locked Windows wheels, unpacked; every one by its hash, none built here."""

    def make(folder: Path) -> None:
        call(
            [
                uv(), "pip", "install", "--quiet", "--no-config", "--require-hashes",
                "--only-binary", ":all:", "--python-platform", "x86_64-pc-windows-msvc",
                "--python-version", pin.python, "--target", folder / "site", "-r", LOCK,
            ],
            "unpack the locked wheels",
            cwd=folder,
        )  # fmt: skip

    return Step("wheels", {"lock": digest_of([LOCK]), "python": pin.python}, make)


def uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else need("uv", "(from the package index) pip install uv")


def freeze_step(
    interpreter: Path,
    wheels: Path,
    box: WineBox,
    *,
    version: str,
    company: str,
    made_of: str,
) -> Step:
    """``<folder>/Bridgework``: both programs and what they need. ``made_of``: the keys of the steps
    before."""

    def make(folder: Path) -> None:
        box.boot()
        python = box.drive_c / "Python"
        for stale in (python, box.work / "src", box.work / "out"):
            if stale.exists():
                shutil.rmtree(stale)
        shutil.copytree(interpreter / "python", python)
        shutil.copytree(wheels / "site", python / "Lib" / "site-packages", dirs_exist_ok=True)
        source = box.work / "src"
        for name in SOURCE:
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("*.pyc"))
        for name in RECIPE:
            (source / "installer").mkdir(exist_ok=True)
            shutil.copy(HERE / name, source / "installer")
        set_version(source, version)
        icons = source / "assets" / "icons"
        write_ico(icons / "bridgework.svg", icons / "bridgework.ico")
        for name in PROGRAMS:
            numbers = (*map(int, version.split(".")), 0)
            (source / f"{name}.version").write_text(
                _VERSION_RESOURCE.format(
                    numbers=numbers, company=company, what=_WHAT[name], name=name, version=version
                )
            )
        box.wine(
            [
                r"C:\Python\python.exe", "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN",
                "--distpath", "Z:/w/out", "--workpath", "Z:/w/pyinstaller",
                "Z:/w/src/installer/bridgework.spec",
            ],
            "freeze the programs",
        )  # fmt: skip
        built = box.work / "out" / "Bridgework"
        missing = [name for name in PROGRAMS if not (built / f"{name}.exe").is_file()]
        if missing:
            raise BuildError(f"PyInstaller made no {', '.join(missing)}.")
        shutil.copytree(built, folder / "Bridgework")

    source = digest_of([*(ROOT / n for n in SOURCE), *(HERE / n for n in RECIPE)])
    return Step("frozen", {"before": made_of, "version": version, "source": source}, make)
