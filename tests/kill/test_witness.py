"""The judge finds what it is there for; each rule is broken here on purpose."""

from __future__ import annotations

from tests.e2e.crm_side import Asked
from tests.kill.rig import Write
from tests.kill.witness import judge

EDIT = Asked("edit", "c1", key="7", value="Unit 1", shown="Apt 4")


def kinds(writes: list[Write], state: str = "applied", now: str = "Unit 1") -> list[str]:
    return [one.kind for one in judge(writes, [EDIT], {"c1": state}, lambda _: now).wrong]


def test_one_write_of_what_was_seen_is_right() -> None:
    assert kinds([Write("7", "Apt 4", "Unit 1", True)]) == []


def test_the_practice_may_write_what_it_likes() -> None:
    typed = [Write("7", "Apt 4", "Unit 1", True), Write("7", "Unit 1", "Rear 3", False)]
    assert kinds(typed, now="Rear 3") == []


def test_what_nobody_saw_is_not_replaced() -> None:
    typed = [Write("7", "Apt 4", "Rear 3", False), Write("7", "Rear 3", "Unit 1", True)]
    assert kinds(typed) == ["silent"]


def test_what_is_typed_in_the_moment_of_writing_is_counted_apart() -> None:
    typed = Write("7", "Apt 4", "Rear 3", False, at=10.0)
    for late_s, found in ((0.4, ([], 1)), (5.0, (["silent"], 0))):
        ours = Write("7", "Rear 3", "Unit 1", True, at=10.0 + late_s)
        told = judge([typed, ours], [EDIT], {"c1": "applied"}, lambda _: "Unit 1", moment_s=1.0)
        assert ([one.kind for one in told.wrong], told.raced) == found


def test_a_line_nobody_asked_for() -> None:
    assert kinds([Write("7", "Apt 4", "Unit 9", True)], "rejected", "Unit 9") == ["silent"]


def test_twice() -> None:
    again = [Write("7", "Apt 4", "Unit 1", True), Write("7", "Unit 1", "Apt 4", False),
             Write("7", "Apt 4", "Unit 1", True)]  # fmt: skip
    assert kinds(again) == ["twice"]


def test_applied_and_nowhere_is_lost() -> None:
    assert kinds([], now="Apt 4") == ["lost"]
    assert kinds([]) == []  # it stands there: the witness's line was lost with its server
    assert kinds([Write("7", "Unit 1", "Rear 3", False)], now="Rear 3") == []  # it was replaced


def test_rejected_and_yet_written() -> None:
    assert kinds([Write("7", "Apt 4", "Unit 1", True)], "rejected") == ["twice"]
