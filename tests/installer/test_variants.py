"""The lane's other versions can be made of the source as it is today; modules can be exchanged."""

from __future__ import annotations

import marshal
import shutil
import struct
import zlib
from pathlib import Path

import pytest

from agent.journal.schema import SCHEMA_VERSION
from installer.pins import ROOT
from installer.steps import BuildError
from installer.swap import swap
from installer.variants import BROKEN, NEXT, USUAL, set_version


@pytest.fixture
def source(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "agent", tmp_path / "agent", ignore=shutil.ignore_patterns("*.pyc"))
    return tmp_path


def test_versions_follow_one_another() -> None:
    assert [v.version("1.2.9") for v in (USUAL, NEXT, BROKEN)] == ["1.2.9", "1.2.10", "1.2.11"]


def test_the_one_that_does_not_work_is_made_of_todays_source(source: Path) -> None:
    set_version(source, "9.8.7")
    BROKEN.change(source)
    assert '__version__ = "9.8.7"' in (source / "agent" / "__init__.py").read_text()
    schema = (source / "agent" / "journal" / "schema.py").read_text()
    assert f"SCHEMA_VERSION = {SCHEMA_VERSION + 1}" in schema
    for module in BROKEN.modules:
        file = source / Path(*module.split(".")).with_suffix(".py")
        compile(file.read_text(), str(file), "exec")
        assert file.read_text() != (ROOT / file.relative_to(source)).read_text()


def test_a_source_that_has_changed_is_said(source: Path) -> None:
    (source / "agent" / "__init__.py").write_text("VERSION = 1\n")
    with pytest.raises(BuildError, match="0 places"):
        set_version(source, "1.2.3")


def frozen(modules: dict[str, str]) -> bytes:
    """A program as PyInstaller lays it out: a loader, then the package, with the modules in it."""
    toc, body = [], b"PYZ\0" + b"\xa7\r\r\n" + b"\0\0\0\0" + b"\0" * 5
    for name, text in modules.items():
        packed = zlib.compress(marshal.dumps(compile(text, name, "exec")))
        toc.append((name, (0, len(body), len(packed))))
        body += packed
    pyz = body[:8] + struct.pack("!i", len(body)) + body[12:] + marshal.dumps(toc)
    other = b"something else"
    data = pyz + other
    listed = b""
    for name, part, at, kind in ((b"PYZ.pyz", pyz, 0, b"z"), (b"other", other, len(pyz), b"b")):
        padded = name + b"\0" * (16 - len(name))
        size = 18 + len(padded)
        listed += struct.pack("!IIIIBc", size, at, len(part), len(part), 0, kind) + padded
    length = len(data) + len(listed) + 88
    cookie = struct.pack(
        "!8sIIII64s", b"MEI\014\013\012\013\016", length, len(data), len(listed), 311, b"python311"
    )
    return b"the loader" + data + listed + cookie


def run(program: bytes, module: str) -> object:
    """As the loader finds and runs it."""
    end = program.rindex(b"MEI\014\013\012\013\016")
    _, length, toc_at, _, _, _ = struct.unpack_from("!8sIIII64s", program, end)
    start = end + 88 - length
    _, at, size, _, _, _ = struct.unpack_from("!IIIIBc", program, start + toc_at)
    pyz = program[start + at : start + at + size]
    (listed,) = struct.unpack_from("!i", pyz, 8)
    _, offset, packed = dict(marshal.loads(pyz[listed:]))[module]
    names: dict[str, object] = {}
    exec(marshal.loads(zlib.decompress(pyz[offset : offset + packed])), names)
    return names["x"]


def test_a_module_is_exchanged_and_the_rest_stays(tmp_path: Path) -> None:
    program = tmp_path / "program.exe"
    program.write_bytes(frozen({"a": "x = 1", "b": "x = 2"}))
    (tmp_path / "a.py").write_text("x = 'a longer one than before'\n")
    assert swap(program, tmp_path, ["a", "not_there"]) == 1
    changed = program.read_bytes()
    assert run(changed, "a") == "a longer one than before"
    assert run(changed, "b") == 2
    assert changed.startswith(b"the loader")
    assert b"something else" in changed
