"""A practice system read over ODBC: ``agent.ports.PmsSource`` from a contract.

A vendor's driver subclasses this only to add findings or refuse a version.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from agent.errors import AgentError, PmsDrift
from agent.model.reading import Column, Finding, Severity, SourceFacts
from agent.model.streams import Stream
from agent.ports import PmsReader
from drivers.odbc.contract import Contract
from drivers.odbc.login import OdbcLogin
from drivers.odbc.observe import Observer, wall_time
from drivers.odbc.probe import probe_site
from drivers.odbc.reader import OdbcReader
from drivers.odbc.session import Door, Limits, OdbcSession
from drivers.odbc.site import Site, stream_facts, table_facts
from drivers.odbc.statements import BoundPlan, StreamPlan
from drivers.zones import fixed_zone, zone_of

QUARTER_S = 900


class OdbcSource:
    """``zone``: the practice's IANA zone if IT set it. Thread-safe to ``open`` after a probe."""

    def __init__(
        self,
        contract: Contract,
        login: OdbcLogin,
        *,
        zone: str = "",
        limits: Limits | None = None,
    ) -> None:
        self.contract = contract
        self.door = Door(
            login,
            isolation=contract.isolation,
            settings=[(s.sql, s.needed, s.code) for s in contract.settings],
            limits=limits,
        )
        self._zone = zone
        self._lock = threading.Lock()
        self._site: Site | None = None
        self._observer: Observer | None = None
        self._plans: dict[Stream, StreamPlan] = {}
        self._bound: dict[Stream, BoundPlan] = {}

    @property
    def kind(self) -> str:
        return self.contract.kind

    @property
    def site(self) -> Site:
        """What the last probe found; probes first if none did."""
        if self._site is None:
            self.probe()
        assert self._site is not None
        return self._site

    def session(self) -> OdbcSession:
        """A connection of the caller's own, to be closed by it."""
        return OdbcSession(self.door)

    def probe(self) -> SourceFacts:
        """Raises the Pms errors; what is odd but workable comes back as findings."""
        session = self.session()
        try:
            site = probe_site(session, self.door, self.contract)
            zone, zone_findings = self._find_zone(session, site)
            observer = Observer(site, ZoneInfo(zone))
            identity, version = observer.identity(session), observer.version(session)
            findings = (*site.findings, *zone_findings, *self.findings(site, version))
        finally:
            session.close()
        with self._lock:
            self._site, self._observer = site, observer
            self._plans.clear()
            self._plans.update(
                {s: StreamPlan(self.contract, s, site.tables) for s in site.readable}
            )
        said = site.server
        return SourceFacts(
            kind=self.kind,
            version=version,
            server=f"{said.dbms} {said.dbms_version}",
            identity=identity,
            zone=zone,
            tables=table_facts(site),
            streams=stream_facts(site),
            findings=findings,
        )

    def findings(self, site: Site, version: str) -> Sequence[Finding]:
        """A vendor's own remarks on a site. Raises PmsDrift for what is not to be read at all."""
        return ()

    def bind(self, stream: Stream, columns: Sequence[Column]) -> None:
        site = self.site
        self._bound[stream] = BoundPlan(
            self.contract,
            stream,
            site.tables,
            columns,
            server_hash=site.hashes,
            money_as_text=site.money_as_text,
        )

    def open(self) -> PmsReader:
        _ = self.site
        assert self._observer is not None
        return OdbcReader(self.session(), self._observer, self._plans, self._bound)

    def diagnose(self) -> list[Finding]:
        """Step by step: driver, login, database, tables, rights."""
        session = self.session()
        try:
            said = session.connect()
        except AgentError as error:
            return [Finding(error.code, Severity.ERROR, {**error.facts, "step": "login"})]
        finally:
            session.close()
        found = [
            Finding(
                "pms.odbc_connected",
                Severity.OK,
                {"step": "login", "engine": f"{said.dbms} {said.dbms_version}",
                 "driver": f"{said.driver} {said.driver_version}"},
            )
        ]  # fmt: skip
        try:
            facts = self.probe()
        except PmsDrift as error:
            return [*found, Finding(error.code, Severity.ERROR, {**error.facts, "step": "tables"})]
        except AgentError as error:
            return [*found, Finding(error.code, Severity.ERROR, {**error.facts, "step": "rights"})]
        serious = [f for f in facts.findings if f.severity in {Severity.ERROR, Severity.WARNING}]
        return found + [Finding(f.code, f.severity, {**f.facts, "step": "rights"}) for f in serious]

    def _find_zone(self, session: OdbcSession, site: Site) -> tuple[str, list[Finding]]:
        """The zone IT set, else this computer's if the server's clock agrees, else an offset."""
        if self._zone:
            return self._zone, []
        now = datetime.now(UTC)
        if site.clock_sql:
            wall = wall_time(str(session.rows(site.clock_sql)[0][0]))
            ahead_s = (wall - now.replace(tzinfo=None)).total_seconds()
            offset_s = round(ahead_s / QUARTER_S) * QUARTER_S
        else:
            offset_s = int((now.astimezone().utcoffset() or now - now).total_seconds())
        said = now.astimezone().tzname() or time.tzname[0]
        zone = zone_of(said, offset_s, now)
        facts: dict[str, str | int | float | None] = {"said": said, "offset_s": offset_s}
        if zone is None:
            zone = fixed_zone(offset_s)
            return zone, [Finding("pms.zone_unknown", Severity.WARNING, {**facts, "zone": zone})]
        return zone, [Finding("pms.zone_assumed", Severity.NOTE, {**facts, "zone": zone})]
