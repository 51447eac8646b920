"""Open Dental's configuration files, well-formed and otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.model.reading import Severity
from drivers.opendental.discovery import Candidate, read_config, split_host, usual_files

PLAIN = """<?xml version="1.0" encoding="utf-8"?>
<ConnectionSettings>
  <DatabaseConnection>
    <ComputerName>SERVER1</ComputerName>
    <Database>opendental</Database>
    <User>root</User>
    <Password></Password>
    <MySQLPassHash>a1b2c3</MySQLPassHash>
    <NoShowOnStartup>True</NoShowOnStartup>
  </DatabaseConnection>
  <DatabaseType>MySql</DatabaseType>
</ConnectionSettings>
"""


def read(tmp_path: Path, text: str | bytes) -> Candidate:
    path = tmp_path / "FreeDentalConfig.xml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_config(path)


def codes(candidate: Candidate) -> list[str]:
    return [finding.code for finding in candidate.findings]


def test_a_plain_file_names_the_database_and_asks_for_the_password(tmp_path: Path) -> None:
    found = read(tmp_path, PLAIN)
    assert (found.host, found.port, found.database, found.user, found.password) == (
        "SERVER1", 3306, "opendental", "root", "",
    )  # fmt: skip
    assert codes(found) == ["pms.password_encrypted"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_are_read(tmp_path: Path, encoding: str) -> None:
    declared = PLAIN.replace("utf-8", "utf-16" if encoding == "utf-16" else "utf-8")
    assert read(tmp_path, declared.encode(encoding)).host == "SERVER1"


def test_names_count_in_any_case(tmp_path: Path) -> None:
    odd = PLAIN.replace("ComputerName", "computername").replace("Database>", "DATABASE>")
    odd = odd.replace("ConnectionSettings", "connectionSettings")
    assert read(tmp_path, odd).database == "opendental"


def test_a_written_password_is_taken_but_not_shown(tmp_path: Path) -> None:
    found = read(tmp_path, PLAIN.replace("<Password></Password>", "<Password>p&amp;w</Password>"))
    assert found.password == "p&w"
    assert found.findings == ()
    assert "p&w" not in repr(found)


def test_the_connection_string_overrides_the_nodes(tmp_path: Path) -> None:
    written = "Server=db.office.example; Port=3307;DATABASE=od;User Id=r;Pwd='a;b';CharSet=utf8"
    text = PLAIN.replace(
        "<DatabaseConnection>",
        f"<ConnectionString>{written}</ConnectionString><DatabaseConnection>",
    )
    found = read(tmp_path, text)
    assert (found.host, found.port, found.database, found.user, found.password) == (
        "db.office.example", 3307, "od", "r", "a;b",
    )  # fmt: skip


def test_middle_tier_has_no_database_here(tmp_path: Path) -> None:
    text = (
        "<ConnectionSettings><ServerConnection><URI>http://server:9390/x.asmx</URI>"
        "<User>Admin</User></ServerConnection></ConnectionSettings>"
    )
    found = read(tmp_path, text)
    assert codes(found) == ["pms.middle_tier"]
    assert found.host == ""


def test_the_low_privilege_pair_of_the_web_config_is_not_mistaken(tmp_path: Path) -> None:
    text = PLAIN.replace("<User>", "<UserLow>low</UserLow><PasswordLow>x</PasswordLow><User>")
    found = read(tmp_path, text)
    assert (found.user, found.password) == ("root", "")


@pytest.mark.parametrize("missing", ["ComputerName", "Database"])
def test_what_is_missing_is_said_and_never_guessed(tmp_path: Path, missing: str) -> None:
    text = PLAIN.replace(f"<{missing}>", "<Other>").replace(f"</{missing}>", "</Other>")
    found = read(tmp_path, text)
    assert "pms.config_incomplete" in codes(found)
    (finding,) = [f for f in found.findings if f.code == "pms.config_incomplete"]
    assert finding.facts["missing"] == ("host" if missing == "ComputerName" else "database")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not xml",
        "<ConnectionSettings>",
        "<html><body>404</body></html>",
        '<!DOCTYPE c [<!ENTITY x SYSTEM "file:///etc/passwd">]><ConnectionSettings>'
        "<DatabaseConnection><ComputerName>&x;</ComputerName></DatabaseConnection>"
        "</ConnectionSettings>",
        '<!DOCTYPE c [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><ConnectionSettings>&b;'
        "</ConnectionSettings>",
        b"<ConnectionSettings>" + b"<x/>" * 300_000 + b"</ConnectionSettings>",
        b"\x00\xff\xfe broken",
    ],
)
def test_broken_and_hostile_files_are_one_finding(tmp_path: Path, text: str | bytes) -> None:
    found = read(tmp_path, text)
    assert codes(found) == ["pms.config_invalid"]
    assert found.findings[0].severity is Severity.ERROR
    assert (found.host, found.user) == ("", "")


def test_an_absent_or_unreadable_file_is_one_finding(tmp_path: Path) -> None:
    assert codes(read_config(tmp_path / "gone.xml")) == ["pms.config_unreadable"]
    assert codes(read_config(tmp_path)) == ["pms.config_unreadable"]


def test_a_file_with_no_connection_is_incomplete(tmp_path: Path) -> None:
    assert codes(read(tmp_path, "<ConnectionSettings/>")) == ["pms.config_incomplete"]


def test_oracle_is_refused(tmp_path: Path) -> None:
    assert codes(read(tmp_path, PLAIN.replace("MySql<", "Oracle<"))) == [
        "pms.database_kind_unknown"
    ]


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("SERVER", "SERVER", 3306),
        ("SERVER:3307", "SERVER", 3307),
        (" 10.0.0.5:33 ", "10.0.0.5", 33),
        ("[::1]:3307", "::1", 3307),
        ("[::1]", "::1", 3306),
        ("fe80::1", "fe80::1", 3306),
        ("", "", 0),
    ],
)
def test_hosts_carry_their_port(text: str, host: str, port: int) -> None:
    assert split_host(text) == (host, port)


def test_only_files_that_exist_are_offered(tmp_path: Path) -> None:
    (tmp_path / "OpenDentalWebConfig.xml").write_text(PLAIN)
    (tmp_path / "Other.xml").write_text(PLAIN)
    assert [p.name for p in usual_files([tmp_path.as_posix()])] == ["OpenDentalWebConfig.xml"]
