"""Looks into the practice system for the wizard: counts, the newest visit's time, the statuses.

Reads only, in the driver's short statements, on a connection of its own. No name leaves this room:
what comes out are counts, times, and the practice's own words for a status.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from agent.config import Settings
from agent.config.secrets import Secrets
from agent.errors import PmsBusy, PmsDrift, PmsError, PmsUnavailable
from agent.model.reading import Column, Key, Page, Severity, SourceFacts
from agent.model.setup import Counted, ProofView, StatusChoice
from agent.model.streams import Stream
from agent.ports import PmsReader, PmsSource
from agent.runtime.sources import open_source
from agent.sync.datamap import CompiledMap, DataMap
from agent.sync.maprows import MapRow, words_of_field
from agent.sync.transforms import Toolbox, parse, word_list

SHOWN = (Stream.PATIENT, Stream.APPOINTMENT, Stream.PROVIDER, Stream.OPERATORY, Stream.PROCEDURE)
STATUSES = (
    (Stream.APPOINTMENT, "status"),
    (Stream.APPOINTMENT, "confirmation_category"),
    (Stream.PATIENT, "status"),
)
LOOKED_AT = 500  # records of a stream whose statuses are looked at
WINDOW = timedelta(days=45)
MOST_VALUES = 60  # of a status; more is no list of words


@dataclass(frozen=True, slots=True)
class Look:
    """An open practice, bound for reading."""

    facts: SourceFacts
    compiled: CompiledMap
    datamap: DataMap
    reader: PmsReader
    zone: str


@contextmanager
def look_into(settings: Settings, secrets: Secrets, datamap: DataMap) -> Iterator[Look]:
    """Raises ConfigError and the Pms errors."""
    source: PmsSource = open_source(settings, secrets)
    facts = source.probe()
    zone = settings.practice.zone or facts.zone or "UTC"
    compiled = datamap.compile(facts, zone=zone, carry_unknown=settings.map.carry_unknown)
    if not compiled.streams:
        raise PmsDrift("pms.schema_unknown", version=facts.version)
    for stream, mapped in compiled.streams.items():
        source.bind(stream, mapped.columns)
    reader = source.open()
    try:
        yield Look(facts, compiled, datamap, reader, zone)
    finally:
        reader.close()


def counted(look: Look, streams: Sequence[Stream]) -> tuple[Counted, ...]:
    """Exact where the server counts within its statement limit, else its own estimate."""
    found = []
    for stream in streams:
        if stream not in look.compiled.streams:
            continue
        site = look.facts.streams.get(stream)
        try:
            count = look.reader.key_digest(stream, None, None).count
            found.append(Counted(stream, count))
        except (PmsBusy, PmsUnavailable):
            found.append(Counted(stream, site.rows if site else 0, about=True))
    return tuple(found)


def proof_of(look: Look, now: datetime) -> ProofView:
    facts = look.facts
    findings = tuple(f for f in facts.findings if f.severity is not Severity.NOTE)
    return ProofView(
        kind=facts.kind,
        version=facts.version,
        server=facts.server,
        identity=facts.identity,
        zone=look.zone,
        counts=counted(look, SHOWN),
        newest_visit=_newest_visit(look, now),
        today=_today(look, now),
        can_write=any(f.code == "pms.can_write" for f in facts.findings),
        findings=findings,
    )


def _newest_visit(look: Look, now: datetime) -> str:
    """Wall time of the visit entered last: by the highest key; where keys are drawn at random, the
    latest visit of the coming weeks."""
    stream = Stream.APPOINTMENT
    if stream not in look.compiled.streams:
        return ""
    if look.facts.random_keys:
        keys = _window(look, now, LOOKED_AT)
    else:
        highest = look.reader.max_key(stream)
        keys = [] if highest is None else [highest]
    visits = [record for record in _records(look, stream, keys) if record.get("start")]
    newest = max(visits, key=lambda visit: str(visit["start"]), default=None)
    return "" if newest is None else str(newest.get("start_local") or newest["start"])


def _today(look: Look, now: datetime) -> int:
    if Stream.APPOINTMENT not in look.compiled.streams:
        return 0
    day = now.astimezone(ZoneInfo(look.zone)).date()
    try:
        return len(look.reader.keys_in_window(Stream.APPOINTMENT, day, day, None, 1000))
    except PmsError:
        return 0


def _window(look: Look, now: datetime, most: int) -> list[Key]:
    day = now.astimezone(ZoneInfo(look.zone)).date()
    reader = look.reader
    return reader.keys_in_window(Stream.APPOINTMENT, day - WINDOW, day + WINDOW, None, most)


def _records(look: Look, stream: Stream, keys: Sequence[Key]) -> list[dict[str, Any]]:
    page = look.reader.read_keys(stream, keys)
    observations, _ = look.compiled.streams[stream].observe(page)
    return [json.loads(each.canon) for each in observations]


# --- statuses -----------------------------------------------------------------------------------


def statuses(look: Look, shipped: DataMap) -> tuple[tuple[StatusChoice, ...], int]:
    """The values this practice uses, with the word each becomes, and how many records were read.
    ``shipped``: the map without the site's own rows."""
    pages: dict[Stream, Page] = {}
    found: list[StatusChoice] = []
    for stream, field in STATUSES:
        row = _row(look.datamap, stream, field)
        mapped = look.compiled.streams.get(stream)
        if row is None or mapped is None or Column(row.table, row.column) not in mapped.columns:
            continue
        if stream not in pages:
            pages[stream] = _sample(look, stream)
        at = 3 + mapped.columns.index(Column(row.table, row.column))
        values = Counter(str(line[at]) for line in pages[stream].rows if line[at])
        words = words_of_field(stream, field)
        before = _row(shipped, stream, field)
        for value, count in values.most_common(MOST_VALUES):
            found.append(
                StatusChoice(
                    stream,
                    field,
                    value,
                    word=_word(row, value),
                    words=tuple(sorted(words)),
                    count=count,
                    shipped=_word(before, value) if before is not None else "",
                    editable=can_map(row, value),
                )
            )
    return tuple(found), sum(len(page.rows) for page in pages.values())


def can_map(row: MapRow, value: str) -> bool:
    """Whether the value can stand in a list of words (``a=b;c=d``)."""
    return row.transform.startswith(("enum:", "match:")) and not set(value) & set("=;:\r\n")


def mapped_to(row: MapRow, words: dict[str, str]) -> str:
    """The row's transform with these values meaning these words."""
    name, _, argument = row.transform.partition(":")
    if name == "match":  # by a piece of the text, the first that fits: the whole text stands first
        told = {value.casefold(): word for value, word in words.items()}
        kept = {piece: word for piece, word in word_list(argument).items() if piece not in told}
        listed = {**told, **kept}
    else:
        listed = {**word_list(argument), **words}
    return f"{name}:" + ";".join(f"{value}={word}" for value, word in listed.items())


def _word(row: MapRow, value: str) -> str:
    transform = parse(row.transform, Toolbox("UTC"), {}, f"{row.table}.{row.column}")
    (word,) = list(transform.run([value]))  # type: ignore[arg-type]  # lists of words give lists
    return str(word)


def _row(datamap: DataMap, stream: Stream, field: str) -> MapRow | None:
    return next(
        (
            row
            for row in datamap.rows
            if row.stream is stream and row.field == field and row.is_mapped
        ),
        None,
    )


def _sample(look: Look, stream: Stream) -> Page:
    if stream is Stream.APPOINTMENT:
        keys = _window(look, datetime.now(UTC), LOOKED_AT)
        if keys:
            return look.reader.read_keys(stream, keys)
    return look.reader.read_range(stream, None, None, LOOKED_AT)
