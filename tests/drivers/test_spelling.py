"""What is spelled for Open Dental reads back as the same canonical value: the map's own transforms
are the judge."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import phonenumbers
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agent.model.commands import Reason
from agent.model.effects import WriteRefused
from agent.sync import normalize, parts
from agent.sync.datamap import load_map
from agent.sync.normalize import PART
from drivers.opendental import spelling as spell

MAP = load_map("opendental")


def map_words(stream: str, field: str) -> dict[str, str]:
    """The map's list of an enumeration or match row, as written."""
    (row,) = [r for r in MAP.rows if r.stream == stream and r.field == field]
    _, _, listed = row.transform.partition(":")
    return dict(entry.split("=") for entry in listed.split(";"))


@pytest.mark.parametrize(
    ("words", "stream", "field"),
    [
        (spell.APPOINTMENT_STATUS, "appointment", "status"),
        (spell.PATIENT_STATUS, "patient", "status"),
        (spell.GENDER, "patient", "gender"),
        (spell.MARITAL, "patient", "marital_status"),
        (spell.CONTACT, "patient", "preferred_contact"),
        (spell.PRIORITY, "recall", "priority"),
        (spell.MODE, "communication", "mode"),
        (spell.DIRECTION, "communication", "direction"),
        (spell.PERIO, "perio_exam", "measures"),
    ],
)
def test_words_have_the_numbers_the_map_reads(words: Any, stream: str, field: str) -> None:
    listed = map_words(stream, field)
    ours = {str(number): word for word, (number, _) in words.items()}
    assert ours.items() <= listed.items()
    computed = {"attachment_level", "attached_gingiva"}  # never stored
    assert set(listed.values()) - set(ours.values()) <= computed


def test_confirmation_names_are_the_maps() -> None:
    listed = map_words("appointment", "confirmation_category")
    assert list(listed.items()) == list(spell.CONFIRMATION_NAMES)


# --- times ------------------------------------------------------------------------------------

ZONES = st.sampled_from(
    ["America/Chicago", "America/St_Johns", "America/Phoenix", "Australia/Lord_Howe", "UTC"]
)
MOMENTS = st.integers(631_152_000, 2_840_140_800).map(lambda s: datetime.fromtimestamp(s, UTC))


@given(ZONES, MOMENTS)
@settings(max_examples=300)
def test_every_instant_reads_back_or_is_refused(zone: str, at: datetime) -> None:
    said = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    clock = spell.WallClock(zone)
    if at.astimezone(ZoneInfo(zone)).fold:
        with pytest.raises(WriteRefused) as caught:
            clock.wall(said)
        assert caught.value.code == "write.time_ambiguous"
    else:
        assert normalize.LocalTime(zone).utc(clock.wall(said)) == said


def test_the_hour_that_happens_twice() -> None:
    clock = spell.WallClock("America/Chicago")
    assert clock.wall("2026-11-01T06:30:00Z") == "2026-11-01 01:30:00"
    with pytest.raises(WriteRefused):
        clock.wall("2026-11-01T07:30:00Z")
    assert clock.wall("2026-03-08T07:59:59Z") == "2026-03-08 01:59:59"
    assert clock.wall("2026-03-08T08:00:00Z") == "2026-03-08 03:00:00"
    assert clock.of(datetime(2026, 11, 1, 7, 30, tzinfo=UTC)) == "2026-11-01 01:30:00"


@pytest.mark.parametrize("value", ["2026-03-08 03:00:00", "2026-03-08T03:00:00", "", None, "noon"])
def test_a_time_without_a_zone_is_refused(value: Any) -> None:
    with pytest.raises(WriteRefused):
        spell.WallClock("UTC").wall(value)


@given(st.dates(date(1880, 1, 1), date(2100, 1, 1)))
def test_days(day: Any) -> None:
    assert normalize.date(spell.day_of(day.isoformat())) == day.isoformat()


def test_no_day() -> None:
    assert normalize.date(spell.day_of(None)) is None
    for value in ("1879-12-31", "31.12.1990", 5):
        with pytest.raises(WriteRefused):
            spell.day_of(value)


# --- patterns, intervals ----------------------------------------------------------------------

UNITS = st.integers(1, spell.MOST_UNITS)


@given(UNITS)
def test_patterns(units: int) -> None:
    made = spell.pattern_of(units * 5)
    assert normalize.minutes(made) == units * 5
    assert set(made) <= {"X", "/"}
    assert "X" in made


@given(st.text("X/", max_size=60), UNITS)
@settings(max_examples=300)
def test_a_stretched_pattern_keeps_its_ends(pattern: str, units: int) -> None:
    made = spell.stretched(pattern, units * 5)
    assert len(made) == units
    if len(pattern) == units:
        assert made == pattern
    kept = min(len(pattern), units) // 2
    assert made[:kept] == pattern[:kept]
    assert kept == 0 or made[-kept:] == pattern[-kept:]


@pytest.mark.parametrize("minutes", [0, -5, 7, 545, 12.5, "30", None])
def test_lengths_that_are_none(minutes: Any) -> None:
    with pytest.raises(WriteRefused):
        spell.pattern_of(minutes)


PERIODS = st.tuples(
    st.integers(0, 127), st.integers(0, 255), st.integers(0, 255), st.integers(0, 255)
)


@given(PERIODS)
@settings(max_examples=300)
def test_intervals(period: tuple[int, ...]) -> None:
    assume(any(period))
    said = "P" + "".join(f"{n}{u}" for n, u in zip(period, "YMWD", strict=True) if n)
    assert normalize.interval(str(spell.interval_number(said))) == said
    assert spell.interval_text(said) == "{}y{}m{}w{}d".format(*period)


@pytest.mark.parametrize("said", ["P", "6M", "P1.5M", "P300D", "P200Y", "PT5M"])
def test_intervals_that_are_none(said: str) -> None:
    with pytest.raises(WriteRefused):
        spell.interval_number(said)


# --- text, phones, mail -----------------------------------------------------------------------


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x1d")))
@settings(max_examples=300)
def test_text_reads_back_but_for_signs_the_tables_cannot_hold(said: str) -> None:
    wished = normalize.text(said)
    held = normalize.text(spell.text_of(said))
    folded = None
    if wished is not None:
        folded = "".join(
            "\ufffd" if ord(s) > 0xFFFF or 0x2600 <= ord(s) <= 0x27FF else s for s in wished
        )
    assert held == folded
    assert "\n" not in spell.text_of(said).replace("\r\n", "")


def test_names_begin_large() -> None:
    assert spell.name_of("  de   Vries ") == "De Vries"
    assert spell.name_of("éloise") == "Éloise"


@pytest.mark.parametrize("region", ["US", "CA", "GB", "DE", "AU"])
@pytest.mark.parametrize("other", ["US", "CA", "GB", "DE", "AU", "MX", "IN"])
def test_phones_read_back_in_every_office(region: str, other: str) -> None:
    for kind in (phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE):
        example = phonenumbers.example_number_for_type(other, kind)
        assert example is not None
        e164 = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
        spelled = spell.phone_of(e164, region)
        assert normalize.Phone(region)(spelled) == (e164, None)
        assert len(spelled) <= 30


def test_phones_as_the_program_formats_them() -> None:
    assert spell.phone_of("+13125550123", "US") == "(312)555-0123"
    assert spell.phone_of("+442079460958", "US") == "+44 20 7946 0958"
    assert spell.phone_of("+442079460958", "GB") == "020 7946 0958"
    assert spell.phone_digits("1(312)555-0123") == "3125550123"
    for wrong in ("3125550123", "call me"):
        with pytest.raises(WriteRefused):
            spell.phone_of(wrong, "US")


@given(st.lists(st.emails(domains=st.just("example.com")), max_size=3, unique=True))
def test_mail_reads_back(addresses: list[str]) -> None:
    read = normalize.Email()
    assume(all(read(a) == ((a,), None) for a in addresses))  # what the map takes for addresses
    assume(len(",".join(addresses)) <= spell.EMAIL_WIDTH)
    assert read(spell.emails_of(addresses)) == (tuple(addresses), None)


def test_nothing_is_cut() -> None:
    with pytest.raises(WriteRefused) as caught:
        spell.emails_of([f"{'x' * 40}@example.com", f"{'y' * 60}@example.com"])
    assert caught.value.code == "write.text_too_long"


# --- perio ------------------------------------------------------------------------------------

SITES = st.one_of(st.none(), st.integers(0, 19))


@given(
    st.sampled_from(["probing", "gingival_margin", "furcation"]),
    st.integers(1, 32),
    st.lists(SITES, min_size=6, max_size=6),
    st.booleans(),
)
@settings(max_examples=300)
def test_measures_read_back(kind: str, tooth: int, values: list[Any], below: bool) -> None:
    if kind == "gingival_margin" and below:
        values = [-v if v else v for v in values]
    measure = {"kind": kind, "tooth": tooth, **dict(zip(spell.SITES, values, strict=True))}
    if all(value is None for value in values):
        with pytest.raises(WriteRefused):
            spell.measure_of(measure)
        return
    _, _, columns = spell.measure_of(measure)
    number = spell.PERIO[kind][0]
    stored = PART.join(map(str, (number, tooth, *columns.values())))
    words = map_words("perio_exam", "measures")
    (read,) = parts.PerioMeasures(words)(stored)
    said = {name: value for name, value in measure.items() if value is not None}
    assert msgspec.to_builtins(read) == said


@pytest.mark.parametrize(
    ("measure", "reason"),
    [
        ({"kind": "probing", "tooth": 33, "b": 2}, Reason.VALIDATION_FAILED),
        ({"kind": "probing", "tooth": 3, "b": 20}, Reason.VALIDATION_FAILED),
        ({"kind": "probing", "tooth": 3, "b": -2}, Reason.VALIDATION_FAILED),
        ({"kind": "bleeding", "tooth": 3, "b": 16}, Reason.VALIDATION_FAILED),
        ({"kind": "mobility", "tooth": 3, "b": 1}, Reason.VALIDATION_FAILED),
        ({"kind": "mucogingival_junction", "tooth": 3, "l": 1}, Reason.VALIDATION_FAILED),
        ({"kind": "attachment_level", "tooth": 3, "b": 1}, Reason.NOT_SUPPORTED),
    ],
)
def test_measures_that_cannot_be(measure: dict[str, Any], reason: Reason) -> None:
    with pytest.raises(WriteRefused) as caught:
        spell.measure_of(measure)
    assert caught.value.reason is reason


def test_a_tooth_has_one_of_each_kind() -> None:
    one = {"kind": "probing", "tooth": 3, "b": 1}
    with pytest.raises(WriteRefused):
        spell.measures_of([one, one])


def test_a_day_from_now_is_no_refusal() -> None:
    clock = spell.WallClock("America/Chicago")
    for hours in range(48):
        at = datetime(2026, 10, 31, 12, tzinfo=UTC) + timedelta(hours=hours)
        assert len(clock.of(at)) == 19
