"""From what a probe found to ``SourceFacts``. Pure; shared with the sample practice."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from agent.model.reading import Finding, LaneFacts, Severity, StreamFacts, TableFacts
from agent.model.streams import Stream
from drivers.opendental.statements import practice_shape
from drivers.opendental.streams import (
    PRACTICE,
    STREAMS,
    Join,
    StreamSpec,
    tables_behind,
)
from drivers.sqltext import TableShape

OLDEST_KNOWN = (20, 3)  # commoptout took its present form; older sites are read, with a warning
BIG_ROWS = 20_000  # an unindexed stamp on a smaller table costs nothing worth a word


def version_tuple(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def table_facts(shapes: Mapping[str, TableShape]) -> dict[str, TableFacts]:
    """Live tables, the pseudo tables and columns, and every attachment's alias."""
    found = {name: _facts(shape) for name, shape in shapes.items()}
    found[PRACTICE] = _facts(practice_shape())
    for spec in STREAMS.values():
        for hung in spec.attached:
            shape = shapes.get(hung.table)
            if shape is None:
                continue
            columns = found[hung.alias].columns if hung.alias in found else _facts(shape).columns
            if hung.join is Join.MANY:
                columns = {**columns, hung.pseudo: "list"}
            found[hung.alias] = TableFacts(columns, shape.leads, shape.engine, shape.rows)
    return found


def _facts(shape: TableShape) -> TableFacts:
    columns = {name: found.sql_type for name, found in shape.columns.items()}
    return TableFacts(columns, shape.leads, shape.engine, shape.rows)


def stream_facts(
    shapes: Mapping[str, TableShape], readable: Collection[Stream], clinics: bool
) -> dict[Stream, StreamFacts]:
    return {
        stream: _stream(spec, shapes, readable=stream in readable, clinics=clinics)
        for stream, spec in STREAMS.items()
    }


def _stream(
    spec: StreamSpec, shapes: Mapping[str, TableShape], *, readable: bool, clinics: bool
) -> StreamFacts:
    lanes = []
    for lane in spec.lanes:
        shape = shapes.get(lane.table)
        needed = {lane.stamp, lane.row, lane.link}
        if shape is None or not needed.issubset(shape.columns):
            continue
        if not all(table in shapes for table, _, _ in lane.hops):
            continue
        lanes.append(LaneFacts(lane.name, lane.table, lane.stamp in shape.leads, shape.rows))
    if spec.table == PRACTICE:
        clinic = shapes.get("clinic")
        rows = 1 + (clinic.rows if clinic is not None and clinics else 0)
    else:
        rows = shapes[spec.table].rows if spec.table in shapes else 0
    return StreamFacts(
        table=spec.table,
        key=spec.key,
        rows=rows,
        tables=tuple(t for t in tables_behind(spec) if t in shapes),
        lanes=tuple(lanes),
        windowed=bool(spec.window) and readable,
        tier=spec.tier,
        readable=readable,
        polled=bool(spec.window) and spec.polled and readable,
    )


def schema_findings(
    shapes: Mapping[str, TableShape], readable: Collection[Stream], version: str
) -> list[Finding]:
    """Version, missing tables, engines, stamps without an index."""
    found = []
    if version_tuple(version)[:2] < OLDEST_KNOWN:
        found.append(Finding("pms.version_old", Severity.WARNING, {"version": version}))
    for stream, spec in STREAMS.items():
        if stream not in readable and spec.table not in shapes and spec.table != PRACTICE:
            facts = {"stream": stream.value, "table": spec.table}
            found.append(Finding("pms.table_missing", Severity.WARNING, {**facts}))
    found += engine_findings(shapes)
    found += index_findings(shapes)
    return found


def engine_findings(shapes: Mapping[str, TableShape]) -> list[Finding]:
    engines = sorted({shape.engine for shape in shapes.values() if shape.engine})
    if len(engines) > 1:
        return [Finding("pms.engine_mixed", Severity.WARNING, {"engines": ", ".join(engines)})]
    return [Finding("pms.engine", Severity.OK, {"engine": engine}) for engine in engines]


def index_findings(shapes: Mapping[str, TableShape]) -> list[Finding]:
    lanes = {(lane.table, lane.stamp) for spec in STREAMS.values() for lane in spec.lanes}
    return [
        Finding(
            "pms.index_missing",
            Severity.NOTE,
            {"table": table, "column": stamp, "rows": shapes[table].rows},
        )
        for table, stamp in sorted(lanes)
        if table in shapes
        and stamp in shapes[table].columns
        and stamp not in shapes[table].leads
        and shapes[table].rows > BIG_ROWS
    ]
