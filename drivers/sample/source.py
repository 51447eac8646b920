"""The embedded sample practice as a PMS: ``agent.ports.PmsSource`` over one SQLite file.

Stamps (``DateTStamp``, ``SecDateTEdit``) are UTC text kept by whoever writes the file; other dates
and times are the practice's local wall time, as on a real server.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from agent.errors import PmsDrift
from agent.model.reading import (
    Finding,
    Key,
    ServerClock,
    Severity,
    SourceFacts,
    SourceGuard,
    Tail,
)
from agent.ports import PmsReader
from drivers.base import Effort, Session, TableReader, TableSource
from drivers.opendental.facts import index_findings, stream_facts, table_facts, version_tuple
from drivers.opendental.logs import Log, entered_sql, read_tail, tail_sql, usable_logs
from drivers.opendental.observe import (
    guard_of,
    identity_of,
    identity_sql,
    max_key_sql,
    preferences_sql,
)
from drivers.opendental.schema import readable_streams
from drivers.opendental.streams import known_tables
from drivers.sample.session import SqliteSession
from drivers.sqltext import ColumnShape, SqliteText, TableShape, kind_of, quoted, text_literal

SAMPLE_ZONE = "America/New_York"  # of a file whose preferences name none


class SampleObservatory:
    """``drivers.base.Observatory`` for a file: one change counter stands for every table."""

    def __init__(self, shapes: Mapping[str, TableShape], logs: Sequence[Log], name: str) -> None:
        self._shapes = shapes
        self._logs = logs
        self._name = name

    def clock(self, session: Session) -> ServerClock:
        # The writer is on this machine. A file has one writer at a time; nobody says since when.
        return ServerClock(datetime.now(UTC), None)

    def guard(self, session: Session) -> SourceGuard:
        asked = [preferences_sql(), *max_key_sql(self._shapes)]
        if "updatehistory" in self._shapes:
            asked.append(identity_sql().replace("CONCAT('first:',", "('first:'||").replace(
                "CONCAT(`DateTimeUpdated`,' ',`ProgramVersion`)",
                "`DateTimeUpdated`||' '||`ProgramVersion`",
            ))  # fmt: skip
        asked.append(
            "SELECT 'rebuilding',CAST(COUNT(*) AS TEXT) FROM sqlite_master"
            " WHERE type='table' AND name LIKE 'tempConv!_%' ESCAPE '!'"
        )
        sql = " UNION ALL ".join(asked).replace("AS CHAR)", "AS TEXT)")
        told = {str(k): str(v or "") for k, v in session.rows(sql)}
        return guard_of(told, identity_of(session.place, self._name, told))

    def moved(self, session: Session, tables: Sequence[str]) -> dict[str, str]:
        """``PRAGMA data_version``: moves with every commit of another connection."""
        seen = session.rows("PRAGMA data_version")[0][0]
        number = session.number if isinstance(session, SqliteSession) else 0
        return dict.fromkeys(tables, f"{number}/{seen}")

    def tail(self, session: Session, marks: Mapping[str, int], limit: int) -> Tail:
        if not self._logs:
            return Tail([], dict(marks))
        return read_tail(session.rows(tail_sql(self._logs, marks, limit)), marks)

    def entered(self, session: Session, patients: Sequence[int]) -> dict[Key, bool]:
        if not any(log.table == "securitylog" for log in self._logs):
            return {}
        return {int(key): bool(int(ours)) for key, ours in session.rows(entered_sql(patients))}


class SampleSource(TableSource):
    """``path``: the file ``bridgework practice create --into sqlite`` made."""

    kind = "sample"

    def __init__(self, path: Path, *, statement_limit_ms: int = 100, zone: str = "") -> None:
        super().__init__(SqliteText())
        self._path = path
        self._statement_limit_ms = statement_limit_ms
        self._zone = zone
        self._observatory: SampleObservatory | None = None

    def probe(self) -> SourceFacts:
        session = self._session()
        try:
            shapes = self._read_shapes(session)
            if "preference" not in shapes:
                raise PmsDrift("pms.not_open_dental", database=self._path.name)
            logs = usable_logs(shapes)
            readable = readable_streams(shapes, {})
            self._observatory = SampleObservatory(shapes, logs, self._path.name)
            self._learn(shapes, readable)
            guard = self._observatory.guard(session)
            told = {str(k): str(v) for k, v in session.rows(_preferences())}
        finally:
            session.close()
        if not version_tuple(guard.version):
            raise PmsDrift("pms.not_open_dental", database=self._path.name)
        clinics = told.get("EasyNoClinics") == "0"
        findings: list[Finding] = index_findings(shapes)
        if guard.update_running:
            findings.append(Finding("pms.update_running", Severity.WARNING))
        return SourceFacts(
            kind=self.kind,
            version=guard.version,
            server=f"SQLite {sqlite3.sqlite_version}",
            identity=guard.identity,
            zone=self._zone or told.get("BridgeworkZone") or SAMPLE_ZONE,
            tables=table_facts(shapes),
            streams=stream_facts(shapes, readable, clinics),
            findings=tuple(findings),
            random_keys=told.get("RandomPrimaryKeys") == "1",
            clinics=clinics,
        )

    def open(self) -> PmsReader:
        self._known_shapes()
        assert self._observatory is not None
        return TableReader(
            self._session(), self._observatory, self._texts, self._bound, self._histories
        )

    def diagnose(self) -> list[Finding]:
        """One step: the file is there and is a practice."""
        try:
            facts = self.probe()
        except Exception as error:
            if not hasattr(error, "code"):
                raise
            return [Finding(error.code, Severity.ERROR, {"step": "file", "file": self._path.name})]
        return [Finding("pms.file_ok", Severity.OK, {"step": "file", "version": facts.version})]

    def _session(self) -> SqliteSession:
        return SqliteSession(self._path, self._statement_limit_ms)

    def _read_shapes(self, session: SqliteSession) -> dict[str, TableShape]:
        shapes = {}
        for name in known_tables():
            listed = session.rows(f"PRAGMA table_info({quoted(name)})", Effort.PROBE)
            if not listed:
                continue
            columns = {
                str(row[1]): ColumnShape(str(row[2]), kind_of(str(row[2])), not row[3])
                for row in listed
            }
            primary = next((str(row[1]) for row in listed if row[5]), "")
            rows = session.rows(f"SELECT COUNT(*) FROM {quoted(name)}", Effort.PROBE)[0][0]
            leads = self._leads(session, name) | ({primary} if primary else set())
            shapes[name] = TableShape(name, columns, frozenset(leads), primary, "SQLite", int(rows))
        return shapes

    def _leads(self, session: SqliteSession, table: str) -> set[str]:
        found: set[str] = set()
        for row in session.rows(f"PRAGMA index_list({quoted(table)})", Effort.PROBE):
            parts = session.rows(f"PRAGMA index_info({quoted(str(row[1]))})", Effort.PROBE)
            found.update(str(part[2]) for part in parts[:1])
        return found


def _preferences() -> str:
    wanted = ("EasyNoClinics", "RandomPrimaryKeys", "BridgeworkZone")
    names = ",".join(text_literal(name) for name in wanted)
    return f"SELECT PrefName,ValueString FROM preference WHERE PrefName IN ({names})"
