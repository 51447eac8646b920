"""Print a report's HTML page to PDF, without a screen: ``python -m gui --print IN.html OUT.pdf``.

The agent has no Qt; ``bridgework report --pdf`` runs this program of the desktop. Qt's text knows
little CSS and no pixels of paper, so the page's own styles give way to ``assets/print.css``.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from PySide6.QtCore import QMarginsF, QSizeF
from PySide6.QtGui import QGuiApplication, QPageLayout, QPageSize, QPdfWriter, QTextDocument

from agent.config.paths import assets_dir

PRINT = "--print"
_MARGIN_MM = 16.0
_DPI = 96  # a pixel of the layout is one of CSS; the PDF's text stays text at any size
_SIZES_PT = (9.0, 8.5, 8.0, 7.5)  # the largest with which it is one page; else the first
_OWN_STYLE = re.compile(r"<style>.*?</style>", re.DOTALL)


def print_page(html: str, file: Path) -> None:
    """A4, with margins. Needs a QGuiApplication."""
    writer = QPdfWriter(str(file))
    writer.setResolution(_DPI)
    writer.setPageSize(QPageSize(QPageSize.PageSizeId.A4))
    margins = QMarginsF(_MARGIN_MM, _MARGIN_MM, _MARGIN_MM, _MARGIN_MM)
    writer.setPageMargins(margins, QPageLayout.Unit.Millimeter)
    writer.setTitle("Bridgework")
    document = QTextDocument()
    document.setDocumentMargin(0)
    area = writer.pageLayout().paintRectPixels(_DPI)
    # With its own page size the document is printed as laid out: no second margin, no number.
    document.setPageSize(QSizeF(area.size()))
    style = (assets_dir() / "print.css").read_text(encoding="utf-8")
    for size_pt in (*_SIZES_PT, _SIZES_PT[0]):  # lines of Windows' font are a sixth higher
        document.setDefaultStyleSheet(style.replace("SIZE", f"{size_pt}pt"))
        document.setHtml(_OWN_STYLE.sub("", html))
        if document.pageCount() == 1:
            break
    document.print_(writer)


def main(words: list[str]) -> int:
    """0 done, 1 nothing was written, 2 wrong words."""
    if len(words) != 2:
        return 2
    if os.name != "nt":  # without a screen Qt finds no fonts there and prints boxes
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    page, file = Path(words[0]), Path(words[1])
    app = QGuiApplication.instance() or QGuiApplication(sys.argv[:1])
    print_page(page.read_text(encoding="utf-8"), file)
    del app
    return 0 if file.exists() and file.stat().st_size else 1
