"""The tab Activity."""

from __future__ import annotations

from gui.windows.tab import Tab


class Activity(Tab):
    name = "activity"
