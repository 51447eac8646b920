"""Whatever the new version does, a version that works runs at the end, on a journal it can read."""

from __future__ import annotations

import msgspec
import pytest

from agent.model.updates import Ending
from agent.runtime.updates.watch import Plan, watch
from tests.updates.computer import NOW, Computer, PowerCut, said


def plan(**changes: object) -> Plan:
    """From 1.1.0 to 1.2.0; the made-up installers are called by their versions."""
    usual = Plan("1.1.0", "1.2.0", "1.1.0", {"MODE": "service"}, said("1.1.0"), 60.0, "1.2.0")
    return msgspec.structs.replace(usual, **changes)


def led(computer: Computer, begun: Plan) -> Ending:
    return watch(begun, computer, lambda: NOW)


def test_a_version_that_works_stays() -> None:
    computer = Computer()
    assert led(computer, plan()) is Ending.DONE
    assert (computer.version, computer.journal) == ("1.2.0", 5)
    assert [(o.version, o.before, o.why) for o in computer.told] == [("1.2.0", "1.1.0", "")]


def test_a_version_that_does_not_answer_is_taken_back_with_its_journal() -> None:
    computer = Computer(works={"1.1.0"})
    assert led(computer, plan()) is Ending.TAKEN_BACK
    assert (computer.version, computer.journal, computer.is_up) == ("1.1.0", 4, True)
    order = ["install 1.2.0", "stop", "remove 1.2.0", "journal", "install 1.1.0", "start"]
    assert computer.acts == order
    assert computer.told[0].why == "no_answer"
    assert 60 < computer.clock < 120, "it had its time, and no more"


def test_one_good_answer_before_a_crash_is_not_enough() -> None:
    computer = Computer()
    answers = iter([True, True, False])
    real = computer.report
    computer.report = lambda: real() if next(answers, False) else None  # type: ignore[method-assign]
    assert led(computer, plan(settle_s=20.0)) is Ending.STRANDED  # nobody answers ever after
    assert computer.version == "1.1.0", "the old one was put back all the same"


def test_an_installer_that_fails_half_way_brings_the_old_one_back() -> None:
    computer = Computer(codes={"1.2.0": [1603]})
    assert led(computer, plan()) is Ending.TAKEN_BACK
    assert computer.version == "1.1.0"
    assert computer.told[0].why == "installer_1603"


def test_an_installer_that_refuses_leaves_the_old_one_alone() -> None:
    computer = Computer(codes={"1.2.0": [1625]})
    assert led(computer, plan()) is Ending.FAILED
    assert computer.acts == ["install 1.2.0", "start"]
    assert computer.told[0].why == "installer_1625"


def test_another_installation_is_waited_for() -> None:
    computer = Computer(codes={"1.2.0": [1618, 1618]})
    assert led(computer, plan()) is Ending.DONE
    assert computer.acts.count("install 1.2.0") == 3


def test_an_installation_by_hand_is_watched_the_same() -> None:
    begun = plan(msi="", target="")
    computer = Computer(others=["1.1.0", "", "1.2.0"])
    assert led(computer, begun) is Ending.DONE
    assert computer.told[0].version == "1.2.0"
    assert computer.acts == []
    broken = Computer(others=["1.1.0", "", "1.2.0"], works={"1.1.0"})
    assert led(broken, plan(msi="", target="")) is Ending.TAKEN_BACK
    assert broken.version == "1.1.0"


def test_an_installation_by_hand_that_leaves_nothing_is_mended() -> None:
    computer = Computer(others=["1.1.0", "", "", ""])
    assert led(computer, plan(msi="", target="")) is Ending.TAKEN_BACK
    assert (computer.version, computer.told[0].why) == ("1.1.0", "not_installed")


def test_who_uninstalls_while_we_look_means_it() -> None:
    computer = Computer(works={"1.1.0"})
    sleep = computer.sleep

    def uninstalled(seconds: float) -> None:
        computer.version = ""
        sleep(seconds)

    computer.sleep = uninstalled  # type: ignore[method-assign]
    assert led(computer, plan()) is Ending.FAILED
    assert (computer.version, computer.told[0].why) == ("", "removed")


def test_without_an_installer_to_go_back_to_the_truth_is_told() -> None:
    computer = Computer(works={"1.1.0"})
    assert led(computer, plan(back="")) is Ending.STRANDED
    assert computer.version == "1.2.0", "something that may yet work is not taken away"


def test_the_old_installer_failing_too_is_told() -> None:
    computer = Computer(works={"1.1.0"}, codes={"1.1.0": [1603]})
    assert led(computer, plan()) is Ending.STRANDED
    assert computer.told[0].why == "no_answer+back_1603"


@pytest.mark.parametrize("works", [{"1.1.0", "1.2.0"}, {"1.1.0"}])
def test_the_current_cut_anywhere_ends_the_same(works: set[str]) -> None:
    """After every single act the computer goes off; at its start the plan goes on."""
    whole = Computer(works=set(works))
    expected = led(whole, plan())
    for left in range(1, len(whole.acts) + 1):
        computer = Computer(works=set(works), power=left)
        try:
            ending = led(computer, plan())
        except PowerCut:
            computer.power = 10_000
            computer.is_up = bool(computer.version)  # Windows starts the service
            ending = led(computer, msgspec.json.decode(computer.kept, type=Plan))
        assert ending is expected, f"cut after {left} acts"
        assert computer.version == whole.version
        assert computer.report() is not None
        assert computer.acts.count("install 1.2.0") == 1, "what did not work is not tried again"
