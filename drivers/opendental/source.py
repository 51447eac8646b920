"""Open Dental on MariaDB or MySQL: ``agent.ports.PmsSource``."""

from __future__ import annotations

from collections.abc import Mapping

from agent.errors import PmsDrift, PmsError, PmsUnavailable
from agent.model.reading import Finding, Severity, SourceFacts
from agent.ports import PmsReader
from drivers.base import Effort, TableReader, TableSource
from drivers.opendental.facts import schema_findings, stream_facts, table_facts
from drivers.opendental.logs import LOGS, usable_logs
from drivers.opendental.observe import ServerObservatory, preferences_sql
from drivers.opendental.schema import (
    Rights,
    mended,
    read_rights,
    read_shapes,
    readable_streams,
    unreadable_tables,
)
from drivers.opendental.session import Login, MySqlSession
from drivers.sqltext import MariaDbText
from drivers.zones import fixed_zone, utc_now, zone_of


class OpenDentalSource(TableSource):
    """``zone``: the practice's IANA zone if IT set it. Thread-safe to ``open`` after a probe."""

    kind = "opendental"

    def __init__(self, login: Login, *, statement_limit_ms: int = 100, zone: str = "") -> None:
        super().__init__(MariaDbText())
        self._login = login
        self._statement_limit_ms = statement_limit_ms
        self._zone = zone
        self._observatory: ServerObservatory | None = None

    def probe(self) -> SourceFacts:
        """Raises the Pms errors; what is odd but workable comes back as findings."""
        session = self._session()
        try:
            return self._probe(session)
        finally:
            session.close()

    def open(self) -> PmsReader:
        self._known_shapes()
        assert self._observatory is not None
        return TableReader(
            self._session(), self._observatory, self._texts, self._bound, self._histories
        )

    def diagnose(self) -> list[Finding]:
        """Step by step: host, port, login, database, version, rights, engine, index."""
        from drivers.opendental.diagnose import diagnose

        return diagnose(self._login, self._statement_limit_ms)

    def _session(self) -> MySqlSession:
        return MySqlSession(self._login, self._statement_limit_ms)

    def _probe(self, session: MySqlSession) -> SourceFacts:
        shapes = read_shapes(session)
        unreadable = unreadable_tables(session, shapes)
        if self._mend(unreadable):
            shapes = read_shapes(session)
            unreadable = unreadable_tables(session, shapes)
        told = preferences(session, shapes)
        version = told.get("DataBaseVersion", "")
        if not version:
            raise PmsDrift("pms.not_open_dental", database=self._login.database)
        rights = read_rights(session, self._login.database)
        readable = readable_streams(shapes, unreadable)
        usable = {name: shape for name, shape in shapes.items() if name not in unreadable}
        logs = usable_logs(usable)
        self._observatory = ServerObservatory(
            self._login.database, usable, logs, sees_others=rights.sees_others
        )
        self._learn(usable, readable)
        zone, zone_findings = self._find_zone(session)
        guard = self._observatory.guard(session)
        findings = [
            *schema_findings(usable, readable, version),
            *rights_findings(rights, unreadable),
            *server_findings(session),
            *zone_findings,
        ]
        found = {log.table for log in logs}
        findings += [
            Finding("pms.log_missing", Severity.NOTE, {"table": log.table})
            for log in LOGS
            if log.table not in found
        ]
        if guard.update_running:
            findings.append(Finding("pms.update_running", Severity.WARNING))
        clinics = told.get("EasyNoClinics") == "0"
        return SourceFacts(
            kind=self.kind,
            version=version,
            server=f"{session.server.flavour} {session.server.version}",
            identity=guard.identity,
            zone=zone,
            tables=table_facts(usable),
            streams=stream_facts(usable, readable, clinics),
            findings=tuple(findings),
            random_keys=told.get("RandomPrimaryKeys") == "1",
            clinics=clinics,
        )

    def _mend(self, unreadable: dict[str, PmsError]) -> bool:
        if not unreadable:
            return False
        mending = MySqlSession(self._login, self._statement_limit_ms, mends=True)
        try:
            return mended(mending, unreadable)
        except PmsUnavailable:  # the other tables are not kept waiting for this one
            return False
        finally:
            mending.close()

    def _find_zone(self, session: MySqlSession) -> tuple[str, list[Finding]]:
        if self._zone:
            return self._zone, []
        row = session.rows(
            "SELECT @@global.time_zone,@@system_time_zone,TIMESTAMPDIFF(SECOND,UTC_TIMESTAMP(),"
            "COALESCE(CONVERT_TZ(UTC_TIMESTAMP(),'+00:00',@@global.time_zone),UTC_TIMESTAMP()))"
        )[0]
        said = row[1] if row[0] == "SYSTEM" else row[0]
        offset_s = int(row[2])
        zone = zone_of(said, offset_s, utc_now())
        facts: dict[str, str | int | float | None] = {"said": said, "offset_s": offset_s}
        if zone is None:
            zone = fixed_zone(offset_s)
            return zone, [Finding("pms.zone_unknown", Severity.WARNING, {**facts, "zone": zone})]
        return zone, [Finding("pms.zone_assumed", Severity.NOTE, {**facts, "zone": zone})]


def preferences(session: MySqlSession, shapes: Mapping[str, object]) -> dict[str, str]:
    """The preferences a probe needs; empty when this is no Open Dental database."""
    if "preference" not in shapes:
        return {}
    return {str(k): str(v or "") for k, v in session.rows(preferences_sql(), Effort.PROBE)}


def rights_findings(rights: Rights, unreadable: dict[str, PmsError]) -> list[Finding]:
    found = [
        Finding(error.code, Severity.ERROR, {"table": table}) for table, error in unreadable.items()
    ]
    if rights.writes:
        writes = ", ".join(rights.writes)
        found.append(Finding("pms.can_write", Severity.WARNING, {"rights": writes}))
    return found


def server_findings(session: MySqlSession) -> list[Finding]:
    found = []
    if not session.server.limits_statements:
        found.append(Finding("pms.no_statement_limit", Severity.WARNING))
    if not session.server.read_only:
        found.append(Finding("pms.no_read_only", Severity.WARNING))
    return found
