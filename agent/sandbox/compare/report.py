"""What a comparison found: counts, keys and field names, never a value of a record. A leaf."""

from __future__ import annotations

import msgspec

from agent.model.streams import Stream

EXAMPLES = 5


class Example(msgspec.Struct, frozen=True):
    """One record that differs: its key and the fields that do."""

    key: str
    fields: tuple[str, ...]


class StreamReport(msgspec.Struct, frozen=True):
    """Counts of records. ``checked``: on both sides; ``fields``: how often each one differed."""

    stream: Stream
    checked: int = 0
    missing: int = 0
    extra: int = 0
    different: int = 0
    missing_keys: tuple[str, ...] = ()
    extra_keys: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    fields: dict[str, int] = {}

    @property
    def agrees(self) -> bool:
        return not (self.missing or self.extra or self.different)


class Report(msgspec.Struct, frozen=True):
    """The whole comparison."""

    streams: tuple[StreamReport, ...]
    took_s: float = 0.0

    @property
    def agrees(self) -> bool:
        """Nothing differs, and there was something to look at."""
        return self.total > 0 and all(line.agrees for line in self.streams)

    @property
    def total(self) -> int:
        """Records looked at on either side."""
        return sum(line.checked + line.missing + line.extra for line in self.streams)

    def of(self, stream: Stream) -> StreamReport:
        return next(line for line in self.streams if line.stream is stream)

    def table(self) -> str:
        """Lines for a terminal; what disagrees stands below its stream."""
        out = [f"{'stream':<18}{'checked':>10}{'missing':>10}{'extra':>10}{'different':>11}"]
        for line in self.streams:
            out.append(
                f"{line.stream.value:<18}{line.checked:>10}{line.missing:>10}{line.extra:>10}"
                f"{line.different:>11}"
            )
            if line.missing_keys:
                out.append(f"    missing: {', '.join(line.missing_keys)}")
            if line.extra_keys:
                out.append(f"    extra: {', '.join(line.extra_keys)}")
            out.extend(f"    {e.key}: {', '.join(e.fields)}" for e in line.examples)
        return "\n".join(out)
