"""The CRM's side of the pull: commands in (``Pull``), everything we have to say out (``Tell``).

A command is acknowledged when it is durable here; an outcome is repeated until it is acknowledged
there. Neither lane touches the PMS, so both work while it is down.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from agent.errors import RESTING, CrmAuthError, CrmError, CrmUnavailable, JournalError
from agent.journal.journal import Journal, Turn
from agent.journal.pulled import (
    CommandRow,
    CommandState,
    ConflictRow,
    ConflictState,
    TaskState,
    Winner,
)
from agent.model.commands import Command, CommandType, ConflictReport, EndState, Polled, Reason
from agent.model.desk import SafetyMode
from agent.ports import Clock, CommandPort
from agent.sync import outcomes
from agent.sync.apply import is_patient
from agent.sync.effects import KINDS_OF
from agent.sync.handwork import NOTHING_SEEN, Handiwork
from agent.sync.link import report_of
from agent.sync.outcomes import LOCAL, Say
from agent.sync.pace import Backoff
from agent.sync.payloads import Invalid, moment
from agent.sync.safety import Safety

log = structlog.get_logger(__name__)

POLL_WAIT_S = 25
MOST_A_POLL = 50
MOST_WAITING = 1000  # commands that wait for us; the CRM keeps the others
HOLD_S = 1.0
AUTH_WAIT_S = 60.0
REPORTS_AT_ONCE = 100
CHORES_EVERY_S = 1.0
NOT_TAKEN_BACK = "booking.not_taken_back"  # why a task is there: to take off a double booking
_OURS = (CommandState.RECEIVED, CommandState.WAITING, CommandState.WORKING)
_EXPIRING = (CommandState.RECEIVED, CommandState.WAITING)


class Pull:
    """The polling lane. ``before`` and ``capabilities`` are called before each poll (``before``
    may raise the Crm* errors: then there is no poll). ``on_commands``: some came; ``on_known``: one
    that was here already came again."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        port: CommandPort,
        safety: Safety,
        backoff: Backoff,
        *,
        capabilities: Callable[[], list[CommandType]],
        on_commands: Callable[[], None],
        on_known: Callable[[str], None],
        before: Callable[[], None],
        poll_wait_s: int = POLL_WAIT_S,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._port = port
        self._safety = safety
        self._backoff = backoff
        self._capabilities = capabilities
        self._on_commands = on_commands
        self._on_known = on_known
        self._before = before
        self._poll_wait_s = poll_wait_s
        self._ack: list[str] = []
        self._errs: dict[str, str] = {}
        self._awake = threading.Event()
        self.paused = False
        self.error: str | None = None  # code, while the last poll failed
        self.is_answered = False  # some poll was, since the last that failed

    def hint(self) -> None:
        """The CRM says that something waits: a back-off is cut short."""
        self._awake.set()

    def interrupt(self) -> None:
        """End a waiting poll: to stop or pause, or because what we offer has changed."""
        self._awake.set()
        self._port.wake()

    def run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            self._awake.clear()
            try:
                wait_s = self.step(stopping)
            except JournalError as error:
                log.warning("pull.journal", code=error.code)
                wait_s = self._backoff.failed()
            except Exception as error:  # a bug must not end the lane: nothing would be heard again
                log.error("pull.bug", error=type(error).__name__, exc_info=error)
                wait_s = max(self._backoff.failed(), 2.0)
            if wait_s > 0 and not stopping.is_set():
                self._awake.wait(wait_s)

    def step(self, stopping: threading.Event | None = None) -> float:
        """One poll; seconds until the next."""
        if self.paused:
            return HOLD_S
        counts = self._journal.command_counts()
        room = MOST_WAITING - sum(counts.get(state, 0) for state in _OURS)
        if room <= 0:
            return HOLD_S
        ack, errs = list(self._ack), dict(self._errs)
        try:
            self._before()
            if self._safety.now.mode is SafetyMode.STOPPED:
                return HOLD_S
            polled = self._port.poll(
                capabilities=self._capabilities(),
                ack=ack,
                errs=errs,
                most=min(room, MOST_A_POLL),
                # After a failure the first answer is wanted at once: until it comes the line counts
                # as down, and nothing said for the whole wait would look like it.
                wait_s=0 if self.error else self._poll_wait_s,
            )
        except CrmAuthError as error:
            self.error, self.is_answered = error.code, False
            return AUTH_WAIT_S
        except CrmUnavailable as error:
            if error.code != RESTING or self.error is None:
                self.error = error.code
            self.is_answered = False
            wait_s = self._backoff.failed(error.retry_after_s)
            log.info("pull.unavailable", code=error.code, wait_s=round(wait_s, 2))
            return wait_s
        except CrmError as error:
            self.error, self.is_answered = error.code, False
            log.warning("pull.failed", code=error.code)
            return max(self._backoff.failed(), 5.0)
        self.error, self.is_answered = None, True
        self._backoff.succeeded()
        del self._ack[: len(ack)]
        for ident in errs:
            self._errs.pop(ident, None)
        try:
            self._take(polled)
        except JournalError as error:
            # Nothing is acknowledged, so the lease runs out and they come again.
            log.warning("pull.journal", code=error.code)
            return 5.0
        return 0.0

    def _take(self, polled: Polled) -> None:
        if not polled.commands and not polled.refused:
            return
        ack: list[str] = []
        errs: dict[str, str] = {}
        known: list[str] = []
        new = 0
        with self._journal.turn() as turn:
            now = self._clock.now()  # by the clock the turn has heeded
            for command in polled.commands:
                try:
                    if turn.receive(command, _first_due(command, now)):
                        new += 1
                    else:
                        known.append(command.command_id)
                    ack.append(command.command_id)
                except ValueError:
                    errs[command.command_id] = Reason.DUPLICATE_OF.value
                    turn.note("envelope.replayed", None, 1)
                    turn.audit(
                        "envelope.refused",
                        {"command": command.command_id, "code": "envelope.replayed"},
                    )
            for refusal in polled.refused:
                if refusal.command_id:
                    errs[refusal.command_id] = Reason.VALIDATION_FAILED.value
                turn.note(refusal.code, None, 1)
                turn.audit(
                    "envelope.refused", {"command": refusal.command_id, "code": refusal.code}
                )
        self._ack += ack
        self._errs.update(errs)
        if new:
            log.info("pull.received", commands=new)
            self._on_commands()
        for ident in known:
            self._on_known(ident)


def _first_due(command: Command, now: datetime) -> datetime:
    if command.not_before is None:
        return now
    try:
        return max(now, moment(command.not_before, "not_before"))
    except Invalid:
        return now  # refused as invalid when it is planned


class Tell:
    """The telling lane, and the clock of what waits: expiry, giving up, tasks nobody did."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        port: CommandPort,
        backoff: Backoff,
        *,
        say: Say,
        give_up_s: float,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._port = port
        self._backoff = backoff
        self._say = say
        self._give_up = timedelta(seconds=give_up_s)
        self._awake = threading.Event()
        self._again: set[str] = set()
        self._lock = threading.Lock()
        self._chores_mono = 0.0
        self._not_before = 0.0

    def wake(self) -> None:
        self._awake.set()

    def again(self, command_id: str) -> None:
        """The CRM delivered a command it had acknowledged an outcome of: tell it once more."""
        with self._lock:
            self._again.add(command_id)
        self._awake.set()

    def run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            self._awake.clear()
            try:
                told = self.step(stopping)
            except JournalError as error:
                log.warning("tell.journal", code=error.code)
                stopping.wait(1.0)
                continue
            except Exception as error:
                log.error("tell.bug", error=type(error).__name__, exc_info=error)
                stopping.wait(2.0)
                continue
            if not told:
                self._awake.wait(CHORES_EVERY_S)

    def step(self, stopping: threading.Event | None = None) -> int:
        """Everything that waits to be told, once; how many were."""
        now = self._clock.mono()
        if now - self._chores_mono >= CHORES_EVERY_S:
            self._chores_mono = now
            self._journal.heed_clock()
            self.expire()
        if now < self._not_before:
            return 0
        try:
            told = self._tell_outcomes(stopping)
            told += self._tell_links()
            told += self._tell_conflicts()
        except CrmUnavailable as error:
            self._not_before = now + self._backoff.failed(error.retry_after_s)
            log.info("tell.unavailable", code=error.code)
            return 0
        except CrmError as error:
            wait_s = AUTH_WAIT_S if isinstance(error, CrmAuthError) else 5.0
            self._not_before = now + max(self._backoff.failed(), wait_s)
            log.warning("tell.failed", code=error.code)
            return 0
        if told:
            self._backoff.succeeded()
        return told

    # -- what waits too long ----------------------------------------------------------------------

    def expire(self) -> int:
        """End what ran out of time. What the apply lane has begun is left to it."""
        now = self._clock.now()
        ended = 0
        for row in self._journal.commands_expiring(now):
            if is_patient(self._journal, row.command):
                continue
            ended += self._end(row, EndState.EXPIRED, "command.expired", Reason.EXPIRED)
        for row in self._journal.commands_kept_waiting(now - self._give_up):
            if not is_patient(self._journal, row.command):
                ended += self._end(
                    row, EndState.REJECTED, "pms.unreachable", Reason.PMS_UNAVAILABLE
                )
        for task in self._journal.tasks_due(now):
            close_task(
                self._journal,
                task.number,
                TaskState.TIMED_OUT,
                say=self._say,
                actor="agent",
                note="",
            )
            ended += 1
        return ended

    def _end(self, row: CommandRow, state: EndState, code: str, reason: Reason) -> int:
        outcome = outcomes.make(state, say=self._say, code=code, reason=reason)
        try:
            with self._journal.turn() as turn:
                held = self._journal.command(row.command.command_id)
                if held is None or held.state not in _EXPIRING:
                    return 0
                outcomes.store(turn, row.command, outcome)
        except ValueError:
            return 0  # it ended otherwise a moment ago
        return 1

    # -- telling ----------------------------------------------------------------------------------

    def _tell_outcomes(self, stopping: threading.Event | None) -> int:
        rows = self._journal.commands_unreported(REPORTS_AT_ONCE)
        with self._lock:
            again, self._again = self._again, set()
        for ident in again:
            row = self._journal.command(ident)
            if row is not None and row.reported and row.outcome is not None:
                rows.append(row)
        told: list[CommandRow] = []
        try:
            for row in rows:
                if stopping is not None and stopping.is_set():
                    break
                if row.outcome is None:
                    continue
                ident = row.command.command_id
                if not ident.startswith(LOCAL):
                    self._port.finish(ident, row.outcome)
                told.append(row)
        finally:
            if told:
                with self._journal.turn() as turn:
                    for row in told:
                        assert row.outcome is not None
                        turn.reported(row.command.command_id, row.outcome)
        return len(told)

    def _tell_links(self) -> int:
        rows = self._journal.contacts_untold(REPORTS_AT_ONCE)
        if not rows:
            return 0
        reports = [report for report in map(report_of, rows) if report is not None]
        if reports:
            self._port.link(reports)
        with self._journal.turn() as turn:
            for row in rows:
                turn.contact_told(row.contact.cloud_id, row.state, row.key)
        return len(rows)

    def _tell_conflicts(self) -> int:
        rows = self._journal.conflicts_untold(REPORTS_AT_ONCE)
        if not rows:
            return 0
        self._port.tell_conflicts([conflict_report(self._journal.uuid, row) for row in rows])
        with self._journal.turn() as turn:
            for row in rows:
                turn.conflict_told(row.number, row.state)
        return len(rows)


def conflict_report(journal_uuid: str, row: ConflictRow) -> ConflictReport:
    """An undone resolution is closed for the CRM; the question comes anew under its own id."""
    is_open = row.state is ConflictState.OPEN
    command_id = row.command_id
    if command_id is not None and command_id.startswith(LOCAL):
        command_id = None
    return ConflictReport(
        id=f"{journal_uuid[:12]}-{row.number}",
        type=row.stream.value,
        key=str(row.key),
        field=row.field[:64],
        state="open" if is_open else "resolved",
        base=row.base,
        pms=row.pms,
        crm=row.crm,
        winner=None if is_open else (row.winner or Winner.PMS).value,
        command_id=command_id,
    )


def close_task(
    journal: Journal,
    number: int,
    state: TaskState,
    *,
    say: Say,
    actor: str,
    note: str,
    did: Handiwork = NOTHING_SEEN,
    also: Callable[[Turn], None] | None = None,
) -> None:
    """End a desk task and, when it was the last of its command, the command. Raises ValueError.

    ``did``: of a task that is done, where. The command is told the record it was about: the visit
    of a booking, not the patient it was for. ``also``: in the same turn.
    """
    task = journal.task(number)
    if task is None:
        raise ValueError("no such task")
    row = journal.command(task.command_id)
    others = [other for other in journal.tasks_of(task.command_id) if other.number != number]
    states = [other.state for other in others]
    with journal.turn() as turn:
        turn.close_task(number, state, actor, note, did.key)
        if also is not None:
            also(turn)
        if row is None or row.state is not CommandState.TASK:
            return
        if state is TaskState.DONE and TaskState.OPEN in states:
            return
        if state is TaskState.DONE and task.reason == NOT_TAKEN_BACK:
            outcome = outcomes.make(
                EndState.REJECTED, say=say, code="slot.operatory_taken", reason=Reason.SLOT_TAKEN
            )
        elif state is TaskState.DONE:
            wanted = KINDS_OF.get(row.command.type, ())
            main = [other for other in others if other.effect.kind in wanted]
            key = main[0].key if main and task.effect.kind not in wanted else did.key
            outcome = outcomes.make(
                EndState.APPLIED, say=say, code="task.done", key=key, kept=did.unlike
            )
        elif state is TaskState.TIMED_OUT:
            outcome = outcomes.make(
                EndState.EXPIRED, say=say, code="task.timed_out", reason=Reason.EXPIRED
            )
        else:
            outcome = outcomes.make(
                EndState.REJECTED, say=say, code="task.cannot", reason=Reason.POLICY_BLOCKED
            )
        for other in others:
            if other.state is TaskState.OPEN:
                turn.close_task(other.number, TaskState.CANNOT, actor)
        outcomes.store(turn, row.command, outcome)
