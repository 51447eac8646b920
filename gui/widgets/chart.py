"""The last 24 hours, painted by hand: bars for how much, a line for how long it took.

What it shows stands in its accessible description too, and a bar's figures in its tooltip.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QFontMetricsF, QHelpEvent, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QToolTip, QWidget

from gui.i18n import Texts
from gui.presenter.overview import Bar, duration
from gui.theme import Theme

_LEFT, _TOP, _BOTTOM = 56, 10, 22
_GAP = 8  # between the room and the words beside it
_MARKS_MS = (10.0, 1000.0, 60_000.0)
_HEIGHT = 170


class DayChart(QWidget):
    """Left scale: records a quarter of an hour; right scale: milliseconds, by powers of ten."""

    def __init__(self, theme: Theme, texts: Texts) -> None:
        super().__init__()
        self._theme = theme
        self._texts = texts
        self._bars: tuple[Bar, ...] = ()
        self.setMinimumHeight(_HEIGHT)
        self.setObjectName("day-chart")
        theme.changed.connect(self.update)

    def show_bars(self, found: Sequence[Bar], summary: str) -> None:
        if tuple(found) != self._bars:
            self._bars = tuple(found)
            self.setAccessibleName(summary)
            self.update()

    def sizeHint(self) -> QSize:
        return QSize(600, _HEIGHT)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() is QEvent.Type.ToolTip:
            at = self._bar_at(event.pos().x())
            QToolTip.showText(event.globalPos(), self._tip(self._bars[at]) if at >= 0 else "", self)
            return True
        return super().event(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(self._theme.font("caption"))
        room = self._room()
        most = _round_up(max((b.sent + b.received for b in self._bars), default=0))
        self._paint_scale(painter, room, most)
        if self._bars:
            self._paint_bars(painter, room, most)
            self._paint_line(painter, room)
            self._paint_hours(painter, room)
        painter.end()

    def _room(self) -> QRectF:
        """Where the bars stand; at the right the longest word of the scale fits in any language."""
        words = QFontMetricsF(self._theme.font("caption"))
        longest = max(words.horizontalAdvance(duration(ms, self._texts)) for ms in _MARKS_MS)
        width = self.width() - _LEFT - _GAP - math.ceil(longest) - 1
        return QRectF(_LEFT, _TOP, width, self.height() - _TOP - _BOTTOM)

    # -- parts ------------------------------------------------------------------------------------

    def _paint_scale(self, painter: QPainter, room: QRectF, most: int) -> None:
        flags = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for share in (0.0, 0.5, 1.0):
            y = room.bottom() - share * room.height()
            painter.setPen(QPen(self._theme.colour("line"), 1))
            painter.drawLine(QPointF(room.left(), y), QPointF(room.right(), y))
            painter.setPen(self._theme.colour("soft"))
            text = self._texts.number(round(most * share))
            painter.drawText(QRectF(0, y - 9, _LEFT - 8, 18), flags, text)

    def _paint_bars(self, painter: QPainter, room: QRectF, most: int) -> None:
        step = room.width() / len(self._bars)
        painter.setPen(Qt.PenStyle.NoPen)
        for at, bar in enumerate(self._bars):
            left, width = room.left() + at * step + step * 0.15, max(step * 0.7, 1.0)
            base = room.bottom()
            for count, tone in ((bar.sent, "accent"), (bar.received, "good")):
                if count:
                    height = max(count / most * room.height(), 2.0)
                    painter.setBrush(self._theme.colour(tone))
                    painter.drawRoundedRect(QRectF(left, base - height, width, height), 1.5, 1.5)
                    base -= height

    def _paint_line(self, painter: QPainter, room: QRectF) -> None:
        """Time taken on a scale of powers of ten, from 10 ms at the foot to 100 s."""
        flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        painter.setPen(self._theme.colour("warn"))
        for ms in _MARKS_MS:
            left = room.right() + _GAP
            box = QRectF(left, _height(ms, room) - 9, self.width() - left, 18)
            painter.drawText(box, flags, duration(ms, self._texts))
        step = room.width() / len(self._bars)
        path, is_open = QPainterPath(), False
        dots = []
        for at, bar in enumerate(self._bars):
            if bar.usual_ms is None:
                is_open = False
                continue
            point = QPointF(room.left() + (at + 0.5) * step, _height(bar.usual_ms, room))
            if is_open:
                path.lineTo(point)
            else:
                path.moveTo(point)
            dots.append(point)
            is_open = True
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(self._theme.colour("warn"), 2))
        painter.drawPath(path)
        painter.setBrush(self._theme.colour("surface"))
        for point in dots:
            painter.drawEllipse(point, 2.4, 2.4)

    def _paint_hours(self, painter: QPainter, room: QRectF) -> None:
        painter.setPen(self._theme.colour("soft"))
        step = room.width() / len(self._bars)
        for at, bar in enumerate(self._bars):
            local = bar.at.astimezone()
            if local.minute == 0 and local.hour % 4 == 0:
                x = room.left() + at * step
                box = QRectF(x - 40, room.bottom() + 4, 80, 18)
                painter.drawText(box, Qt.AlignmentFlag.AlignCenter, self._clock(local))

    def _clock(self, moment: datetime) -> str:
        return self._texts.form.clock(moment)

    def _bar_at(self, x: int) -> int:
        width = self._room().width()
        at = int((x - _LEFT) / width * len(self._bars)) if width > 0 and self._bars else -1
        return at if 0 <= at < len(self._bars) and x >= _LEFT else -1

    def _tip(self, bar: Bar) -> str:
        at = self._clock(bar.at)
        if bar.usual_ms is None or bar.slowest_ms is None:
            return self._texts("overview.chart.tip", at=at, sent=bar.sent, received=bar.received)
        return self._texts(
            "overview.chart.tip_timed", at=at, sent=bar.sent, received=bar.received,
            usual=duration(bar.usual_ms, self._texts), most=duration(bar.slowest_ms, self._texts),
        )  # fmt: skip


def _height(ms: float, room: QRectF) -> float:
    share = (math.log10(min(max(ms, 10.0), 100_000.0)) - 1) / 4
    return room.bottom() - share * room.height()


def _round_up(most: int) -> int:
    """To 1, 2 or 5 times a power of ten, at least 10: a scale people can read."""
    if most <= 10:
        return 10
    power = int(10 ** int(math.log10(most)))
    return next(power * n for n in (1, 2, 5, 10) if power * n >= most)
