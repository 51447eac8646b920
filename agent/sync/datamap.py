"""The data map: what the agent reads, how it becomes canonical records, and whether a site fits.

One CSV per PMS (``assets/maps``) says it all; a site may lay its own rows over it. ``compile``
holds the map against a live schema: a column a site lacks is a finding, never a crash; a column we
do not know is carried along.

Imports only ``agent.model``, ``agent.errors`` and this package; no database, no settings.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from agent.errors import ConfigError
from agent.model.reading import Column, Finding, Severity, SourceFacts, TableFacts
from agent.model.streams import Stream
from agent.sync.maprows import (
    MAP_OF_KIND,
    PSEUDO_TYPES,
    MapRow,
    OnConflict,
    Way,
    bind_transforms,
    in_field_order,
    overlay,
    read_map_file,
    read_rows,
)
from agent.sync.streammap import NO_COLUMN, OWN_KEY, Gathered, Observation, Step, StreamMap
from agent.sync.transforms import KEY, Toolbox, Transform, text_column

__all__ = ["CompiledMap", "DataMap", "Observation", "StreamMap", "load_map"]

MAPS = Path(__file__).resolve().parent.parent.parent / "assets" / "maps"

# Never carried unasked, whatever a site calls them: identity numbers, secrets, vendors' hashes.
_PRIVATE = re.compile(
    r"ssn|social|passw|pwd|secret|token|hash|signature|card(num|no|holder)|cvv|ccnum|"
    r"accountn|routing|pin$|licen[cs]e|medicaid",
    re.IGNORECASE,
)


def load_map(
    kind: str, override: Path | str | None = None, values: Mapping[str, str] | None = None
) -> DataMap:
    """The map of a kind of PMS, with a site's own rows over it. ``values``: what only the site can
    tell, by the name the map asks for it (``@name``). Raises ConfigError."""
    name = MAP_OF_KIND.get(kind)
    if name is None:
        raise ConfigError("map.no_such_kind", kind=kind)
    site = None if not override else Path(override)
    return DataMap.load(
        read_map_file(MAPS / name),
        None if site is None else read_map_file(site),
        origin=name,
        override_origin="" if site is None else site.name,
        values=values,
    )


@dataclass(frozen=True, slots=True)
class CompiledMap:
    """The map held against one site. ``streams``: the readable ones. ``findings``: PHI-free."""

    streams: dict[Stream, StreamMap]
    findings: tuple[Finding, ...]
    known: dict[tuple[Stream, str], frozenset[str]] = field(default_factory=dict)

    def unmapped(self, stream: Stream, column: str, values: Iterable[str]) -> tuple[Finding, ...]:
        """One finding per value of an enumerated column that has no word in the map.

        ``values``: the distinct values found at the site, as text.
        """
        known = self.known.get((stream, column))
        if known is None:
            return ()
        return tuple(
            Finding(
                "map.value_unmapped",
                Severity.WARNING,
                {"stream": stream.value, "column": column, "value": value},
            )
            for value in sorted({v for v in values if v} - known)
        )

    @property
    def enumerated(self) -> tuple[tuple[Stream, str], ...]:
        """(stream, column) pairs worth asking a site for its distinct values."""
        return tuple(self.known)


@dataclass(frozen=True, slots=True)
class DataMap:
    """A validated map. ``rows`` in the order of the file(s)."""

    rows: tuple[MapRow, ...]

    @classmethod
    def load(
        cls,
        text: str,
        override: str | None = None,
        *,
        origin: str = "map",
        override_origin: str = "site map",
        values: Mapping[str, str] | None = None,
    ) -> DataMap:
        """Parse and validate CSV text. Raises ConfigError naming file and row."""
        rows = read_rows(text, origin, values)
        if override is not None:
            rows = overlay(rows, read_rows(override, override_origin, values))
        datamap = cls(tuple(rows))
        toolbox = Toolbox("UTC")
        for stream in datamap.streams:
            bind_transforms(datamap.of(stream), toolbox)
            datamap.base_of(stream)
        return datamap

    @property
    def streams(self) -> tuple[Stream, ...]:
        present = {row.stream for row in self.rows if row.is_mapped}
        return tuple(stream for stream in Stream if stream in present)

    def without(self, skipped: Collection[Stream]) -> DataMap:
        """The map of a site that does not send these streams."""
        if not skipped:
            return self
        return DataMap(tuple(row for row in self.rows if row.stream not in skipped))

    def of(self, stream: Stream) -> list[MapRow]:
        return [row for row in self.rows if row.stream is stream]

    def base_of(self, stream: Stream) -> MapRow:
        """The row of the stream's own key: it names the base table and its primary key."""
        for row in self.of(stream):
            if row.is_mapped and row.field == "key":
                return row
        raise ConfigError("map.no_key", stream=stream.value)

    def compile(
        self,
        facts: SourceFacts,
        *,
        zone: str,
        carry_unknown: bool = True,
        phone_region: str = "US",
    ) -> CompiledMap:
        """Hold the map against a site.

        ``zone``: IANA name, the practice's wall time. ``carry_unknown``: bind columns of base
        tables the map does not know and send them in ``extra``. Raises ConfigError for an unknown
        zone.
        """
        try:
            toolbox = Toolbox(zone, phone_region)
        except (KeyError, ValueError):
            raise ConfigError("practice.zone", found=zone) from None
        findings: list[Finding] = []
        streams: dict[Stream, StreamMap] = {}
        known: dict[tuple[Stream, str], frozenset[str]] = {}
        carried_tables: set[str] = set()
        for stream in self.streams:
            compiled = _StreamCompiler(self, facts, toolbox, stream)
            carry = carry_unknown and compiled.base.real not in carried_tables
            carried_tables.add(compiled.base.real)
            made = compiled.make(carry=carry)
            findings += compiled.findings
            known.update(compiled.known)
            if made is not None:
                streams[stream] = made
        return CompiledMap(streams, tuple(findings), known)

    def known_columns(self, table: str) -> frozenset[str]:
        """Every column of a real table any row mentions, also as a further source."""
        return frozenset(row.column for row in self.rows if row.real == table)


class _StreamCompiler:
    """Works out one stream's columns and steps against the live tables."""

    def __init__(
        self, datamap: DataMap, facts: SourceFacts, toolbox: Toolbox, stream: Stream
    ) -> None:
        self.stream = stream
        self.base = datamap.base_of(stream)
        self.findings: list[Finding] = []
        self.known: dict[tuple[Stream, str], frozenset[str]] = {}
        self._datamap = datamap
        self._facts = facts
        self._toolbox = toolbox
        self._known = cache(datamap.known_columns)
        self._rows = datamap.of(stream)
        self._real = {row.table: row.real for row in self._rows}
        self._types = {(row.table, row.column): row.source_type for row in self._rows}
        self._places: dict[Column, int] = {}
        self._absent: dict[tuple[str, str], list[MapRow]] = {}
        self._unsure: dict[tuple[str, str], list[MapRow]] = {}
        self._typed: set[tuple[str, str]] = set()
        self._has_dates = any(
            type_family(sql_type) == "date"
            for table in facts.tables.values()
            for sql_type in table.columns.values()
        )

    def make(self, *, carry: bool) -> StreamMap | None:
        site = self._facts.streams.get(self.stream)
        if (site is not None and not site.readable) or not self._has_table(self.base):
            self._find("map.table_missing", Severity.ERROR, table=self.base.real)
            return None
        transforms, enums = bind_transforms(self._rows, self._toolbox)
        steps: list[Step] = []
        own: dict[str, list[Step]] = {}
        readable = True
        for row in in_field_order(self._rows):
            transform = transforms[row.field]
            if transform.known is not None:
                self.known[self.stream, row.column] = frozenset(transform.known)
            if row.field == "key":
                steps.append(Step("key", transform.run, (OWN_KEY,)))
                continue
            if transform.needs_source and not self._is_live(row):
                readable = readable and not row.required
                continue
            self._check_type(row)
            if row.certainty.is_weak and transform.needs_source:
                self._unsure.setdefault((row.real, row.column), []).append(row)
            step = Step(row.field, transform.run, self._sources(row, transform), transform.first)
            if row.gathered is None:
                steps.append(step)
            else:
                own.setdefault(row.gathered[0], []).append(step)
        self._tell_absent()
        self._tell_unsure()
        unknown = self._unknown_columns(carry=carry)
        if not readable:
            return None
        gathered = self._gather(steps, own, unknown)
        merged = {part.field for part in gathered if part.base is not None}
        return StreamMap(
            self.stream,
            list(self._places),
            [step for step in steps if step.field not in merged],
            gathered,
            enums,
            merges=any(
                row.direction is Way.BOTH and row.on_conflict is not OnConflict.APPEND
                for row in self._rows
            ),
        )

    def _sources(self, row: MapRow, transform: Transform) -> tuple[int, ...]:
        found = []
        if transform.needs_source:
            found.append(self._place(Column(row.table, row.column)))
        for name in transform.more:
            if name == KEY:
                found.append(OWN_KEY)
                continue
            table, dot, column = name.rpartition(".")
            source = Column(table if dot else row.table, column)
            is_live = self._has_column(self._real.get(source.table, source.table), source)
            found.append(self._place(source) if is_live else NO_COLUMN)
        return tuple(found)

    def _place(self, column: Column) -> int:
        return self._places.setdefault(column, len(self._places))

    def _has_table(self, row: MapRow) -> bool:
        return row.source_type in PSEUDO_TYPES or row.real in self._facts.tables

    def _has_column(self, real: str, column: Column) -> bool:
        source_type = self._types.get((column.table, column.name))
        if source_type == "pseudo":
            return True
        table = self._facts.tables.get(real)
        if table is None:
            return False
        return source_type == "list" or column.name in table.columns

    def _is_live(self, row: MapRow) -> bool:
        """Whether the site has the row's column; the ones it lacks are told once, at the end."""
        if self._has_column(row.real, Column(row.table, row.column)):
            return True
        self._absent.setdefault((row.real, row.column), []).append(row)
        return False

    def _tell_absent(self) -> None:
        for (real, column), rows in self._absent.items():
            facts = {
                "table": real,
                "column": column,
                "field": ", ".join(row.field for row in rows),
                "since": rows[0].since,
            }
            if any(row.required for row in rows):
                self._find("map.required_missing", Severity.ERROR, **facts)
            else:
                self._find("map.column_missing", Severity.NOTE, **facts)
            table = self._facts.tables.get(real)
            alike = None if table is None else self._renamed(rows[0], table)
            if alike is not None:
                self._find("map.column_renamed", Severity.WARNING, maybe=alike, **facts)

    def _tell_unsure(self) -> None:
        """Columns that are there and read, whose meaning nobody has confirmed."""
        for (real, column), rows in self._unsure.items():
            fields = ", ".join(row.field for row in rows)
            why = rows[0].certainty.value
            self._find(
                "map.column_unsure", Severity.NOTE, table=real, column=column, field=fields, why=why
            )

    def _renamed(self, row: MapRow, table: TableFacts) -> str | None:
        """A column we do not know, of the same kind and a similar name."""
        known = self._known(row.real)
        strangers = [
            name
            for name, sql_type in table.columns.items()
            if name not in known and type_family(sql_type) == type_family(row.source_type)
        ]
        alike = difflib.get_close_matches(row.column, strangers, n=1, cutoff=0.6)
        return alike[0] if alike else None

    def _check_type(self, row: MapRow) -> None:
        table = self._facts.tables.get(row.real)
        if not row.source_type or row.source_type in PSEUDO_TYPES or table is None:
            return
        place = (row.real, row.column)
        if place in self._typed:
            return
        self._typed.add(place)
        live = table.columns.get(row.column, "")
        expected, found = type_family(row.source_type), type_family(live)
        if found == "text" and expected in {"date", "time"} and not self._has_dates:
            return  # a database without types for dates (SQLite) keeps them as text
        if found != expected:
            self._find(
                "map.column_retyped",
                Severity.WARNING,
                table=row.real,
                column=row.column,
                expected=row.source_type,
                found=live,
            )

    def _unknown_columns(self, *, carry: bool) -> list[str]:
        """Columns of the base table no row mentions; the safe ones are carried."""
        table = self._facts.tables.get(self.base.real)
        if table is None or not carry or self.base.real != self.base.table:
            return []  # a pseudo table has exactly the columns its driver gave it
        known = self._known(self.base.real)
        carried = []
        for name, sql_type in sorted(table.columns.items()):
            if name in known:
                continue
            # Stamps would change the record without a change; blobs are not text.
            is_open = type_family(sql_type) not in {"stamp", "blob"} and not _PRIVATE.search(name)
            facts = {"table": self.base.real, "column": name, "found": sql_type}
            if is_open:
                self._find("map.column_carried", Severity.NOTE, **facts)
                carried.append(name)
            else:
                self._find("map.column_withheld", Severity.NOTE, **facts)
        return carried

    def _gather(
        self, steps: list[Step], own: Mapping[str, list[Step]], unknown: list[str]
    ) -> list[Gathered]:
        parts = []
        for name in ("custom", "extra"):
            fields = {step.field.partition(".")[2]: step for step in own.get(name, [])}
            if name == "extra":
                for column in unknown:
                    place = self._place(Column(self.base.table, column))
                    fields.setdefault(column, Step("extra", text_column, (place,)))
            if not fields:
                continue
            names = sorted(fields)
            base = next((step for step in steps if step.field == name), None)
            parts.append(Gathered(name, tuple(names), tuple(fields[n] for n in names), base))
        return parts

    def _find(self, code: str, severity: Severity, **facts: str) -> Finding:
        finding = Finding(code, severity, {"stream": self.stream.value, **facts})
        self.findings.append(finding)
        return finding


@cache
def type_family(sql_type: str) -> str:
    """``varchar(100)`` and ``text`` are one family, ``bigint(20)`` and ``tinyint`` another."""
    word = re.match(r"[a-z]*", sql_type.lower())
    return _FAMILY.get(word[0] if word else "", "other")


_FAMILY = {
    name: family
    for family, names in {
        "integer": "tinyint smallint mediumint int integer bigint bit bool boolean",
        "number": "double float decimal numeric real",
        "text": "char varchar tinytext text mediumtext longtext enum set",
        # A date that became a datetime reads the same way.
        "date": "date datetime",
        "stamp": "timestamp",
        "time": "time",
        "blob": "blob tinyblob mediumblob longblob binary varbinary",
    }.items()
    for name in names.split()
}
