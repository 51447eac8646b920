"""What goes into the installer besides the programs: less weight, the licences, a list of parts."""

from __future__ import annotations

import email
import json
import re
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from installer.freeze import PROGRAMS
from installer.pins import LOCK, Product
from installer.release import SOURCE_FILE, UpdateKey, source_file
from installer.sign import Signer
from installer.steps import BuildError, Step, digest_of

SBOM = "bridgework.cdx.json"
FILE_LIST = "program-files.json"  # read by agent.support.machine

# Never looked at by a window of ours: software OpenGL, Qt's own translations, other platforms'
# plugins, zone texts the library does not need twice.
_WEIGHT = (
    "_internal/PySide6/opengl32sw.dll",
    "_internal/PySide6/translations",
    "_internal/PySide6/Qt6Pdf.dll",
    "_internal/PySide6/Qt6Qml*.dll",
    "_internal/PySide6/Qt6Quick*.dll",
    "_internal/PySide6/Qt6VirtualKeyboard.dll",
    "_internal/PySide6/plugins/platforminputcontexts",
    "_internal/PySide6/plugins/generic",
    "_internal/PySide6/plugins/platforms/qdirect2d.dll",
    "_internal/PySide6/plugins/imageformats/qtiff.dll",
    "_internal/PySide6/plugins/imageformats/qwebp.dll",
)
# Needed by the build alone: none of it is in the bundle.
_BUILD_ONLY = frozenset(
    {
        "altgraph", "pefile", "pip", "pyinstaller", "pyinstaller-hooks-contrib", "setuptools",
    }
)  # fmt: skip
_LICENCE_FILE = re.compile(r"(?i)^(licen[cs]e|copying|notice|authors?)")
_PINNED = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)")


@dataclass(frozen=True, slots=True)
class Part:
    """A distribution in the bundle, as its own metadata tells."""

    name: str
    version: str
    licence: str
    folder: Path


def bundle_step(
    frozen: Path,
    wheels: Path,
    interpreter: Path,
    *,
    product: Product,
    version: str,
    signer: Signer,
    updates: UpdateKey,
    made_of: str,
    suffix: str = "",
) -> Step:
    """``<folder>/Bridgework``: the frozen programs, lighter and signed, with ``licences/`` and the
    list of parts."""

    def make(folder: Path) -> None:
        target = folder / "Bridgework"
        shutil.copytree(frozen / "Bridgework", target)
        _slim(target)
        for picture in unshown(target / "_internal" / "assets" / "help"):
            picture.unlink()
        parts = parts_of(wheels / "site")
        _licences(parts, interpreter / "python" / "LICENSE.txt", target / "licences")
        (target / SBOM).write_text(
            json.dumps(sbom(parts, product, version), indent=1), encoding="utf-8"
        )
        (target / "_internal" / "assets" / SOURCE_FILE).write_bytes(
            source_file(product.update_url, updates.public)
        )
        _list_files(target / "_internal")
        for program in PROGRAMS:
            signer.sign(target / f"{program}.exe", f"{product.name} {version}")

    signed_by = digest_of([signer.certificate])
    source = digest_of([Path(__file__)])
    made_from = {
        "before": made_of, "version": version, "signer": signed_by, "source": source,
        "updates": f"{product.update_url} {updates.public}",
    }  # fmt: skip
    return Step(f"bundle{suffix}", made_from, make)


def _slim(target: Path) -> None:
    for pattern in _WEIGHT:
        for path in target.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def unshown(folder: Path) -> list[Path]:
    """Pictures that no help page shows; the README and the repository keep them."""
    pages = "".join(page.read_text(encoding="utf-8") for page in folder.glob("*.html"))
    return [picture for picture in sorted(folder.glob("*.png")) if picture.name not in pages]


def parts_of(site: Path, lock: Path = LOCK) -> list[Part]:
    """Every locked distribution that ships. BuildError for one whose metadata is missing."""
    locked = dict(
        found.groups()
        for line in lock.read_text(encoding="utf-8").splitlines()
        if (found := _PINNED.match(line))
    )
    metadata = {_canonical(path.stem.rpartition("-")[0]): path for path in site.glob("*.dist-info")}
    parts: list[Part] = []
    for name, version in sorted(locked.items()):
        if name in _BUILD_ONLY:
            continue
        folder = metadata.get(_canonical(name))
        if folder is None:
            raise BuildError(f"{name} is locked but was not unpacked.")
        parts.append(Part(name, version, _licence_of(folder), folder))
    return parts


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _list_files(root: Path) -> None:
    """For the doctor: what was installed, so that it can name a file that is gone."""
    held = {
        p.relative_to(root).as_posix(): p.stat().st_size for p in root.rglob("*") if p.is_file()
    }
    (root / FILE_LIST).write_text(json.dumps(held, sort_keys=True), encoding="utf-8")


def _licence_of(folder: Path) -> str:
    told = email.message_from_string((folder / "METADATA").read_text(encoding="utf-8"))
    if expression := told.get("License-Expression"):
        return str(expression)
    named = [
        c.rpartition(" :: ")[2]
        for c in told.get_all("Classifier", [])
        if c.startswith("License :: ") and not c.endswith("OSI Approved")
    ]
    short = str(told.get("License") or "").strip()
    return "; ".join(named) or (short if len(short) < 80 else "") or "see its licence text"


def _licences(parts: list[Part], python: Path, target: Path) -> None:
    """One folder a part, with every licence text it brought. BuildError for one without any."""
    (target / "python").mkdir(parents=True)
    shutil.copy(python, target / "python")
    silent: list[str] = []
    for part in parts:
        texts = [p for p in part.folder.rglob("*") if p.is_file() and _LICENCE_FILE.match(p.name)]
        if not texts:
            silent.append(f"{part.name} ({part.licence})")
            continue
        _put_together(texts, target / part.name)
    lines = [f"{part.name} {part.version}: {part.licence}" for part in parts]
    lines += ["", "These brought no text of their own; their licence is as named above:", *silent]
    (target / "LICENCES.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _put_together(texts: list[Path], folder: Path) -> None:
    """Every text once. Names that Windows takes for one (LICENSE, license) are numbered."""
    folder.mkdir()
    taken: dict[str, bytes] = {}
    for text in sorted(texts):
        content = text.read_bytes()
        if content in taken.values():
            continue
        name, count = text.name, 1
        while name.casefold() in taken:
            count += 1
            name = f"{text.stem}-{count}{text.suffix}"
        taken[name.casefold()] = content
        (folder / name).write_bytes(content)


def sbom(parts: list[Part], product: Product, version: str) -> dict[str, object]:
    """CycloneDX 1.6: the product and what it is made of. No time in it: the same build, the same
    file."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(product.namespace, f'sbom:{version}')}",
        "version": 1,
        "metadata": {
            "component": {"type": "application", "name": product.name, "version": version}
        },
        "components": [
            {
                "type": "library",
                "name": part.name,
                "version": part.version,
                "purl": f"pkg:pypi/{part.name}@{part.version}",
                "licenses": [{"license": {"name": part.licence}}],
            }
            for part in parts
        ],
    }
