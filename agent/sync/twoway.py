"""The pull direction put together: its parts, its lanes, what it tells the status.

``TwoWay`` stands beside the engine and uses its source, journal, capture and session; the engine
knows nothing of it but whom to call at a stop. Four lanes: ``pull`` and ``tell`` speak to the CRM,
``apply`` to the PMS, ``people`` matches; each gets a thread from the runtime.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from agent.errors import CrmError, CrmUnavailable
from agent.journal.journal import Journal, Turn
from agent.journal.pulled import TaskState
from agent.model.commands import CommandType
from agent.model.effects import EffectKind
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.ports import Clock, CommandPort, PmsReader, PmsWriter
from agent.sync import handwork
from agent.sync import pull as pulling
from agent.sync.apply import Apply, ApplyTuning
from agent.sync.bench import Bench
from agent.sync.carrying import Carrying
from agent.sync.datamap import DataMap
from agent.sync.engine import Engine
from agent.sync.errands import Errands
from agent.sync.link import FEED_EVERY_S, People
from agent.sync.linkdesk import LinkDesk
from agent.sync.merge import FieldRule, rules_of
from agent.sync.outcomes import Say, mute
from agent.sync.pace import Backoff
from agent.sync.places import Places
from agent.sync.planning import Planner
from agent.sync.plans import Ground
from agent.sync.recover import settle_by_person
from agent.sync.resolve import GRACE_S, CannotResolve, Resolve
from agent.sync.safety import Safety
from agent.sync.session import Session
from agent.sync.undo import Undo
from agent.sync.writing import Writing

log = structlog.get_logger(__name__)

MEET_DUTY = 0.5  # share of the time the first matching may read
SUSPENDING = (Stream.APPOINTMENT, Stream.SCHEDULE_BLOCK)
HELD_RETRY_S = 2.0
FEED_RETRY_S = 5.0
HICCUP_S = 5.0  # a line down for less than this suspends nothing; what is asked just waits


def nothing() -> None:
    """Where nobody listens."""


@dataclass(frozen=True, slots=True)
class TwoWayTuning:
    """Seconds. ``zone``: of the practice, "" = as the source says."""

    zone: str = ""
    apply: ApplyTuning = ApplyTuning()  # noqa: RUF009 (frozen)
    poll_wait_s: int = pulling.POLL_WAIT_S
    resolve_grace_s: float = GRACE_S


class TwoWay:
    """Build once per process, before the engine's lanes start.

    ``on_offer``: what may be asked of us changed. ``before_poll``: see ``Pull``.
    """

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        datamap: DataMap,
        clock: Clock,
        port: CommandPort,
        random: Callable[[], float],
        *,
        open_writer: Callable[[], PmsWriter | None],
        say: Say = mute,
        on_diagnostics: Callable[[], None] = nothing,
        on_offer: Callable[[], None] = nothing,
        before_poll: Callable[[], None] = nothing,
        tuning: TwoWayTuning = TwoWayTuning(),
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._datamap = datamap
        self._clock = clock
        self._tuning = tuning
        self._random = random
        self._on_offer = on_offer
        self.safety = Safety(journal, clock, live=self._trouble, on_change=self._offer_changed)
        self.people = People(journal, clock, port=port, on_links=self._on_links)
        self.linker = LinkDesk(journal, on_decided=self.people.look_again)
        self.places = Places(clock, lambda: self._zone(), journal)
        self.writing = Writing(journal, engine.capture)
        self._ready_to_offer = False
        carrying = Carrying(
            journal,
            clock,
            self.safety,
            Planner(Ground(journal, clock, self.people, self._rules)),
            self.places,
            self.writing,
            self.people,
            say=say,
            task_timeout_s=tuning.apply.task_timeout_s,
            on_outcome=self._on_outcome,
        )
        errands = Errands(
            journal,
            say=say,
            on_resync=engine.proving.soon,
            on_diagnostics=on_diagnostics,
            on_forget=self.people.forget,
            on_outcome=self._on_outcome,
        )
        self.tell = pulling.Tell(
            journal,
            clock,
            port,
            Backoff(random, first_s=0.25, cap_s=30.0),
            say=say,
            give_up_s=tuning.apply.give_up_s,
        )
        self.apply = Apply(
            journal,
            clock,
            self.safety,
            carrying,
            errands,
            self.writing,
            open_writer=open_writer,
            ready=lambda _session: engine.is_sound,
            insist=engine.insist,
            zone_of=lambda _session: self._zone(),
            tuning=tuning.apply,
            say=say,
            on_outcome=self._on_outcome,
            on_facts=self._offer_changed,
        )
        self.pull = pulling.Pull(
            journal,
            clock,
            port,
            self.safety,
            Backoff(random, first_s=0.25, cap_s=30.0),
            capabilities=self.apply.capabilities,
            on_commands=self.apply.wake,
            on_known=self.tell.again,
            before=before_poll,
            poll_wait_s=tuning.poll_wait_s,
        )
        self._say = say
        self.resolver = Resolve(
            journal,
            clock,
            say=say,
            on_work=self.apply.wake,
            on_told=self.tell.wake,
            grace_s=tuning.resolve_grace_s,
            task_timeout_s=tuning.apply.task_timeout_s,
        )
        self.undoer = Undo(journal, self.apply, self.writing, self.places, self.safety)
        engine.capture.watchers[Stream.PATIENT] = self.people.changed
        engine.dispatcher.held = self.people.holds_push
        engine.listeners.append(self._engine_changed)
        self._ready_to_offer = True

    # -- lanes -------------------------------------------------------------------------------------

    def lanes(self) -> dict[str, Callable[[], None]]:
        """Name -> a loop that runs until the engine stops."""
        stopping = self._engine.stopping
        return {
            "pull": lambda: self.pull.run(stopping),
            "tell": lambda: self.tell.run(stopping),
            "apply": self._apply_lane,
            "people": self._people_lane,
        }

    def _apply_lane(self) -> None:
        try:
            self._engine.run_lane("apply", self.apply.round)
        finally:
            self.apply.end()

    def _people_lane(self) -> None:
        backoff = Backoff(self._random, first_s=1.0, cap_s=60.0)

        def body(reader: PmsReader, session: Session) -> float:
            try:
                more = self.people.step(reader, session.maps.get(Stream.PATIENT), self._rest)
                backoff.succeeded()
            except CrmUnavailable as error:
                wait_s = backoff.failed(error.retry_after_s)
                if self.people.holds_push and error.retry_after_s is None:
                    wait_s = min(wait_s, HELD_RETRY_S)  # every change waits for this
                self.people.wait(wait_s)
                return 0.0
            except CrmError as error:
                log.info("people.crm", code=error.code)
                self.people.wait(max(backoff.failed(), FEED_RETRY_S))
                return 0.0
            if self._engine.dispatcher.held and not self.people.holds_push:
                self._engine.dispatcher.held = False
                self._engine.dispatcher.wake()
            if not more:
                self.people.wait(1.0 if self.people.holds_push else FEED_EVERY_S)
            return 0.0

        self._engine.run_lane("people", body)

    def _rest(self, took_s: float) -> bool:
        self._engine.stopping.wait(took_s * (1 / MEET_DUTY - 1))
        return not self._engine.stopping.is_set()

    # -- what people decide (the desk's rooms) -----------------------------------------------------

    def close_task(
        self, number: int, *, done: bool, actor: str, note: str, key: Key | None = None
    ) -> None:
        """Done is looked for in the PMS first; ``key``: the record the person says it is. Raises
        CannotResolve (then the task stays open), ValueError, and what ``Apply.submit`` raises."""
        if done:
            self.apply.submit(lambda bench: self._close_done(number, actor, note, key, bench))
        else:
            pulling.close_task(
                self._journal, number, TaskState.CANNOT, say=self._say, actor=actor, note=note
            )
        self._on_outcome()

    def _close_done(
        self, number: int, actor: str, note: str, key: Key | None, bench: Bench
    ) -> None:
        task = self._journal.task(number)
        if task is None or task.state is not TaskState.OPEN:
            raise ValueError("no such open task")
        siblings = [t for t in self._journal.tasks_of(task.command_id) if t.number != number]
        did = handwork.look(self._journal, task, siblings, bench.looks, bench.facts, key)
        row = self._journal.command(task.command_id)

        def link(turn: Turn) -> None:
            if row is None or did.key is None:
                return
            if task.effect.kind is EffectKind.CREATE_PATIENT:
                self.people.created(turn, row.command, did.key, task.effect.fields)

        pulling.close_task(
            self._journal,
            number,
            TaskState.DONE,
            say=self._say,
            actor=actor,
            note=note,
            did=did,
            also=link,
        )

    def settle_effect(self, number: int, *, happened: bool, key: Key | None, actor: str) -> None:
        code = settle_by_person(
            self._journal, self._clock, number, happened=happened, key=key, actor=actor
        )
        if code:
            raise CannotResolve(code)
        self.apply.recover.refresh()
        self.apply.wake()

    # -- what the status and the CRM hear ----------------------------------------------------------

    @property
    def offer(self) -> tuple[list[CommandType], str | None]:
        """What may be asked of us now, and why nothing may be booked (None: it may)."""
        return self.apply.capabilities(), self.safety.suspended

    def hint(self, kind: str) -> None:
        """A hint of the CRM (server-sent event): commands, contacts, changes, config or hello."""
        if kind in ("commands", "hello"):
            self.pull.hint()
        if kind in ("contacts", "hello"):
            self.people.wake()

    # -- pieces ------------------------------------------------------------------------------------

    def _trouble(self) -> str | None:
        """What suspends booking while it lasts."""
        engine = self._engine
        line = engine.pms
        if line.code is not None and self._clock.mono() - line.since_mono >= HICCUP_S:
            return line.code
        if any(stream in engine.brakes.on for stream in SUSPENDING):
            return "guard.mass_change"
        return self.apply.live_trouble()

    def _rules(self, stream: Stream) -> dict[str, FieldRule]:
        return rules_of(self._datamap.rows, stream, self._journal.policies())

    def _zone(self) -> str:
        session = self._engine.session
        return self._tuning.zone or (session.facts.zone if session is not None else "UTC")

    def _on_outcome(self) -> None:
        self.tell.wake()

    def _on_links(self) -> None:
        self.tell.wake()
        self.apply.wake()

    def _offer_changed(self) -> None:
        """What we can do has changed: the CRM hears it with the next poll, so that is now."""
        if self._ready_to_offer:
            self.pull.interrupt()
            self.apply.wake()
            self._on_offer()

    def _engine_changed(self) -> None:
        engine = self._engine
        self.pull.paused = engine.paused_until is not None
        if engine.stopping.is_set():
            self.apply.close()
        self.pull.interrupt()
        self.tell.wake()
        self.apply.wake()
        self.people.stop()
