"""A site's own rows of the data map: made from edits, checked before they are kept. Pure.

A site's row stands for the shipped one of the same stream and field; a row that says what the
shipped one says is left out again. Imports ``agent.model``, ``agent.errors`` and this package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agent.errors import ConfigError
from agent.model.streams import Stream
from agent.sync.datamap import DataMap
from agent.sync.maprows import GATHERED, MapRow, OnConflict, Owner, Way, as_csv, overlay

Edits = Mapping[tuple[Stream, str], Mapping[str, Any] | None]
"""(stream, field) -> what its row shall say: ``owner``, ``on_conflict``, ``direction``,
``transform``, ``table`` with ``real``, ``column``, ``note``. None: no row of the site's own."""

ORIGIN = "site map"


def edited(shipped: DataMap, site: Sequence[MapRow], edits: Edits) -> list[MapRow]:
    """The site's rows after the edits. A field ``custom.<name>`` or ``extra.<name>`` that names its
    column is added; ConfigError ``map.field`` for another the map has not."""
    own = {(row.stream, row.field or row.column): row for row in site}
    base = {(row.stream, row.field): row for row in shipped.rows if row.field}
    for place, wanted in edits.items():
        if wanted is None:
            own.pop(place, None)
            continue
        row = own.get(place) or base.get(place)
        if row is None and wanted.get("column"):
            row = _fresh(shipped, *place)
        if row is None:
            raise ConfigError("map.field", file=ORIGIN, row=0, field=place[1])
        changed = msgspec.structs.replace(row, **_typed(wanted))
        original = base.get(place)
        if original is not None and original.cells() == changed.cells():
            own.pop(place, None)
        else:
            own[place] = changed
    return list(own.values())


def _fresh(shipped: DataMap, stream: Stream, field: str) -> MapRow | None:
    """A field of the site's own, read from a column of the stream's base table."""
    kind, dot, name = field.partition(".")
    if kind not in GATHERED or not dot or not name.isidentifier():
        return None
    base = shipped.base_of(stream)
    return MapRow(
        line=0, origin=ORIGIN, stream=stream, field=field, crm_type="text",
        table=base.table, real=base.real, column="", source_type="varchar",
        transform="text", written="text", direction=Way.TO_CRM, owner=Owner.PMS,
        on_conflict=OnConflict.PMS, trigger="", required=False, since="", note="",
    )  # fmt: skip


def checked(shipped: DataMap, site: Sequence[MapRow]) -> str:
    """The site's file, proven to load over the shipped map. Raises ConfigError with row and why."""
    text = as_csv(site)
    DataMap.load(as_csv(shipped.rows), text, origin="map", override_origin=ORIGIN)
    return text


def differing(shipped: DataMap, site: Sequence[MapRow]) -> list[tuple[MapRow | None, MapRow]]:
    """What the site's rows change: (shipped row or None, the site's row)."""
    base = {(row.stream, row.field): row for row in shipped.rows if row.field}
    found = []
    for row in site:
        was = base.get((row.stream, row.field)) if row.field else None
        if was is None or was.cells() != row.cells():
            found.append((was, row))
    return found


def in_force(shipped: DataMap, site: Sequence[MapRow]) -> DataMap:
    return DataMap(tuple(overlay(shipped.rows, site)))


_WORDS = {"owner": Owner, "on_conflict": OnConflict, "direction": Way}


def _typed(wanted: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name, value in wanted.items():
        kind = _WORDS.get(name)
        try:
            found[name] = value if kind is None else kind(value)
            if name == "transform":  # what stands in the file, not only what it becomes
                found["written"] = value
        except ValueError:
            raise ConfigError(f"map.{name}", file=ORIGIN, row=0, found=str(value)) from None
    return found
