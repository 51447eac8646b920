"""What only a real server can do to us: refuse, stall, die, crash a table, hold broken bytes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from agent.errors import PmsBusy, PmsDrift, PmsRefused, PmsUnavailable
from agent.model.reading import Column, Severity
from agent.model.streams import Stream
from drivers.base import Effort
from drivers.opendental.session import Login, MySqlSession
from drivers.opendental.source import OpenDentalSource
from drivers.opendental.streams import known_tables
from tests.drivers.conftest import PASSWORD, USER, ServerPractice
from tests.support.mariadb import MariaDb, free_port
from tests.support.odschema import load_schema

pytestmark = pytest.mark.mariadb


@pytest.fixture
def session(myisam: ServerPractice) -> Iterator[MySqlSession]:
    made = MySqlSession(myisam.login(), 100)
    yield made
    made.close()


def test_the_session_cannot_write_even_with_every_right(myisam: ServerPractice) -> None:
    for engine in ("MyISAM", "InnoDB"):
        myisam.run("DROP TABLE IF EXISTS scratch", f"CREATE TABLE scratch (a int) ENGINE={engine}")
        mighty = MySqlSession(myisam.login(user="root", password=""), 100)
        try:
            for statement in ("INSERT INTO scratch VALUES (1)", "DELETE FROM scratch"):
                with pytest.raises(PmsUnavailable) as caught:
                    mighty.rows(statement)
                assert caught.value.facts["number"] == 1792  # read-only transaction
            assert mighty.rows("SELECT COUNT(*) FROM scratch") == (("0",),)
        finally:
            mighty.close()
            myisam.run("DROP TABLE scratch")


def test_nothing_global_is_touched(myisam: ServerPractice, session: MySqlSession) -> None:
    def settings() -> list[tuple[Any, ...]]:
        link = myisam.server.connect()
        with link.cursor() as cursor:
            cursor.execute(
                "SHOW GLOBAL VARIABLES WHERE Variable_name NOT LIKE '%timestamp%'"
                " AND Variable_name NOT LIKE 'gtid%'"
            )
            found = list(cursor.fetchall())
        link.close()
        return found

    before = settings()
    assert session.rows("SELECT 1") == (("1",),)
    assert settings() == before


def test_a_wrong_password_is_tried_once_and_refused(myisam: ServerPractice) -> None:
    def refusals() -> int:
        link = myisam.server.connect()
        with link.cursor() as cursor:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Access_denied_errors'")
            found = int(cursor.fetchall()[0][1])
        link.close()
        return found

    before = refusals()
    source = OpenDentalSource(myisam.login(password="wrong"))
    with pytest.raises(PmsRefused) as caught:
        source.probe()
    assert caught.value.code == "pms.auth_refused"
    assert "wrong" not in str(caught.value)
    assert refusals() == before + 1


def test_a_statement_over_its_limit_is_cut_by_the_server(session: MySqlSession) -> None:
    started = time.monotonic()
    with pytest.raises(PmsBusy):
        session.rows("SELECT SLEEP(20)")
    took = time.monotonic() - started
    assert 0.4 < took < 2
    assert session.rows("SELECT 1") == (("1",),)  # the connection survived
    with pytest.raises(PmsBusy):
        session.rows("SELECT SLEEP(20)", Effort.DIGEST)
    assert time.monotonic() - started - took > 0.8


def test_a_locked_table_is_busy_and_not_waited_for(
    myisam: ServerPractice, session: MySqlSession
) -> None:
    link = myisam.server.connect(myisam.database)
    with link.cursor() as cursor:
        cursor.execute("LOCK TABLES patient WRITE")
        started = time.monotonic()
        with pytest.raises(PmsBusy):
            session.rows("SELECT PatNum FROM patient LIMIT 1")
        assert time.monotonic() - started < 3
        cursor.execute("UNLOCK TABLES")
    link.close()
    session.rows("SELECT PatNum FROM patient LIMIT 1")


def test_a_killed_connection_is_unavailable_once(
    myisam: ServerPractice, session: MySqlSession
) -> None:
    number = int(session.rows("SELECT CONNECTION_ID()")[0][0])
    myisam.run(f"KILL {number}")
    with pytest.raises(PmsUnavailable):
        session.rows("SELECT 1")
    assert session.rows("SELECT 1") == (("1",),)


def test_a_dead_server_is_unavailable_and_then_found_again() -> None:
    with MariaDb() as server:
        load_schema(server, "od", tables=known_tables())
        login = Login(port=server.port, database="od", user="root")
        source = OpenDentalSource(login, zone="UTC")
        source.probe()
        source.bind(Stream.PROVIDER, [Column("provider", "Abbr")])
        reader = source.open()
        rows = reader.read_range(Stream.PROVIDER, None, None, 10).rows
        before = reader.guard()
        root = server.connect("od")
        with root.cursor() as cursor:
            cursor.execute("FLUSH TABLES")  # MyISAM would need repair otherwise
            cursor.execute("INSERT INTO labcase (LabCaseNum,PatNum) VALUES (1,1)")  # as this does
        root.close()
        server.kill()
        for _ in range(2):
            with pytest.raises(PmsUnavailable):
                reader.read_range(Stream.PROVIDER, None, None, 10)
        server.start()
        assert reader.read_range(Stream.PROVIDER, None, None, 10).rows == rows
        assert reader.guard() == before  # the same identity after a restart
        facts = source.probe()  # opening the table made the server mend it: nobody else is here
        assert facts.streams[Stream.LAB_CASE].readable
        assert not [f for f in facts.findings if f.facts.get("table") == "labcase"]
        reader.close()
        with pytest.raises(PmsUnavailable):
            reader.max_key(Stream.PROVIDER)


def test_a_server_that_accepts_and_says_nothing_times_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("drivers.opendental.session.CONNECT_TIMEOUT_S", 0.2)
    monkeypatch.setattr("drivers.opendental.session.GRACE_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        session = MySqlSession(Login(port=mute.getsockname()[1], user="x"), 100)
        started = time.monotonic()
        with pytest.raises(PmsUnavailable):
            session.rows("SELECT 1")
        assert time.monotonic() - started < 2
        session.close()


def test_drift_is_said_for_what_is_gone(session: MySqlSession) -> None:
    for sql in ("SELECT a FROM nosuchtable", "SELECT nosuchcolumn FROM patient"):
        with pytest.raises(PmsDrift):
            session.rows(sql)
    lost = MySqlSession(Login(port=session._login.port, database="nosuch", user="root"), 100)
    with pytest.raises(PmsDrift) as caught:
        lost.rows("SELECT 1")
    assert caught.value.code == "pms.database_missing"
    lost.close()


def patch_data_file(practice: ServerPractice, table: str, old: bytes, new: bytes) -> None:
    """Damage a value where it lies, as a bad disk or a foreign program would."""
    assert len(old) == len(new)
    practice.run(f"FLUSH TABLES {table}")
    path = practice.server.home / "data" / practice.database / f"{table}.MYD"
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))
    practice.run(f"FLUSH TABLES {table}")


def test_undecodable_text_costs_its_row_and_no_other(myisam: ServerPractice) -> None:
    myisam.run(
        "DELETE FROM commlog",
        "INSERT INTO commlog (CommlogNum,PatNum,Note) VALUES (1,1,'fine'),(2,1,'QZQZQZ'),"
        "(3,1,'also fine'),(9,1,'Zoë')",
    )
    patch_data_file(myisam, "commlog", b"QZQZQZ", b"\xff\xfe\xc3QZQ")
    source = myisam.source()
    source.bind(Stream.COMMUNICATION, [Column("commlog", "Note"), Column("commlog", "PatNum")])
    reader = source.open()
    page = reader.read_range(Stream.COMMUNICATION, None, None, 10)
    assert [(row[0], row[3], row[4]) for row in page.rows] == [
        (1, "fine", "1"), (3, "also fine", "1"), (9, "Zoë", "1"),
    ]  # fmt: skip
    assert [(bad.key, bad.reason) for bad in page.unreadable] == [(2, "text.undecodable")]
    assert page.exhausted
    keyed = reader.read_keys(Stream.COMMUNICATION, [1, 2])
    assert [row[0] for row in keyed.rows] == [1]
    assert [bad.key for bad in keyed.unreadable] == [2]
    whole = reader.read_keys(Stream.COMMUNICATION, [1, 3, 9])
    assert whole.unreadable == ()
    assert [row[1:3] for row in whole.rows] == [row[1:3] for row in page.rows]
    # The digest still counts the broken row: the engine compares what it could read.
    assert reader.digest(Stream.COMMUNICATION, None, None).count == 4
    reader.close()
    myisam.run("DELETE FROM commlog")


def test_a_row_larger_than_a_packet_costs_only_itself(myisam: ServerPractice) -> None:
    # Two values that fit alone but not together: 4 MB is this server's packet.
    myisam.run(
        "ALTER TABLE commlog MODIFY Note longtext, MODIFY Signature longtext NOT NULL",
        "DELETE FROM commlog",
        "INSERT INTO commlog (CommlogNum,PatNum,Note,Signature) VALUES (1,1,'a','b'),(3,1,'c','d')",
        "INSERT INTO commlog (CommlogNum,PatNum,Note,Signature)"
        " VALUES (2,1,REPEAT('x',3000000),REPEAT('y',3000000))",
    )
    source = myisam.source()
    columns = [Column("commlog", "Note"), Column("commlog", "Signature")]
    source.bind(Stream.COMMUNICATION, columns)
    reader = source.open()
    page = reader.read_range(Stream.COMMUNICATION, None, None, 10)
    assert [row[0] for row in page.rows] == [1, 3]
    assert [bad.key for bad in page.unreadable] == [2]
    reader.close()
    myisam.run("DELETE FROM commlog")


def test_a_crashed_table_is_drift_and_spoils_no_other_stream(myisam: ServerPractice) -> None:
    myisam.run("DELETE FROM labcase", "INSERT INTO labcase (LabCaseNum,PatNum) VALUES (1,1),(2,1)")
    source = myisam.source()
    source.bind(Stream.LAB_CASE, [Column("labcase", "PatNum")])
    reader = source.open()
    reader.read_range(Stream.LAB_CASE, None, None, 5)
    myisam.run("FLUSH TABLES labcase")
    index = myisam.server.home / "data" / myisam.database / "labcase.MYI"
    good = index.read_bytes()
    try:
        index.write_bytes(good[:200])
        with pytest.raises(PmsDrift) as caught:
            reader.read_range(Stream.LAB_CASE, None, None, 5)
        assert caught.value.code == "pms.table_crashed"
        facts = source.probe()
        assert not facts.streams[Stream.LAB_CASE].readable
        assert facts.streams[Stream.APPOINTMENT].readable
        (finding,) = [f for f in facts.findings if f.code == "pms.table_crashed"]
        assert finding.facts == {"table": "labcase"}
        again = source.open()
        with pytest.raises(PmsDrift):
            again.max_key(Stream.LAB_CASE)
        again.close()
    finally:
        myisam.run("FLUSH TABLES labcase")
        index.write_bytes(good)
        myisam.run("FLUSH TABLES labcase")
        reader.close()


def grant(practice: ServerPractice, user: str, *grants: str) -> OpenDentalSource:
    practice.run(f"DROP USER IF EXISTS '{user}'@'%'", f"CREATE USER '{user}'@'%'")
    practice.run(*(f"GRANT {text} TO '{user}'@'%'" for text in grants))
    return OpenDentalSource(practice.login(user=user, password=""), zone="UTC")


def codes(findings: Any) -> set[str]:
    return {finding.code for finding in findings}


def test_rights_beyond_select_are_found(myisam: ServerPractice) -> None:
    just = grant(myisam, "just", "SELECT ON od_m.*").probe()
    assert "pms.can_write" not in codes(just.findings)
    elsewhere = grant(myisam, "else", "SELECT ON od_m.*", "ALL ON other.*").probe()
    assert "pms.can_write" not in codes(elsewhere.findings)
    writer = grant(myisam, "writer", "SELECT, UPDATE, DELETE ON `od\\_m`.*").probe()
    (finding,) = [f for f in writer.findings if f.code == "pms.can_write"]
    assert finding.facts == {"rights": "DELETE, UPDATE"}
    mighty = grant(myisam, "mighty", "ALL PRIVILEGES ON *.*").probe()
    assert "pms.can_write" in codes(mighty.findings)


def test_a_table_without_the_right_to_read_it_is_one_stream_less(myisam: ServerPractice) -> None:
    source = grant(
        myisam,
        "partly",
        *(f"SELECT ON od_m.{t}" for t in known_tables() if t not in ("claim", "signalod")),
        "INSERT ON od_m.claim",
    )
    facts = source.probe()
    assert not facts.streams[Stream.CLAIM].readable
    assert facts.streams[Stream.PAYMENT].readable
    assert {"pms.right_missing", "pms.log_missing"} <= codes(facts.findings)
    reader = source.open()
    assert set(reader.tail({}, 10).marks) == {"histappointment", "securitylog"}
    reader.close()


def test_with_the_process_right_the_oldest_statement_is_seen(myisam: ServerPractice) -> None:
    source = grant(myisam, "watcher", "SELECT ON od_m.*", "PROCESS ON *.*")
    source.probe()
    reader = source.open()
    idle = reader.clock()
    assert idle.oldest_open is not None
    assert (idle.now - idle.oldest_open).total_seconds() < 3
    link = myisam.server.connect()
    sleeper = threading.Thread(target=lambda: link.cursor().execute("SELECT SLEEP(3.5)"))
    sleeper.start()
    deadline = time.monotonic() + 8
    seen = 0.0
    while sleeper.is_alive() and time.monotonic() < deadline:
        told = reader.clock()
        assert told.oldest_open is not None
        seen = max(seen, (told.now - told.oldest_open).total_seconds())
        time.sleep(0.1)
    sleeper.join()
    link.close()
    reader.close()
    assert seen >= 3


def test_versions_engines_and_indexes_are_said(
    myisam: ServerPractice, innodb: ServerPractice
) -> None:
    old, new = myisam.source().probe(), innodb.source().probe()
    assert (old.version, new.version) == ("21.1.9.0", "24.3.10.0")
    assert old.identity != new.identity
    assert old.tables["patient"].engine == "MyISAM"
    assert new.tables["patient"].engine == "InnoDB"
    assert "ItemOrderPlanned" not in old.tables["appointment"].columns
    assert "ItemOrderPlanned" in new.tables["appointment"].columns

    def indexed(facts: Any) -> bool:
        return bool(facts.streams[Stream.APPOINTMENT].lanes[0].indexed)

    assert (indexed(old), indexed(new)) == (False, True)
    myisam.run("ALTER TABLE labcase ENGINE=InnoDB")
    try:
        assert "pms.engine_mixed" in codes(myisam.source().probe().findings)
    finally:
        myisam.run("ALTER TABLE labcase ENGINE=MyISAM")


def test_a_large_table_without_a_stamp_index_is_a_note(myisam: ServerPractice) -> None:
    myisam.run("DELETE FROM recall", "INSERT INTO recall (PatNum) SELECT seq FROM seq_1_to_20001")
    found = myisam.source().probe()
    myisam.run("DELETE FROM recall")
    (note,) = [f for f in found.findings if f.code == "pms.index_missing"]
    assert note.facts == {"table": "recall", "column": "DateTStamp", "rows": 20001}


def test_doctor_steps_stop_where_later_ones_cannot_run(myisam: ServerPractice) -> None:
    def steps(**changed: Any) -> list[tuple[Any, str, Severity]]:
        source = OpenDentalSource(myisam.login(**changed))
        return [(f.facts["step"], f.code, f.severity) for f in source.diagnose()]

    ok, wrong = Severity.OK, Severity.ERROR
    reached = [("host", "pms.host_resolved", ok), ("port", "pms.port_open", ok)]
    assert steps() == [
        *reached,
        ("login", "pms.login_ok", ok),
        ("database", "pms.database_found", ok),
        ("version", "pms.version_ok", ok),
        ("rights", "pms.rights_ok", ok),
        ("engine", "pms.engine", ok),
        ("index", "pms.index_ok", ok),
    ]
    assert steps(host="no-such-host.invalid") == [("host", "pms.host_unresolved", wrong)]
    assert steps(port=free_port()) == [reached[0], ("port", "pms.port_closed", wrong)]
    assert steps(password="x") == [*reached, ("login", "pms.login_refused", wrong)]
    login = [*reached, ("login", "pms.login_ok", ok)]
    assert steps(database="nosuch") == [*login, ("database", "pms.database_missing", wrong)]
    myisam.run("CREATE DATABASE IF NOT EXISTS empty_one")
    found = [*login, ("database", "pms.database_found", ok)]
    assert steps(database="empty_one", user="root", password="") == [
        *found,
        ("version", "pms.not_open_dental", wrong),
    ]


def test_another_database_is_not_open_dental(myisam: ServerPractice) -> None:
    source = OpenDentalSource(Login(port=myisam.server.port, database="mysql", user="root"))
    with pytest.raises(PmsDrift) as caught:
        source.probe()
    assert caught.value.code == "pms.not_open_dental"


def test_nobody_learns_the_password(myisam: ServerPractice) -> None:
    login = myisam.login()
    assert PASSWORD not in repr(login)
    assert USER in repr(login)
    assert PASSWORD not in repr(myisam.source())


def test_text_in_another_charset_arrives_as_unicode(myisam: ServerPractice) -> None:
    myisam.run(
        "DELETE FROM referral",
        "ALTER TABLE referral MODIFY LName varchar(100) CHARACTER SET latin1",
        "INSERT INTO referral (ReferralNum,LName,FName) VALUES (1,'Müller','Zoë')",
    )
    try:
        source = myisam.source()
        columns = [Column("referral", "LName"), Column("referral", "FName")]
        source.bind(Stream.REFERRAL_SOURCE, columns)
        reader = source.open()
        page = reader.read_range(Stream.REFERRAL_SOURCE, None, None, 5)
        assert page.rows[0][3:] == ("Müller", "Zoë")
        assert reader.digest(Stream.REFERRAL_SOURCE, None, None).sum48 == page.rows[0][1]
        reader.close()
    finally:
        myisam.run(
            "DELETE FROM referral",
            "ALTER TABLE referral MODIFY LName varchar(100) CHARACTER SET utf8mb3",
        )


def test_wall_time_stays_and_stamps_are_utc(myisam: ServerPractice) -> None:
    myisam.run(
        "DELETE FROM appointment",
        "INSERT INTO appointment (AptNum,AptDateTime,DateTStamp)"
        " VALUES (1,'2026-11-01 01:30:00','2026-07-01 12:00:00')",  # run() writes in UTC
    )
    source = myisam.source()
    source.bind(
        Stream.APPOINTMENT,
        [Column("appointment", "AptDateTime"), Column("appointment", "DateTStamp")],
    )
    reader = source.open()
    row = reader.read_range(Stream.APPOINTMENT, None, None, 5).rows[0]
    assert row[3:] == ("2026-11-01 01:30:00", "2026-07-01 12:00:00")
    reader.close()
    myisam.run("DELETE FROM appointment")


def test_an_unset_zone_is_read_from_the_server_and_said(myisam: ServerPractice) -> None:
    facts = OpenDentalSource(myisam.login()).probe()
    assert facts.zone == "Etc/GMT+7"
    (finding,) = [f for f in facts.findings if f.code == "pms.zone_unknown"]
    assert finding.facts == {"said": "-07:00", "offset_s": -25200, "zone": "Etc/GMT+7"}
    assert myisam.source().probe().zone == "America/Chicago"  # what IT set wins
