"""What a writer wrote, read back as the engine reads it: real reader, real data map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agent.model.reading import Key, SourceFacts
from agent.model.streams import Stream
from agent.sync.datamap import load_map
from agent.sync.streammap import StreamMap
from drivers.base import TableSource

MAP = load_map("opendental")
ZONE = "America/Chicago"


_COMPILED: dict[str, Mapping[Stream, StreamMap]] = {}


def _compiled(facts: SourceFacts, zone: str) -> Mapping[Stream, StreamMap]:
    """Compiling takes a good part of a second: once for each schema."""
    schema = repr((zone, sorted((name, sorted(t.columns)) for name, t in facts.tables.items())))
    if schema not in _COMPILED:
        _COMPILED[schema] = MAP.compile(facts, zone=zone).streams
    return _COMPILED[schema]


class ReadBack:
    """Canonical records of one site, by stream and key."""

    def __init__(self, source: TableSource, zone: str = ZONE) -> None:
        facts = source.probe()
        self._maps = _compiled(facts, zone)
        for stream, mapped in self._maps.items():
            source.bind(stream, mapped.columns)
        self._reader = source.open()

    def close(self) -> None:
        self._reader.close()

    def record(self, stream: Stream, key: Key | None) -> dict[str, Any] | None:
        assert key is not None
        seen, bad = self._maps[stream].observe(self._reader.read_keys(stream, [key]))
        assert bad == []
        return msgspec.json.decode(seen[0].canon) if seen else None

    def one(self, stream: Stream, key: Key | None) -> dict[str, Any]:
        found = self.record(stream, key)
        assert found is not None
        return found

    def newest(self, stream: Stream) -> Key | None:
        return self._reader.max_key(stream)

    def past_end(self, stream: Stream) -> Key | None:
        return self._reader.past_end(stream)

    def past(
        self, stream: Stream, above: Key, *, key: Key | None = None, patient: Key | None = None
    ) -> list[tuple[Key, bool, dict[str, Any]]]:
        """(key, is_new, fields) of each copy."""
        found = []
        for copy in self._reader.past(stream, above, 50, key=key, patient=patient):
            seen, bad = self._maps[stream].observe(copy.page)
            assert bad == []
            found.append((copy.key, copy.is_new, msgspec.json.decode(seen[0].canon)))
        return found

    def entered(self, stream: Stream, keys: list[Key]) -> dict[Key, bool]:
        return self._reader.entered(stream, keys)
