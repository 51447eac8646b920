"""The pure pieces of the ODBC room: keys as numbers, errors as consequences, values, logins."""

from __future__ import annotations

import datetime as dt
import io
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import PmsBusy, PmsDrift, PmsError, PmsRefused, PmsSetup, PmsUnavailable
from drivers.base import RowTrouble
from drivers.odbc import wire
from drivers.odbc.faults import Fault, classify, error_of
from drivers.odbc.keys import HASHED, PACKED, code_of, text_of
from drivers.odbc.lanes import earliest_wall
from drivers.odbc.link import failed
from drivers.odbc.login import OdbcLogin, redacted
from drivers.odbc.page import Assembly
from drivers.odbc.spelling import RowLimit, limit_in, spelled
from drivers.odbc.values import converters, hashed

HALF_PAST_NINE = dt.datetime.fromisoformat("2026-03-02 09:30:00")
PRINTABLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=9)


# --- keys ---------------------------------------------------------------------------------------


@given(PRINTABLE)
def test_a_short_key_is_read_back_exactly(text: str) -> None:
    code = code_of([text])
    assert code is not None
    assert 0 <= code < 1 << 63
    assert text_of(code) == text


@given(st.lists(st.text(min_size=1, max_size=30), min_size=2, max_size=2, unique_by=str.rstrip))
def test_two_keys_are_two_numbers(texts: list[str]) -> None:
    one, other = (code_of([text]) for text in texts)
    assert one is None or one != other


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([7], 7), ([-3], -3), (["1234"], 1234), (["1234  "], 1234), (["  "], None), ([None], None),
        ([], 0), ([""], None), (["A", None], None),
    ],
)  # fmt: skip
def test_a_whole_number_is_itself_and_blank_is_no_key(parts: list[Any], code: int | None) -> None:
    assert code_of(parts) == code


def test_a_leading_zero_is_another_key_and_padding_is_none() -> None:
    assert code_of(["007"]) != code_of(["7"])
    assert code_of(["DDS1 "]) == code_of(["DDS1"])
    assert (code_of(["DDS1"]) or 0) >= PACKED
    assert code_of(["dds1"]) != code_of(["DDS1"]) == code_of(["dds1"], fold=True)
    for long in (["a key of many characters"], ["Zoë"], ["A1", "2"], ["A1", 2]):
        code = code_of(long) or 0
        assert HASHED <= code < PACKED
        assert text_of(code) is None
    assert code_of(["A1", "2"]) == code_of(["A1 ", 2])
    assert code_of(["A1", "2"]) != code_of(["A", "12"])


# --- errors: the table of the facts, row by row ---------------------------------------------------

TABLE = [
    ("connect", "IM002", 0, "Data source name not found", Fault.CONFIG),
    ("connect", "IM014", 0, "architecture mismatch between the Driver and Application",
     Fault.CONFIG),
    ("connect", "01000", 0, "Can't open lib '/x.so' : file not found", Fault.CONFIG),
    ("import", "", 0, "libodbc.so.2: cannot open shared object file", Fault.CONFIG),
    ("connect", "08001", 0, 'FATAL:  database "x" does not exist', Fault.CONFIG),
    ("connect", "42000", 1049, "Unknown database 'x'", Fault.CONFIG),
    ("connect", "28000", 0, "CL034: Bad login", Fault.AUTH),
    ("connect", "28000", -103, "Invalid user ID or password", Fault.AUTH),
    ("connect", "08001", 0, 'password authentication failed for user "x"', Fault.AUTH),
    ("connect", "08001", 0, "no pg_hba.conf entry", Fault.AUTH),
    ("connect", "08001", 0, 'role "x" does not exist', Fault.AUTH),
    ("connect", "HY000", 1045, "Access denied for user", Fault.AUTH),
    ("execute", "42501", 0, "permission denied for table x", Fault.PERMISSION),
    ("execute", "42000", 1142, "SELECT command denied", Fault.PERMISSION),
    ("execute", "42000", 0, "SQ033: Must have select privileges; permission", Fault.PERMISSION),
    ("execute", "42000", -121, "Permission denied: you do not have permission", Fault.PERMISSION),
    ("execute", "42S02", 0, "no table", Fault.DRIFT),
    ("execute", "42703", 0, "column x does not exist", Fault.DRIFT),
    ("execute", "42000", 1305, "FUNCTION x does not exist", Fault.DRIFT),
    ("execute", "42001", 0, "SR: undefined procedure", Fault.DRIFT),
    ("execute", "HY000", 1, "no such table: x", Fault.DRIFT),
    ("execute", "42W33", -141, "Table 'x' not found", Fault.DRIFT),
    ("connect", "08001", 0, "Connection refused", Fault.LINK),
    ("connect", "08001", -100, "Database server not found", Fault.LINK),
    ("connect", "HY000", 2002, "Can't connect to MySQL server", Fault.LINK),
    ("connect", "S2801", 0, "CL033: Connect failed", Fault.LINK),
    ("fetch", "08S01", 0, "Lost connection", Fault.LINK),
    ("execute", "57P01", 0, "terminating connection", Fault.LINK),
    ("execute", "HY000", 5014, "Broken pipe", Fault.LINK),
    ("execute", "08003", 0, "", Fault.LINK),
    ("execute", "40001", 0, "deadlock", Fault.CONTENTION),
    ("execute", "55P03", 0, "canceling statement due to lock timeout", Fault.CONTENTION),
    ("execute", "HY000", 1205, "Lock wait timeout", Fault.CONTENTION),
    ("execute", "HY018", 1969, "Query execution was interrupted", Fault.CONTENTION),
    ("execute", "42W18", -210, "User 'x' has the row in 'y' locked", Fault.CONTENTION),
    ("execute", "HY000", -17042, "record locked", Fault.CONTENTION),
    ("execute", "HY000", 5, "database is locked", Fault.CONTENTION),
    ("execute", "57014", -299, "Statement interrupted by user", Fault.CONTENTION),
    ("execute", "22012", 0, "division by zero", Fault.DATA),
    ("fetch", "07006", 0, "", Fault.DATA),
    ("fetch", "", 0, "", Fault.DATA),
    ("execute", "42601", 0, "syntax error", Fault.OURS),
    ("execute", "42000", 1064, "You have an error in your SQL syntax", Fault.OURS),
    ("execute", "07002", 0, "", Fault.OURS),
    ("execute", "23505", 0, "duplicate key", Fault.OURS),
    ("execute", "HY000", 0, "something odd", Fault.UNKNOWN),
    ("connect", "HY000", -77, "database in exclusive mode", Fault.EXCLUSIVE),
]  # fmt: skip
RAISED = {
    Fault.CONFIG: PmsSetup, Fault.AUTH: PmsRefused, Fault.PERMISSION: PmsRefused,
    Fault.DRIFT: PmsDrift, Fault.LINK: PmsUnavailable, Fault.CONTENTION: PmsBusy,
    Fault.DATA: RowTrouble, Fault.OURS: PmsError, Fault.UNKNOWN: PmsUnavailable,
    Fault.EXCLUSIVE: PmsBusy,
}  # fmt: skip


@pytest.mark.parametrize(("phase", "state", "native", "text", "fault"), TABLE)
def test_what_a_driver_says_has_one_consequence(
    phase: str, state: str, native: int, text: str, fault: Fault
) -> None:
    said = wire.Failed(phase, state, native, text, "Error")
    assert classify(said) is fault
    assert type(error_of(said, "srv1")) is RAISED[fault]


def test_a_revoked_licence_and_an_expired_password_have_words_of_their_own() -> None:
    codes = [
        error_of(wire.Failed("connect", "28000", 0, text, "Error")).code  # type: ignore[union-attr]
        for text in ("access revoked by the vendor", "the password has expired", "bad login")
    ]
    assert codes == ["pms.licence_revoked", "pms.password_expired", "pms.auth_refused"]


def test_what_pyodbc_raises_is_taken_apart() -> None:
    shapes = [
        (("42S02", "[42S02] [M][MariaDB] Table 'x' doesn't exist (1146) (SQLExecDirectW)"),
         "42S02", 1146),
        (("HY000", "[HY000] [SAP][SQL Anywhere]Row locked (-210) (SQLFetch)"), "HY000", -210),
        (("The SQL contains 2 parameter markers, but 1 were supplied", "HY000"), "", 0),
        (("Attempt to use a closed cursor.",), "", 0),
        (("0\x008\x00S\x0001", "x"), "", 0),
    ]  # fmt: skip
    for args, state, native in shapes[:4]:
        told = failed("execute", args, "Error")
        assert (told.state, told.native) == (state, native), args
    assert "\0" not in failed("execute", shapes[4][0], "Error").text


@pytest.mark.parametrize(
    "text",
    [
        "DRIVER={X};UID=dba;PWD=s3cret;HOST=a",
        "UID=dba; pwd = {s3;cr}}et} ;X=1",
        "SET TEMPORARY OPTION CONNECTION_AUTHENTICATION='Company=s3cret;Sig=x'",
        "[28000] ... Password=s3cret (SQLDriverConnect)",
    ],
)
def test_no_secret_survives_redaction(text: str) -> None:
    assert "s3" not in redacted(text)
    assert "cret" not in redacted(text)
    assert "dba" not in redacted(text)


def test_a_login_says_its_string_to_the_driver_only() -> None:
    login = OdbcLogin(driver="SQL Anywhere 17", host="srv:2638", user="u", password="a;b}c",
                      extra="Encryption=NONE")  # fmt: skip
    assert login.text() == (
        "DRIVER={SQL Anywhere 17};SERVER=srv:2638;UID=u;PWD={a;b}}c};Encryption=NONE"
    )
    assert "a;b" not in repr(login)
    given_ = OdbcLogin(connection="DSN=x;UID=u;PWD=p;", user="other", password="q")
    assert given_.text() == "DSN=x;UID=u;PWD=p"
    assert OdbcLogin(dsn="Dental", user="u").text() == "DSN=Dental;UID=u"


# --- values -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "values", "texts"),
    [
        ("t", ["a  ", None, "b\0", "c", ""], ["a", None, "b", "c", ""]),
        ("t", ["a", "b"], ["a", "b"]),
        ("t", ["a", "b "], ["a", "b"]),
        ("t", [5, "x "], ["5", "x"]),
        ("m", [Decimal("1.50"), Decimal("-0.00"), Decimal(100), Decimal("-0.5")],
         ["1.5", "0", "100", "-0.5"]),
        ("m", [Decimal("1E+3"), 2.5, " 7.10 ", None], ["1000", "2.5", "7.1", None]),
        ("d", [dt.date(2026, 3, 2), HALF_PAST_NINE], ["2026-03-02"] * 2),
        ("d", [None, "2026-03-02 00:00:00"], [None, "2026-03-02"]),
        ("s", [HALF_PAST_NINE], ["2026-03-02 09:30:00"]),
        ("s", [dt.date(2026, 3, 2), None], ["2026-03-02 00:00:00", None]),
        ("d", [dt.date(2026, 3, 2), dt.date(1, 1, 1)], ["2026-03-02", "0001-01-01"]),
        ("s", [HALF_PAST_NINE, HALF_PAST_NINE.replace(microsecond=120)],
         ["2026-03-02 09:30:00", "2026-03-02 09:30:00.000120"]),
        ("s", [HALF_PAST_NINE.replace(tzinfo=dt.UTC)], ["2026-03-02 09:30:00+00:00"]),
        ("i", [1, -2, 10**17], ["1", "-2", "100000000000000000"]),
        ("i", [1, None], ["1", None]),
        ("i", [Decimal(7), 2.0], ["7", "2"]),
        ("f", [True, "N", 0, "t"], ["1", "0", "0", "1"]),
        ("k", ["12 ", None, 7, "  "], ["12", None, "7", None]),
        ("a", [b"\x01\xff", dt.time(9, 5), 0.5], ["01FF", "09:05:00", "0.5"]),
    ],
)  # fmt: skip
def test_a_value_has_one_text(kind: str, values: list[Any], texts: list[str | None]) -> None:
    assert list(converters(fold=False)[kind](values)) == texts


def test_money_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        list(converters(fold=False)["m"]([Decimal("NaN")]))


def test_the_hash_cannot_be_fooled_by_where_text_ends() -> None:
    rows: list[tuple[wire.Cell, ...]] = [
        (1, "ab", "c"), (1, "a", "bc"), (1, None, "abc"), (1, "", "abc"), (1, "abc", None),
        (1, "abc"), (2, "ab", "c"),
    ]  # fmt: skip
    sums = hashed(rows)
    assert len(set(sums)) == len(rows)
    assert all(0 <= top < 1 << 48 and -(1 << 63) <= last < 1 << 63 for top, last in sums)


def test_two_rows_of_one_key_are_both_left_out() -> None:
    plan = wire.Fetch("", (), keys=1, kinds="t", slots=(wire.Slot(0),))
    page = Assembly(plan)
    page.take([(2, "b"), (1, "a"), (2, "c"), (None, "d"), (3, "e")])
    told = page.reply()
    assert isinstance(told, wire.Records)
    assert [row[0] for row in told.rows] == [1, 3]
    assert (told.twice, told.seen, told.keyless) == ((2,), 5, 1)


@pytest.mark.parametrize(
    "keys", [[1, 2, 3, 4, 5], [4, 5, 1, 2, 3], [1, 2, 2, 3, 5], [1, 2, 3, 1, None]]
)
@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_page_in_parts_is_the_page(keys: list[int | None], size: int) -> None:
    plan = wire.Fetch("", (), keys=1, kinds="ts", slots=(wire.Slot(1), wire.Slot(0)))
    rows = [(key, f"text {n}", HALF_PAST_NINE) for n, key in enumerate(keys)]
    at_once = Assembly(plan)
    at_once.take(rows)
    page, pipe, parts = Assembly(plan), io.BytesIO(), 0
    for start in range(0, len(rows), size):
        page.take(rows[start : start + size])
        if (part := page.part()) is not None:
            parts += 1
            wire.send(pipe, part)
    wire.send(pipe, page.reply())
    pipe.seek(0)
    told = wire.receive_reply(pipe)
    assert (parts > 1) == (size < len(keys))
    assert told == at_once.reply()
    with pytest.raises(wire.Ended):
        wire.receive_reply(pipe)


def test_a_page_that_fails_on_the_way_is_the_failure() -> None:
    plan = wire.Fetch("", (), keys=1, kinds="t", slots=(wire.Slot(0),))
    page, pipe = Assembly(plan), io.BytesIO()
    page.take([(1, "a")])
    part = page.part()
    assert part is not None
    assert part.rows[0][0] == 1
    wire.send(pipe, part)
    wire.send(pipe, wire.Failed("fetch", "08S01"))
    pipe.seek(0)
    assert wire.receive_reply(pipe) == wire.Failed("fetch", "08S01")


def test_what_something_hangs_on_leaves_whole() -> None:
    gather = wire.Gather("", "SELECT", 1, "t")
    plan = wire.Fetch("", (), keys=1, kinds="", slots=(wire.Slot(0, 0),), gathers=(gather,))
    page = Assembly(plan)
    page.take([(1,), (2,)])
    assert page.part() is None
    page.hang(0, [(2, "b"), (2, "c")])
    told = page.reply()
    assert isinstance(told, wire.Records)
    assert [(row[0], row[3]) for row in told.rows] == [(1, None), (2, "b\x1ec")]


def test_a_limit_is_spelled_as_the_server_wants() -> None:
    sql = "SELECT TOP 5 a FROM t ORDER BY a"
    assert spelled(sql, RowLimit.TOP) == sql
    assert spelled(sql, RowLimit.LIMIT) == "SELECT a FROM t ORDER BY a LIMIT 5"
    assert spelled(sql, RowLimit.FETCH) == "SELECT a FROM t ORDER BY a"
    assert (limit_in(sql), limit_in("SELECT a FROM t")) == (5, 0)


def test_a_lane_reads_the_hour_the_clocks_show_twice_from_its_start() -> None:
    zone = ZoneInfo("America/New_York")  # 1 November 2026: 02:00 becomes 01:00 at 06:00 UTC
    before = dt.datetime(2026, 11, 1, 5, 30, tzinfo=dt.UTC)
    assert earliest_wall(before, zone).isoformat() == "2026-11-01T00:30:00"
    assert earliest_wall(before - dt.timedelta(hours=1), zone).isoformat() == "2026-11-01T00:30:00"
    spring = dt.datetime(2026, 3, 8, 6, 30, tzinfo=dt.UTC)
    assert earliest_wall(spring, zone).isoformat() == "2026-03-08T01:30:00"
