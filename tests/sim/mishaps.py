"""What happens to machines: fate carries out the kinds that strike at moments, heals them after a
while, and a technician does what the status asks of a person."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import apsw

from agent.errors import AgentError
from agent.model.streams import Stream
from tests.sim.agent import NAME, PATH, empty_journal
from tests.sim.disk import flip_in_the_mirror
from tests.sim.faults import Kind, Strike
from tests.support.faultfs import Crash, Fault

if TYPE_CHECKING:
    from tests.sim.world import World

BACKUP_EVERY_S = 120.0
AIM_EVERY_S, AIM_LOOKS = 0.03, 5_000  # a send under way lasts for hundredths of a second
CRASHES = {
    Kind.KILL: Fault.KILL,
    Kind.POWER: Fault.POWER_KEEP_NONE,
    Kind.POWER_SUBSET: Fault.POWER_KEEP_RANDOM,
    Kind.TORN_PAGE: Fault.TORN,
}
ONCE = {Kind.READ_ERROR: Fault.EIO_READ, Kind.WRITE_ERROR: Fault.EIO,
        Kind.FSYNC_ERROR: Fault.FSYNC_LOST}  # fmt: skip
STANDING = {Kind.DISK_FULL: Fault.ENOSPC, Kind.READ_ONLY: Fault.EIO, Kind.ANTIVIRUS: Fault.EIO}


class Mishaps:
    def __init__(self, world: World) -> None:
        self.world = world
        self.kernel = world.kernel
        self._undo: list[Callable[[], None]] = []
        self._crm_backups = [world.crm.backup()]
        self._disks = [world.disk.copied()]
        world.backups.append(world.pms.backup())

    def run(self) -> None:
        world = self.world
        self.kernel.spawn("backups", self._keep_backups)
        for at, strike in world.faults.moments(world.chaos_s):
            if at > self.kernel.now:
                self.kernel.sleep(at - self.kernel.now)
            if world.is_chaos_over:
                return
            world.faults.struck(strike)
            self._strike(strike)

    def aimed(self) -> None:
        """Waits for the state this run aims at, and strikes there."""
        world = self.world
        aim = world.faults.aimed_moment
        if aim is None:
            return
        strike, state = aim
        self.kernel.sleep(world.chaos_s / 2 * world.faults.chance("aim"))
        for _ in range(AIM_LOOKS):
            if world.is_chaos_over:
                return
            if world.oracles.operation_state() == state:
                world.faults.struck(strike)
                self._strike(strike)
                return
            self.kernel.sleep(AIM_EVERY_S)

    def _keep_backups(self) -> None:
        while not self.world.is_chaos_over:
            self.kernel.sleep(BACKUP_EVERY_S)
            if self.world.pms.is_wrong or self.world.is_flipped:
                continue
            self.world.backups.append(self.world.pms.backup())
            self._crm_backups.append(self.world.crm.backup())
            self._disks.append(self.world.disk.copied())

    # -- strikes ----------------------------------------------------------------------------------

    def _strike(self, strike: Strike) -> None:
        kind = strike.kind
        share = self.world.faults.chance(f"how:{kind.value}", strike.n)
        disk = self.world.disk
        if kind in CRASHES:
            self._crash(CRASHES[kind], share)
        elif kind in ONCE:
            disk.arm(ONCE[kind], 1 + int(share * 60))
        elif kind in STANDING:
            disk.standing = STANDING[kind]
            self._later(0.5 + share * (3.0 if kind is Kind.ANTIVIRUS else 90.0), self._disk_well)
        else:
            doing = getattr(self, "_" + kind.name.lower())
            doing(share, strike.n)

    def _crash(self, fault: Fault, share: float) -> None:
        """At a boundary of the disk or, if none comes soon, where it stands."""
        world, disk = self.world, self.world.disk
        if world.process is None:
            return
        lives = world.lives
        if share < 0.7:
            disk.arm(fault, 1 + int(share * 100))
            self.kernel.sleep(3.0)
        if world.process is not None and world.lives == lives:
            disk.crash(fault)
            world.crashed()

    def _disk_well(self) -> None:
        self.world.disk.standing = None

    def _upgrade(self, share: float, n: int) -> None:
        self.world.is_down_on_purpose = True
        self.world.stop_agent()
        self._later(share * 60.0, self._start_again)

    def _start_again(self) -> None:
        self.world.is_down_on_purpose = False

    def _crm_restored(self, share: float, n: int) -> None:
        self.world.crm.restore(self._crm_backups[int(share * len(self._crm_backups))])
        self.world.oracles.crm_restored()

    def _key_expired(self, share: float, n: int) -> None:
        self.world.crm.replies.clear()

    def _server_clock(self, share: float, n: int) -> None:
        pms = self.world.pms
        step = (-3600.0, -120.0, 120.0, 3600.0)[int(share * 4)]
        pms.offset_s += step
        if share < 0.5:
            pms.skew = 0.02

    def _agent_clock(self, share: float, n: int) -> None:
        self.world.clock.offset_s += (-3600.0, -90.0, 90.0, 3600.0)[int(share * 4)]

    def _suspend(self, share: float, n: int) -> None:
        """The machine sleeps: nothing of it runs, its connections are gone when it wakes."""
        if self.world.is_asleep:
            return
        seconds = 2.0 ** (share * 10)
        self.world.asleep_until = self.kernel.now + seconds
        self.kernel.delay(NAME, seconds)

    def _ddl(self, share: float, n: int) -> None:
        pms = self.world.pms
        table = ("patient", "recall", "appointment")[n % 3]
        columns = pms.tables[table].columns
        how = int(share * 4)
        if how == 0:  # a column more, for good
            columns.setdefault(f"Extra{n}", "varchar")
            for key in list(pms.tables[table].rows):
                pms.update(table, key, {f"Extra{n}": ""}, by="vendor", stamped=False, logged=False)
        elif how == 1:  # dropped, and put back
            gone = "AddrNote" if table == "patient" else "Note"
            kind = columns.pop(gone, None)
            if kind is not None:
                self._later(30 + share * 60, lambda: columns.update({gone: kind}))
        elif how == 2:  # renamed away, and back
            pms.hidden.add(table)
            self._later(20 + share * 60, lambda: pms.hidden.discard(table))
        else:
            columns["Note" if table != "patient" else "AddrNote"] = "varchar"

    def _pms_restored(self, share: float, n: int) -> None:
        """Another backup of this database; an empty one; another practice's."""
        world = self.world
        pms = world.pms
        how = int(share * 4)
        if pms.is_wrong:
            return
        if how < 2:
            at = int(share * 2 * len(world.backups))
            pms.restore(world.backups[min(at, len(world.backups) - 1)])
            world.oracles.pms_restored(world.backups[min(at, len(world.backups) - 1)])
            return
        true = pms.backup()
        if how == 2:
            for table in pms.tables.values():
                table.rows, table.next_key = {}, 1
        else:
            pms.identity = "practice-2"
            for table in pms.tables.values():
                table.rows = {key + 1000: row for key, row in table.rows.items()}

        for table in pms.tables.values():
            table.moved_at = pms.second()

        def back() -> None:
            pms.identity = "practice-1"
            for name, table in pms.tables.items():
                table.rows, table.next_key = dict(true.rows[name]), true.next_keys[name]
                table.moved_at = pms.second()

        pms.is_wrong = True
        world.oracles.wrong_source(True)

        def mended() -> None:
            back()
            pms.is_wrong = False
            world.oracles.wrong_source(False)

        self._later(20 + share * 60, mended)

    def _bad_row(self, share: float, n: int) -> None:
        pms = self.world.pms
        table = ("patient", "appointment", "commlog")[n % 3]
        keys = sorted(pms.tables[table].rows)
        if not keys:
            return
        key = keys[int(share * len(keys))]
        pms.break_row(table, key)
        self._later(10 + share * 200, lambda: pms.mend_row(table, key))

    def _table_away(self, share: float, n: int) -> None:
        """A vendor's update: the flag, a table emptied and filled again in parts, a new version."""
        pms = self.world.pms
        table = ("appointment", "patient", "commlog")[n % 3]
        rows = pms.tables[table].rows
        if pms.is_wrong or not rows:
            return
        pms.update_running = share < 0.7
        pms.rebuilding = not pms.update_running
        keys = sorted(rows)
        kept = dict(rows)
        rows.clear()

        def half() -> None:
            rows.update({key: kept[key] for key in keys[: len(keys) // 2] if key in kept})

        def whole() -> None:
            rows.update({key: kept[key] for key in keys if key not in rows})
            pms.version = f"21.1.{10 + n}.0"
            pms.update_running = pms.rebuilding = False
            pms.is_wrong = False

        pms.is_wrong = True
        self._later(10.0, half)
        self._later(20.0, whole)

    def _wiped(self, share: float, n: int) -> None:
        """Another program empties a table of our own database and fills it again, unannounced."""
        pms = self.world.pms
        table = ("recall", "commlog", "appointment")[n % 3]
        held = pms.tables[table]
        if pms.is_wrong or not held.rows:
            return
        kept = dict(held.rows)
        held.rows.clear()
        held.moved_at = pms.second()
        pms.is_wrong = True

        def back() -> None:
            held.rows.update({key: row for key, row in kept.items() if key not in held.rows})
            held.moved_at = pms.second()
            pms.is_wrong = False

        self._later(90.0 + share * 90.0, back)

    def _stamp_storm(self, share: float, n: int) -> None:
        self.world.pms.touch(("patient", "appointment", "commlog")[n % 3])

    def _key_reuse(self, share: float, n: int) -> None:
        """The newest row goes, and its number is given away again."""
        pms = self.world.pms
        table = ("appointment", "commlog")[n % 2]
        rows = pms.tables[table].rows
        if rows and not pms.is_wrong:
            pms.delete(table, max(rows), by="vendor", logged=share < 0.5)
            pms.tables[table].next_key = max(rows, default=0) + 1

    def _journal_deleted(self, share: float, n: int) -> None:
        """The journal's file is gone at the next start; the anchor beside it is not."""
        self._other_journal({str(PATH): empty_journal()})

    def _journal_restored(self, share: float, n: int) -> None:
        """An older copy of the journal's file lies there at the next start."""
        if len(self._disks) > 1:  # the last one may be only seconds old
            self._other_journal(self._disks[int(share * (len(self._disks) - 1))])

    def _other_journal(self, files: dict[str, bytes]) -> None:
        world = self.world
        world.disk.crash(Fault.KILL)
        world.crashed()
        world.disk.replace(files)
        world.journal_forgets()

    def _bit_flip(self, share: float, n: int) -> None:
        """In the mirror, while it is in use, or in what SQLite keeps for itself. What is sealed or
        chained says so when it is read (tests/journal/test_bit_flips.py)."""
        world = self.world
        process = world.process
        if share < 0.3 or process is None:
            world.disk.crash(Fault.KILL)
            world.crashed()
            world.disk.flip(str(PATH), share)
            world.is_flipped = True
        elif process.journal._owner is None:
            with contextlib.suppress(apsw.Error):  # the disk is full, say
                flip_in_the_mirror(process.journal._writer, share)

    # -- mending ----------------------------------------------------------------------------------

    def _later(self, after: float, mend: Callable[[], None]) -> None:
        self._undo.append(mend)

        def run() -> None:
            if mend in self._undo:
                self._undo.remove(mend)
                mend()

        self.kernel.spawn("mend", run, after=after)

    def heal(self) -> None:
        """Quiet: whatever is still broken is mended now."""
        for mend in self._undo:
            mend()
        self._undo.clear()
        world = self.world
        for table in world.pms.tables:
            for key in list(world.pms.tables[table].rows):
                world.pms.mend_row(table, key)
        world.disk.standing = None
        world.disk.plan(None, Fault.KILL)
        world.pms.skew = 0.0
        world.is_down_on_purpose = False

    def technician(self) -> None:
        """Looks now and then; accepts a source that is right again, lets held changes pass."""
        while True:
            self.kernel.sleep(20.0)
            process, pms = self.world.process, self.world.pms
            if process is None or self.world.is_asleep:
                continue
            try:
                engine = process.engine
                if (
                    engine.pms.code in ("pms.suspect_restored", "pms.wrong_database")
                    and not pms.is_wrong
                ):
                    self.kernel.sleep(5.0)
                    if self.world.process is process and not pms.is_wrong:
                        self.kernel.trace("accepts source")
                        engine.accept_source()
                if process.two.safety.latched is not None:
                    self.kernel.trace("clears the suspension")
                    process.two.safety.clear("it")
                if engine.brakes.on and not pms.is_wrong:
                    self.kernel.trace("allows")
                    self.world.oracles.allowed_at = self.kernel.now
                    engine.brakes.allow(list(Stream), for_s=60.0)
            except Crash:
                self.world.crashed()
            except Exception as error:
                self.kernel.trace(f"technician {type(error).__name__}")

    def regretter(self) -> None:
        """A manager who now and then wants something taken back that the CRM had written."""
        world = self.world
        chance = self.kernel.streams.named("regretter")
        while not world.is_chaos_over:
            self.kernel.sleep(chance.expovariate(1 / 60.0))
            process = world.process
            if process is None or process.journal._owner is not None or world.is_asleep:
                continue
            if world.is_chaos_over:
                return
            armed = process.journal._writer.execute(
                "SELECT number FROM effect WHERE state = 'verified' AND undo = 'armed'"
                " ORDER BY number DESC LIMIT 5"
            ).fetchall()
            if not armed:
                continue
            world.is_regretting = True
            try:
                row = process.journal.effect(chance.choice(armed)[0])
                if row is not None:
                    told = process.two.undoer.apply([row], actor="manager")
                    self.kernel.trace(f"undo {row.effect.kind.value} {told[0].code or 'done'}")
                    world.undone["refused" if told[0].code else "done"] += 1
            except Crash:
                world.crashed()
            except Exception as error:
                self.kernel.trace(f"undo failed {type(error).__name__}")
                if isinstance(error, AgentError) and error.code == "apply.under_way":
                    self.kernel.sleep(60.0)  # it goes on; a manager looks again, as they are told
            finally:
                world.is_regretting = False
