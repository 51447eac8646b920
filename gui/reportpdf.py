"""Print a report's HTML page to PDF, without a screen: ``python -m gui --print IN.html OUT.pdf``.

The agent has no Qt; ``bridgework report --pdf`` runs this program of the desktop.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from PySide6.QtCore import QMarginsF
from PySide6.QtGui import QGuiApplication, QPageLayout, QPageSize, QPdfWriter, QTextDocument

PRINT = "--print"
_MARGIN_MM = 16.0
_POINTS = 10.0


def print_page(html: str, file: Path) -> None:
    """A4, with margins. Needs a QGuiApplication."""
    writer = QPdfWriter(str(file))
    writer.setPageSize(QPageSize(QPageSize.PageSizeId.A4))
    margins = QMarginsF(_MARGIN_MM, _MARGIN_MM, _MARGIN_MM, _MARGIN_MM)
    writer.setPageMargins(margins, QPageLayout.Unit.Millimeter)
    writer.setTitle("Bridgework")
    document = QTextDocument()
    font = document.defaultFont()
    font.setPointSizeF(_POINTS)
    document.setDefaultFont(font)
    document.setHtml(html)
    document.print_(writer)


def main(words: list[str]) -> int:
    """0 done, 1 nothing was written, 2 wrong words."""
    if len(words) != 2:
        return 2
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    page, file = Path(words[0]), Path(words[1])
    app = QGuiApplication.instance() or QGuiApplication(sys.argv[:1])
    print_page(page.read_text(encoding="utf-8"), file)
    del app
    return 0 if file.exists() and file.stat().st_size else 1
