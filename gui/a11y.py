"""Names for screen readers, and what every list of ours does with the keyboard."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cmp_to_key, partial

from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent
from PySide6.QtWidgets import QAbstractItemView, QLabel, QTableView, QWidget


def name(widget: QWidget, text: str, description: str = "") -> None:
    widget.setAccessibleName(text)
    if description:
        widget.setAccessibleDescription(description)


def buddy(label: QLabel, field: QWidget) -> None:
    """The label names the field; its mnemonic goes there."""
    label.setBuddy(field)
    field.setAccessibleName(label.text().replace("&", ""))


def table(view: QAbstractItemView, text: str) -> None:
    """Tab leaves a list instead of walking through its cells."""
    view.setAccessibleName(text)
    view.setTabKeyNavigation(False)
    if isinstance(view, QTableView):
        view.setCornerButtonEnabled(False)


def reading_order(*parts: QWidget, here: QWidget | None = None) -> list[QWidget]:
    """What Tab visits of and in each of these, as people read: line by line, left to right.

    Two controls are on a line when the middle of one lies beside the other. ``here`` is among them
    even if it has just been switched off: its place counts.
    """
    found: list[QWidget] = []
    for part in parts:
        inside = (part, *part.findChildren(QWidget))
        stops = [w for w in inside if takes_tab(w) or (w is here and w.isVisible())]
        found += sorted(stops, key=cmp_to_key(partial(_reads_before, part)))
    return found


def step(window: QWidget, parts: Sequence[QWidget], *, forward: bool) -> bool:
    """Tab within ``window``, part by part; for its ``focusNextPrevChild``."""
    now = window.focusWidget()
    stops = reading_order(*parts, here=now)
    if not stops or stops == [now]:
        return False
    at = stops.index(now) if now in stops else -1 if forward else 0
    reason = Qt.FocusReason.TabFocusReason if forward else Qt.FocusReason.BacktabFocusReason
    stops[(at + (1 if forward else -1)) % len(stops)].setFocus(reason)
    return True


def takes_tab(widget: QWidget) -> bool:
    policy = widget.focusPolicy()
    return (
        widget.isVisible()
        and widget.isEnabled()
        and bool(policy & Qt.FocusPolicy.TabFocus)
        and widget.focusProxy() is None
    )


def _reads_before(inside: QWidget, a: QWidget, b: QWidget) -> int:
    one, other = _box(a, inside), _box(b, inside)
    is_one_line = (
        one.top() <= other.center().y() <= one.bottom()
        or other.top() <= one.center().y() <= other.bottom()
    )
    return one.left() - other.left() if is_one_line else one.top() - other.top()


def _box(widget: QWidget, inside: QWidget) -> QRect:
    return QRect(widget.mapTo(inside, QPoint(0, 0)), widget.size())


def order(*widgets: QWidget) -> None:
    """Tab goes from one to the next."""
    for one, next_one in itertools.pairwise(widgets):
        QWidget.setTabOrder(one, next_one)


def announce(widget: QWidget, text: str) -> None:
    """Spoken by a screen reader without moving the focus."""
    QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(widget, text))
