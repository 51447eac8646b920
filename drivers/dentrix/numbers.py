"""Numbers of a Dentrix site that only its own rows tell; each is proven by evidence, never assumed.

Reads a few rows and counts. Must not import a database library.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from agent.errors import PmsDrift, PmsError, PmsRefused
from drivers.base import Effort, Row, RowTrouble
from drivers.dentrix.contract import OWNER, SiteNumbers
from drivers.odbc.session import OdbcSession

# Names of appointment statuses as the maker delivers them; offices rename some, hardly all.
DEFAULT_STATUSES = frozenset(
    {"??????", "FIRM", "FIRM-E", "EMERGENCY", "HERE", "READY", "LMM", "LMP", "MULTI", "NOFLEX"}
)
ENOUGH_NAMES = 3
MINUTES_A_DAY = 24 * 60


class Numbers(msgspec.Struct, frozen=True):
    """What a column of whole numbers holds: how many, least, greatest."""

    count: int
    least: int
    greatest: int


def site_numbers(session: OdbcSession) -> SiteNumbers:
    """Raises the Pms errors of a lost connection; what cannot be read is not known."""
    return SiteNumbers(
        operatory_type=_only(asked(session, "SELECT DISTINCT a.rsctype FROM {o}appt a")),
        status_type=status_type(
            asked(session, "SELECT d.deftype,d.descript FROM {o}fulldef d")
        ),
    )  # fmt: skip


def asked(session: OdbcSession, sql: str) -> Sequence[Row]:
    """Rows of a table that may be missing, not granted, or (in a file) without an owner."""
    for owner in (f"{OWNER}.", ""):
        try:
            return session.rows(sql.format(o=owner), Effort.PROBE)
        except (PmsDrift, RowTrouble):
            continue
        except PmsRefused as error:
            if error.code != "pms.right_missing":
                raise
            return []
        except PmsError as error:
            if error.code == "pms.statement_refused":  # an engine without owners may say anything
                continue
            raise
    return []


def _only(rows: Sequence[Row]) -> int | None:
    """The one number all rows agree on."""
    found = {int(row[0]) for row in rows if row[0] is not None}
    return found.pop() if len(found) == 1 else None


def status_type(rows: Iterable[Row]) -> int | None:
    """The list of definitions that holds most of the maker's status names; None when unclear."""
    hits: dict[int, int] = {}
    for kind, name in rows:
        if kind is not None and str(name or "").strip().upper() in DEFAULT_STATUSES:
            hits[int(kind)] = hits.get(int(kind), 0) + 1
    best = sorted(hits.items(), key=lambda hit: -hit[1])[:2]
    if not best or best[0][1] < ENOUGH_NAMES:
        return None
    return None if len(best) > 1 and best[1][1] == best[0][1] else best[0][0]


def time_encodings(values: Iterable[int]) -> tuple[str, ...]:
    """Ways of keeping a time of day as one number that fit every value seen.

    One left: the numbers prove it. 0 fits all, so empty or all-zero columns prove nothing.
    """
    held = {value for value in values if value}
    if not held:
        return ()
    fits = []
    if max(held) < MINUTES_A_DAY:
        fits.append("minutes")
    if max(held) < 2400 and all(value % 100 < 60 for value in held):
        fits.append("hhmm")
    if max(held) < MINUTES_A_DAY * 60 and all(value % 60 == 0 for value in held):
        fits.append("seconds")
    return tuple(fits)
