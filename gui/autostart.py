"""Whether the icon comes up when this person signs in.

Linux: a desktop file among the person's autostart entries. Windows: the installer's entry starts it
for everybody; a person's no is kept in the preferences and heeded at start (``--autostart``), a
person's yes on a computer without that entry is one of their own. The Windows part is not run here.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from PySide6.QtCore import QSettings, QStandardPaths

_RUN = r"HKEY_CURRENT_USER\Software\Microsoft\Windows\CurrentVersion\Run"
_RUN_FOR_ALL = _RUN.replace("HKEY_CURRENT_USER", "HKEY_LOCAL_MACHINE")
_NAME = "Bridgework"
FLAG = "--autostart"


def command(home: Path) -> list[str]:
    """What is started: this program as it runs now, for the same agent."""
    program = [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, "-m", "gui"]
    return [*program, "--home", str(home), FLAG]


def is_on(*, wanted: bool) -> bool:
    """``wanted``: this person never said no (preference ``autostart``)."""
    if sys.platform == "win32":
        own, for_all = (
            QSettings(place, QSettings.Format.NativeFormat).contains(_NAME)
            for place in (_RUN, _RUN_FOR_ALL)
        )
        return wanted and (own or for_all)
    return _entry().exists()


def switch(home: Path, *, on: bool) -> None:
    """OSError where the place cannot be written."""
    if sys.platform == "win32":
        kept = QSettings(_RUN, QSettings.Format.NativeFormat)
        if on:
            kept.setValue(_NAME, " ".join(f'"{part}"' for part in command(home)))
        else:
            kept.remove(_NAME)
        return
    entry = _entry()
    if not on:
        entry.unlink(missing_ok=True)
        return
    entry.parent.mkdir(parents=True, exist_ok=True)
    lines = (
        "[Desktop Entry]", "Type=Application", f"Name={_NAME}", "Icon=bridgework",
        f"Exec={shlex.join(command(home))}", "X-GNOME-Autostart-enabled=true",
    )  # fmt: skip
    entry.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _entry() -> Path:
    place = QStandardPaths.StandardLocation.GenericConfigLocation
    return Path(QStandardPaths.writableLocation(place)) / "autostart" / "bridgework-tray.desktop"
