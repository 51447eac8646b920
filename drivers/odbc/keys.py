"""Keys of practice systems as the engine's numbers. Pure.

The engine keeps, orders and digests keys as signed 64-bit numbers. Dentrix keys are whole numbers
already; Eaglesoft's patients, providers and services have text keys, planned services a pair. Text
is not ordered the same way by two collations, so text keys never go into a range on the server:
they become numbers here, and ranges over them are cut here (``drivers.odbc.keyring``).

The number is the same for a record's own key and for every reference to it, and says the vendor's
key wherever it can:

========================  =====================================================================
``"1234"`` or 1234        1234: whole numbers without leading zeros, up to 18 digits, as they are
``"DDS1"``, up to 9       2**62 + the characters in base 96: printable ASCII, read back exactly
longer, other, or a pair  2**61 + 60 bits of BLAKE2b: found again among the keys read
========================  =====================================================================

Blanks at the end do not count (CHAR columns pad); blank text is no key.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b

Native = int | str | None
"""A key part as the driver reports it."""

HASHED = 1 << 61
PACKED = 1 << 62
_WHOLE = re.compile(r"0|[1-9][0-9]{0,17}")
_PLAIN = re.compile(r"[ -~]{1,9}")
_BASE = 96
_WIDTH = 9
_JOINT = "\x1f"


def code_of(parts: Sequence[Native], *, fold: bool = False) -> int | None:
    """The number of a key; None when a part is missing. An empty key (the one row) is 0.

    ``fold``: the server holds keys that differ by case for equal.
    """
    if len(parts) == 1:
        return code_of_one(parts[0], fold=fold)
    if not parts:
        return 0
    texts = []
    for part in parts:
        text = str(part).rstrip() if part is not None else ""
        if not text:
            return None
        texts.append(text.upper() if fold else text)
    return _hashed(_JOINT.join(texts))


def code_of_one(part: Native, *, fold: bool = False) -> int | None:
    if part is None or isinstance(part, int):
        return part
    text = part.rstrip()
    if not text:
        return None
    if _WHOLE.fullmatch(text):
        return int(text)
    if fold:
        text = text.upper()
    return _packed(text) if _PLAIN.fullmatch(text) else _hashed(text)


def text_of(code: int) -> str | None:
    """The vendor's key behind a number; None where only the keys read can tell (hashed)."""
    if code < HASHED:
        return str(code)
    if code < PACKED:
        return None
    rest, text = code - PACKED, ""
    while rest:
        rest, digit = divmod(rest, _BASE)
        if digit:
            text = chr(digit + 31) + text
    return text


def _packed(text: str) -> int:
    value = 0
    for at in range(_WIDTH):
        value = value * _BASE + (ord(text[at]) - 31 if at < len(text) else 0)
    return PACKED + value


def _hashed(text: str) -> int:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return HASHED + (int.from_bytes(digest) >> 4)
