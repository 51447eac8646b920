"""What the load lane computes of what it saw; the lane itself is run by hand (minutes to hours)."""

from __future__ import annotations

from tests.load.__main__ import figures
from tests.load.lane import ROUNDS, Memory, plan

STEADY = (
    "minutes", "edits_per_s", "compared", "most_pending", "sent_s", "drained_s", "agent_cpu",
    "rss_p50_mb", "rss_most_mb", "rss_growth", "agrees", "rounds", "rounds_failed",
)  # fmt: skip
OFFLINE = {"days": 30, "edits": 6000, "sent_s": 3.0, "drained_s": 4.0, "agrees": False}


def test_flat_memory_is_flat_and_the_first_third_may_warm_up() -> None:
    assert Memory([50, 80, 100, 100, 100, 100, 100, 100, 100]).growth == 0.0
    assert round(Memory([100, 100, 100, 100, 110, 110]).growth, 2) == 0.1
    assert Memory([100, 101]).growth == 0.0  # nothing to compare


def test_rows_are_visits_and_procedures() -> None:
    made = plan(10, 100)
    assert (made.bulk_appointments, made.bulk_procedures) == (25, 75)


def test_a_part_left_out_has_no_figures() -> None:
    made = figures({"offline": OFFLINE})
    assert made["differences after offline"].value == 1
    assert "edits a second" not in made


def test_the_share_of_rounds_that_succeeded() -> None:
    steady = dict.fromkeys(STEADY, 1)
    made = figures({"steady": {**steady, "rounds": 6000, "rounds_failed": 3}})
    assert made["rounds that succeeded"] == (99.95, "%")
    none = figures({"steady": {**steady, "rounds": 0, "rounds_failed": 0}})
    assert "rounds that succeeded" not in none  # nothing is no success


def test_rounds_are_read_from_the_agents_own_figures() -> None:
    shown = (
        "# TYPE bridgework_lane_rounds_total counter\n"
        'bridgework_lane_rounds_total{lane="bulk",result="failed"} 1.0\n'
        'bridgework_lane_rounds_total{lane="watch",result="ok"} 5942.0\n'
        'bridgework_stage_seconds_count{stage="send"} 7344.0\n'
    )
    assert ROUNDS.findall(shown) == [("failed", "1.0"), ("ok", "5942.0")]
