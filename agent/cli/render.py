"""Status in words and tables for a console. Reads snapshots only."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from agent.cli import speech
from agent.cli.speech import say
from agent.model.proof import FullProof
from agent.model.reading import Finding, Severity
from agent.model.status import FATAL, Report, Snapshot, State
from agent.model.streams import Stream

_REMEDIES = frozenset({State.NOT_SET_UP, State.UNREACHABLE})
WIDTH = 100


def mark(severity: Severity) -> str:
    return say(f"finding.{severity.value}")


def span(seconds: float | None) -> str:
    """A duration a person reads at a glance."""
    if seconds is None:
        return say("number.none")
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def ago(moment: str | None, now: datetime | None = None, *, never: str = "") -> str:
    if moment is None:
        return never or say("number.never")
    age = (now or datetime.now(UTC)) - datetime.fromisoformat(moment)
    return say("number.ago", span=span(max(age.total_seconds(), 0.0)))


def progress_line(report: Report) -> str:
    """One line for a running console."""
    s = report.snapshot
    if s.load is not None and s.load.total_rows:
        share = min(s.load.loaded_rows / s.load.total_rows, 1.0)
        eta_s = s.load.eta_s
        return say(
            "progress.loading",
            phase=s.load.phase,
            done=s.load.loaded_rows,
            total=s.load.total_rows,
            share=f"{share:.0%}",
            eta=say("progress.eta", span=span(eta_s)) if eta_s is not None else "",
        )
    head, read = _headline(report), ago(s.last_read_at)
    return say("progress.line", head=head, pending=s.pending, read=read)


def status_text(report: Report) -> str:
    """The whole status for ``bridgework status``."""
    s = report.snapshot
    suspended = _suspension(s)
    # Nothing else waits for anybody: then it is said once.
    is_all = suspended and _headline(report) == say("head.suspended")
    head = [] if is_all else [f"{_headline(report)}{_what_to_do(report.state)}"]
    lines = [*head, *suspended, ""]
    numbers = [
        ("unsent", span(s.oldest_unsent_s)),
        ("proof", _proof(s.oldest_unverified_s)),
        ("conflicts", f"{s.open_conflicts:,}"),
        ("parked", f"{s.parked:,}"),
    ]
    if s.is_running:
        numbers += [
            ("read", ago(s.last_read_at)),
            ("write", ago(s.last_write_at, never=say("number.not_written"))),
        ]
    numbers.append(("full", full_proof(s.proof)))
    if s.is_set_up:
        numbers.append(("pms", f"{s.pms_kind} {s.pms_version}".strip()))
    if s.safety_mode != "normal":
        numbers.append(("writing", say("number.limited", mode=s.safety_mode)))
    titled = [(say(f"number.{name}"), value) for name, value in numbers]
    width = max(len(title) for title, _ in titled) + 2
    lines += [f"  {title:<{width}}{value}" for title, value in titled]
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
        (s.open_conflicts, "conflicts", "conflicts list"),
        (s.suspects, "people", "match list"),
        (s.tasks_open, "tasks", "tasks list"),
        (s.effects_unknown, "unknown", "commands list --state unknown"),
        (s.parked, "parked", "parked list"),
    ]
    if s.to_review:
        lines += ["", f"  {say('waits.title')}"]
        lines += [
            f"    {say(f'waits.{kind}', n=count):<28}bridgework {command}"
            for count, kind, command in waiting
            if count
        ]
    return "\n".join(lines)


class Counted(Protocol):
    """A line of a stream table."""

    @property
    def stream(self) -> Stream: ...


def stream_table(lines: Sequence[Counted], columns: Sequence[str]) -> list[str]:
    """Counts by stream, with their totals; ``columns`` are attributes of the lines."""
    totals = [sum(getattr(line, name) for line in lines) for name in columns]
    names = [say(f"table.{name}") for name in columns]
    widths = [
        max(len(name), len(f"{total:,}")) + 3 for name, total in zip(names, totals, strict=True)
    ]

    def row(name: str, counts: Sequence[int]) -> str:
        cells = (f"{n:>{width},}" for n, width in zip(counts, widths, strict=True))
        return f"  {name:<17}" + "".join(cells)

    heads = (f"{name:>{width}}" for name, width in zip(names, widths, strict=True))
    return [
        f"  {say('table.stream'):<17}" + "".join(heads),
        *(row(line.stream.value, [getattr(line, name) for name in columns]) for line in lines),
        row(say("table.all"), totals),
    ]


def _title(code: str) -> str:
    return speech.catalogue().render(code).title.rstrip(".")


def _headline(report: Report) -> str:
    until = report.snapshot.paused_until
    if report.state is State.PAUSED and until is not None:
        moment = datetime.fromisoformat(until).astimezone()
        return say("head.paused_until", until=f"{moment:%d %b %H:%M}")
    if report.state is State.NEEDS_REVIEW and not report.snapshot.to_review:
        return say("head.suspended")
    return say(f"head.{report.state.value}")


def _suspension(s: Snapshot) -> list[str]:
    """Under the headline: whatever agrees, nobody can book."""
    if not s.booking_suspended:
        return []
    end = say("do.held" if s.booking_held else "do.by_itself")
    head = say("head.suspended")
    return wrapped(f"{head}: {_title(s.booking_suspended)}. {end}", "", "  ")


def _proof(age_s: float | None) -> str:
    return say("number.none") if age_s is None else say("number.ago", span=span(age_s))


def full_proof(proof: FullProof | None) -> str:
    """When everything was last proven equal on both sides, of how many records, with what hash."""
    if proof is None:
        return say("number.none_yet")
    return say(
        "number.full_proof",
        at=f"{proof.at.astimezone():%d %b %H:%M}",
        rows=proof.rows,
        ignored=say("number.ignored", count=proof.excepted) if proof.excepted else "",
        root=proof.root[:12],
    )


def _what_to_do(state: State) -> str:
    return f". {say(f'do.{state.value}')}" if state in _REMEDIES else ""


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
                told_more = say("finding.more", n=more, code=finding.code)
                lines.append(f"{'':<{indent + 6}}{told_more}")
            continue
        text = catalogue.render(finding.code, finding.facts)
        step = f"{finding.facts.get('step', ''):<{steps + 2}}" if steps else ""
        head = f"{'':<{indent}}{mark(finding.severity):<6}{step}"
        below = " " * len(head)
        if finding.severity is Severity.OK:
            lines.append(f"{head}{text.title}")
            continue
        lines += wrapped(f"{text.title}  [{finding.code}]", head, below)
        lines += wrapped(text.body, below, below)
        if text.next_step:
            lines += wrapped(say("finding.next", step=text.next_step), below, below)
    return lines


def wrapped(text: str, first: str, rest: str) -> list[str]:
    """Folded at 100 columns; commands and paths are never broken inside."""
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=rest,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
