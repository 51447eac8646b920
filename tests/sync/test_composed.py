"""Fields made of several columns: starts in three, states in four, times as one number."""

from __future__ import annotations

from typing import Any

import pytest

from agent.sync.transforms import Same, Toolbox, TransformError, parse

NEW_YORK = Toolbox("America/New_York")


def run(spec: str, *columns: list[str | None]) -> list[Any]:
    transform = parse(spec, NEW_YORK, {})
    made = transform.run(*columns)
    return [made.value] if isinstance(made, Same) else list(made)


@pytest.mark.parametrize(
    ("day", "hour", "minute", "utc"),
    [
        ("2026-07-01", "9", "5", "2026-07-01T13:05:00Z"),
        ("2026-12-01 00:00:00", "16", "30", "2026-12-01T21:30:00Z"),
        ("2026-03-08", "2", "30", "2026-03-08T07:30:00Z"),  # does not exist: moved forward
        ("2026-11-01", "1", "30", "2026-11-01T05:30:00Z"),  # exists twice: the first
        (None, "9", "0", None),
        ("0001-01-01", "9", "0", None),
        ("2026-07-01", None, "0", None),
    ],
)
def test_a_start_in_three_columns(
    day: str | None, hour: str | None, minute: str | None, utc: str | None
) -> None:
    assert run("day_time:h,m", [day], [hour], [minute]) == [utc]


@pytest.mark.parametrize(("hour", "minute"), [("24", "0"), ("9", "60"), ("-1", "0"), ("x", "0")])
def test_what_is_no_time_of_day_is_not_read(hour: str, minute: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the row is parked with its field
        run("day_time:h,m", ["2026-07-01"], [hour], [minute])


def test_the_end_needs_a_unit_the_site_has_said() -> None:
    columns = (["2026-07-01"], ["9"], ["0"], ["8"])
    assert run("day_end:h,m,l*5", *columns) == ["2026-07-01T13:40:00Z"]
    assert run("day_end:h,m,l*", *columns) == [None]
    assert run("units:15", ["4"]) == [60]
    assert run("units:", ["4"]) == [None]
    assert run("units:5", ["0"]) == [None]
    with pytest.raises(TransformError):
        parse("units:ten", NEW_YORK, {})


def test_an_end_counts_the_wall_over_the_night_the_clocks_change() -> None:
    late = (["2026-11-01"], ["0"], ["30"], ["18"])  # 90 minutes on the wall
    assert run("day_end:h,m,l*5", *late) == ["2026-11-01T07:00:00Z"]


@pytest.mark.parametrize(
    ("how", "number", "shown"),
    [
        ("minutes", "570", "09:30"),
        ("seconds", "34200", "09:30"),
        ("hhmm", "930", "09:30"),
        ("", "930", None),
        ("minutes", None, None),
    ],
)
def test_a_time_kept_as_one_number(how: str, number: str | None, shown: str | None) -> None:
    assert run(f"int_clock:{how}", [number]) == [shown]
    wanted = "2026-07-01T13:30:00Z" if shown else None
    assert run(f"int_at:t,{how}", ["2026-07-01"], [number]) == [wanted]


@pytest.mark.parametrize(
    ("how", "number"), [("minutes", "1440"), ("hhmm", "975"), ("seconds", "-1")]
)
def test_a_number_no_day_has(how: str, number: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        run(f"int_clock:{how}", [number])
    with pytest.raises(TransformError):
        parse("int_clock:ticks", NEW_YORK, {})


DENTRIX = "cases:broken!=0?broken;pin!=0?unscheduled;status~150?complete;scheduled"


@pytest.mark.parametrize(
    ("broken", "pin", "status", "word"),
    [
        ("0", "0", "1", "scheduled"),
        ("0", "0", "150", "complete"),
        ("0", "0", "-106", "complete"),  # the same byte, read signed
        ("1", "0", "150", "broken"),
        ("0", "1", "1", "unscheduled"),
        ("0", None, "2", "scheduled"),  # a site that does not grant the pinboard
        (None, None, None, "scheduled"),
    ],
)
def test_the_first_case_that_holds(
    broken: str | None, pin: str | None, status: str | None, word: str
) -> None:
    assert run(DENTRIX, [status], [broken], [pin], [status]) == [word]


def test_cases_list_and_presence() -> None:
    spec = "cases:chair in 7, 8?unscheduled;out*?complete;scheduled"
    assert run(spec, [None] * 4, ["8", "1", "1", "7"], [None, "x", "", "x"]) == [
        "unscheduled", "complete", "scheduled", "unscheduled",
    ]  # fmt: skip
    assert run("cases:chair in ?unscheduled;scheduled", [None], ["7"]) == ["scheduled"]
    assert run("flag_cases:a=N?true;false", [None, None], ["N", "Y"]) == [True, False]
    for wrong in ("cases:nonsense?x", "cases:a=?", "flag_cases:a=1?maybe"):
        with pytest.raises(TransformError):
            parse(wrong, NEW_YORK, {})


def test_small_words() -> None:
    assert run("byte", ["-106", "150", None, "0"]) == ["150", "150", None, "0"]
    assert run("unless:p", ["Ann", "Ann", None], ["0", "7", "0"]) == ["Ann", None, None]
    assert run("answer", ["Y", "n", "-1", "0", "", "maybe", None]) == [
        "granted", "denied", "granted", "denied", "unknown", "unknown", "unknown",
    ]  # fmt: skip
    assert run("always:blockout", ["7"]) == ["blockout"]
    assert run("always:true", ["7"]) == [True]
    assert run("always:1", ["7"]) == [1]
    assert run("wall_clock", ["2026-07-01 09:30:00", None]) == ["09:30", None]
    assert run("span:e", ["2026-07-01 09:30:00", None], ["2026-07-01 10:10:00", None]) == [40, None]
