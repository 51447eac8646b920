"""The frozen program as other versions, for the Wine lane: the next, and one that does not work.

The latter is what an update must survive: it migrates the journal, then its engine never starts,
while the service says "running" to Windows. Changed modules are exchanged (``swap``), for freezing
anew takes minutes.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from installer.pins import HERE, ROOT
from installer.steps import BuildError, Step, digest_of
from installer.winebox import WineBox

PROGRAMS = ("bridgework.exe", "bridgework-tray.exe")


@dataclass(frozen=True, slots=True)
class Variant:
    """``ahead``: by how many its last number is higher. ``change``: made to a copy of the source;
    ``modules``: what it changes beside the version."""

    name: str
    ahead: int
    change: Callable[[Path], None]
    modules: tuple[str, ...] = ()

    @property
    def suffix(self) -> str:
        return f"-{self.name}" if self.name else ""

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


def variant_step(frozen: Path, box: WineBox, variant: Variant, version: str, made_of: str) -> Step:
    """``<folder>/Bridgework``: the frozen programs of ``frozen``, as the variant."""

    def make(folder: Path) -> None:
        box.boot()
        source, programs = box.work / "variant" / "src", box.work / "variant" / "out"
        shutil.rmtree(source.parent, ignore_errors=True)
        shutil.copytree(ROOT / "agent", source / "agent")
        shutil.copytree(frozen / "Bridgework", programs)
        set_version(source, version)
        variant.change(source)
        shutil.copy(HERE / "swap.py", source.parent)
        modules = ("agent", *variant.modules)
        told = box.wine(
            [
                r"C:\Python\python.exe", "Z:/w/variant/swap.py", "Z:/w/variant/src",
                *(f"Z:/w/variant/out/{name}" for name in PROGRAMS), "--", *modules,
            ],
            f"make the version {variant.name}",
        )  # fmt: skip
        if f"bridgework.exe: {len(modules)}" not in told:
            raise BuildError(f"Not all of {', '.join(modules)} are in the program:\n{told}")
        shutil.copytree(programs, folder / "Bridgework")

    source = digest_of([HERE / "variants.py", HERE / "swap.py"])
    return Step(
        f"variant{variant.suffix}", {"before": made_of, "version": version, "source": source}, make
    )


USUAL = Variant("", 0, _as_it_is)
NEXT = Variant("next", 1, _as_it_is)
BROKEN = Variant("broken", 2, _break, ("agent.journal.schema", "agent.runtime.host"))
LANE = (NEXT, BROKEN)
