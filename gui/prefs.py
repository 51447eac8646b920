"""What the signed-in person chose for the window: size, theme, language, notifications.

Kept per person in an INI file of Qt; never anything of the practice. ``BRIDGEWORK_PREFS`` moves it.
"""

from __future__ import annotations

import os
from datetime import datetime

from PySide6.QtCore import QByteArray, QObject, QSettings, Signal

PREFS_ENV = "BRIDGEWORK_PREFS"


class Prefs(QObject):
    """Typed words over QSettings; ``changed`` with the name of what changed."""

    changed = Signal(str)

    def __init__(self, file: str = "", parent: QObject | None = None) -> None:
        super().__init__(parent)
        given = file or os.environ.get(PREFS_ENV, "")
        if given:
            self._kept = QSettings(given, QSettings.Format.IniFormat)
        else:
            self._kept = QSettings(
                QSettings.Format.IniFormat, QSettings.Scope.UserScope, "Bridgework", "window"
            )

    def text(self, name: str, default: str = "") -> str:
        return str(self._kept.value(name, default))

    def flag(self, name: str, *, default: bool) -> bool:
        return self.text(name, "true" if default else "false").lower() == "true"

    def bytes(self, name: str) -> QByteArray:
        found = self._kept.value(name)
        return found if isinstance(found, QByteArray) else QByteArray()

    def moment(self, name: str) -> datetime | None:
        try:
            return datetime.fromisoformat(self.text(name))
        except ValueError:
            return None

    def put(self, name: str, value: str | bool | QByteArray | datetime) -> None:
        if isinstance(value, bool):
            value = "true" if value else "false"
        elif isinstance(value, datetime):
            value = value.isoformat()
        if self._kept.value(name) != value:
            self._kept.setValue(name, value)
            self.changed.emit(name)

    def save(self) -> None:
        self._kept.sync()
