"""CSV out: what waits for the CRM, or the records of a stream. Long work; see ``jobs``.

What waits is in the journal, whatever is down. Records of streams both sides may change are too;
of the others the journal keeps hashes only, so those are read from the practice system.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import msgspec

from agent.csvio.writing import sheet
from agent.errors import AgentError
from agent.journal.reads import Reads
from agent.model.entities import RECORD_OF
from agent.model.reading import Key
from agent.model.sheets import ExportSheet, RowLine, SheetMade
from agent.model.streams import Stream
from agent.model.writing import Change, Verb
from agent.ports import Clock
from agent.runtime.fallback.files import Files
from agent.runtime.fallback.jobs import Ticket
from agent.sync.reconcile import native_key

PAGE = 500
DATED: Mapping[Stream, str] = {
    Stream.APPOINTMENT: "start",
    Stream.SCHEDULE_BLOCK: "date",
    Stream.RECALL: "due",
    Stream.PROCEDURE: "date",
    Stream.CLAIM: "date",
    Stream.PAYMENT: "date",
    Stream.ADJUSTMENT: "date",
    Stream.COMMUNICATION: "at",
    Stream.CLINICAL_NOTE: "at",
    Stream.PERIO_EXAM: "date",
}
"""The field by which a range of dates picks records."""
_LAST = ("version",)
_PENDING = ("what", "waiting_since")


class Practice(Protocol):
    """Records as the practice system holds them now."""

    def keeps(self, stream: Stream) -> bool:
        """Whether the journal has the contents itself."""

    def pages(self, stream: Stream) -> Iterator[Sequence[tuple[Key, bytes]]]:
        """(key, canonical content), keys ascending. The Pms errors; AgentError."""

    def some(self, stream: Stream, keys: Sequence[Key]) -> list[tuple[Key, bytes]]:
        """The same of these keys."""


@dataclass(frozen=True, slots=True)
class Exporting:
    files: Files
    journal: Reads
    clock: Clock
    zone: Callable[[], str]
    unpack: Callable[[bytes], list[Change]]
    practice: Practice

    def export(self, wish: ExportSheet, ticket: Ticket) -> SheetMade:
        """AgentError: sheet.no_stream, sheet.no_dates, sheet.bad_range, sheet.nothing_pending."""
        day = f"{self.clock.now().astimezone(ZoneInfo(self.zone() or 'UTC')):%Y-%m-%d-%H%M}"
        if wish.pending and wish.stream is None:
            return self._all_pending(day, wish, ticket)
        if wish.stream is None:
            raise AgentError("sheet.no_stream")
        stream = wish.stream
        if wish.pending:
            records, heads = self._pending(stream), (*_PENDING, *heads_of(stream))
            total = self.journal.waiting_by_stream().get(stream, 0)
            name = f"waiting-{stream.value}-{day}.csv"
        else:
            records, heads = self._dated(stream, wish), heads_of(stream)
            total = next((c.present for c in self.journal.stream_counts() if c.stream is stream), 0)
            name = f"{stream.value}-{day}.csv"
        token, path = self.files.make(name)
        rows = self._write(path, heads, records, wish, ticket, total)
        return SheetMade(token, name, path.stat().st_size, rows)

    def rejected(self, heads: Sequence[str], lines: Iterator[RowLine], say: Any) -> SheetMade:
        """Rows of an import that were rejected, with the reasons. ``say``: code, facts -> text."""
        name = "rejected-rows.csv"
        token, path = self.files.make(name)
        rows = 0

        def records() -> Iterator[dict[str, Any]]:
            nonlocal rows
            for line in lines:
                rows += 1
                why = say(line.code, line.facts)
                yield {"row": line.number, "why": why, "code": line.code, **line.facts}

        with path.open("wb") as out:
            for piece in sheet(("row", "why", "field", "code"), records(), excel=True):
                out.write(piece)
        return SheetMade(token, name, path.stat().st_size, rows)

    # -- what waits -------------------------------------------------------------------------------

    def _all_pending(self, day: str, wish: ExportSheet, ticket: Ticket) -> SheetMade:
        waiting = self.journal.waiting_by_stream()
        if not waiting:
            raise AgentError("sheet.nothing_pending")
        name = f"waiting-{day}.zip"
        token, path = self.files.make(name)
        rows, total = 0, sum(waiting.values())
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
            for stream in sorted(waiting, key=list(Stream).index):
                _, part = self.files.make(f"{stream.value}.csv")
                heads = (*_PENDING, *heads_of(stream))
                rows += self._write(
                    part, heads, self._pending(stream), wish, ticket, total, before=rows
                )
                bundle.write(part, f"{stream.value}.csv")
                self.files.drop(part.name)
        return SheetMade(token, name, path.stat().st_size, rows)

    def _pending(self, stream: Stream) -> Iterator[dict[str, Any]]:
        """Every change that waits, oldest first."""
        after = 0
        while batches := self.journal.batches_after(stream, after, 1):
            [batch] = batches
            for change in self.unpack(batch.body):
                yield {
                    "what": _WORDS[change.verb],
                    "waiting_since": f"{batch.planned_at:%Y-%m-%dT%H:%M:%SZ}",
                    **_fields(change.key, change.canon, change.version),
                }
            after = batch.number

    # -- records ----------------------------------------------------------------------------------

    def _dated(self, stream: Stream, wish: ExportSheet) -> Iterator[dict[str, Any]]:
        records = self.records(stream)
        if not wish.first and not wish.last:
            return records
        field = DATED.get(stream)
        if field is None:
            raise AgentError("sheet.no_dates", stream=stream.value)
        first, last = _day(wish.first, "0001-01-01"), _day(wish.last, "9999-12-31")
        zone = ZoneInfo(self.zone() or "UTC")
        return (r for r in records if first <= _local_day(r.get(field), zone) <= last)

    def some(self, stream: Stream, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Records of these keys, by key; AgentError where they cannot be had."""
        asked = [native_key(key) for key in keys]
        if self.practice.keeps(stream):
            kept = self.journal.contents_by(stream, asked)
            found = [(key, canon) for key, (canon, _) in kept.items()]
        else:
            found = self.practice.some(stream, asked)
        return {str(key): _fields(key, canon, 0) for key, canon in found}

    def records(self, stream: Stream) -> Iterator[dict[str, Any]]:
        """Every record of a stream; AgentError where they cannot be had."""
        if not self.practice.keeps(stream):
            for page in self.practice.pages(stream):
                for key, canon in page:
                    yield _fields(key, canon, 0)
            return
        last: Key | None = None
        while keys := self.journal.keys_after(stream, last, PAGE):
            found = self.journal.contents_by(stream, keys)
            for key in keys:
                if key in found:
                    canon, lsn = found[key]
                    yield _fields(key, canon, lsn)
            last = keys[-1]

    def _write(
        self,
        path: Path,
        heads: Sequence[str],
        records: Iterator[dict[str, Any]],
        wish: ExportSheet,
        ticket: Ticket,
        total: int,
        before: int = 0,
    ) -> int:
        rows = 0

        def counted() -> Iterator[dict[str, Any]]:
            nonlocal rows
            for record in records:
                rows += 1
                if rows % PAGE == 0:
                    ticket.progress(before + rows, max(total, before + rows), "rows")
                yield record

        with path.open("wb") as out:
            for piece in sheet(heads, counted(), excel=wish.excel, zone=self.zone()):
                out.write(piece)
        ticket.progress(before + rows, max(total, before + rows), "rows")
        return rows


def heads_of(stream: Stream) -> tuple[str, ...]:
    """Canonical names; what only says how the map read something stays away."""
    fields = RECORD_OF[stream].__struct_fields__
    kept = [name for name in fields if not name.endswith("_raw") and name != "extra"]
    return (*kept, *_LAST)


_WORDS = {Verb.UPSERT: "changed", Verb.DELETE: "deleted", Verb.MERGE: "merged"}


def _fields(key: Key, canon: bytes, version: int) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.json.decode(canon) if canon else {}
    return {**fields, "key": str(key), "version": str(version) if version else ""}


def _day(text: str, default: str) -> str:
    if not text:
        return default
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise AgentError("sheet.bad_range") from None


def _local_day(value: Any, zone: ZoneInfo) -> str:
    """``YYYY-MM-DD`` of a date or an instant; "" where there is none."""
    text = str(value or "")
    if len(text) <= 10:
        return text
    try:
        return datetime.fromisoformat(text).astimezone(zone).date().isoformat()
    except ValueError:
        return ""
