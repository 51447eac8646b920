"""The same program as another version, for the Wine lane: the next one, and one that does not work.

The latter is what an update must survive: it migrates the journal, then its engine never starts,
while the service says "running" to Windows.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from installer.pins import HERE
from installer.steps import BuildError, digest_of


@dataclass(frozen=True, slots=True)
class Variant:
    """``ahead``: by how many its last number is higher. ``change``: made to the copied source."""

    name: str
    ahead: int
    change: Callable[[Path], None]

    @property
    def suffix(self) -> str:
        return f"-{self.name}" if self.name else ""

    @property
    def key(self) -> str:
        return f"{self.name} {digest_of([HERE / 'variants.py'])}"

    def version(self, version: str) -> str:
        high, middle, low = version.split(".")
        return f"{high}.{middle}.{int(low) + self.ahead}"


def set_version(source: Path, version: str) -> None:
    """What the program says of itself is what its installer says of it."""
    _replace(
        source / "agent" / "__init__.py", r'__version__ = "[^"]+"', f'__version__ = "{version}"'
    )


def _as_it_is(_source: Path) -> None:
    """Another number, nothing else."""


def _break(source: Path) -> None:
    schema = source / "agent" / "journal" / "schema.py"
    found = re.search(r"^SCHEMA_VERSION = (\d+)$", schema.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise BuildError("The journal's layout has no number.")
    newer = int(found[1]) + 1
    migration = (
        "@migrations()\n"
        f"def m{newer:03}_of_a_version_that_does_not_work(db: Database) -> None:\n"
        '    db.execute("CREATE TABLE of_the_future(what TEXT) STRICT")\n'
        f'    db.execute("PRAGMA user_version = {newer}")\n\n\n'
        f"SCHEMA_VERSION = {newer}"
    )
    _replace(schema, r"(?m)^SCHEMA_VERSION = \d+$", migration)
    opened = "    journal = Journal.open(file, seal=seal, clock=clock)\n"
    ended = f"{opened}    journal.close()\n    raise AgentError\n"
    _replace(source / "agent" / "runtime" / "host.py", re.escape(opened), ended)


def _replace(file: Path, pattern: str, text: str) -> None:
    """BuildError where there is not exactly one place for it."""
    changed, count = re.subn(pattern, lambda _: text, file.read_text(encoding="utf-8"))
    if count != 1:
        raise BuildError(f"{file.name} has {count} places for {pattern!r}, not one.")
    file.write_text(changed, encoding="utf-8")


USUAL = Variant("", 0, _as_it_is)
NEXT = Variant("next", 1, _as_it_is)
BROKEN = Variant("broken", 2, _break)
LANE = (NEXT, BROKEN)
