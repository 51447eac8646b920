"""Planted bugs: each breaks the product in one named way; the simulation must notice.

A mutant is a patch of the running product for the length of a ``with``. It counts as killed by the
first seed in which a rule breaks. They stand for mistakes other sync engines have shipped. Where
only certain kinds of fault can show a mistake, they strike often in every seed (``shown_by``): a
quarter of all seeds has a kind at all, and most of those seldom.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from unittest.mock import patch

from agent.errors import JournalError
from agent.journal import database, waits
from agent.journal.journal import Journal
from agent.journal.rows import ParkClass
from agent.journal.turn import Turn
from agent.model.commands import EndState
from agent.model.reading import Digest
from agent.model.writing import ItemOutcome, Outcome
from agent.sync import (
    capture,
    carrying,
    engine,
    merge,
    outcomes,
    plan,
    plans,
    push,
    reconcile,
    session,
    watch,
)
from agent.sync.brakes import Brakes
from agent.sync.capture import Capture
from agent.sync.carrying import Carrying
from agent.sync.engine import Engine
from agent.sync.keysets import KeySets
from agent.sync.looks import Looks, Window
from agent.sync.pace import Backoff
from agent.sync.places import Places
from agent.sync.pull import Pull, Tell
from agent.sync.push import Dispatcher
from agent.sync.races import Races
from agent.sync.recover import Recover
from agent.sync.sweep import Sweep, Swept
from agent.sync.undo import Undo
from agent.sync.watch import Watch
from agent.sync.writing import Proof, Writing
from tests.sim.faults import MOMENTS, Kind, Plan
from tests.sim.world import CALM_EVERY, seeds_plan

Plant = Callable[[], Iterator[None]]
OFTEN_AN_HOUR, OFTEN_A_POINT = 32.0, 0.3


@dataclass(frozen=True, slots=True)
class Mutant:
    planted: Callable[[], AbstractContextManager[None]]
    shown_by: tuple[Kind, ...]

    def seeds(self) -> Iterator[tuple[int, Plan]]:
        """The runs it must survive, in order. Every other one is calm, where no fault is needed."""
        rough = (n for n in count(1) if n % CALM_EVERY)
        if self.shown_by:
            for seed in rough:
                plan = seeds_plan(seed)
                for kind in self.shown_by:
                    plan.rates[kind] = OFTEN_AN_HOUR if kind in MOMENTS else OFTEN_A_POINT
                yield seed, plan
        for calm in count(CALM_EVERY, CALM_EVERY):
            seed = next(rough)
            yield seed, seeds_plan(seed)
            yield calm, seeds_plan(calm)


MUTANTS: dict[str, Mutant] = {}


def plants(make: Plant, *shown_by: Kind) -> Plant:
    """Register under the function's name, dashes for underscores."""
    MUTANTS[make.__name__.replace("_", "-")] = Mutant(contextmanager(make), shown_by)
    return make


def plants_shown_by(*kinds: Kind) -> Callable[[Plant], Plant]:
    return lambda make: plants(make, *kinds)


def patched(*changes: tuple[object, str, object]) -> ExitStack:
    stack = ExitStack()
    for target, name, value in changes:
        stack.enter_context(patch.object(target, name, value))
    return stack


# -- reading --------------------------------------------------------------------------------------


@plants
def watermark_is_the_newest_stamp() -> Iterator[None]:
    """Rung 1 asks above the server's time: no guard for the running second, no open statements."""

    def next_low(now: datetime, oldest_open: datetime | None) -> datetime:
        return now + timedelta(seconds=1)

    with patched((watch, "next_low", next_low)):
        yield


@plants
def no_overlap() -> Iterator[None]:
    """What becomes visible late is never looked for again."""
    true = Watch.__init__

    def init(self: Watch, *args: Any, **more: Any) -> None:
        true(self, *args, **{**more, "overlap_s": 0.0})

    with patched((Watch, "__init__", init), (watch, "next_low", lambda now, _: now)):
        yield


@plants
def hints_are_skipped() -> Iterator[None]:
    """The log's marks move on before its rows were taken."""

    def collect(self: Watch, hints: Any, wanted: Any, deleted: Any) -> None:
        return None

    with patched((Watch, "_collect_hints", collect), (Watch, "_keys_above", lambda *_: [])):
        yield


@plants
def first_disappearance_is_believed() -> Iterator[None]:
    """A row that was not found is buried at once."""
    true = Engine._confirm_disappearances

    def confirm(self: Engine, reader: Any, open_session: Any) -> int:
        self._tuning = replace(self._tuning, confirm_delete_s=0.0)
        return true(self, reader, open_session)

    with patched((Engine, "_confirm_disappearances", confirm)):
        yield


@plants_shown_by(Kind.NO_STAMP)
def sweep_trusts_the_servers_old_digest() -> Iterator[None]:
    """A chunk is compared with what the server said last time, not with the mirror as it is now."""
    remembered: dict[Any, Digest] = {}
    true = Sweep._prove

    def prove(self: Sweep, reader: Any, mapped: Any, lo: Any, hi: Any) -> Swept:
        live = self._server_digest(reader, mapped.stream, lo, hi)
        place = id(self._journal), mapped.stream, lo, hi
        if remembered.get(place) == live:
            return Swept(True, live.count)
        swept = true(self, reader, mapped, lo, hi)
        if swept.verified:
            remembered[place] = live
        return swept

    with patched((Sweep, "_prove", prove)):
        yield


@plants
def sweep_accepts_everything() -> Iterator[None]:
    """A chunk counts as proven by having been looked at."""

    def prove(self: Sweep, reader: Any, mapped: Any, lo: Any, hi: Any) -> Swept:
        return Swept(True, 1)

    with patched((Sweep, "_prove", prove)):
        yield


@plants
def sweep_overlooks_the_missing() -> Iterator[None]:
    """Rows that vanished are not asked about, by the sweep or by the key sets."""
    true = Sweep._reread

    def reread(self: Sweep, reader: Any, mapped: Any, lo: Any, hi: Any) -> Swept:
        with patch.object(Journal, "held_range", lambda *_: {}):
            return true(self, reader, mapped, lo, hi)

    with patched((Sweep, "_reread", reread), (KeySets, "visit", lambda *_: 0)):
        yield


@plants
def older_reads_win() -> Iterator[None]:
    """A page that arrives late overwrites what another lane has read meanwhile."""
    true = plan.plan_page

    def plan_page(observed: Any, held: Any, *, read_lsn: int, force: bool) -> Any:
        return true(observed, held, read_lsn=2**60, force=force)

    with patched((capture, "plan_page", plan_page)):
        yield


@plants_shown_by(Kind.HALF_BUILT)
def half_built_rows_leave() -> Iterator[None]:
    """A new patient is pushed before the practice's program has finished writing it."""

    def settled(self: Capture, stream: Any, changed: Any, held: Any) -> Any:
        return changed

    with patched((Capture, "_settled", settled)):
        yield


@plants_shown_by(Kind.PMS_RESTORED)
def any_database_is_believed() -> Iterator[None]:
    """Nobody asks whether this is still the database we know."""

    def believe(self: Engine, reader: Any, open_session: Any) -> bool:
        return True

    with patched((Engine, "_believe", believe)):
        yield


@plants_shown_by(Kind.WIPED)
def brakes_hold_nothing() -> Iterator[None]:
    """However much would change or vanish at once, it leaves."""

    def check(self: Brakes, *_: Any) -> None:
        return None

    with patched((Brakes, "_check", check)):
        yield


@plants_shown_by(Kind.DDL)
def a_lost_table_stays_lost() -> Iterator[None]:
    """A stream that could not be read when the session opened is never tried again."""

    with patched((Engine, "_probe_held", lambda *_: False)):
        yield


# -- pushing --------------------------------------------------------------------------------------


@plants
def commits_are_not_synced() -> Iterator[None]:
    """synchronous=NORMAL instead of FULL."""
    true = database.connect_writer

    def connect(path: str, vfs: str | None) -> Any:
        db = true(path, vfs)
        db.pragma("synchronous", "normal")
        return db

    with patched((database, "connect_writer", connect)):
        yield


@plants
def settled_before_it_is_sent() -> Iterator[None]:
    """The batch counts as done when it leaves, not when the CRM has said so."""

    def send(self: Dispatcher, batch: Any) -> None:
        outcome = tuple(ItemOutcome(Outcome.APPLIED) for _ in batch.operations)
        self._settle(batch, push.judge(batch.operations, outcome))
        try:
            self._crm.push(batch.id, batch.body)
        except Exception:
            return

    with patched((Dispatcher, "_send", send)):
        yield


@plants_shown_by(Kind.PARTIAL)
def one_yes_is_yes_for_all() -> Iterator[None]:
    """Item outcomes are not looked at."""

    def judge(operations: Any, said: Any) -> Any:
        return push.Verdict(list(operations))

    with patched((push, "judge", judge)):
        yield


@plants_shown_by(Kind.PARTIAL)
def refused_means_done() -> Iterator[None]:
    """A record the CRM refuses is settled like the others instead of parked."""
    true = push.judge

    def judge(operations: Any, said: Any) -> Any:
        verdict = true(operations, said)
        done = [*verdict.done, *(operations[at] for at, _ in verdict.refused)]
        return push.Verdict(done, verdict.again, [], verdict.retry_after_s)

    with patched((push, "judge", judge)):
        yield


@plants
def retried_only_on_the_next_edit() -> Iterator[None]:
    """After a failure nothing is sent until somebody changes something."""
    true_failed, true_wake = Dispatcher._failed, Dispatcher.wake

    def failed(self: Dispatcher, error: Any, wait_s: float) -> None:
        true_failed(self, error, 1e9)

    def retried(self: Dispatcher) -> None:
        true_wake(self)

    with patched((Dispatcher, "_failed", failed), (Dispatcher, "wake", retried)):
        yield


@plants_shown_by(Kind.NO_MEMORY)
def an_error_ends_the_push_lane() -> Iterator[None]:
    """As it was before the simulation found it."""

    def run(self: Dispatcher, stopping: Any) -> None:
        while not stopping.is_set():
            self._awake.clear()
            if not self.dispatch():
                self._awake.wait(self._idle_s())
        self._pool.shutdown(wait=True)

    with patched((Dispatcher, "run", run)):
        yield


@plants_shown_by(Kind.PARTIAL)
def refused_deletions_are_forgotten() -> Iterator[None]:
    """As it was before the simulation found it."""

    with patched((capture, "refused_deletions", lambda *_: [])):
        yield


@plants_shown_by(Kind.BAD_ROW)
def unreadable_counts_as_told() -> Iterator[None]:
    """A record that cannot be read drops what was still to be sent of it."""
    true = Turn.park

    def park(self: Turn, stream: Any, key: Any, why: ParkClass, *rest: Any) -> None:
        true(self, stream, key, why, *rest)
        if why is ParkClass.DECODE:
            self._db.execute(
                "UPDATE record SET batch = NULL, agreed = hash WHERE stream = ? AND key = ?"
                " AND batch IS NOT NULL",
                (self._streams[stream], key),
            )

    with patched((Turn, "park", park)):
        yield


@plants_shown_by(Kind.CRM_SCHEMA)
def the_poison_is_never_found() -> Iterator[None]:
    """A batch the CRM refuses whole is dropped whole."""

    def bisect(self: Dispatcher, batch: Any, error: Any) -> None:
        with self._journal.turn() as turn:
            turn.settle(batch, list(batch.operations))

    with patched((Dispatcher, "_bisect", bisect)):
        yield


@plants_shown_by(Kind.REORDER)
def streams_overtake_themselves() -> Iterator[None]:
    """Two batches of one stream fly at once, and no version says which was meant to land first."""
    true = Journal.due_batches

    def due(self: Journal, now: Any, limit: int, busy: Any, flying: Any) -> Any:
        found = true(self, now, limit, busy, flying)
        for stream in sorted(busy):
            behind = self.batches_after(stream, 0, limit + len(flying))
            found += [batch for batch in behind if batch.number not in flying][:1]
        return found[:limit]

    def alike(make: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *about, lsn, **more: make(*about, lsn=1, **more)

    with patched(
        (Journal, "due_batches", due),
        (capture, "make_changes", alike(capture.make_changes)),
        (capture, "make_deletions", alike(capture.make_deletions)),
    ):
        yield


@plants_shown_by(Kind.PARTIAL)
def refused_records_are_asked_again_at_once() -> Iterator[None]:
    """A record the CRM refuses is due again in the same moment."""

    with patched((push, "item_retry_s", lambda _: 0.0)):
        yield


@plants_shown_by(Kind.REFUSE)
def a_line_that_is_down_is_hammered() -> Iterator[None]:
    """No back-off: a failed send is followed by the next."""

    with patched((Backoff, "failed", lambda *_: 0.0)):
        yield


@plants_shown_by(Kind.UPGRADE)
def a_stop_is_heard_late() -> Iterator[None]:
    """A lane sleeps without listening for the stop."""
    true = Tell.run

    def run(self: Tell, stopping: Any) -> None:
        true(self, stopping)
        self._clock.sleep(30.0)

    with patched((Tell, "run", run)):
        yield


@plants
def the_log_names_people() -> Iterator[None]:
    """What was read is logged, for whoever looks for a mistake."""
    true = Capture.take

    def take(self: Capture, mapped: Any, page: Any, **more: Any) -> Any:
        push.log.debug("page.taken", rows=page.rows)
        return true(self, mapped, page, **more)

    with patched((Capture, "take", take)):
        yield


@plants
def wishes_are_dropped_where_the_practice_differs() -> Iterator[None]:
    """A field the practice has changed meanwhile is left out, and nobody is told."""
    true = plans.merge

    def merged(base: Any, pms: Any, edit: Any, rules: Any) -> Any:
        found = true(base, pms, edit, rules)
        lost = {clash.field for clash in found.kept}
        write = {name: value for name, value in found.write.items() if name not in lost}
        return merge.Merge(write, found.before, found.agreed, ())

    with patched((plans, "merge", merged)):
        yield


# -- writing --------------------------------------------------------------------------------------


@plants
def written_before_it_is_intended() -> Iterator[None]:
    """The practice is told first, the journal afterwards."""
    true_intend, true_write = Writing._intend, Writing._write
    early: dict[int, Any] = {}

    def intend(self: Writing, step: Any, *rest: Any) -> int:
        writer = early[id(self)]
        key = writer.write(step.effect).key
        number = true_intend(self, step, *rest)
        early[id(self), number] = key if key is not None else step.effect.key
        return number

    def write(self: Writing, number: int, effect: Any, writer: Any) -> Any:
        return early[id(self), number]

    true_perform = Writing.perform

    def perform(self: Writing, step: Any, looks: Any, writer: Any, **more: Any) -> Proof:
        early[id(self)] = writer
        return true_perform(self, step, looks, writer, **more)

    with patched((Writing, "_intend", intend), (Writing, "_write", write),
                 (Writing, "perform", perform)):  # fmt: skip
        yield
    assert true_write is not None


@plants_shown_by(Kind.API_UNKNOWN)
def lost_answers_are_repeated() -> Iterator[None]:
    """What the API did not answer is written again, without a look."""

    def is_over(self: Recover, row: Any, watched: Any) -> bool:
        return True

    def sight(self: Recover, row: Any, looks: Any, facts: Any) -> Any:
        from agent.sync.recover import Shows, Sight

        return Sight(Shows.NOT_DONE), None

    with patched((Recover, "_is_over", is_over), (Recover, "_sight", sight)):
        yield


@plants_shown_by(Kind.API_UNKNOWN)
def one_look_is_enough() -> Iterator[None]:
    """What is not found at once was not done, however long the API may still be at it."""

    def is_over(self: Recover, row: Any, watched: Any) -> bool:
        return True

    with patched((Recover, "_is_over", is_over)):
        yield


@plants_shown_by(Kind.API_UNKNOWN)
def commands_run_before_recovery() -> Iterator[None]:
    """After a restart commands go on before open effects were looked for."""

    with patched((Recover, "visit", lambda *_: None), (Recover, "commands", frozenset())):
        yield


@plants_shown_by(Kind.NORMALISES)
def yes_without_a_read_back() -> Iterator[None]:
    """The API's yes is taken for proof."""

    def prove(self: Writing, number: int, step: Any, key: Any, looks: Any, settling: Any) -> Proof:
        proof = Proof(number, key, None)
        self.settle(step.effect, proof, looks, settling(proof))
        return proof

    with patched((Writing, "_prove", prove)):
        yield


@plants
def the_crm_always_wins() -> Iterator[None]:
    """An edit of the CRM replaces whatever the practice has."""
    true = plans.merge

    def merged(base: Any, pms: Any, edit: Any, rules: Any) -> Any:
        return true(pms, pms, edit, rules)

    with patched((plans, "merge", merged)):
        yield


@plants
def losers_are_dropped() -> Iterator[None]:
    """A clash is decided and nobody keeps what lost."""
    true = plans.merge

    def merged(base: Any, pms: Any, edit: Any, rules: Any) -> Any:
        found = true(base, pms, edit, rules)
        write = {**found.write, **{c.field: c.crm for c in found.kept if "." not in c.field}}
        return merge.Merge(write, found.before, found.agreed, ())

    with patched((plans, "merge", merged)):
        yield


@plants_shown_by(Kind.RACING_EDIT)
def races_are_not_noticed() -> Iterator[None]:
    """Nobody looks whether the place was taken meanwhile."""

    with patched((Places, "lost", lambda *_: False)):
        yield


@plants_shown_by(Kind.BAD_ROW)
def what_cannot_be_read_takes_no_place() -> Iterator[None]:
    """As it was before the simulation found it."""
    true = Looks.window

    def window(self: Looks, *asked: Any) -> Window:
        return replace(true(self, *asked), blind=frozenset())

    with patched((Looks, "window", window)):
        yield


@plants_shown_by(Kind.RACING_EDIT)
def lost_races_are_called_unknown() -> Iterator[None]:
    """A lost race is not taken back: the CRM is told that nobody knows, and nobody here is."""

    def take_back(self: Races, command: Any, placed: Any, bench: Any) -> None:
        self._end(command, self._make(EndState.UNKNOWN, "command.unknown", key=placed.key))

    with patched((Races, "_take_back", take_back)):
        yield


@plants
def undone_without_a_look() -> Iterator[None]:
    """What somebody has changed since is overwritten by taking back what was before."""

    with patched((Undo, "_moved_on", lambda *_: "")):
        yield


@plants
def acknowledged_before_it_is_kept() -> Iterator[None]:
    """A command is acknowledged although the journal did not take it."""
    true = Pull._take

    def take(self: Pull, polled: Any) -> None:
        try:
            true(self, polled)
        except JournalError:
            self._ack += [command.command_id for command in polled.commands]
            raise

    with patched((Pull, "_take", take)):
        yield


@plants
def outcomes_are_told_once() -> Iterator[None]:
    """An outcome counts as told when it was tried."""
    true = Tell._tell_outcomes

    def tell(self: Tell, stopping: Any) -> int:
        rows = self._journal.commands_unreported(100)
        with self._journal.turn() as turn:
            for row in rows:
                if row.outcome is not None:
                    turn.reported(row.command.command_id, row.outcome)
        for row in rows:
            if row.outcome is not None:
                self._port.finish(row.command.command_id, row.outcome)
        return len(rows)

    with patched((Tell, "_tell_outcomes", tell)):
        yield
    assert true is not None


@plants
def an_error_ends_the_pull_lane() -> Iterator[None]:
    """As it was before the simulation found it."""

    def run(self: Pull, stopping: Any) -> None:
        while not stopping.is_set():
            self._awake.clear()
            wait_s = self.step(stopping)
            if wait_s > 0 and not stopping.is_set():
                self._awake.wait(wait_s)

    with patched((Pull, "run", run)):
        yield


@plants_shown_by(Kind.AGENT_CLOCK)
def the_wall_clock_is_trusted() -> Iterator[None]:
    """A clock set back puts everything that waits to sleep; as it was before it was found."""

    with patched((Turn, "clock_set", lambda *_: None), (waits, "move_back", lambda *_: None)):
        yield


@plants_shown_by(Kind.AGENT_CLOCK, Kind.UNLOGGED_DELETE)
def the_clock_is_noticed_a_moment_late() -> Iterator[None]:
    """Turns write by a clock set back before what waits is moved; as it was before seed 1173."""
    true = Journal.heed_clock
    heeding: set[int] = set()

    def heed(self: Journal) -> None:
        heeding.add(id(self))
        true(self)
        heeding.discard(id(self))

    def look(self: waits.WallWatch) -> tuple[datetime, float]:
        now, by_s = true_look(self)
        return now, by_s if heeding else 0.0

    true_look = waits.WallWatch.look
    with patched((Journal, "heed_clock", heed), (waits.WallWatch, "look", look)):
        yield


@plants_shown_by(Kind.AGENT_CLOCK, Kind.API_UNKNOWN)
def an_hour_may_be_a_second() -> Iterator[None]:
    """A clock set forward ends the wait for a lost answer; as it was before it was found."""

    nothing = "UPDATE effect SET planned_at = planned_at WHERE ?1 IS NULL"
    with patched((waits, "OPEN_WRITES", nothing)):
        yield


@plants
def done_before_it_is_done() -> Iterator[None]:
    """The outcome is stored with the intent."""
    true = Carrying._settling

    def write(self: Carrying, command: Any, planned: Any, bench: Any, mode: Any) -> None:
        outcome = self._make(carrying.EndState.APPLIED, key=planned.key)
        with self._journal.turn() as turn:
            outcomes.store(turn, command, outcome)

    with patched((Carrying, "_write", write)):
        yield
    assert true is not None


@plants_shown_by(Kind.JOURNAL_DELETED, Kind.BAD_ROW)
def what_the_mirror_lacks_is_gone() -> Iterator[None]:
    """The CRM is told to forget what only it holds, without a look; as it was before it was found
    (seed 10608)."""

    def retract(self: Engine, _reader: Any, _session: Any, stream: Any, keys: Any) -> None:
        self.capture.retract(stream, keys)

    def judged(journal: Any, stream: Any, here: Any, there: Any) -> dict[Any, Any]:
        with patched((type(journal), "park_tries", lambda *_: {})):
            return true(journal, stream, here, there)

    true = reconcile._judged
    with patched((Engine, "_retract", retract), (reconcile, "_judged", judged)):
        yield


__all__ = ["MUTANTS", "engine", "session"]
