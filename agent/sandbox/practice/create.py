"""Create a whole sample practice in SQLite or MariaDB, family by family, in flat memory.

The same seed and ``today`` give the same rows. ``create_practice`` is the way in; ``bulk_history``
adds very many cheap but consistent visits for benches. May import everything beside it.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import msgspec

from agent.errors import ConfigError
from agent.sandbox.practice.bulk import bulk_history
from agent.sandbox.practice.clinical import Course
from agent.sandbox.practice.clockwork import WallClock
from agent.sandbox.practice.money import settle_family
from agent.sandbox.practice.office import Office, Pen, furnish
from agent.sandbox.practice.people import gather, write_merge, write_person
from agent.sandbox.practice.schedule import SlotBook, write_schedule
from agent.sandbox.practice.schema import SchemaVersion
from agent.sandbox.practice.stores import MariaDbStore, SqliteStore, Store
from agent.sandbox.practice.tables import tables_of


class PracticePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to create. ``today`` fixes the office's present day (local), for repeatable rows."""

    patients: int = 1000
    years: int = 2
    seed: int = 1
    clinics: int = 0
    version: str = SchemaVersion.V21_1_9
    zone: str = "America/New_York"
    today: date | None = None
    random_keys: bool = False
    schema_dump: Path | None = None
    bulk_appointments: int = 0
    bulk_procedures: int = 0


class Progress(msgspec.Struct, frozen=True):
    stage: str  # "schedule", "families", "bulk", "keys", "done"
    done: int
    total: int
    rows: int
    elapsed_s: float

    @property
    def eta_s(self) -> float | None:
        return self.elapsed_s / self.done * (self.total - self.done) if self.done else None


class Created(msgspec.Struct, frozen=True):
    patients: int
    rows: int
    took_s: float
    counts: dict[str, int]


def local_today(zone: str) -> date:
    return datetime.now(UTC).astimezone(ZoneInfo(zone)).date()


def read_dump(path: Path) -> str:
    """The text of a mysqldump file, packed or not. Undecodable bytes are replaced."""
    try:
        raw = path.read_bytes()
    except OSError:
        raise ConfigError("practice.dump_unreadable", file=path.name) from None
    if path.suffix == ".gz":
        raw = gzip.decompress(raw)
    return raw.decode("utf-8", errors="replace")


def create_practice(
    store: Store, plan: PracticePlan, on_progress: Callable[[Progress], None] | None = None
) -> Created:
    """Replace the tables in ``store`` by a new practice; returns what was written."""
    begun = time.monotonic()
    today = (plan.today or local_today(plan.zone)).toordinal()
    version = plan.version
    if plan.schema_dump is not None:
        if not isinstance(store, MariaDbStore):
            raise ConfigError("practice.dump_needs_mariadb")
        store.load_dump(read_dump(plan.schema_dump))
        found = store.rows("SELECT ValueString FROM preference WHERE PrefName='DataBaseVersion'")
        version = str(found[0][0]) if found else version
    else:
        store.create_tables(version)
    live = [t.name for t in tables_of(version) if store.columns(t.name)]
    if plan.schema_dump is not None:
        for name in ("schedule", "scheduleop"):
            store.run(f"DELETE FROM {name}")  # a stock schedule of years long gone
    store.begin_bulk([t for t in live if t not in {"definition", "preference"}])
    pen = Pen(store, plan.seed if plan.random_keys else None)
    office = furnish(
        store, pen, wall=WallClock(plan.zone), today=today, years=plan.years,
        patients=plan.patients, clinics=plan.clinics, seed=plan.seed, version=version,
    )  # fmt: skip

    def tell(stage: str, done: int, total: int) -> None:
        if on_progress is not None:
            elapsed = time.monotonic() - begun
            on_progress(Progress(stage, done, total, pen.filler.written, elapsed))

    if plan.random_keys:
        store.run("UPDATE preference SET ValueString='1' WHERE PrefName='RandomPrimaryKeys'")
    days = office.last_day - office.first_day + 1
    for number, _ in enumerate(write_schedule(office, pen)):
        if number % 200 == 0:
            tell("schedule", number, days)
    patients = _families(office, pen, plan, tell)
    if plan.bulk_appointments or plan.bulk_procedures:
        pen.filler.flush()
        keys = [int(k) for (k,) in store.rows("SELECT PatNum FROM patient WHERE PatStatus=0")]
        bulk_history(
            office, pen, keys, plan.bulk_appointments, plan.bulk_procedures,
            lambda done, total: tell("bulk", done, total),
        )  # fmt: skip
    pen.filler.flush()
    tell("keys", 0, 1)
    store.end_bulk()
    counts = {t: int(store.rows(f"SELECT COUNT(*) FROM {t}")[0][0]) for t in live}
    tell("done", 1, 1)
    return Created(patients, pen.filler.written, time.monotonic() - begun, counts)


def _families(
    office: Office, pen: Pen, plan: PracticePlan, tell: Callable[[str, int, int], None]
) -> int:
    book = SlotBook()
    made = family = 0
    told = time.monotonic()
    while made < plan.patients:
        rng = Random(f"{plan.seed}:family:{family}")
        family += 1
        home = gather(office, pen, rng, plan.patients - made)
        charges = []
        for person in home.members:
            charges += Course(office, pen, rng, book, person).run()
        settle_family(office, pen, rng, home, charges)
        for person in home.members:
            write_person(office, pen, rng, home, person)
        made += len(home.members)
        if made < plan.patients and home.head.status == 0 and rng.random() < 0.008:
            write_merge(office, pen, home.head)
            made += 1
        if time.monotonic() - told > 0.5:
            told = time.monotonic()
            tell("families", made, plan.patients)
    return made


__all__ = ["Created", "MariaDbStore", "PracticePlan", "Progress", "SqliteStore", "bulk_history",
           "create_practice", "local_today"]  # fmt: skip
