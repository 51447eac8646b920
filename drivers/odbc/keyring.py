"""Ranges over keys. Whole-number keys: the server cuts them. Coded keys: we list them all and cut.

One keyring per stream and reader. A coded key set is listed again when it grew older than
``FRESH_S`` or than it cost to read many times over, so a big table is not listed all the time.
"""

from __future__ import annotations

import bisect
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from agent.model.reading import Digest
from drivers.base import Effort, digest_of_keys
from drivers.odbc import wire
from drivers.odbc.keys import text_of
from drivers.odbc.session import OdbcSession
from drivers.odbc.statements import AMONG, PAIRS, StreamPlan, Where

FRESH_S = 1.0
COST_FACTOR = 20.0


class Keyring(Protocol):
    """The key set of a stream, as numbers. Ranges are ``lo < key <= hi``."""

    def highest(self) -> int | None: ...
    def after(self, lo: int | None, limit: int) -> list[int]: ...
    def nth(self, lo: int | None, n: int) -> int | None: ...
    def digest(self, lo: int | None, hi: int | None) -> Digest: ...
    def slices(
        self, lo: int | None, hi: int | None, limit: int
    ) -> Iterator[tuple[Where, int, bool]]:
        """Conditions that together read the range's first ``limit`` rows (0: all): (where, TOP or
        0, spread)."""

    def among(self, codes: Sequence[int]) -> Iterator[Where]:
        """Conditions that read the rows with these keys."""

    def learn(self, natives: Sequence[tuple[int, tuple[wire.Cell, ...]]], codes: Sequence[int]
              ) -> None:  # fmt: skip
        """Keys seen elsewhere exist too."""


class PlainKeys:
    """Whole numbers in the server's own order."""

    def __init__(self, session: OdbcSession, plan: StreamPlan) -> None:
        self._session = session
        self._plan = plan

    def highest(self) -> int | None:
        sql, params = self._plan.max_key()
        found = self._session.rows(sql, Effort.PAGE, params)[0][0]
        return None if found is None else int(found)

    def after(self, lo: int | None, limit: int) -> list[int]:
        asked = self._plan.list_keys(self._plan.within(lo, None), limit)
        found = self._session.keys(asked)
        return found.codes

    def nth(self, lo: int | None, n: int) -> int | None:
        asked = msgspec.structs.replace(
            self._plan.list_keys(self._plan.within(lo, None), n), last=True
        )
        found = self._session.keys(asked, Effort.DIGEST)
        return found.codes[-1] if found.seen >= n and found.codes else None

    def digest(self, lo: int | None, hi: int | None) -> Digest:
        return self._session.key_sum(self._plan.list_keys(self._plan.within(lo, hi)))

    def slices(
        self, lo: int | None, hi: int | None, limit: int
    ) -> Iterator[tuple[Where, int, bool]]:
        yield self._plan.within(lo, hi), limit, False

    def among(self, codes: Sequence[int]) -> Iterator[Where]:
        for start in range(0, len(codes), AMONG):
            yield self._plan.among([(code,) for code in codes[start : start + AMONG]])

    def learn(self, natives: Sequence[tuple[int, tuple[wire.Cell, ...]]], codes: Sequence[int]
              ) -> None:  # fmt: skip
        return


class CodedKeys:
    """Text, composite and single-row keys: listed whole, ordered by their numbers."""

    def __init__(self, session: OdbcSession, plan: StreamPlan) -> None:
        self._session = session
        self._plan = plan
        self._codes: list[int] = []
        self._natives: dict[int, tuple[wire.Cell, ...]] = {}
        self._stale_mono = 0.0

    def highest(self) -> int | None:
        codes = self._fresh()
        return codes[-1] if codes else None

    def after(self, lo: int | None, limit: int) -> list[int]:
        codes = self._fresh()
        start = 0 if lo is None else bisect.bisect_right(codes, lo)
        return codes[start : start + limit]

    def nth(self, lo: int | None, n: int) -> int | None:
        found = self.after(lo, n)
        return found[-1] if len(found) == n else None

    def digest(self, lo: int | None, hi: int | None) -> Digest:
        return digest_of_keys(self._within(lo, hi))

    def slices(
        self, lo: int | None, hi: int | None, limit: int
    ) -> Iterator[tuple[Where, int, bool]]:
        if lo is None and hi is None and not limit:
            yield self._plan.records, 0, True  # all of it: no need to name each
            return
        codes = self._within(lo, hi)
        for where in self.among(codes[:limit] if limit else codes):
            yield where, 0, True

    def among(self, codes: Sequence[int]) -> Iterator[Where]:
        natives = [native for code in codes if (native := self._native(code)) is not None]
        width = AMONG if len(self._plan.keys) == 1 else PAIRS
        for start in range(0, len(natives), width):
            yield self._plan.among(natives[start : start + width])

    def learn(self, natives: Sequence[tuple[int, tuple[wire.Cell, ...]]], codes: Sequence[int]
              ) -> None:  # fmt: skip
        self._natives.update(natives)
        for code in codes:
            at = bisect.bisect_left(self._codes, code)
            if at == len(self._codes) or self._codes[at] != code:
                self._codes.insert(at, code)

    def _within(self, lo: int | None, hi: int | None) -> list[int]:
        codes = self._fresh()
        start = 0 if lo is None else bisect.bisect_right(codes, lo)
        end = len(codes) if hi is None else bisect.bisect_right(codes, hi)
        return codes[start:end]

    def _native(self, code: int) -> tuple[wire.Cell, ...] | None:
        if not self._plan.keys:
            return () if code == 0 else None
        if code not in self._natives:
            self._fresh()
        native = self._natives.get(code)
        if native is None and len(self._plan.keys) == 1 and (text := text_of(code)) is not None:
            return (text,)
        return native

    def _fresh(self) -> list[int]:
        started = time.monotonic()
        if started < self._stale_mono:
            return self._codes
        found = self._session.keys(self._plan.list_keys(self._plan.records), Effort.DIGEST)
        self._codes = sorted(set(found.codes))
        self._natives = dict(found.natives)
        took_s = time.monotonic() - started
        self._stale_mono = time.monotonic() + max(FRESH_S, took_s * COST_FACTOR)
        return self._codes


def keyring(session: OdbcSession, plan: StreamPlan) -> Keyring:
    return CodedKeys(session, plan) if plan.coded else PlainKeys(session, plan)
