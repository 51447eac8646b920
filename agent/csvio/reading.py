"""A CSV file as it comes from a CRM, from Excel or from a person: bytes in, rows out. Streaming.

Encoding, delimiter and head line are found by looking at the beginning; nothing is loaded whole. A
file that changes its mind later (a broken byte, a quote never closed) costs the rows concerned, not
the file. Must import leaves only.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from agent.csvio.cells import heard
from agent.errors import AgentError

LOOK_BYTES = 256 * 1024
MOST_COLUMNS = 300
MOST_CELL = 100_000  # characters; an opening quote that nobody closed swallows no more
DELIMITERS = ",;\t|"


class SheetError(AgentError):
    """The file cannot be read as a sheet at all. ``sheet.empty|not_text|no_heads``."""

    code = "sheet.not_text"


@dataclass(frozen=True, slots=True)
class Shape:
    """How a file is written. ``skip``: lines before the heads (Excel's ``sep=;``)."""

    encoding: str
    delimiter: str
    skip: int
    heads: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One row. ``number``: of the row as a person counts in the program that shows it: the heads
    are 1. ``code``: why the row cannot be read, "" when it can. ``at``: bytes read so far."""

    number: int
    cells: tuple[str, ...]
    code: str
    at: int


def look(file: BinaryIO, *, encoding: str = "", delimiter: str = "") -> Shape:
    """The shape of a file; given values are believed. SheetError."""
    file.seek(0)
    head = file.read(LOOK_BYTES)
    if not head.strip(b"\xef\xbb\xbf\xff\xfe\x00 \r\n\t"):
        raise SheetError("sheet.empty")
    encoding = encoding or _encoding_of(head, file)
    try:
        text = codecs.getincrementaldecoder(encoding)("replace").decode(head)
    except LookupError:
        raise SheetError("sheet.bad_encoding") from None
    text = text.removeprefix("\ufeff")
    if "\0" in text:
        raise SheetError("sheet.not_text")
    skip = 0
    first = text.split("\n", 1)[0].strip()
    if first.lower().startswith("sep=") and len(first) == 5:
        delimiter = delimiter or first[4]
        skip, text = 1, text.split("\n", 1)[1] if "\n" in text else ""
    delimiter = delimiter or _delimiter_of(text)
    heads: tuple[str, ...] = ()
    for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
        if any(cell.strip() for cell in row):
            heads = tuple(heard(cell) for cell in row)
            break
        skip += 1
    while heads and not heads[-1]:
        heads = heads[:-1]
    if not heads or len(heads) > MOST_COLUMNS:
        raise SheetError("sheet.no_heads")
    return Shape(encoding, delimiter, skip, heads)


def rows(file: BinaryIO, shape: Shape) -> Iterator[Line]:
    """Every row below the heads that holds anything. Blank rows are counted and left out."""
    file.seek(0)
    counting = _Counting(file)
    text = io.TextIOWrapper(
        io.BufferedReader(counting), encoding=shape.encoding, errors="replace", newline=""
    )
    csv.field_size_limit(MOST_CELL)
    reader = csv.reader(text, delimiter=shape.delimiter)
    width, number = len(shape.heads), 0
    while True:
        number += 1
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error:
            yield Line(number, (), "sheet.row_broken", counting.count)
            continue
        if number <= shape.skip + 1 or not any(row):
            continue
        cells = tuple(heard(cell) for cell in row)
        if any(cells):
            padded = (*cells[:width], *("",) * (width - len(cells)))
            yield Line(number, padded, _trouble(cells, width), counting.count)
    text.detach()


def _trouble(cells: tuple[str, ...], width: int) -> str:
    if any(cells[width:]):
        return "sheet.row_wide"
    return "sheet.row_unreadable" if any("\ufffd" in cell for cell in cells) else ""


def _encoding_of(head: bytes, file: BinaryIO) -> str:
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if head.startswith(mark):
            return name
    # UTF-16 without a mark: every other byte of plain text is zero.
    if head[1:200:2].count(0) > len(head[1:200:2]) * 0.4:
        return "utf-16-le"
    if head[0:200:2].count(0) > len(head[0:200:2]) * 0.4:
        return "utf-16-be"
    if b"\0" in head[:LOOK_BYTES]:
        raise SheetError("sheet.not_text")
    return "utf-8" if _is_utf8(file) else "cp1252"


def _is_utf8(file: BinaryIO) -> bool:
    """Of the whole file: one accent a hundred thousand rows down decides."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while chunk := file.read(1 << 20):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _delimiter_of(text: str) -> str:
    """The sign that cuts the first lines into equally many (and most) cells."""
    best, best_score = ",", (0.0, 0)
    for sign in DELIMITERS:
        try:
            widths = []
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=sign):
                if any(row):
                    widths.append(len(row))
                if len(widths) == 30:
                    break
        except csv.Error:
            continue
        if not widths or widths[0] < 2:
            continue
        alike = sum(width == widths[0] for width in widths) / len(widths)
        if (alike, widths[0]) > best_score:
            best, best_score = sign, (alike, widths[0])
    return best


class _Counting(io.RawIOBase):
    """Counts what is read, for the progress."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        chunk = self._file.read(len(view))
        view[: len(chunk)] = chunk
        self.count += len(chunk)
        return len(chunk)
