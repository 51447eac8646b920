"""The continuous proof against the CRM: each stream by its tier, everything every night.

Runs in the bulk lane with its reader; a person's comparison (``audit``) runs beside it in a thread
of its own. What is wrong is repaired by reading it again and sending it; more than a little waits
for a person.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
import structlog

from agent.errors import CrmAuthError, CrmError, CrmUnavailable
from agent.journal.journal import Journal
from agent.journal.reads import Reads
from agent.model.metrics import Metric
from agent.model.proof import Audit, Basis, FullProof, Standing, StreamProof
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.ports import UNMEASURED, Clock, CrmPort, Meter, PmsReader
from agent.sync.proofs import TOO_MANY, full_due, keep_full, keep_line, last_full, last_lines
from agent.sync.reconcile import Comparison, compare, root_of
from agent.sync.session import Session, Tuning

log = structlog.get_logger(__name__)

LOOKS = 3  # at a stream of which something is on its way, before it counts as not equal now
LOOK_AGAIN_S = 0.3
FULL_AGAIN_S = 300.0  # after a night's comparison that did not prove everything
CRM_AGAIN_S = 15.0  # after one the CRM did not answer

Mend = Callable[[Session, Comparison], int]


@dataclass(frozen=True, slots=True)
class Ways:
    """``send``: read these and send them; ``retract``: look for these, which the mirror does not
    know, and tell the CRM of those that do not exist; ``rest``: False when the lane should return;
    ``braked``: streams a brake holds."""

    send: Callable[[PmsReader, Session, Stream, Sequence[Key]], int]
    retract: Callable[[PmsReader, Session, Stream, Sequence[Key]], None]
    rest: Callable[[float], bool]
    braked: Callable[[], Container[Stream]]


def _unheard(done: int, total: int) -> None:
    """Nobody asked how far it is."""


class Proving:
    """Thread-safe: one comparison at a time."""

    def __init__(
        self,
        journal: Journal,
        crm: CrmPort,
        clock: Clock,
        tuning: Tuning,
        ways: Ways,
        meter: Meter = UNMEASURED,
    ) -> None:
        self._journal = journal
        self._crm = crm
        self._clock = clock
        self._tuning = tuning
        self._ways = ways
        self._meter = meter
        self._lock = threading.Lock()
        self._due: dict[Stream, float] = {}  # mono; absent: never compared since the start
        self._full_tried: float | None = None
        self._not_before = 0.0  # mono

    def soon(self) -> None:
        """Compare everything at the next occasion, whenever that was done last."""
        self._due.clear()

    def visit(self, reader: PmsReader, session: Session) -> None:
        """One round of the bulk lane: the full proof if its time has come, else what is due. A CRM
        that does not answer holds up nothing else of the lane: it is asked again later.

        Raises Pms errors; what was found so far is kept."""
        if self._clock.mono() < self._not_before:
            return
        try:
            self._visit(reader, session)
        except CrmError as error:
            self._not_before = self._clock.mono() + CRM_AGAIN_S
            log.info("proving.unanswered", code=error.code)

    def _visit(self, reader: PmsReader, session: Session) -> None:
        if self._is_full_due(session):
            self._full_tried = self._clock.mono()
            self.audit(session, Basis.CONTENT, self.mender(reader))
            return
        for stream in session.maps:
            due = self._due.get(stream)
            if due is None or self._clock.mono() >= due:
                self.one(session, stream, Basis.KEPT, self.mender(reader))
                if not self._ways.rest(0.0):
                    return

    def audit(
        self,
        session: Session,
        basis: Basis,
        mend: Mend | None,
        told: Callable[[int, int], None] = _unheard,
    ) -> Audit:
        """Every stream. ``mend`` None repairs nothing; ``told``: streams done, of how many; what
        it raises ends the comparison."""
        began = self._clock.mono()
        streams = [s for s in Stream if s in session.maps or s in session.held]
        lines: list[StreamProof] = []
        for stream in streams:
            told(len(lines), len(streams))
            lines.append(self._patiently(session, stream, basis, mend))
        # Sums the CRM keeps prove what went through its door, not what it holds.
        proof = self._proven(lines) if basis is Basis.CONTENT else None
        if proof is not None:
            with self._journal.turn() as turn:
                keep_full(turn, proof)
                turn.note("proof.full", None, proof.rows)
            log.info("proof.full", rows=proof.rows, streams=proof.streams)
        return Audit(tuple(lines), basis, round(self._clock.mono() - began, 3), proof)

    def one(
        self, session: Session, stream: Stream, basis: Basis, mend: Mend | None = None
    ) -> StreamProof:
        """Compare one stream, repair it, keep what was found."""
        with self._lock:
            line = self._look(session, stream, basis, mend)
            self._due[stream] = self._clock.mono() + self._period_s(session, stream)
            before = last_lines(self._journal).get(stream)
            # What waits for a person is found again and again: told once.
            is_news = line.wrong > 0 and (before is None or line.wrong != before.wrong)
            with self._journal.turn() as turn:
                keep_line(turn, line)
                if is_news:
                    turn.note("reconcile.differs", stream, line.wrong)
        if is_news:
            log.warning(
                "reconcile.differs",
                stream=stream.value,
                missing=line.missing,
                different=line.different,
                extra=line.extra,
                repaired=line.repaired,
            )
            for kind in ("missing", "different", "extra"):
                count = getattr(line, kind)
                self._meter.count(Metric.PROVEN_WRONG, stream.value, kind, by=count)
        if line.repaired:
            self._meter.count(Metric.REPAIRED, stream.value, by=line.repaired)
        return line

    def mender(self, reader: PmsReader, *, many: bool = False) -> Mend:
        """Repairs with this reader; ``many``: a person said that it may be more than a little."""

        def mend(session: Session, found: Comparison) -> int:
            if found.is_too_much and not many:
                return 0  # a CRM restored from a backup, perhaps: a person looks first
            self._ways.send(reader, session, found.stream, found.send)
            if found.extra:
                self._ways.retract(reader, session, found.stream, found.extra)
            return found.wrong

        return mend

    # -- pieces -----------------------------------------------------------------------------------

    def _patiently(
        self, session: Session, stream: Stream, basis: Basis, mend: Mend | None
    ) -> StreamProof:
        """What is on its way arrives within moments: a second look finds it equal."""
        line = self.one(session, stream, basis, mend)
        wrong = line if line.wrong else None
        for _ in range(LOOKS - 1):
            if line.standing is not Standing.WAITING or _is_left_so(line):
                break
            if not self._ways.rest(LOOK_AGAIN_S):
                break
            line = self.one(session, stream, Basis.KEPT, None)
        return wrong or line

    def _look(
        self, session: Session, stream: Stream, basis: Basis, mend: Mend | None
    ) -> StreamProof:
        now = self._clock.now()
        if stream in session.held or stream not in session.maps:
            return StreamProof(stream, Standing.SKIPPED, now, why="pms.stream_held")
        if stream in self._ways.braked():
            return StreamProof(stream, Standing.SKIPPED, now, why="guard.mass_change")
        try:
            found = compare(self._journal, self._crm, stream, basis)
        except (CrmUnavailable, CrmAuthError):
            raise  # the line, not the stream
        except CrmError as error:
            return StreamProof(stream, Standing.SKIPPED, now, why=error.code)
        line = judged(self._journal, found, now)
        if line.wrong and mend is not None:
            repaired = mend(session, found)
            why = TOO_MANY if found.is_too_much and not repaired else ""
            return msgspec.structs.replace(line, repaired=repaired, why=why)
        return line

    def _period_s(self, session: Session, stream: Stream) -> float:
        tier = session.facts.streams[stream].tier if stream in session.facts.streams else "cold"
        return min(self._tuning.reconcile_s, self._tuning.rotation.period_s(tier))

    def _is_full_due(self, session: Session) -> bool:
        tried = self._full_tried
        wait_s = min(FULL_AGAIN_S, self._tuning.reconcile_s)
        if tried is not None and self._clock.mono() - tried < wait_s:
            return False
        last = last_full(self._journal)
        rotation = self._tuning.rotation
        wall = self._clock.now().astimezone(rotation.zone)
        return full_due(wall, None if last is None else last.at, rotation.week)

    def _proven(self, lines: Sequence[StreamProof]) -> FullProof | None:
        """None unless every line is equal and everything was read in the practice."""
        now = self._clock.now()
        numbers = self._journal.numbers(now)
        if numbers.chunks_unloaded or numbers.oldest_unverified_at is None or not lines:
            return None
        if not all(line.standing is Standing.EQUAL or _is_left_so(line) for line in lines):
            return None
        return FullProof(
            at=now,
            rows=sum(line.at_crm or 0 for line in lines),
            streams=sum(1 for line in lines if line.at_crm),
            root=root_of((line.stream, line.digest) for line in lines),
            since=numbers.oldest_unverified_at,
            excepted=sum(line.excepted for line in lines),
        )


def _is_left_so(line: StreamProof) -> bool:
    """Differs by nothing but what a person chose to leave as it is."""
    return line.standing is Standing.WAITING and 0 < line.waiting == line.excepted


def judged(journal: Reads, found: Comparison, now: datetime) -> StreamProof:
    """A comparison in figures; what nobody wants mended is told apart."""
    counts = {count.stream: count.present for count in journal.stream_counts()}
    excepted = 0
    if found.waiting:
        left = {p.key for p in journal.parked(10_000, ignored=True) if p.stream is found.stream}
        excepted = sum(key in left for key in found.waiting)
    if found.wrong:
        standing = Standing.DIFFERS
    elif found.waiting or found.differing:
        standing = Standing.WAITING
    else:
        standing = Standing.EQUAL
    return StreamProof(
        found.stream,
        standing,
        now,
        records=counts.get(found.stream, 0),
        at_crm=found.at_crm,
        missing=len(found.missing),
        different=len(found.different),
        extra=len(found.extra),
        waiting=len(found.waiting),
        excepted=excepted,
        proven_at=journal.proven_since().get(found.stream),
        digest=found.digest,
    )
