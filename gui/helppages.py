"""The help pages: files of ``assets/help``, opened in the system's browser.

``front-desk.es.html`` is the Spanish of ``front-desk.html``; a page without one is in English.
"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices

from agent.config.paths import assets_dir

FIRST = "index"
_WRITTEN_IN = "en"


def page_file(page: str, language: str) -> Path | None:
    """The page in this language, else in English; None where there is none."""
    names = (f"{page}.{language}.html", f"{page}.html")
    paths = (assets_dir() / "help" / name for name in names)
    return next((path for path in paths if path.exists()), None)


def is_in(page: str, language: str) -> bool:
    """Whether a person with this language reads the page in it."""
    path = page_file(page, language)
    return language == _WRITTEN_IN or (path is not None and f".{language}." in path.name)


def open_help(page: str = "", language: str = _WRITTEN_IN) -> bool:
    """A page in the system's browser. None named: the search of all, or in a language that has not
    all of them the front desk's."""
    first = FIRST if language == _WRITTEN_IN else "front-desk"
    path = page_file(page or first, language)
    return path is not None and QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))
