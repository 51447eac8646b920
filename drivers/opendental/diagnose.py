"""Why the practice's database cannot be read: one finding per step, stopping where later ones hang.

Steps: host, port, login, database, version, rights, engine, index.
"""

from __future__ import annotations

import socket

import msgspec

from agent.errors import PmsError
from agent.model.reading import Finding, Severity
from drivers.opendental.facts import (
    OLDEST_KNOWN,
    engine_findings,
    index_findings,
    version_tuple,
)
from drivers.opendental.schema import read_rights, read_shapes, unreadable_tables
from drivers.opendental.session import CONNECT_TIMEOUT_S, Login, MySqlSession
from drivers.opendental.streams import PRACTICE, STREAMS

SHOWN_TABLES = 6

_Fact = str | int | float | None


def diagnose(login: Login, statement_limit_ms: int) -> list[Finding]:
    found = _reach(login)
    if found[-1].severity is Severity.ERROR:
        return found
    # Without a database first, so that a wrong login and a wrong name are told apart.
    lobby = MySqlSession(msgspec.structs.replace(login, database=""), statement_limit_ms)
    try:
        lobby.rows("SELECT 1")
    except PmsError as error:
        code = "pms.login_refused" if error.code == "pms.auth_refused" else error.code
        return [*found, _step("login", code, Severity.ERROR, user=login.user, **error.facts)]
    finally:
        lobby.close()
    found.append(_step("login", "pms.login_ok", user=login.user))
    session = MySqlSession(login, statement_limit_ms)
    try:
        return found + _look(session, login)
    finally:
        session.close()


def _step(step: str, code: str, severity: Severity = Severity.OK, **facts: _Fact) -> Finding:
    return Finding(code, severity, {**facts, "step": step})


def _reach(login: Login) -> list[Finding]:
    try:
        places = socket.getaddrinfo(login.host, login.port, type=socket.SOCK_STREAM)
    except OSError:
        return [_step("host", "pms.host_unresolved", Severity.ERROR, host=login.host)]
    found = [_step("host", "pms.host_resolved", host=login.host)]
    for family, kind, protocol, _, address in places:
        with socket.socket(family, kind, protocol) as probe:
            probe.settimeout(CONNECT_TIMEOUT_S)
            try:
                probe.connect(address)
            except OSError:
                continue
        return [*found, _step("port", "pms.port_open", port=login.port)]
    return [*found, _step("port", "pms.port_closed", Severity.ERROR, port=login.port)]


def _look(session: MySqlSession, login: Login) -> list[Finding]:
    try:
        session.rows("SELECT 1")
    except PmsError as error:
        # 1044: the account may log in but not use this name, which may not exist at all.
        code = "pms.database_missing" if error.facts.get("number") in (1044, 1049) else error.code
        return [_step("database", code, Severity.ERROR, database=login.database)]
    found = [_step("database", "pms.database_found", database=login.database)]
    try:
        shapes = read_shapes(session)
        version = _version(session) if "preference" in shapes else ""
        if not version:
            return [*found, _step("version", "pms.not_open_dental", Severity.ERROR)]
        old = version_tuple(version)[:2] < OLDEST_KNOWN
        found.append(
            _step("version", "pms.version_old", Severity.WARNING, version=version)
            if old
            else _step("version", "pms.version_ok", version=version)
        )
        unreadable = unreadable_tables(session, shapes)
        found += [
            _step("rights", error.code, Severity.ERROR, table=name)
            for name, error in unreadable.items()
        ]
        rights = read_rights(session, login.database)
    except PmsError as error:
        return [*found, _step("version", error.code, Severity.ERROR)]
    # A server hides the tables a login may not read: not there and not allowed look the same.
    unseen = sorted(s.table for s in STREAMS.values() if s.table not in {*shapes, PRACTICE})
    if unseen:
        named = ", ".join(unseen[:SHOWN_TABLES]) + (", ..." if len(unseen) > SHOWN_TABLES else "")
        facts: dict[str, _Fact] = {"tables": len(unseen), "names": named}
        found.append(_step("rights", "pms.tables_unseen", Severity.ERROR, **facts))
    if rights.writes:
        listed = ", ".join(rights.writes)
        found.append(_step("rights", "pms.can_write", Severity.WARNING, rights=listed))
    elif not unreadable and not unseen:
        found.append(_step("rights", "pms.rights_ok"))
    found += [_named("engine", finding) for finding in engine_findings(shapes)]
    missing = index_findings(shapes)
    found += [_named("index", finding) for finding in missing]
    if not missing:
        found.append(_step("index", "pms.index_ok"))
    return found


def _named(step: str, finding: Finding) -> Finding:
    return Finding(finding.code, finding.severity, {**finding.facts, "step": step})


def _version(session: MySqlSession) -> str:
    rows = session.rows(
        "SELECT CAST(ValueString AS CHAR) FROM preference WHERE PrefName='DataBaseVersion'"
    )
    return str(rows[0][0]) if rows else ""
