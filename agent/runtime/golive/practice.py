"""The practice's side of a go-live test: do what the front desk would, read what is there.

``Deeds`` are done by the writer where one exists; where none may write, a person is asked to do
them and the new record is found by its key. Reads go through the driver and the data map, as the
engine's do. Must not import the engine or the journal: the agent under test runs by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any, Protocol

import msgspec

from agent.errors import AgentError
from agent.model.effects import Effect, EffectKind
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.ports import PmsReader, PmsWriter
from agent.sync.streammap import StreamMap

HAND_LOOK_S = 1.0
_KEYS = 500


class GoLiveError(AgentError):
    """A go-live test cannot run here; says what is missing."""

    code = "golive.cannot"


class Records:
    """Reading the practice, in canonical fields."""

    def __init__(self, reader: PmsReader, maps: Mapping[Stream, StreamMap]) -> None:
        self._reader = reader
        self._maps = maps

    def record(self, stream: Stream, key: Key) -> dict[str, Any] | None:
        page = self._reader.read_keys(stream, [key])
        observed, _ = self._maps[stream].observe(page)
        return msgspec.json.decode(observed[0].canon) if observed else None

    def hashes(self, places: Iterable[tuple[Stream, Key]]) -> dict[tuple[Stream, Key], bytes]:
        """Content hashes of these records as they are now; unreadable ones are absent."""
        found: dict[tuple[Stream, Key], bytes] = {}
        keys: dict[Stream, list[Key]] = {}
        for stream, key in places:
            keys.setdefault(stream, []).append(key)
        for stream, asked in keys.items():
            observed, _ = self._maps[stream].observe(self._reader.read_keys(stream, asked))
            found.update({(stream, row.key): row.hash for row in observed})
        return found

    def is_free(self, operatory_key: str, day: date) -> bool:
        """Nobody is booked in that operatory on that (local) day."""
        keys = self._reader.keys_in_window(Stream.APPOINTMENT, day, day, None, _KEYS)
        if not keys:
            return True
        page = self._reader.read_keys(Stream.APPOINTMENT, keys)
        observed, _ = self._maps[Stream.APPOINTMENT].observe(page)
        visits = [msgspec.json.decode(row.canon) for row in observed]
        return all(visit.get("operatory_key") != operatory_key for visit in visits)

    def max_key(self, stream: Stream) -> Key | None:
        return self._reader.max_key(stream)

    def above(self, stream: Stream, floor: Key | None) -> list[dict[str, Any]]:
        """Records whose keys are higher than ``floor``."""
        keys = self._reader.keys_after(stream, floor, _KEYS)
        if not keys:
            return []
        observed, _ = self._maps[stream].observe(self._reader.read_keys(stream, keys))
        return [msgspec.json.decode(row.canon) for row in observed]


class Deeds(Protocol):
    """What a front desk does. Each returns when the practice holds it; raises GoLiveError."""

    def create(self, kind: EffectKind, stream: Stream, fields: dict[str, Any]) -> Key: ...
    def change(
        self,
        kind: EffectKind,
        stream: Stream,
        key: Key,
        fields: dict[str, Any],
        options: dict[str, str] | None = None,
    ) -> None: ...


class Written:
    """Deeds through the site's writer."""

    def __init__(self, writer: PmsWriter, records: Records) -> None:
        self._writer = writer
        self._records = records

    def create(self, kind: EffectKind, stream: Stream, fields: dict[str, Any]) -> Key:
        key = self._writer.write(Effect(kind, stream, None, fields)).key
        if key is None:
            raise GoLiveError("golive.no_key", stream=stream.value)
        return key

    def change(
        self,
        kind: EffectKind,
        stream: Stream,
        key: Key,
        fields: dict[str, Any],
        options: dict[str, str] | None = None,
    ) -> None:
        self._writer.write(Effect(kind, stream, key, fields, options or {}))


class ByHand:
    """Deeds by a person at the practice's own program.

    ``ask(code, fields)`` shows what to do; the deed counts once the practice holds it, looked for
    every second up to ``patience_s``.
    """

    def __init__(
        self, records: Records, ask: Callable[[str, dict[str, Any]], None], patience_s: float
    ) -> None:
        self._records = records
        self._ask = ask
        self._patience_s = patience_s

    def create(self, kind: EffectKind, stream: Stream, fields: dict[str, Any]) -> Key:
        floor = self._records.max_key(stream)
        self._ask(f"golive.hand_{kind.value}", fields)
        told = {n: v for n, v in fields.items() if n in ("first_name", "last_name", "patient_key")}

        def found() -> Key | None:
            for record in self._records.above(stream, floor):
                if all(record.get(name) == value for name, value in told.items()):
                    return int(record["key"]) if record["key"].isdigit() else str(record["key"])
            return None

        return self._wait(found)

    def change(
        self,
        kind: EffectKind,
        stream: Stream,
        key: Key,
        fields: dict[str, Any],
        options: dict[str, str] | None = None,
    ) -> None:
        self._ask(f"golive.hand_{kind.value}", {"key": str(key), **fields, **(options or {})})
        wanted = fields or {"status": "broken"}

        def done() -> Key | None:
            record = self._records.record(stream, key)
            held = record is not None and all(record.get(n) == v for n, v in wanted.items())
            return key if held else None

        self._wait(done)

    def _wait(self, look: Callable[[], Key | None]) -> Key:
        deadline = time.monotonic() + self._patience_s
        while (found := look()) is None:
            if time.monotonic() > deadline:
                raise GoLiveError("golive.hand_timeout", waited_s=int(self._patience_s))
            time.sleep(HAND_LOOK_S)
        return found
