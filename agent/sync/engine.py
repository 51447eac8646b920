"""The engine: owns the session and runs the reading lanes until told to stop.

Lanes are plain blocking loops (``watch``, ``bulk``; the dispatcher has its own); runtime gives each
a thread. An error of one round never ends a lane: its class says how long to wait (agent.errors).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from agent.errors import (
    AgentError,
    CrmError,
    JournalError,
    PmsDrift,
    PmsError,
    PmsRefused,
    PmsSetup,
    PmsUnavailable,
)
from agent.journal.journal import Journal
from agent.journal.rows import Tier, Urgency
from agent.model.metrics import Metric
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.ports import UNMEASURED, Clock, CrmPort, Meter, PmsReader, PmsSource
from agent.sync.brakes import Brakes
from agent.sync.capture import Capture
from agent.sync.datamap import DataMap
from agent.sync.guards import BrakeRule, Unbelieved, Verdict
from agent.sync.pace import Backoff
from agent.sync.proving import Proving, Ways
from agent.sync.push import Dispatcher
from agent.sync.reconcile import compare
from agent.sync.session import Session, Tuning, accept_source, check_source, open_session

log = structlog.get_logger(__name__)

GUARD_EVERY_S = 2.0
REFUSED_WAIT_S = 300.0  # a wrong password is never hammered: it would lock the account
RIGHT_MISSING = "pms.right_missing"
DRIFT_WAIT_S = 5.0
SETUP_WAIT_S = 60.0
IDLE_S = 0.25
HELD_RETRY_S = 10.0
CALM_STRETCH = 2.5  # of the gate's interval while nothing moves
DOUBT_S = 30.0  # how long a damaged database may look restored before that is remembered
READ_KEYS = 500

_VERDICT_CODES = {
    Verdict.WAIT: "pms.update_running",
    Verdict.CORRUPTED: "pms.corrupted",
    Verdict.RESTORED: "pms.suspect_restored",
    Verdict.OTHER: "pms.wrong_database",
}


@dataclass(slots=True)
class PmsLine:
    """What the engine knows about the line to the PMS. ``code`` is None while it is fine."""

    code: str | None = None
    since_mono: float = 0.0
    read_mono: float | None = None  # last complete look
    read_at: datetime | None = None


class Engine:
    """Build once per process; ``watch`` and ``bulk`` run in their own threads."""

    def __init__(
        self,
        source: PmsSource,
        crm: CrmPort,
        journal: Journal,
        datamap: DataMap,
        clock: Clock,
        tuning: Tuning,
        random: Callable[[], float],
        meter: Meter = UNMEASURED,
    ) -> None:
        self._source = source
        self._meter = meter
        self._crm = crm
        self._journal = journal
        self._datamap = datamap
        self._clock = clock
        self._tuning = tuning
        self._random = random
        self.stopping = threading.Event()
        self._resumed = threading.Event()
        self._resumed.set()
        self.paused_until: datetime | None = None
        self.pms = PmsLine()
        self.journal_code: str | None = None  # why the journal took nothing just now
        self.brakes = Brakes(
            journal,
            clock,
            delete_rule=BrakeRule(tuning.brake_rows, tuning.brake_share),
            change_share=tuning.change_share,
        )
        self.dispatcher = Dispatcher(
            journal,
            crm,
            clock,
            Backoff(random, cap_s=10.0),
            on_limits=self._refresh_limits,
            meter=meter,
        )
        self.capture = Capture(
            journal,
            crm,
            clock,
            self.brakes,
            settle_s=tuning.settle_s,
            on_work=self.dispatcher.wake,
            meter=meter,
        )
        self.listeners: list[Callable[[], None]] = []  # called at a pause, its end, and the stop
        self._session: Session | None = None
        self._doubted_mono: float | None = None
        self._session_lock = threading.Lock()
        self.proving = Proving(
            journal,
            crm,
            clock,
            tuning,
            Ways(self.send_again, self._retract, self.rest, lambda: self.brakes.on),
            meter,
        )

    # -- what people and the scheduler ask ------------------------------------------------------

    @property
    def session(self) -> Session | None:
        return self._session

    def pause(self, until: datetime) -> None:
        """Neither read nor send before ``until``. What is under way is finished."""
        self.paused_until = until
        self.dispatcher.paused = True
        self._resumed.clear()
        self._tell_listeners()

    def resume(self) -> None:
        self.paused_until = None
        self.dispatcher.paused = False
        self._resumed.set()
        self.dispatcher.wake()
        self._tell_listeners()

    def reprobe(self) -> None:
        """Throw the session away; the lanes make a new one."""
        with self._session_lock:
            self._session = None

    def stop(self) -> None:
        self.stopping.set()
        self._resumed.set()
        self.dispatcher.wake()
        self._tell_listeners()

    def _tell_listeners(self) -> None:
        for listener in self.listeners:
            listener()

    def accept_source(self) -> None:
        reader = self._source.open()
        try:
            accept_source(reader, self._journal)
        finally:
            reader.close()
        self.dispatcher.fenced = False
        self.reprobe()

    # -- lanes ----------------------------------------------------------------------------------

    def watch(self) -> None:
        """The live lane."""
        guarded_mono = -GUARD_EVERY_S

        def body(reader: PmsReader, session: Session) -> float:
            nonlocal guarded_mono
            started = self._clock.mono()
            if self._probe_held(session):
                return 0.0
            if not session.watching or started - guarded_mono >= GUARD_EVERY_S:
                if not self._believe(reader, session):
                    return GUARD_EVERY_S
                guarded_mono = started  # not where the look failed: nobody knows what it would say
            if not session.watching:
                session.watch.start(reader)
                session.watching = True
            session.watch.tick(reader, self.brakes.on)
            self._note_read()
            gate_s = self._tuning.gate_s * (CALM_STRETCH if session.watch.is_calm else 1.0)
            return max(gate_s - (self._clock.mono() - started), 0.002)

        self.run_lane("watch", body)

    def bulk(self) -> None:
        """Initial load, then second looks, sweeps and proofs, for ever."""

        def body(reader: PmsReader, session: Session) -> float:
            if not session.watching or self.pms.code is not None:
                return IDLE_S / 5  # the live lane fixes its marks and believes the source first
            if not session.load.progress.done:
                session.load.run(reader)
                return 0.0
            did = self._confirm_disappearances(reader, session)
            did += self._retry_parked(reader, session)
            did += session.key_sets.visit(reader, self.brakes.on)
            did += self._sweep_due(reader, session)
            # That nothing was ever sent is no reason: a quiet night after a restart is proven, too.
            if not self._journal.batches_waiting() and self.dispatcher.line.error is None:
                self.proving.visit(reader, session)
            return 0.0 if did else IDLE_S

        self.run_lane("bulk", body)

    def run_lane(self, name: str, body: Callable[[PmsReader, Session], float]) -> None:
        backoff = Backoff(self._random, first_s=0.5, cap_s=15.0)
        reader: PmsReader | None = None
        bound_to: Session | None = None  # a reader reads what its session bound
        while not self.stopping.is_set():
            if not self._resumed.is_set():
                self._resumed.wait(0.5)
                self._resume_if_due()
                continue
            try:
                session = self._ensure_session()
                if reader is not None and bound_to is not session:
                    reader.close()
                    reader = None
                if reader is None:
                    reader, bound_to = self._source.open(), session
                wait_s = body(reader, session)
                backoff.succeeded()
                self._meter.count(Metric.LANE_ROUNDS, name, "ok")
                self.journal_code = None
            except Exception as error:  # noqa: BLE001 - one round must not end a lane
                wait_s = self._after(name, error, backoff)
                self._meter.count(Metric.LANE_ROUNDS, name, "failed")
            if wait_s > 0:
                self.stopping.wait(wait_s)
        if reader is not None:
            reader.close()

    def _after(self, lane: str, error: Exception, backoff: Backoff) -> float:
        """What one failed round means: note it where the status looks; seconds to wait."""
        match error:
            case Unbelieved():
                return GUARD_EVERY_S
            case PmsRefused():
                if error.code != RIGHT_MISSING:
                    return self._pms_failed(lane, error, REFUSED_WAIT_S)
                # One table's right, not the login: without it the other streams go on.
                self.reprobe()
                return self._pms_failed(lane, error, DRIFT_WAIT_S)
            case PmsDrift():
                self.reprobe()
                return self._pms_failed(lane, error, DRIFT_WAIT_S)
            case PmsSetup():
                return self._pms_failed(lane, error, SETUP_WAIT_S)
            case PmsUnavailable():
                return self._pms_failed(lane, error, backoff.failed())
            case JournalError():
                # Disk full, most likely. Nothing was taken; it is tried again and said until then.
                log.warning("lane.journal", lane=lane, code=error.code)
                self.journal_code = error.code
                return backoff.failed()
            case CrmError():
                log.info("lane.crm", lane=lane, code=error.code)
                return backoff.failed()
            case _:  # a bug must not blind the office for weeks
                log.error("lane.bug", lane=lane, error=type(error).__name__, exc_info=error)
                return max(backoff.failed(), 2.0)

    def rest(self, seconds: float) -> bool:
        """Sleep between statements; False when the lane should return (stop, pause, trouble)."""
        if seconds > 0:
            self.stopping.wait(seconds)
        return not self.stopping.is_set() and self._resumed.is_set() and self.pms.code is None

    # -- pieces ---------------------------------------------------------------------------------

    @property
    def is_sound(self) -> bool:
        """The live lane reads the source and believes it: it may be written too."""
        session = self._session
        return (
            session is not None
            and session.watching
            and self.pms.code is None
            and not self.dispatcher.fenced
        )

    def _ensure_session(self) -> Session:
        with self._session_lock:
            if self._session is None:
                self._session = open_session(
                    self._source,
                    self._datamap,
                    self._journal,
                    self.capture,
                    self._clock,
                    self._tuning,
                    self.rest,
                    self.insist,
                )
            return self._session

    def _believe(self, reader: PmsReader, session: Session) -> bool:
        """False while the source must not be read or believed; the status says why."""
        now = self._clock.mono()
        since = self._doubted_mono
        # Where tables have crashed, too few keys may only mean that the server is mending them.
        sure = not session.held or (since is not None and now - since >= DOUBT_S)
        verdict = check_source(reader, self._journal, session, sure=sure)
        if verdict is not Verdict.RESTORED:
            self._doubted_mono = None
        elif since is None:
            self._doubted_mono = now
        self.dispatcher.fenced = verdict in (Verdict.OTHER, Verdict.RESTORED)
        if verdict is Verdict.OK:
            return True
        if verdict is Verdict.REPROBE:
            log.info("source.version_changed")
            self.brakes.allow(list(Stream), for_s=self._tuning.rotation.warm_s)
            self.reprobe()
            return False
        self._set_code(_VERDICT_CODES[verdict])
        return False

    def insist(self, reader: PmsReader) -> None:
        """Called between a read and taking it. Raises Unbelieved; the status then says why."""
        session = self._session
        if session is None or not self._believe(reader, session):
            raise Unbelieved

    def _note_read(self) -> None:
        if self.dispatcher.fenced:  # another lane found meanwhile that this is not our database
            return
        self.pms = PmsLine(None, 0.0, self._clock.mono(), self._clock.now())

    def _set_code(self, code: str) -> None:
        if self.pms.code != code:
            log.warning("pms.state", code=code)
            self.pms = PmsLine(code, self._clock.mono(), self.pms.read_mono, self.pms.read_at)

    def _pms_failed(self, lane: str, error: PmsError, wait_s: float) -> float:
        log.info("lane.pms", lane=lane, code=error.code, wait_s=round(wait_s, 2))
        if lane == "watch" or isinstance(error, (PmsRefused, PmsSetup)):
            self._set_code(error.code)
        return wait_s

    def _resume_if_due(self) -> None:
        if self.paused_until is not None and self._clock.now() >= self.paused_until:
            self.resume()

    def _confirm_disappearances(self, reader: PmsReader, session: Session) -> int:
        """The second look at what vanished; only then is it a deletion, under the brake."""
        self._journal.heed_clock()
        before = self._clock.now() - timedelta(seconds=self._tuning.confirm_delete_s)
        vanished: dict[Stream, list[Key]] = {}
        streams = [s for s in session.maps if s not in self.brakes.on]
        for stream, key, _ in self._journal.missing(before, READ_KEYS, streams):
            vanished.setdefault(stream, []).append(key)
        if not vanished:
            return 0
        did = 0
        for stream, keys in vanished.items():
            read_lsn = self.capture.last_lsn
            page = reader.read_keys(stream, keys)
            self.insist(reader)
            mapped = session.maps[stream]
            self.capture.take(mapped, page, read_lsn=read_lsn, urgency=Urgency.REPAIR)
            present = {row[0] for row in page.rows} | {bad.key for bad in page.unreadable}
            did += self.capture.bury(mapped, [key for key in keys if key not in present])
        return did

    def _retry_parked(self, reader: PmsReader, session: Session) -> int:
        due: dict[Stream, list[Key]] = {}
        # Those of a stream that is not read just now must not stand before the others.
        for parked in self._journal.due_parked(self._clock.now(), READ_KEYS, session.maps):
            due.setdefault(parked.stream, []).append(parked.key)
        return sum(self.send_again(reader, session, s, keys) for s, keys in due.items())

    def send_again(
        self, reader: PmsReader, session: Session, stream: Stream, keys: Sequence[Key]
    ) -> int:
        """Read these records and send them whatever the mirror says. Returns how many left."""
        sent = 0
        for start in range(0, len(keys), READ_KEYS):
            asked = keys[start : start + READ_KEYS]
            read_lsn = self.capture.last_lsn
            page = reader.read_keys(stream, asked)
            self.insist(reader)
            taken = self.capture.take(
                session.maps[stream],
                page,
                read_lsn=read_lsn,
                urgency=Urgency.REPAIR,
                asked=asked,
                force=True,
            )
            sent += taken.changed
        return sent

    def _retract(
        self, reader: PmsReader, session: Session, stream: Stream, keys: Sequence[Key]
    ) -> None:
        """Of what the mirror does not know, the CRM is told what does not exist; the rest is there
        (the mirror is behind, or the row could never be read) and is taken as any other."""
        for start in range(0, len(keys), READ_KEYS):
            some = keys[start : start + READ_KEYS]
            page = reader.read_keys(stream, some)
            self.insist(reader)
            there = page.keys
            self.capture.retract(stream, [key for key in some if key not in there])
            self.send_again(reader, session, stream, [key for key in some if key in there])

    def _sweep_due(self, reader: PmsReader, session: Session) -> int:
        streams = [s for s in session.maps if s not in self.brakes.on]
        chunks = self._journal.next_chunks(self._clock.now(), 8, loaded=True, streams=streams)
        for chunk in chunks:
            swept = session.sweep.visit(reader, session.maps[chunk.stream], chunk)
            if swept.late or swept.missing:
                self._meter.count(Metric.LATE, chunk.stream.value, by=swept.late + swept.missing)
                log.info(
                    "sweep.found",
                    stream=chunk.stream.value,
                    late=swept.late,
                    missing=swept.missing,
                )
            if not self.rest(0.0):
                break
        return len(chunks)

    def check_now(self) -> None:
        """A person's wish: what waits is sent without waiting longer, the busy part proven anew."""
        with self._journal.turn() as turn:
            turn.due_all_chunks(None, Tier.HOT)
        self.dispatcher.hurry()

    @property
    def sweeps_done(self) -> bool:
        """No chunk is due: everything has been proven within its rotation."""
        return not self._journal.next_chunks(self._clock.now(), 1, loaded=True)

    def compare_now(self) -> int:
        """Compare mirror and CRM, changing nothing: how many records differ, -1 unknown."""
        session = self._session
        if session is None:
            return -1
        try:
            found = [compare(self._journal, self._crm, stream) for stream in session.maps]
        except CrmError:
            return -1
        return sum(each.wrong + len(each.waiting) for each in found)

    def _probe_held(self, session: Session) -> bool:
        """A stream held back may be whole again (a table was mended, a grant came back)."""
        due = bool(session.held) and self._clock.mono() - session.opened_mono >= HELD_RETRY_S
        if due:
            self.reprobe()
        return due

    def _refresh_limits(self) -> None:
        try:
            self.capture.limits = self._crm.limits()
        except AgentError as error:
            log.info("crm.limits_unknown", code=error.code)
