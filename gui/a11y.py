"""Names for screen readers, and what every list of ours does with the keyboard."""

from __future__ import annotations

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


def announce(widget: QWidget, text: str) -> None:
    """Spoken by a screen reader without moving the focus."""
    QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(widget, text))
