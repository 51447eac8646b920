"""What may have become of a site since it was set up: what the doctor says, and the next step.

Real servers where the thing can be had there; else what a vendor's driver says, given by a reader
process of our own in its stead, through the real connection.
"""

from __future__ import annotations

import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.config.paths import Paths
from agent.config.secrets import FileSecrets
from agent.config.settings import Settings
from agent.errors import PmsRefused
from agent.journal.journal import Journal
from agent.model.reading import Finding
from agent.runtime import causes
from agent.support.messages import Catalogue
from agent.sync.guards import Verdict, judge_source
from drivers.odbc.login import OdbcLogin
from drivers.odbc.source import OdbcSource
from tests.drivers.odbc.layouts import OWNER, PLAIN, ZONE
from tests.drivers.odbc.offices import LIMITS, PostgresOffice
from tests.journal.sealing import TestSeal
from tests.support.clock import HandClock

pytestmark = pytest.mark.odbc

WAITS = {"pms.exclusive"}  # passes by itself: nothing for anybody to do
STAND_IN = """#!{python}
import sys
from pathlib import Path
from drivers.odbc import wire
wire.receive_request(sys.stdin.buffer)
with Path(__file__).with_suffix(".starts").open("a") as starts:
    starts.write("x")
wire.send(sys.stdout.buffer, wire.Failed("connect", {state!r}, {native!r}, {text!r}, "Error"))
"""


@pytest.fixture
def office(postgres_plain: PostgresOffice) -> Iterator[PostgresOffice]:
    postgres_plain.empty()
    postgres_plain.register(1)
    yield postgres_plain
    postgres_plain.close_readers()


def last_of(found: list[Finding]) -> tuple[str, object]:
    """Code and step of what stopped the doctor; its words say what to do, in both languages."""
    code = found[-1].code
    for language in ("en", "es"):
        message = Catalogue.load(language).render(code, found[-1].facts)
        assert message.title
        assert message.next_step or code in WAITS
    return code, found[-1].facts.get("step")


@pytest.mark.parametrize(
    ("state", "native", "text", "code"),
    [
        ("IM014", 0, "The specified DSN contains an architecture mismatch", "pms.driver_bits"),
        ("IM003", 193, "could not be loaded due to system error 193", "pms.driver_bits"),
        ("08001", -75, "Request to start/stop database denied", "pms.exclusive"),
        ("HY000", 0, "the server is in exclusive mode", "pms.exclusive"),
        ("28000", 0, "access was revoked by the vendor", "pms.licence_revoked"),
        ("28000", 0, "the password has expired", "pms.password_expired"),
    ],
)
def test_what_a_vendors_driver_says_becomes_words_and_a_next_step(
    state: str, native: int, text: str, code: str, tmp_path: Path
) -> None:
    reader = tmp_path / "reader"
    reader.write_text(STAND_IN.format(python=sys.executable, state=state, native=native, text=text))
    reader.chmod(reader.stat().st_mode | stat.S_IXUSR)
    login = OdbcLogin(connection="DSN=practice;PWD=pencil-7", reader=str(reader))
    source = OdbcSource(PLAIN, login, zone=ZONE, limits=LIMITS)
    found = source.diagnose()
    assert last_of(found) == (code, "login")
    assert "pencil-7" not in str(found)
    assert last_of(source.diagnose()) == (code, "login")
    # A refused login is not tried again; what may pass is.
    refused = code in {"pms.licence_revoked", "pms.password_expired"}
    assert len(reader.with_suffix(".starts").read_text()) == (1 if refused else 2)


def test_an_expired_password_is_refused_once(office: PostgresOffice) -> None:
    """PostgreSQL tells its log that the password expired, and the client only that it failed."""
    office.server.run(
        "DROP ROLE IF EXISTS late",
        "CREATE ROLE late LOGIN PASSWORD 'right' VALID UNTIL '2020-01-01'",
    )
    source = office.source(user="late", password="right")
    for _ in range(2):
        assert last_of(source.diagnose()) == ("pms.auth_refused", "login")
    assert office.server.logins("late") == 1
    office.server.run("ALTER ROLE late VALID UNTIL 'infinity'")
    renewed = office.source(user="late", password="right").diagnose()
    assert renewed[0].code == "pms.odbc_connected"


def test_rights_taken_away_are_told_apart_from_a_refused_login(office: PostgresOffice) -> None:
    office.run(
        "DROP ROLE IF EXISTS former",
        "CREATE ROLE former LOGIN PASSWORD 'right'",
        f"GRANT USAGE ON SCHEMA {OWNER} TO former",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {OWNER} TO former",
    )
    source = office.source(user="former", password="right")
    assert source.probe().streams
    office.run(f"REVOKE ALL ON ALL TABLES IN SCHEMA {OWNER} FROM former")
    with pytest.raises(PmsRefused) as told:
        source.probe()
    assert told.value.code == "pms.right_missing"
    found = source.diagnose()
    assert found[0].code == "pms.odbc_connected"
    assert last_of(found) == ("pms.right_missing", "rights")


def test_another_server_in_its_place_is_told(
    office: PostgresOffice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = Paths.locate(tmp_path)
    settings = Settings(paths=paths)
    paths.prepare()
    secrets = FileSecrets(tmp_path)
    before = office.reader().guard()
    office.close_readers()  # a database in use is not copied
    file = paths.journal_file(settings.journal_dir)
    file.parent.mkdir(parents=True, exist_ok=True)
    journal = Journal.open(file, seal=TestSeal(), clock=HandClock())
    with journal.turn() as turn:
        turn.set_source(before.identity, Verdict.OK.value, before.high_marks)
    journal.close()

    def told() -> list[Finding]:
        monkeypatch.setattr(causes, "open_source", lambda *_: office.source())
        return causes.server_findings(settings, paths, secrets)

    assert [f.code for f in told()] == ["pms.same_server"]
    office.server.run(
        "DROP DATABASE IF EXISTS moved",
        f"CREATE DATABASE moved TEMPLATE {office.database}",
        database="template1",
    )
    here, office.database = office.database, "moved"
    try:
        assert last_of(told())[0] == "pms.server_replaced"
        reader = office.reader()
        verdict = judge_source(
            reader.guard(),
            identity=before.identity,
            version=before.version,
            high_marks=before.high_marks,
        )
        assert verdict is Verdict.OTHER
    finally:
        office.close_readers()
        office.database = here
