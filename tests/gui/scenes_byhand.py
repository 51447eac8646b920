"""Scenes of tabs By hand, Checks and Support: what they show once something was asked for."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QWidget

from gui.app import Desktop
from gui.windows.checks import Checks
from gui.windows.manual import Manual
from gui.windows.support import Support

Settle = Callable[[Callable[[], bool]], None]

SHEET = """Patient No,Last Name,First Name,Date of Birth,Cell Phone,Email,Zip
1,,,,(720) 555-0199,new.address@example.com,
2,,,,,,80202
,Newcomer,Nora,1990-12-24,212-555-0143,nora@example.com,02134
9999,Nobody,Ned,1980-01-01,,,
3,,,,5.55E+09,,
"""


def by_hand(desktop: Desktop, settle: Settle) -> QWidget:
    window = desktop.window
    window.bring_up("manual")
    tab = window.tab
    assert isinstance(tab, Manual)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "contacts from the CRM.csv"
        path.write_text(SHEET, encoding="utf-8")
        tab.sheet_in.take(path)
        settle(lambda: bool(tab.sheet_in.model.rows))
    return window


def checks_found(desktop: Desktop, settle: Settle) -> QWidget:
    """Records worth a look."""
    window = desktop.window
    window.bring_up("checks")
    tab = window.tab
    assert isinstance(tab, Checks)
    settle(lambda: bool(tab.lines.rows))
    if not tab.rules.rows:
        tab.review.click()
        settle(lambda: tab.review.isEnabled() and bool(tab.rules.rows))
    settle(lambda: True)
    tab.show_found()
    return window


def doctor(desktop: Desktop, settle: Settle) -> QWidget:
    window = desktop.window
    window.bring_up("support")
    tab = window.tab
    assert isinstance(tab, Support)
    if not tab.list.held.rows:
        tab.run.click()
        settle(lambda: tab.run.isEnabled() and bool(tab.list.held.rows))
        tab.preview.click()
        settle(lambda: bool(tab.part_list.held.rows))
    return window
