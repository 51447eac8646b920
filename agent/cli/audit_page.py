"""A comparison of both sides as a table and a verdict for a console. Pure."""

from __future__ import annotations

from datetime import datetime

from agent.cli import speech
from agent.cli.render import findings_lines, full_proof, span, wrapped
from agent.model.proof import Audit, Basis, Standing, StreamProof
from agent.model.quality import QualityReport

_COLUMNS = ("records", "at CRM", "missing", "different", "extra", "waiting", "repaired")
_WORDS = {
    Standing.EQUAL: "equal",
    Standing.WAITING: "on its way",
    Standing.DIFFERS: "DIFFERS",
    Standing.SKIPPED: "SKIPPED",
}


def audit_text(found: Audit, now: datetime) -> str:
    """Table, verdict, and what stopped where something did."""
    lines = [
        f"  {'stream':<17}" + "".join(f"{name:>11}" for name in _COLUMNS) + "  practice proven",
        *(_row(line, now) for line in found.lines),
        _totals(found),
        "",
        *_verdict(found),
    ]
    return "\n".join(lines)


def _row(line: StreamProof, now: datetime) -> str:
    counts = [_count(n) for n in _counts(line)]
    if line.standing is Standing.SKIPPED:
        counts = [_count(line.records or None), *("-" for _ in _COLUMNS[1:])]
    age = "-" if line.proven_at is None else f"{span((now - line.proven_at).total_seconds())} ago"
    cells = "".join(f"{count:>11}" for count in counts)
    return f"  {line.stream.value:<17}{cells}  {age:<16} {_WORDS[line.standing]}"


def _counts(line: StreamProof) -> tuple[int | None, ...]:
    return (
        line.records,
        line.at_crm,
        line.missing,
        line.different,
        line.extra,
        line.waiting,
        line.repaired,
    )


def _totals(found: Audit) -> str:
    sums = [sum(n or 0 for n in column) for column in zip(*map(_counts, found.lines), strict=True)]
    return f"  {'all':<17}" + "".join(f"{total:>11,}" for total in sums)


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _verdict(found: Audit) -> list[str]:
    of = "its contents, hashed now" if found.basis is Basis.CONTENT else "the sums it keeps"
    took = f"({span(found.took_s)}; the CRM answered from {of})"
    if found.proof is not None:
        return [f"Both sides are equal {took}.", f"  full proof  {full_proof(found.proof)}"]
    if found.is_equal:
        waiting = sum(line.waiting for line in found.lines)
        but = f", but for {waiting:,} records on their way or set aside" if waiting else ""
        return [f"Both sides are equal{but} {took}."]
    lines = [f"Both sides are NOT equal {took}:"]
    catalogue = speech.catalogue()
    for line in found.lines:
        if line.standing is Standing.SKIPPED:
            why = catalogue.render(line.why, {"stream": line.stream.value}).title
            lines += wrapped(f"{line.stream.value} was skipped: {why} [{line.why}]", "  ", "    ")
        elif line.standing is Standing.DIFFERS:
            lines.append(f"  {line.stream.value}: {line.wrong:,} wrong, {line.repaired:,} repaired")
    if any(line.standing is Standing.DIFFERS for line in found.lines):
        lines.append("Next: bridgework audit compare --repair (with --many for more than a little)")
    return lines


_SHOWN_KEYS = 8


def quality_text(report: QualityReport) -> str:
    """What was found first, then what was fine, then what was not looked at."""
    lines = []
    for rule in sorted(report.rules, key=lambda rule: -rule.count):
        if not rule.count:
            continue
        lines.append(f"  {rule.count:>8,}  {rule.title()}  [{rule.code}]")
        more = ", ..." if rule.count > len(rule.keys[:_SHOWN_KEYS]) else ""
        if rule.keys:
            shown = ", ".join(rule.keys[:_SHOWN_KEYS])
            lines.append(f"            {rule.stream.value} {shown}{more}")
    rows, fine = sum(report.rows.values()), sum(not rule.count for rule in report.rules)
    lines.insert(0, f"{report.found:,} to look at, in {rows:,} records ({span(report.took_s)}):")
    if not report.found:
        lines = [f"Nothing to look at, in {rows:,} records ({span(report.took_s)})."]
    lines += ["", f"  {fine} of {len(report.rules)} rules found nothing."]
    if report.skipped:
        names = ", ".join(stream.value for stream in report.skipped)
        lines += wrapped(f"Not looked at, because no agent reads the practice: {names}", "  ", "  ")
    return "\n".join([*lines, *findings_lines(report.problems)])
