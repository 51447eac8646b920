"""One suite for every driver: what ``agent.ports.PmsReader`` promises, whoever keeps the promise.

Open Dental on MariaDB and as the sample's file; Dentrix and Eaglesoft layouts on PostgreSQL through
psqlodbc and on Virtuoso through its own driver; the mini practice on SQLite over ODBC, as a smoke
without a server. What only one driver has is tested beside it (``test_contract``, ``odbc``).
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.errors import PmsDrift
from agent.model.reading import EMPTY_DIGEST, BadRow, Column, Digest, Page, SourceFacts
from agent.model.streams import Stream
from agent.ports import PmsReader, PollingReader
from agent.sandbox.practice.create import PracticePlan
from agent.sandbox.practice.vendors.create import LAYOUTS, create_vendor_practice
from agent.sandbox.practice.vendors.db import OdbcDb
from agent.sync.datamap import load_map
from agent.sync.guards import Verdict, judge_source, marks_of
from drivers.base import digest_of_keys
from drivers.dentrix.source import DentrixSource
from drivers.eaglesoft.source import EaglesoftSource
from drivers.odbc.keys import text_of
from drivers.odbc.login import OdbcLogin
from drivers.odbc.source import OdbcSource
from tests.drivers.conftest import Practice
from tests.drivers.odbc.layouts import PLAIN
from tests.drivers.odbc.offices import LIMITS, FileOffice, every_column
from tests.drivers.test_contract import fill
from tests.support.servers import Postgres, Virtuoso
from tests.support.sqlgate import Gate, gated

ZONE = "America/New_York"
PLAN = PracticePlan(patients=20, years=1, seed=11, zone=ZONE)
OFFICE = "office"
PASSWORD = "pencil-7"


@dataclass
class Subject:
    """A practice and the driver that reads it. ``visits``: table, key and text column of visits in
    the office's own statements. ``spoil`` sets a family's balance to what no driver can give.
    ``rename``: how the engine renames a table; "" where it cannot under a view."""

    source: Any
    run: Any
    visits: tuple[str, str, str]
    map_kind: str = ""
    spoil: Any = None  # (key of a balance, value) -> None
    rename: str = ""
    facts: SourceFacts | None = None
    readers: list[PmsReader] = field(default_factory=list)

    def bound(self) -> SourceFacts:
        """Probe once and bind as the engine does, by the data map."""
        if self.facts is not None:
            return self.facts
        facts: SourceFacts = self.source.probe()
        self.facts = facts
        if self.map_kind:
            compiled = load_map(self.map_kind).compile(facts, zone=ZONE)
            for stream, mapped in compiled.streams.items():
                self.source.bind(stream, mapped.columns)
        else:
            for stream in facts.streams:
                self.source.bind(stream, every_column(self.source, stream))
        return facts

    def reader(self) -> PmsReader:
        made: PmsReader = self.source.open()
        self.readers.append(made)
        return made

    def streams(self, facts: SourceFacts) -> list[Stream]:
        mapped = load_map(self.map_kind).streams if self.map_kind else list(Stream)
        return [s for s in mapped if s in facts.streams and facts.streams[s].readable]


def _vendor_source(layout: str, connection: str, **more: Any) -> OdbcSource:
    login = OdbcLogin(connection=connection, encoding=more.pop("encoding", ""))
    made = DentrixSource if layout == "dentrix" else EaglesoftSource
    return made(login, limits=LIMITS, **more)


VISITS = {
    "dentrix": ("appt", "apptid", "apptreason"),
    "eaglesoft": ("appointment", "appointment_id", "appointment_notes"),
}
BALANCES = {
    "dentrix": ("aging", "guarid", "aging0to30"),
    "eaglesoft": ("patient", "patient_id", "current_bal"),
}


def _on_postgres(layout: str, server: Postgres) -> Subject:
    server.run(f"CREATE DATABASE {layout}")
    connection = server.connection(OFFICE, PASSWORD, layout)
    owner = LAYOUTS[layout].owner
    with closing(OdbcDb(connection, owner)) as db:
        create_vendor_practice(db, layout, PLAN)

    def run(*statements: str) -> None:
        server.run(*(s.replace("{o}", f"{owner}.") for s in statements), database=layout)

    def spoil(key: int, value: str) -> None:
        table, name, money = BALANCES[layout]
        run(f"UPDATE {{o}}{table} SET {money}={value} WHERE {name}='{text_of(key)}'")

    return Subject(
        _vendor_source(layout, connection, zone=ZONE), run, VISITS[layout], layout, spoil,
        "ALTER TABLE {table} RENAME TO {to}",
    )  # fmt: skip


def _on_virtuoso(layout: str, server: Virtuoso) -> Subject:
    owner = LAYOUTS[layout].owner
    server.run(f"DB.DBA.USER_CREATE('{owner}', '{PASSWORD}', vector('SQL_ENABLE', 1))")
    connection = server.connection("dba", "dba")
    with closing(OdbcDb(connection, owner)) as db:
        create_vendor_practice(db, layout, PLAN)

    def run(*statements: str) -> None:
        server.run(*(s.replace("{o}", f"DB.{owner}.") for s in statements))

    source = _vendor_source(layout, connection, encoding="utf-8")
    return Subject(source, run, VISITS[layout], layout)


@pytest.fixture(autouse=True)
def gate() -> Iterator[Gate]:
    """Every statement over ODBC passes the SQL gate."""
    with gated() as standing:
        yield standing


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres(zone=ZONE) as running:
        running.run(f"CREATE ROLE {OFFICE} SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
        yield running


@pytest.fixture(scope="module")
def virtuoso() -> Iterator[Virtuoso]:
    with Virtuoso() as running:
        yield running


@pytest.fixture(scope="module")
def dentrix_postgres(postgres: Postgres) -> Subject:
    return _on_postgres("dentrix", postgres)


@pytest.fixture(scope="module")
def eaglesoft_postgres(postgres: Postgres) -> Subject:
    return _on_postgres("eaglesoft", postgres)


@pytest.fixture(scope="module")
def dentrix_virtuoso(virtuoso: Virtuoso) -> Subject:
    return _on_virtuoso("dentrix", virtuoso)


@pytest.fixture(scope="module")
def eaglesoft_virtuoso(virtuoso: Virtuoso) -> Subject:
    return _on_virtuoso("eaglesoft", virtuoso)


VENDORS = ["dentrix_postgres", "eaglesoft_postgres", "dentrix_virtuoso", "eaglesoft_virtuoso"]
KINDS = [
    pytest.param("myisam", marks=pytest.mark.mariadb),
    pytest.param("innodb", marks=[pytest.mark.mariadb, pytest.mark.slow]),
    "sample",
    *(pytest.param(kind, marks=pytest.mark.odbc) for kind in (*VENDORS, "sqlite")),
]


@pytest.fixture(params=KINDS)
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    kind = request.param
    if kind in VENDORS:
        made: Subject = request.getfixturevalue(kind)
    elif kind == "sqlite":
        office = FileOffice(tmp_path / "office.db", PLAIN)
        office.register(1, 2)
        office.book(1, 2, 3, 4, 5)
        made = Subject(office.source(), office.run, ("visit", "vid", "note"),
                       rename="ALTER TABLE {table} RENAME TO {to}")  # fmt: skip
    else:
        made = request.getfixturevalue(f"_{kind}")
    yield made
    while made.readers:
        made.readers.pop().close()


@pytest.fixture
def _myisam(myisam: Practice) -> Subject:
    return _open_dental(myisam)


@pytest.fixture
def _innodb(innodb: Practice) -> Subject:
    return _open_dental(innodb)


@pytest.fixture
def _sample(tmp_path: Path) -> Subject:
    from tests.drivers.conftest import FilePractice

    return _open_dental(FilePractice(tmp_path / "practice.db"))


def _open_dental(practice: Practice) -> Subject:
    from tests.drivers.conftest import CLEARED

    practice.run(*(f"DELETE FROM {table}" for table in CLEARED))
    fill(practice)
    return Subject(
        practice.source(), practice.run, ("appointment", "AptNum", "Note"), "opendental", None,
        "ALTER TABLE {table} RENAME TO {to}",
    )  # fmt: skip


def walked(reader: PmsReader, stream: Stream, limit: int) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    at = None
    while True:
        page = reader.read_range(stream, at, None, limit)
        assert page.unreadable == ()
        rows += page.rows
        if page.exhausted:
            return rows
        at = page.last


def digest_of(rows: Sequence[tuple[Any, ...]]) -> Digest:
    return Digest(
        len(rows),
        sum(row[1] for row in rows),
        functools.reduce(operator.xor, (row[2] for row in rows), 0),
    )


def test_a_probe_says_what_is_there_and_who_it_is(subject: Subject) -> None:
    facts = subject.bound()
    again = subject.source.probe()
    reader = subject.reader()
    guard = reader.guard()
    assert facts.identity == again.identity == guard.identity
    assert len(facts.identity) == 32
    assert facts.version == guard.version
    assert (guard.update_running, guard.corrupted, guard.rebuilding) == (False, False, False)
    assert {Stream.PATIENT, Stream.APPOINTMENT} <= set(subject.streams(facts))
    for stream in subject.streams(facts):
        found = facts.streams[stream]
        assert found.table in found.tables or stream is Stream.PRACTICE, stream
        assert found.tier in {"hot", "warm", "cold"}
    errors = [f for f in facts.findings if f.severity == "error"]
    assert errors == []


def test_pages_walk_every_stream_once_in_order_and_digests_agree(subject: Subject) -> None:
    facts = subject.bound()
    reader = subject.reader()
    for stream in subject.streams(facts):
        rows = walked(reader, stream, 500)
        keys = [row[0] for row in rows]
        assert all(low < high for low, high in itertools.pairwise(keys)), stream
        assert all(isinstance(part, int) for row in rows for part in row[:3]), stream
        assert all(v is None or isinstance(v, str) for row in rows for v in row[3:]), stream
        assert reader.digest(stream, None, None) == digest_of(rows), stream
        assert reader.key_digest(stream, None, None) == digest_of_keys(keys), stream
        assert reader.max_key(stream) == (keys[-1] if keys else None), stream
        assert reader.read_keys(stream, keys[:7]).rows == rows[:7], stream
        if len(keys) > 4:
            low, high = keys[1], keys[-2]
            inside = rows[2:-1]
            assert reader.digest(stream, low, high) == digest_of(inside), stream
            assert reader.key_digest(stream, low, high) == digest_of_keys(keys[2:-1]), stream
            assert reader.nth_key(stream, low, 2) == keys[3], stream
            assert reader.keys_after(stream, low, 2) == keys[2:4], stream
    assert walked(reader, Stream.PATIENT, 3) == walked(reader, Stream.PATIENT, 500)


def test_an_edit_moves_the_hash_and_a_deletion_takes_the_key_away(subject: Subject) -> None:
    facts = subject.bound()
    reader = subject.reader()
    visits = Stream.APPOINTMENT
    table, key, text = subject.visits
    owned = f"{{o}}{table}" if subject.map_kind in LAYOUTS else table
    before = {row[0]: row[1:3] for row in walked(reader, visits, 500)}
    first, second = sorted(before)[:2]
    subject.run(f"UPDATE {owned} SET {text}='another text' WHERE {key}={first}")
    (edited,) = reader.read_keys(visits, [first]).rows
    assert edited[1:3] != before[first]
    assert "another text" in edited
    subject.run(f"DELETE FROM {owned} WHERE {key}={second}")
    assert [row[0] for row in reader.read_keys(visits, [first, second]).rows] == [first]
    rows = walked(reader, visits, 500)
    assert {row[0] for row in rows} == set(before) - {second}
    assert reader.digest(visits, None, None) == digest_of(rows)
    assert reader.digest(visits, first, second) == EMPTY_DIGEST
    if facts.streams[visits].windowed:
        listed = reader.keys_in_window(visits, date(1990, 1, 1), date(2090, 1, 1), None, 9999)
        assert second not in listed
        assert first in listed


def test_polled_windows_give_the_hashes_of_their_pages(subject: Subject) -> None:
    facts = subject.bound()
    reader = subject.reader()
    polled = [s for s in subject.streams(facts) if facts.streams[s].polled]
    compared = {"eaglesoft": {Stream.APPOINTMENT, Stream.SCHEDULE_BLOCK},
                "opendental": {Stream.SCHEDULE_BLOCK}}  # fmt: skip
    assert {*polled} == compared.get(subject.map_kind, set())
    for stream in polled:
        assert isinstance(reader, PollingReader)
        days = date(1990, 1, 1), date(2090, 1, 1)
        marks = reader.hashes_in_window(stream, *days)
        keys = reader.keys_in_window(stream, *days, None, 9999)
        assert [key for key, _, _ in marks] == keys
        assert keys, stream
        page = reader.read_keys(stream, keys[:100])
        assert [tuple(row[:3]) for row in page.rows] == marks[:100]


def test_what_the_probe_did_not_find_is_drift(subject: Subject) -> None:
    table = subject.bound().streams[Stream.APPOINTMENT].table
    source = subject.source
    for wanted in (Column(table, "NoSuchColumn"), Column("nosuchtable", "x")):
        with pytest.raises(PmsDrift) as caught:
            source.bind(Stream.APPOINTMENT, [wanted])
        assert caught.value.code == "pms.column_missing"


def test_a_table_renamed_under_us_is_drift_until_it_is_back(subject: Subject) -> None:
    if not subject.rename:
        pytest.skip("the engine cannot rename what a view stands on")
    subject.bound()
    reader = subject.reader()
    assert reader.read_range(Stream.APPOINTMENT, None, None, 1).rows
    table = subject.visits[0]
    real = table
    if isinstance(subject.source, OdbcSource):
        real = subject.source.site.tables[
            subject.source.contract.streams[Stream.APPOINTMENT].table
        ].real
    bare = real.rpartition(".")[2]
    prefix = real[: -len(bare)]
    subject.run(subject.rename.format(table=real, to=f"{bare}_x"))
    try:
        with pytest.raises(PmsDrift):
            reader.read_range(Stream.APPOINTMENT, None, None, 1)
    finally:
        back = f"{prefix}{bare}_x" if subject.map_kind in LAYOUTS else f"{bare}_x"
        subject.run(subject.rename.format(table=back, to=bare))
    assert reader.read_range(Stream.APPOINTMENT, None, None, 1).rows


def test_a_bad_row_stands_alone(subject: Subject) -> None:
    if subject.spoil is None:
        pytest.skip("no value this engine stores and its driver cannot give")
    subject.bound()
    reader = subject.reader()
    keys = [row[0] for row in walked(reader, Stream.BALANCE, 500)]
    subject.spoil(keys[1], "'NaN'")
    try:
        page = reader.read_range(Stream.BALANCE, None, None, 500)
        assert page.unreadable == (BadRow(keys[1], "row.undeliverable"),)
        assert [row[0] for row in page.rows] == [keys[0], *keys[2:]]
    finally:
        subject.spoil(keys[1], "10.5")
    assert len(walked(reader, Stream.BALANCE, 500)) == len(keys)


def test_the_clock_is_true_in_the_practices_zone(subject: Subject) -> None:
    facts = subject.bound()
    told = subject.reader().clock()
    assert abs(told.now - datetime.now(UTC)) < timedelta(seconds=3)
    assert facts.zone


def test_a_number_that_fell_is_a_brake(subject: Subject) -> None:
    """The engine stops believing a database whose highest keys went back."""
    facts = subject.bound()
    guard = subject.reader().guard()
    if subject.map_kind == "dentrix":
        # No table of Dentrix is known to keep its highest key for ever.
        assert not guard.high_marks
        assert len(guard.witnesses) >= 2
    marks = marks_of(guard, {})
    assert marks
    same = judge_source(guard, identity=facts.identity, version=facts.version, high_marks=marks)
    assert same is Verdict.OK
    higher = {table: mark + 1 for table, mark in marks.items()}
    fell = judge_source(guard, identity=facts.identity, version=facts.version, high_marks=higher)
    assert fell is Verdict.RESTORED


def test_every_record_is_read_through_the_map(subject: Subject) -> None:
    """No row of a practice is unmappable, and stamps alone are no content."""
    if not subject.map_kind:
        pytest.skip("the mini practice has no map")
    facts = subject.bound()
    reader = subject.reader()
    compiled = load_map(subject.map_kind).compile(facts, zone=ZONE)
    for stream, mapped in compiled.streams.items():
        page: Page = reader.read_range(stream, None, None, 1000)
        seen, bad = mapped.observe(page)
        assert bad == [], stream
        assert len(seen) == len(page.rows)
