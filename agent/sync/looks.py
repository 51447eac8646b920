"""Fresh looks at single records, for the pull: read now, in canonical fields, with the page they
came in so that the mirror can take it. Reads only; decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from agent.model.commands import Reason
from agent.model.reading import BadRow, Key, Page
from agent.model.streams import Stream
from agent.ports import PmsReader
from agent.sync.streammap import StreamMap

MOST_A_DAY = 1000
MOST_COPIES = 50


class Unreadable(Exception):
    """The row is there and cannot be read; it is parked by the lanes that read it."""

    code = "record.unreadable"
    reason = Reason.INTERNAL


class NotCarried(Unreadable):
    """The site has no such records."""

    code = "record.not_carried"
    reason = Reason.NOT_SUPPORTED


class HeldBack(Unreadable):
    """The site has them and offers less of them just now (a crashed table, a right taken away):
    what they say cannot be known, so nothing may be decided by them."""

    code = "record.held_back"
    reason = Reason.PMS_UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Found:
    """A record as just read. ``read_lsn``: the journal's lsn before the read began."""

    key: Key
    fields: dict[str, Any]
    page: Page
    read_lsn: int


@dataclass(frozen=True, slots=True)
class Window:
    """Records of some days. ``blind``: days of which a record cannot be read; what is missing there
    proves nothing, above all no free place."""

    records: dict[Key, dict[str, Any]]
    blind: frozenset[date] = frozenset()


@dataclass(frozen=True, slots=True)
class Was:
    """A record as it stood after one change, from the PMS's own copies."""

    key: Key
    is_new: bool
    fields: dict[str, Any]


class Looks:
    """One reader's looks. ``lsn()``: the journal's last lsn; ``zone``: the practice's; ``held``:
    streams that are not read just now; ``insist()`` raises Unbelieved where the source is not to be
    believed: called between looking and deciding by what was seen. A vendor's update empties tables
    and fills them again; who looks meanwhile sees patients gone and every place free."""

    def __init__(
        self,
        reader: PmsReader,
        maps: Mapping[Stream, StreamMap],
        lsn: Callable[[], int],
        zone: str,
        held: Collection[Stream],
        insist: Callable[[], None],
    ) -> None:
        self._reader = reader
        self._maps = maps
        self._held = held
        self._lsn = lsn
        self._zone = ZoneInfo(zone)
        self.insist = insist

    def map_of(self, stream: Stream) -> StreamMap:
        mapped = self._maps.get(stream)
        if mapped is None:
            raise HeldBack if stream in self._held else NotCarried
        return mapped

    def record(self, stream: Stream, key: Key) -> Found | None:
        """The record now, or None. Raises Unreadable and the Pms errors."""
        self.map_of(stream)
        read_lsn = self._lsn()
        page = self._reader.read_keys(stream, [key])
        if not page.rows and not page.unreadable:
            return None
        records = self._observe(stream, page)
        if not records:
            raise Unreadable
        return Found(key, records[0], page, read_lsn)

    def read(
        self, stream: Stream, keys: Sequence[Key]
    ) -> tuple[dict[Key, dict[str, Any]], set[Key]]:
        """Those that exist, and the keys of those that cannot be read."""
        found: dict[Key, dict[str, Any]] = {}
        unread: set[Key] = set()
        for start in range(0, len(keys), MOST_A_DAY):
            page = self._reader.read_keys(stream, keys[start : start + MOST_A_DAY])
            records, bad = self._keyed(stream, page)
            found.update(records)
            unread.update(row.key for row in bad)
        return found, unread

    def records(self, stream: Stream, keys: Sequence[Key]) -> dict[Key, dict[str, Any]]:
        """Those that exist, for who concludes from what is missing. Raises Unreadable where one
        cannot be read."""
        found, unread = self.read(stream, keys)
        if unread:
            raise Unreadable
        return found

    def all_of(self, stream: Stream, most: int = MOST_A_DAY) -> list[dict[str, Any]]:
        """A small reference stream as a whole."""
        return self._observe(stream, self._reader.read_range(stream, None, None, most))

    def day(self, on: date) -> dict[Key, dict[str, Any]]:
        """The appointments of one local day. Raises Unreadable where one cannot be read."""
        seen = self.window(Stream.APPOINTMENT, on, on)
        if seen.blind:
            raise Unreadable
        return seen.records

    def window(self, stream: Stream, first: date, last: date) -> Window:
        """Records of local days, both included; none where the site lacks the stream. Raises
        HeldBack: a schedule nobody can read is not an empty one."""
        if stream in self._held:
            raise HeldBack
        if stream not in self._maps:
            return Window({})
        records, unread = self.read(stream, self._keys_of(stream, first, last))
        if not unread:
            return Window(records)
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        blind = (day for day in days if unread.intersection(self._keys_of(stream, day, day)))
        return Window(records, frozenset(blind))

    def _keys_of(self, stream: Stream, first: date, last: date) -> list[Key]:
        found: list[Key] = []
        while True:
            at = found[-1] if found else None
            keys = self._reader.keys_in_window(stream, first, last, at, MOST_A_DAY)
            found += keys
            if len(keys) < MOST_A_DAY:
                return found

    def local_date(self, at: datetime) -> date:
        return at.astimezone(self._zone).date()

    def newest(self, stream: Stream) -> Key | None:
        return self._reader.max_key(stream)

    def carries(self, stream: Stream) -> None:
        """Raises NotCarried and HeldBack."""
        self.map_of(stream)

    def above(self, stream: Stream, floor: Key | None, most: int) -> list[Key]:
        return self._reader.keys_after(stream, floor, most)

    def past_end(self, stream: Stream) -> Key | None:
        return self._reader.past_end(stream)

    def past(
        self, stream: Stream, above: Key, *, key: Key | None = None, patient: Key | None = None
    ) -> list[Was] | None:
        """``PmsReader.past`` in canonical fields; None where it cannot be told from it: the PMS
        keeps none, too many, or one cannot be read."""
        if self._reader.past_end(stream) is None:
            return None
        copies = self._reader.past(stream, above, MOST_COPIES, key=key, patient=patient)
        found = []
        for copy in copies:
            observed = self._observe(stream, copy.page)
            if not observed:
                return None
            found.append(Was(copy.key, copy.is_new, observed[0]))
        return found if len(found) < MOST_COPIES else None

    def entered(self, stream: Stream, keys: Sequence[Key]) -> dict[Key, bool]:
        return self._reader.entered(stream, keys)

    def since(self, stream: Stream, lane: str, at: datetime, most: int) -> list[Key]:
        named = self._reader.keys_since(stream, lane, at.astimezone(UTC), None, most)
        return list(dict.fromkeys(stamped.key for stamped in named))

    def _observe(self, stream: Stream, page: Page) -> list[dict[str, Any]]:
        return [fields for _, fields in self._keyed(stream, page)[0]]

    def _keyed(
        self, stream: Stream, page: Page
    ) -> tuple[list[tuple[Key, dict[str, Any]]], list[BadRow]]:
        observed, bad = self.map_of(stream).observe(page)
        records = [(row.key, msgspec.json.decode(row.canon)) for row in observed]
        return records, [*page.unreadable, *bad]
