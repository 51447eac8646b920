"""What must hold: checked at every effect as it happens, and at the end of the quiet phase.

Rules carry the reference's numbers (S safety, C convergence, V liveness, E order). An oracle knows
the practice, the CRM and the disk from outside; it asks the journal only what the product promised
to keep there.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agent.errors import AgentError, JournalDamaged
from agent.journal.pulled import CommandState, EffectState
from agent.model.commands import CommandType, EndState
from agent.model.effects import CREATES, Effect, EffectKind
from agent.model.status import State
from agent.model.streams import Stream
from agent.model.writing import Change, Verb
from agent.sync.effects import same
from tests.sim.agent import COLD_S, TUNING
from tests.sim.faults import Kind
from tests.sim.history import HINTED_S, LATE_S, History
from tests.sim.kernel import Violation
from tests.sim.pms import FIRST_VERSION, Backup, Row
from tests.sim.ports import PATIENT_COLUMN, STREAM_OF, TABLE_OF
from tests.sim.promises import Promises
from tests.sim.proofs import MOOT, check_missing, check_proofs

if TYPE_CHECKING:
    from tests.sim.agent import Process
    from tests.sim.crm import HeldRecord
    from tests.sim.world import World

# A guard is looked at every two seconds from the start on, and what is under way may land.
FENCE_S = 8.0
FENCE_ITEMS = 20
FOREIGN_KEYS = 1000  # above them only the other practice has any
SETTLE_S = 1.8  # two reads of a new patient two seconds apart agree before it leaves
#: kinds that make a record's history moot: other columns, other rows, unreadable rows
UNPLAIN = frozenset(
    {
        Kind.DDL,
        Kind.PMS_RESTORED,
        Kind.BAD_ROW,
        Kind.TABLE_AWAY,
        Kind.KEY_REUSE,
        Kind.WIPED,
        Kind.CRM_RESTORED,
        Kind.JOURNAL_DELETED,
        Kind.BIT_FLIP,
        Kind.JOURNAL_RESTORED,
    }
)
#: kinds of a calm run: nothing is broken, changes are merely hard to notice
CALM = frozenset({Kind.LATE_VISIBLE, Kind.NO_STAMP, Kind.UNLOGGED_DELETE, Kind.HALF_BUILT})
#: patient and visit fields the CRM may set; anything else in an effect is a column outside the list
WRITABLE = {
    EffectKind.UPDATE_PATIENT: set(PATIENT_COLUMN) | {"emails"},
    EffectKind.MOVE: {"start", "minutes", "operatory_key", "provider_key", "hygienist_key"},
    EffectKind.CONFIRM: {"confirmation_key", "confirmation_category"},
    EffectKind.SET_STATUS: {"status"},
    EffectKind.BREAK: {"status"},
    EffectKind.NOTE_APPOINTMENT: {"note"},
}


def _place(row: Row) -> tuple[str | None, ...] | None:
    """Room and time of a visit on the schedule; of one that is not, what no other row has."""
    values = row.values
    if values.get("AptStatus") not in ("1", "2") or values.get("Op") in (None, "0"):
        return (values.get("AptNum"),)
    return values.get("Op"), values.get("AptDateTime")


class Oracles:
    def __init__(self, world: World) -> None:
        self.world = world
        self.writes = 0
        self.heads: list[str] = []
        self.epoch = 0
        self.restores: list[float] = []
        self.crm_restores: list[float] = []
        self.seen: dict[str, set[int]] = {}  # token -> keys of rows the API made with it
        self._at_home: dict[str, set[int]] = {}  # the same of ours, while another answers
        self._wrong_since: float | None = None
        self._alive_since = 0.0
        self.wrong_pushes = 0
        self.has_forgotten = False
        self.has_met = False  # something of the true practice has reached the CRM
        self.doubled: list[tuple[int, int]] = []  # (who stood there, whom the API put there)
        self.states: dict[State, float] = {}
        world.pms.visible.append(self._visible)
        world.crm.pushing = self._pushing
        world.crm.landed = self._landed
        self.promises = Promises(world)
        world.crm.arrives = self.promises.arrives
        world.crm.refused = self.promises.refused
        world.crm.push_failed = self.promises.push_failed
        world.crm.push_answered = self.promises.push_answered
        self.history = History(TUNING.confirm_delete_s)
        self.deletions: Counter[tuple[int, Stream]] = Counter()  # by life
        self.allowed_at = -1e9
        for table, held in world.pms.tables.items():
            for key, row in held.rows.items():
                self.history.seen(table, key, row, 0.0)
                self.promises.remember(table, key, row)

    # -- told by the world ------------------------------------------------------------------------

    def wrong_source(self, is_wrong: bool) -> None:
        self._wrong_since = self.world.kernel.now if is_wrong else None
        if is_wrong and not self.has_met:
            self.has_forgotten = True  # an agent believes the first database it meets
        self.restores.append(self.world.kernel.now)
        self.history.is_plain = False
        # A number given there says nothing about the record that has it here.
        if is_wrong:
            self._at_home, self.seen = self.seen, {}
        else:
            self.seen = self._at_home

    def pms_restored(self, backup: Backup) -> None:
        self._forget_lost()
        self.restores.append(backup.at)
        self.promises.restored(backup)
        self.history.is_plain = False

    def crm_restored(self) -> None:
        self.crm_restores.append(self.world.kernel.now)
        self.history.is_plain = False

    def journal_lost(self) -> None:
        """What the agent knew is gone or old: what it did since, it cannot know."""
        self.has_forgotten = True
        self.epoch = 0

    def started(self, process: Process) -> None:
        self._alive_since = self.world.kernel.now
        findings = process.journal.verify_audit()
        if findings:
            raise Violation("S14", f"the chain does not verify after a start: {findings[0]}")
        if process.journal.epoch <= self.epoch:
            raise Violation("S14", "an epoch came twice")
        self.epoch = process.journal.epoch

    def start_failed(self, error: AgentError) -> None:
        if isinstance(error, JournalDamaged):
            raise Violation("S18", "the journal is damaged after a crash")

    def operation_state(self) -> str:
        """Of what is furthest: for the coverage table."""
        process = self.world.process
        if process is None:
            return "down"
        if process.journal._owner is not None:
            return "in-turn"
        engine = process.engine
        if process.two.apply.recover.open:
            return "effect-open"
        if engine.dispatcher._flying:
            return "sent"
        if engine.session is None or not engine.session.watching:
            return "starting"
        return "loading" if not engine.session.load.progress.done else "steady"

    # -- as it happens ----------------------------------------------------------------------------

    def _durable(self, what: str) -> None:
        unsynced = self.world.disk.unsynced()
        if unsynced:
            raise Violation("S4", f"{what} while the journal is not durable")

    def _pushing(self, batch_id: str, changes: list[Change]) -> None:
        self._durable("a batch leaves")
        process = self.world.process
        if process is not None and process.engine.dispatcher.fenced:
            return  # it was under way when the fence went up
        if not any(True for _ in changes):
            raise Violation("S1", "an empty batch")

    def _landed(self, change: Change, before: HeldRecord | None) -> None:
        """A push has moved the CRM: it must say something the practice really said."""
        kernel = self.world.kernel
        kernel.trace(f"landed {change.stream.value} {change.key} {change.content_hash.hex()[:8]}")
        wrong = self._wrong_since
        self.has_met = self.has_met or wrong is None
        is_late = wrong is not None and kernel.now - max(wrong, self._alive_since) > FENCE_S
        if is_late and not self.has_forgotten:
            self.wrong_pushes += 1
        is_foreign = int(change.key) > FOREIGN_KEYS and change.verb is Verb.UPSERT
        if (is_foreign and not self.has_forgotten) or self.wrong_pushes > FENCE_ITEMS:
            raise Violation("S9", "pushed from a source that is not ours")
        if change.verb is Verb.DELETE:
            self._check_brake(change.stream)
        built = self.world.pms.half_built.get(change.key)  # type: ignore[call-overload]
        is_new = change.stream is Stream.PATIENT and change.verb is Verb.UPSERT
        if is_new and built is not None and kernel.now - built < SETTLE_S:
            raise Violation("S5", f"patient {change.key} left half built")
        if not self._columns_moved():
            self.history.landed(change, kernel.now)

    def _check_brake(self, stream: Stream) -> None:
        """In one life a brake lets so many deletions of a stream pass, and as many may have been
        on their way from the life before. A person or a new version of the vendor's allows more."""
        self.deletions[self.world.lives, stream] += 1
        is_allowed = self.allowed_at >= 0 or self.world.pms.version != FIRST_VERSION
        if is_allowed or self.restores or self.crm_restores or self.has_forgotten:
            return
        if self.deletions[self.world.lives, stream] > 2 * TUNING.brake_rows:
            raise Violation("S10", "more deletions than the brake lets pass")

    def _columns_moved(self) -> bool:
        """Other columns mean other records: then the history proves nothing."""
        if self.world.faults.plan.rates.keys() & UNPLAIN:
            self.history.is_plain = False
        return not self.history.is_plain

    def before_write(self, effect: Effect) -> None:
        """The API is about to apply an effect."""
        self.writes += 1
        world = self.world
        world.kernel.trace(f"writes {effect.kind.value} {effect.key}")
        is_late = world.kernel.current is not None and world.kernel.current.name == "api-late"
        if not is_late:
            self._durable(f"{effect.kind.value} leaves")
        allowed = WRITABLE.get(effect.kind)
        if allowed is not None and not set(effect.fields) <= allowed:
            raise Violation("S8", f"{effect.kind.value} writes {sorted(effect.fields)}")
        process = world.process
        if is_late or process is None:
            return  # asked for a while ago, perhaps by a process that is gone
        fitting = [row for row in process.journal.effects_open() if row.effect == effect]
        if not fitting:
            raise Violation("S4", f"{effect.kind.value} without a durable intent")
        row = fitting[-1]
        undone = None if row.undoes is None else process.journal.effect(row.undoes)
        if undone is not None and undone.effect.kind is effect.kind:
            for name in row.before:
                if name in undone.after and not same(name, undone.after[name], row.before[name]):
                    raise Violation("S19", f"an undo overwrites somebody's {name}")
        if effect.kind is EffectKind.UPDATE_PATIENT and row.command_id is not None:
            self._check_overwrite(effect, row.before, row.command_id)

    def _check_overwrite(self, effect: Effect, before: dict[str, Any], command_id: str) -> None:
        """A value of the practice is only replaced if the CRM's person saw it, or it is kept."""
        world = self.world
        assert world.process is not None
        asked = world.crm.asked.get(command_id)
        if asked is None:
            return
        expected = asked.command.precondition.get("expected")
        if not isinstance(expected, dict):
            return
        kept = {row.field for row in world.process.journal.conflicts_of(command_id)}
        for name in effect.fields:
            held = before.get(name)
            if held is None or name in kept or same(name, expected.get(name), held):
                continue
            raise Violation("S7", f"{name} is overwritten unseen")

    def _visible(self, table: str, key: int, old: Row | None, new: Row | None, by: str) -> None:
        world = self.world
        what = "gone" if new is None else ("new" if old is None else "changed")
        world.kernel.trace(f"pms {table} {key} {what} by {by}")
        self._remember(table, key, new, by)
        self.promises.remember(table, key, new)
        if by == "api" and new is None:
            raise Violation("S10", f"a hard delete of {table} {key}")
        if by == "api" and old is None and new is not None:
            self._check_twice(table, key, new)
        if new is None:
            self._forget(table, key)
        if table == "appointment":
            self._follow_places(key, old, new, by)

    def _follow_places(self, key: int, old: Row | None, new: Row | None, by: str) -> None:
        """Who stands where somebody stood already because the API put them there. Once one of the
        two has left, it is over: who is put back there by a person was put there by that person."""
        rows = self.world.pms.tables["appointment"].rows
        self.doubled = [
            (other, ours)
            for other, ours in self.doubled
            if key not in (other, ours) or self._share_a_place(other, ours)
        ]
        if by != "api" or new is None or (old is not None and _place(old) == _place(new)):
            return
        place = _place(new)
        self.doubled += [(k, key) for k, row in rows.items() if k != key and _place(row) == place]

    def _check_places(self) -> None:
        """What was put where somebody stood already has left that place again, or both sides were
        told of it: the CRM that nobody knows, and the practice's people by a write that waits for
        them (an answer that was truly lost may leave that); or the CRM that it is up to them, and
        they by a task to take it off. The word alone excuses nothing."""
        for other, ours in self.doubled:
            if self._share_a_place(other, ours) and not self._is_shown(ours):
                raise Violation("S7", f"visit {ours} was put where {other} stands, and stays")

    def _is_shown(self, ours: int) -> bool:
        """Whether the window asks a person about this visit, and the CRM has heard as much. A
        booking whose answer was lost has no number yet: by its place."""
        if self.world.process is None:
            return False
        journal = self.world.process.journal
        place = _place(self.world.pms.tables["appointment"].rows[ours])
        unknown, asked = self._told(EndState.UNKNOWN), self._told(EndState.TASK)
        for row in journal.effects_unknown():
            key = row.effect.key if row.key is None else row.key
            is_it = self._wished(row.effect) == place if key is None else str(key) == str(ours)
            if is_it and row.command_id in unknown:
                return True
        return any(
            task.command_id in asked
            and str(task.effect.key) == str(ours)
            and task.effect.fields.get("status") == "unscheduled"
            for task in journal.tasks()
        )

    def _told(self, state: EndState) -> set[str]:
        """Commands of which the CRM heard this last."""
        return {
            ident
            for ident, asked in self.world.crm.asked.items()
            if asked.outcomes and asked.outcomes[-1].state is state
        }

    def _wished(self, effect: Effect) -> tuple[str | None, ...] | None:
        if effect.kind is not EffectKind.BOOK:
            return None
        start = datetime.fromisoformat(effect.fields["start"])
        return effect.fields["operatory_key"], self.world.pms.local(start)

    def _share_a_place(self, other: int, ours: int) -> bool:
        rows = self.world.pms.tables["appointment"].rows
        return other in rows and ours in rows and _place(rows[other]) == _place(rows[ours])

    def _remember(self, table: str, key: int, row: Row | None, by: str) -> None:
        """For the order of what is pushed, and in calm runs for when it must be there."""
        world, now = self.world, self.world.kernel.now
        self.history.seen(table, key, row, now)
        stamped, logged = world.pms.how
        if row is None and logged:
            self.history.logged_gone(table, key)
        if not world.is_calm or not self._is_steady():
            return
        late_s = 0.0
        if row is not None and row.stamp is not None:
            late_s = world.pms.second() - row.stamp
        if logged or (stamped and late_s <= 1):
            self.history.expect(table, key, now, HINTED_S)
        elif stamped and late_s < TUNING.overlap_s - 10:
            self.history.expect(table, key, now, LATE_S)

    def _is_steady(self) -> bool:
        process = self.world.process
        session = None if process is None else process.engine.session
        return session is not None and session.load.progress.done

    def _forget(self, table: str, key: int) -> None:
        """The record is deleted; its number may be another's one day."""
        for token, keys in self.seen.items():
            if token.startswith(f"{table}:"):
                keys.discard(key)

    def _forget_lost(self) -> None:
        tables = self.world.pms.tables
        for token, keys in self.seen.items():
            keys.intersection_update(tables[token.partition(":")[0]].rows)

    def _check_twice(self, table: str, key: int, row: Row) -> None:
        """Every wish of the CRM makes at most one row."""
        token = {
            "commlog": f"commlog:{row.values.get('Note')}",
            "appointment": f"appointment:{row.values.get('Note')}",
            "patient": f"patient:{row.values.get('LName')}{row.values.get('FName')}",
        }.get(table, "")
        if not token.partition(":")[2]:
            return
        alive = {k for k in self.seen.get(token, set()) if k in self.world.pms.tables[table].rows}
        if alive and not self.has_forgotten:
            raise Violation("S2", f"{token} was made twice: {sorted(alive)} and {key}")
        self.seen.setdefault(token, set()).add(key)

    def watch(self) -> None:
        """The tray, looked at now and then: never green while something is known to be wrong."""
        world = self.world
        while True:
            world.kernel.sleep(10.0)
            process = world.process
            if process is None or process.journal._owner is not None:
                continue
            if process.journal.is_doubted:
                raise Violation("S18", "the journal was damaged at work")
            try:
                state = process.state()
            except AgentError:
                continue
            self.states[state] = self.states.get(state, 0.0) + 10.0
            if state is State.UP_TO_DATE:
                self._check_green(process)
            self._check_agreed(process)
            self._check_past(process)
            self.promises.check_waits(process)
            late = self.history.overdue(world.kernel.now) if world.is_calm else None
            if late is not None:
                raise Violation("V7", f"{late} is late at the CRM though nothing was wrong")

    def _check_agreed(self, process: Process) -> None:
        """What counts as agreed is what the CRM holds. Only a record whose very content the CRM has
        refused may wait: what is there instead came by an answer that was lost, the record is
        parked, counted by the status and asked again. A park for any other reason (it could not be
        read) excuses nothing: what was agreed before stands there."""
        if self.crm_restores or self.has_forgotten:
            return
        names = {number: stream for stream, number in process.journal._streams.items()}
        sql = (
            "SELECT stream, key, agreed FROM record WHERE batch IS NULL AND gone_at IS NULL"
            " AND agreed = hash AND hash <> x'' AND NOT EXISTS"
            " (SELECT 1 FROM park p WHERE p.stream = record.stream AND p.key = record.key"
            " AND p.content_hash = record.hash)"
        )
        for number, key, agreed in process.journal._writer.execute(sql):
            held = self.world.crm.records.get((names[number], key))
            if held is None or held.hash != agreed:
                raise Violation("S5", f"{names[number].value} {key} counts as agreed and is not")

    def _check_past(self, process: Process) -> None:
        """While there is a history to hold against what the journal says of it."""
        kinds = self.world.faults.kinds
        if not kinds & MOOT:
            check_missing(process, self.history, self.world.clock)
        # A proof's time is wall time; a flipped bit stays until the next proof.
        if not kinds & {*MOOT, Kind.AGENT_CLOCK, Kind.BIT_FLIP}:
            check_proofs(process, self.history, self.world.clock)

    def _check_green(self, process: Process) -> None:
        world = self.world
        if self.has_forgotten:
            return  # a new journal believes the first database it meets
        if self._wrong_since is not None and world.kernel.now - self._wrong_since > 30.0:
            raise Violation("V5", "green while another database answers")
        if world.kernel.now < world.faults.pms_down_until - 30.0:
            raise Violation("V5", "green while the practice's server is down")

    # -- the end ----------------------------------------------------------------------------------

    def unsettled(self, quiet_s: float) -> list[str]:
        """Why the quiet phase is not over; [] when both sides agree and nothing is left hanging."""
        process = self.world.process
        if process is None:
            return ["V1: the agent does not run"]
        if process.journal._owner is not None:
            return ["V1: a turn is open"]
        engine, journal = process.engine, process.journal
        self._skip_long_waits(process)
        found: list[str] = []
        if any(task.name in ("late", "api-late") for task in self.world.kernel.tasks):
            found.append("C1: a late statement is still to come")
        if self.world.is_regretting:
            found.append("C4: the manager still waits for what is to be taken back")
        if engine.pms.code is not None:
            found.append(f"V1: the practice is not read: {engine.pms.code}")
        session = engine.session
        if session is None or not session.load.progress.done:
            found.append("V1: the load is not done")
            return found
        if session.held:
            found.append(f"V1: held back: {sorted(session.held)}")
        if engine.brakes.on:
            found.append(f"V1: braked: {sorted(engine.brakes.on)}")
        if journal.batches_waiting():
            found.append(f"V1: {journal.batches_waiting()} batches wait")
        open_effects = journal.effects_open()
        if open_effects:
            found.append(f"C4: {len(open_effects)} effects are open")
        found += self._commands(process)
        found += self._differing(process)
        row = journal._writer.execute("SELECT min(due_at) FROM chunk").fetchone()
        late_s = 0.0 if row[0] is None else self.world.clock.now().timestamp() - row[0] / 1e6
        if late_s > 0.5 * COLD_S:
            found.append(f"V3: a chunk is unproven {late_s:.0f} s after it was due")
        return found

    def _skip_long_waits(self, process: Process) -> None:
        """Parked records wait up to a day; that day is over."""
        journal = process.journal
        if journal.due_parked(self.world.clock.now(), 1):
            return
        soon = int(self.world.clock.now().timestamp() * 1_000_000)
        with journal.turn() as turn:
            turn._db.execute("UPDATE park SET due_at = ? WHERE due_at > ?", (soon, soon))
            turn._db.execute("UPDATE batch SET due_at = ? WHERE due_at > ?", (soon, soon))

    def _commands(self, process: Process) -> list[str]:
        found = []
        for ident, asked in self.world.crm.asked.items():
            if not asked.is_acked:
                found.append(f"C4: {ident} is still to be fetched")
            if not asked.outcomes:
                row = process.journal.command(ident)
                state = "not here" if row is None else row.state.value
                found.append(f"C4: {ident} {asked.command.type.value} has no outcome ({state})")
        # The CRM may know an outcome and have asked again of a journal that has forgotten it.
        moving = (CommandState.RECEIVED, CommandState.WAITING, CommandState.WORKING)
        return found + [
            f"C4: {row.command.command_id} is still {row.state.value}"
            for row in process.journal.commands_open()
            if row.state in moving
        ]

    def _differing(self, process: Process) -> list[str]:
        """Practice against CRM, record by record, in canonical form."""
        world = self.world
        session = process.engine.session
        assert session is not None
        found = []
        for stream, mapped in session.maps.items():
            table = TABLE_OF[stream]
            columns = process.source.bound[stream]
            rows = world.pms.tables[table].rows
            whole = [
                (key, *row.sums(columns), *(row.values.get(c) for c in columns))
                for key, row in sorted(rows.items())
                if not row.is_broken
            ]
            from agent.model.reading import Page

            observed, _ = mapped.observe(Page(whole))
            here = {row.key: row.canon for row in observed}
            there = world.crm.canons(stream)
            for key in sorted({*here, *there}, key=str):
                row = rows.get(key)  # type: ignore[arg-type]
                if here.get(key) == there.get(key) or (row is not None and row.is_broken):
                    continue
                kind = "missing" if key not in there else "extra" if key not in here else "other"
                found.append(f"C1: {stream.value} {key} is {kind} at the CRM")
        return found

    def final(self) -> None:
        """After quiet: promises kept, one by one."""
        world = self.world
        process = world.process
        assert process is not None
        journal = process.journal
        findings = journal.verify_audit()
        if findings:
            raise Violation("S14", f"the chain does not verify: {findings[0]}")
        if not self.has_forgotten and not self.restores:
            self._check_places()
        state = process.state()
        if state not in (State.UP_TO_DATE, State.NEEDS_REVIEW, State.ACTION_NEEDED, State.BEHIND):
            raise Violation("V5", f"all agrees and the status says {state.value}")
        if state is State.UP_TO_DATE and journal.effects_unknown():
            raise Violation("V5", "green while a write waits for a person")
        if not self.restores and not self.has_forgotten:
            self.promises.check_wishes(process)
        for ident, asked in world.crm.asked.items():
            last = asked.outcomes[-1]
            if last.state is EndState.APPLIED:
                self._check_kept(ident, process)
            row = journal.command(ident)
            if row is not None and row.state in (CommandState.RECEIVED, CommandState.WORKING):
                raise Violation("C4", f"{ident} is {row.state.value} for ever")

    def _check_kept(self, ident: str, process: Process) -> None:
        """An applied command has its effects present, or superseded by somebody."""
        world = self.world
        if self.restores or self.has_forgotten:
            return  # a backup may have taken it; what was lost so, nobody can promise
        command = world.crm.asked[ident].command
        is_note = command.type is CommandType.COMMLOG_APPEND and not self._spells(world)
        if is_note and f"commlog:{command.payload['note']}" not in self.seen:
            raise Violation("S3", f"{ident} was applied and nothing was ever written")
        for row in process.journal.effects_of(ident):
            if row.state is not EffectState.VERIFIED or row.effect.kind not in CREATES:
                continue
            table = TABLE_OF[row.effect.stream]
            if row.key in world.pms.tables[table].rows:
                continue
            if not self._was_deleted(table, row.key):
                raise Violation("S3", f"{ident} was applied and its record is nowhere")

    @staticmethod
    def _spells(world: World) -> bool:
        """Whether the practice stores texts otherwise than they were said."""
        return Kind.NORMALISES in world.faults.plan.rates

    def _was_deleted(self, table: str, key: Any) -> bool:
        return (table, key) in self.world.pms.deleted


__all__ = ["STREAM_OF", "Oracles", "Stream"]
