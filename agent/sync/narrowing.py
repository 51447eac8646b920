"""Notice when a site suddenly offers less than it did, and hold the streams concerned back.

A table that crashed, lost its grant or is being rebuilt looks like a missing column to a probe.
Were we to map on without it, thousands of records would seem changed, and the CRM be told so.
While PMS version and map are the same, fewer columns means trouble, not news. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from agent.model.reading import Column
from agent.model.streams import Stream


class Bound(msgspec.Struct, frozen=True):
    """What a stream was last read with. ``basis`` names PMS version and map content."""

    basis: str
    columns: tuple[str, ...]

    @classmethod
    def of(cls, basis: str, columns: Iterable[Column]) -> Bound:
        return cls(basis, tuple(sorted({f"{c.table}.{c.name}" for c in columns})))


def narrowed(
    before: Mapping[Stream, Bound], now: Mapping[Stream, Bound], basis: str
) -> dict[Stream, tuple[str, ...]]:
    """Streams that lost columns on the same basis, with what they lost (all, if unreadable)."""
    lost: dict[Stream, tuple[str, ...]] = {}
    for stream, was in before.items():
        if was.basis != basis:
            continue
        have = set(now[stream].columns) if stream in now else set()
        gone = tuple(column for column in was.columns if column not in have)
        if gone:
            lost[stream] = gone
    return lost
