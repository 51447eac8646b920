"""The commands rows become. A command's id is made of what it asks for (and of the version of the
record it was made from), so the same row in another file is the same command. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agent.model.commands import Command, CommandType, Target
from agent.runtime.fallback.spelling import Bad
from agent.sync.outcomes import LOCAL

PRIORITY = 200  # after what the CRM asks for itself


class Making:
    """``as_of``: turn of the journal a row without a version is as old as. ``now``: for commands'
    ``created_at``. ``salt``: makes commands of rows brought in before new ones."""

    def __init__(self, *, as_of: int, now: datetime, salt: str = "") -> None:
        self._as_of = as_of
        self._now = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        self._salt = salt

    def command(
        self,
        kind: CommandType,
        said: Mapping[str, str],
        target: Target,
        payload: Mapping[str, Any],
        as_of: int | None = None,
        expected: Mapping[str, Any] | None = None,
        ident: str = "",
    ) -> Command:
        version = said.get("version", "")
        what = [kind.value, target.key, target.cloud_id, ident or payload, version, self._salt]
        mark = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:32]
        precondition: dict[str, Any] = {}
        if as_of is not None:
            precondition["lsn"] = as_of
        if expected:
            precondition["expected"] = dict(expected)
        return Command(
            command_id=f"{LOCAL}csv-{mark}",
            type=kind,
            created_at=self._now,
            priority=PRIORITY,
            target=target,
            precondition=precondition,
            payload=dict(payload),
        )

    def version(self, said: Mapping[str, str]) -> int:
        """The turn a row's writer saw. Bad."""
        text = said.get("version", "")
        if not text:
            return self._as_of
        if not text.isdigit() or len(text) > 18:
            raise Bad("version")
        return int(text)
