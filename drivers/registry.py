"""Which driver reads which kind of practice system; each is imported when asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from agent.errors import ConfigError
from agent.model.reading import Finding, Severity
from agent.model.streams import Stream
from agent.ports import PmsSource, PmsWriter

if TYPE_CHECKING:
    from drivers.base import Session
    from drivers.odbc.login import OdbcLogin
    from drivers.opendental.office import Office


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
    odbc_connection: str = ""
    odbc_dsn: str = ""
    odbc_driver: str = ""
    odbc_extra: str = ""
    odbc_encoding: str = ""
    odbc_reader: str = ""
    signature: str = ""  # of the maker's programme, for an authenticated Eaglesoft database
    program_version: float = 0.0  # of Dentrix, where its sign-in program told it

    def __repr__(self) -> str:
        return f"SourceSettings({self.kind})"


def odbc_login(settings: SourceSettings) -> OdbcLogin:
    """How a kind that is read over ODBC is reached. Raises ConfigError when nothing says where."""
    from drivers.odbc.login import OdbcLogin

    where = settings.odbc_connection or settings.odbc_dsn
    if not where and not (settings.odbc_driver and settings.host):
        raise ConfigError("config.odbc_place_missing")
    return OdbcLogin(
        connection=settings.odbc_connection,
        dsn=settings.odbc_dsn,
        driver=settings.odbc_driver,
        host=settings.host,
        port=settings.port,
        database=settings.database,
        user=settings.user,
        password=settings.password,
        extra=settings.odbc_extra,
        encoding=settings.odbc_encoding,
        reader=settings.odbc_reader,
    )


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
    if settings.kind == "dentrix":
        from drivers.dentrix.source import DentrixSource

        return DentrixSource(
            odbc_login(settings), zone=settings.zone, version=settings.program_version
        )
    if settings.kind == "eaglesoft":
        from drivers.eaglesoft.source import EaglesoftSource

        return EaglesoftSource(
            odbc_login(settings), zone=settings.zone, signature=settings.signature
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


class WriteRoute(msgspec.Struct, frozen=True):
    """A line of a site's map that says where the licence lets a field be written."""

    stream: Stream
    field: str
    transform: str  # of the map: how the field is spelled
    table: str = ""
    key: str = ""
    column: str = ""
    procedure: str = ""
    words: dict[str, str] = {}  # what is written for a canonical word


class WriterSettings(msgspec.Struct, frozen=True):
    """How the practice may be written: ``auto`` | ``api`` | ``sql`` | ``none``. ``phone_region``:
    ISO 3166 code whose national format the office's telephone numbers have."""

    how: str = "auto"
    api_url: str = ""
    developer_key: str = ""
    customer_key: str = ""
    sql_writes: bool = False
    write_user: str = ""
    write_password: str = ""
    phone_region: str = "US"
    routes: tuple[WriteRoute, ...] = ()

    def __repr__(self) -> str:
        return f"WriterSettings({self.how})"


def make_writer(source: SourceSettings, settings: WriterSettings) -> PmsWriter:
    """The writer the settings ask for; nothing is contacted yet. Raises ConfigError.

    A site that may not be written gets a writer without abilities, which says why.
    """
    from drivers.writers import NoWriter

    if settings.how == "none":
        return NoWriter("write.switched_off")
    if source.kind in {"dentrix", "eaglesoft"}:
        return _odbc_writer(source, settings)
    if source.kind == "sample" and settings.how != "api":
        return _sample_writer(source, settings)
    if settings.how == "sql":
        return _sql_writer(source, settings)
    return _api_writer(source, settings)


def _odbc_writer(source: SourceSettings, settings: WriterSettings) -> PmsWriter:
    """What the maker's licence opens: the site's map names it; Eaglesoft's own list is used where
    the sign-in carries the maker's signature."""
    from drivers.eaglesoft.routes import ROUTES
    from drivers.odbc.session import Door
    from drivers.odbc.source import OdbcSource
    from drivers.odbc.writing import OdbcWriter, Route, spelled_of
    from drivers.writers import NoWriter

    if settings.how == "api":
        return NoWriter("write.no_api", Severity.WARNING)
    routes = [
        Route(
            r.stream, r.field, r.table, r.key, r.column, r.procedure,
            spelled_of(r.field, r.transform), words=r.words,
        )
        for r in settings.routes
    ]  # fmt: skip
    if source.kind == "eaglesoft" and source.signature:
        named = {(route.stream, route.field) for route in routes}
        routes += [r for r in ROUTES if (r.stream, r.field) not in named]
    if not routes:
        reason = "write.no_licence" if source.kind == "dentrix" else "write.reads_only"
        return NoWriter(reason)
    reading = make_source(source)
    assert isinstance(reading, OdbcSource)
    login = msgspec.structs.replace(
        odbc_login(source),
        user=settings.write_user or source.user,
        password=settings.write_password or source.password,
    )
    said = [(s.sql, s.needed, s.code) for s in reading.contract.settings]
    door = Door(login, settings=said, reads_only=False)
    return OdbcWriter(reading, door, routes, region=settings.phone_region)


def _api_writer(source: SourceSettings, settings: WriterSettings) -> PmsWriter:
    from drivers.opendental.api.writer import ApiWriter, Keys, places
    from drivers.writers import IfAnyAnswers, NoWriter

    if not settings.developer_key or not settings.customer_key:
        wanted = settings.how == "api"
        return NoWriter("write.api_no_keys", Severity.WARNING if wanted else Severity.NOTE)
    writer = ApiWriter(
        places(settings.api_url, source.host),
        Keys(settings.developer_key, settings.customer_key),
        lambda: _open_office(source, settings),
    )
    return writer if settings.how == "api" else IfAnyAnswers(writer)


def _sql_writer(source: SourceSettings, settings: WriterSettings) -> PmsWriter:
    from drivers.opendental.direct.mariadb import MariaPen
    from drivers.opendental.direct.writer import DirectWriter
    from drivers.opendental.session import Login
    from drivers.writers import NoWriter

    if settings.sql_writes and not settings.write_user:
        return NoWriter("write.sql_no_login", Severity.WARNING)
    login = Login(
        host=source.host,
        port=source.port,
        database=source.database,
        user=settings.write_user,
        password=settings.write_password,
    )
    return DirectWriter(
        lambda: MariaPen(login),
        lambda: _open_office(source, settings),
        allowed=settings.sql_writes,
    )


def _sample_writer(source: SourceSettings, settings: WriterSettings) -> PmsWriter:
    from drivers.opendental.direct.writer import DirectWriter
    from drivers.sample.pen import SamplePen

    return DirectWriter(
        lambda: SamplePen(Path(source.sqlite_path)),
        lambda: _open_office(source, settings),
        allowed=True,
        is_vendors=False,
    )


def _open_office(source: SourceSettings, settings: WriterSettings) -> Office:
    """A fresh look at the practice, on a reading connection of its own."""
    from drivers.opendental.office import Office
    from drivers.opendental.session import Login, MySqlSession
    from drivers.sample.session import SqliteSession

    facts = make_source(source).probe()
    session: Session
    if source.kind == "sample":
        session = SqliteSession(Path(source.sqlite_path), source.statement_limit_ms)
    else:
        login = Login(
            host=source.host,
            port=source.port,
            database=source.database,
            user=source.user,
            password=source.password,
        )
        session = MySqlSession(login, source.statement_limit_ms)
    return Office(session, facts, region=settings.phone_region)
