"""Records as a CSV file: canonical fields in, bytes out, a piece at a time. Pure.

Two readers: a person with Excel (byte order mark, local time without a zone, cells that Excel
leaves alone) and a program (RFC 4180, UTF-8, instants with their zone). Must import leaves only.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from agent.csvio.cells import told

PIECE_ROWS = 500


def sheet(
    heads: Sequence[str], records: Iterable[Mapping[str, Any]], *, excel: bool, zone: str = "UTC"
) -> Iterator[bytes]:
    """The file in pieces, heads first. ``zone``: of the practice, for a person's times."""
    place = ZoneInfo(zone or "UTC")
    yield (b"\xef\xbb\xbf" if excel else b"") + _piece([list(heads)])
    held: list[list[str]] = []
    for record in records:
        held.append([told(_text(record.get(h), excel, place), excel=excel) for h in heads])
        if len(held) == PIECE_ROWS:
            yield _piece(held)
            held = []
    if held:
        yield _piece(held)


def _piece(rows: list[list[str]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue().encode()


def _text(value: Any, excel: bool, zone: ZoneInfo) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return _instant(value, zone) if excel and _is_instant(value) else value
    if isinstance(value, list | tuple):
        if all(isinstance(item, str) for item in value):
            return "; ".join(value)
        return json.dumps(value, ensure_ascii=False) if value else ""
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False) if value else ""
    return str(value)


def _is_instant(text: str) -> bool:
    return len(text) == 20 and text[10] == "T" and text[-1] == "Z" and text[4] == "-"


def _instant(text: str, zone: ZoneInfo) -> str:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M")
