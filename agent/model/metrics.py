"""What is measured, declared once: names, kinds, labels. A leaf; no I/O.

Labels are words of our own (a stream, a stage, an outcome), never anything of a person; whoever
keeps the figures lets nothing else through (``is_word``).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from agent.model.asking import Request, Role

# Upper bounds in seconds: fine where a change's way usually lies, coarse where it is a failure.
BOUNDS_S = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5,
    2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0,
)  # fmt: skip
_WORD = re.compile(r"[a-z0-9_.]{1,40}")


class Metric(StrEnum):
    """Counters end in ``_total``, durations in ``_seconds``; the rest are gauges of a status."""

    CHANGES = "changes_total"
    LANE_ROUNDS = "lane_rounds_total"
    LATE = "sweep_late_total"
    PROVEN_WRONG = "proof_wrong_total"
    REPAIRED = "proof_repaired_total"
    COMMANDS = "commands_total"
    CONFLICTS = "conflicts_total"
    LINKS = "links_total"
    STAGE = "stage_seconds"
    STATEMENT = "pms_statement_seconds"


class Declared(msgspec.Struct, frozen=True):
    help: str
    labels: tuple[str, ...]


DECLARED: dict[Metric, Declared] = {
    Metric.CHANGES: Declared(
        "Records sent to the CRM, by what it answered; 'failed' were not answered at all.",
        ("stream", "outcome"),
    ),
    Metric.LANE_ROUNDS: Declared("Rounds of the reading lanes.", ("lane", "result")),
    Metric.LATE: Declared("Changes only the sweep found.", ("stream",)),
    Metric.PROVEN_WRONG: Declared(
        "Records the comparison with the CRM found wrong there.", ("stream", "kind")
    ),
    Metric.REPAIRED: Declared("Of these, sent again or taken back.", ("stream",)),
    Metric.COMMANDS: Declared(
        "What the CRM was told of its commands, by outcome.", ("end", "reason")
    ),
    Metric.CONFLICTS: Declared(
        "Fields changed on both sides: asked of a person, or who won.", ("stream", "how")
    ),
    Metric.LINKS: Declared("What the CRM was told of whom its people are.", ("state",)),
    Metric.STAGE: Declared(
        "Time of one stage: change = from noticing it until the CRM had it; queue = until it left; "
        "send = the CRM's answer; take = the journal's turn; command = from receiving a command "
        "until its outcome stood.",
        ("stage",),
    ),
    Metric.STATEMENT: Declared("Time of one question to the practice system.", ("question",)),
}
REHEARSED = "alert.rehearsed"  # message code of a trial message
CHANGE = "change"  # the stage the promise "within a second" is about
TAKEN = ("applied", "unchanged", "duplicate", "stale", "deferred")  # outcomes of what arrived


def is_word(text: str) -> bool:
    """Fit for a label: a code of ours, never a person's text."""
    return _WORD.fullmatch(text) is not None


class MetricsText(msgspec.Struct, frozen=True):
    """Prometheus' text format."""

    text: str


class ReadMetrics(Request[MetricsText], frozen=True):
    method = "metrics"


class AlertsTold(msgspec.Struct, frozen=True):
    """``ways``: by way, "" = taken, else why not. ``standing``: codes of the alerts that stand."""

    ways: dict[str, str]
    standing: tuple[str, ...]


class RehearseAlert(Request[AlertsTold], frozen=True):
    """Tell a trial message by every way the settings name."""

    method = "alerts.rehearse"
    role = Role.MANAGER


class Spread(msgspec.Struct):
    """How often which duration: counts by ``BOUNDS_S`` (the last is beyond all), and their sum."""

    counts: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    total_s: float = 0.0

    @property
    def count(self) -> int:
        return sum(self.counts)

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.total_s += seconds

    def plus(self, other: Spread) -> Spread:
        pairs = zip(self.counts, other.counts, strict=True)
        return Spread([a + b for a, b in pairs], self.total_s + other.total_s)

    def minus(self, earlier: Spread) -> Spread:
        pairs = zip(self.counts, earlier.counts, strict=True)
        return Spread([a - b for a, b in pairs], self.total_s - earlier.total_s)

    def quantile_s(self, share: float) -> float | None:
        """None without any; the bucket's share of its width is taken for its inside."""
        return quantile_s(self.counts, share)


def quantile_s(counts: Sequence[int], share: float) -> float | None:
    """Of ``Spread.counts``. Beyond the last bound it is that bound. Pure."""
    total = sum(counts)
    if not total:
        return None
    rank, below = share * total, 0
    for place, count in enumerate(counts):
        if count and below + count >= rank:
            if place == len(BOUNDS_S):
                return BOUNDS_S[-1]
            lo = BOUNDS_S[place - 1] if place else 0.0
            return lo + (BOUNDS_S[place] - lo) * (rank - below) / count
        below += count
    return BOUNDS_S[-1]
