"""The sheet of desk tasks: rows of text in, the bytes of a CSV file out. Pure.

For people with a spreadsheet program: UTF-8 with a byte order mark and CRLF line ends, as Excel
wants them; a cell may hold several lines. What stands in a cell came from the CRM, so a cell that a
spreadsheet program would run as a formula gets an apostrophe in front. Must import leaves only.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import astuple, dataclass

HEADS = (
    "no.", "since", "due", "kind", "patient", "patient no.", "what to do", "enter", "why by hand",
    "state", "done?",
)  # fmt: skip
CELL_CHARS = 32_767  # Excel's limit
_NUMBER = re.compile(r"-?\d+")
# OWASP's list ("CSV Injection") with the full-width forms; spaces before them count for nothing.
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


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
        sheet.writerow([*(_cell(text) for text in astuple(row)), ""])
    return out.getvalue().encode("utf-8-sig")


def _cell(text: str) -> str:
    if _NUMBER.fullmatch(text):
        return text
    guard = "'" if _FORMULA.match(text) else ""
    lines = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    told = guard + lines
    return told if len(told) <= CELL_CHARS else told[: CELL_CHARS - 1] + "…"
