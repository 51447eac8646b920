"""The composition root: builds the agent from settings, runs its lanes, stops them in order."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from zoneinfo import ZoneInfo

import msgspec
import structlog

from agent import __version__
from agent.config import Paths, PayloadSeal, Settings, open_secrets
from agent.config.secrets import Secrets
from agent.config.store import write_atomic
from agent.control.server import Offer
from agent.crm.connect import CrmLink
from agent.crm.hints import Hints
from agent.crm.native import NativeCrm
from agent.errors import AgentError
from agent.journal.journal import Journal
from agent.model.hours import is_open, parse_hours
from agent.model.metrics import REHEARSED, AlertsTold, MetricsText, ReadMetrics, RehearseAlert
from agent.model.prepare import prepare_structs
from agent.model.promises import Checks, ShowChecks
from agent.model.reading import Finding, Severity, SourceFacts
from agent.model.streams import Stream
from agent.ports import PmsSource
from agent.runtime.alerting import LOOK_S, Alerting, ways_of
from agent.runtime.clock import SystemClock
from agent.runtime.fallback.build import build_counter
from agent.runtime.fallback.counter import Counter
from agent.runtime.fallback.outages import OutageBook
from agent.runtime.mapping import Chart
from agent.runtime.measured import MeasuredCommands, MeasuredSource
from agent.runtime.memory import give_back, keep_small
from agent.runtime.metricsdoor import MetricsDoor, open_door
from agent.runtime.pause import read_pause
from agent.runtime.power import ClockWatch, Event, Wakefulness, booted_at
from agent.runtime.proofdesk import proof_answers, with_engine
from agent.runtime.pulling import Ear, build_twoway
from agent.runtime.qualitydesk import Review, quality_answers
from agent.runtime.scheduler import Chores
from agent.runtime.serve import ControlService, serve_control
from agent.runtime.sources import open_source, site_map
from agent.runtime.weekly import Weekly, week_answers
from agent.support.alerts import Notice
from agent.support.bundle import drop_old
from agent.support.exposition import exposition
from agent.support.health import Report, heartbeat, report, take_snapshot
from agent.support.measures import Measures
from agent.sync.datamap import DataMap
from agent.sync.engine import Engine
from agent.sync.proofs import last_full, last_lines
from agent.sync.session import Tuning
from agent.sync.sweep import Rotation
from agent.sync.twoway import TwoWay

log = structlog.get_logger(__name__)

STOP_WITHIN_S = 2.0
STATUS_EVERY_S = 1.0
HEARTBEAT_EVERY_S = 10.0
OFFER_LOOK_S = 1.0
BACKUP_EVERY_S = 6 * 3600.0
AUTH_EVERY_S = 60.0
GIVE_BACK_EVERY_S = 30.0
ROTATION_LOOK_S = 24 * 3600.0
PRUNE_EVERY_S = 24 * 3600.0
TOMBSTONES_KEPT = timedelta(days=180)


def tuning_of(settings: Settings) -> Tuning:
    """The engine's view of the settings."""
    sync = settings.sync
    return Tuning(
        zone=settings.practice.zone,
        gate_s=sync.gate_ms / 1000,
        overlap_s=sync.overlap_s,
        rotation=Rotation(
            sync.sweep_hot_s,
            sync.sweep_warm_s,
            sync.sweep_cold_s,
            week=parse_hours(settings.practice.hours),
        ),
        page_rows=sync.page_rows,
        load_duty=sync.load_duty,
        sweep_duty=settings.pms.max_duty,
        confirm_delete_s=sync.confirm_delete_s,
        settle_s=sync.settle_s,
        brake_rows=sync.brake_rows,
        brake_share=sync.brake_share,
        change_share=sync.change_brake_share,
        window_days=sync.window_days,
        carry_unknown=settings.map.carry_unknown,
    )


@dataclass(slots=True)
class Host:
    """A built agent. ``start`` returns at once; ``stop`` returns within two seconds."""

    engine: Engine
    journal: Journal
    crm: NativeCrm
    link: CrmLink
    source: PmsSource
    paths: Paths
    secrets: Secrets
    clock: SystemClock
    chores: Chores
    twoway: TwoWay
    hints: Hints
    offer_changed: threading.Event
    _threads: list[threading.Thread]
    settings: Settings
    datamap: DataMap
    counter: Counter
    outages: OutageBook
    measures: Measures
    alerting: Alerting
    reload: Callable[[], Settings] | None = None
    more: Callable[[], list[Offer]] = list  # what else may be asked (the wizard, updates)
    updates: Callable[[], list[Finding]] = list  # what is to be said of new versions
    control: ControlService | None = None  # since ``start``
    door: MetricsDoor | None = None  # … where the settings want one
    wakefulness: Wakefulness = field(default_factory=lambda: Wakefulness(booted_at()))
    clock_watch: ClockWatch = field(default_factory=ClockWatch)
    _anchored: str = ""  # audit head the CRM last acknowledged
    _recalled: bool = False  # the CRM was asked which head it heard last
    _is_chain_broken: bool = False

    def start(self) -> None:
        keep_small()
        # Lanes hand work to each other all the time; the interpreter's usual 5 ms between threads
        # would be most of a change's way to the CRM while the load computes.
        sys.setswitchinterval(0.0005)
        prepare_structs()
        # What is here now stays: looking through it again and again for garbage was a tenth of the
        # time a page of the load takes.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        self.obey_pause()
        self._lane("watch", self.engine.watch)
        self._lane("bulk", self.engine.bulk)
        self._lane("push", lambda: self.engine.dispatcher.run(self.engine.stopping))
        for name, run in self.twoway.lanes().items():
            self._lane(name, run)
        self._lane("hints", self.hints.run)
        self._lane("offer", self.offer)
        self.chores.every(STATUS_EVERY_S, "status", self.write_status)
        self.chores.every(GIVE_BACK_EVERY_S, "memory", give_back)
        self.chores.every(LOOK_S, "alerts", self.alerting.look)
        self.chores.every(HEARTBEAT_EVERY_S, "heartbeat", self.beat)
        self.chores.every(BACKUP_EVERY_S, "backup", self.back_up, first_s=600)
        self.chores.every(AUTH_EVERY_S, "auth", self.retry_auth)
        self.chores.every(ROTATION_LOOK_S, "rotation", self.rotate_key, first_s=120)
        self.chores.every(PRUNE_EVERY_S, "prune", self.prune, first_s=900)
        self.control = serve_control(
            self,
            group=self.settings.control.group,
            resolver=self.twoway.resolver,
            undoer=self.twoway.undoer,
            linker=self.twoway.linker,
            closer=self.twoway,
            safety=self.twoway.safety,
            counter=self.counter,
            proofs={
                **proof_answers(
                    self.counter.jobs, with_engine(self.engine, self.journal, self.source)
                ),
                **quality_answers(
                    self.counter.jobs,
                    Review(
                        self.journal,
                        self.clock,
                        self.paths.home,
                        self.counter.exporting.records,
                        self.counter.exporting.some,
                    ),
                ),
                **week_answers(
                    self.counter.jobs,
                    Weekly(
                        self.journal,
                        self.clock.now,
                        self._zone(),
                        self.counter.exporting.records,
                        self.counter.exporting.some,
                    ),
                ),
                ShowChecks: lambda _, __: Checks(
                    self.alerting.promises(),
                    tuple(last_lines(self.journal).values()),
                    last_full(self.journal),
                ),
                RehearseAlert: lambda _, __: AlertsTold(
                    self.alerting.rehearse(Notice(REHEARSED, self.clock.now(), {})),
                    self.alerting.standing,
                ),
                ReadMetrics: lambda _, __: MetricsText(self.metrics_text().decode()),
            },
            chart=Chart(
                self.load,
                self.paths,
                self.datamap,
                self._live_schema,
                why=lambda: self.engine.pms.code or "map.not_probed",
                strangers=self._strangers,
            ),
            names=self.settings.practice.names_in_lists,
            more=self.more(),
        )
        self.door = open_door(self.settings, self.secrets, self.metrics_text)
        self.chores.start()
        log.info("agent.started", pid=os.getpid())

    def load(self) -> Settings:
        """The settings as they stand now; what runs was built by ``settings``."""
        return self.reload() if self.reload is not None else self.settings

    def _live_schema(self) -> SourceFacts | None:
        session = self.engine.session
        return None if session is None else session.facts

    def _strangers(self) -> dict[tuple[Stream, str], frozenset[str]]:
        """Values met that the map has no word for."""
        session = self.engine.session
        if session is None:
            return {}
        return {
            (stream, field): values
            for stream, mapped in session.maps.items()
            for field, values in mapped.strangers.items()
        }

    def report(self) -> Report:
        snapshot = take_snapshot(
            self.engine,
            self.journal,
            self.clock,
            pms_kind=self.source.kind,
            findings=(*self.secrets.findings(), *self._writing(), *self.updates()),
        )
        safety = self.twoway.safety.view()
        snapshot = msgspec.structs.replace(
            snapshot,
            safety_mode=safety.mode.value,
            booking_suspended=safety.suspended,
            booking_held=safety.suspended_at is not None,
            is_office_open=self._is_open(),
            awake_s=self.wakefulness.awake_s(self.clock.now()),
            language=self.settings.practice.language,
        )
        return report(snapshot, pid=os.getpid(), now=self.clock.now())

    def metrics_text(self) -> bytes:
        """The figures as Prometheus reads them."""
        return exposition(self.measures.figures(), self.report().snapshot, self.clock.now())

    def _is_open(self) -> bool:
        week = parse_hours(self.settings.practice.hours)
        return is_open(week, self.clock.now().astimezone(self._zone()))

    def _zone(self) -> ZoneInfo | None:
        """None: this computer's own."""
        zone = self.settings.practice.zone
        return ZoneInfo(zone) if zone else None

    def _writing(self) -> tuple[Finding, ...]:
        """What the writer says of itself, a chain that does not hold, and booking that a person
        must clear; what clears by itself is told by its own cause."""
        facts = self.twoway.apply.writer_line.facts
        found = () if facts is None else facts.findings
        found = (*found, *self.alerting.findings())
        if self._is_chain_broken:
            found = (*found, Finding("journal.chain_broken", Severity.ERROR))
        code = self.twoway.safety.latched
        if code is None:
            return found
        return (*found, Finding("booking.suspended", Severity.WARNING, {"code": code}))

    def look(self) -> None:
        """Twice a second, from the thread that owns the process: chores go by the wall clock and
        would not notice that it was set."""
        if self.clock_watch.moved(self.clock.now(), self.clock.mono()):
            self.heard(Event.CLOCK)

    def heard(self, event: Event) -> None:
        """The system told us what happens to the computer."""
        log.info("power.heard", kind=event.value)
        match event:
            case Event.RESUME:
                self.wakefulness.woke(self.clock.now())
                # What was open before the sleep is dead, and would say so only by silence.
                self.link.transport.drop_lines()
                self.chores.clock_moved()
                self.engine.check_now()
            case Event.CLOCK:
                self.chores.clock_moved()
            case Event.SESSION:
                self.engine.check_now()  # whoever comes back looks at the icon first
            case Event.SUSPEND:
                pass  # nothing is held that a sleep could lose

    def obey_pause(self) -> None:
        """Take up what ``bridgework pause`` and ``resume`` left in the agent's folder."""
        until = read_pause(self.paths.pause_file, self.clock.now())
        if until is None and self.engine.paused_until is not None:
            self.engine.resume()
            log.info("agent.resumed")
        elif until is not None and until != self.engine.paused_until:
            self.engine.pause(until)
            log.info("agent.paused")

    def write_status(self) -> None:
        self.wakefulness.look(self.clock.now())
        self.obey_pause()
        told = self.report()
        self.outages.look(told.snapshot, self.clock.now(), heard=self.twoway.pull)
        write_atomic(self.paths.status_file, msgspec.json.encode(told))
        if self.control is not None:
            self.control.tick(told)

    def beat(self) -> None:
        self.journal.note_beside()
        snapshot = self.report().snapshot
        numbers = self.journal.numbers(self.clock.now())
        capabilities, suspended = self.twoway.offer
        beat = heartbeat(
            snapshot,
            self.journal,
            numbers,
            capabilities=capabilities,
            booking_suspended=suspended,
        )
        practice = self.settings.practice
        beat = msgspec.structs.replace(
            beat, hours=practice.hours, zone=practice.zone, alerts=self.alerting.standing
        )
        try:
            if not self._recalled:
                self._recall_head()
            self.crm.heartbeat(beat)
        except AgentError as error:
            log.info("heartbeat.failed", code=error.code)
            return
        if beat.audit_head and beat.audit_head != self._anchored:
            # From now on a chain that lacks this head was tampered with or rolled back.
            with self.journal.turn() as turn:
                turn.anchor(beat.audit_head)
            self._anchored = beat.audit_head

    def _recall_head(self) -> None:
        """Before the CRM hears our head, what it heard last: a chain that lacks it was cut or the
        whole folder is an older copy, which nothing on this computer could tell."""
        head = self.crm.known_head()
        self._recalled = True
        if head and self.journal.verify_audit(head):
            self._is_chain_broken = True
            log.error("journal.chain_broken")
            with self.journal.turn() as turn:
                turn.audit("journal.chain_broken", {})
                turn.note("journal.chain_broken", None, 1)

    def offer(self) -> None:
        """What may be asked of us is told when it changes, not with the next heartbeat."""
        told = self.twoway.offer
        while not self.engine.stopping.is_set():
            is_woken = self.offer_changed.wait(OFFER_LOOK_S)
            self.offer_changed.clear()
            now = self.twoway.offer
            if (is_woken or now != told) and not self.engine.stopping.is_set():
                told = now
                try:
                    self.beat()
                except AgentError as error:
                    log.warning("offer.not_told", code=error.code)

    def back_up(self) -> None:
        self.journal.backup(self.paths.backup_dir)

    def retry_auth(self) -> None:
        """A refused pairing is tried once a minute: it may have been renewed meanwhile."""
        if self.engine.dispatcher.line.auth_lost:
            self.crm.renew_pairing()
            self.engine.dispatcher.retry_auth()

    def rotate_key(self) -> None:
        if self.link.rotation.is_due():
            self.link.rotation.rotate()
            log.info("crm.key_rotated")

    def prune(self) -> None:
        with self.journal.turn() as turn:
            turn.prune(tombstones_before=self.clock.now() - TOMBSTONES_KEPT)
        drop_old(self.paths.bundle_dir, self.clock.now())

    def stop(self) -> bool:
        """Stop reading, let sends settle, close the journal. False if a lane overran its time."""
        self.chores.stop()
        self.counter.close()
        if self.door is not None:
            self.door.close()
        if self.control is not None:
            self.control.stop()
        self.engine.stop()
        self.hints.stop()
        self.offer_changed.set()
        deadline = self.clock.mono() + STOP_WITHIN_S
        for thread in self._threads:
            thread.join(max(deadline - self.clock.mono(), 0.0))
        clean = not any(thread.is_alive() for thread in self._threads)
        self.crm.close()
        if clean:
            with contextlib.suppress(AgentError):
                self.outages.stopping(self.clock.now())
            self.journal.close()
        self.paths.status_file.unlink(missing_ok=True)
        log.info("agent.stopped", clean=clean)
        return clean

    def _lane(self, name: str, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()


def build(settings: Settings, paths: Paths) -> Host:
    """Open everything. Raises ConfigError (not set up), AgentBusy, JournalDamaged, CrmAuthError."""
    clock = SystemClock()
    paths.prepare()
    secrets = open_secrets(paths)
    file = paths.journal_file(settings.journal_dir)
    seal = PayloadSeal.from_store(secrets, may_create=not file.exists())
    journal = Journal.open(file, seal=seal, clock=clock)
    try:
        measures = Measures()
        source = MeasuredSource(open_source(settings, secrets), measures, clock)
        link = CrmLink(settings, secrets, clock, __version__)
        crm = link.client(journal.uuid, journal.epoch, source.kind)
        datamap = site_map(settings)
        engine = Engine(
            source, crm, journal, datamap, clock, tuning_of(settings), random.random, measures
        )
        offer_changed = threading.Event()
        ear = Ear(crm)
        port = MeasuredCommands(link.commands(crm), measures, clock, journal)
        twoway = build_twoway(
            settings, secrets, engine, journal, clock, port, ear, offer_changed.set
        )
        hints = link.hints(ear.heard)
    except BaseException:
        journal.close()
        raise
    rotation = tuning_of(settings).rotation
    zone = ZoneInfo(settings.practice.zone) if settings.practice.zone else None
    alerting = Alerting(
        journal, clock, measures, rotation.period_s,
        ways_of(settings, secrets, clock, settings.crm.client_id),
        lambda at: at.astimezone(zone),
    )  # fmt: skip
    host: Host
    counter = build_counter(
        settings, paths, secrets, journal, clock,
        source=source, session=lambda: engine.session, twoway=twoway, report=lambda: host.report(),
    )  # fmt: skip
    host = Host(
        engine, journal, crm, link, source, paths, secrets, clock, Chores(), twoway, hints,
        offer_changed, [], settings, datamap, counter, OutageBook(journal), measures, alerting,
    )  # fmt: skip
    return host
