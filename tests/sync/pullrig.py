"""A practice in a file, a real journal, the real sample writer, and a CRM in memory.

``Desk`` is the agent's half with its lanes walked by hand. Mocks, and only these: ``MockPort``
stands in for the CRM's side of the pull (it believes everything it is told), ``MemoryCrm`` for the
push; ``Faulty`` stands before the real writer and fails as told. Time is moved by hand.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from agent.config import PayloadSeal
from agent.journal.journal import Journal, Turn
from agent.journal.pulled import EffectRow
from agent.model.commands import (
    Command,
    CommandOutcome,
    CommandType,
    ConflictReport,
    Contact,
    ContactPage,
    EndState,
    LinkReport,
    Polled,
    Target,
)
from agent.model.effects import Effect, EffectKind, WriterFacts, WriteUnknown, Written
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.ports import PmsWriter
from agent.sandbox.practice.create import PracticePlan, create_practice
from agent.sandbox.practice.stores import SqliteStore
from agent.sync.apply import ApplyTuning
from agent.sync.datamap import DataMap, load_map
from agent.sync.engine import Engine
from agent.sync.looks import Looks
from agent.sync.payloads import moment
from agent.sync.session import Tuning
from agent.sync.sweep import Rotation
from agent.sync.twoway import TwoWay, TwoWayTuning
from drivers.registry import SourceSettings, WriterSettings, make_source, make_writer
from tests.support.clock import HandClock
from tests.sync.rig import MemoryCrm

ZONE = "America/New_York"
STREAMS = frozenset(
    {Stream.PRACTICE, Stream.PROVIDER, Stream.OPERATORY, Stream.PATIENT, Stream.APPOINTMENT,
     Stream.SCHEDULE_BLOCK, Stream.RECALL, Stream.PROCEDURE, Stream.COMMUNICATION,
     Stream.CLINICAL_NOTE, Stream.PERIO_EXAM}
)  # fmt: skip
MAP = DataMap(tuple(row for row in load_map("sample").rows if row.stream in STREAMS))
TUNING = Tuning(zone=ZONE, rotation=Rotation(600.0, 3600.0, 86400.0), load_duty=1.0, sweep_duty=1.0)
TWO_WAY = TwoWayTuning(
    zone=ZONE,
    apply=ApplyTuning(give_up_s=3600.0, probe_window_s=0.0),
    poll_wait_s=0,
    resolve_grace_s=5.0,
)
SEAL = b"k" * 32
PEOPLE = 10
DOOMED = "the process is gone"


class Crash(BaseException):
    """The process ends here: nothing after this line runs."""


def make_practice(folder: Path) -> Path:
    """A small practice file with two operatories, a blockless free week and named patients."""
    path = folder / "practice.db"
    store = SqliteStore(path)
    create_practice(store, PracticePlan(patients=PEOPLE, years=1, seed=5, zone=ZONE))
    store.close()
    with sqlite3.connect(path) as link:
        link.execute("DELETE FROM appointment WHERE AptDateTime > datetime('now')")
        link.execute("DELETE FROM schedule WHERE SchedDate > date('now', '+30 days')")
        link.execute("DELETE FROM schedule WHERE SchedType <> 1")
    link.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    link.close()
    return path


class MockPort:
    """Stands in for the CRM's side of the pull. ``trouble`` is raised by whatever is called."""

    def __init__(self) -> None:
        self.queue: list[Command] = []
        self.acked: list[str] = []
        self.waits: list[int] = []
        self.errs: dict[str, str] = {}
        self.told: list[tuple[str, CommandOutcome]] = []
        self.people: list[Contact] = []
        self.links: dict[str, LinkReport] = {}
        self.conflicts: dict[str, ConflictReport] = {}
        self.capabilities: Sequence[CommandType] = ()
        self.trouble: Exception | None = None
        self.before_finish: Callable[[], None] | None = None
        self.refused: list[Any] = []
        self.polled = threading.Event()
        self.woken = threading.Event()

    def poll(
        self,
        *,
        capabilities: Sequence[CommandType],
        ack: Sequence[str],
        errs: Mapping[str, str],
        most: int,
        wait_s: int,
    ) -> Polled:
        self._fail()
        self.capabilities = capabilities
        self.acked += ack
        self.waits.append(wait_s)
        self.errs.update(errs)
        self.queue = [c for c in self.queue if c.command_id not in {*ack, *errs}]
        found, refused = tuple(self.queue[:most]), tuple(self.refused)
        self.refused = []
        self.polled.set()
        if wait_s and not found:
            self.woken.wait(wait_s)
            self.woken.clear()
        return Polled(found, refused)

    def wake(self) -> None:
        self.woken.set()

    def finish(self, command_id: str, outcome: CommandOutcome) -> None:
        if self.before_finish is not None:
            self.before_finish()
        self._fail()
        self.told.append((command_id, outcome))

    def contacts(self, cursor: str | None, limit: int) -> ContactPage:
        self._fail()
        at = int(cursor or 0)
        page = self.people[at : at + limit]
        return ContactPage(tuple(page), str(at + len(page)), at + len(page) < len(self.people))

    def link(self, links: Sequence[LinkReport]) -> None:
        self._fail()
        self.links.update({report.cloud_id: report for report in links})

    def tell_conflicts(self, conflicts: Sequence[ConflictReport]) -> None:
        self._fail()
        self.conflicts.update({report.id: report for report in conflicts})

    def _fail(self) -> None:
        if self.trouble is not None:
            raise self.trouble


class Faulty:
    """The real writer, with what shall happen before and after each write. ``lacks``: abilities
    taken away."""

    def __init__(self, inner: PmsWriter) -> None:
        self.inner = inner
        self.before: Callable[[Effect], None] | None = None
        self.after: Callable[[Effect, Written], None] | None = None
        self.lacks: frozenset[EffectKind] = frozenset()
        self.written: list[Effect] = []
        self.away: Exception | None = None

    def probe(self) -> WriterFacts:
        if self.away is not None:
            raise self.away
        facts = self.inner.probe()
        return WriterFacts(
            kind=facts.kind, abilities=facts.abilities - self.lacks, missing=facts.missing
        )

    def write(self, effect: Effect) -> Written:
        if self.away is not None:
            raise self.away
        if self.before is not None:
            self.before(effect)
        done = self.inner.write(effect)
        self.written.append(effect)
        if self.after is not None:
            self.after(effect, done)
        return done

    def hang_once(self) -> list[Effect]:
        """The next write gets no answer and is not carried out yet: it lies in the list then."""
        stuck: list[Effect] = []

        def hang(effect: Effect) -> None:
            self.before = None
            stuck.append(effect)
            raise WriteUnknown("write.unknown")

        self.before = hang
        return stuck

    def lose_answer_once(self, then: Callable[[Written], None] = lambda _: None) -> None:
        """The next write is carried out, ``then`` happens, and nobody is told."""

        def cut(_effect: Effect, done: Written) -> None:
            self.after = None
            then(done)
            raise WriteUnknown("write.unknown")

        self.after = cut

    def close(self) -> None:
        self.inner.close()


class Desk:
    """One agent at one practice file. ``close`` ends it in order, ``crash`` does not."""

    def __init__(
        self,
        practice: Path,
        folder: Path,
        *,
        clock: HandClock | None = None,
        port: MockPort | None = None,
        crm: MemoryCrm | None = None,
        tuning: TwoWayTuning = TWO_WAY,
        begin: bool = True,
    ) -> None:
        self.practice = practice
        self.folder = folder
        self.clock = clock or HandClock(datetime.now(UTC))
        self.port = port or MockPort()
        self.crm = crm or MemoryCrm()
        self.journal = Journal.open(folder / "journal.db", seal=PayloadSeal(SEAL), clock=self.clock)
        settings = SourceSettings("sample", sqlite_path=str(practice), zone=ZONE)
        self.source = make_source(settings)
        self.writer = Faulty(make_writer(settings, WriterSettings()))
        self.engine = Engine(
            self.source, self.crm, self.journal, MAP, self.clock, TUNING, lambda: 0.5
        )
        self.two = TwoWay(
            self.engine, self.journal, MAP, self.clock, self.port, lambda: 0.5,
            open_writer=lambda: self.writer, say=lambda code, **_: code, tuning=tuning,
        )  # fmt: skip
        self.session = self.engine._ensure_session()
        self.reader = self.source.open()
        self.idle_waits: list[float] = []
        self.two.apply._awake.wait = self._no_wait  # type: ignore[method-assign]
        if begin:
            self.begin()

    def _no_wait(self, timeout: float | None = None) -> bool:
        self.idle_waits.append(timeout or 0.0)
        return True

    def begin(self) -> None:
        assert self.engine._believe(self.reader, self.session)
        if not self.session.watching:
            self.session.watch.start(self.reader)
            self.session.watching = True
        if not self.session.load.progress.done:
            assert self.session.load.run(self.reader)
        self.engine.dispatcher.held = False
        self.send()

    def look_at_source(self) -> None:
        """What the live lane does every two seconds."""
        self.engine._believe(self.reader, self.engine._ensure_session())
        self.session = self.engine._ensure_session()  # another one after a new version
        self.begin()
        self.engine._note_read()
        assert self.engine.is_sound

    # -- lanes by hand ----------------------------------------------------------------------------

    def work(self, rounds: int = 3) -> None:
        """Poll, apply and tell, a few times over."""
        for _ in range(rounds):
            self.two.pull.step()
            self.apply_round()
            self.two.tell.step()
        self.send()

    def apply_round(self) -> None:
        self.two.apply.round(self.reader, self.session)

    def settle(self, seconds: float = 60.0) -> None:
        """Until nothing waits any more, time passing."""
        deadline = self.clock.mono() + seconds
        while self.clock.mono() < deadline:
            self.work(2)
            open_now = self.journal.effects_open()
            states = {row.state.value for row in self.journal.commands_open(50)}
            if not open_now and not states & {"received", "waiting", "working"}:
                return
            self.clock.advance(1.0)

    def match(self) -> None:
        mapped = self.session.maps.get(Stream.PATIENT)
        self.two.people._fed_mono = None
        while self.two.people.step(self.reader, mapped, lambda _s: True):
            pass
        self.two.tell.step()

    def tick(self) -> int:
        """One round of the live lane, sent."""
        changed = self.session.watch.tick(self.reader, self.engine.brakes.on)
        self.send()
        self.clock.advance(1.0)
        return changed

    def send(self) -> None:
        dispatcher = self.engine.dispatcher
        while dispatcher.dispatch():
            while not dispatcher.idle():
                threading.Event().wait(0.0005)

    # -- asking -----------------------------------------------------------------------------------

    def ask(self, kind: CommandType, payload: dict[str, Any] | None = None, **more: Any) -> str:
        """Queue a command; its id."""
        ident = more.pop("ident", None) or uuid4().hex
        target = Target(*more.pop("target", ("", None)))
        expected = more.pop("expected", None)
        command = Command(
            command_id=ident,
            type=kind,
            created_at=more.pop("created_at", iso(self.clock.now())),
            target=target,
            precondition={} if expected is None else {"expected": expected},
            payload=payload or {},
            **more,
        )
        self.port.queue.append(command)
        return ident

    def do(self, kind: CommandType, payload: dict[str, Any] | None = None, **more: Any) -> Any:
        """Queue a command and work; the outcome as the CRM was last told it."""
        ident = self.ask(kind, payload, **more)
        self.work()
        return self.outcome(ident)

    def outcome(self, ident: str) -> CommandOutcome | None:
        told = [outcome for known, outcome in self.port.told if known == ident]
        return told[-1] if told else None

    def effects(self, ident: str) -> list[EffectRow]:
        return self.journal.effects_of(ident)

    # -- the practice ------------------------------------------------------------------------------

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.practice) as link:
            found = link.execute(sql, values).fetchall()
        link.close()
        return found

    def run(self, sql: str, *values: object) -> None:
        """What the front desk does."""
        link = sqlite3.connect(self.practice, timeout=10)
        with link:
            link.execute(sql, values)
        link.close()

    def one(self, sql: str, *values: object) -> Any:
        return self.rows(sql, *values)[0][0]

    def patient(self, nth: int = 0) -> Key:
        return int(
            self.one("SELECT PatNum FROM patient WHERE PatStatus=0 ORDER BY PatNum LIMIT 1"
                     " OFFSET ?", nth)
        )  # fmt: skip

    def record(self, stream: Stream, key: Key) -> dict[str, Any]:
        looks = Looks(
            self.reader, self.session.maps, lambda: self.journal.lsn, ZONE, (), lambda: None
        )
        found = looks.record(stream, key)
        assert found is not None
        return found.fields

    def place(self, nth: int = 0, minutes: int = 30) -> dict[str, Any]:
        """The n-th free half hour of the first day with hours from tomorrow on."""
        row = self.rows(
            "SELECT s.SchedDate, s.StartTime, s.ProvNum, MIN(so.OperatoryNum), s.StopTime"
            " FROM schedule s JOIN scheduleop so USING (ScheduleNum)"
            " JOIN operatory o ON o.OperatoryNum=so.OperatoryNum AND o.IsHidden=0"
            " WHERE s.SchedType=1 AND s.SchedDate > date('now','+1 day')"
            " GROUP BY s.ScheduleNum ORDER BY s.SchedDate, s.ScheduleNum LIMIT 1"
        )[0]
        local = datetime.fromisoformat(f"{row[0][:10]} {row[1][-8:]}")
        local += timedelta(minutes=30 * nth)
        start = local.replace(tzinfo=ZoneInfo(ZONE)).astimezone(UTC)
        return {
            "start": iso(start), "minutes": minutes,
            "operatory_key": str(row[3]), "provider_key": str(row[2]),
        }  # fmt: skip

    def office_books(self, nth: int = 0) -> None:
        """The front desk takes the n-th free place itself."""
        place = self.place(nth)
        local = moment(place["start"], "start").astimezone(ZoneInfo(ZONE))
        self.run(
            "INSERT INTO appointment (PatNum, AptStatus, Pattern, Op, ProvNum, AptDateTime)"
            " VALUES (?,1,'XXXXXX',?,?,?)",
            self.patient(2), int(place["operatory_key"]), int(place["provider_key"]),
            local.strftime("%Y-%m-%d %H:%M:%S"),
        )  # fmt: skip

    def book(self, nth: int = 0, who: Key | None = None, **more: Any) -> str:
        """Queue a booking."""
        payload = {"patient": {"key": str(who or self.patient())}, **self.place(nth)}
        payload.update(more.pop("payload", {}))
        return self.ask(CommandType.APPOINTMENT_BOOK, payload, **more)

    def booked(self, nth: int = 0) -> Key:
        """A visit the CRM has booked; its key."""
        ident = self.book(nth)
        self.work()
        outcome = self.outcome(ident)
        assert outcome is not None, "no outcome yet"
        assert outcome.state is EndState.APPLIED, outcome
        assert outcome.pms_key is not None
        return int(outcome.pms_key)

    def visits(self) -> list[tuple[Any, ...]]:
        """Future appointments: number, patient, status, start, operatory, note."""
        return self.rows(
            "SELECT AptNum, PatNum, AptStatus, AptDateTime, Op, Note FROM appointment"
            " WHERE AptDateTime > datetime('now') ORDER BY AptNum"
        )

    # -- life -------------------------------------------------------------------------------------

    def close(self) -> None:
        self.reader.close()
        self.engine.stop()
        self.two.apply.end()
        self.engine.dispatcher._pool.shutdown()
        self.session.load._reads.shutdown()
        if not self.journal._closed:
            self.journal.close()

    def again(self, **more: Any) -> Desk:
        """The same agent after it ended; what it held in memory is gone."""
        self.close()
        return Desk(
            self.practice, self.folder, clock=self.clock, port=self.port, crm=self.crm, **more
        )

    @contextmanager
    def crashing(self, at: int, *, after: bool) -> Iterator[list[str]]:
        """The process ends at the n-th seam call (a commit, a write, a report), before it is done
        or right after. Yields the calls made."""
        calls: list[str] = []
        true_turn, true_write, true_finish = (
            self.journal.turn, self.writer.inner.write, self.port.finish
        )  # fmt: skip

        def count(name: str, *, is_after: bool) -> None:
            if not is_after:
                calls.append(name)
            if len(calls) - 1 == at and is_after is after:
                raise Crash(DOOMED)

        @contextmanager
        def turn() -> Iterator[Turn]:
            with true_turn() as opened:
                yield opened
                if opened._connection.total_changes() != opened._changes:
                    count("commit", is_after=False)
                    changed = True
                else:
                    changed = False
            if changed:
                count("commit", is_after=True)

        def write(effect: Effect) -> Written:
            count(f"write {effect.kind.value}", is_after=False)
            done = true_write(effect)
            count("", is_after=True)
            return done

        def finish(command_id: str, outcome: CommandOutcome) -> None:
            count("finish", is_after=False)
            true_finish(command_id, outcome)
            count("", is_after=True)

        self.journal.turn = turn  # type: ignore[method-assign]
        self.writer.inner.write = write  # type: ignore[method-assign]
        self.port.finish = finish  # type: ignore[method-assign]
        try:
            yield calls
        finally:
            self.journal.turn = true_turn  # type: ignore[method-assign]
            self.writer.inner.write = true_write  # type: ignore[method-assign]
            self.port.finish = true_finish  # type: ignore[method-assign]


def iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def copy_site(template: Path, folder: Path) -> tuple[Path, Path]:
    """A loaded site to work on: (practice file, the agent's folder)."""
    shutil.copytree(template, folder)
    return folder / "practice.db", folder / "agent"
