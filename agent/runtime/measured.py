"""Measuring at the seams: the practice's questions and the CRM's commands, each through its port.

What happens inside a room is measured there; this wraps what only passes by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from agent.journal.journal import Journal
from agent.model.commands import (
    CommandOutcome,
    CommandType,
    ConflictReport,
    ContactPage,
    LinkReport,
    Polled,
)
from agent.model.metrics import Metric
from agent.model.reading import Column, SourceFacts
from agent.model.streams import Stream
from agent.ports import Clock, CommandPort, Meter, PmsReader, PmsSource

# Everything that goes to the server; ``hashes_in_window`` only some readers have.
_QUESTIONS = (
    "clock", "guard", "moved", "tail", "max_key", "keys_after", "keys_since", "keys_in_window",
    "read_range", "read_keys", "past_end", "past", "entered", "digest", "key_digest", "nth_key",
    "hashes_in_window",
)  # fmt: skip


class MeasuredSource:
    """A ``PmsSource`` whose readers say how long each question took, answered or not."""

    def __init__(self, source: PmsSource, meter: Meter, clock: Clock) -> None:
        self._source = source
        self._meter = meter
        self._clock = clock

    @property
    def kind(self) -> str:
        return self._source.kind

    def probe(self) -> SourceFacts:
        return self._source.probe()

    def bind(self, stream: Stream, columns: Sequence[Column]) -> None:
        self._source.bind(stream, columns)

    def open(self) -> PmsReader:
        return cast("PmsReader", _Reader(self._source.open(), self._meter, self._clock))


class _Reader:
    """Has the questions its reader has, as attributes of its own: ``isinstance`` sees them."""

    def __init__(self, reader: PmsReader, meter: Meter, clock: Clock) -> None:
        self.close = reader.close
        for name in _QUESTIONS:
            ask = getattr(reader, name, None)
            if ask is not None:
                setattr(self, name, _timed(ask, name, meter, clock))


def _timed(ask: Callable[..., Any], name: str, meter: Meter, clock: Clock) -> Callable[..., Any]:
    def timed(*given: Any, **named: Any) -> Any:
        began = clock.mono()
        try:
            return ask(*given, **named)
        finally:
            meter.took(Metric.STATEMENT, name, seconds=clock.mono() - began)

    return timed


class MeasuredCommands:
    """A ``CommandPort`` that counts what the CRM was told."""

    def __init__(self, port: CommandPort, meter: Meter, clock: Clock, journal: Journal) -> None:
        self._port = port
        self._meter = meter
        self._clock = clock
        self._journal = journal

    def poll(
        self,
        *,
        capabilities: Sequence[CommandType],
        ack: Sequence[str],
        errs: Mapping[str, str],
        most: int,
        wait_s: int,
    ) -> Polled:
        return self._port.poll(
            capabilities=capabilities, ack=ack, errs=errs, most=most, wait_s=wait_s
        )

    def wake(self) -> None:
        self._port.wake()

    def finish(self, command_id: str, outcome: CommandOutcome) -> None:
        self._port.finish(command_id, outcome)
        reason = outcome.reason_code.value if outcome.reason_code is not None else "none"
        self._meter.count(Metric.COMMANDS, outcome.state.value, reason)
        row = self._journal.command(command_id)
        if row is not None and row.received_at is not None:
            waited = (self._clock.now() - row.received_at).total_seconds()
            self._meter.took(Metric.STAGE, "command", seconds=waited)

    def contacts(self, cursor: str | None, limit: int) -> ContactPage:
        return self._port.contacts(cursor, limit)

    def link(self, links: Sequence[LinkReport]) -> None:
        self._port.link(links)
        for report in links:
            self._meter.count(Metric.LINKS, report.state.value)

    def tell_conflicts(self, conflicts: Sequence[ConflictReport]) -> None:
        self._port.tell_conflicts(conflicts)
        for report in conflicts:
            how = "asked" if report.state == "open" else (report.winner or "ended")
            self._meter.count(Metric.CONFLICTS, report.type, how)
