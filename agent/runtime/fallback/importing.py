"""A CSV file brought in: look, preview, apply. Long work; see ``jobs``.

The preview goes through the file once, a few thousand rows at a time, and keeps its findings in a
file beside it. Applying hands the commands to the apply lane in portions, behind what the CRM asks
for itself, and watches them end.
"""

from __future__ import annotations

import hashlib
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import msgspec

from agent.csvio import heads as headings
from agent.csvio.heads import Heads, HeadsError, Kind
from agent.csvio.reading import Shape, look, rows
from agent.errors import AgentError
from agent.journal.reads import Reads
from agent.journal.turn import Turn
from agent.model.commands import Command
from agent.model.sheets import Counts, IntakeView, Reading, RowLine, RowPage, SheetLook, Verdict
from agent.ports import Clock
from agent.runtime.fallback.files import Files
from agent.runtime.fallback.ground import Ground, Judged
from agent.runtime.fallback.jobs import Cancelled, Ticket
from agent.runtime.fallback.planning import Planning
from agent.runtime.fallback.spelling import Spelling, day_first_of

BATCH_ROWS = 4000
SAMPLE_ROWS = 5
DATE_SAMPLE = 500
_DATES = ("birthdate", "date", "start", "at", "due", "disabled_until")
PORTION = 100
MOST_UNDER_WAY = 300  # commands of a file that wait at once; the CRM's own are not held up
WATCH_S = 0.25
_OPEN = ("received", "waiting", "working")
_BY_DEFAULT = (Verdict.REJECTED, Verdict.CHANGED, Verdict.NEW, Verdict.KNOWN)


class _Spooled(msgspec.Struct, array_like=True):
    line: RowLine
    commands: tuple[Command, ...] = ()


@dataclass(slots=True)
class Preview:
    """What a finished preview found: rows in ``path``, where each begins, by verdict."""

    token: str
    kind: Kind
    digest: str
    path: Path
    counts: Counts
    heads: tuple[str, ...]
    places: dict[Verdict, array[int]] = field(default_factory=dict)

    def page(self, verdicts: tuple[Verdict, ...], after: int, limit: int) -> RowPage:
        wanted = verdicts or _BY_DEFAULT
        total = sum(len(self.places.get(v, ())) for v in wanted)
        found: list[RowLine] = []
        skip = after
        with self.path.open("rb") as file:
            for verdict in wanted:
                places = self.places.get(verdict, array("Q"))
                for at in places[skip : skip + limit - len(found)]:
                    file.seek(at)
                    found.append(_decoder.decode(file.readline()).line)
                skip = max(skip - len(places), 0)
                if len(found) >= limit:
                    break
        return RowPage(tuple(found), total)

    def commands(self) -> Iterator[tuple[Command, ...]]:
        """Of the new and changed rows, in the order of the file."""
        places = sorted(at for v in (Verdict.NEW, Verdict.CHANGED) for at in self.places.get(v, ()))
        with self.path.open("rb") as file:
            for at in places:
                file.seek(at)
                yield _decoder.decode(file.readline()).commands

    def rejected(self) -> Iterator[RowLine]:
        with self.path.open("rb") as file:
            for at in self.places.get(Verdict.REJECTED, ()):
                file.seek(at)
                yield _decoder.decode(file.readline()).line


_decoder = msgspec.json.Decoder(_Spooled)
_encoder = msgspec.json.Encoder()


class Importing:
    """``ground``: made afresh for each preview. ``turn``: None where nothing may be written."""

    def __init__(
        self,
        files: Files,
        journal: Reads,
        clock: Clock,
        *,
        zone: Callable[[], str],
        ground: Callable[[], Ground],
        turn: Callable[[], AbstractContextManager[Turn]] | None,
        wake: Callable[[], None],
    ) -> None:
        self._files = files
        self._journal = journal
        self._clock = clock
        self._zone = zone
        self._ground = ground
        self._turn = turn
        self._wake = wake

    @property
    def may_apply(self) -> bool:
        return self._turn is not None

    def look(self, token: str, reading: Reading) -> SheetLook:
        """The beginning of a file and what its columns are taken for. SheetError, FilesError."""
        with self._files.read(token) as file:
            shape = look(file, encoding=reading.encoding, delimiter=reading.delimiter)
            sample = tuple(line.cells for line in islice(rows(file, shape), SAMPLE_ROWS))
            digest = _digest(file)
        earlier = next((i.number for i in self._journal.intakes(200) if i.digest == digest), 0)
        kind = Kind(reading.kind) if reading.kind else headings.kind_of(shape.heads)
        seen = SheetLook(
            kind=kind.value if kind else "",
            encoding=shape.encoding,
            delimiter=shape.delimiter,
            heads=shape.heads,
            fields={},
            unused=(),
            can=tuple(headings.NAMES[kind]) if kind else (),
            sample=sample,
            intake=earlier,
            kinds=tuple(Kind),
        )
        try:
            found = headings.match(shape.heads, kind, reading.columns)
        except HeadsError as error:
            return msgspec.structs.replace(seen, code=error.code, what=error.what)
        fields = {name: shape.heads[at] for name, at in found.fields.items()}
        return msgspec.structs.replace(seen, fields=fields, unused=found.unused)

    # -- preview ----------------------------------------------------------------------------------

    def preview(self, token: str, reading: Reading, ticket: Ticket) -> Preview:
        """AgentError, Cancelled. Changes nothing."""
        name = self._files.name(token)
        with self._files.read(token) as file:
            shape = look(file, encoding=reading.encoding, delimiter=reading.delimiter)
            try:
                kind = Kind(reading.kind) if reading.kind else None
                found = headings.match(shape.heads, kind, reading.columns)
            except HeadsError as error:
                raise AgentError(error.code, field=error.what) from None
            made_at = reading.made_at or self._clock.now()
            planning = Planning(
                self._ground(),
                found,
                Spelling(zone=self._zone(), day_first=self._day_first(file, shape, found, reading)),
                as_of=self._journal.lsn_at(made_at) if reading.made_at else self._journal.lsn,
                now=self._clock.now(),
                salt=made_at.isoformat() if reading.again else "",
            )
            _, path = self._files.make(f"{name}.rows")
            digest = _digest(file)
            places, counts = self._judge_all(file, shape, planning, path, ticket)
        return Preview(token, found.kind, digest, path, counts, shape.heads, places)

    def _judge_all(
        self, file: BinaryIO, shape: Shape, planning: Planning, path: Path, ticket: Ticket
    ) -> tuple[dict[Verdict, array[int]], Counts]:
        total = Path(file.name).stat().st_size
        places: dict[Verdict, array[int]] = {}
        asks = 0

        def counted() -> Counts:
            each = {v.value: len(places.get(v, ())) for v in Verdict}
            return Counts(**each, asks=asks)

        lines = rows(file, shape)
        with path.open("wb") as out:
            at = 0
            while batch := list(islice(lines, BATCH_ROWS)):
                ticket.check()
                for judged in planning.judge(batch):
                    line = _encoder.encode(_spooled(judged)) + b"\n"
                    out.write(line)
                    places.setdefault(judged.line.verdict, array("Q")).append(at)
                    asks += judged.asks and bool(judged.commands)
                    at += len(line)
                ticket.progress(min(batch[-1].at, total), total, "bytes", counted())
        return places, counted()

    def _day_first(self, file: BinaryIO, shape: Shape, found: Heads, reading: Reading) -> bool:
        if reading.day_first is not None:
            return reading.day_first
        at = [found.fields[n] for n in _DATES if n in found.fields]
        sample = islice(rows(file, shape), DATE_SAMPLE)
        said = day_first_of(line.cells[n] for line in sample if not line.code for n in at)
        return bool(said)

    # -- apply ------------------------------------------------------------------------------------

    def apply(self, preview: Preview, actor: str, ticket: Ticket) -> IntakeView:
        """Until every request has ended, waits for a person, or a person says stop."""
        if self._turn is None:
            raise AgentError("desk.needs_agent")
        counts = msgspec.to_builtins(preview.counts)
        with self._turn() as turn:
            number = turn.open_intake(preview.kind.value, preview.digest, actor)
        state, fed = "done", 0
        total = preview.counts.new + preview.counts.changed
        try:
            for portion in _portions(preview.commands()):
                self._room(number, fed, total, ticket)
                with self._turn() as turn:
                    now = self._clock.now()
                    for command in portion:
                        turn.receive(command, now)
                    turn.intake_took(number, [command.command_id for command in portion])
                fed += len(portion)
                self._wake()
            while self._under_way(number) > 0:
                self._show(number, fed, max(total, fed), ticket)
                time.sleep(WATCH_S)
        except Cancelled:
            state = "cancelled"
            raise
        except BaseException:
            state = "broken"
            raise
        finally:
            with self._turn() as turn:
                turn.end_intake(number, state, counts)
                turn.note("csv.imported", None, fed, {"intake": number})
        return intake_view(self._journal, number)

    def _room(self, number: int, fed: int, total: int, ticket: Ticket) -> None:
        """Waits until few enough are under way."""
        while self._under_way(number) > MOST_UNDER_WAY - PORTION:
            self._show(number, fed, total, ticket)
            time.sleep(WATCH_S)
        ticket.check()

    def _show(self, number: int, fed: int, total: int, ticket: Ticket) -> None:
        view = intake_view(self._journal, number)
        over = fed - sum(view.ends.get(s, 0) for s in _OPEN)
        ticket.progress(over, total, "rows", view)

    def _under_way(self, number: int) -> int:
        ends = self._journal.intake_ends(number)
        return sum(ends.get(state, 0) for state in _OPEN)


def intake_view(journal: Reads, number: int) -> IntakeView:
    row = journal.intake(number)
    if row is None:
        raise AgentError("desk.not_found", what="import", id=number)
    ends = journal.intake_ends(number)
    return IntakeView(row.number, row.at, row.actor, row.kind, row.state, row.counts, ends)


def _spooled(judged: Judged) -> _Spooled:
    return _Spooled(judged.line, judged.commands)


def _portions(commands: Iterator[tuple[Command, ...]]) -> Iterator[list[Command]]:
    held: list[Command] = []
    for some in commands:
        held += some
        if len(held) >= PORTION:
            yield held
            held = []
    if held:
        yield held


def _digest(file: BinaryIO) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()
