"""What the last comparisons with the CRM found, as the journal keeps it (marks), and when the next
full one is due. No I/O but marks.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from agent.journal.reads import Reads
from agent.journal.turn import Turn
from agent.model.hours import Week, is_open
from agent.model.proof import FullProof, Standing, StreamProof
from agent.model.reading import Finding, Severity
from agent.model.streams import Stream

TOO_MANY = "proof.too_many"
LATE = timedelta(hours=48)

_LINE = "proof:stream:"
_FULL = "proof:full"
_TOLD_ELSEWHERE = frozenset({"guard.mass_change", "pms.stream_held"})  # by findings of their own
_NIGHT_HOUR = 2  # on the practice's wall: backups and updates of the evening are mostly over
_LONGEST = timedelta(hours=36)  # an office that never closes is proven all the same


def keep_line(turn: Turn, line: StreamProof) -> None:
    turn.set_mark(_LINE + line.stream.value, msgspec.json.encode(line).decode())


def keep_full(turn: Turn, proof: FullProof) -> None:
    """A tamper with it would show: it stands in the audit chain too."""
    turn.set_mark(_FULL, msgspec.json.encode(proof).decode())
    turn.audit("proof.full", {"rows": proof.rows, "streams": proof.streams, "root": proof.root})


def last_full(journal: Reads) -> FullProof | None:
    text = journal.mark(_FULL)
    return msgspec.json.decode(text, type=FullProof) if text else None


def last_lines(journal: Reads) -> dict[Stream, StreamProof]:
    """The newest comparison of each stream."""
    lines = (msgspec.json.decode(text, type=StreamProof) for text in journal.marks(_LINE).values())
    return {line.stream: line for line in lines}


def full_due(now: datetime, last: datetime | None, week: Week) -> bool:
    """Nightly, while the office is closed; at once where there never was one. Pure.

    Aware times, ``now`` on the practice's wall. ``week`` empty: no office hours are known.
    """
    if last is None or now - last > _LONGEST:
        return True
    night = now.replace(hour=_NIGHT_HOUR, minute=0, second=0, microsecond=0)
    if night > now:
        night -= timedelta(days=1)
    return last < night and not (week and is_open(week, now))


def proof_findings(
    lines: Iterable[StreamProof], full: FullProof | None, now: datetime, *, is_loaded: bool
) -> tuple[Finding, ...]:
    """What a person must know of the proof. Pure."""
    found = []
    for line in sorted(lines, key=lambda line: line.stream.value):
        facts: dict[str, str | int | float | None] = {"stream": line.stream.value}
        if line.why == TOO_MANY:
            found.append(Finding(TOO_MANY, Severity.ERROR, {**facts, "count": line.wrong}))
        elif line.standing is Standing.SKIPPED and line.why not in _TOLD_ELSEWHERE:
            found.append(Finding("proof.skipped", Severity.WARNING, {**facts, "why": line.why}))
    if is_loaded and full is not None and now - full.at > LATE:
        hours = int((now - full.at).total_seconds() // 3600)
        found.append(Finding("proof.late", Severity.WARNING, {"hours": hours}))
    return tuple(found)
