"""Somebody signed in: a desktop with a panel, and the icon as Windows starts it at sign-in."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.wine.computer import Computer

FONTS = ("Segoe UI", "MS Shell Dlg 2", "MS Shell Dlg", "Tahoma", "MS Sans Serif")
_PANEL = (
    "openbox & trayer --edge bottom --align right --widthtype request --height 32"
    " --SetDockType true & wine 'C:\\Program Files\\Bridgework\\bridgework-tray.exe'"
)


@contextmanager
def signed_in(computer: Computer, *words: str) -> Iterator[None]:
    """``words`` for the icon's program; until the block ends."""
    for font in FONTS:  # Wine has none of Windows' own and takes one with serifs
        computer.reg_add(r"HKCU\Software\Wine\Fonts\Replacements", font, "Liberation Sans")
    session = subprocess.Popen(
        computer.box.command(" ".join((_PANEL, *words, "& wait"))),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        os.killpg(session.pid, signal.SIGTERM)  # panel and icon with it
        session.wait()


def windows(computer: Computer) -> str:
    """Everything on the screen, as a tree."""
    return computer.box.run("xwininfo -root -tree", "look at the windows")
