"""Compute the one status snapshot from the journal and the running engine. Decides nothing.

Imports agent.model, agent.journal and agent.sync; never drivers, crm or the gui.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from agent import __version__
from agent.journal.journal import Journal
from agent.journal.reads import Reads
from agent.journal.rows import Numbers, StreamCount
from agent.journal.snapshot import status_snapshot, visiting
from agent.model.commands import CommandType
from agent.model.reading import Finding, Severity
from agent.model.status import LoadStatus, Report, Snapshot, StreamStatus, overall
from agent.model.writing import Heartbeat
from agent.ports import Clock
from agent.sync.engine import Engine
from agent.sync.proofs import last_full, last_lines, proof_findings

__all__ = ["Report", "heartbeat", "iso", "offline_report", "read_report", "report", "take_snapshot"]

OVERDUE_GRACE = timedelta(seconds=60)  # a chunk is visited when due, not the instant it is due
REFUSALS_SHOWN = timedelta(hours=24)
STALE_S = 10.0  # a running agent rewrites its status every second


def iso(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def age_s(now: datetime, then: datetime | None) -> float | None:
    return None if then is None else max((now - then).total_seconds(), 0.0)


def trouble(engine: Engine) -> tuple[Finding, ...]:
    """What a person must know now: brakes that hold, a journal that cannot write."""
    braked = tuple(
        Finding("guard.mass_change", Severity.ERROR, {"stream": stream.value})
        for stream in sorted(engine.brakes.on)
    )
    if engine.journal_code is None:
        return braked
    return (Finding(engine.journal_code, Severity.ERROR), *braked)


def refused_lately(journal: Reads, now: datetime) -> tuple[Finding, ...]:
    """Envelopes of the last 24 hours that were not believed: one finding a code."""
    refused = journal.refused_since(now - REFUSALS_SHOWN)
    return tuple(
        Finding("envelope.refused", Severity.WARNING, {"count": count, "why": code})
        for code, count in sorted(refused.items())
    )


def take_snapshot(
    engine: Engine, journal: Journal, clock: Clock, *, pms_kind: str, findings: tuple[Finding, ...]
) -> Snapshot:
    """Everything a person may be told, from one moment."""
    now, mono = clock.now(), clock.mono()
    numbers = journal.numbers(now - OVERDUE_GRACE)
    session = engine.session
    line = engine.dispatcher.line
    crm_code = line.error.code if line.error is not None else None
    progress = session.load.progress if session else None
    load = None
    if progress is None or not progress.done:
        load = LoadStatus(
            phase=progress.phase if progress else "probing",
            loaded_rows=progress.loaded_rows if progress else 0,
            total_rows=progress.total_rows if progress else 0,
            eta_s=progress.eta_s(mono) if progress else None,
            resumed_rows=progress.resumed_rows if progress else 0,
        )
    written = engine.dispatcher.last_write_at
    proof = last_full(journal)
    return Snapshot(
        taken_at=iso(now) or "",
        agent_version=__version__,
        is_set_up=True,
        is_running=True,
        paused_until=iso(engine.paused_until),
        pms_kind=pms_kind,
        pms_version=session.facts.version if session else "",
        pms_error=engine.pms.code,
        pms_error_s=mono - engine.pms.since_mono if engine.pms.code else 0.0,
        crm_error=crm_code,
        crm_error_s=mono - line.since_mono if line.since_mono is not None else 0.0,
        last_read_at=iso(engine.pms.read_at),
        last_write_at=iso(written),
        oldest_unsent_s=age_s(now, numbers.oldest_unsent_at),
        oldest_unverified_s=age_s(now, numbers.oldest_unverified_at),
        overdue_chunks=numbers.chunks_overdue,
        open_conflicts=numbers.open_conflicts,
        conflict_records=numbers.conflict_records,
        parked=numbers.parked,
        pending=numbers.pending_operations,
        load=load,
        streams=_streams(journal.stream_counts(), engine),
        findings=(
            *findings,
            *(session.findings if session else ()),
            *trouble(engine),
            *refused_lately(journal, now),
            *proof_findings(last_lines(journal).values(), proof, now, is_loaded=load is None),
        ),
        tasks_open=numbers.tasks_open,
        suspects=numbers.suspects,
        effects_unknown=numbers.effects_unknown,
        proof=proof,
    )


def _streams(counts: list[StreamCount], engine: Engine) -> tuple[StreamStatus, ...]:
    expected = {}
    if engine.session is not None:
        expected = {s: e for s, (_, e) in engine.session.load.progress.by_stream.items()}
    return tuple(
        StreamStatus(c.stream, c.present, c.agreed, c.waiting, c.parked, expected.get(c.stream, 0))
        for c in counts
    )


def report(snapshot: Snapshot, *, pid: int, now: datetime) -> Report:
    read_at = snapshot.last_read_at
    read_age = age_s(now, datetime.fromisoformat(read_at)) if read_at else None
    return Report(overall(snapshot, read_age_s=read_age), pid, iso(now) or "", snapshot)


def heartbeat(
    snapshot: Snapshot,
    journal: Journal,
    numbers: Numbers,
    *,
    capabilities: Sequence[CommandType] = (),
    booking_suspended: str | None = None,
) -> Heartbeat:
    """What the CRM hears of us."""
    return Heartbeat(
        agent_version=snapshot.agent_version,
        pms_kind=snapshot.pms_kind,
        pms_version=snapshot.pms_version,
        journal_uuid=journal.uuid,
        epoch=journal.epoch,
        last_read_at=snapshot.last_read_at,
        last_write_at=snapshot.last_write_at,
        oldest_unsent_s=snapshot.oldest_unsent_s,
        oldest_unverified_s=snapshot.oldest_unverified_s,
        open_conflicts=snapshot.open_conflicts,
        parked=snapshot.parked,
        pending_batches=numbers.pending_batches,
        audit_head=journal.audit_head(),
        capabilities=tuple(sorted(capabilities)),
        booking_suspended=booking_suspended,
        proof=snapshot.proof,
    )


def read_report(path: Path, now: datetime) -> Report | None:
    """The last report a running agent wrote, or None if there is none or it is stale."""
    try:
        written = msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.DecodeError):
        return None
    age = age_s(now, datetime.fromisoformat(written.written_at))
    return written if age is not None and age <= STALE_S else None


def offline_report(journal_file: Path, now: datetime, *, pms_kind: str, is_set_up: bool) -> Report:
    """What can be said while no agent runs: read-only from the journal, never green."""
    seen = refused = held = proof = None
    if journal_file.exists():
        seen = status_snapshot(journal_file, now)
        with visiting(journal_file) as (_, visitor):
            proof = last_full(visitor)
            refused = (
                *refused_lately(visitor, now),
                *proof_findings(last_lines(visitor).values(), proof, now, is_loaded=True),
            )
        held = seen.marks.get("booking:suspended")  # as agent.sync.safety keeps it
    snapshot = Snapshot(
        taken_at=iso(now) or "",
        agent_version=__version__,
        is_set_up=is_set_up,
        is_running=False,
        paused_until=None,
        pms_kind=pms_kind,
        pms_version="",
        pms_error=None,
        pms_error_s=0.0,
        crm_error=None,
        crm_error_s=0.0,
        last_read_at=None,
        last_write_at=None,
        oldest_unsent_s=age_s(now, seen.numbers.oldest_unsent_at) if seen else None,
        oldest_unverified_s=age_s(now, seen.numbers.oldest_unverified_at) if seen else None,
        overdue_chunks=seen.numbers.chunks_overdue if seen else 0,
        open_conflicts=seen.numbers.open_conflicts if seen else 0,
        conflict_records=seen.numbers.conflict_records if seen else 0,
        parked=seen.numbers.parked if seen else 0,
        pending=seen.numbers.pending_operations if seen else 0,
        load=None,
        streams=tuple(
            StreamStatus(c.stream, c.present, c.agreed, c.waiting, c.parked)
            for c in (seen.streams if seen else ())
        ),
        tasks_open=seen.numbers.tasks_open if seen else 0,
        suspects=seen.numbers.suspects if seen else 0,
        effects_unknown=seen.numbers.effects_unknown if seen else 0,
        findings=refused or (),
        booking_suspended=msgspec.json.decode(held)["code"] if held else "",
        booking_held=bool(held),
        proof=proof,
    )
    return report(snapshot, pid=0, now=now)
