"""Pictures of what people decide: the queues of Review, the data map, the wizard's pages."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QWidget

from gui.app import Desktop
from gui.review.conflicts import Conflicts
from gui.windows.datamap import DataMap
from gui.windows.review import Review
from gui.wizard.window import PAGES

Settle = Callable[[Callable[[], bool]], None]
Scene = Callable[[Desktop, Settle], QWidget]


def _queue(name: str) -> Scene:
    """A queue of the tab Review, with its first line shown."""

    def scene(desktop: Desktop, settle: Settle) -> QWidget:
        desktop.window.bring_up("review", name)
        tab = desktop.window.tab
        assert isinstance(tab, Review)
        settle(
            lambda: (
                tab.queue.empty.isVisible()
                or (bool(tab.queue.view.held.rows) and tab.queue.detail.count() > 1)
            )
        )
        if isinstance(tab.queue, Conflicts) and tab.queue.rows:
            tab.queue.rows[-1].pick("pms")
        return desktop.window

    return scene


def _many(desktop: Desktop, settle: Settle) -> QWidget:
    """The same choice for many."""
    desktop.window.bring_up("review", "conflicts")
    tab = desktop.window.tab
    assert isinstance(tab, Review)
    queue = tab.queues["conflicts"]
    assert isinstance(queue, Conflicts)
    settle(lambda: queue.bulk_button.isEnabled() or queue.empty.isVisible())
    queue.show_bulk()
    settle(lambda: queue.apply.isEnabled() or queue.empty.isVisible())
    return desktop.window


def _map_row(desktop: Desktop, settle: Settle) -> QWidget:
    desktop.window.bring_up("map")
    tab = desktop.window.tab
    assert isinstance(tab, DataMap)
    settle(lambda: bool(tab.model.rows))
    tab.words.setText("phone_mobile")
    settle(lambda: len(tab.model.rows) < 10)
    tab.table.selectRow(0)
    settle(lambda: tab.detail.count() > 0)
    return desktop.window


def _map_new(desktop: Desktop, settle: Settle) -> QWidget:
    """A field of the practice's own."""
    desktop.window.bring_up("map")
    tab = desktop.window.tab
    assert isinstance(tab, DataMap)
    settle(lambda: bool(tab.model.rows))
    tab.add_field()
    settle(lambda: tab.new.isVisible())
    return desktop.window


def _step(name: str) -> Scene:
    """A page of the wizard, opened again on a computer that is set up."""

    def scene(desktop: Desktop, settle: Settle) -> QWidget:
        desktop.wizard.bring_up(name)
        settle(lambda: desktop.wizard.page.name == name and desktop.wizard.page.is_ready)
        return desktop.wizard

    return scene


DECISIONS: dict[str, Scene] = {
    "review": _queue("conflicts"),
    "review-many": _many,
    "review-people": _queue("people"),
    "review-tasks": _queue("tasks"),
    "review-parked": _queue("parked"),
    "map-row": _map_row,
    "map-new": _map_new,
    **{f"setup-{page.name}": _step(page.name) for page in PAGES},
}
