"""The installed window, icon and menu, as pictures a person has looked at.

``BRIDGEWORK_KEEP_PICTURES=1`` puts them among the help pages' pictures.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from installer.pins import ROOT
from tests.e2e.two_sided import small_practice
from tests.support.until import until
from tests.wine.computer import Computer
from tests.wine.conftest import Installers
from tests.wine.desktop import signed_in, windows
from tests.wine.office import Office

pytestmark = [pytest.mark.wine, pytest.mark.mariadb]

KEEP = "BRIDGEWORK_KEEP_PICTURES" in os.environ  # no test sees the environment of who runs it
ICON = "1268 780"  # where the panel puts the only icon


@pytest.fixture(scope="module")
def office(computer: Computer, msis: Installers) -> Iterator[Office]:
    """An office whose service is up to date, on a screen with a panel."""
    with Office(computer, small_practice(120)) as made:
        answers = computer.put("answers.json", made.answers())
        done = computer.msiexec(
            "/i", msis.this, SERVERURL=made.crm_url, ACTIVATIONCODE=made.code, ANSWERS=answers
        )
        assert done.code == 0, done.log[-2000:]
        made.wait_for("up_to_date", timeout_s=120)
        yield made


@pytest.fixture(scope="module")
def screen(computer: Computer, office: Office) -> Iterator[Callable[[str], Path]]:
    """``screen(name)`` takes a picture of all there is to be seen."""

    def take(name: str) -> Path:
        computer.box.run(f"import -window root /w/{name}.png", "take a picture")
        picture = computer.box.work / f"{name}.png"
        if KEEP:
            shutil.copy(picture, ROOT / "assets" / "help" / picture.name)
        return picture

    with signed_in(computer, "--show", "overview"):
        yield take


def test_the_window_shows_what_the_service_says(
    computer: Computer, screen: Callable[[str], Path]
) -> None:
    until(lambda: "Overview" in windows(computer), 90, every_s=0.5)
    time.sleep(5)  # what it asked the service for is drawn
    assert screen("windows-window").stat().st_size > 30_000  # a blank one has a tenth of that


def test_the_icon_has_its_menu(computer: Computer, screen: Callable[[str], Path]) -> None:
    before = windows(computer).count("bridgework-tray.exe")

    def is_open() -> bool:
        return windows(computer).count("bridgework-tray.exe") > before

    def opened() -> bool:
        """The icon may not be in the panel yet, or the desktop be slow: then it is tried again."""
        if not is_open():
            computer.box.run(f"xdotool mousemove {ICON} click 3", "open the menu")
            time.sleep(5)
        return is_open()

    until(opened, 180, every_s=1)
    computer.box.run("xdotool mousemove 1140 560", "leave the icon")
    time.sleep(3)  # its own hint goes
    screen("windows-menu")
    computer.box.run("xdotool key Escape", "close the menu")


def test_an_uninstall_closes_the_icon(
    computer: Computer, screen: Callable[[str], Path], msis: Installers
) -> None:
    done = computer.msiexec("/x", msis.this, PURGEDATA="1")
    assert done.code == 0, done.log[-2000:]
    assert "bridgework-tray.exe" not in windows(computer)
    assert not (computer.programs / "bridgework-tray.exe").exists()
