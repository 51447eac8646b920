"""Somebody of the practice's IT, who does what only a person can, by the agent's own commands.

What they know of a write they see in the practice: the record it made, or the line in the practice
system's audit trail that says the API changed this record. The agent's journal only tells them
which writes to look for.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from tests.e2e.crm_side import Asked

BY_API = 23  # securitylog.LogSource
PATIENT_EDIT = 108  # securitylog.PermType
Rows = Callable[..., list[tuple[Any, ...]]]
Run = Callable[..., str]


class Person:
    """``rows``: ask the practice's database; ``run``: a command of the agent, its output."""

    def __init__(self, rows: Rows, run: Run, zone: str) -> None:
        self.settled: Counter[str] = Counter()  # what they were asked about: kind and answer
        self.cleared = 0
        self._rows = rows
        self._run = run
        self._zone = ZoneInfo(zone)

    def settle(self, one: Asked) -> None:
        """Every write of unknown outcome of this command: looked up, and said."""
        view = json.loads(self._run("commands", "show", one.command_id, "--json"))
        for effect in view["effects"]:
            if effect["state"] != "unknown":
                continue
            key = self._made(one, effect)
            happened = key is not None
            words = ["--happened" if happened else "--not-happened"]
            if happened and effect["key"] is None:
                words += ["--key", str(key)]
            self._run("commands", "settle", str(effect["number"]), *words, "--json")
            self.settled[f"{effect['kind']} {words[0]}"] += 1

    def clear(self) -> None:
        """Offer booking again."""
        with suppress(RuntimeError):  # what clears by itself need not be cleared
            self._run("safety", "clear", "--yes")
            self.cleared += 1

    def _made(self, one: Asked, effect: dict[str, Any]) -> int | None:
        """Key of the record the write made or changed; None when it did not happen."""
        kind = effect["kind"]
        if kind == "book":
            found = self._rows(
                "SELECT AptNum FROM histappointment WHERE Note LIKE %s LIMIT 1", f"%{one.token}%"
            )
        elif kind == "append_commlog":
            found = self._rows(
                "SELECT CommlogNum FROM commlog WHERE Note LIKE %s LIMIT 1", f"%{one.token}%"
            )
        else:
            of_patient = effect["stream"] == "patient"
            column = "PatNum" if of_patient else "FKey"
            since = datetime.fromisoformat(effect["at"]).astimezone(self._zone)
            found = self._rows(
                f"SELECT {column} FROM securitylog WHERE {column}=%s AND LogSource=%s"
                " AND LogDateTime>=%s AND (PermType=%s OR NOT %s) LIMIT 1",
                int(effect["key"]), BY_API, f"{since:%Y-%m-%d %H:%M:%S}", PATIENT_EDIT, of_patient,
            )  # fmt: skip
        return int(found[0][0]) if found else None
