"""One run: a seed becomes a practice, a CRM, four people, an agent and what befalls them.

Chaos first, then quiet: everything is healed, nobody edits any more, and within a bounded time both
sides must agree, nothing may be left hanging, and nothing may move by itself.
"""

from __future__ import annotations

import gc
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog

from agent.errors import AgentError, JournalDamaged
from agent.model.effects import Effect, EffectKind
from tests.sim.agent import NAME, PATH, Process, empty_journal, stretched
from tests.sim.coverage import aim_of, lane_of
from tests.sim.crm import SimCrm
from tests.sim.disk import SimDisk, SimSides
from tests.sim.faults import ELSEWHERE, Faults, Kind, Plan, Strike, drawn_plan
from tests.sim.kernel import Kernel, SimClock, Violation
from tests.sim.oracles import CALM, Oracles
from tests.sim.people import Caller, FrontDesk, Person, furnish
from tests.sim.pms import Backup, Pms
from tests.sim.promises import canary
from tests.sim.spinning import noticed
from tests.sim.threads import SimThreading, installed
from tests.support.faultfs import Crash, FaultVfs

STARTS = (
    datetime(2026, 3, 2, 14, 0, tzinfo=UTC),
    datetime(2026, 3, 8, 6, 40, tzinfo=UTC),  # twenty minutes before summer time
    datetime(2026, 11, 1, 5, 40, tzinfo=UTC),  # twenty minutes before an hour comes twice
    datetime(2026, 6, 30, 20, 0, tzinfo=UTC),
)
CALM_EVERY = 5  # every so many seeds nothing breaks: then changes must also be quick
CHAOS_S = (150.0, 800.0)
WATCHER = "watcher"  # checks rules, and is no part of the world
QUIET_S = 1500.0
LOOK_EVERY_S = 15.0
STILL_S = 150.0
VFS = FaultVfs("bw-sim")


@dataclass(slots=True)
class Result:
    seed: int
    digest: str = ""
    error: Violation | None = None
    fired: list[Strike] = field(default_factory=list)
    hits: dict[tuple[str, str, str], int] = field(default_factory=dict)
    virtual_s: float = 0.0
    lives: int = 0
    edits: int = 0
    pushed: int = 0
    wrote: int = 0
    undone: int = 0
    not_undone: int = 0
    trace: list[str] = field(default_factory=list)

    @property
    def rule(self) -> str:
        return "" if self.error is None else self.error.rule


class World:
    def __init__(self, seed: int, plan: Plan | None = None) -> None:
        self.seed = seed
        self.kernel = Kernel(seed)
        chance = self.kernel.streams.named("world")
        start = chance.choice(STARTS)
        self.clock = SimClock(self.kernel, start)
        self.is_calm = seed % CALM_EVERY == 0
        plan = plan or seeds_plan(seed)
        self.faults = Faults(self.kernel, plan)
        self.faults.where = self._where
        self.faults.sql_writer = chance.random() < 0.3
        self.pms = Pms(self.kernel, start)
        self.pms.is_innodb = chance.random() < 0.3
        self.pms.shows_open = chance.random() < 0.6
        self.crm = SimCrm(self.kernel, self.faults)
        self.disk = VFS.mount(SimDisk({str(PATH): empty_journal()}, seed))  # type: ignore[assignment]
        self.disk.dies = lambda: self.kernel.doom(NAME)
        self.disk.looks_on = lambda: getattr(self.kernel.current, "name", "") == WATCHER
        self.sides = SimSides()
        self.chaos_s = chance.uniform(*CHAOS_S)
        self.kernel.preempt_p = chance.choice((0.0, 0.02, 0.1))
        self.kernel.may_preempt = self._may_preempt
        self.oracles = Oracles(self)
        self.process: Process | None = None
        self.lives = 0
        self.is_chaos_over = False
        self.is_down_on_purpose = False
        self.is_regretting = False  # the manager waits for something to be taken back
        self.asleep_until = 0.0
        self.is_flipped = False  # a bit of what SQLite itself needs, since the last start
        self.backups: list[Backup] = []
        self.undone: Counter[str] = Counter()  # wishes of the manager's: done, refused
        furnish(self.pms, chance, patients=chance.randint(12, 30), visits=chance.randint(5, 25))
        self.faults.racing = self._race
        self.people: list[Person] = [
            *(FrontDesk(f"p{n}", self.pms, *self._person_args(chance)) for n in (1, 2)),
            *(
                Caller(f"c{n}", self.crm, self.pms, self.clock, *self._person_args(chance))
                for n in (1, 2)
            ),
        ]

    def _race(self, effect: Effect) -> None:
        """Somebody at the practice's own screen is faster by a moment."""
        note = f"race-{self.kernel.now:.3f}"
        if effect.kind is EffectKind.BOOK:
            start = datetime.fromisoformat(effect.fields["start"])
            values = {
                "PatNum": "1", "AptStatus": "1", "AptDateTime": self.pms.local(start),
                "Pattern": "XXXXXX", "Op": effect.fields["operatory_key"], "Note": note,
                "ProvNum": effect.fields.get("provider_key") or "0",
            }  # fmt: skip
            self.pms.insert("appointment", values, by="p3")
        elif effect.kind is EffectKind.UPDATE_PATIENT and effect.key is not None:
            self.pms.update("patient", int(effect.key), {"City": note}, by="p3")

    def _person_args(self, chance: random.Random) -> tuple[Any, ...]:
        return self.kernel, self.faults, lambda: self.is_chaos_over, chance.uniform(5.0, 30.0)

    @property
    def is_asleep(self) -> bool:
        """The agent's machine sleeps: nobody can ask anything of it."""
        return self.asleep_until > self.kernel.now

    def _may_preempt(self) -> bool:
        process = self.process
        return process is None or process.journal._owner is None

    def _where(self) -> tuple[str, str]:
        """(state of the most advanced operation, lane or rung) for the coverage table."""
        task = self.kernel.current
        lane = task.name if task is not None else "-"
        return self.oracles.operation_state(), lane_of(lane)

    # -- the run ----------------------------------------------------------------------------------

    def run(self) -> Result:
        result = Result(self.seed)
        try:
            self._chaos()
            self._quiet()
        except Violation as violation:
            result.error = violation
        finally:
            self.kernel.kill(NAME)
            self.kernel.kill("world")
            if self.process is not None:
                self.process.bury()
        result.digest = self.kernel.digest
        result.fired = self.faults.fired
        result.hits = dict(self.faults.hits)
        result.virtual_s = self.kernel.now
        result.lives = self.lives
        result.edits = sum(person.did for person in self.people)
        result.pushed = len(self.crm.effects)
        result.wrote = self.oracles.writes
        result.undone, result.not_undone = self.undone["done"], self.undone["refused"]
        result.trace = list(self.kernel.trace_lines)
        return result

    def _chaos(self) -> None:
        from tests.sim.mishaps import Mishaps

        self.kernel.spawn("starter", self._keep_running)
        for person in self.people:
            self.kernel.spawn(person.name, person.run)
        mishaps = Mishaps(self)
        self.kernel.spawn("fate", mishaps.run)
        self.kernel.spawn("fate", mishaps.aimed)
        self.kernel.spawn("it", mishaps.technician)
        self.kernel.spawn("manager", mishaps.regretter)
        self.kernel.spawn(WATCHER, self.oracles.watch)
        self._go(lambda: self.kernel.now >= self.chaos_s, self.chaos_s)
        self.is_chaos_over = True
        self.faults.is_quiet = True
        mishaps.heal()

    def _quiet(self) -> None:
        """Until both sides agree and all is settled; then nothing may move any more."""
        began = self.kernel.now
        end = began + QUIET_S
        reasons: list[str] = ["the run never looked"]
        while True:
            self._go(lambda: False, self.kernel.now + LOOK_EVERY_S)
            reasons = self.oracles.unsettled(self.kernel.now - began)
            if not reasons:
                break
            if self.kernel.now >= end:
                raise Violation(reasons[0].partition(":")[0], "; ".join(reasons[:6]))
        before = len(self.crm.effects), self.oracles.writes
        self._go(lambda: False, self.kernel.now + STILL_S)
        if (len(self.crm.effects), self.oracles.writes) != before:
            raise Violation("S16", "something moved although nobody did anything")
        reasons = self.oracles.unsettled(self.kernel.now - began)
        if reasons:
            raise Violation(reasons[0].partition(":")[0], "; ".join(reasons[:6]))
        self.oracles.final()

    def _go(self, until: Callable[[], bool], most_s: float) -> None:
        while True:
            try:
                self.kernel.run(until, most_s=most_s)
            except Crash:
                self.crashed()
                continue
            except Violation:
                raise
            except Exception as error:
                # A thread that ends takes its lane with it, and nothing tells.
                raise Violation("V1", f"a lane died of {error!r}") from error
            return

    # -- the agent's lives ------------------------------------------------------------------------

    def crashed(self) -> None:
        """The process is dead (the disk said so, or fate); the starter brings it back."""
        self.kernel.trace("crash")
        self.kernel.kill(NAME)
        self.disk.recover()
        if self.process is not None:
            self.process.bury()
            self.process = None

    def stop_agent(self) -> None:
        """In order, as an update does it."""
        process = self.process
        if process is None:
            return
        process.stop()
        asked_at = self.kernel.now
        until = asked_at + 60.0
        while self.kernel.now < until and any(
            t.process == NAME and not t.is_done for t in self.kernel.tasks
        ):
            self.kernel.sleep(0.5)
            if self.process is not process:
                return  # it crashed on the way
            self.oracles.promises.check_stop(asked_at)
        self.kernel.kill(NAME)
        try:
            process.close()
        except Crash:
            self.crashed()
        except AgentError:
            process.bury()
        self.process = None

    def _keep_running(self) -> None:
        """What starts the service again, a little later."""
        while True:
            if self.process is None and not self.is_down_on_purpose:
                self.kernel.sleep(1.0 + 30.0 * self.kernel.streams.share("restart", self.lives))
                if not self.is_down_on_purpose:
                    self._start()
            self.kernel.sleep(1.0)

    def set_aside(self) -> None:
        """The journal's file was damaged, and is out of the way: the next start makes a new one."""
        self.kernel.trace("journal set aside")
        self.is_flipped = False
        self.disk.replace({str(PATH): empty_journal()})
        self.journal_forgets()

    def journal_forgets(self) -> None:
        """Its file is another, older or new."""
        self.oracles.journal_lost()
        # The CRM's people ask again for what they were not answered.
        for asked in self.crm.asked.values():
            if not any(outcome.state.is_terminal for outcome in asked.outcomes):
                asked.is_acked = False

    def _start(self) -> None:
        self.lives += 1
        try:
            process = Process(
                self.kernel, self.clock, self.pms, self.crm, self.faults, VFS.name,
                self.oracles.before_write, self.sides,
            )  # fmt: skip
        except Crash:
            self.crashed()
            return
        except AgentError as error:
            self.kernel.trace(f"start failed {error.code}")
            if isinstance(error, JournalDamaged) and self.is_flipped:
                self.set_aside()
                return
            self.oracles.start_failed(error)
            return
        self.process = process
        self.is_flipped = False  # what was flipped, SQLite does not need
        self.kernel.trace(f"life {self.lives}")
        self.oracles.started(process)
        process.start()


def seeds_plan(seed: int) -> Plan:
    """What befalls the run of this seed."""
    kernel = Kernel(seed)
    if seed % CALM_EVERY == 0:
        return drawn_plan(kernel, CALM, swarm=0.6)
    plan = drawn_plan(kernel, set(Kind) - set(ELSEWHERE))
    plan.aim = aim_of(seed)
    plan.rates.setdefault(plan.aim[0], 0.0)
    return plan


def run(seed: int, plan: Plan | None = None) -> Result:
    """One whole run of a seed."""
    structlog.configure(
        processors=[canary], wrapper_class=structlog.make_filtering_bound_logger(10)
    )
    world = World(seed, plan)
    with (
        stretched(_uuids(seed)),
        installed(SimThreading(world.kernel, lambda: NAME, world.faults.thread_starts)),
        uncollected(),
        noticed(world.kernel),
    ):
        return world.run()


@contextmanager
def uncollected() -> Iterator[None]:
    """No collection of cycles meanwhile: it takes an eighth of a run, and when it strikes is
    nobody's choice."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _uuids(seed: int) -> Iterator[UUID]:
    chance = random.Random(f"{seed}:uuids")
    while True:
        yield UUID(int=chance.getrandbits(128))
