"""The sheet of desk tasks: rows of text in, the bytes of a CSV file out. Pure.

For people with a spreadsheet program: UTF-8 with a byte order mark and CRLF line ends, as Excel
wants them; a cell may hold several lines, and none that Excel would run (``cells``). Must import
leaves only.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import astuple, dataclass

from agent.csvio.cells import told

HEADS = (
    "no.", "since", "due", "kind", "patient", "patient no.", "what to do", "enter", "why by hand",
    "state", "done?",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One task in words; the columns of ``HEADS`` but the last, which is left to a pen."""

    number: str
    since: str
    due: str
    kind: str
    patient: str
    patient_key: str
    what: str
    fields: str  # a line each
    why: str
    state: str


def tasks_csv(rows: Iterable[SheetRow]) -> bytes:
    """The whole file, heads first."""
    out = io.StringIO(newline="")
    sheet = csv.writer(out, lineterminator="\r\n")
    sheet.writerow(HEADS)
    for row in rows:
        sheet.writerow([*(told(text, excel=False) for text in astuple(row)), ""])
    return out.getvalue().encode("utf-8-sig")
