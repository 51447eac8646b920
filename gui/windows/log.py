"""The tab Log."""

from __future__ import annotations

from gui.windows.tab import Tab


class Log(Tab):
    name = "log"
