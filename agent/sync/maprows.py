"""The data map as written: CSV rows, checked line by line, and a site's own rows laid over them.

Pure but for ``load_map``; imports only ``agent.model``, ``agent.errors`` and this package.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_args

import msgspec

from agent.errors import ConfigError
from agent.model.entities import RECORD_OF
from agent.model.streams import Stream
from agent.sync.transforms import (
    Enumeration,
    Toolbox,
    Transform,
    TransformError,
    enumeration_of,
    parse,
)

COLUMNS = (
    "stream",
    "crm_field",
    "crm_type",
    "source_table",
    "source_column",
    "source_type",
    "transform",
    "direction",
    "owner",
    "on_conflict",
    "trigger",
    "required",
    "since",
    "note",
)
CERTAIN_COLUMNS = (*COLUMNS, "certainty")
"""Header of a map whose rows say how sure we are of them."""

CRM_TYPES = frozenset(
    {
        "bool",
        "date",
        "dict",
        "enum",
        "instant",
        "int",
        "key",
        "list",
        "local",
        "money",
        "parts",
        "text",
        "zone",
    }
)
GATHERED = ("custom", "extra")
"""Record fields that are mappings; a site's rows may add ``custom.<name>`` or ``extra.<name>``."""

_E = TypeVar("_E", bound=StrEnum)

#: source types the live schema cannot confirm: made by the driver
PSEUDO_TYPES = frozenset({"list", "pseudo"})


class Way(StrEnum):
    TO_CRM = "to_crm"
    BOTH = "both"
    NONE = "none"  # a column we know and do not carry


class Owner(StrEnum):
    PMS = "pms"
    CRM = "crm"
    SHARED = "shared"


class OnConflict(StrEnum):
    PMS = "pms"
    CRM = "crm"
    ASK = "ask"
    SET_MERGE = "set_merge"
    APPEND = "append"


class Certainty(StrEnum):
    """How sure it is that the column exists and means what the row says."""

    VENDOR = "vendor"  # the maker's own page or manual
    SEVERAL = "several"  # independent public sources agree
    SINGLE = "single"  # one public source that claims to run
    INTEGRATOR = "integrator"  # an integrator's or consultant's help page
    INFERRED = "inferred"  # concluded from the above
    UNVERIFIED = "unverified"  # general knowledge; look at the site
    STATED = ""  # nothing to say: the map of a published schema

    @property
    def is_weak(self) -> bool:
        """A person should look at a few records before relying on it."""
        return self in (Certainty.INFERRED, Certainty.UNVERIFIED)


class MapRow(msgspec.Struct, frozen=True):
    """One line of the map. ``table`` is the name the driver attaches the table under, ``real`` the
    table itself ("confirmed:definition"). ``line`` counts from 1, the header."""

    line: int
    origin: str
    stream: Stream
    field: str
    crm_type: str
    table: str
    real: str
    column: str
    source_type: str
    transform: str
    direction: Way
    owner: Owner
    on_conflict: OnConflict
    trigger: str
    required: bool
    since: str
    note: str
    certainty: Certainty = Certainty.STATED
    written: str = ""  # the transform as it stands in the file, before the site's values

    @property
    def is_mapped(self) -> bool:
        return self.direction is not Way.NONE

    @property
    def gathered(self) -> tuple[str, str] | None:
        """("custom" | "extra", name) of a site's own field, else None."""
        head, dot, name = self.field.partition(".")
        return (head, name) if dot else None

    def cells(self) -> tuple[str, ...]:
        """The row as it stands in a CSV."""
        table = self.table if self.table == self.real else f"{self.table}:{self.real}"
        return (
            self.stream.value,
            self.field,
            self.crm_type,
            table,
            self.column,
            self.source_type,
            self.written,
            self.direction.value,
            self.owner.value,
            self.on_conflict.value,
            self.trigger,
            "yes" if self.required else "",
            self.since,
            self.note,
            self.certainty.value,
        )


def read_rows(text: str, origin: str, site: Mapping[str, str] | None = None) -> list[MapRow]:
    """Parse CSV text; ``site`` fills in what only a site can tell (``@name``).

    Raises ConfigError with ``file``, ``row`` and what is wrong with it.
    """
    lines = csv.reader(io.StringIO(text.removeprefix("\ufeff")))
    header = tuple(cell.strip() for cell in next(lines, []))
    if header not in (COLUMNS, CERTAIN_COLUMNS):
        raise ConfigError("map.header", file=origin, expected=",".join(COLUMNS))
    rows = [
        _row([cell.strip() for cell in cells], lines.line_num, origin, header, site or {})
        for cells in lines
        if any(cell.strip() for cell in cells)
    ]
    _check_unique(rows)
    return rows


def overlay(rows: Sequence[MapRow], site: Sequence[MapRow]) -> list[MapRow]:
    """A site's rows replace those of the same stream and field, and stand for their column."""
    fields = {(row.stream, row.field) for row in site if row.field}
    columns = {(row.stream, row.table, row.column) for row in site}
    kept = [
        row
        for row in rows
        if (
            (row.stream, row.field) not in fields
            if row.field
            else (row.stream, row.table, row.column) not in columns
        )
    ]
    return [*kept, *site]


def bind_transforms(
    rows: Iterable[MapRow], toolbox: Toolbox
) -> tuple[dict[str, Transform], dict[str, Enumeration]]:
    """Transforms of one stream's mapped rows by field, and its enumerations.

    Rows are taken in the order of the record's fields, so that ``x_raw`` follows ``x``. Raises
    ConfigError.
    """
    bound: dict[str, Transform] = {}
    enums: dict[str, Enumeration] = {}
    for row in in_field_order(rows):
        try:
            transform = parse(row.transform, toolbox, enums, f"{row.table}.{row.column}")
        except TransformError as error:
            raise _wrong(row, "map.transform", why=str(error)) from None
        except ValueError:
            raise _wrong(row, "map.transform", why="wrong argument") from None
        _check_fits(row, transform)
        bound[row.field] = transform
        enumeration = enumeration_of(transform)
        if enumeration is not None:
            enums[row.field] = enumeration
    return bound, enums


def in_field_order(rows: Iterable[MapRow]) -> list[MapRow]:
    """Mapped rows of one stream, in the order of the record's fields; a site's own fields last."""
    mapped = [row for row in rows if row.is_mapped]
    if not mapped:
        return []
    fields = RECORD_OF[mapped[0].stream].__struct_fields__
    place = {name: at for at, name in enumerate(fields)}
    return sorted(mapped, key=lambda row: (place.get(row.field, len(fields)), row.field))


_SITE_VALUE = re.compile(r"@([a-z_]+)")


def fill_in(transform: str, site: Mapping[str, str]) -> str:
    """``@name`` replaced by what the site says; "" where it has not said it."""
    return _SITE_VALUE.sub(lambda found: site.get(found[1], ""), transform)


def _row(
    cells: list[str], line: int, origin: str, header: tuple[str, ...], site: Mapping[str, str]
) -> MapRow:
    where: dict[str, Any] = {"file": origin, "row": line}
    if len(cells) != len(header):
        raise ConfigError("map.cells", **where, found=len(cells), expected=len(header))
    cell = dict(zip(header, cells, strict=True))
    table, colon, real = cell["source_table"].partition(":")
    row = MapRow(
        line,
        origin,
        _one_of(Stream, cell, "stream", where),
        cell["crm_field"],
        cell["crm_type"],
        table,
        real if colon else table,
        cell["source_column"],
        cell["source_type"],
        fill_in(cell["transform"], site),
        _one_of(Way, cell, "direction", where),
        _one_of(Owner, cell, "owner", where),
        _one_of(OnConflict, cell, "on_conflict", where),
        cell["trigger"],
        cell["required"].lower() in {"yes", "1", "true"},
        cell["since"],
        cell["note"],
        _one_of(Certainty, {"certainty": "", **cell}, "certainty", where),
        cell["transform"],
    )
    if not row.is_mapped:
        return row
    if row.crm_type not in CRM_TYPES:
        raise ConfigError("map.crm_type", **where, found=row.crm_type)
    known = RECORD_OF[row.stream].__struct_fields__
    own = row.gathered
    if own is not None:
        if own[0] not in GATHERED or own[0] not in known or not own[1]:
            raise ConfigError("map.field", **where, field=row.field)
    elif row.field not in known or row.field == "extra":
        raise ConfigError("map.field", **where, field=row.field)
    return row


def _one_of(words: type[_E], cell: Mapping[str, str], name: str, where: Any) -> _E:
    try:
        return words(cell[name])
    except ValueError:
        raise ConfigError(f"map.{name}", **where, found=cell[name]) from None


def _check_unique(rows: Sequence[MapRow]) -> None:
    fields: set[tuple[Stream, str]] = set()
    mapped: set[tuple[Stream, str, str]] = set()
    for row in rows:
        if row.field:
            if (row.stream, row.field) in fields:
                raise _wrong(row, "map.twice", field=row.field)
            fields.add((row.stream, row.field))
        if row.is_mapped:
            mapped.add((row.stream, row.table, row.column))
    for row in rows:
        if not row.is_mapped and not row.field and (row.stream, row.table, row.column) in mapped:
            raise _wrong(row, "map.twice", column=row.column)


def _check_fits(row: MapRow, transform: Transform) -> None:
    """The words of an enumeration are those of the record's field; own fields hold text."""
    if transform.needs_source and not (row.table and row.column):
        raise _wrong(row, "map.source_missing", field=row.field)
    if row.gathered is not None:
        if not transform.gives_text:
            raise _wrong(row, "map.transform", why="a field of the site's own holds text")
        return
    kind = _kinds_of(row.stream)[row.field]
    words = _words_of(kind)
    if words is not None and not transform.words:
        raise _wrong(row, "map.transform", why="the field wants an enumeration")
    if words is not None and not transform.words <= words:
        strange = sorted(transform.words - words)
        if strange not in (["unknown"], ["other"]):
            raise _wrong(row, "map.word", found=",".join(strange), known=",".join(sorted(words)))


@cache
def _kinds_of(stream: Stream) -> dict[str, Any]:
    """Annotation by field. Asking msgspec costs milliseconds, and every line of the map asks."""
    return {field.name: field.type for field in msgspec.structs.fields(RECORD_OF[stream])}


def words_of_field(stream: Stream, field: str) -> frozenset[str]:
    """The words a field may hold; none where it is no enumeration."""
    return _words_of(_kinds_of(stream).get(field)) or frozenset()


def as_csv(rows: Iterable[MapRow]) -> str:
    """Rows as a file of this format; reading it again gives the same rows."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    held = [*rows]
    header = CERTAIN_COLUMNS if any(row.certainty for row in held) else COLUMNS
    lines.writerow(header)
    lines.writerows(row.cells()[: len(header)] for row in held)
    return text.getvalue()


def _words_of(kind: Any) -> frozenset[str] | None:
    """The words of an enumeration annotation (also optional or a tuple of them), else None."""
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return frozenset(word.value for word in kind)
    for inner in get_args(kind):
        if (words := _words_of(inner)) is not None:
            return words
    return None


def _wrong(row: MapRow, code: str, **facts: str) -> ConfigError:
    return ConfigError(code, file=row.origin, row=row.line, stream=row.stream.value, **facts)


MAP_OF_KIND = {
    "opendental": "opendental.csv",
    "sample": "opendental.csv",
    "dentrix": "dentrix.csv",
    "eaglesoft": "eaglesoft.csv",
}
"""Kind of PMS -> its map; the sample practice keeps Open Dental's layout."""


def read_map_file(path: Path) -> str:
    """Raises ConfigError when the file cannot be read as UTF-8 text."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError("map.unreadable_file", file=path.name, why=error.strerror) from None
    except UnicodeDecodeError:
        raise ConfigError("map.unreadable_file", file=path.name, why="not UTF-8") from None
