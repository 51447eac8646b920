"""Brakes and verdicts about the source: when to stop believing what we read. Pure; no I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from agent.model.reading import SourceGuard

SEEN = "seen:"  # before a witness's name, among the marks
FALLEN = 2


class Unbelieved(Exception):
    """What was just read must not be taken: the source is not (or no longer) the one we know."""


class Verdict(StrEnum):
    """What the engine does about the source. Stored in the journal and shown; never silent."""

    OK = "ok"
    WAIT = "wait"  # an update runs or tables are being rebuilt: read nothing, try again
    REPROBE = "reprobe"  # the version changed: map again, prove every chunk again
    CORRUPTED = "corrupted"  # the PMS itself says its database is corrupted
    RESTORED = "suspect_restored"  # keys went backwards: a backup was restored, or tables emptied
    OTHER = "wrong_db"  # this is not the database we are paired with


def judge_source(
    guard: SourceGuard,
    *,
    identity: str | None,
    version: str,
    high_marks: Mapping[str, int],
) -> Verdict:
    """Compare the live guard with what the journal remembers (``identity`` None: first contact).

    A table the guard does not speak of (its right was revoked, an older agent watched it) proves
    nothing; one that is empty speaks: its mark is 0.
    """
    if guard.corrupted:
        return Verdict.CORRUPTED
    if guard.update_running or guard.rebuilding:
        return Verdict.WAIT
    if identity is not None and guard.identity != identity:
        return Verdict.OTHER
    if any(mark < high_marks.get(table, 0) for table, mark in guard.high_marks.items()):
        return Verdict.RESTORED
    if _went_back(guard, high_marks):
        return Verdict.RESTORED
    if guard.version != version:
        return Verdict.REPROBE
    return Verdict.OK


def _went_back(guard: SourceGuard, marks: Mapping[str, int]) -> bool:
    """Several witnesses fell since the last look and none rose: people
    delete one thing at a time and write in between, a backup takes everything back at once."""
    steps = [mark - marks.get(SEEN + table, mark) for table, mark in guard.witnesses.items()]
    return max(steps, default=0) <= 0 and sum(s < 0 for s in steps) >= FALLEN


def marks_of(guard: SourceGuard, old: Mapping[str, int]) -> dict[str, int]:
    """What to remember of a look that was believed: sentinels at their highest, witnesses as seen
    last (an ordinary deletion is forgotten with the next look)."""
    seen = {SEEN + table: mark for table, mark in guard.witnesses.items()}
    return {**merge_marks(old, guard.high_marks), **seen}


def merge_marks(old: Mapping[str, int], new: Mapping[str, int]) -> dict[str, int]:
    return {table: max(old.get(table, 0), new.get(table, 0)) for table in {*old, *new}}


@dataclass(frozen=True, slots=True)
class BrakeRule:
    """Largest unattended effect: ``rows`` or ``share`` of the stream, whichever is larger."""

    rows: int
    share: float

    def limit(self, present: int) -> int:
        return max(self.rows, int(present * self.share))


class Odometer:
    """Counts effects on one stream over a sliding window of ``window_s`` seconds; what makes up for
    some of them counts below zero."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._steps: deque[tuple[float, int]] = deque()
        self._total = 0

    def add(self, now_mono: float, count: int) -> int:
        """Count and return the window's total."""
        if count:
            self._steps.append((now_mono, count))
            self._total += count
        return self.total(now_mono)

    def total(self, now_mono: float) -> int:
        while self._steps and self._steps[0][0] < now_mono - self._window_s:
            self._total -= self._steps.popleft()[1]
        return self._total

    def reset(self) -> None:
        self._steps.clear()
        self._total = 0
