"""The build's smaller parts: steps that are kept, the list of parts, the icon, signatures."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from agent.support.machine import FILE_LIST as DOCTORS_LIST
from installer import bundle
from installer.icon import SIZES, write_ico
from installer.pins import LOCK, ROOT, load_pins, product_version
from installer.sign import test_signer as make_signer
from installer.steps import BuildError, Step, call, digest_of, run_step
from installer.winget import winget_files
from tests.installer.conftest import LAUNCHER


def test_a_step_is_done_once_and_again_when_what_it_is_made_of_changes(tmp_path: Path) -> None:
    made: list[str] = []

    def step(version: str) -> Step:
        def make(folder: Path) -> None:
            made.append(version)
            (folder / "result").write_text(version)

        return Step("part", {"version": version}, make)

    run_step(step("1"), tmp_path)
    folder = run_step(step("1"), tmp_path)
    assert (made, (folder / "result").read_text()) == (["1"], "1")
    run_step(step("2"), tmp_path)
    assert (made, (folder / "result").read_text()) == (["1", "2"], "2")


def test_a_step_that_fails_leaves_nothing_that_looks_done(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "half").write_text("")
        raise BuildError("no")

    with pytest.raises(BuildError):
        run_step(Step("part", {}, make), tmp_path)
    assert not (tmp_path / "part").exists()


def test_a_word_of_warning_is_a_failure_where_it_must_be() -> None:
    command = ["sh", "-c", "echo odd >&2"]
    assert call(command, "try") == ""
    with pytest.raises(BuildError, match="odd"):
        call(command, "try", quiet_is_success=True)


def test_a_digest_knows_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    one = digest_of([tmp_path])
    (tmp_path / "a").write_text("2")
    two = digest_of([tmp_path])
    (tmp_path / "a").rename(tmp_path / "b")
    assert len({one, two, digest_of([tmp_path])}) == 3


def test_every_locked_part_is_named_with_its_licence_and_none_is_forgotten(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text("some-part==1.2 \\\n    --hash=sha256:0\npip==1 \\\n    --hash=sha256:0\n")
    with pytest.raises(BuildError, match="some-part"):
        bundle.parts_of(tmp_path, lock)
    info = tmp_path / "Some_Part-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: Some-Part\nVersion: 1.2\nLicense-Expression: MIT\n")
    (part,) = bundle.parts_of(tmp_path, lock)
    assert (part.name, part.version, part.licence) == ("some-part", "1.2", "MIT")
    listed = bundle.sbom([part], load_pins().product, "0.1.0")
    assert listed == bundle.sbom([part], load_pins().product, "0.1.0")
    assert [c["purl"] for c in listed["components"]] == ["pkg:pypi/some-part@1.2"]  # type: ignore[attr-defined]


def test_the_windows_lock_has_a_hash_for_every_part_and_no_address() -> None:
    lines = LOCK.read_text().splitlines()
    pinned = [at for at, line in enumerate(lines) if "==" in line and not line.startswith("#")]
    assert len(pinned) > 40
    assert all("--hash=sha256:" in lines[at + 1] for at in pinned)
    assert not [line for line in lines if "://" in line]


def test_only_pictures_that_a_page_shows_are_shipped(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text('<img src="shown.png">')
    for name in ("shown.png", "for-the-readme.png"):
        (tmp_path / name).write_bytes(b"")
    assert [picture.name for picture in bundle.unshown(tmp_path)] == ["for-the-readme.png"]


def test_the_doctor_reads_the_list_the_build_writes() -> None:
    assert bundle.FILE_LIST == DOCTORS_LIST


def test_the_version_is_the_agents() -> None:
    from agent import __version__

    assert product_version() == __version__


def test_one_icon_file_holds_every_size(tmp_path: Path) -> None:
    target = tmp_path / "icon.ico"
    write_ico(ROOT / "assets" / "icons" / "bridgework.svg", target)
    content = target.read_bytes()
    assert struct.unpack_from("<HHH", content) == (0, 1, len(SIZES))
    for at, size in enumerate(SIZES):
        side, *_, length, offset = struct.unpack_from("<BBBBHHII", content, 6 + 16 * at)
        assert (side or 256) == size
        assert content[offset : offset + 8] == b"\x89PNG\r\n\x1a\n"
        assert offset + length <= len(content)


def test_a_signature_holds_and_a_changed_file_does_not(tmp_path: Path) -> None:
    tool = shutil.which("osslsigncode")
    if tool is None and "msi" not in os.environ.get("BRIDGEWORK_REQUIRE", ""):
        pytest.skip("not here: osslsigncode")
    program = tmp_path / "program.exe"
    shutil.copy(LAUNCHER, program)
    signer = make_signer(tmp_path / "certificate")
    signer.sign(program, "Bridgework")
    verify = ["osslsigncode", "verify", "-CAfile", str(signer.certificate), "-in", str(program)]
    assert "Succeeded" in call(verify, "verify")
    content = bytearray(program.read_bytes())
    content[0x400] ^= 1
    program.write_bytes(content)
    with pytest.raises(BuildError):
        call(verify, "verify")


def test_the_winget_manifest_names_this_very_file() -> None:
    product = load_pins().product
    files = winget_files(
        product, version="1.10.0", url="https://x.example/Bridgework-1.10.0.msi",
        sha256="ab" * 32, product_code="{ABC}",
    )  # fmt: skip
    assert len(files) == 3
    assert all("PackageVersion: '1.10.0'\n" in text for text in files.values())
    (installer,) = [text for name, text in files.items() if name.endswith(".installer.yaml")]
    for line in (f"InstallerSha256: '{'AB' * 32}'", "ProductCode: '{ABC}'", "Scope: 'machine'",
                 f"UpgradeCode: '{{{product.upgrade_code}}}'", "Architecture: x64"):  # fmt: skip
        assert line in installer


def test_texts_with_one_name_for_windows_are_all_kept(tmp_path: Path) -> None:
    """LICENSE.txt and license.txt are one file on Windows: the installer would lose one."""
    given = []
    for folder, name, text in (("a", "LICENSE.txt", "1"), ("b", "license.txt", "2"),
                               ("c", "LICENSE.txt", "1")):  # fmt: skip
        (tmp_path / folder).mkdir()
        given.append(tmp_path / folder / name)
        given[-1].write_text(text)
    bundle._put_together(given, tmp_path / "out")
    kept = sorted((tmp_path / "out").iterdir())
    assert [(path.name, path.read_text()) for path in kept] == [
        ("LICENSE.txt", "1"),
        ("license-2.txt", "2"),
    ]


def test_every_module_of_ours_can_be_imported_without_what_is_left_out() -> None:
    """What the frozen programs do without must be missed by nothing."""
    script = (
        "import sys, importlib, pkgutil\n"
        "from installer.left_out import LEFT_OUT\n"
        "class Gone:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if any(name == n or name.startswith(n + '.') for n in LEFT_OUT):\n"
        "            raise ModuleNotFoundError(f'left out: {name}', name=name)\n"
        "sys.meta_path.insert(0, Gone())\n"
        "for top in ('agent', 'drivers'):\n"
        "    package = importlib.import_module(top)\n"
        "    for found in pkgutil.walk_packages(package.__path__, top + '.'):\n"
        "        if '__main__' not in found.name and not found.name.startswith(WINDOWS):\n"
        "            importlib.import_module(found.name)\n"
    ).replace("WINDOWS", "('agent.runtime.windows.s', 'agent.runtime.windows.h')")
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
