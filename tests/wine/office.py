"""An office around the computer of the lane: database, Open Dental's API, CRM, on the host."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.sandbox.practice.create import PracticePlan
from tests.bench.rig import DATABASE, LOGIN, PASSWORD, ZONE
from tests.e2e.crm_side import CrmDesk
from tests.e2e.two_sided import IMPATIENT, TwoSided
from tests.support.until import until
from tests.wine.computer import Computer


class Office(TwoSided):
    """The rig of the two-sided tests, with the installed service as its agent."""

    def __init__(self, computer: Computer, plan: PracticePlan) -> None:
        super().__init__(engine="myisam", plan=plan)
        self.computer = computer
        self.home = computer.home

    @property
    def code(self) -> str:
        return str(self._hello["code"])

    def answers(self) -> Mapping[str, Any]:
        """The file of answers IT would give to every office of theirs."""
        developer, customer = self.api.authorization.removeprefix("ODFHIR ").split("/")
        return {
            "pms": {
                "kind": "opendental", "host": "127.0.0.1", "port": self.server.port,
                "database": DATABASE, "user": LOGIN, "password": PASSWORD, "writer": "api",
                "api_url": self.api.url, "api_developer_key": developer,
                "api_customer_key": customer,
            },
            "proof": {"accept": True, "patients_at_least": 10},
            "hours": {"zone": ZONE},
        }  # fmt: skip

    def impatience(self) -> None:
        """Shorter rotations, said as an administrator's policy."""
        for name, value in IMPATIENT.items():
            if not name.startswith("pms.writer"):
                self.computer.reg_add(r"HKLM\Software\Policies\Bridgework", name, value)

    def book(self, token: str, *, wait: bool = True) -> dict[str, Any]:
        """A booking of the CRM, found again by ``token``; its end, or its first view."""
        with CrmDesk(self.crm_url) as desk:
            # One the practice schedules: not everybody is a patient still.
            sql = "SELECT PatNum FROM patient WHERE PatStatus=0 ORDER BY PatNum"
            key = self.rows(sql)[0][0]
            slot = desk.slots(datetime.now(UTC).date() + timedelta(days=3), days=5)[0]
            named = ("minutes", "start", "operatory_key", "provider_key")
            body = {"patient": {"key": str(key)}, "note": token, **{n: slot[n] for n in named}}
            view = desk.ask("book", body)
            assert view is not None, desk.refusals
            return desk.ended(view["command_id"], 60) if wait else view

    def visits(self, token: str) -> int:
        """How many visits of the practice say so."""
        sql = "SELECT COUNT(*) FROM appointment WHERE Note LIKE %s AND AptStatus<>3"
        return int(self.rows(sql, f"%{token}%")[0][0])

    def bridgework(self, *words: str, timeout_s: float = 600.0) -> str:
        return self.computer.bridgework(*words, timeout_s=timeout_s)

    def stop_agent(self) -> float:
        return 0.0

    def wait_for(self, *states: str, timeout_s: float, quiet: bool = False) -> float:
        began = time.monotonic()

        def is_so() -> bool:
            report = self.status()
            return report is not None and report["state"] in states

        def said() -> str:
            return f"{self._in_short(self.status())}\n{self.computer.log()[-3000:]}"

        until(is_so, timeout_s, every_s=0.1, said=said)
        return time.monotonic() - began

    def close(self, *, keep: bool = False) -> None:
        super().close(keep=False)
        shutil.rmtree(self.folder, ignore_errors=True)
