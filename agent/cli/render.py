"""Status in words and tables for a console. Reads snapshots only."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from agent.cli import speech
from agent.model.proof import FullProof
from agent.model.reading import Finding, Severity
from agent.model.status import FATAL, Report, Snapshot, State
from agent.model.streams import Stream

_REMEDIES = {
    State.NOT_SET_UP: "Set it up: bridgework setup",
    State.UNREACHABLE: "Start it: bridgework run",
}
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
_SUSPENDED = "Booking is suspended"
WIDTH = 100
MARKS = {
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


def ago(moment: str | None, now: datetime | None = None, *, never: str = "never") -> str:
    if moment is None:
        return never
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
    return f"{_headline(report)}, {s.pending} waiting, read {ago(s.last_read_at)}"


def status_text(report: Report) -> str:
    """The whole status for ``bridgework status``."""
    s = report.snapshot
    suspended = _suspension(s)
    is_all = suspended and _headline(report) == _SUSPENDED  # nothing else waits for anybody
    head = [] if is_all else [f"{_headline(report)}{_what_to_do(report.state)}"]
    lines = [*head, *suspended, ""]
    numbers = [
        ("Oldest change not sent yet", span(s.oldest_unsent_s)),
        ("Oldest proof of equality", _proof(s.oldest_unverified_s)),
        ("Open conflicts", f"{s.open_conflicts:,}"),
        ("Parked records", f"{s.parked:,}"),
    ]
    if s.is_running:
        numbers += [
            ("Last read from the practice", ago(s.last_read_at)),
            ("Last write to the CRM", ago(s.last_write_at, never="none since the agent started")),
        ]
    numbers.append(("Last full proof of equality", full_proof(s.proof)))
    numbers.append(("Practice system", f"{s.pms_kind} {s.pms_version}".strip()))
    if s.safety_mode != "normal":
        numbers.append(("Writing to the practice", f"limited: {s.safety_mode} (safety show)"))
    lines += [f"  {name:<29}{value}" for name, value in numbers]
    if s.load is not None:
        lines += ["", f"  {progress_line(report)}"]
    if s.streams:
        lines += ["", *stream_table(s.streams, ("present", "agreed", "waiting", "parked"))]
    codes = [code for code in (s.pms_error, s.crm_error) if code]
    trouble = [
        *(Finding(c, Severity.ERROR if c in FATAL else Severity.WARNING) for c in codes),
        *(f for f in s.findings if f.severity in {Severity.WARNING, Severity.ERROR}),
    ]
    if trouble:
        lines += ["", *findings_lines(trouble)]
    waiting = [
        (s.open_conflicts, "conflict", "conflicts", "conflicts list"),
        (s.suspects, "person to match", "people to match", "match list"),
        (s.tasks_open, "desk task", "desk tasks", "tasks list"),
        (s.effects_unknown, "write of unknown outcome", "writes of unknown outcome",
         "commands list --state unknown"),
        (s.parked, "parked record", "parked records", "parked list"),
    ]  # fmt: skip
    if s.to_review:
        lines += ["", "  Waiting for a person:"]
        for count, one, many, command in waiting:
            if count:
                what = f"{count:,} {one if count == 1 else many}"
                lines.append(f"    {what:<28}bridgework {command}")
    return "\n".join(lines)


class Counted(Protocol):
    """A line of a stream table."""

    @property
    def stream(self) -> Stream: ...


def stream_table(lines: Sequence[Counted], columns: Sequence[str]) -> list[str]:
    """Counts by stream, with their totals; ``columns`` are attributes of the lines."""
    totals = [sum(getattr(line, name) for line in lines) for name in columns]
    widths = [
        max(len(name), len(f"{total:,}")) + 3 for name, total in zip(columns, totals, strict=True)
    ]

    def row(name: str, counts: Sequence[int]) -> str:
        cells = (f"{n:>{width},}" for n, width in zip(counts, widths, strict=True))
        return f"  {name:<17}" + "".join(cells)

    names = ("records" if name == "present" else name for name in columns)
    heads = (f"{name:>{width}}" for name, width in zip(names, widths, strict=True))
    return [
        f"  {'stream':<17}" + "".join(heads),
        *(row(line.stream.value, [getattr(line, name) for name in columns]) for line in lines),
        row("all", totals),
    ]


def _title(code: str) -> str:
    return speech.catalogue().render(code).title.rstrip(".")


def _headline(report: Report) -> str:
    until = report.snapshot.paused_until
    if report.state is State.PAUSED and until is not None:
        return f"Paused until {datetime.fromisoformat(until).astimezone():%H:%M on %d %b}"
    if report.state is State.NEEDS_REVIEW and not report.snapshot.to_review:
        return _SUSPENDED
    return _HEADLINES[report.state]


def _suspension(s: Snapshot) -> list[str]:
    """Under the headline: whatever agrees, nobody can book."""
    if not s.booking_suspended:
        return []
    end = (
        "Offer it again: bridgework safety clear"
        if s.booking_held
        else "It is on offer again by itself once that is over."
    )
    return wrapped(f"{_SUSPENDED}: {_title(s.booking_suspended)}. {end}", "", "  ")


def _proof(age_s: float | None) -> str:
    return "none" if age_s is None else f"{span(age_s)} ago"


def full_proof(proof: FullProof | None) -> str:
    """When everything was last proven equal on both sides, of how many records, with what hash."""
    if proof is None:
        return "none yet"
    ignored = f", {proof.excepted:,} left aside" if proof.excepted else ""
    at = f"{proof.at.astimezone():%d %b %H:%M}"
    return f"{at}, {proof.rows:,} records{ignored}, {proof.root[:12]}"


def _what_to_do(state: State) -> str:
    return f". {_REMEDIES[state]}" if state in _REMEDIES else ""


def findings_lines(
    findings: Sequence[Finding], *, indent: int = 2, alike: int | None = None
) -> list[str]:
    """A line per finding that is well; for others what stopped, its effect, the next step.

    ``alike``: so many of one code are shown in full, the rest of it as a count.
    """
    catalogue = speech.catalogue()
    steps = max((len(str(f.facts.get("step", ""))) for f in findings), default=0)
    lines = []
    counts = Counter(f.code for f in findings)
    told: Counter[str] = Counter()
    for finding in findings:
        told[finding.code] += 1
        if alike is not None and told[finding.code] > alike:
            if told[finding.code] == alike + 1:
                more = counts[finding.code] - alike
                lines.append(f"{'':<{indent + 6}}and {more} more of [{finding.code}]")
            continue
        text = catalogue.render(finding.code, finding.facts)
        step = f"{finding.facts.get('step', ''):<{steps + 2}}" if steps else ""
        head = f"{'':<{indent}}{MARKS[finding.severity]:<6}{step}"
        below = " " * len(head)
        if finding.severity is Severity.OK:
            lines.append(f"{head}{text.title}")
            continue
        lines += wrapped(f"{text.title}  [{finding.code}]", head, below)
        lines += wrapped(text.body, below, below)
        if text.next_step:
            lines += wrapped(f"Next: {text.next_step}", below, below)
    return lines


def wrapped(text: str, first: str, rest: str) -> list[str]:
    """Folded at 100 columns; commands and paths are never broken inside."""
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=rest,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
