"""The installed window, icon and menu, as pictures a person has looked at.

``BRIDGEWORK_KEEP_PICTURES=1`` puts them among the help pages' pictures.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from installer.pins import ROOT
from tests.e2e.two_sided import small_practice
from tests.support.until import until
from tests.wine.computer import Computer
from tests.wine.office import Office

pytestmark = [pytest.mark.wine, pytest.mark.mariadb]

KEEP = "BRIDGEWORK_KEEP_PICTURES" in os.environ  # no test sees the environment of who runs it
FONTS = ("Segoe UI", "MS Shell Dlg 2", "MS Shell Dlg", "Tahoma", "MS Sans Serif")
ICON = "1268 780"  # where the panel puts the only icon


@pytest.fixture(scope="module")
def office(computer: Computer, msis: tuple[Path, Path]) -> Iterator[Office]:
    """An office whose service is up to date, on a screen with a panel."""
    for font in FONTS:  # Wine has none of Windows' own and takes one with serifs
        computer.reg_add(r"HKCU\Software\Wine\Fonts\Replacements", font, "Liberation Sans")
    with Office(computer, small_practice(120)) as made:
        answers = computer.put("answers.json", made.answers())
        done = computer.msiexec(
            "/i", msis[0], SERVERURL=made.crm_url, ACTIVATIONCODE=made.code, ANSWERS=answers
        )
        assert done.code == 0, done.log[-2000:]
        made.wait_for("up_to_date", timeout_s=120)
        yield made


@pytest.fixture(scope="module")
def screen(computer: Computer, office: Office) -> Iterator[Callable[[str], Path]]:
    """``screen(name)`` takes a picture of all there is to be seen."""
    panel = (
        "openbox & trayer --edge bottom --align right --widthtype request --height 32"
        " --SetDockType true & wine 'C:\\Program Files\\Bridgework\\bridgework-tray.exe'"
        " --show overview & wait"
    )
    session = subprocess.Popen(
        computer.box.command(panel), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def take(name: str) -> Path:
        computer.box.run(f"import -window root /w/{name}.png", "take a picture")
        picture = computer.box.work / f"{name}.png"
        if KEEP:
            shutil.copy(picture, ROOT / "assets" / "help" / picture.name)
        return picture

    yield take
    session.terminate()
    session.wait()


def _windows(computer: Computer) -> str:
    return computer.box.run("xwininfo -root -tree", "look at the windows")


def test_the_window_shows_what_the_service_says(
    computer: Computer, screen: Callable[[str], Path]
) -> None:
    until(lambda: "Overview" in _windows(computer), 90, every_s=0.5)
    time.sleep(5)  # what it asked the service for is drawn
    assert screen("windows-window").stat().st_size > 30_000  # a blank one has a tenth of that


def test_the_icon_has_its_menu(computer: Computer, screen: Callable[[str], Path]) -> None:
    before = _windows(computer).count("bridgework-tray.exe")
    line = f"xdotool mousemove {ICON} click 3 && sleep 2 && xdotool mousemove 1140 560"
    computer.box.run(line, "open the menu")
    until(lambda: _windows(computer).count("bridgework-tray.exe") > before, 20, every_s=0.5)
    time.sleep(3)  # the icon's own hint goes
    screen("windows-menu")
    computer.box.run("xdotool key Escape", "close the menu")


def test_an_uninstall_closes_the_icon(
    computer: Computer, screen: Callable[[str], Path], msis: tuple[Path, Path]
) -> None:
    done = computer.msiexec("/x", msis[0], PURGEDATA="1")
    assert done.code == 0, done.log[-2000:]
    assert "bridgework-tray.exe" not in _windows(computer)
    assert not (computer.programs / "bridgework-tray.exe").exists()
