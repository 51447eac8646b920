"""The wizard's pages from nothing to the first sync, against a real agent process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from agent.cli.stage import Stage
from agent.model.status import State
from gui.app import Desktop
from gui.link import Standing
from gui.wizard.decide import Conflicts, Scope
from gui.wizard.pair import Pair
from gui.wizard.place import Find
from gui.wizard.window import Wizard

WAIT_MS = 20_000


@pytest.fixture
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A computer fresh from the box; its agent waits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
        with Stage(tmp_path_factory.mktemp("box"), patients=20, seed=9, is_set_up=False) as stage:
            stage.start_agent()
            yield stage


@pytest.fixture
def wizard(box: Stage, desktop_at: Callable[[Path], Desktop], qtbot: QtBot) -> Wizard:
    desktop = desktop_at(box.paths.home)
    desktop.start()
    qtbot.waitUntil(lambda: desktop.link.standing is Standing.UP, timeout=WAIT_MS)
    desktop.do("setup")
    qtbot.waitUntil(lambda: desktop.wizard.view is not None, timeout=WAIT_MS)
    return desktop.wizard


def at(wizard: Wizard, name: str, qtbot: QtBot, *, ready: bool = True) -> None:
    qtbot.waitUntil(
        lambda: wizard.page.name == name and (wizard.page.is_ready or not ready), timeout=WAIT_MS
    )


def press(wizard: Wizard, name: str, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: _button(wizard, name) is not None, timeout=WAIT_MS)
    found = _button(wizard, name)
    assert found is not None
    qtbot.mouseClick(found, Qt.MouseButton.LeftButton)


def _button(wizard: Wizard, name: str) -> QPushButton | None:
    return wizard.page.findChild(QPushButton, name)


def test_from_nothing_to_the_first_sync(wizard: Wizard, box: Stage, qtbot: QtBot) -> None:
    wizard.go_to("welcome")
    qtbot.mouseClick(wizard.next, Qt.MouseButton.LeftButton)
    at(wizard, "pair", qtbot, ready=False)
    page = wizard.page
    assert isinstance(page, Pair)
    assert not wizard.next.isEnabled()
    page.url.setText(box.crm.url)
    page.code.setText("WRONG-CODE")
    qtbot.keyClick(page.code, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: wizard.trouble.isVisible(), timeout=WAIT_MS)
    assert "code" in wizard.trouble.text().lower()
    page.code.setText(box.crm.new_code())
    qtbot.keyClick(page.code, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: page.findChild(QLabel, "whose") is not None, timeout=WAIT_MS)
    whose = page.findChild(QLabel, "whose")
    assert whose is not None
    assert "Willow Creek Dental" in whose.text()
    press(wizard, "yes", qtbot)

    at(wizard, "find", qtbot, ready=False)
    page = wizard.page
    assert isinstance(page, Find)
    qtbot.waitUntil(lambda: bool(page.offers.buttons()), timeout=WAIT_MS)
    _choose(page, "Open Dental")
    page.fields["pms.host"].setText("no-such-server.invalid")
    wizard.go_on()
    qtbot.waitUntil(lambda: page.findChild(QLabel, "verdict") is not None, timeout=WAIT_MS)
    assert wizard.page is page  # it stays where it failed
    assert "Server" in _texts(page)
    _choose(page, "Sample")
    page.fields["pms.sqlite_path"].setText(str(box.practice_file))
    wizard.go_on()

    at(wizard, "proof", qtbot)
    assert "20" in _texts(wizard.page)
    wizard.go_on()
    at(wizard, "scope", qtbot)
    scope = wizard.page
    assert isinstance(scope, Scope)
    assert not scope.streams["patient"].isEnabled()  # type: ignore[index]
    scope.streams["claim"].setChecked(False)  # type: ignore[index]
    wizard.go_on()
    at(wizard, "conflicts", qtbot)
    conflicts = wizard.page
    assert isinstance(conflicts, Conflicts)
    _, _, policy = conflicts.choices["contact"]
    policy.setCurrentIndex(policy.findData("crm"))
    wizard.go_on()
    at(wizard, "hours", qtbot)
    wizard.go_on()
    at(wizard, "preview", qtbot)
    sends = wizard.page.findChild(QLabel, "sends")
    assert sends is not None
    assert "20 patients" in sends.text()
    report = box.status()
    assert report is not None
    assert report.state is State.NOT_SET_UP  # nothing was sent so far
    wizard.go_on()
    at(wizard, "done", qtbot)
    box.wait_loaded(60)
    assert 'skip_streams = "claim"' in box.paths.config_file.read_text(encoding="utf-8")
    assert "phone_mobile" in box.paths.site_map.read_text(encoding="utf-8")


def _choose(page: Find, start: str) -> None:
    option = next(b for b in page.offers.buttons() if b.text().startswith(start))
    option.setChecked(True)


def _texts(page: QWidget) -> str:
    return "\n".join(found.text() for found in page.findChildren(QLabel))
