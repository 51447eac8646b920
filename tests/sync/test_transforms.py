"""Normalising values: dates, both clock changes, money, phones, e-mail, text, and 1:N parts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import phonenumbers
import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model.entities import PaymentSplit, PerioMeasure, ProcedureRef
from agent.sync import normalize, parts
from agent.sync.normalize import Email, LocalTime, Phone
from agent.sync.transforms import Same, Toolbox, Transform, TransformError, catalogue, parse

CHICAGO = "America/Chicago"
ZONES = (CHICAGO, "America/New_York", "America/Phoenix", "Asia/Kolkata", "Australia/Lord_Howe")
ZERO_DATES = (
    "0000-00-00",
    "0001-01-01",
    "1879-12-31",
    "0000-00-00 00:00:00",
    "0001-01-01 00:00:00",
)


def bound(spec: str, source: str = "t.c") -> Transform:
    return parse(spec, Toolbox(CHICAGO), {}, source)


def run(spec: str, *columns: list[Any]) -> list[Any]:
    transform = bound(spec)
    first, *more = columns
    made = transform.run(transform.first(first) if transform.first else first, *more)
    return [made.value] * len(first) if isinstance(made, Same) else list(made)


# --- dates and times --------------------------------------------------------------------------


@pytest.mark.parametrize("zero", [None, "", *ZERO_DATES])
@pytest.mark.parametrize("word", ["date", "local_time", "arrival"])
def test_no_date_is_null(zero: str | None, word: str) -> None:
    assert run(word, [zero, "2026-03-02 09:30:01"])[0] is None
    assert run(word, [zero, "2026-03-02 09:30:01"])[1] is not None


def test_date_of_a_datetime_column() -> None:
    assert run("date", ["2026-03-02", "2026-03-02 17:00:00"]) == ["2026-03-02", "2026-03-02"]


@pytest.mark.parametrize("bad", ["2026-02-30", "20260302", "yesterday", "2026-W10-1", "2026-3-2"])
def test_what_is_no_date_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match=r"date|day"):
        normalize.date(bad)


@pytest.mark.parametrize(
    ("wall", "utc"),
    [
        ("2026-01-15 08:00:00", "2026-01-15T14:00:00Z"),
        ("2026-07-15 08:00:00", "2026-07-15T13:00:00Z"),
        ("2026-07-15 23:30:05", "2026-07-16T04:30:05Z"),
        ("2026-12-31 18:00:00", "2027-01-01T00:00:00Z"),
        # spring: 02:00-03:00 on 8 March does not exist and moves forward by the gap
        ("2026-03-08 01:59:59", "2026-03-08T07:59:59Z"),
        ("2026-03-08 02:30:00", "2026-03-08T08:30:00Z"),
        ("2026-03-08 03:30:00", "2026-03-08T08:30:00Z"),
        # autumn: 01:00-02:00 on 1 November happens twice; the first is meant
        ("2026-11-01 00:59:59", "2026-11-01T05:59:59Z"),
        ("2026-11-01 01:30:00", "2026-11-01T06:30:00Z"),
        ("2026-11-01 02:00:00", "2026-11-01T08:00:00Z"),
    ],
)
def test_wall_time_to_utc(wall: str, utc: str) -> None:
    assert run("local_time", [wall, "2026-05-05 05:05:05"])[0] == utc
    assert run("local_text", [wall], [wall]) == [wall.replace(" ", "T")]


@given(
    st.lists(
        st.one_of(
            st.none(),
            st.datetimes(datetime(1880, 1, 2), datetime(2200, 1, 1)),  # noqa: DTZ001 - wall time
            # around the changes of these zones
            st.integers(-200_000, 200_000).map(
                lambda s: datetime(2026, 3, 8, 2) + timedelta(seconds=s)  # noqa: DTZ001
            ),
            st.integers(-200_000, 200_000).map(
                lambda s: datetime(2026, 11, 1, 1) + timedelta(seconds=s)  # noqa: DTZ001
            ),
        ),
        min_size=1,
    ),
    st.sampled_from(ZONES),
)
@settings(max_examples=300, deadline=None)
def test_a_column_of_times_is_what_zoneinfo_says(walls: list[datetime | None], zone: str) -> None:
    local = LocalTime(zone)
    texts = [wall and wall.isoformat(" ", "seconds") for wall in walls]
    wanted = [
        wall
        and wall.replace(tzinfo=ZoneInfo(zone), microsecond=0)
        .astimezone(UTC)
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        for wall in walls
    ]
    assert local.utc_column(texts) == wanted
    assert [local.utc(text) for text in texts] == wanted


@pytest.mark.parametrize("bad", ["2026-02-30 10:00:00", "2026-03-02 25:00:00", "soon", "x" * 19])
def test_what_is_no_time_is_refused(bad: str) -> None:
    with pytest.raises((ValueError, LookupError)):
        run("local_time", [bad, "2026-03-02 09:30:00"])


def test_fractions_of_a_second_are_dropped() -> None:
    assert run("local_time", ["2026-03-02 09:30:00.250000"]) == ["2026-03-02T15:30:00Z"]


def test_arrival_at_midnight_sharp_has_not_happened() -> None:
    column = ["2026-03-02 00:00:00", "2026-03-02 09:31:07", None]
    assert run("arrival", column) == [None, "2026-03-02T15:31:07Z", None]
    assert run("arrival", ["2026-03-02 00:00:00"] * 2) == [None, None]


def test_end_is_five_minutes_per_sign_of_elapsed_time() -> None:
    starts = ["2026-03-02 09:30:00", "2026-03-08 01:30:00", "2026-03-02 17:55:00", None]
    patterns = ["//XXXXXX//", "X" * 12, "XX", "XX"]
    transform = bound("end:Pattern")
    assert transform.more == ("Pattern",)
    assert transform.first is not None
    assert list(transform.run(transform.first(starts), patterns)) == [
        "2026-03-02T16:20:00Z",
        "2026-03-08T08:30:00Z",  # an hour later, though the wall clock says two
        "2026-03-03T00:05:00Z",
        None,
    ]


def test_end_without_a_pattern_is_null() -> None:
    transform = bound("end:Pattern")
    assert transform.first is not None
    starts = transform.first(["2026-03-02 09:30:00", "2026-03-02 09:30:00"])
    assert list(transform.run(starts, ["", None])) == [None, None]


def test_date_and_time_columns_together() -> None:
    days = ["2026-03-02", "2026-03-02", "0001-01-01", "2026-03-08"]
    clocks = ["08:00:00", "24:00:00", "08:00:00", "02:30:00"]
    assert run("at:StopTime", days, clocks) == [
        "2026-03-02T14:00:00Z",
        "2026-03-03T06:00:00Z",
        None,
        "2026-03-08T08:30:00Z",
    ]


def test_clock() -> None:
    assert run("clock", ["08:05:00", "00:00:00", "", None]) == ["08:05", "00:00", None, None]
    with pytest.raises(ValueError, match="time of day"):
        run("clock", ["8 o'clock"])


@pytest.mark.parametrize(
    ("packed", "period"),
    [("0", None), ("393216", "P6M"), ("393217", "P6M1D"), ("16777216", "P1Y"), ("512", "P2W")],
)
def test_interval(packed: str, period: str | None) -> None:
    assert run("interval", [packed]) == [period]


# --- money and numbers ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "money"),
    [
        ("0", "0.00"),
        ("-0", "0.00"),
        ("-0.001", "0.00"),
        ("120.5", "120.50"),
        ("2.675", "2.68"),  # a float would say 2.67
        ("2.665", "2.66"),
        ("-75.25", "-75.25"),
        ("1e3", "1000.00"),
        ("1.1e-05", "0.00"),
        ("123456789012345.67", "123456789012345.67"),
        ("", None),
        (None, None),
    ],
)
def test_money(text: str | None, money: str | None) -> None:
    assert run("money", [text]) == [money]


@given(st.decimals(-(10**12), 10**12, allow_nan=False, allow_infinity=False, places=5))
def test_money_rounds_half_to_even(amount: Decimal) -> None:
    wanted = amount.quantize(Decimal("0.01"), ROUND_HALF_EVEN)
    got = normalize.money(str(amount))
    assert got is not None
    assert Decimal(got) == wanted
    assert got.partition(".")[2].isdigit()
    assert len(got.partition(".")[2]) == 2


@pytest.mark.parametrize("bad", ["abc", "NaN", "Infinity", "12,50", "1e500"])
def test_what_is_no_money_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="number"):
        normalize.money(bad)


def test_amount_is_fee_times_units() -> None:
    assert run(
        "amount:A,B", ["45.5", "10", "", "10"], ["1", "0", "1", None], ["0", "0", "1", "2"]
    ) == [
        "45.50",
        "0.00",
        None,
        "20.00",
    ]


def test_family_money_stands_on_the_guarantor_only() -> None:
    assert run("head_money:Guarantor", ["80", "0"], ["1", "1"], ["1", "2"]) == ["80.00", None]


def test_booleans_and_numbers() -> None:
    assert run("bool", ["0", "1", "2", "", None]) == [False, True, True, None, None]
    assert run("int", ["-1", "12", ""]) == [-1, 12, None]
    assert run("is_zero", ["0", "69"]) == [True, False]


def test_keys_of_nothing_are_null() -> None:
    assert run("key", ["0", "-1", "", None, "17"]) == [None, None, None, None, "17"]
    assert run("family_role", ["1", "1", "0"], ["1", "2", "3"]) == ["head", "member", None]


# --- phones and e-mail ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "phone", "raw"),
    [
        ("(503)555-0123", "+15035550123", None),
        ("1(503)555-0123", "+15035550123", None),
        ("503.555.0123", "+15035550123", None),
        ("5035550123", "+15035550123", None),
        ("+44 20 7946 0958", "+442079460958", None),
        ("(503)555-0123 x12", "+15035550123", "(503)555-0123 x12"),
        ("(503)555-0123 cell", "+15035550123", "(503)555-0123 cell"),
        ("work (503)555-0123 or (503)555-0188", None, "work (503)555-0123 or (503)555-0188"),
        ("(555)555-0123", None, "(555)555-0123"),
        ("555-0123", None, "555-0123"),
        ("ask mother", None, "ask mother"),
        ("", None, None),
        (None, None, None),
        ("   ", None, None),
    ],
)
def test_phone(text: str | None, phone: str | None, raw: str | None) -> None:
    assert run("phone", [text]) == [phone]
    assert run("phone_raw", [text]) == [raw]


def library_phone(text: str, region: str) -> str | None:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


@given(
    st.one_of(
        st.from_regex(r"\(?[0-9]{3}\)?[ .-]?[0-9]{3}[ .-]?[0-9]{4}", fullmatch=True),
        st.from_regex(r"\+?1?[ .-]?\([2-9][0-9]{2}\) ?[2-9][0-9]{2}-[0-9]{4}", fullmatch=True),
        st.from_regex(r"(246|242|809|829|849|868|876|658|787|939)[2-9][0-9]{6}", fullmatch=True),
        st.from_regex(r"[0-9()+ .x-]{0,18}", fullmatch=True),
    ),
    st.sampled_from(["US", "CA", "PR", "GB"]),
)
@settings(max_examples=1500, deadline=None)
def test_the_short_cut_says_what_the_library_says(text: str, region: str) -> None:
    assert Phone(region)(text)[0] == library_phone(text.strip(), region)


def test_the_short_cut_agrees_on_every_area_code() -> None:
    phone = Phone("US")
    for area in range(200, 1000):
        for rest in ("2205550", "5550123", "9119999", "7112345"):
            text = f"({area}){rest[:3]}-{rest[3:]}"
            assert phone(text)[0] == library_phone(text, "US"), text


@pytest.mark.parametrize(
    ("text", "emails", "raw"),
    [
        ("Ann.Lee+x@EXAMPLE.com", ("Ann.Lee+x@example.com",), None),
        (
            "a@example.com; b@example.org,c@example.net",
            ("a@example.com", "b@example.org", "c@example.net"),
            None,
        ),
        ("a@example.com b@@example.org", ("a@example.com",), "a@example.com b@@example.org"),
        ("none", (), "none"),
        ("a@example.com;a@example.com", ("a@example.com",), None),
        ("", (), None),
        (None, (), None),
        (" ; ", (), None),
    ],
)
def test_email(text: str | None, emails: tuple[str, ...], raw: str | None) -> None:
    assert run("email", [text]) == [emails]
    assert run("email_raw", [text]) == [raw]


@given(
    st.one_of(
        st.emails(),
        st.from_regex(r"[A-Za-z0-9._+-]{1,70}@[A-Za-z0-9.-]{1,40}\.(com|ORG|test)", fullmatch=True),
    )
)
@settings(max_examples=500, deadline=None)
def test_the_plain_way_says_what_the_library_says(text: str) -> None:
    if any(sign in text for sign in ";, \t\n"):
        return
    try:
        wanted: tuple[str, ...] = (validate_email(text, check_deliverability=False).normalized,)
    except EmailNotValidError:
        wanted = ()
    assert Email()(text)[0] == wanted


# --- text -------------------------------------------------------------------------------------


def test_text_keeps_everything_but_nul_and_returns() -> None:
    column = ["  two\r\nlines\r", "a\0b", "tab\there\x0b", "", None, "  ", "plain"]
    wanted = ["two\nlines", "ab", "tab\there", None, None, None, "plain"]
    assert run("text", column) == wanted
    assert [normalize.text(cell) for cell in column] == wanted


@given(
    st.lists(st.one_of(st.none(), st.text(alphabet="ab \r\n\0\x1d\x1eé", max_size=8)), min_size=1)
)
def test_a_text_column_is_its_cells(column: list[str | None]) -> None:
    assert run("text", column) == [normalize.text(cell) for cell in column]


def test_names_are_composed_and_single_spaced() -> None:
    assert run("name", [" Jose\u0301   de  la Cruz "]) == ["José de la Cruz"]


def test_language() -> None:
    assert run("language", ["SPA", "", "Sign language "]) == ["spa", None, "sign language"]


# --- words ------------------------------------------------------------------------------------


def test_an_unknown_number_becomes_unknown_and_keeps_its_number() -> None:
    toolbox = Toolbox(CHICAGO)
    status = parse("enum:0=patient;1=inactive", toolbox, {}, "")
    enums = {"status": status.run.enumeration}  # type: ignore[attr-defined]
    raw = parse("unmapped:status", toolbox, enums, "")
    column = ["0", "9", "1", ""]
    assert isinstance(raw.run(["0", "1"]), Same)
    assert list(status.run(column)) == ["patient", "unknown", "inactive", None]
    assert list(raw.run(column)) == [None, "9", None, None]
    assert enums["status"].strangers == {"9"}


def test_match_takes_the_first_piece_that_fits() -> None:
    spec = "match:unconfirm=unconfirmed;confirm=confirmed"
    column = ["Unconfirmed", "Appointment Confirmed", "Left Msg", None]
    assert run(spec, column) == ["unconfirmed", "confirmed", "other", None]


def test_flags() -> None:
    assert run("flags:1=all;4=reminder", ["0", "5", "12", None]) == [
        (),
        ("all", "reminder"),
        ("reminder", "other"),
        (),
    ]


def test_consent_and_what_decided_it() -> None:
    answers, flags = ["1", "2", "0", "1", "2", None], ["0", None, "4", "1", "1", None]
    assert run("consent:o.Flags", answers, flags) == [
        "granted",
        "denied",
        "unknown",
        "denied",
        "denied",
        "unknown",
    ]
    assert run("consent_source:o.Flags", answers, flags) == [
        "t.c",
        "t.c",
        None,
        "o.Flags",
        "t.c, o.Flags",
        None,
    ]
    assert run("refusal", ["1", "4", None]) == ["denied", "unknown", "unknown"]
    assert run("refusal_source", ["1", "4", None]) == ["t.c", None, None]


@pytest.mark.parametrize(
    "spec", ["nonsense", "enum:", "enum:1=a;1=b", "unmapped:status", "at:", "name:x", "contains:"]
)
def test_a_wrong_transform_is_refused(spec: str) -> None:
    with pytest.raises(TransformError):
        bound(spec)


def test_every_transform_says_what_it_means() -> None:
    assert all(word.meaning for word in catalogue.values())


# --- 1:N parts --------------------------------------------------------------------------------


def joined(*items: tuple[str, ...]) -> str:
    return "\x1e".join("\x1f".join(item) for item in items)


def test_items_come_in_the_order_of_their_keys() -> None:
    one, other = (("12", "5"), ("19", "0")), (("19", "0"), ("12", "5"))
    wanted = (ProcedureRef("12", "5"), ProcedureRef("19", None))
    assert parts.procedures(joined(*one)) == parts.procedures(joined(*other)) == wanted
    assert parts.keys("10\x1e9\x1e10\x1e0") == ("9", "10")
    assert parts.ordered_keys("10\x1e9\x1e10") == ("10", "9")
    assert parts.first_key("10\x1e9") == "10"
    assert parts.first_key(None) is None


def test_pairs_lose_nothing() -> None:
    value = joined(("Shoe", "9"), ("Allergy", "nuts"), ("Shoe", "10"), ("Empty", ""))
    assert parts.pairs(value) == {"Allergy": "nuts", "Shoe": "10\n9"}
    assert list(parts.pairs(value)) == ["Allergy", "Shoe"]


def test_claim_lines() -> None:
    value = joined(("3", "0", "9", "100", "80", "0", "12.5", "0", "0001-01-01"))
    (line,) = parts.ClaimLines({"1": "received"})(value)
    assert (line.key, line.procedure_key, line.status, line.status_raw) == (
        "3",
        None,
        "unknown",
        "9",
    )
    assert (line.fee_billed, line.write_off, line.date) == ("100.00", "12.50", None)


def test_payment_splits() -> None:
    value = joined(("2", "7", "0", "1", "-20", "2026-03-02", "0", "0"))
    assert parts.PaymentSplits()(value) == (
        PaymentSplit("2", "7", None, "1", "-20.00", "2026-03-02", None, None),
    )


def test_perio_margins_above_a_hundred_are_negative_and_minus_one_is_not_measured() -> None:
    words = {"2": "gingival_margin", "4": "probing"}
    value = joined(
        ("4", "3", "-1", "3", "2", "3", "-1", "4", "5"),
        ("2", "3", "-1", "105", "1", "-1", "0", "101", "2"),
    )
    assert parts.PerioMeasures(words)(value) == (
        PerioMeasure("gingival_margin", 3, None, -5, 1, None, 0, -1, 2),  # type: ignore[arg-type]
        PerioMeasure("probing", 3, None, 3, 2, 3, None, 4, 5),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("bad", ["1", "1\x1f2\x1f3", "\x1e"])
def test_a_list_of_the_wrong_width_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="parts"):
        parts.PaymentSplits()(bad)
