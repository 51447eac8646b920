"""The data map as the window shows and changes it. A leaf; no patient data."""

from __future__ import annotations

import msgspec

from agent.model.asking import Request, Role
from agent.model.reading import Finding


class MapLine(msgspec.Struct, frozen=True):
    """A row of the map in force. ``state``: mapped | missing | retyped | renamed | none, against
    the live schema ("" while that is not known); ``live``: the column's type there; ``site``: the
    row is this site's own; ``shipped``: what the shipped row says of what the site changed;
    ``added``: the shipped map has no such field."""

    stream: str
    field: str
    kind: str
    table: str
    column: str
    type: str
    transform: str
    way: str
    owner: str
    on_conflict: str
    required: bool
    since: str
    note: str
    state: str = ""
    live: str = ""
    site: bool = False
    shipped: dict[str, str] = {}
    added: bool = False


class StreamCover(msgspec.Struct, frozen=True):
    """A stream of the map against the live schema. Counts of columns."""

    stream: str
    table: str
    readable: bool
    skipped: bool
    fields: int
    missing: int
    renamed: int
    retyped: int
    carried: int
    withheld: int
    strangers: int  # values of a status without a word


class MapView(msgspec.Struct, frozen=True):
    """``pms``: kind and version; ``live`` False: the practice system was not asked (``why``: code).
    ``pending``: site rows were saved that the running engine does not read by yet."""

    kind: str
    pms: str
    live: bool
    why: str
    streams: tuple[StreamCover, ...]
    lines: tuple[MapLine, ...]
    findings: tuple[Finding, ...]
    site_file: str
    pending: bool


class ShowMap(Request[MapView], frozen=True):
    method = "map.show"


class MapEdit(msgspec.Struct, frozen=True):
    """``changes``: owner, on_conflict, direction, transform, table, column, note. Empty: the site's
    row goes, and what is shipped holds; a field the site added is gone. A ``field`` "custom.<name>"
    or "extra.<name>" the map has not is added where ``changes`` names its column."""

    stream: str
    field: str
    changes: dict[str, str]


class MapDifference(msgspec.Struct, frozen=True):
    """One cell: what holds now and what would."""

    stream: str
    field: str
    cell: str
    now: str
    then: str


class EditedMap(msgspec.Struct, frozen=True):
    """``differences``: against the map in force; ``findings``: what the live schema says to it;
    ``saved``; ``restart``: the engine must begin anew to read by it."""

    differences: tuple[MapDifference, ...]
    findings: tuple[Finding, ...]
    saved: bool
    restart: bool


class EditMap(Request[EditedMap], frozen=True):
    """Try a change of the site's own rows; ``save`` keeps it. ConfigError says what is wrong with
    it; nothing is kept then."""

    method = "map.edit"
    role = Role.ADMIN
    edits: tuple[MapEdit, ...]
    save: bool = False


class ExportedMap(msgspec.Struct, frozen=True):
    name: str
    text: str


class ExportMap(Request[ExportedMap], frozen=True):
    """``kind``: csv | html."""

    method = "map.export"
    kind: str = "csv"
