"""A practice that stays between benches: making millions of rows takes longer than measuring them.

``--kept FOLDER`` (or ``BRIDGEWORK_BENCH_KEPT``) keeps one folder per engine and plan in it: the
server's data, and, once loaded, the agent's home and the CRM's database as they stopped. Ports are
kept too, for the agent knows its source and its CRM by them. A run that did not end well leaves no
``kept.json``, and the next one starts from nothing.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from tests.support.mariadb import free_port


@dataclass
class Kept:
    folder: Path
    port: int = field(default_factory=free_port)
    crm_port: int = field(default_factory=free_port)
    counts: dict[str, int] = field(default_factory=dict)
    made: bool = False
    loaded: bool = False

    @classmethod
    def take(cls, folder: Path) -> Self:
        """What is kept there, or an empty folder to fill. Not kept again until ``keep``."""
        note = folder / "kept.json"
        if note.exists():
            held = json.loads(note.read_text())
            note.unlink()
            return cls(folder, **held)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        folder.chmod(0o755)
        return cls(folder)

    def keep(self) -> None:
        held = asdict(self)
        del held["folder"]
        (self.folder / "kept.json").write_text(json.dumps(held))
