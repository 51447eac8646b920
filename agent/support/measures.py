"""The agent's figures: counters and durations, in memory. The ``Meter`` of a running agent.

Metrics page, alerts and weekly report all read from here, so none can disagree with another.
"""

from __future__ import annotations

import copy
import threading

import msgspec

from agent.model.metrics import DECLARED, TAKEN, Metric, Spread, is_word

OTHER = "other"  # in place of a label that is no word of ours


class Figures(msgspec.Struct):
    """Counters and durations by metric and labels (in the order of their declaration, with commas
    between)."""

    counters: dict[Metric, dict[str, float]] = {}
    spreads: dict[Metric, dict[str, Spread]] = {}

    def spread(self, metric: Metric, labels: str) -> Spread:
        return self.spreads.get(metric, {}).get(labels) or Spread()

    def by(self, metric: Metric, place: int) -> dict[str, float]:
        """Sums of a counter by one of its labels."""
        sums: dict[str, float] = {}
        for labels, value in self.counters.get(metric, {}).items():
            word = labels.split(",")[place]
            sums[word] = sums.get(word, 0.0) + value
        return sums

    def plus(self, other: Figures) -> Figures:
        return self._with(other, sign=1)

    def minus(self, earlier: Figures) -> Figures:
        """What came since. Figures begin anew with each start of the agent."""
        return self._with(earlier, sign=-1)

    def _with(self, other: Figures, *, sign: int) -> Figures:
        result = copy.deepcopy(self)
        for metric, values in other.counters.items():
            mine = result.counters.setdefault(metric, {})
            for labels, value in values.items():
                mine[labels] = mine.get(labels, 0.0) + sign * value
        for metric, spreads in other.spreads.items():
            held = result.spreads.setdefault(metric, {})
            for labels, spread in spreads.items():
                before = held.get(labels) or Spread()
                held[labels] = before.plus(spread) if sign > 0 else before.minus(spread)
        return result


def success_share(figures: Figures) -> float | None:
    """Of the records sent, how many the CRM took at that try; None when none was sent."""
    tried = figures.by(Metric.CHANGES, 1)
    total = sum(tried.values())
    return sum(tried.get(word, 0.0) for word in TAKEN) / total if total > 0 else None


class Measures:
    """``agent.ports.Meter``. Thread-safe; about a microsecond a figure."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._figures = Figures({}, {})

    def count(self, metric: Metric, *labels: str, by: float = 1.0) -> None:
        place = _checked(metric, labels)
        with self._lock:
            values = self._figures.counters.setdefault(metric, {})
            values[place] = values.get(place, 0.0) + by

    def took(self, metric: Metric, *labels: str, seconds: float) -> None:
        place = _checked(metric, labels)
        with self._lock:
            spreads = self._figures.spreads.setdefault(metric, {})
            spread = spreads.get(place)
            if spread is None:
                spread = spreads[place] = Spread()
            spread.add(max(seconds, 0.0))

    def figures(self) -> Figures:
        """As they stand: a copy."""
        with self._lock:
            return copy.deepcopy(self._figures)


def _checked(metric: Metric, labels: tuple[str, ...]) -> str:
    if len(labels) != len(DECLARED[metric].labels):
        raise ValueError(f"{metric.value} has the labels {DECLARED[metric].labels}")
    return ",".join(label if is_word(label) else OTHER for label in labels)
