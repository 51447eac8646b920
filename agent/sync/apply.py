"""The apply lane: takes due commands in order, one at a time, and sees that each of them ends.

Open effects are looked at before any command; commands of one record keep their order; what cannot
be done now waits on a ladder until it expires or has waited long enough. The only owner of the
PMS's writer: people's undo runs here as well (``submit``).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import structlog

from agent.errors import AgentError, JournalError, PmsError
from agent.journal.journal import Journal, Turn
from agent.journal.pulled import CommandRow, CommandState, ConflictState, EffectRow
from agent.model.commands import Command, CommandType, EndState, Reason
from agent.model.desk import SafetyMode
from agent.ports import Clock, PmsReader, PmsWriter
from agent.sync import outcomes
from agent.sync.bench import Bench
from agent.sync.carrying import Carrying
from agent.sync.effects import KINDS_OF, takes_place
from agent.sync.errands import Errands
from agent.sync.guards import Unbelieved
from agent.sync.looks import HeldBack, Looks, Unreadable
from agent.sync.order import Order
from agent.sync.outcomes import Say
from agent.sync.payloads import Invalid, moment
from agent.sync.plans import Postpone, Refuse
from agent.sync.recover import Recover
from agent.sync.safety import Safety
from agent.sync.session import Session
from agent.sync.standing import standing
from agent.sync.switches import BOOKING, HARMLESS
from agent.sync.writerline import NO_WRITER, WriterLine
from agent.sync.writing import ChangedMeanwhile, Failed, Overtaken, Unsettled, WriterAway, Writing

log = structlog.get_logger(__name__)

T = TypeVar("T")

LADDER_S = (1.0, 2.0, 5.0, 10.0, 25.0, 25.0, 60.0, 60.0, 300.0)
AT_ONCE = 200
MOST_A_ROUND = 8
IDLE_S = 0.5
MOST_BUGS = 3


@dataclass(frozen=True, slots=True)
class ApplyTuning:
    """Seconds. ``probe_window_s`` None: by the kind of writer (``writerline.WINDOW_S``)."""

    give_up_s: float = 3600.0  # a command without an end of its own waits so long for the PMS
    task_timeout_s: float = 48 * 3600.0
    probe_window_s: float | None = None
    suspend_after_s: float = 30.0  # booking is suspended while the writer is away longer


@dataclass(slots=True)
class _Job:
    run: Callable[[Bench], Any]
    future: Future[Any]


class Apply:
    """``ready``: whether the source may be read and believed now; ``insist``: raises Unbelieved
    where it may not, asked of the source itself. ``open_writer``: once, and again after it failed.
    ``capabilities`` and ``live_trouble`` may be asked from any thread."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        safety: Safety,
        carrying: Carrying,
        errands: Errands,
        writing: Writing,
        *,
        open_writer: Callable[[], PmsWriter | None],
        ready: Callable[[Session], bool],
        insist: Callable[[PmsReader], None],
        zone_of: Callable[[Session], str],
        tuning: ApplyTuning,
        say: Say,
        on_outcome: Callable[[], None],
        on_facts: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._safety = safety
        self._carrying = carrying
        self._errands = errands
        self._ready = ready
        self._insist = insist
        self._zone_of = zone_of
        self._tuning = tuning
        self._say = say
        self._on_outcome = on_outcome
        self._awake = threading.Event()
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self.writer_line = WriterLine(
            journal, clock, open_writer, tuning.probe_window_s, on_facts=on_facts
        )
        self._order = Order(journal)
        self._bugs: dict[str, int] = {}
        self.recover = Recover(
            journal,
            clock,
            writing,
            window_s=self.writer_line.window_s,
            unknown=self._give_to_person,
            not_kept=self._not_kept,
        )
        self._stopped = threading.Event()
        self._hindrances = frozenset({"engine"})  # whatever waited before a restart is due

    # -- asked from other threads -----------------------------------------------------------------

    def wake(self) -> None:
        self._awake.set()

    def close(self) -> None:
        """No more jobs; the lane has ended or is about to."""
        self._stopped.set()
        self._awake.set()

    def submit(self, run: Callable[[Bench], T], timeout_s: float = 60.0) -> T:
        """Have something done with the writer in the lane's thread; its result.

        Raises what it raises; AgentError ``apply.not_ready`` when the lane cannot take it up and
        ``apply.under_way`` when it has, and is not done in time: then it goes on.
        """
        if self._stopped.is_set():
            raise AgentError("apply.not_ready")
        future: Future[Any] = Future()
        self._jobs.put(_Job(run, future))
        self._awake.set()
        try:
            found: T = future.result(timeout_s)
        except TimeoutError:
            if future.cancel():
                raise AgentError("apply.not_ready") from None
            if not future.done():
                raise AgentError("apply.under_way") from None
            found = future.result()  # done in the last moment, or the error is its own
        return found

    def capabilities(self) -> list[CommandType]:
        """What the CRM may ask for now."""
        mode = self._safety.now.mode
        if mode in (SafetyMode.STOPPED, SafetyMode.READ_ONLY):
            return sorted(HARMLESS)
        facts = self.writer_line.offered
        offered = set(HARMLESS)
        if facts is not None:
            by_desk = facts.kind == "none" or facts.rest_by_desk
            offered |= {
                command_type
                for command_type, kinds in KINDS_OF.items()
                if by_desk or set(kinds) <= facts.abilities
            }
        if self._safety.suspended is not None:
            offered -= BOOKING
        return sorted(offered)

    def live_trouble(self) -> str | None:
        """Why nothing should be booked while it lasts: the writer is away."""
        away_s = self.writer_line.away_s
        return "writer.unreachable" if away_s >= self._tuning.suspend_after_s else None

    # -- the lane ---------------------------------------------------------------------------------

    def round(self, reader: PmsReader, session: Session) -> float:
        """One pass; waits for work when there is none. Seconds the lane should rest. The Pms and
        Journal errors of the reader pass through."""
        self._awake.clear()
        if self._stopped.is_set():  # while the session was opened
            return 0.0
        if not self._ready(session):
            self._hindrances |= {"engine"}
            self._refuse_jobs()
            self._awake.wait(IDLE_S)
            return 0.0
        self._suspend_if_due()
        line = self.writer_line
        line.heard()
        doubtful = line.facts is None or line.away_s > 0.0
        if doubtful or not self._journal.commands_due(self._clock.now(), 1):
            line.look()  # a routine look never keeps a command waiting
        self._go_on_when_free(session)
        looks = Looks(
            reader, session.maps, lambda: self._journal.lsn, self._zone_of(session), session.held,
            insist=lambda: self._insist(reader),
        )  # fmt: skip
        next_look_s = self.recover.visit(looks, session.facts)
        bench = Bench(
            looks,
            session.facts,
            self.writer_line.writer,
            self.writer_line.facts or NO_WRITER,
            tuple(self.recover.open),
        )
        did = self._run_jobs(bench)
        if self._safety.now.mode is not SafetyMode.STOPPED:
            did += self._run_commands(bench)
        if not did:
            self._carrying.prepare(looks)
            waits = [IDLE_S, *(w for w in (next_look_s,) if w is not None)]
            self._awake.wait(min(waits))
        return 0.0

    def _go_on_when_free(self, session: Session) -> None:
        """What waited for the writer to be reached, for booking to be offered again or for a stream
        to be read again is due at once when that is so, wherever it stands on the ladder."""
        now = {stream.value for stream in session.held}
        if self.writer_line.away_s > 0.0:
            now.add("writer")
        if self._safety.suspended is not None:
            now.add("booking")
        if self._hindrances - now:
            with self._journal.turn() as turn:
                turn.hurry()
        self._hindrances = frozenset(now)

    def _run_jobs(self, bench: Bench) -> int:
        done = 0
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return done
            done += 1
            if not job.future.set_running_or_notify_cancel():
                continue
            try:
                job.future.set_result(job.run(bench))
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever asked
                job.future.set_exception(error)
            self.recover.refresh()

    def _refuse_jobs(self) -> None:
        while not self._jobs.empty():
            job = self._jobs.get_nowait()
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(AgentError("apply.not_ready"))

    def _run_commands(self, bench: Bench) -> int:
        did = 0
        waiting = self.recover.commands
        for row in self._due():
            if self._stopped.is_set() or not self._jobs.empty():
                return did + 1
            command = row.command
            if command.command_id in waiting or self._order.must_wait(row):
                continue
            is_away = self.writer_line.is_away or self.writer_line.facts is None
            if is_away and command.type not in HARMLESS:
                continue  # nobody knows what could be written: it is no desk task yet
            did += 1
            self._one(row, bench)
            if self.writer_line.heard() or self._must_look or did >= MOST_A_ROUND:
                return did  # before anything else is written; or something urgent has come
        return did

    def _due(self) -> Iterator[CommandRow]:
        """Page by page: however many wait for others, those behind them get their turn."""
        now, seen = self._clock.now(), 0
        while rows := self._journal.commands_due(now, AT_ONCE, skip=seen):
            yield from rows
            seen += len(rows)
            if len(rows) < AT_ONCE:
                return

    def _one(self, row: CommandRow, bench: Bench) -> None:
        command = row.command
        self._must_look = False
        try:
            if self._is_expired(command) and not is_patient(self._journal, command):
                self._end(command, EndState.EXPIRED, "command.expired", Reason.EXPIRED)
            elif command.type in HARMLESS:
                self._errands.run(command)
            else:
                self._carrying.carry(command, bench)
            self._release(command)
        except Refuse as refused:
            self._refused(command, refused)
        except Postpone as postponed:
            self._later(row, postponed.code, postponed.reason, postponed.patience_s)
        except Failed as failed:
            if failed.reason.is_retryable and failed.reason is not Reason.INTERNAL:
                self._later(row, failed.code, failed.reason)
            else:
                self._end(command, EndState.REJECTED, failed.code, failed.reason)
        except Unsettled as unsettled:
            log.warning("command.unsettled", type=command.type.value, code=unsettled.code)
            self._order.hold(command)
            self._look_again()
        except (Overtaken, ChangedMeanwhile):
            self._release(command)
        except Unreadable as unreadable:
            self._unreadable(row, unreadable)
        except WriterAway as away:
            self.writer_line.failed(away)
            self._later(row, away.code)
        except PmsError as error:
            self._later(row, error.code)
            raise
        except (JournalError, Unbelieved):  # nothing is decided; the command is as it was
            self._look_again()
            raise
        except Exception as error:  # noqa: BLE001 - one command must not end the lane
            self._bug(row, error)

    # -- ends -------------------------------------------------------------------------------------

    def _end(self, command: Command, state: EndState, code: str, reason: Reason) -> None:
        outcome = outcomes.make(state, say=self._say, code=code, reason=reason)
        with self._journal.turn() as turn:
            outcomes.store(turn, command, outcome)
        self._release(command)
        self._on_outcome()

    def _unreadable(self, row: CommandRow, found: Unreadable) -> None:
        if isinstance(found, HeldBack):  # for a while only
            self._later(row, found.code, found.reason)
        else:
            self._end(row.command, EndState.REJECTED, found.code, found.reason)

    def _refused(self, command: Command, refused: Refuse) -> None:
        outcome = outcomes.make(
            EndState.REJECTED,
            say=self._say,
            code=refused.code,
            reason=refused.reason,
            key=refused.key,
            alternatives=refused.alternatives,
            facts=refused.facts,
        )
        with self._journal.turn() as turn:
            outcomes.store(turn, command, outcome)
        log.info("command.refused", type=command.type.value, code=refused.code)
        self._release(command)
        self._on_outcome()

    def _later(
        self,
        row: CommandRow,
        code: str,
        reason: Reason = Reason.PMS_UNAVAILABLE,
        patience_s: float | None = None,
    ) -> None:
        """Again on the ladder, unless it has waited long enough."""
        command = row.command
        patience_s = self._tuning.give_up_s if patience_s is None else patience_s
        waited_s = (self._clock.now() - row.received_at).total_seconds()
        if waited_s >= patience_s and not is_patient(self._journal, command):
            self._end(command, EndState.REJECTED, code, reason)
            return
        wait_s = LADDER_S[min(row.tries, len(LADDER_S) - 1)]
        with self._journal.turn() as turn:
            turn.command_tried(command.command_id, self._clock.now() + timedelta(seconds=wait_s))
        log.info("command.waits", type=command.type.value, code=code, wait_s=wait_s)
        self._order.hold(command)

    def _bug(self, row: CommandRow, error: Exception) -> None:
        command = row.command
        seen = self._bugs[command.command_id] = self._bugs.get(command.command_id, 0) + 1
        log.error("command.bug", type=command.type.value, error=type(error).__name__,
                  exc_info=error)  # fmt: skip
        self._look_again()
        open_now = {effect.command_id for effect in self._journal.effects_open()}
        if command.command_id in open_now:
            return  # what was written is looked for first
        held = self._journal.command(command.command_id)
        if held is None or held.state is CommandState.DONE:
            return  # it ended in another lane a moment ago
        if seen < MOST_BUGS:
            self._later(row, "internal", Reason.INTERNAL)
            return
        if command.type in BOOKING and self._journal.effects_of(command.command_id):
            # Something stands in the practice, perhaps where another visit stands. "Rejected" would
            # be untrue and leave it there: it is tried again, ever less often, and nothing is
            # booked before a person has looked.
            self._safety.suspend("booking.failed")
            self._later(row, "internal", Reason.INTERNAL, patience_s=float("inf"))
            return
        self._end(command, EndState.REJECTED, "internal", Reason.INTERNAL)

    def _give_to_person(self, turn: Turn, effect: EffectRow, code: str) -> None:
        """In the turn that gives an effect up as unknown."""
        if effect.command_id is not None:
            held = self._journal.command(effect.command_id)
            if held is not None and held.state is not CommandState.DONE:
                outcome = outcomes.make(
                    EndState.UNKNOWN, say=self._say, code="command.unknown", key=effect.key
                )
                outcomes.store(turn, held.command, outcome)
        if takes_place(effect.effect):
            self._suspend_soon = "booking.unknown"
        self._on_outcome()

    def _not_kept(self, turn: Turn, effect: EffectRow) -> None:
        """The PMS said yes and nothing of it holds: said, and not written once more."""
        if effect.command_id is None:
            return
        held = self._journal.command(effect.command_id)
        if held is not None and held.state is not CommandState.DONE:
            outcome = outcomes.make(
                EndState.REJECTED,
                say=self._say,
                code="write.not_kept",
                reason=Reason.INTERNAL,
                key=effect.key,
            )
            outcomes.store(turn, held.command, outcome)
        self._on_outcome()

    _suspend_soon: str | None = None
    _must_look: bool = False

    def _suspend_if_due(self) -> None:
        """What was found out inside a turn, which may not open another."""
        if self._suspend_soon is not None:
            code, self._suspend_soon = self._suspend_soon, None
            self._safety.suspend(code)

    def _release(self, command: Command) -> None:
        self._order.release(command)
        self._bugs.pop(command.command_id, None)

    def _look_again(self) -> None:
        self._must_look = True
        self.recover.refresh()

    def _is_expired(self, command: Command) -> bool:
        if command.not_after is None:
            return False
        try:
            return moment(command.not_after, "not_after") <= self._clock.now()
        except Invalid:
            return True

    def end(self) -> None:
        """Called by the lane's thread when it ends."""
        self._stopped.set()
        self._refuse_jobs()
        self.writer_line.close()


def is_patient(journal: Journal, command: Command) -> bool:
    """Whether a command does not run out of time: an erasure, what a person has decided on, what
    stands in the practice already."""
    return (
        command.type is CommandType.FORGET
        or any(
            row.state is ConflictState.RESOLVED for row in journal.conflicts_of(command.command_id)
        )
        or standing(journal, command) is not None
    )
