"""From what a driver returns to text, column by column, and the row hash over it. Pure.

Runs in the child. A value has one text whatever the driver's type for it, so that a column that
became a DATETIME, or a driver that reads DECIMAL as text, moves no hash by itself.
Must not import pyodbc.
"""

from __future__ import annotations

import datetime as dt
import operator
import re
import struct
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from hashlib import sha1
from typing import Any

import msgspec

from drivers.odbc.keys import code_of_one
from drivers.odbc.wire import Cell

LETTER = {
    "int": "i", "text": "t", "key": "k", "date": "d", "stamp": "s", "time": "h", "money": "m",
    "number": "n", "flag": "f", "note": "t", "any": "a",
}  # fmt: skip
"""Kind of a column -> its letter on the wire."""

ITEM = "\x1e"  # between the items of a gathered 1:N value; as in drivers.sqltext
PART = "\x1f"
_HASH = struct.Struct(">Qq4x")
_encode = msgspec.msgpack.Encoder().encode
_written = msgspec.json.Encoder().encode


def text_of(value: Any) -> Cell:
    """A value of unknown kind as text; whole numbers stay numbers."""
    if value is None or type(value) is int:
        return value
    if isinstance(value, str):
        return value.rstrip(" \0")
    return _any(value)


def _any(value: Any) -> str | None:
    kind = type(value)
    if kind is str:
        return value.rstrip(" \0")  # type: ignore[no-any-return]
    if value is None:
        return None
    if kind is int:
        return str(value)
    if kind is dt.datetime:
        return value.isoformat(" ")  # type: ignore[no-any-return]
    if kind is dt.date or kind is dt.time:
        return value.isoformat()  # type: ignore[no-any-return]
    if kind is Decimal:
        return format(value, "f")
    if kind is bool:
        return "1" if value else "0"
    if kind is float:
        return _number(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex().upper()
    return str(value)


def _number(value: Any) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _date(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, dt.datetime):
        return value.date().isoformat()
    return value.isoformat() if isinstance(value, dt.date) else str(value).strip()[:10]


def _stamp(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, dt.datetime):
        return value.isoformat(" ")
    if isinstance(value, dt.date):
        return f"{value.isoformat()} 00:00:00"
    return str(value).strip()


def _whole(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, (Decimal, float)):
        return str(int(value)) if value == int(value) else _any(value)
    return _any(value)


def _money(value: Any) -> str | None:
    """Without trailing zeros, for some drivers keep the scale and some do not."""
    if value is None:
        return None
    if isinstance(value, str):
        value = value.strip()
        if not value:
            return None
    if isinstance(value, float):
        value = repr(value)
    number = value if isinstance(value, Decimal) else Decimal(value)
    if not number.is_finite():
        raise ValueError("not a finite number")
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"", "-0"} else text


def _flag(value: Any) -> str | None:
    if isinstance(value, str):
        word = value.strip().lower()
        return {"t": "1", "true": "1", "y": "1", "yes": "1", "f": "0", "false": "0", "n": "0",
                "no": "0"}.get(word, word)  # fmt: skip
    return _whole(value)


Column = Sequence[Any]
_NONE = type(None)
_EDGE = "\x1d"
_BLANK = " " + _EDGE


def _texts(column: Column) -> Iterable[Cell]:
    try:
        joined = _EDGE.join(column)
    except TypeError:  # a NULL, or no text at all
        joined = _BLANK
    if not (_BLANK in joined or "\0" in joined or joined.endswith(" ")):
        return column  # the common case, found out without touching each value
    try:
        return [value and value.rstrip(" \0") for value in column]
    except AttributeError:
        return list(map(_any, column))


def _anys(column: Column) -> Iterable[Cell]:
    kinds = set(map(type, column))
    if kinds <= {str, _NONE}:
        return _texts(column)
    if kinds == {int}:
        return _numbers(column)
    return list(map(_any, column))


def _numbers(column: Column) -> list[str]:
    """``map(str)`` over whole numbers, in one go."""
    return _written(column).decode()[1:-1].split(",")


def _moments(column: Column) -> list[str]:
    """ISO texts of dates, or of moments with a space for the T, in one go."""
    return _written(column).decode()[2:-2].replace("T", " ").split('","')


def _wholes(column: Column) -> Iterable[Cell]:
    kinds = set(map(type, column))
    if kinds == {int}:
        return _numbers(column)
    if kinds <= {int, _NONE}:
        return [None if value is None else str(value) for value in column]
    return list(map(_whole, column))


def _dates(column: Column) -> Iterable[Cell]:
    if set(map(type, column)) == {dt.date}:
        return _moments(column)
    return list(map(_date, column))


def _stamps(column: Column) -> Iterable[Cell]:
    if set(map(type, column)) == {dt.datetime} and not any(map(_ZONE, column)):
        return _moments(column)
    return list(map(_stamp, column))


def _moneys(column: Column) -> Iterable[Cell]:
    if set(map(type, column)) == {Decimal}:
        texts = list(map(str, column))
        told = "".join(texts)
        if not _ODD.search(told):
            bare = [t.rstrip("0").rstrip(".") if "." in t else t for t in texts]
            return ["0" if text == "-0" else text for text in bare]
    return list(map(_money, column))


_ZONE = operator.attrgetter("tzinfo")
_ODD = re.compile("[A-Za-z]")  # an exponent, NaN, Infinity


def converters(fold: bool) -> dict[str, Callable[[Column], Iterable[Cell]]]:
    """One pass over a column, by the letter of its kind. Raises ValueError for a bad value."""

    def key(value: Any) -> str | None:
        if isinstance(value, (Decimal, float)):
            value = int(value)
        code = code_of_one(value, fold=fold)
        return None if code is None else str(code)

    def keys(column: Column) -> Iterable[Cell]:
        if set(map(type, column)) == {int}:
            return _numbers(column)
        return list(map(key, column))

    def each(convert: Callable[[Any], Cell]) -> Callable[[Column], Iterable[Cell]]:
        return lambda column: list(map(convert, column))

    def flags(column: Column) -> Iterable[Cell]:
        return _wholes(column) if set(map(type, column)) == {int} else list(map(_flag, column))

    return {
        "i": _wholes,
        "t": _texts,
        "k": keys,
        "d": _dates,
        "s": _stamps,
        "h": each(_any),
        "m": _moneys,
        "n": each(_any),
        "f": flags,
        "a": _anys,
    }


def hashed(rows: Iterable[tuple[Cell, ...]]) -> list[tuple[int, int]]:
    """(sum48, xor64) of each row: 112 bits over its unambiguous encoding, in the shape a server
    that hashes gives them (``drivers.base``).

    Any stable hash will do, for it only meets hashes made here: where a server hashes, its own
    value is what is encoded. SHA-1 is the quickest the standard library has; no secret hangs on it
    (saying so to hashlib makes it half as quick).
    """
    encoded = map(_encode, rows)  # a zip makes but one tuple then, again and again
    digests = [sha1(row).digest() for row in encoded]  # noqa: S324
    return [(top >> 16, last) for top, last in _HASH.iter_unpack(b"".join(digests))]


def item(parts: Sequence[Cell]) -> str:
    """One row of a gathered value."""
    return PART.join(
        "" if part is None else str(part).replace(ITEM, " ").replace(PART, " ") for part in parts
    )


def folded(how: str, values: Iterable[Cell]) -> Cell:
    """MAX, MIN or BIT_OR of what at most one row should hold; None when no row does."""
    held = [value for value in values if value is not None]
    if not held:
        return None
    if how == "BIT_OR":
        mixed = 0
        for value in held:
            mixed |= int(value)
        return str(mixed)
    pick = max if how == "MAX" else min
    numbers = all(str(value).lstrip("-").isdigit() for value in held)
    return pick(held, key=int) if numbers else pick(map(str, held))
