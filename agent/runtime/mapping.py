"""The site's data map for the window: what holds, how it fits the live schema, and changing it.

What is saved goes to the site's own rows (a layer over the shipped map) and is proven to load
first; the running engine reads by it once it has begun anew. No record is read here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.config import Paths, Settings
from agent.config.store import save_setting, write_atomic
from agent.errors import ConfigError
from agent.model import mapping as ask
from agent.model.reading import Finding, Severity, SourceFacts
from agent.model.streams import Stream
from agent.runtime.sources import shipped_map
from agent.support.map_page import page
from agent.sync.datamap import DataMap
from agent.sync.maprows import MapRow, as_csv, read_map_file, read_rows
from agent.sync.sitemap import Edits, checked, differing, edited, in_force

CELLS = ("owner", "on_conflict", "direction", "transform", "table", "column", "note")
_STATES = {
    "map.column_missing": "missing",
    "map.required_missing": "missing",
    "map.table_missing": "missing",
    "map.column_renamed": "renamed",
    "map.column_retyped": "retyped",
}
Strangers = Mapping[tuple[Stream, str], Iterable[str]]


class Chart:
    """``facts``: the live schema as last probed, None while there is none (``why``: its code);
    ``strangers``: values of statuses met that have no word; ``running``: the map in use."""

    def __init__(
        self,
        load: Callable[[], Settings],
        paths: Paths,
        running: DataMap | None,
        facts: Callable[[], SourceFacts | None],
        *,
        why: Callable[[], str],
        strangers: Callable[[], Strangers],
    ) -> None:
        self._load = load
        self._paths = paths
        self._running = running
        self._facts = facts
        self._why = why
        self._strangers = strangers

    def show(self) -> ask.MapView:
        settings = self._load()
        shipped, site = self._layers(settings)
        held = in_force(shipped, site)
        facts = self._facts()
        findings = self._findings(settings, held, facts)
        skipped = settings.skipped_streams
        before = {(row.stream, row.field): row for row in shipped.rows if row.field}
        own = {(row.stream, row.field): row for _, row in differing(shipped, site)}
        states = _states(findings)
        lines = tuple(
            _line(row, before.get((row.stream, row.field)), own, states, facts) for row in held.rows
        )
        return ask.MapView(
            kind=settings.pms.kind,
            pms=f"{facts.kind} {facts.version}" if facts is not None else settings.pms.kind,
            live=facts is not None,
            why="" if facts is not None else self._why(),
            streams=tuple(
                _cover(held, stream, findings, skipped=stream in skipped) for stream in held.streams
            ),
            lines=lines,
            findings=findings,
            site_file=str(self._site_file(settings)) if site else "",
            pending=self._is_pending(held, settings),
        )

    def edit(self, wish: ask.EditMap) -> ask.EditedMap:
        """ConfigError names what is wrong; nothing is kept then."""
        settings = self._load()
        shipped, site = self._layers(settings)
        now = in_force(shipped, site)
        edits: dict[tuple[Stream, str], dict[str, Any] | None] = {}
        for each in wish.edits:
            place = (_stream(each.stream), each.field)
            edits[place] = _changes(each.changes) if each.changes else None
        rows = edited(shipped, site, edits)
        text = checked(shipped, rows)
        self._check_columns(shipped, rows, edits)
        then = in_force(shipped, rows)
        findings = tuple(
            f
            for f in self._findings(settings, then, self._facts())
            if f.severity is not Severity.NOTE
        )
        differences = _differences(now, then)
        saved = wish.save and bool(differences)
        if saved:
            path = self._site_file(settings)
            self._paths.prepare()
            write_atomic(path, text.encode())
            if not settings.map.file:
                save_setting(self._paths.config_file, "map.file", str(path))
        return ask.EditedMap(differences, findings, saved, restart=saved)

    def export(self, kind: str) -> ask.ExportedMap:
        settings = self._load()
        held = in_force(*self._layers(settings)).without(settings.skipped_streams)
        if kind == "html":
            return ask.ExportedMap("bridgework-data-map.html", page(held))
        return ask.ExportedMap("bridgework-data-map.csv", as_csv(held.rows))

    def _check_columns(self, shipped: DataMap, rows: Sequence[MapRow], edits: Edits) -> None:
        """A new field must have its column, as far as the live schema is known, and none that is
        never read."""
        facts = self._facts()
        private = {
            (r.stream, r.real, r.column) for r in shipped.rows if r.note.startswith("private")
        }
        old = {(row.stream, row.field) for row in shipped.rows}
        for row in rows:
            table = None if facts is None else facts.tables.get(row.real)
            is_new = (
                edits.get((row.stream, row.field)) is not None
                and (row.stream, row.field) not in old
            )
            if is_new and (row.stream, row.real, row.column) in private:
                raise ConfigError("map.column_private", table=row.real, column=row.column)
            if is_new and table is not None and row.column not in table.columns:
                raise ConfigError("map.no_such_column", table=row.real, column=row.column)

    # -- pieces -----------------------------------------------------------------------------------

    def _site_file(self, settings: Settings) -> Path:
        return Path(settings.map.file) if settings.map.file else self._paths.site_map

    def _layers(self, settings: Settings) -> tuple[DataMap, list[MapRow]]:
        path = Path(settings.map.file) if settings.map.file else None
        site = [] if path is None else read_rows(read_map_file(path), path.name)
        return shipped_map(settings), site

    def _findings(
        self, settings: Settings, held: DataMap, facts: SourceFacts | None
    ) -> tuple[Finding, ...]:
        if facts is None:
            return ()
        compiled = held.compile(
            facts,
            zone=settings.practice.zone or facts.zone or "UTC",
            carry_unknown=settings.map.carry_unknown,
        )
        strange = [
            Finding(
                "map.value_unmapped",
                Severity.WARNING,
                {"stream": stream.value, "column": field, "value": value},
            )
            for (stream, field), values in self._strangers().items()
            for value in sorted(values)
        ]
        return (*compiled.findings, *strange)

    def _is_pending(self, held: DataMap, settings: Settings) -> bool:
        if self._running is None:
            return False
        now = held.without(settings.skipped_streams)
        return [r.cells() for r in now.rows] != [r.cells() for r in self._running.rows]


def _stream(name: str) -> Stream:
    try:
        return Stream(name)
    except ValueError:
        raise ConfigError("map.stream", file="site map", row=0, found=name) from None


def _changes(changes: Mapping[str, str]) -> dict[str, Any]:
    wrong = sorted(set(changes) - set(CELLS))
    if wrong:
        raise ConfigError("map.cell_fixed", cell=wrong[0], allowed=", ".join(CELLS))
    made: dict[str, Any] = dict(changes)
    if "table" in made:
        name, colon, real = str(made["table"]).partition(":")
        made["table"], made["real"] = name, real if colon else name
    return made


def _differences(now: DataMap, then: DataMap) -> tuple[ask.MapDifference, ...]:
    before = {(row.stream, row.field): row for row in now.rows if row.field}
    found = []
    for row in then.rows:
        was = before.get((row.stream, row.field)) if row.field else None
        if was is None:
            if row.field:  # a new one
                added = ask.MapDifference(row.stream.value, row.field, "column", "", row.column)
                found.append(added)
            continue
        for cell in CELLS:
            old, new = _cell(was, cell), _cell(row, cell)
            if old != new:
                found.append(ask.MapDifference(row.stream.value, row.field, cell, old, new))
    left = {(row.stream, row.field) for row in then.rows}
    for (stream, field), was in before.items():
        if (stream, field) not in left:  # of the site's own, taken out
            found.append(ask.MapDifference(stream.value, field, "column", was.column, ""))
    return tuple(found)


def _cell(row: MapRow, cell: str) -> str:
    if cell == "table":
        return row.table if row.table == row.real else f"{row.table}:{row.real}"
    return str(getattr(row, cell))


def _states(findings: Sequence[Finding]) -> dict[tuple[str, str, str], str]:
    """(stream, table, column) -> its state; no column: of the whole table."""
    states: dict[tuple[str, str, str], str] = {}
    for finding in findings:
        state, facts = _STATES.get(finding.code), finding.facts
        if state is not None:
            place = (str(facts["stream"]), str(facts["table"]), str(facts.get("column", "")))
            states[place] = state
    return states


def _line(
    row: MapRow,
    was: MapRow | None,
    own: Mapping[tuple[Stream, str], MapRow],
    states: Mapping[tuple[str, str, str], str],
    facts: SourceFacts | None,
) -> ask.MapLine:
    table = None if facts is None else facts.tables.get(row.real)
    live = "" if table is None else table.columns.get(row.column, "")
    place = (row.stream.value, row.real, row.column)
    state = states.get(place) or states.get((row.stream.value, row.real, "")) or ""
    if not state and facts is not None:
        state = "mapped" if row.is_mapped else "none"
    is_own = (row.stream, row.field) in own and bool(row.field)
    shipped = {}
    if is_own and was is not None:
        shipped = {c: _cell(was, c) for c in CELLS if _cell(was, c) != _cell(row, c)}
    return ask.MapLine(
        stream=row.stream.value,
        field=row.field,
        kind=row.crm_type,
        table=_cell(row, "table"),
        column=row.column,
        type=row.source_type,
        transform=row.transform,
        way=row.direction.value,
        owner=row.owner.value,
        on_conflict=row.on_conflict.value,
        required=row.required,
        since=row.since,
        note=row.note,
        state=state,
        live=live,
        site=is_own,
        shipped=shipped,
        added=is_own and was is None,
    )


def _cover(
    held: DataMap, stream: Stream, findings: Sequence[Finding], *, skipped: bool
) -> ask.StreamCover:
    mine = [f for f in findings if f.facts.get("stream") == stream.value]
    codes = Counter(f.code for f in mine)
    dead = any(f.severity is Severity.ERROR for f in mine)
    return ask.StreamCover(
        stream=stream.value,
        table=held.base_of(stream).real,
        readable=not dead,
        skipped=skipped,
        fields=sum(row.is_mapped for row in held.of(stream)),
        missing=codes["map.column_missing"] + codes["map.required_missing"],
        renamed=codes["map.column_renamed"],
        retyped=codes["map.column_retyped"],
        carried=codes["map.column_carried"],
        withheld=codes["map.column_withheld"],
        strangers=codes["map.value_unmapped"],
    )
