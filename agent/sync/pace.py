"""How big a statement may be and how long to rest after it: the office must not notice. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agent.model.streams import Stream


@dataclass(slots=True)
class Pace:
    """Time-targeted pages with a duty cycle.

    ``rows`` follows the measured time of the last page towards ``target_ms``, half-way each step
    (one slow page does not swing it); ``rest_s`` keeps our share of the server below ``duty``.
    A page that took ``busy_factor`` times its expectation says that the server is loaded or a table
    was locked: the rest doubles for each such page in a row, up to ``max_rest_s``.
    """

    rows: int
    target_ms: float
    duty: float
    floor_rows: int = 50
    ceiling_rows: int = 1000
    busy_factor: float = 3.0
    max_rest_s: float = 5.0
    _expected_ms_per_row: float = 0.0
    _strikes: int = 0

    def after(self, rows: int, took_ms: float) -> float:
        """Record a page of ``rows`` rows; return the seconds to rest before the next."""
        per_row = took_ms / max(rows, 1)
        expected = self._expected_ms_per_row
        if expected and rows >= self.floor_rows:
            slow = per_row > expected * self.busy_factor
            self._strikes = min(self._strikes + 1, 6) if slow else 0
            self._expected_ms_per_row = expected * 0.8 + min(per_row, expected * 2) * 0.2
        elif rows >= self.floor_rows:
            self._expected_ms_per_row = per_row
        if self._expected_ms_per_row:
            wanted = self.target_ms / self._expected_ms_per_row
            step = self.rows + (wanted - self.rows) / 2
            self.rows = int(min(max(step, self.floor_rows), self.ceiling_rows))
        rest = took_ms / 1000 * (1 / self.duty - 1) * (1 << self._strikes)
        return min(rest, self.max_rest_s)


class Paces:
    """One pace a stream: a perio exam costs a hundred times what a recall does."""

    def __init__(self, make: Callable[[], Pace]) -> None:
        self._make = make
        self._by_stream: dict[Stream, Pace] = {}

    def of(self, stream: Stream) -> Pace:
        return self._by_stream.setdefault(stream, self._make())


@dataclass(frozen=True, slots=True)
class Beat:
    """How often something is looked at: no sooner than ``least_s``; later as looks cost more, at
    ``duty`` of the time, but by ``most_s`` unless that would take more than ``most_duty``."""

    least_s: float
    most_s: float
    duty: float
    most_duty: float

    def rest_s(self, took_s: float) -> float:
        wanted = min(max(took_s / self.duty, self.least_s), self.most_s)
        return max(wanted, took_s / self.most_duty)


@dataclass(slots=True)
class Backoff:
    """Full-jitter exponential back-off of a whole destination; ``retry_after_s`` wins.

    ``random`` is injected so that simulations repeat.
    """

    random: Callable[[], float]
    first_s: float = 0.25
    cap_s: float = 30.0
    failures: int = 0

    def failed(self, retry_after_s: float | None = None) -> float:
        """Seconds to wait before the next try."""
        self.failures += 1
        ceiling = min(self.cap_s, self.first_s * (1 << min(self.failures - 1, 16)))
        wait = ceiling / 2 + ceiling / 2 * self.random()
        return max(wait, retry_after_s or 0.0)

    def succeeded(self) -> None:
        self.failures = 0


ITEM_RETRY_LADDER_S = (25.0, 25.0, 25.0, 25.0, 25.0, 300.0, 1800.0, 7200.0, 21600.0, 86400.0)


def item_retry_s(tries: int) -> float:
    """Delay before the next try of one record: five quick ones, then up to a day."""
    return ITEM_RETRY_LADDER_S[min(tries, len(ITEM_RETRY_LADDER_S) - 1)]
