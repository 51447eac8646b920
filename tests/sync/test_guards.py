"""Verdicts about the source, brakes' arithmetic, pace and back-off."""

from __future__ import annotations

import pytest

from agent.model.reading import SourceGuard
from agent.sync.guards import (
    SEEN,
    BrakeRule,
    Odometer,
    Verdict,
    judge_source,
    marks_of,
    merge_marks,
)
from agent.sync.pace import Backoff, Pace, item_retry_s
from agent.sync.watch import GAP_YOUNG_S, KeyTail


def guard(**facts: object) -> SourceGuard:
    base: dict[str, object] = {
        "identity": "a",
        "version": "21.1.9.0",
        "update_running": False,
        "corrupted": False,
        "rebuilding": False,
        "high_marks": {"patient": 100},
    }
    return SourceGuard(**{**base, **facts})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        ({}, Verdict.OK),
        ({"identity": "b"}, Verdict.OTHER),
        ({"version": "24.3.1.0"}, Verdict.REPROBE),
        ({"update_running": True, "version": "24.3.1.0"}, Verdict.WAIT),
        ({"rebuilding": True, "high_marks": {"patient": 0}}, Verdict.WAIT),
        ({"corrupted": True}, Verdict.CORRUPTED),
        ({"high_marks": {"patient": 99}}, Verdict.RESTORED),
        ({"high_marks": {}}, Verdict.OK),  # not readable any more: that is another finding's
        ({"high_marks": {"patient": 0}}, Verdict.RESTORED),  # emptied
        ({"high_marks": {"patient": 101}}, Verdict.OK),
    ],
)
def test_verdict(facts: dict[str, object], verdict: Verdict) -> None:
    known = {"identity": "a", "version": "21.1.9.0", "high_marks": {"patient": 100}}
    assert judge_source(guard(**facts), **known) is verdict  # type: ignore[arg-type]


LAST = {SEEN + "visit": 50, SEEN + "note": 70, SEEN + "claim": 9}


@pytest.mark.parametrize(
    ("witnesses", "verdict"),
    [
        ({"visit": 50, "note": 70, "claim": 9}, Verdict.OK),
        ({"visit": 49, "note": 70, "claim": 9}, Verdict.OK),  # the newest row was deleted
        ({"visit": 48, "note": 66, "claim": 9}, Verdict.RESTORED),
        ({"visit": 48, "note": 66}, Verdict.RESTORED),  # a right was revoked beside
        ({"visit": 48, "note": 66, "claim": 10}, Verdict.OK),  # somebody is at work
        ({"other": 1, "more": 1}, Verdict.OK),  # watched since just now
        ({}, Verdict.OK),
    ],
)
def test_what_goes_back_in_several_places_at_once_was_restored(
    witnesses: dict[str, int], verdict: Verdict
) -> None:
    live = guard(high_marks={}, witnesses=witnesses)
    assert judge_source(live, identity="a", version="21.1.9.0", high_marks=LAST) is verdict


def test_a_deletion_is_forgotten_with_the_next_look() -> None:
    marks = dict(LAST)
    for witnesses in ({"visit": 49, "note": 70, "claim": 9}, {"visit": 49, "note": 69, "claim": 9}):
        live = guard(high_marks={"patient": 90}, witnesses=witnesses)
        verdict = judge_source(live, identity="a", version="21.1.9.0", high_marks=marks)
        assert verdict is Verdict.OK
        marks = marks_of(live, marks)
    assert marks == {
        "patient": 90, SEEN + "visit": 49, SEEN + "note": 69, SEEN + "claim": 9,
    }  # fmt: skip


def test_first_contact_believes_whatever_is_there() -> None:
    verdict = judge_source(guard(), identity=None, version="21.1.9.0", high_marks={})
    assert verdict is Verdict.OK


def test_marks_only_grow() -> None:
    assert merge_marks({"a": 5, "b": 1}, {"a": 3, "c": 2}) == {"a": 5, "b": 1, "c": 2}


def test_brake_limit_is_the_larger_of_rows_and_share() -> None:
    rule = BrakeRule(20, 0.01)
    assert rule.limit(100) == 20
    assert rule.limit(100_000) == 1000


def test_odometer_forgets_what_left_its_window() -> None:
    meter = Odometer(60)
    assert meter.add(0, 10) == 10
    assert meter.add(59, 5) == 15
    assert meter.total(61) == 5


def test_pace_seeks_the_target_time_and_keeps_the_duty() -> None:
    pace = Pace(rows=1000, target_ms=10, duty=0.1)
    rest = 0.0
    for _ in range(12):
        rest = pace.after(pace.rows, pace.rows * 0.05)  # 0.05 ms a row
    assert 150 <= pace.rows <= 250
    assert rest == pytest.approx(pace.rows * 0.05 / 1000 * 9, rel=0.2)


def test_pace_backs_off_harder_while_the_server_is_slow() -> None:
    pace = Pace(rows=100, target_ms=10, duty=0.5, max_rest_s=100)
    pace.after(100, 10)
    first = pace.after(100, 100)
    second = pace.after(100, 100)
    assert first == pytest.approx(0.2)
    assert second == pytest.approx(0.4)
    assert pace.after(100, 10) == pytest.approx(0.01)


def test_backoff_grows_caps_and_obeys_retry_after() -> None:
    backoff = Backoff(lambda: 1.0, first_s=1, cap_s=8)
    assert [backoff.failed() for _ in range(5)] == [1, 2, 4, 8, 8]
    assert backoff.failed(30) == 30
    backoff.succeeded()
    assert backoff.failed() == 1


def test_item_ladder_ends_at_a_day() -> None:
    assert item_retry_s(0) == 25
    assert item_retry_s(1000) == 86400


def test_key_tail_watches_young_holes() -> None:
    tail = KeyTail(10)
    tail.advance([11, 14], 0.0)
    assert tail.high == 14
    assert sorted(tail.young(1.0)) == [12, 13]
    tail.advance([12], 2.0)
    assert tail.young(3.0) == [13]
    assert tail.young(GAP_YOUNG_S + 1) == []
