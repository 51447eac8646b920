"""The promises of ``agent.ports.PmsReader`` over ODBC, on three drivers and two kinds of keys."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from agent.errors import PmsDrift
from agent.model.reading import EMPTY_DIGEST, Column, Hint, Stamped
from agent.model.streams import Stream
from drivers.base import digest_of_keys
from drivers.odbc.contract import ServerHash
from drivers.odbc.statements import Where
from tests.drivers.odbc.layouts import PLAIN, ZONE
from tests.drivers.odbc.offices import FileOffice, Office, bind_all
from tests.drivers.test_contract import digest_of, keys_of

pytestmark = [pytest.mark.odbc, pytest.mark.usefixtures("gate")]


def test_a_record_arrives_as_text_in_bound_order(office: Office) -> None:
    office.register(1)
    office.book(10, 11)
    office.plan(10, 3, 2)
    office.run(f"UPDATE {office.p}visit SET chair=NULL, note='Zoë ''n' WHERE vid=11")
    source = office.source()
    source.probe()
    source.bind(
        Stream.APPOINTMENT,
        [
            Column("step", "steps"),
            Column("visit", "note"),
            Column("chair", "title"),
            Column("visit", "pid"),
            Column("visit", "chair"),
            Column("visit", "start_at"),
            Column("fee", "code"),
        ],
    )
    source.bind(
        Stream.PATIENT,
        [Column("person", name) for name in ("active", "balance", "name", "born")],
    )
    reader = source.open()
    try:
        first, second = reader.read_range(Stream.APPOINTMENT, None, None, 10).rows
        assert first[0] == 10
        assert all(isinstance(part, int) for part in first[:3])
        op = str(office_key("OP-1"))
        assert first[3:] == (
            "2\x1fD2\x1f2.5\x1e3\x1fD3\x1f3.5", "visit", "Window", str(office.key(1)), op,
            "2031-03-09 10:30:00", "D3",
        )  # fmt: skip
        assert second[3:] == (
            None, "Zoë 'n", None, str(office.key(1)), None, "2031-03-09 10:30:00", None,
        )  # fmt: skip
        (patient,) = reader.read_range(Stream.PATIENT, None, None, 10).rows
        assert patient[0] == office.key(1)
        assert patient[3:] == ("1", "12.5", "Ohm 1", "1980-02-29")
        (about,) = office.reader().read_range(Stream.PRACTICE, None, None, 5).rows
        assert about[0] == 0
        assert about[3:] == ("9.1", "Maple Street Dental")
    finally:
        reader.close()


def office_key(text: str) -> int:
    from drivers.odbc.keys import code_of

    return code_of([text]) or 0


def test_every_stream_digests_to_what_its_rows_add_up_to(office: Office) -> None:
    office.register(1, 2, 3)
    office.book(10, 11, 12, patient=2)
    office.plan(11, 5, 6)
    reader = office.reader()
    try:
        for stream in office.contract.streams:
            page = reader.read_range(stream, None, None, 1000)
            assert page.rows, stream
            assert page.unreadable == ()
            assert page.exhausted
            assert reader.digest(stream, None, None) == digest_of(page), stream
            assert reader.key_digest(stream, None, None) == digest_of_keys(keys_of(page))
            assert reader.read_keys(stream, keys_of(page)).rows == page.rows, stream
    finally:
        reader.close()


def test_any_change_of_a_carried_value_moves_the_hash_and_a_stamp_alone_does_not(
    office: Office,
) -> None:
    office.register(1)
    office.book(10, 11)
    office.plan(10, 1, 2)
    reader = office.reader()
    try:
        seen = {reader.digest(Stream.APPOINTMENT, None, None)}
        changes = [
            f"UPDATE {office.p}visit SET note='moved' WHERE vid=10",
            f"UPDATE {office.p}visit SET note=NULL WHERE vid=10",
            f"UPDATE {office.p}visit SET note='' WHERE vid=10",
            f"UPDATE {office.p}step SET fee=99.99 WHERE sid=1",
            f"DELETE FROM {office.p}step WHERE sid=2",
            f"UPDATE {office.p}visit SET chair='OP-2' WHERE vid=11",
            f"UPDATE {office.p}visit SET pid=NULL WHERE vid=11",
        ]
        for done, change in enumerate(changes, 1):
            office.run(change)
            seen.add(reader.digest(Stream.APPOINTMENT, None, None))
            assert len(seen) == done + 1, change
        if office.contract is PLAIN:
            before = reader.digest(Stream.APPOINTMENT, None, None)
            office.run(f"UPDATE {office.p}visit SET stamp=NULL")
            assert reader.digest(Stream.APPOINTMENT, None, None) == before
    finally:
        reader.close()


def test_ranges_are_half_open_and_pages_say_when_they_are_all(office: Office) -> None:
    office.register(1)
    office.book(1, 2, 3, 7, 900)
    reader = office.reader()
    try:
        visits = Stream.APPOINTMENT
        page = reader.read_range(visits, 1, 7, 2)
        assert (keys_of(page), page.exhausted) == ([2, 3], False)
        rest = reader.read_range(visits, 3, 7, 2)
        assert (keys_of(rest), rest.exhausted) == ([7], True)
        assert keys_of(reader.read_range(visits, 7, None, 2)) == [900]
        assert keys_of(reader.read_range(visits, None, 2, 9)) == [1, 2]
        assert reader.digest(visits, 1, 7).count == 3
        assert reader.digest(visits, 7, 8) == EMPTY_DIGEST
        assert reader.key_digest(visits, 1, 7) == digest_of_keys([2, 3, 7])
        assert reader.max_key(visits) == 900
        assert reader.nth_key(visits, None, 2) == 2
        assert reader.nth_key(visits, 3, 2) == 900
        assert reader.nth_key(visits, 3, 3) is None
        assert reader.keys_after(visits, 3, 5) == [7, 900]
        office.run(f"DELETE FROM {office.p}visit WHERE vid=2")
        assert keys_of(reader.read_keys(visits, [3, 2, 1])) == [1, 3]
        assert reader.read_keys(visits, []).rows == []
        with pytest.raises(ValueError, match="1000"):
            reader.read_keys(visits, range(1001))
        office.empty()
        assert reader.max_key(visits) is None
    finally:
        reader.close()


def test_patients_keep_one_order_whatever_their_keys_are(office: Office) -> None:
    people = [1, 2, 3, 20, 100]
    office.register(*people)
    keys = sorted(map(office.key, people))
    reader = office.reader()
    try:
        walked: list[Any] = []
        at = None
        while rows := reader.read_range(Stream.PATIENT, at, None, 2).rows:
            walked += [row[0] for row in rows]
            at = rows[-1][0]
        assert walked == keys
        assert reader.keys_after(Stream.PATIENT, keys[1], 9) == keys[2:]
        assert reader.nth_key(Stream.PATIENT, keys[0], 3) == keys[3]
        assert reader.key_digest(Stream.PATIENT, keys[0], keys[2]) == digest_of_keys(keys[1:3])
        part = reader.digest(Stream.PATIENT, keys[0], keys[2])
        assert part == digest_of(reader.read_keys(Stream.PATIENT, keys[1:3]))
    finally:
        reader.close()


def _needs_real_times(office: Office) -> None:
    if office.engine == "sqlite":
        pytest.skip("SQLite compares times as text, and its driver writes them longer")


def test_the_window_holds_the_dates_it_names(office: Office) -> None:
    _needs_real_times(office)
    office.register(1, 2, 3)
    office.book(14, at="2031-03-08 23:59:59")
    office.book(12, at="2031-03-09 00:00:00", patient=2)
    office.book(11, at="2031-03-10 23:30:00", patient=3)
    office.book(13, at="2031-03-11 00:00:00")
    reader = office.reader()
    try:
        first, last = date(2031, 3, 9), date(2031, 3, 10)
        assert reader.keys_in_window(Stream.APPOINTMENT, first, last, None, 10) == [11, 12]
        assert reader.keys_in_window(Stream.APPOINTMENT, first, last, 11, 10) == [12]
        if office.contract is not PLAIN:  # patients are in the window by their visits
            near = sorted([office.key(2), office.key(3)])
            assert reader.keys_in_window(Stream.PATIENT, first, last, None, 10) == near
        marks = reader.hashes_in_window(Stream.APPOINTMENT, first, last)
        page = reader.read_keys(Stream.APPOINTMENT, [11, 12])
        assert marks == [row[:3] for row in page.rows]
        assert reader.keys_in_window(Stream.OPERATORY, first, last, None, 10) == []
    finally:
        reader.close()


def test_lanes_name_keys_by_stamp_and_order_them_by_second_and_row(office: Office) -> None:
    if office.contract is not PLAIN:
        pytest.skip("the layout has no stamps")
    _needs_real_times(office)
    office.register(1)
    office.book(10, 11, 12, 13, 14)
    office.book(15, stamp="2026-05-01 10:00:01")
    office.run(f"UPDATE {office.p}visit SET stamp=NULL WHERE vid=14")
    reader = office.reader()
    try:
        since = datetime(2026, 5, 1, 10, tzinfo=ZoneInfo(ZONE)).astimezone(UTC)
        at = int(since.timestamp())
        expected = [Stamped(k, at, k) for k in (10, 11, 12, 13)] + [Stamped(15, at + 1, 15)]
        for limit in (1, 2, 3, 100):
            walked: list[Stamped] = []
            after = None
            while found := reader.keys_since(Stream.APPOINTMENT, "visit", since, after, limit):
                walked += found
                after = (found[-1].stamp, found[-1].row)
                if len(found) < limit:
                    break
            assert walked == expected, limit
        later = reader.keys_since(
            Stream.APPOINTMENT, "visit", since + timedelta(seconds=1), None, 9
        )
        assert later == expected[-1:]
        with pytest.raises(PmsDrift):
            reader.keys_since(Stream.APPOINTMENT, "step", since, None, 9)
    finally:
        reader.close()


def test_stamps_no_moment_can_be_compared_to_are_no_lane(tmp_path: Path) -> None:
    """As Virtuoso keeps what ``now()`` gives with a zone and what a client sends without."""
    office = FileOffice(tmp_path / "office.db", PLAIN)
    try:
        office.register(1)
        office.book(10, 11)
        assert office.source().probe().streams[Stream.APPOINTMENT].lanes
        office.run("UPDATE visit SET stamp='2026-05-01T10:00:00' WHERE vid=11")
        facts = office.source().probe()
        assert not facts.streams[Stream.APPOINTMENT].lanes
        assert facts.streams[Stream.PATIENT].lanes
        told = [f.facts for f in facts.findings if f.code == "pms.stamps_unordered"]
        assert told == [{"table": "visit"}]
    finally:
        office.close_readers()
        office.link.close()


def test_logs_name_keys_above_their_marks(office: Office) -> None:
    office.run(f"INSERT INTO {office.p}removed VALUES (5, 9, 'n')")
    reader = office.reader()
    try:
        start = reader.tail({}, 100)
        assert (start.hints, start.marks) == ([], {"removed": 5})
        office.run(
            f"INSERT INTO {office.p}removed VALUES (6, 10, 'y')",
            f"INSERT INTO {office.p}removed VALUES (7, 11, 'n')",
        )
        found = reader.tail(start.marks, 100)
        assert found.hints == [
            Hint(Stream.APPOINTMENT, 10, deleted=True), Hint(Stream.APPOINTMENT, 11),
        ]  # fmt: skip
        assert found.marks == {"removed": 7}
    finally:
        reader.close()


def test_the_clock_is_the_servers_read_in_the_practices_zone(office: Office) -> None:
    reader = office.reader()
    try:
        said = reader.clock().now
        if office.engine == "virtuoso":  # its server keeps this computer's zone, whatever that is
            said = said.astimezone(ZoneInfo(ZONE)).replace(
                tzinfo=datetime.now().astimezone().tzinfo
            )
        assert abs(said - datetime.now(UTC)) < timedelta(seconds=3)
    finally:
        reader.close()


def test_facts_say_what_the_site_has_and_findings_what_it_lacks(office: Office) -> None:
    facts = office.source().probe()
    assert all(found.readable for found in facts.streams.values())
    visits, people = facts.streams[Stream.APPOINTMENT], facts.streams[Stream.PATIENT]
    plain = office.contract is PLAIN
    assert visits.windowed
    assert visits.polled is not plain
    assert people.polled is not plain
    assert people.tailed is plain
    assert [lane.name for lane in visits.lanes] == (["visit"] if plain else [])
    assert facts.tables["step"].columns["steps"] == "list"
    assert facts.tables["visit"].columns["pid"] == "bigint"
    assert (facts.version, len(facts.identity)) == ("9.1", 32)
    said = {f.code: f.facts for f in facts.findings}
    assert said["pms.column_unverified"]["column"] == "colour"
    if office.engine != "virtuoso":
        assert said["pms.row_limit"]["spelled"] == "limit"
    assert office.source().probe().identity == facts.identity


def test_binding_what_the_site_lacks_is_drift(office: Office) -> None:
    source = office.source()
    for wanted in (
        Column("visit", "nosuchcolumn"),
        Column("visit", "colour"),  # declared, not verified, and not here
        Column("nosuchtable", "x"),
        Column("step", "code"),  # only its gathered form belongs to a visit
        Column("chair", "nosuchcolumn"),
    ):
        with pytest.raises(PmsDrift) as caught:
            source.bind(Stream.APPOINTMENT, [wanted])
        assert caught.value.code == "pms.column_missing"
    reader = source.open()
    with pytest.raises(PmsDrift):
        reader.read_range(Stream.APPOINTMENT, None, None, 1)
    reader.close()


def test_separators_inside_values_cannot_forge_items(office: Office) -> None:
    office.register(1)
    office.book(10)
    office.run(f"INSERT INTO {office.p}step VALUES (1, 10, 'A\x1fB', 1)")
    reader = office.reader()
    try:
        source = office.source()
        source.bind(Stream.APPOINTMENT, [Column("step", "steps")])
        reading = source.open()
        assert reading.read_keys(Stream.APPOINTMENT, [10]).rows[0][3] == "1\x1fA B\x1f1"
        reading.close()
    finally:
        reader.close()


def test_a_view_is_preferred_and_spells_its_columns_its_own_way(office: Office) -> None:
    office.register(1)
    office.run(
        f"CREATE VIEW {office.p}v_person AS SELECT pid, name AS full_name, born FROM"
        f" {office.p}person"
    )
    try:
        if office.engine == "postgres":
            office.run(f"GRANT SELECT ON {office.p}v_person TO reader")
        if office.engine == "virtuoso":
            # Listed in the catalogue, but not to be read: the base table serves.
            facts = office.source().probe()
            assert "balance" in facts.tables["person"].columns
            office.run(f"GRANT SELECT ON {office.p}v_person TO {office.reader_name}")  # type: ignore[attr-defined]
        source = office.source()
        facts = source.probe()
        assert set(facts.tables["person"].columns) == {"pid", "name", "born"}
        source.bind(Stream.PATIENT, [Column("person", "name")])
        reader = source.open()
        assert reader.read_range(Stream.PATIENT, None, None, 5).rows[0][3:] == ("Ohm 1",)
        reader.close()
    finally:
        office.run(f"DROP VIEW {office.p}v_person")


def test_a_server_that_hashes_saves_the_values_the_way(postgres_plain: Office) -> None:
    """HASH as SQL Anywhere documents it, given to PostgreSQL as a function of that name."""
    office = postgres_plain
    office.empty()
    office.register(1, 2)
    office.book(10, 11)
    office.plan(10, 1)
    office.run(
        "CREATE OR REPLACE FUNCTION public.hash(text, text) RETURNS text LANGUAGE SQL AS"
        " 'SELECT md5($1)'"
    )
    try:
        source = office.source()
        source.contract = msgspec.structs.replace(office.contract, server_hash=ServerHash())
        facts = source.probe()
        assert "pms.server_hash" in {f.code for f in facts.findings}
        bind_all(source, facts)
        reader = source.open()
        office.readers.append(reader)  # type: ignore[arg-type]
        lean = source._bound[Stream.APPOINTMENT].fetch(Where(), what="digest")
        assert "HASH(" in lean.sql
        assert lean.kinds == ""  # the row's values stay at the server
        seen = set()
        for change in (
            "UPDATE office.visit SET note='x' WHERE vid=11",
            "UPDATE office.visit SET note='' WHERE vid=11",
            "UPDATE office.visit SET note=NULL WHERE vid=11",
            "UPDATE office.step SET fee=9 WHERE sid=1",
            "UPDATE office.visit SET chair='OP-2' WHERE vid=11",
        ):
            office.run(change)
            page = reader.read_range(Stream.APPOINTMENT, None, None, 99)
            digest = reader.digest(Stream.APPOINTMENT, None, None)
            assert digest == digest_of(page), change
            seen.add(digest)
        assert len(seen) == 5
    finally:
        office.close_readers()
        office.run("DROP FUNCTION public.hash(text, text)")
