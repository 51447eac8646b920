"""Numbers, times and days as the person's system writes them."""

from __future__ import annotations

from datetime import datetime

from PySide6.QtCore import QDate, QLocale, QTime


class QtFormat:
    """gui.i18n.Format by QLocale; moments in this computer's own zone."""

    def __init__(self, locale: QLocale | None = None) -> None:
        self._locale = locale or QLocale.system()

    def number(self, value: float) -> str:
        return self._locale.toString(round(value))

    def clock(self, moment: datetime) -> str:
        local = moment.astimezone()
        return self._locale.toString(
            QTime(local.hour, local.minute), QLocale.FormatType.ShortFormat
        )

    def day(self, moment: datetime) -> str:
        local = moment.astimezone()
        return self._locale.toString(QDate(local.year, local.month, local.day), "d MMM")
