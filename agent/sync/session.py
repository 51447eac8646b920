"""One probed source: facts, compiled map, and the lanes' objects built on them.

When the PMS is upgraded or its schema drifts, the session is thrown away and a new one is made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import msgspec
import structlog

from agent.errors import PmsDrift
from agent.journal.journal import Journal
from agent.model.reading import Finding, Severity, SourceFacts
from agent.model.streams import Stream
from agent.ports import Clock, PmsReader, PmsSource
from agent.sync.capture import Capture
from agent.sync.datamap import DataMap
from agent.sync.guards import Verdict, judge_source, marks_of, merge_marks
from agent.sync.keysets import KeySets
from agent.sync.load import Load
from agent.sync.narrowing import Bound, narrowed
from agent.sync.pace import Pace, Paces
from agent.sync.polling import Polls
from agent.sync.streammap import StreamMap
from agent.sync.sweep import Rotation, Sweep
from agent.sync.watch import KEY_TAIL, TAIL, Watch

log = structlog.get_logger(__name__)

FIRST_PAGE_ROWS = 250  # before anything is known of what a row costs
ALWAYS = frozenset({Stream.PATIENT, Stream.APPOINTMENT})  # no practice is without
BEFORE_ACCEPTED = "effects_before_accepted"  # mark: the last effect planned for an older database
_BOUND = "bound:"  # journal marks: what each stream was last read with


@dataclass(frozen=True, slots=True)
class Tuning:
    """The settings the engine obeys. Seconds, rows, shares of one."""

    zone: str = ""
    gate_s: float = 0.05
    overlap_s: float = 1200.0
    rotation: Rotation = Rotation(600.0, 3600.0, 86400.0)  # noqa: RUF009 (frozen)
    page_rows: int = 1000
    page_ms: float = 6.0
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
    key_sets_s: float = 60.0


@dataclass(slots=True)
class Session:
    """Valid for one probe of the source."""

    facts: SourceFacts
    maps: dict[Stream, StreamMap]
    findings: tuple[Finding, ...]
    watch: Watch
    load: Load
    sweep: Sweep
    key_sets: KeySets
    held: frozenset[Stream]  # not read now: the site offers less of them than before
    opened_mono: float
    watching: bool = False


def open_session(
    source: PmsSource,
    datamap: DataMap,
    journal: Journal,
    capture: Capture,
    clock: Clock,
    tuning: Tuning,
    rest: Callable[[float], bool],
    believe: Callable[[PmsReader], None],
) -> Session:
    """Probe, compile the map against the live schema, bind. Raises Pms errors; PmsDrift if nothing
    readable is left."""
    facts = source.probe()
    zone = tuning.zone or facts.zone
    rotation = replace(tuning.rotation, zone=ZoneInfo(zone))
    compiled = datamap.compile(facts, zone=zone, carry_unknown=tuning.carry_unknown)
    maps = {stream: compiled.streams[stream] for stream in Stream if stream in compiled.streams}
    if not maps:
        raise PmsDrift("pms.schema_unknown", version=facts.version)
    for stream, mapped in maps.items():
        source.bind(stream, mapped.columns)
    held, findings = _hold_back(journal, datamap, facts, maps)
    for stream in held:
        maps.pop(stream, None)
    # Records are held of it, or every practice has some, and the site has no such table just now:
    # it may come back.
    known = {count.stream for count in journal.stream_counts() if count.present} | ALWAYS
    held |= (known & {*datamap.streams}) - {*maps}
    for stream, mapped in maps.items():
        source.bind(stream, mapped.columns)

    def paces(duty: float) -> Paces:
        rows, ceiling = min(FIRST_PAGE_ROWS, tuning.page_rows), tuning.page_rows
        return Paces(lambda: Pace(rows, tuning.page_ms, duty, ceiling_rows=ceiling))

    log.info("session.opened", streams=len(maps), findings=len(compiled.findings))
    return Session(
        facts=facts,
        maps=maps,
        findings=(*facts.findings, *compiled.findings, *findings),
        held=held,
        opened_mono=clock.mono(),
        watch=Watch(
            journal,
            capture,
            clock,
            facts,
            maps,
            overlap_s=tuning.overlap_s,
            polls=Polls(journal, clock, facts, maps, zone=zone, days=tuning.window_days),
            believe=believe,
        ),
        load=Load(
            journal,
            capture,
            clock,
            facts,
            maps,
            paces(tuning.load_duty),
            rotation=rotation,
            window_days=tuning.window_days,
            rest=rest,
            believe=believe,
        ),
        sweep=Sweep(
            journal,
            capture,
            clock,
            rotation,
            facts,
            paces(tuning.sweep_duty),
            tuning.sweep_duty,
            rest,
            believe,
        ),
        key_sets=KeySets(
            journal,
            capture,
            clock,
            facts,
            maps,
            every_s=tuning.key_sets_s,
            duty=tuning.sweep_duty,
            rest=rest,
            believe=believe,
        ),
    )


def _hold_back(
    journal: Journal, datamap: DataMap, facts: SourceFacts, maps: Mapping[Stream, StreamMap]
) -> tuple[frozenset[Stream], tuple[Finding, ...]]:
    """Compare with what each stream was last read with; remember what is read now."""
    rows = hashlib.sha256(repr(datamap.rows).encode()).hexdigest()[:16]
    basis = f"{facts.version}|{rows}"
    before = {
        Stream(name.removeprefix(_BOUND)): msgspec.json.decode(text, type=Bound)
        for name, text in journal.marks(_BOUND).items()
        if text
    }
    now = {stream: Bound.of(basis, mapped.columns) for stream, mapped in maps.items()}
    lost = narrowed(before, now, basis)
    with journal.turn() as turn:
        for stream, bound in now.items():
            if stream in lost or before.get(stream) == bound:
                continue
            fingerprint = hashlib.sha256("|".join(bound.columns).encode()).hexdigest()[:32]
            turn.remember_schema(facts.version, f"{stream.value}:{fingerprint}", "mapped")
            if stream in before:
                # Other columns mean other row hashes: every chunk has to be proven again.
                turn.due_all_chunks(stream)
            turn.set_mark(_BOUND + stream.value, msgspec.json.encode(bound).decode())
        for stream in lost:
            turn.note("pms.stream_held", stream, len(lost[stream]))
    for stream, columns in lost.items():
        log.warning("session.held", stream=stream.value, columns=len(columns))
    return frozenset(lost), tuple(
        Finding(
            "pms.stream_held",
            Severity.ERROR,
            {"stream": stream.value, "columns": len(columns), "first": columns[0]},
        )
        for stream, columns in lost.items()
    )


def check_source(reader: PmsReader, journal: Journal, session: Session, *, sure: bool) -> Verdict:
    """Compare the guard with what the journal remembers; remember the new high marks.

    ``sure``: a doubt is remembered until a person decides. Otherwise it may pass by itself: a
    MyISAM table that crashed shows too few keys until the server has mended it.
    """
    known = journal.source()
    identity, state, marks = known if known is not None else (None, "", {})
    # The log tails are newer than the last stored marks: a backup restored between two looks at
    # the guard still shows as a log that became shorter.
    read = {table: mark for table, mark in session.watch.marks.items() if table in marks}
    marks = merge_marks(marks, read)
    # Last: another lane may read on meanwhile; what it has read is no sign of an older database.
    guard = reader.guard()
    verdict = judge_source(
        guard, identity=identity, version=session.facts.version, high_marks=marks
    )
    if state == Verdict.RESTORED and verdict in (Verdict.OK, Verdict.REPROBE):
        return Verdict.RESTORED  # keys may have grown past the marks again: a person's
    merged = marks_of(guard, marks)
    doubted = verdict is Verdict.RESTORED
    stored = verdict.value if doubted else Verdict.OK.value
    changed = identity is None or merged != marks or stored != state
    if changed and (verdict is Verdict.OK or (doubted and sure)):
        with journal.turn() as turn:
            turn.set_source(identity or guard.identity, stored, merged)
    return verdict


def accept_source(reader: PmsReader, journal: Journal) -> None:
    """A person says that the restored (or replaced) database is right: take its marks as they are,
    prove every chunk again. Deletions this reveals still pass the brake."""
    guard = reader.guard()
    with journal.turn() as turn:
        turn.set_source(guard.identity, Verdict.OK.value, marks_of(guard, {}))
        turn.due_all_chunks(None)
        # How far logs and keys were read says nothing about another (or older) database.
        for prefix in (_BOUND, TAIL, KEY_TAIL):
            for name in journal.marks(prefix):
                turn.set_mark(name, "")
        # Nor does the floor of a write that is still open: its record's key may lie below it.
        for newest in journal.effects_recent(1):
            turn.set_mark(BEFORE_ACCEPTED, str(newest.number))
        turn.audit("source.accepted", {"version": guard.version})
