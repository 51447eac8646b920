"""The sheet of desk tasks: what a spreadsheet program makes of it, and what it must not run."""

from __future__ import annotations

import csv
import io

import pytest

from agent.csvio.tasks import HEADS, SheetRow, tasks_csv

BOM = b"\xef\xbb\xbf"


def row(**changed: str) -> SheetRow:
    fields = {
        "number": "1", "since": "2026-11-20 09:00", "due": "2026-11-22 09:00",
        "kind": "book a visit", "patient": "Example, Anna (1980-02-03)", "patient_key": "31",
        "what": "Book this visit.", "fields": "start: 2026-12-01 10:00 (EST)\nminutes: 30",
        "why": "The practice system does not let the agent write this.", "state": "open",
    }  # fmt: skip
    return SheetRow(**{**fields, **changed})


def read(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_a_spreadsheet_reads_what_was_meant() -> None:
    content = tasks_csv([row(), row(number="2", patient='Exämple, "Ann"')])
    assert content.startswith(BOM)
    assert content.count(BOM) == 1
    assert content.endswith(b"\r\n")
    heads, first, second = read(content)
    assert tuple(heads) == HEADS
    assert heads[-1] == "done?"
    assert first[4:6] == ["Example, Anna (1980-02-03)", "31"]
    assert first[7] == "start: 2026-12-01 10:00 (EST)\nminutes: 30"
    assert first[-1] == ""  # for the pen of whoever does it
    assert second[4] == 'Exämple, "Ann"'
    assert len({len(line) for line in (heads, first, second)}) == 1


def test_rows_end_as_excel_wants_and_no_cell_ends_one() -> None:
    content = tasks_csv([row(fields="a: 1\r\nb: 2\rc: 3")])
    assert content.count(b"\r\n") == 2  # the heads and one task
    assert content.replace(b"\r\n", b"").count(b"\r") == 0
    assert read(content)[1][7] == "a: 1\nb: 2\nc: 3"


@pytest.mark.parametrize(
    "first", ["=", "+", "-", "@", "\t=", "\r=", " =", "\n@", "\uff1d", "\uff0b", "\uff20"]
)
@pytest.mark.parametrize("column", ["patient", "what", "fields", "why", "patient_key"])
def test_no_cell_is_a_formula(first: str, column: str) -> None:
    told = read(tasks_csv([row(**{column: f'{first}HYPERLINK("http://x.example";"Anna")'})]))[1]
    (cell,) = [cell for cell in told if "HYPERLINK" in cell]
    assert cell.startswith("'")


def test_numbers_stay_numbers() -> None:
    told = read(tasks_csv([row(number="12", patient_key="-5")]))[1]
    assert (told[0], told[5]) == ("12", "-5")


def test_what_no_spreadsheet_can_hold_is_left_out() -> None:
    told = read(tasks_csv([row(what="a\x00b\x07c\x1b[1m", why="x" * 40_000)]))[1]
    assert told[6] == "abc[1m"
    assert len(told[8]) <= 32_767  # Excel cuts longer cells, or refuses the file
    assert told[8].endswith("…")


def test_no_task_is_a_sheet_with_heads() -> None:
    assert read(tasks_csv([])) == [list(HEADS)]
