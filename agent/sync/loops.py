"""The oscillation breaker: a field that goes back and forth is stopped, whoever is at fault. Pure.

Echoes are suppressed by state long before this; the breaker is for what no state explains: two
systems or two people that keep putting a field back (``reference/sync-engines.md`` 2A.8).

Imports ``agent.journal.pulled`` (rows of effects) and this package's ``merge``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from agent.journal.pulled import EffectRow, EffectState
from agent.sync.merge import plain

WINDOW = timedelta(minutes=10)
MOST_RETURNS = 3
"""The third return to a value the field held before within the window breaks the loop."""


def looping_fields(
    past: Iterable[EffectRow],
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    now: datetime,
    *,
    window: timedelta = WINDOW,
    most_returns: int = MOST_RETURNS,
) -> frozenset[str]:
    """Fields of a planned effect that must not be written again just now.

    ``past``: earlier effects on this one record, any order; those that certainly did not happen do
    not count. ``before``/``after``: what the record holds and what the planned effect would make
    of it. ``now`` and the effects' times come from one clock, the agent's own.

    The history of a field is what we found and what we left, in order; it *returns* when it takes a
    value it held earlier within the window, with another value in between. Somebody setting a
    value back on the PMS between two of our effects shows in the second effect's ``before``.
    """
    recent = sorted(
        (
            row
            for row in past
            if row.state is not EffectState.FAILED and now - row.planned_at <= window
        ),
        key=lambda row: (row.planned_at, row.number),
    )
    steps = [(row.before, row.after) for row in recent] + [(before, after)]
    return frozenset(name for name in _parts(after) if _returns(steps, name) >= most_returns)


def _parts(fields: Mapping[str, Any]) -> list[str]:
    """Field names; of a mapping (``custom``) each name by itself, as ``custom.<name>``."""
    names: list[str] = []
    for name, value in fields.items():
        if isinstance(value, Mapping):
            names += [f"{name}.{part}" for part in value]
        else:
            names.append(name)
    return names


def _returns(steps: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]], name: str) -> int:
    history: list[bytes] = []
    count = 0
    for step in steps:
        if not _has(step[1], name):
            continue
        for side in step:
            mark = msgspec.json.encode(plain(_get(side, name)), order="deterministic")
            if history and history[-1] == mark:
                continue
            count += mark in history
            history.append(mark)
    return count


def _has(fields: Mapping[str, Any], name: str) -> bool:
    if name in fields:
        return True
    head, dot, part = name.partition(".")
    inner = fields.get(head)
    return bool(dot) and isinstance(inner, Mapping) and part in inner


def _get(fields: Mapping[str, Any], name: str) -> Any:
    if name in fields:
        return fields[name]
    head, _, part = name.partition(".")
    inner = fields.get(head)
    return inner.get(part) if isinstance(inner, Mapping) else None
