"""One cell: what a spreadsheet program may not run or mangle, there and back. Pure.

Out: text that Excel would run as a formula gets an apostrophe in front (OWASP, "CSV Injection");
for Excel, text that it would turn into a number (leading zeros, long numbers, ``+1555…``) is
written as ``="0123"``. In: both are undone. Must import leaves only.
"""

from __future__ import annotations

import re

CELL_CHARS = 32_767  # Excel's limit
_NUMBER = re.compile(r"-?\d+")
_PHONE = re.compile(r"\+[1-9]\d{6,14}")
# OWASP's list with the full-width forms; spaces before them count for nothing.
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# What Excel makes another value of: leading zeros go, beyond 15 digits become zeros, 1E5, dates.
_MANGLED = re.compile(r"0\d+|\d{12,}|\+\d{7,15}|\d+[eE]\d+|\d{1,2}[-/]\d{1,2}")
_AS_TEXT = re.compile(r'=\s*"((?:[^"]|"")*)"')
_SCIENTIFIC = re.compile(r"[+-]?\d[.,]?\d*[eE]\+\d{1,3}")


def told(text: str, *, excel: bool = True) -> str:
    """A cell to write. ``excel``: opened by a person; else read by a program."""
    if _PHONE.fullmatch(text):
        return f'="{text}"' if excel else text
    if excel and _MANGLED.fullmatch(text):
        return f'="{text}"'
    if _NUMBER.fullmatch(text):
        return text
    guard = "'" if _FORMULA.match(text) else ""
    lines = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    safe = guard + lines
    return safe if len(safe) <= CELL_CHARS else safe[: CELL_CHARS - 1] + "…"


def heard(text: str) -> str:
    """A cell as read: trimmed, without the guards that ``told`` or Excel put there."""
    text = text.strip(" \t\u00a0\ufeff")
    found = _AS_TEXT.fullmatch(text)
    if found:
        return found[1].replace('""', '"').strip()
    if text.startswith("'") and (_FORMULA.match(text[1:]) or _NUMBER.fullmatch(text[1:])):
        return text[1:].strip()
    return text


def is_scientific(text: str) -> bool:
    """``5.55123E+09``: Excel showed a long number so and saved it so; its digits are gone."""
    return _SCIENTIFIC.fullmatch(text) is not None
