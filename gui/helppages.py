"""The help pages: files of ``assets/help``, opened in the system's browser."""

from __future__ import annotations

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices

from agent.config.paths import assets_dir

_FIRST = ("index.html",)


def open_help(page: str = "") -> bool:
    """A page of ``assets/help`` in the system's browser; the first one where none is named."""
    names = (f"{page}.html", f"{page}.md") if page else _FIRST
    for name in names:
        path = assets_dir() / "help" / name
        if path.exists():
            return QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))
    return False
