"""One probed source: facts, compiled map, and the lanes' objects built on them.

When the PMS is upgraded or its schema drifts, the session is thrown away and a new one is made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from agent.errors import PmsDrift
from agent.journal.journal import Journal
from agent.model.reading import Finding, SourceFacts
from agent.model.streams import Stream
from agent.ports import Clock, PmsReader, PmsSource
from agent.sync.capture import Capture
from agent.sync.datamap import DataMap
from agent.sync.guards import Verdict, judge_source, merge_marks
from agent.sync.load import Load
from agent.sync.pace import Pace
from agent.sync.streammap import StreamMap
from agent.sync.sweep import Rotation, Sweep
from agent.sync.watch import Watch

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Tuning:
    """The settings the engine obeys. Seconds, rows, shares of one."""

    zone: str = ""
    gate_s: float = 0.05
    overlap_s: float = 1200.0
    rotation: Rotation = Rotation(600.0, 3600.0, 86400.0)  # noqa: RUF009 (frozen)
    page_rows: int = 1000
    page_ms: float = 10.0
    load_duty: float = 0.5
    sweep_duty: float = 0.1
    confirm_delete_s: float = 900.0
    settle_s: float = 2.0
    brake_rows: int = 20
    brake_share: float = 0.01
    change_share: float = 0.2
    window_days: int = 90
    carry_unknown: bool = True
    reconcile_s: float = 3600.0


@dataclass(slots=True)
class Session:
    """Valid for one probe of the source."""

    facts: SourceFacts
    maps: dict[Stream, StreamMap]
    findings: tuple[Finding, ...]
    watch: Watch
    load: Load
    sweep: Sweep
    watching: bool = False


def open_session(
    source: PmsSource,
    datamap: DataMap,
    journal: Journal,
    capture: Capture,
    clock: Clock,
    tuning: Tuning,
    rest: Callable[[float], bool],
) -> Session:
    """Probe, compile the map against the live schema, bind. Raises Pms errors; PmsDrift if nothing
    readable is left."""
    facts = source.probe()
    zone = tuning.zone or facts.zone
    compiled = datamap.compile(facts, zone=zone, carry_unknown=tuning.carry_unknown)
    maps = {stream: compiled.streams[stream] for stream in Stream if stream in compiled.streams}
    if not maps:
        raise PmsDrift("pms.schema_unknown", version=facts.version)
    for stream, mapped in maps.items():
        source.bind(stream, mapped.columns)
    columns = "|".join(f"{s}:{','.join(map(str, m.columns))}" for s, m in maps.items())
    fingerprint = hashlib.sha256(columns.encode()).hexdigest()[:32]
    with journal.turn() as turn:
        turn.remember_schema(facts.version, fingerprint, "mapped")
        if journal.mark("schema") not in (None, fingerprint):
            # Other columns mean other row hashes: every chunk has to be proven again.
            turn.due_all_chunks(None)
        turn.set_mark("schema", fingerprint)
    pace = Pace(tuning.page_rows, tuning.page_ms, tuning.load_duty, ceiling_rows=tuning.page_rows)
    sweep_pace = Pace(
        tuning.page_rows, tuning.page_ms, tuning.sweep_duty, ceiling_rows=tuning.page_rows
    )
    tiers = {stream: facts.streams[stream].tier for stream in maps}
    log.info("session.opened", streams=len(maps), findings=len(compiled.findings))
    return Session(
        facts=facts,
        maps=maps,
        findings=(*facts.findings, *compiled.findings),
        watch=Watch(journal, capture, clock, facts, maps, overlap_s=tuning.overlap_s),
        load=Load(
            journal,
            capture,
            clock,
            facts,
            maps,
            pace,
            chunk_rows=tuning.rotation.chunk_rows,
            window_days=tuning.window_days,
            rest=rest,
        ),
        sweep=Sweep(journal, capture, clock, tuning.rotation, tiers, sweep_pace, rest),
    )


def check_source(reader: PmsReader, journal: Journal, session: Session) -> Verdict:
    """Compare the guard with what the journal remembers; remember the new high marks."""
    guard = reader.guard()
    known = journal.source()
    identity, state, marks = known if known is not None else (None, "", {})
    verdict = judge_source(
        guard, identity=identity, version=session.facts.version, high_marks=marks
    )
    if state == Verdict.RESTORED and verdict in (Verdict.OK, Verdict.REPROBE):
        return Verdict.RESTORED  # keys may have grown past the marks again: a person's
    merged = merge_marks(marks, guard.high_marks)
    stored = verdict.value if verdict is Verdict.RESTORED else Verdict.OK.value
    changed = identity is None or merged != marks or stored != state
    if changed and verdict in (Verdict.OK, Verdict.RESTORED):
        with journal.turn() as turn:
            turn.set_source(identity or guard.identity, stored, merged)
    return verdict


def accept_source(reader: PmsReader, journal: Journal) -> None:
    """A person says that the restored (or replaced) database is right: take its marks as they are,
    prove every chunk again. Deletions this reveals still pass the brake."""
    guard = reader.guard()
    with journal.turn() as turn:
        turn.set_source(guard.identity, Verdict.OK.value, guard.high_marks)
        turn.due_all_chunks(None)
        turn.audit("source.accepted", {"version": guard.version})
