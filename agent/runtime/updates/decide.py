"""What is to be done about an offered version now, and what people are told. Pure; no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum

from agent.model.hours import Week, is_open
from agent.model.reading import Finding, Severity
from agent.model.updates import Ending, Outcome, Release, UpdatePolicy, is_newer

QUIET_FOR = timedelta(minutes=30)  # an update takes one minute, taking it back a few
_STEP = timedelta(minutes=10)
_NIGHT = (time(1), time(5))  # where no office hours are known
TOLD_FOR = timedelta(days=7)
FAILED_FOR = timedelta(hours=20)  # a full disk may have room the next night


class Deed(StrEnum):
    NOTHING = "nothing"
    LOOK = "look"  # is there a newer version?
    FETCH = "fetch"
    INSTALL = "install"


@dataclass(frozen=True, slots=True)
class Known:
    """``version``: ours. ``can_install``: this installation has the helper (a service of Windows).
    ``is_fetched``: the offered file is here, whole."""

    policy: UpdatePolicy
    version: str
    release: Release | None
    outcome: Outcome | None
    can_install: bool
    is_fetched: bool


@dataclass(frozen=True, slots=True)
class Moment:
    """``wall``: the practice's wall time. ``is_busy``: a first load runs, or the agent is paused:
    whoever did that does not want it to go away just now."""

    wall: datetime
    week: Week
    is_busy: bool
    is_look_due: bool


def next_deed(known: Known, moment: Moment) -> Deed:
    """The next single step. Looking comes first: what was offered may have been taken back."""
    if known.policy is UpdatePolicy.MANAGED:
        return Deed.NOTHING
    if moment.is_look_due:
        return Deed.LOOK
    if (
        known.policy is not UpdatePolicy.AUTO
        or not is_wanted(known, moment.wall)
        or not known.can_install
    ):
        return Deed.NOTHING
    if not known.is_fetched:
        return Deed.FETCH
    may = not moment.is_busy and is_quiet(moment.week, moment.wall)
    return Deed.INSTALL if may else Deed.NOTHING


def is_wanted(known: Known, now: datetime) -> bool:
    """Newer than ours, and not one that was tried here and did not work; one that could not even
    be begun is tried again the next night. ``now``: aware."""
    if known.release is None or not is_newer(known.release.version, known.version):
        return False
    tried = known.outcome
    if tried is None or tried.ending is Ending.DONE or tried.version != known.release.version:
        return True
    return tried.ending is Ending.FAILED and now - tried.at > FAILED_FOR


def is_quiet(week: Week, wall: datetime) -> bool:
    """Nobody works now, nor within the half hour an update may take at worst. Without office hours
    that is known of the small hours only."""
    if not week:
        return _NIGHT[0] <= wall.time().replace(tzinfo=None) < _NIGHT[1]
    steps = QUIET_FOR // _STEP
    return not any(is_open(week, wall + _STEP * at) for at in range(steps + 1))


def findings(known: Known, now: datetime) -> list[Finding]:
    """What window, status and doctor show. ``now``: aware."""
    found = []
    last = known.outcome
    if last is not None and now - last.at < TOLD_FOR:
        found += _of_outcome(last)
    release = known.release
    if release is None or known.policy is UpdatePolicy.MANAGED:
        return found
    facts: dict[str, str | int | float | None] = {
        "version": release.version, "current": known.version
    }  # fmt: skip
    if is_newer(release.version, known.version) and is_wanted(known, now):
        by_itself = known.policy is UpdatePolicy.AUTO and known.can_install
        code, severity = ("update.planned", Severity.NOTE) if by_itself else (
            "update.available", Severity.WARNING
        )  # fmt: skip
        found.append(Finding(code, severity, facts))
    return found


def _of_outcome(last: Outcome) -> list[Finding]:
    facts: dict[str, str | int | float | None] = {
        "version": last.version, "before": last.before, "why": last.why
    }  # fmt: skip
    match last.ending:
        case Ending.DONE:
            return [Finding("update.done", Severity.NOTE, facts)]
        case Ending.TAKEN_BACK:
            return [Finding("update.taken_back", Severity.WARNING, facts)]
        case Ending.FAILED:
            return [Finding("update.failed", Severity.WARNING, facts)]
        case Ending.STRANDED:
            return [Finding("update.stranded", Severity.ERROR, facts)]
