"""What can be said of a shown widget without knowing it: names, reach, room for text, contrast."""

from __future__ import annotations

import itertools
from collections import Counter
from functools import cache, lru_cache

from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QAccessible, QColor, QImage
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QScrollArea,
    QScrollBar,
    QTableView,
    QWidget,
)

from gui.a11y import takes_tab

COLUMN_PX = 200  # the side of a window, and what is beside it
SCALE = 2  # pictures are painted larger, so that thin strokes reach their full colour


def shown(root: QWidget) -> list[QWidget]:
    return [w for w in root.findChildren(QWidget) if w.isVisible() and w.width() and w.height()]


def called(widget: QWidget) -> str:
    """How a message names it."""
    text = widget.text() if isinstance(widget, QLabel | QAbstractButton) else ""
    return f"{type(widget).__name__}({widget.objectName() or text or widget.accessibleName()})"


def _text(widget: QComboBox | QAbstractButton) -> str:
    return widget.currentText() if isinstance(widget, QComboBox) else widget.text()


def nameless(root: QWidget) -> list[str]:
    """Controls a screen reader has no word for."""
    found = []
    for widget in shown(root):
        if takes_tab(widget) and not isinstance(widget, QScrollBar):
            face = QAccessible.queryAccessibleInterface(widget)
            if face is None or not face.text(QAccessible.Text.Name).strip():
                found.append(called(widget))
    return found


def walked(root: QWidget, most: int = 200) -> list[QWidget]:
    """The controls Tab visits, from the first until it comes round."""
    begin = next((w for w in shown(root) if takes_tab(w)), None)
    if begin is None:
        return []
    begin.setFocus(Qt.FocusReason.TabFocusReason)
    seen: list[QWidget] = []
    for _ in range(most):
        now = root.window().focusWidget()
        if now is None or (now in seen and now is not seen[-1]):
            break
        if now not in seen:  # a date is one stop and has several of its own
            seen.append(now)
        now.focusNextPrevChild(True)
        QApplication.processEvents()
    return seen


def unreached(root: QWidget, order: list[QWidget]) -> list[str]:
    """Controls that take the focus and that Tab never comes to. Of buttons that exclude each other
    the chosen one is enough; the arrow keys do the rest."""
    missing = []
    for widget in shown(root):
        if not takes_tab(widget) or widget in order or _inside(widget, order):
            continue
        group = widget.group() if isinstance(widget, QAbstractButton) else None
        is_of_group = isinstance(widget, QAbstractButton) and (
            widget.autoExclusive() or (group is not None and group.exclusive())
        )
        if not is_of_group:
            missing.append(called(widget))
    return missing


def jumps(root: QWidget, order: list[QWidget]) -> list[str]:
    """Steps of Tab that go up in the same column. It begins in the leftmost column, on top; how it
    comes round again is no jump."""
    if not order:
        return []
    boxes = {widget: _box(widget, root) for widget in order}
    first = min(order, key=lambda widget: (boxes[widget].left() // COLUMN_PX, boxes[widget].top()))
    start = order.index(first)
    found = []
    for one, other in itertools.pairwise(order[start:] + order[:start]):
        a, b = boxes[one], boxes[other]
        if _area(one) is not _area(other):  # what is scrolled away stands at its area's edge
            a, b = _within(a, _area(one), root), _within(b, _area(other), root)
        is_one_column = b.left() <= a.right() and b.right() >= a.left()
        if b.bottom() < a.top() and is_one_column:
            found.append(f"{called(one)} -> {called(other)}")
    return found


def clipped(root: QWidget) -> list[str]:
    """Texts with less room than they need."""
    found = _too_wide(root)
    for widget in shown(root):
        if isinstance(widget, QLabel) and widget.text() and widget.pixmap().isNull():
            if widget.wordWrap():
                fits = widget.heightForWidth(widget.width()) <= widget.height() + 1
            else:
                fits = widget.sizeHint().width() <= widget.width() + 1
        elif (isinstance(widget, QAbstractButton) and widget.text()) or isinstance(
            widget, QComboBox
        ):
            fits = widget.sizeHint().width() <= widget.width() + 1
        elif isinstance(widget, QLineEdit) and widget.placeholderText() and not widget.text():
            needed = widget.fontMetrics().horizontalAdvance(widget.placeholderText())
            fits = needed <= widget.width() - 20
        elif isinstance(widget, QTableView):
            found += _clipped_heads(widget)
            continue
        else:
            continue
        if not fits:
            found.append(called(widget))
    return found


def _too_wide(root: QWidget) -> list[str]:
    """Pages wider than what shows them, with nothing to scroll them by."""
    off = Qt.ScrollBarPolicy.ScrollBarAlwaysOff
    return [
        f"{called(area)} is {area.widget().width() - area.viewport().width()} px too wide"
        for area in shown(root)
        if isinstance(area, QScrollArea)
        and area.horizontalScrollBarPolicy() is off
        and area.widget().width() > area.viewport().width()
    ]


def _clipped_heads(view: QTableView) -> list[str]:
    head, model = view.horizontalHeader(), view.model()
    if model is None or not head.isVisible():
        return []
    found = []
    for section in range(model.columnCount()):
        text = str(model.headerData(section, Qt.Orientation.Horizontal) or "")
        if not view.isColumnHidden(section) and head.sectionSizeHint(section) > head.sectionSize(
            section
        ):
            found.append(f"{called(view)} column {text}")
    return found


def faint(root: QWidget, least: float = 4.5) -> list[str]:
    """Texts whose strokes stand out less than ``least`` to 1 from what is around them."""
    picture = QImage(root.size() * SCALE, QImage.Format.Format_RGB32)
    picture.setDevicePixelRatio(SCALE)
    root.render(picture)
    found = []
    for widget in shown(root):
        has_text = isinstance(widget, QLabel | QAbstractButton) and bool(widget.text())
        is_picture = isinstance(widget, QLabel) and not widget.pixmap().isNull()
        seen = widget.visibleRegion().boundingRect()
        is_cut = seen.height() < widget.fontMetrics().height()  # a sliver at a list's edge
        if has_text and not is_picture and not is_cut:
            place = QRect(widget.mapTo(root, seen.topLeft()) * SCALE, seen.size() * SCALE)
            part = picture.copy(place)  # kept while its bits are read
            reached = _contrast(bytes(part.constBits()))
            if reached < least:
                found.append(f"{called(widget)} {reached:.1f}")
    return found


@lru_cache(maxsize=2000)
def _contrast(pixels: bytes) -> float:
    """The ground is what there is most of, the strokes what stands out most from it. A text that
    looks the same on many pages is looked at once."""
    counts = Counter(memoryview(pixels).cast("I"))
    ground = counts.most_common(1)[0][0]
    return max(contrast(ground, colour) for colour in counts)


def contrast(one: int, other: int) -> float:
    bright, dark = sorted((_light(one), _light(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@cache
def _light(rgb: int) -> float:
    colour = QColor(rgb)
    parts = (colour.redF(), colour.greenF(), colour.blueF())
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def _box(widget: QWidget, root: QWidget) -> QRect:
    return QRect(widget.mapTo(root, QPoint(0, 0)), widget.size())


def _area(widget: QWidget) -> QScrollArea | None:
    above = widget.parentWidget()
    while above is not None and not isinstance(above, QScrollArea):
        above = above.parentWidget()
    return above


def _within(box: QRect, area: QScrollArea | None, root: QWidget) -> QRect:
    if area is None:
        return box
    view = _box(area.viewport(), root)
    top = min(max(box.top(), view.top()), view.bottom())
    bottom = min(max(box.bottom(), view.top()), view.bottom())
    return QRect(box.left(), top, box.width(), bottom - top + 1)


def _inside(widget: QWidget, order: list[QWidget]) -> bool:
    """A part of a control that Tab visits: a spin box's line, a list's viewport."""
    return any(stop.isAncestorOf(widget) for stop in order if stop is not widget)
