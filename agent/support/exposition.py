"""The figures and the status as Prometheus' text format. The only import of prometheus_client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector, CollectorRegistry

from agent.model.metrics import BOUNDS_S, DECLARED, Metric, Spread
from agent.model.status import Snapshot, State, overall
from agent.support.measures import Figures

PREFIX = "bridgework_"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(figures: Figures, snapshot: Snapshot, now: datetime) -> bytes:
    """One page, of one moment."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Page(figures, snapshot, now))
    return generate_latest(registry)


class _Page(Collector):
    def __init__(self, figures: Figures, snapshot: Snapshot, now: datetime) -> None:
        self._figures = figures
        self._snapshot = snapshot
        self._now = now

    def collect(self) -> Iterable[Family]:
        yield from _counters(self._figures)
        yield from _spreads(self._figures)
        yield from _gauges(self._snapshot, self._now)


def _counters(figures: Figures) -> Iterator[Family]:
    for metric, declared in DECLARED.items():
        if metric in (Metric.STAGE, Metric.STATEMENT):
            continue
        family = CounterMetricFamily(
            PREFIX + metric.value, declared.help, labels=list(declared.labels)
        )
        for labels, value in sorted(figures.counters.get(metric, {}).items()):
            family.add_metric(labels.split(","), value)
        yield family


def _spreads(figures: Figures) -> Iterator[Family]:
    for metric in (Metric.STAGE, Metric.STATEMENT):
        declared = DECLARED[metric]
        family = HistogramMetricFamily(
            PREFIX + metric.value, declared.help, labels=list(declared.labels)
        )
        for labels, spread in sorted(figures.spreads.get(metric, {}).items()):
            family.add_metric(labels.split(","), _buckets(spread), spread.total_s)
        yield family


def _buckets(spread: Spread) -> list[tuple[str, float]]:
    names = [*(f"{bound:g}" for bound in BOUNDS_S), "+Inf"]
    below = 0
    found = []
    for name, count in zip(names, spread.counts, strict=True):
        below += count
        found.append((name, float(below)))
    return found


def _gauges(s: Snapshot, now: datetime) -> Iterator[Family]:
    """The status. An age that there is none of is left out."""
    read_age = _age(now, s.last_read_at)
    state = overall(s, read_age_s=read_age)
    for name, text, value in (
        (
            "agrees",
            "1 while the agent says that both sides agree.",
            float(state is State.UP_TO_DATE),
        ),
        ("oldest_unsent_age_seconds", "Age of the oldest change not sent.", s.oldest_unsent_s),
        ("oldest_proof_age_seconds", "Age of the oldest proof of a chunk.", s.oldest_unverified_s),
        ("last_read_age_seconds", "Since the practice was last looked at.", read_age),
        ("last_write_age_seconds", "Since the CRM took something.", _age(now, s.last_write_at)),
        (
            "full_proof_age_seconds",
            "Since everything was last proven equal on both sides.",
            None if s.proof is None else (now - s.proof.at).total_seconds(),
        ),
        ("overdue_chunks", "Chunks whose proof is overdue.", float(s.overdue_chunks)),
        ("pending_changes", "Changes that wait to be sent.", float(s.pending)),
        ("open_conflicts", "Conflicts that wait for a person.", float(s.open_conflicts)),
        ("parked_records", "Records set aside.", float(s.parked)),
        ("people_to_match", "People of the CRM a person must match.", float(s.suspects)),
        ("open_tasks", "Desk tasks nobody has answered.", float(s.tasks_open)),
        ("unknown_writes", "Writes of unknown outcome.", float(s.effects_unknown)),
    ):
        family = GaugeMetricFamily(PREFIX + name, text)
        if value is not None:
            family.add_metric([], value)
        yield family
    lines = GaugeMetricFamily(PREFIX + "records", "Records by stream.", labels=["stream", "state"])
    for stream in s.streams:
        for word in ("present", "agreed", "waiting", "parked"):
            lines.add_metric([stream.stream.value, word], float(getattr(stream, word)))
    yield lines
    info = GaugeMetricFamily(
        PREFIX + "agent_info", "Which agent reads which system.", labels=["version", "pms", "state"]
    )
    info.add_metric([s.agent_version, s.pms_kind, state.value], 1.0)
    yield info


def _age(now: datetime, at: str | None) -> float | None:
    return None if at is None else max((now - datetime.fromisoformat(at)).total_seconds(), 0.0)
