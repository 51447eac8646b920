"""The pins as typed values, and what is derived from them. Reads ``pins.toml``; writes nothing."""

from __future__ import annotations

import re
import tomllib
import uuid
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
LOCK = HERE / "windows.lock"
_VERSION = re.compile(r'__version__ = "(\d+)\.(\d+)\.(\d+)"')


@dataclass(frozen=True, slots=True)
class Product:
    name: str
    manufacturer: str
    help_url: str
    upgrade_code: str
    namespace: uuid.UUID
    oldest_windows_build: int
    update_url: str

    def code(self, kind: str, name: str) -> str:
        """A GUID in the upper case the installer's tables want, always the same for one name."""
        return str(uuid.uuid5(self.namespace, f"{kind}:{name}")).upper()


@dataclass(frozen=True, slots=True)
class Interpreter:
    package: str
    version: str
    sha256: str
    python: str
    archive: str
    folder: str
    signer: str
    signed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wine:
    suite: str
    packages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pins:
    product: Product
    interpreter: Interpreter
    wine: Wine
    msi_budget_mb: int


def load_pins(file: Path = HERE / "pins.toml") -> Pins:
    tree = tomllib.loads(file.read_text(encoding="utf-8"))
    product = dict(tree["product"], namespace=uuid.UUID(tree["product"]["namespace"]))
    interpreter = dict(tree["interpreter"], signed=tuple(tree["interpreter"]["signed"]))
    wine = dict(tree["wine"], packages=tuple(tree["wine"]["packages"]))
    return Pins(
        Product(**product), Interpreter(**interpreter), Wine(**wine), tree["budget"]["msi_mb"]
    )


def product_version(root: Path = ROOT) -> str:
    """``a.b.c`` of the agent; an installer knows no more than three numbers."""
    found = _VERSION.search((root / "agent" / "__init__.py").read_text(encoding="utf-8"))
    if found is None:
        raise ValueError("agent/__init__.py has no version of three numbers")
    return ".".join(found.groups())
