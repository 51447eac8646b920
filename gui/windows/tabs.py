"""The tabs, in the order they stand. A new one is registered here, and nowhere else."""

from __future__ import annotations

from gui.windows.activity import Activity
from gui.windows.checks import Checks
from gui.windows.datamap import DataMap
from gui.windows.log import Log
from gui.windows.manual import Manual
from gui.windows.overview import Overview
from gui.windows.review import Review
from gui.windows.support import Support
from gui.windows.tab import Tab

TABS: tuple[type[Tab], ...] = (Overview, Activity, Review, Manual, Checks, DataMap, Log, Support)
