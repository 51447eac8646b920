"""The licence check: everything we ship with may be shipped with.

``python -m tests.house.licences``
Walks the requirements of pyproject.toml through the installed packages. A licence must be known and
permissive (or MPL); LGPL is allowed for Qt alone, which stays replaceable beside the program.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.message import Message
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LGPL_ALLOWED = frozenset({"pyside6-essentials", "shiboken6"})
# Wheels that do not say their licence in a field we read: read by hand from the licence file.
SEEN_BY_HAND: dict[str, str] = {}

_GOOD = (
    "0bsd", "apache", "bsd", "cc0", "isc", "mit", "mit-0", "mpl", "mozilla public license",
    "psf", "python software foundation", "public domain", "unlicense", "zlib", "zpl", "blueoak",
    "any-osi",
)  # fmt: skip
_BAD = re.compile(
    r"\b(a?gpl|lgpl|sspl|busl|affero|proprietary|commercial|general public)", re.IGNORECASE
)
_LESSER = re.compile(r"\b(lgpl|lesser general public)", re.IGNORECASE)

Lookup = Callable[[str], Message | None]


@dataclass(frozen=True, slots=True)
class Verdict:
    name: str
    licence: str
    is_allowed: bool


def installed(name: str) -> Message | None:
    """Metadata of an installed package, or None."""
    try:
        return metadata.metadata(name)  # type: ignore[return-value]
    except metadata.PackageNotFoundError:
        return None


def closure(requirements: Iterable[str], lookup: Lookup = installed) -> dict[str, Message]:
    """All packages these requirements bring on this machine, by canonical name."""
    found: dict[str, Message] = {}
    todo = [(Requirement(line), "") for line in requirements]
    while todo:
        wanted, extra = todo.pop()
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(wanted.name)
        if name in found:
            continue
        about = lookup(name)
        if about is None:
            raise SystemExit(f"licences: {name} is required but not installed")
        found[name] = about
        for line in about.get_all("Requires-Dist") or []:
            todo.extend((Requirement(line), extra) for extra in ("", *wanted.extras))
    return found


def judge(name: str, about: Message) -> Verdict:
    licence = SEEN_BY_HAND.get(name) or licence_of(about)
    lesser = name in LGPL_ALLOWED and _LESSER.search(licence) is not None
    return Verdict(name, licence or "unknown", lesser or is_good(licence))


def licence_of(about: Message) -> str:
    """SPDX expression, else classifiers joined by OR, else the first line of the free text."""
    expression = about.get("License-Expression")
    if expression:
        return str(expression).strip()
    classes = [
        line.rpartition("::")[2].strip()
        for line in about.get_all("Classifier") or []
        if line.startswith("License ::") and not line.endswith("OSI Approved")
    ]
    if classes:
        return " OR ".join(classes)
    return (about.get("License") or "").strip().splitlines()[0] if about.get("License") else ""


def is_good(licence: str) -> bool:
    """Of alternatives one must be good, of parts all. Unknown is not good."""
    for alternative in re.split(r"\bOR\b", licence.replace("(", " ").replace(")", " ")):
        parts = [p.strip() for p in re.split(r"\bAND\b", alternative)]
        if all(_is_good_part(p) for p in parts):
            return True
    return False


def _is_good_part(part: str) -> bool:
    words = part.lower()
    return (
        bool(words)
        and not _BAD.search(words)
        and any(re.search(rf"\b{re.escape(good)}", words) for good in _GOOD)
    )


def runtime_requirements() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return list(project["dependencies"])


def main() -> int:
    verdicts = [
        judge(name, about) for name, about in sorted(closure(runtime_requirements()).items())
    ]
    refused = [v for v in verdicts if not v.is_allowed]
    for verdict in refused:
        print(f"licences: {verdict.name} is {verdict.licence}: not allowed")
    print(f"licences: {len(verdicts)} packages, {len(refused)} refused")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
