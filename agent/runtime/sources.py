"""Open the practice system the settings name. Wiring only; never imports ``agent.crm``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from agent.config import Origin, Settings
from agent.config.secrets import Secrets, read_secret
from agent.errors import ConfigError
from agent.model.reading import Finding, Severity
from agent.ports import PmsWriter
from agent.sync.datamap import DataMap, load_map
from drivers.opendental.discovery import SEARCH_FOLDERS, read_config, usual_files
from drivers.registry import (
    Diagnosable,
    SourceSettings,
    WriterSettings,
    make_source,
    make_writer,
)


def open_source(settings: Settings, secrets: Secrets) -> Diagnosable:
    """Nothing is contacted yet. Raises ConfigError.

    With ``pms.config_file`` Open Dental's own file says host, port, database and login; what is
    set here wins over it.
    """
    return make_source(source_settings(settings, secrets))


def open_writer(settings: Settings, secrets: Secrets) -> PmsWriter:
    """What ``pms.writer`` asks for; nothing is contacted yet. A site that may not be written gets
    a writer without abilities, which says why. Raises ConfigError."""
    pms = settings.pms
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
        ),
    )


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
    )
    if pms.kind == "opendental" and pms.config_file:
        found = _completed(found, Path(pms.config_file), settings)
    return found


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


def site_map(settings: Settings) -> DataMap:
    """The shipped map of the configured PMS with the site's overrides, if any."""
    override = Path(settings.map.file) if settings.map.file else None
    return load_map(settings.pms.kind, override=override).without(settings.skipped_streams)
