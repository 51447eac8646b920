"""``bridgework practice``: make a sample practice, and let a front desk work in it.

Imports agent.sandbox.practice; must not import drivers, crm or the engine.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
import msgspec

from agent.errors import ConfigError, ExitCode
from agent.sandbox.practice.create import (
    Created,
    MariaDbStore,
    PracticePlan,
    Progress,
    SqliteStore,
    create_practice,
)
from agent.sandbox.practice.desk import Desk, MariaDesk, SqliteDesk
from agent.sandbox.practice.front import DeedKind
from agent.sandbox.practice.life import USUAL_MIX, Life
from agent.sandbox.practice.schema import Engine, SchemaVersion
from agent.sandbox.practice.vendors.create import LAYOUTS, SITE_SAYS, create_vendor_practice
from agent.sandbox.practice.vendors.db import OdbcDb, SqliteDb, VendorDb
from agent.sandbox.practice.vendors.life import MIX as VENDOR_MIX
from agent.sandbox.practice.vendors.life import VendorLife

_PROGRESS_S = 1.0
_STAGES = {"families": "patients", "bulk": "history"}


def _known_zone(_: click.Context, __: click.Parameter, value: str) -> str:
    try:
        return ZoneInfo(value).key
    except (ZoneInfoNotFoundError, ValueError):
        raise click.BadParameter(f"there is no time zone {value!r}") from None


def _target(command: Any) -> Any:
    """The options that say where the practice's database is."""
    options = (
        click.option("--layout", type=click.Choice(["opendental", *LAYOUTS]),
                     default="opendental", show_default=True, help="Whose tables."),
        click.option("--into", type=click.Choice(["sqlite", "mariadb", "odbc"]), default="sqlite",
                     show_default=True,
                     help="Kind of database; mariadb for opendental, odbc for the others."),
        click.option("--connection", default="", envvar="BRIDGEWORK_PRACTICE_CONNECTION",
                     help="ODBC connection string. Better given in the environment."),
        click.option("--path", type=click.Path(dir_okay=False, path_type=Path),
                     default=Path("practice.db"), show_default=True, help="SQLite file."),
        click.option("--host", default="127.0.0.1", show_default=True),
        click.option("--port", type=int, default=3306, show_default=True),
        click.option("--user", default="root", show_default=True),
        click.option("--password", default="", envvar="BRIDGEWORK_PRACTICE_PASSWORD",
                     help="Better given in the environment."),
        click.option("--database", default="opendental", show_default=True),
        click.option("--zone", default="America/New_York", show_default=True, callback=_known_zone,
                     help="Time zone of the practice's wall clock."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def practice() -> None:
    """Make a sample practice, and let it live.

    In the layout of Open Dental, Dentrix or Eaglesoft: one made-up office, in other clothes.
    """


@practice.command()
@_target
@click.option("--patients", type=click.IntRange(1), default=1000, show_default=True)
@click.option("--years", type=click.IntRange(1, 30), default=2, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--clinics", type=click.IntRange(0), default=0, help="0: the feature is off.")
@click.option(
    "--engine", type=click.Choice([e.value for e in Engine]), default="MyISAM", show_default=True
)
@click.option(
    "--version",
    "version",
    type=click.Choice([v.value for v in SchemaVersion]),
    default="21.1.9",
    show_default=True,
    help="Layout of the tables.",
)
@click.option(
    "--schema-dump",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A mysqldump of an empty practice (may be .gz), loaded first and kept.",
)
@click.option("--today", type=click.DateTime(["%Y-%m-%d"]), help="The office's present day.")
@click.option("--random-keys", is_flag=True, help="Primary keys drawn at random.")
@click.option(
    "--rows-appointments",
    type=click.IntRange(0),
    default=0,
    help="Extra old appointments for scale tests.",
)
@click.option(
    "--rows-procedures",
    type=click.IntRange(0),
    default=0,
    help="Extra old procedures for scale tests.",
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable result.")
def create(
    layout: str, into: str, connection: str, path: Path, host: str, port: int, user: str,
    password: str, database: str, zone: str, patients: int, years: int, seed: int, clinics: int,
    engine: str, version: str,
    schema_dump: Path | None, today: datetime | None, rows_appointments: int, rows_procedures: int,
    *, random_keys: bool, as_json: bool,
) -> ExitCode:  # fmt: skip
    """Create a practice; tables of the same name are replaced.

    Exit codes: 0 created, 2 wrong option, 3 the database cannot be reached.
    """
    plan = PracticePlan(
        patients=patients, years=years, seed=seed, clinics=clinics, version=version, zone=zone,
        today=_day(today), random_keys=random_keys, schema_dump=schema_dump,
        bulk_appointments=rows_appointments, bulk_procedures=rows_procedures,
    )  # fmt: skip
    if layout != "opendental":
        return _create_vendor(layout, plan, into, connection, path, as_json=as_json)
    store: SqliteStore | MariaDbStore
    if into == "odbc":
        raise click.UsageError("--into odbc is for --layout dentrix and eaglesoft")
    if into == "sqlite":
        if schema_dump is not None:
            raise ConfigError("practice.dump_needs_mariadb")
        path.parent.mkdir(parents=True, exist_ok=True)
        store = SqliteStore(path)
    else:
        store = MariaDbStore(
            host=host, port=port, user=user, password=password, database=database,
            engine=Engine(engine),
        )  # fmt: skip
    shown = _ProgressLine()
    try:
        made = create_practice(store, plan, shown)
    finally:
        shown.end()
        store.close()
    _say(made, as_json=as_json)
    if not as_json:
        place = {"kind": "sample", "sqlite_path": path.absolute()} if into == "sqlite" else {
            "kind": "opendental", "host": host, "port": port, "database": database, "user": user
        }  # fmt: skip
        for name, value in place.items():
            click.echo(f"  bridgework config set pms.{name} {value}")
        if into == "mariadb":  # a server names its own zone, which need not be the practice's
            click.echo(f"  bridgework config set practice.zone {zone}")
    return ExitCode.OK


def _say(made: Created, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(made).decode())
        return
    speed = made.rows / max(made.took_s, 0.001)
    click.echo(
        f"{made.patients:,} patients, {made.rows:,} rows in {made.took_s:.1f} s "
        f"({speed:,.0f} rows/s)"
    )
    click.echo("\nLet the agent read it:")


def _create_vendor(
    layout: str, plan: PracticePlan, into: str, connection: str, path: Path, *, as_json: bool
) -> ExitCode:
    shown = _ProgressLine()
    with closing(_vendor_db(layout, into, connection, path)) as db:
        try:
            made = create_vendor_practice(db, layout, plan, shown)
        finally:
            shown.end()
    _say(made, as_json=as_json)
    if not as_json:
        click.echo(f"  bridgework config set pms.kind {layout}")
        click.echo("  bridgework config set pms.odbc_connection      (asks for the ODBC string)")
        click.echo(f"  bridgework config set practice.zone {plan.zone}")
        for name, value in SITE_SAYS[layout].items():
            click.echo(f"  bridgework config set pms.{name} {value}")
    return ExitCode.OK


def _vendor_db(layout: str, into: str, connection: str, path: Path) -> VendorDb:
    owner = LAYOUTS[layout].owner
    if into == "mariadb":
        raise click.UsageError("--into mariadb is for --layout opendental")
    if into == "sqlite":
        path.parent.mkdir(parents=True, exist_ok=True)
        return SqliteDb(path, owner)
    if not connection:
        raise click.UsageError("--into odbc needs --connection")
    return OdbcDb(connection, owner)


def _day(moment: datetime | None) -> date | None:
    return moment.date() if moment is not None else None


def _desk(
    into: str, path: Path, host: str, port: int, user: str, password: str, database: str, zone: str
) -> Desk:
    if into == "odbc":
        raise click.UsageError("--into odbc is for --layout dentrix and eaglesoft")
    if into == "sqlite":
        return SqliteDesk(path, zone)
    return MariaDesk.connect(
        host=host, port=port, user=user, password=password, database=database, zone=zone
    )


class _ProgressLine:
    """One line on a terminal, rewritten; a line now and then elsewhere."""

    def __init__(self) -> None:
        self._last = 0.0
        self._open = False

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._last < _PROGRESS_S and progress.stage not in {"keys", "done"}:
            return
        self._last = now
        stage = _STAGES.get(progress.stage, progress.stage)
        line = f"{stage:<10}{progress.done:>10,} of {progress.total:,}"
        if progress.stage == "keys":
            line = "indexes"
        line += f", {progress.rows:,} rows, {progress.elapsed_s:.0f} s"
        if progress.eta_s is not None and progress.stage == "families":
            line += f", about {progress.eta_s:.0f} s left"
        if sys.stderr.isatty():
            click.echo(f"\r{line:<78}", nl=False, err=True)
            self._open = True
        elif progress.stage != "done":
            click.echo(line, err=True)

    def end(self) -> None:
        if self._open:
            click.echo(err=True)


@practice.command()
@_target
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Deeds a second.",
)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--duration", type=click.FloatRange(min=0, min_open=True), help="Seconds.")
@click.option("--changes", type=click.IntRange(1), help="Stop after so many deeds.")
@click.option(
    "--only",
    "kinds",
    type=click.Choice([k.value for k in DeedKind]),
    multiple=True,
    help="Only deeds of this kind. Repeatable.",
)
@click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), help="One line of JSON per deed."
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable summary.")
def live(
    layout: str, into: str, connection: str, path: Path, host: str, port: int, user: str,
    password: str, database: str, zone: str, rate: float, seed: int, duration: float | None,
    changes: int | None,
    kinds: tuple[str, ...], report: Path | None, *, as_json: bool,
) -> ExitCode:  # fmt: skip
    """Work at the front desk until stopped, or for --duration seconds, or for --changes deeds.

    Exit codes: 0 done or stopped, 2 wrong option, 3 the database cannot be reached.
    """
    chosen = {DeedKind(k) for k in kinds}
    desk: Desk | VendorDb
    if layout != "opendental":
        desk = _vendor_db(layout, into, connection, path)
        mix = {k: w for k, w in VENDOR_MIX.items() if not chosen or k in chosen}
        make: Callable[[], Life] = partial(VendorLife, desk, layout, zone=zone, seed=seed, mix=mix)
    else:
        desk = _desk(into, path, host, port, user, password, database, zone)
        mix = {k: w for k, w in USUAL_MIX.items() if not chosen or k in chosen}
        make = partial(Life, desk, seed=seed, mix=mix)
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    counts: Counter[str] = Counter()
    begun = time.monotonic()
    lines = report.open("ab") if report is not None else None
    try:
        life = make()
        for deed in life.run(rate=rate, duration_s=duration, changes=changes, stop=stop):
            counts[deed.kind] += 1
            if lines is not None:
                lines.write(msgspec.json.encode(deed) + b"\n")
                lines.flush()
    finally:
        for number, former in before.items():
            signal.signal(number, former)
        if lines is not None:
            lines.close()
        desk.close()
    took = time.monotonic() - begun
    total = sum(counts.values())
    if as_json:
        click.echo(
            msgspec.json.encode(
                {"deeds": total, "took_s": round(took, 3), "kinds": counts}
            ).decode()
        )
    else:
        kinds_text = ", ".join(f"{k} {n}" for k, n in counts.most_common())
        click.echo(
            f"{total} deeds in {took:.1f} s ({total / max(took, 0.001):.1f}/s): {kinds_text}"
        )
    return ExitCode.OK
