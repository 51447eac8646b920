"""Status in words and tables for a console. Reads snapshots only."""

from __future__ import annotations

from datetime import UTC, datetime

from agent.model.reading import Finding, Severity
from agent.model.status import Snapshot, State
from agent.support.health import Report
from agent.support.messages import Catalogue

_HEADLINES = {
    State.NOT_SET_UP: "Not set up yet",
    State.ACTION_NEEDED: "A person must act",
    State.UNREACHABLE: "The agent is not running",
    State.OFFLINE: "Waiting for the line",
    State.PAUSED: "Paused",
    State.NEEDS_REVIEW: "Some records need review",
    State.SYNCING: "Syncing",
    State.BEHIND: "Running behind",
    State.UP_TO_DATE: "Up to date",
}
_MARKS = {
    Severity.OK: "ok",
    Severity.NOTE: "note",
    Severity.WARNING: "warn",
    Severity.ERROR: "FAIL",
}


def span(seconds: float | None) -> str:
    """A duration a person reads at a glance."""
    if seconds is None:
        return "none"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def ago(moment: str | None, now: datetime | None = None) -> str:
    if moment is None:
        return "never"
    age = (now or datetime.now(UTC)) - datetime.fromisoformat(moment)
    return f"{span(max(age.total_seconds(), 0.0))} ago"


def progress_line(report: Report) -> str:
    """One line for a running console."""
    s = report.snapshot
    if s.load is not None and s.load.total_rows:
        share = min(s.load.loaded_rows / s.load.total_rows, 1.0)
        eta = f", about {span(s.load.eta_s)} left" if s.load.eta_s is not None else ""
        done = f"{s.load.loaded_rows:,} of {s.load.total_rows:,}"
        return f"Loading {s.load.phase}: {done} ({share:.0%}{eta})"
    return f"{_HEADLINES[report.state]}, {s.pending} waiting, read {ago(s.last_read_at)}"


def status_text(report: Report) -> str:
    """The whole status for ``bridgework status``."""
    s = report.snapshot
    lines = [f"{_HEADLINES[report.state]}{_because(s)}", ""]
    numbers = (
        ("Oldest unsent change", span(s.oldest_unsent_s)),
        ("Oldest unproven chunk", span(s.oldest_unverified_s)),
        ("Open conflicts", str(s.open_conflicts)),
        ("Parked records", str(s.parked)),
        ("Last read from the practice", ago(s.last_read_at)),
        ("Last write to the CRM", ago(s.last_write_at)),
        ("Practice system", f"{s.pms_kind} {s.pms_version}".strip()),
    )
    lines += [f"  {name:<29}{value}" for name, value in numbers]
    if s.load is not None:
        lines += ["", f"  {progress_line(report)}"]
    if s.streams:
        lines += ["", f"  {'stream':<17}{'records':>10}{'agreed':>10}{'waiting':>9}{'parked':>8}"]
        lines += [
            f"  {t.stream.value:<17}{t.present:>10,}{t.agreed:>10,}{t.waiting:>9,}{t.parked:>8,}"
            for t in s.streams
        ]
    shown = [f for f in s.findings if f.severity is not Severity.OK]
    if shown:
        lines += ["", *findings_lines(shown)]
    return "\n".join(lines)


def findings_lines(findings: list[Finding]) -> list[str]:
    """One block per finding: mark, what, what to do next."""
    catalogue = Catalogue.load()
    lines = []
    for finding in findings:
        text = catalogue.render(finding.code, finding.facts)
        lines.append(f"  {_MARKS[finding.severity]:<5}{text.title}  [{finding.code}]")
        if finding.severity is not Severity.OK:
            lines += [f"       {part}" for part in (text.body, text.next_step) if part]
    return lines


def _because(s: Snapshot) -> str:
    code = s.pms_error or s.crm_error
    return f" ({code})" if code else ""
