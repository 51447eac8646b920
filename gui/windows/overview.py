"""The tab Overview."""

from __future__ import annotations

from gui.windows.tab import Tab


class Overview(Tab):
    name = "overview"
