"""The 52 kinds of fault, and when they strike.

A kind either strikes at *points* (calls and waits it may spoil: each with its own share of chance)
or at *moments* (things that happen to a machine: the world's chaos task carries them out). Which
kinds a seed has, and how often, is drawn per kind; the n-th chance of a kind depends on nothing but
the seed, the kind and n, so that taking a kind or one of its strikes away leaves the others alone.
That is what makes a failure shrink.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from enum import StrEnum

from agent.errors import (
    CrmAuthError,
    CrmError,
    CrmRefusedBatch,
    CrmUnavailable,
    PmsBusy,
    PmsUnavailable,
)
from agent.model.effects import Effect
from tests.sim.kernel import Kernel


class Kind(StrEnum):
    """Values are the names used on the command line; the order is the reference's numbering."""

    KILL = "kill"
    POWER = "power"
    POWER_SUBSET = "power-subset"
    TORN_PAGE = "torn-page"
    NO_MEMORY = "no-memory"
    WORKER_ERROR = "worker-error"
    HANG = "hang"
    TWO_INSTANCES = "two-instances"
    UPGRADE = "upgrade"
    DOWNGRADE = "downgrade"
    DISK_FULL = "disk-full"
    READ_ERROR = "read-error"
    WRITE_ERROR = "write-error"
    FSYNC_ERROR = "fsync-error"
    READ_ONLY = "read-only"
    JOURNAL_DELETED = "journal-deleted"
    BIT_FLIP = "bit-flip"
    JOURNAL_RESTORED = "journal-restored"
    ANTIVIRUS = "antivirus"
    REFUSE = "refuse"
    RESET_BEFORE = "reset-before"
    RESET_AFTER = "reset-after"
    TIMEOUT_AFTER = "timeout-after"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    TOO_MANY = "too-many"
    SERVER_ERROR = "server-error"
    TOKEN = "token"
    CAPTIVE = "captive"
    BROKEN_BODY = "broken-body"
    PARTIAL = "partial"
    ITEM_MISSING = "item-missing"
    FEED_GAP = "feed-gap"
    CRM_RESTORED = "crm-restored"
    KEY_EXPIRED = "key-expired"
    CRM_SCHEMA = "crm-schema"
    CURSOR_DROP = "cursor-drop"
    LOCK_WAIT = "lock-wait"
    LATE_VISIBLE = "late-visible"
    NO_STAMP = "no-stamp"
    UNLOGGED_DELETE = "unlogged-delete"
    SERVER_CLOCK = "server-clock"
    DDL = "ddl"
    PMS_RESTORED = "pms-restored"
    BAD_ROW = "bad-row"
    NORMALISES = "normalises"
    API_UNKNOWN = "api-unknown"
    RACING_EDIT = "racing-edit"
    TABLE_AWAY = "table-away"
    STAMP_STORM = "stamp-storm"
    HALF_BUILT = "half-built"
    KEY_REUSE = "key-reuse"
    AGENT_CLOCK = "agent-clock"  # the host modifiers of the reference, beyond its 52
    SUSPEND = "suspend"
    WIPED = "wiped"


#: what happens to a machine at a moment, instead of to a call
MOMENTS = frozenset(
    {Kind.KILL, Kind.POWER, Kind.POWER_SUBSET, Kind.TORN_PAGE, Kind.DISK_FULL, Kind.READ_ERROR,
     Kind.WRITE_ERROR, Kind.FSYNC_ERROR, Kind.READ_ONLY, Kind.ANTIVIRUS, Kind.UPGRADE,
     Kind.BIT_FLIP, Kind.JOURNAL_DELETED, Kind.JOURNAL_RESTORED, Kind.CRM_RESTORED,
     Kind.SERVER_CLOCK, Kind.DDL, Kind.PMS_RESTORED, Kind.BAD_ROW, Kind.TABLE_AWAY,
     Kind.STAMP_STORM, Kind.KEY_REUSE, Kind.AGENT_CLOCK, Kind.SUSPEND, Kind.KEY_EXPIRED,
     Kind.WIPED}
)  # fmt: skip
#: shown by a test of its own, because it is about two processes or two versions of the program
ELSEWHERE = {
    Kind.TWO_INSTANCES: "tests/journal/test_opening.py (two processes, one lock)",
    Kind.DOWNGRADE: "tests/journal/test_opening.py (a newer journal is refused)",
}
#: what people and single writes do: there are a hundred such points in a run, not thousands
FEW_POINTS = frozenset(
    {Kind.LATE_VISIBLE, Kind.NO_STAMP, Kind.UNLOGGED_DELETE, Kind.HALF_BUILT, Kind.RACING_EDIT,
     Kind.NORMALISES, Kind.API_UNKNOWN, Kind.PARTIAL, Kind.FEED_GAP, Kind.REORDER}
)  # fmt: skip
SWARM = 0.25  # share of the kinds a seed has
AIMED = 999  # number of the strike at a moment a run aims at; the others count from 0
AIMED_RATE = 0.4  # chance per point in the cell a run aims at


@dataclass(frozen=True, slots=True)
class Strike:
    """The n-th strike of a kind: what a repro names as ``kind.n``."""

    kind: Kind
    n: int

    def __str__(self) -> str:
        return f"{self.kind.value}.{self.n}"

    @classmethod
    def parse(cls, text: str) -> Strike:
        kind, _, n = text.rpartition(".")
        return cls(Kind(kind), int(n))


@dataclass(slots=True)
class Plan:
    """``rates``: kind -> chance per point, or strikes per hour. ``only``: nothing but these.
    ``aim``: a cell of the coverage table (kind, state, lane) this run tries to reach."""

    rates: dict[Kind, float] = field(default_factory=dict)
    only: frozenset[Strike] | None = None
    aim: tuple[Kind, str, str] | None = None


def drawn_plan(kernel: Kernel, kinds: Collection[Kind], swarm: float = SWARM) -> Plan:
    """A swarm: some kinds, each with a rate between rare and often."""
    plan = Plan()
    for kind in Kind:
        chance = kernel.streams.named(f"plan:{kind.value}")
        if kind not in kinds or chance.random() >= swarm:
            continue
        if kind in MOMENTS:
            plan.rates[kind] = 2.0 ** chance.uniform(1.0, 5.0)  # 2 to 32 an hour
        elif kind in FEW_POINTS:
            plan.rates[kind] = 10.0 ** chance.uniform(-1.5, -0.3)
        else:
            plan.rates[kind] = 10.0 ** chance.uniform(-3.0, -0.7)
    return plan


class Faults:
    """Asked at every point. ``is_quiet``: everything is healed. ``where``: what the agent is at."""

    def __init__(self, kernel: Kernel, plan: Plan) -> None:
        self.kernel = kernel
        self.plan = plan
        self.is_quiet = False
        self.sql_writer = False
        self.fired: list[Strike] = []
        self.kinds: set[Kind] = set()  # of what has struck
        self.hits: Counter[tuple[str, str, str]] = Counter()
        self.where: Callable[[], tuple[str, str]] = lambda: ("", "")
        self.racing: Callable[[Effect], None] = lambda effect: None
        self._seen: Counter[Kind] = Counter()
        self.pms_down_until = 0.0
        self.crm_down_until = 0.0

    # -- deciding ---------------------------------------------------------------------------------

    def fires(self, kind: Kind) -> bool:
        if self.is_quiet or kind not in self.plan.rates:
            return False
        n = self._seen[kind]
        self._seen[kind] += 1
        if self.plan.only is not None:
            if Strike(kind, n) not in self.plan.only:
                return False
        elif self.kernel.streams.share(kind.value, n) >= self._rate(kind):
            return False
        self.struck(Strike(kind, n))
        return True

    def _rate(self, kind: Kind) -> float:
        aim = self.plan.aim
        if aim is not None and aim[0] is kind and self.where() == aim[1:]:
            return AIMED_RATE
        return self.plan.rates[kind]

    @property
    def aimed_moment(self) -> tuple[Strike, str] | None:
        """(what, in which state) of a kind that happens to machines, if this run aims at one."""
        if self.plan.aim is None or self.plan.aim[0] not in MOMENTS:
            return None
        strike = Strike(self.plan.aim[0], AIMED)
        is_wanted = self.plan.only is None or strike in self.plan.only
        return (strike, self.plan.aim[1]) if is_wanted else None

    def struck(self, strike: Strike) -> None:
        self.fired.append(strike)
        self.kinds.add(strike.kind)
        self.hits[(strike.kind.value, *self.where())] += 1
        self.kernel.trace(f"! {strike}")

    def moments(self, until: float) -> list[tuple[float, Strike]]:
        """When the kinds that happen to machines strike, in order."""
        found = []
        for kind in sorted(self.plan.rates):
            if kind not in MOMENTS or not self.plan.rates[kind]:
                continue
            chance = self.kernel.streams.named(f"moments:{kind.value}")
            at, n = 0.0, 0
            while (at := at + chance.expovariate(self.plan.rates[kind] / 3600)) < until:
                if self.plan.only is None or Strike(kind, n) in self.plan.only:
                    found.append((at, Strike(kind, n)))
                n += 1
        return sorted(found, key=lambda one: one[0])

    def chance(self, name: str, n: int = 0) -> float:
        return self.kernel.streams.share(name, n)

    # -- the practice -----------------------------------------------------------------------------

    def pms_statement(self, what: str, cost_s: float) -> None:
        """Before a statement reads: time passes, and it may fail."""
        self._any_call(what)
        self.kernel.sleep(cost_s)
        if self.kernel.now < self.pms_down_until:
            raise PmsUnavailable("pms.unreachable")
        if self.fires(Kind.LOCK_WAIT):
            self.kernel.sleep(0.1)
            raise PmsBusy("pms.busy")
        if self.fires(Kind.HANG):
            self.kernel.sleep(30.0)
            raise PmsUnavailable("pms.statement_timeout")

    def pms_answer(self, what: str, cost_s: float) -> None:
        """After it has read, before the rows are here: as a rule at once, now and then late."""
        schedule = self.kernel.streams.schedule
        if what != "moved" and schedule.random() < self.kernel.preempt_p / 4:
            cost_s += schedule.uniform(0.0, 1.5)
        self.kernel.sleep(cost_s)
        if self.fires(Kind.CURSOR_DROP):
            raise PmsUnavailable("pms.connection_lost")

    def _any_call(self, what: str) -> None:
        if self.fires(Kind.NO_MEMORY):
            raise MemoryError
        if self.fires(Kind.WORKER_ERROR):
            raise RuntimeError(f"planted in {what}")

    def thread_starts(self) -> None:
        """Before a pool takes work."""
        if self.fires(Kind.NO_MEMORY):
            raise RuntimeError("can't start new thread")

    # -- the vendor's API -------------------------------------------------------------------------

    def api_call(self, what: str) -> str:
        """ "" = it goes through; "after": done, the answer is lost; "lost": nobody knows; "mute":
        done, the answer names no key."""
        self._any_call(what)
        self.kernel.sleep(0.05)
        if self.kernel.now < self.pms_down_until:
            raise PmsUnavailable("writer.unreachable")
        if self.fires(Kind.API_UNKNOWN):
            n = self._seen[Kind.API_UNKNOWN]
            return ("after", "lost", "lost", "mute")[int(self.chance("api-how", n) * 4)]
        return ""

    def lost_delay_s(self) -> float | None:
        """After how long a lost request is done after all; None = never. The vendor's API works on
        a request for a minute at most, a broken database connection is rolled back in seconds."""
        n = self._seen[Kind.API_UNKNOWN]
        drawn = self.chance("api-late", n)
        return None if drawn < 0.4 else drawn * (4.0 if self.sql_writer else 60.0)

    def before_write_applies(self, effect: Effect) -> None:
        if self.fires(Kind.RACING_EDIT):
            self.racing(effect)

    def half_built_s(self) -> float:
        return 4.0 if self.fires(Kind.HALF_BUILT) else 0.05

    def stored_text(self, value: str) -> str:
        """What the PMS keeps of a text: its own spelling, or the first part of it."""
        if self.fires(Kind.NORMALISES):
            return value.strip().upper() if self.chance(value) < 0.5 else value[:12]
        return value

    # -- the CRM ----------------------------------------------------------------------------------

    def crm_call(self, what: str) -> None:
        """Before the request is there."""
        self._any_call(what)
        self.kernel.sleep(0.02)
        if self.kernel.now < self.crm_down_until:
            raise CrmUnavailable("crm.unreachable")
        if self.fires(Kind.REFUSE):
            n = self._seen[Kind.REFUSE]
            if self.chance("refuse-how", n) < 0.1:  # not only this call: it is down for a while
                self.crm_down_until = self.kernel.now + 20.0 * self.chance("refuse-for", n)
            raise CrmUnavailable("crm.unreachable")
        if self.fires(Kind.RESET_BEFORE):
            raise CrmUnavailable("crm.reset")
        if self.fires(Kind.TOO_MANY):
            raise CrmUnavailable("crm.too_many", retry_after_s=10.0)
        if self.fires(Kind.CAPTIVE):
            raise CrmUnavailable("crm.captive_portal")
        if self.fires(Kind.TOKEN):
            raise CrmAuthError("crm.auth_revoked")
        if self.fires(Kind.CRM_SCHEMA):
            raise CrmError("crm.error") if what != "push" else CrmRefusedBatch("crm.batch_refused")

    def crm_answer(self, what: str) -> None:
        """After the effect, before the answer is here."""
        self.kernel.sleep(0.02)
        if self.fires(Kind.RESET_AFTER):
            raise CrmUnavailable("crm.reset")
        if self.fires(Kind.TIMEOUT_AFTER):
            self.kernel.sleep(30.0)
            raise CrmUnavailable("crm.timeout")
        if self.fires(Kind.SERVER_ERROR):
            raise CrmUnavailable("crm.server_error")
        if self.fires(Kind.BROKEN_BODY):
            raise CrmUnavailable("crm.bad_answer")
        if what == "push" and self.fires(Kind.ITEM_MISSING):
            raise CrmUnavailable("crm.bad_answer")
