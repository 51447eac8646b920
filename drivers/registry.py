"""Which driver reads which kind of practice system; each is imported when asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import msgspec

from agent.errors import ConfigError
from agent.model.reading import Finding
from agent.ports import PmsSource


class Diagnosable(PmsSource, Protocol):
    """A source that can also say, step by step, what stands in the way."""

    def diagnose(self) -> list[Finding]: ...


class SourceSettings(msgspec.Struct, frozen=True):
    """What a driver needs to know to reach its system; the password is not shown."""

    kind: str
    host: str = "127.0.0.1"
    port: int = 3306
    database: str = "opendental"
    user: str = ""
    password: str = ""
    sqlite_path: str = ""
    statement_limit_ms: int = 100
    zone: str = ""

    def __repr__(self) -> str:
        return f"SourceSettings({self.kind})"


def make_source(settings: SourceSettings) -> Diagnosable:
    """Raises ConfigError for a kind we do not know."""
    if settings.kind == "opendental":
        from drivers.opendental.session import Login
        from drivers.opendental.source import OpenDentalSource

        login = Login(
            host=settings.host,
            port=settings.port,
            database=settings.database,
            user=settings.user,
            password=settings.password,
        )
        return OpenDentalSource(
            login, statement_limit_ms=settings.statement_limit_ms, zone=settings.zone
        )
    if settings.kind == "sample":
        from drivers.sample.source import SampleSource

        if not settings.sqlite_path:
            raise ConfigError("config.sqlite_path_missing")
        return SampleSource(
            Path(settings.sqlite_path),
            statement_limit_ms=settings.statement_limit_ms,
            zone=settings.zone,
        )
    raise ConfigError("config.kind_unknown", kind=settings.kind)
