"""When somebody is told that the service falls short of what it promises. Pure; no I/O.

Three promises are watched here; that an agent is silent in office hours only the CRM can tell. An
alert is told when it begins to stand and when it is over, never in between; it must stand for two
looks and be gone for ten minutes, so that a figure at its edge rings nobody twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from agent.model.metrics import CHANGE, TAKEN, Metric
from agent.model.promises import Promise
from agent.model.reading import Finding, Severity
from agent.support.measures import Figures

SUCCESS = "alert.sync_success"
SLOW = "alert.slow"
UNPROVEN = "alert.unproven"
CODES = (SUCCESS, SLOW, UNPROVEN)

SUCCESS_SHARE = 0.999  # of the records sent within the last hour
FEW = 1  # failures that prove nothing when little was sent
CHANGE_P99_S = 1.0
LEAST_CHANGES = 20  # a percentile of fewer says nothing
ROTATIONS = 1.5

LOOKS_TO_RAISE = 2
QUIET_TO_CLEAR = timedelta(minutes=10)

Facts = dict[str, str | int | float | None]


class Breach(msgspec.Struct, frozen=True):
    """A promise not kept just now. ``facts``: figures for its text."""

    code: str
    facts: Facts


class Held(msgspec.Struct, frozen=True):
    """What is remembered of one: since when, in how many looks, whether it was told, and since when
    it is quiet again."""

    code: str
    since: datetime
    looks: int
    facts: Facts
    told: bool = False
    quiet_since: datetime | None = None


class Notice(msgspec.Struct, frozen=True):
    """One thing to tell. ``is_over``: it ended."""

    code: str
    at: datetime
    facts: Facts
    is_over: bool = False


def promises(
    hour: Figures, ages_in_rotations: Iterable[float], held: Mapping[str, Held]
) -> tuple[Promise, ...]:
    """How each promise stands, with its figure; ``hour`` and ages as for ``judge``."""
    total, failed = _tried(hour)
    spread = hour.spread(Metric.STAGE, CHANGE)
    ages = list(ages_in_rotations)
    share = round(100 * (1 - failed / total), 2) if total else None
    is_enough = spread.count >= LEAST_CHANGES
    measured = (
        (SUCCESS, share, 100 * SUCCESS_SHARE, int(total)),
        (SLOW, spread.quantile_s(0.99) if is_enough else None, CHANGE_P99_S, spread.count),
        (UNPROVEN, max(ages, default=None), ROTATIONS, len(ages)),
    )
    return tuple(
        Promise(code, value, bound, count, _told_since(held.get(code)))
        for code, value, bound, count in measured
    )


def _told_since(held: Held | None) -> datetime | None:
    return held.since if held is not None and held.told else None


def judge(hour: Figures, ages_in_rotations: Iterable[float]) -> list[Breach]:
    """``hour``: what came within the last hour; ages of the oldest chunk of each tier."""
    return [
        breach for breach in (_success(hour), _latency(hour), _proof(ages_in_rotations)) if breach
    ]


def _success(hour: Figures) -> Breach | None:
    total, failed = _tried(hour)
    if failed <= max(FEW, total * (1 - SUCCESS_SHARE)):
        return None
    return Breach(SUCCESS, {"share": round(100 * (1 - failed / total), 2), "failed": int(failed)})


def _tried(hour: Figures) -> tuple[float, float]:
    """Records sent, and of these how many the CRM did not take."""
    tried = hour.by(Metric.CHANGES, 1)
    total = sum(tried.values())
    return total, total - sum(tried.get(word, 0.0) for word in TAKEN)


def _latency(hour: Figures) -> Breach | None:
    spread = hour.spread(Metric.STAGE, CHANGE)
    p99 = spread.quantile_s(0.99)
    if p99 is None or spread.count < LEAST_CHANGES or p99 <= CHANGE_P99_S:
        return None
    return Breach(SLOW, {"p99_s": round(p99, 1), "changes": spread.count})


def _proof(ages_in_rotations: Iterable[float]) -> Breach | None:
    worst = max(ages_in_rotations, default=0.0)
    return Breach(UNPROVEN, {"rotations": round(worst, 1)}) if worst > ROTATIONS else None


def step(
    held: Mapping[str, Held], breaches: Sequence[Breach], now: datetime
) -> tuple[dict[str, Held], list[Notice]]:
    """One look: what is remembered from now on, and what is to be told."""
    after: dict[str, Held] = {}
    notices: list[Notice] = []
    for breach in breaches:
        was = held.get(breach.code) or Held(breach.code, now, 0, breach.facts)
        is_news = not was.told and was.looks + 1 >= LOOKS_TO_RAISE
        after[breach.code] = Held(
            breach.code, was.since, was.looks + 1, breach.facts, was.told or is_news
        )
        if is_news:
            notices.append(Notice(breach.code, now, breach.facts))
    for code, was in held.items():
        if code in after:
            continue
        quiet = was.quiet_since or now
        if was.told and now - quiet < QUIET_TO_CLEAR:
            after[code] = msgspec.structs.replace(was, quiet_since=quiet)
        elif was.told:
            notices.append(Notice(code, now, was.facts, is_over=True))
    return after, notices


def alert_findings(held: Mapping[str, Held]) -> tuple[Finding, ...]:
    """For the status: what was told and is not over."""
    return tuple(
        Finding(code, Severity.WARNING, dict(each.facts))
        for code, each in sorted(held.items())
        if each.told
    )
