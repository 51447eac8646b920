"""The tab Review against a real agent with things that wait: each is decided, and it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QPushButton
from pytestqt.qtbot import QtBot

from agent.cli.stage import Stage
from gui.app import Desktop
from gui.link import Standing
from gui.review.conflicts import Conflicts
from gui.review.parked import Parked
from gui.review.people import People
from gui.review.queue import Queue
from gui.review.tasks import Tasks
from gui.windows.review import Review
from tests.gui import waiting
from tests.gui.conftest import CALM

pytestmark = pytest.mark.xdist_group("gui-review")
WAIT_MS = 20_000


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """An agent without a writer, so that tasks come up; one of everything waits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
        settings = {**CALM, "pms.writer": "none"}
        folder = tmp_path_factory.mktemp("office")
        with Stage(folder, patients=30, seed=7, settings=settings) as stage:
            numbers = waiting.patients(stage, 20)
            waiting.suspect(stage, numbers[12])
            stage.start_agent()
            stage.wait_loaded(60)
            waiting.conflicts(stage, 4)
            waiting.task(stage, numbers[14])
            waiting.task(stage, numbers[15])
            waiting.parked(stage, numbers[16:18])
            waiting.wait(
                stage,
                lambda s: (
                    (s.open_conflicts, s.parked) == (8, 2) and s.tasks_open == 2 and s.suspects
                ),
            )
            yield stage


@pytest.fixture
def review(office: Stage, desktop_at: Callable[[Path], Desktop], qtbot: QtBot) -> Review:
    desktop = desktop_at(office.paths.home)
    desktop.start()
    qtbot.waitUntil(lambda: desktop.link.standing is Standing.UP, timeout=WAIT_MS)
    desktop.window.bring_up("review")
    tab = desktop.window.tab
    assert isinstance(tab, Review)
    return tab


def shown(review: Review, name: str, qtbot: QtBot) -> Queue:
    """The queue with its first line's detail."""
    review.show_queue(name)
    queue = review.queues[name]
    qtbot.waitUntil(
        lambda: bool(queue.view.held.rows) and queue.detail.count() > 1, timeout=WAIT_MS
    )
    return queue


def press(queue: Queue, name: str, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: queue.findChild(QPushButton, name) is not None, timeout=WAIT_MS)
    found = queue.findChild(QPushButton, name)
    assert found is not None
    qtbot.mouseClick(found, Qt.MouseButton.LeftButton)


def test_a_conflict_by_keyboard_and_taken_back(review: Review, office: Stage, qtbot: QtBot) -> None:
    queue = shown(review, "conflicts", qtbot)
    assert isinstance(queue, Conflicts)
    qtbot.waitUntil(lambda: len(queue.rows) == 2, timeout=WAIT_MS)
    before = waiting.wait(office, lambda s: s.open_conflicts > 0).open_conflicts
    told = [found.text() for found in queue.findChildren(QLabel)]
    assert sum(text.startswith("read ") for text in told) == 2  # when each side's value came
    assert sum(text.startswith("asked ") and "CRM's clock" in text for text in told) == 2
    qtbot.waitUntil(
        lambda: all("patient" not in line.title for line in queue.view.held.rows), timeout=WAIT_MS
    )
    first = queue.view.chosen[0].ident
    assert not queue.save.isEnabled()
    hints = {row.conflict.line.field: row.hint.text() for row in queue.rows}
    assert hints == {"address": "Probably the CRM's: it says more.", "city": ""}
    qtbot.waitUntil(  # Qt shows what was put into a layout when it comes round
        lambda: (
            [row.hint.isVisible() for row in queue.rows]
            == [bool(row.hint.text()) for row in queue.rows]
        ),
        timeout=WAIT_MS,
    )
    queue.view.setFocus()
    qtbot.keyClick(queue.view, Qt.Key.Key_1)
    assert queue.rows[0].winner == "pms"
    qtbot.keyClick(queue.view, Qt.Key.Key_2)
    assert queue.rows[1].winner == "crm"
    assert not any(row.hint.isVisible() for row in queue.rows)
    held = {row.field: row.result.text() for row in queue.rows}
    assert held[queue.rows[1].field] in {"Birch Hollow", queue.rows[1].crm.words.text()}
    qtbot.keyClick(queue.view, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: queue.undo.isVisible(), timeout=WAIT_MS)
    waiting.wait(office, lambda s: s.open_conflicts == before - 2)
    qtbot.waitUntil(
        lambda: bool(queue.view.chosen) and queue.view.chosen[0].ident != first, timeout=WAIT_MS
    )
    qtbot.mouseClick(queue.undo.button, Qt.MouseButton.LeftButton)
    waiting.wait(office, lambda s: s.open_conflicts == before)


def test_the_same_choice_for_many(review: Review, office: Stage, qtbot: QtBot) -> None:
    queue = shown(review, "conflicts", qtbot)
    assert isinstance(queue, Conflicts)
    qtbot.waitUntil(queue.bulk_button.isEnabled, timeout=WAIT_MS)
    press(queue, "many", qtbot)
    at = next(n for n in range(queue.kind.count()) if tuple(queue.kind.itemData(n))[1] == "city")
    queue.kind.setCurrentIndex(at)
    qtbot.waitUntil(lambda: queue.apply.isEnabled(), timeout=WAIT_MS)
    assert queue.apply.text() == "Keep the practice's for 4 items"
    looked = [found.text() for found in queue.findChildren(QLabel)]
    assert looked.count("Alder Falls") == 4
    assert looked.count("Birch Hollow") == 4
    queue.remember.setChecked(True)
    press(queue, "apply", qtbot)
    waiting.wait(office, lambda s: s.open_conflicts == 4)
    policies = shown(review, "policies", qtbot)
    assert policies.view.held.rows[0].title == "City (patients)"


def test_what_matches_is_hidden_until_wanted(review: Review, qtbot: QtBot) -> None:
    queue = shown(review, "conflicts", qtbot)
    qtbot.waitUntil(lambda: queue.findChild(QPushButton, "matching") is not None, timeout=WAIT_MS)
    opener = queue.findChild(QPushButton, "matching")
    assert opener is not None
    assert "matching field" in opener.text()
    born = [found for found in queue.findChildren(QLabel) if found.text() == "Born"]
    assert born
    assert not any(found.isVisible() for found in born)
    opener.click()
    qtbot.waitUntil(lambda: any(found.isVisible() for found in born), timeout=WAIT_MS)


def test_a_person_is_linked(review: Review, office: Stage, qtbot: QtBot) -> None:
    queue = shown(review, "people", qtbot)
    assert isinstance(queue, People)
    candidate = queue.view.chosen[0].what.candidates[0]
    press(queue, f"same-{candidate}", qtbot)
    waiting.wait(office, lambda s: s.suspects == 0)
    queue.state.setCurrentIndex(queue.state.findData("linked"))
    qtbot.waitUntil(
        lambda: [r.detail for r in queue.view.held.rows] == [f"patient {candidate}"],
        timeout=WAIT_MS,
    )


def test_two_people_of_the_crm_are_joined_and_taken_apart(
    review: Review, office: Stage, qtbot: QtBot
) -> None:
    """The patient linked before turns up a second time in the CRM."""
    number = waiting.patients(office, 20)[12]
    twin = waiting.suspect(office, number)
    waiting.wait(office, lambda s: s.suspects == 1)
    queue = shown(review, "people", qtbot)
    assert isinstance(queue, People)
    assert queue.view.chosen[0].ident == twin
    press(queue, "merge", qtbot)
    waiting.wait(office, lambda s: s.suspects == 0)
    qtbot.waitUntil(lambda: queue.undo.isVisible(), timeout=WAIT_MS)
    queue.state.setCurrentIndex(queue.state.findData("merged"))
    qtbot.waitUntil(lambda: [r.ident for r in queue.view.held.rows] == [twin], timeout=WAIT_MS)
    press(queue, "unmerge", qtbot)
    qtbot.waitUntil(lambda: not queue.view.held.rows, timeout=WAIT_MS)
    # For itself again, as somebody who is nobody of the practice until a person says so.
    waiting.wait(office, lambda s: s.suspects <= 1)


def test_a_task_is_done_and_the_agent_finds_it(review: Review, office: Stage, qtbot: QtBot) -> None:
    queue = shown(review, "tasks", qtbot)
    assert isinstance(queue, Tasks)
    qtbot.waitUntil(lambda: queue.findChild(QPushButton, "done") is not None, timeout=WAIT_MS)
    open_before = waiting.wait(office, lambda s: s.tasks_open > 0).tasks_open
    press(queue, "done", qtbot)
    waiting.wait(office, lambda s: s.tasks_open == open_before - 1)


def test_a_task_cannot_be_done_and_the_crm_hears(
    review: Review, office: Stage, qtbot: QtBot
) -> None:
    queue = shown(review, "tasks", qtbot)
    assert isinstance(queue, Tasks)
    qtbot.waitUntil(lambda: queue.findChild(QPushButton, "cannot") is not None, timeout=WAIT_MS)
    cannot = queue.findChild(QPushButton, "cannot")
    assert cannot is not None
    assert not cannot.isEnabled()  # a reason is wanted
    queue.note.setText("The patient moved away.")
    qtbot.mouseClick(cannot, Qt.MouseButton.LeftButton)
    waiting.wait(office, lambda s: s.tasks_open == 0)


def test_parked_records_are_left_and_tried_again(
    review: Review, office: Stage, qtbot: QtBot
) -> None:
    queue = shown(review, "parked", qtbot)
    assert isinstance(queue, Parked)
    press(queue, "ignore", qtbot)
    waiting.wait(office, lambda s: s.parked == 1)
    qtbot.waitUntil(lambda: queue.undo.isVisible(), timeout=WAIT_MS)
    qtbot.mouseClick(queue.undo.button, Qt.MouseButton.LeftButton)
    waiting.wait(office, lambda s: s.parked == 2)
    qtbot.waitUntil(lambda: len(queue.view.held.rows) == 2, timeout=WAIT_MS)
    queue.view.selectAll()
    qtbot.waitUntil(lambda: len(queue.view.chosen) == 2, timeout=WAIT_MS)
    press(queue, "retry", qtbot)
    waiting.wait(office, lambda s: s.parked == 0)
