"""A computer of the watch, made up: installers, a registry entry, a service, a journal. The real
one is the Wine lane's (``tests/wine/test_updates.py``)."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from agent.model.status import Report
from agent.model.updates import Outcome
from agent.runtime.updates.watch import Plan
from agent.support.health import offline_report, report

NOW = datetime(2026, 3, 2, 20, 0, tzinfo=UTC)
LAYOUTS = {"1.1.0": 4, "1.2.0": 5}


class PowerCut(Exception):
    """The computer goes off."""


def said(version: str, **facts: object) -> Report:
    """What an agent that works says of itself; ``facts`` of its snapshot."""
    none = offline_report(pathlib.Path("/nowhere"), NOW, pms_kind="opendental", is_set_up=True)
    usual = {"agent_version": version, "is_running": True, "last_read_at": NOW.isoformat()}
    snapshot = msgspec.structs.replace(none.snapshot, **{**usual, **facts})
    return report(snapshot, pid=1, now=NOW)


@dataclass
class Computer:
    """``works``: versions whose agent answers. ``codes``: of the installer, by what it is told.
    ``power``: how many acts are left before the current is cut."""

    version: str = "1.1.0"
    works: set[str] = field(default_factory=lambda: {"1.1.0", "1.2.0"})
    codes: dict[str, list[int]] = field(default_factory=dict)
    journal: int = 4
    others: list[str] = field(default_factory=list)  # versions somebody else's installation shows
    power: int = 10_000
    kept: bytes = b""
    told: list[Outcome] = field(default_factory=list)
    acts: list[str] = field(default_factory=list)
    is_up: bool = True
    clock: float = 0.0
    answer: dict[str, object] = field(default_factory=dict)

    def _act(self, name: str) -> None:
        if self.power <= 0:
            raise PowerCut
        self.power -= 1
        self.acts.append(name)

    def install(self, msi: str, said: dict[str, str]) -> int:
        self._act(f"install {msi}")
        code = (self.codes.get(msi) or [0]).pop(0) if self.codes.get(msi) else 0
        if code == 0:
            self.version, self.is_up = msi, True
            self._migrate()
        elif code == 1603:
            self.version = ""  # the old one was removed, the new one not put in its place
        return code

    def _migrate(self) -> None:
        if self.is_up and self.version in LAYOUTS:
            self.journal = max(self.journal, LAYOUTS[self.version])

    def remove(self, version: str) -> int:
        self._act(f"remove {version}")
        self.version, self.is_up = "", False
        return 0

    def is_installing(self) -> bool:
        return bool(self.others)

    def installed(self) -> str:
        if self.others:
            self.version = self.others.pop(0)
            self._migrate()
        return self.version

    def report(self) -> Report | None:
        reads = LAYOUTS.get(self.version, 0) >= self.journal
        if not self.is_up or self.version not in self.works or not reads:
            return None
        return said(self.version, **self.answer)

    def start_agent(self) -> None:
        self._act("start")
        self.is_up = bool(self.version)

    def stop_agent(self) -> None:
        self._act("stop")
        self.is_up = False

    def put_journal_back(self) -> str:
        self._act("journal")
        self.journal = min(self.journal, LAYOUTS["1.1.0"])
        return "put_back"

    def keep(self, plan: Plan) -> None:
        self.kept = msgspec.json.encode(plan)

    def tell(self, outcome: Outcome) -> None:
        self.told.append(outcome)

    def mono(self) -> float:
        return self.clock

    def sleep(self, seconds: float) -> None:
        if self.power <= 0:
            raise PowerCut
        self.clock += seconds
