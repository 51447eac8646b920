"""How an engine spells "at most n rows". Pure.

Statements are written with ``SELECT TOP n``, which c-tree and SQL Anywhere document. The probe asks
the server once; older c-tree levels are reported to want LIMIT, and where neither is known we stop
fetching after n rows (cheap on drivers that stream, quadratic on those that buffer).
"""

from __future__ import annotations

import re
from enum import StrEnum

_TOP = re.compile(r"\ASELECT TOP (\d+) ")


class RowLimit(StrEnum):
    TOP = "top"
    LIMIT = "limit"
    FETCH = "fetch"


def spelled(sql: str, how: RowLimit) -> str:
    """The statement as the server takes it. Only the outermost SELECT has a limit."""
    found = _TOP.match(sql)
    if found is None or how is RowLimit.TOP:
        return sql
    rest = f"SELECT {sql[found.end() :]}"
    return f"{rest} LIMIT {found[1]}" if how is RowLimit.LIMIT else rest


def limit_in(sql: str) -> int:
    """n of ``SELECT TOP n``, 0 without one."""
    found = _TOP.match(sql)
    return int(found[1]) if found else 0
