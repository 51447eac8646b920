"""Open the practice system the settings name. Wiring only; never imports ``agent.crm``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from agent.config import Origin, Settings
from agent.config.secrets import Secrets, read_secret
from agent.errors import ConfigError, PmsError
from agent.model.reading import Finding, Severity
from agent.ports import PmsWriter
from agent.runtime.signin import (
    CONNECTION,
    SIGNED_IN,
    Program,
    SignedSource,
    SignIn,
    Told,
    eaglesoft_settings,
    registered,
)
from agent.sync.datamap import DataMap, load_map
from agent.sync.maprows import Way
from drivers.eaglesoft import settings_object
from drivers.opendental.discovery import SEARCH_FOLDERS, read_config, usual_files
from drivers.registry import (
    Diagnosable,
    SourceSettings,
    WriteRoute,
    WriterSettings,
    make_source,
    make_writer,
)
from drivers.writers import NoWriter


def open_source(settings: Settings, secrets: Secrets) -> Diagnosable:
    """Nothing is contacted yet. Raises ConfigError.

    With ``pms.config_file`` Open Dental's own file says host, port, database and login; what is
    set here wins over it.
    """
    program = _sign_in_program(settings, secrets)
    if program is not None:
        plain = source_settings(settings, secrets)

        def signed(told: Told) -> Diagnosable:
            return make_source(
                msgspec.structs.replace(
                    plain, odbc_connection=told.connection, program_version=told.version
                )
            )

        return SignedSource(SignIn(program, secrets), signed, plain.kind)
    return make_source(source_settings(settings, secrets))


def _sign_in_program(settings: Settings, secrets: Secrets) -> Program | None:
    """What gives the connection string here; None where IT gave one, or nothing can."""
    pms = settings.pms
    if read_secret(settings, secrets, CONNECTION) and secrets.get(SIGNED_IN) is None:
        return None
    if pms.kind == "dentrix" and pms.sign_in:
        return registered(pms.sign_in)
    token = read_secret(settings, secrets, "pms.token") or ""
    if pms.kind == "eaglesoft" and token:
        command = [pms.sign_in] if pms.sign_in else settings_object.command(_windows())
        return eaglesoft_settings(command, pms.product, token, pms.odbc_driver)
    return None


def _windows() -> str:
    return os.environ.get("SYSTEMROOT", r"C:\Windows")


def open_writer(settings: Settings, secrets: Secrets) -> PmsWriter:
    """What ``pms.writer`` asks for; nothing is contacted yet. A site that may not be written gets
    a writer without abilities, which says why. Raises ConfigError."""
    pms = settings.pms
    program = _sign_in_program(settings, secrets)
    if program is not None:
        try:
            SignIn(program, secrets).told()
        except PmsError as error:
            return NoWriter(error.code, Severity.WARNING)
    return make_writer(
        source_settings(settings, secrets),
        WriterSettings(
            how=pms.writer,
            api_url=pms.api_url,
            developer_key=read_secret(settings, secrets, "pms.api_developer_key") or "",
            customer_key=read_secret(settings, secrets, "pms.api_customer_key") or "",
            sql_writes=pms.sql_writes,
            write_user=pms.write_user,
            write_password=read_secret(settings, secrets, "pms.write_password") or "",
            routes=site_routes(settings),
        ),
    )


_ROUTE = re.compile(
    r"(?:write:(?P<table>\w+)\((?P<key>\w+)\)\.(?P<column>\w+)|call:(?P<call>\w+))"
    r"(?:\?(?P<words>[^ ,]+))?"
)


def site_routes(settings: Settings) -> tuple[WriteRoute, ...]:
    """Where the site's own map says a field may be written: ``write:VIEW(key).column`` or
    ``call:PROCEDURE``, and ``?word=value;...`` where the office's own numbers stand for words, in
    the column ``trigger`` of a row with direction both. Raises ConfigError.
    """
    if not settings.map.file or settings.pms.kind not in {"dentrix", "eaglesoft"}:
        return ()
    found = []
    for row in site_map(settings).rows:
        said = _ROUTE.search(row.trigger)
        if row.direction is Way.BOTH and said is not None:
            found.append(
                WriteRoute(
                    row.stream, row.field, row.transform, said["table"] or "", said["key"] or "",
                    said["column"] or "", said["call"] or "",
                    dict(pair.split("=", 1) for pair in (said["words"] or "").split(";") if pair),
                )
            )  # fmt: skip
    return tuple(found)


def shipped_map(settings: Settings) -> DataMap:
    """The map of the configured PMS as shipped, with what only the site can tell."""
    return load_map(settings.pms.kind, values=_told_by_site(settings))


def whole_map(settings: Settings) -> DataMap:
    """The same with the site's overrides, if any."""
    override = settings.map.file or None
    return load_map(settings.pms.kind, override=override, values=_told_by_site(settings))


def site_map(settings: Settings) -> DataMap:
    """What is really read here: the whole map without the streams the practice left out."""
    return whole_map(settings).without(settings.skipped_streams)


def _told_by_site(settings: Settings) -> dict[str, str]:
    pms = settings.pms
    return {
        "excluded_chairs": pms.excluded_chairs,
        "length_unit_min": pms.length_unit_min,
        "int_time": pms.int_time,
    }


def source_settings(settings: Settings, secrets: Secrets) -> SourceSettings:
    """Where the practice is and who reads it. Raises ConfigError."""
    pms = settings.pms
    found = SourceSettings(
        kind=pms.kind,
        host=pms.host,
        port=pms.port,
        database=pms.database,
        user=pms.user,
        password=read_secret(settings, secrets, "pms.password") or "",
        sqlite_path=pms.sqlite_path,
        statement_limit_ms=pms.statement_limit_ms,
        zone=settings.practice.zone,
        odbc_connection=read_secret(settings, secrets, "pms.odbc_connection") or "",
        odbc_dsn=pms.odbc_dsn,
        odbc_driver=pms.odbc_driver,
        odbc_extra=pms.odbc_extra,
        odbc_encoding=pms.odbc_encoding,
        odbc_reader=pms.odbc_reader,
        signature=read_secret(settings, secrets, "pms.signature") or "",
    )
    if pms.kind in {"dentrix", "eaglesoft"}:
        found = _unset(found, settings)
    if pms.kind == "opendental" and pms.config_file:
        found = _completed(found, Path(pms.config_file), settings)
    return found


def _unset(found: SourceSettings, settings: Settings) -> SourceSettings:
    """Over ODBC only what was really set: the defaults are Open Dental's."""
    defaults = {"host": "", "port": 0, "database": "", "user": ""}
    unsaid = {n: v for n, v in defaults.items() if settings.origin(f"pms.{n}") is Origin.DEFAULT}
    return msgspec.structs.replace(found, **unsaid)


def _completed(found: SourceSettings, path: Path, settings: Settings) -> SourceSettings:
    candidate = read_config(path)
    wrong = next((f for f in candidate.findings if f.severity is Severity.ERROR), None)
    if wrong is not None:
        raise ConfigError(wrong.code, file=path.name)
    said = {
        "host": candidate.host,
        "port": candidate.port,
        "database": candidate.database,
        "user": candidate.user,
    }
    taken = {
        name: value
        for name, value in said.items()
        if value and settings.origin(f"pms.{name}") is Origin.DEFAULT
    }
    password = found.password or candidate.password
    return msgspec.structs.replace(found, password=password, **taken)


_WHERE = ("pms.host", "pms.port", "pms.database", "pms.user")


def config_file_findings(
    settings: Settings, folders: Iterable[str] = SEARCH_FOLDERS
) -> list[Finding]:
    """What Open Dental's own files say: the one in use, or those a fresh installation could use.

    Nothing is guessed: a file that is merely found is a note, and its trouble too.
    """
    pms = settings.pms
    if pms.kind != "opendental":
        return []
    if pms.config_file:
        candidate = read_config(Path(pms.config_file))
        if not any(f.severity is Severity.ERROR for f in candidate.findings):
            facts = {"file": pms.config_file, "host": candidate.host, "step": "file"}
            return [Finding("pms.config_used", Severity.OK, {**facts}), *candidate.findings]
        return list(candidate.findings)
    if any(settings.origin(name) is not Origin.DEFAULT for name in _WHERE):
        return []
    found: list[Finding] = []
    for path in usual_files(folders):
        candidate = read_config(path)
        if any(f.severity is Severity.ERROR for f in candidate.findings):
            found += [Finding(f.code, Severity.NOTE, f.facts) for f in candidate.findings]
        else:
            facts = {"file": str(path), "host": candidate.host, "database": candidate.database}
            found.append(Finding("pms.config_found", Severity.NOTE, {**facts}))
    return found
