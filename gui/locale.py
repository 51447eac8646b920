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
        return self._day(moment, "MMM d" if self._is_month_first else "d MMM")

    def date(self, moment: datetime) -> str:
        return self._day(moment, "MMM d, yyyy" if self._is_month_first else "d MMM yyyy")

    @property
    def _is_month_first(self) -> bool:
        return self._locale.dateFormat(QLocale.FormatType.ShortFormat).startswith("M")

    def _day(self, moment: datetime, spelled: str) -> str:
        local = moment.astimezone()
        return self._locale.toString(QDate(local.year, local.month, local.day), spelled)
