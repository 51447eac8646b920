"""From one version to the next and, if need be, back: the steps and what each leads to. Pure over
its port; run by a copy of the *old* program, since the new one may not start at all.

The plan is a file. Each stage is written before it begins and may be begun again, so that a restart
of the computer in the middle goes on instead of leaving the practice with half a program.

    install -> settle -> done
       |          `-> remove -> restore -> taken_back | stranded
       `-> (nothing installed any more) ------^        (the old one still there) -> failed
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

import msgspec
import structlog

from agent.model.status import Report
from agent.model.updates import Ending, Outcome
from agent.runtime.updates.health import complaint

log = structlog.get_logger(__name__)

INSTALLED_WITHIN_S = 1200.0  # where somebody else installs
_LOOK_S = 2.0
_STEADY_LOOKS = 5  # one good answer may be the last before a crash
_BUSY = 1618  # another installation runs
_BUSY_FOR_S = 900.0
_SUCCESS = (0, 1641, 3010)


class Stage(StrEnum):
    INSTALL = "install"
    SETTLE = "settle"
    REMOVE = "remove"
    RESTORE = "restore"


class Plan(msgspec.Struct):
    """``msi``: what is to be installed; "" where somebody else's installation is being watched.
    ``back``: the installer of the version before, "" where there is none. ``said``: what that one
    was told when it was installed. ``before``: what the old agent said of itself last."""

    before_version: str
    msi: str
    back: str
    said: dict[str, str]
    before: Report | None
    settle_s: float
    target: str = ""  # the new version, once known
    stage: Stage = Stage.INSTALL
    why: str = ""


class Site(Protocol):
    """A computer as the watch needs it. Exit codes are the Windows Installer's."""

    def install(self, msi: str, said: dict[str, str]) -> int: ...
    def remove(self, version: str) -> int:
        """By the kept installer of that version; data stay."""

    def is_installing(self) -> bool:
        """Somebody's installation is under way."""

    def installed(self) -> str:
        """The installed version; "" without one."""

    def report(self) -> Report | None:
        """What the running agent answers; None: nobody does."""

    def start_agent(self) -> None: ...
    def stop_agent(self) -> None: ...
    def put_journal_back(self) -> str:
        """As ``agent.journal.putback``; a code of ours where that failed."""

    def keep(self, plan: Plan) -> None:
        """Durably."""

    def tell(self, outcome: Outcome) -> None: ...
    def mono(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


def watch(
    plan: Plan, site: Site, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Ending:
    """Until it is over, one way or the other; told, and returned."""
    steps: dict[Stage, Callable[[Plan, Site], Stage | Ending]] = {
        Stage.INSTALL: _install, Stage.SETTLE: _settle, Stage.REMOVE: _remove,
        Stage.RESTORE: _restore,
    }  # fmt: skip
    while True:
        site.keep(plan)
        log.info("update.stage", stage=plan.stage.value, version=plan.target or "unknown")
        led_to = steps[plan.stage](plan, site)
        if isinstance(led_to, Ending):
            log.info(
                "update.ended",
                outcome=led_to.value,
                version=plan.target,
                why=plan.why or "none",
            )
            why = "" if led_to is Ending.DONE else plan.why
            site.tell(Outcome(plan.target, plan.before_version, led_to, now(), why))
            return led_to
        plan.stage = led_to


def _install(plan: Plan, site: Site) -> Stage | Ending:
    if plan.msi and site.installed() == plan.before_version:
        code = _patiently(site, lambda: site.install(plan.msi, plan.said))
        if code not in _SUCCESS:
            plan.why = f"installer_{code}"
    elif not plan.msi:
        _await(site, plan.before_version)
    found = site.installed()
    if not found:
        plan.why = plan.why or "not_installed"
        return Stage.RESTORE
    if found == plan.before_version:
        plan.why = plan.why or "refused"
        site.start_agent()
        return Ending.FAILED
    plan.target = found
    return Stage.SETTLE


def _await(site: Site, before: str) -> None:
    """Until somebody's installation has ended, or has visibly brought a version about."""
    deadline = site.mono() + INSTALLED_WITHIN_S
    calm = 0
    while site.mono() < deadline and calm < _STEADY_LOOKS:
        if site.installed() not in {"", before}:
            return
        calm = 0 if site.is_installing() else calm + 1
        site.sleep(_LOOK_S)


def _settle(plan: Plan, site: Site) -> Stage | Ending:
    deadline = site.mono() + plan.settle_s
    steady = 0
    while steady < _STEADY_LOOKS:
        if not site.installed():  # nobody but a person has removed it meanwhile
            plan.why = "removed"
            return Ending.FAILED
        said = complaint(plan.before, site.report(), plan.target)
        steady = 0 if said else steady + 1
        if said:
            plan.why = said
            if site.mono() > deadline:
                return Stage.REMOVE if plan.back else Ending.STRANDED
        site.sleep(_LOOK_S)
    return Ending.DONE


def _remove(plan: Plan, site: Site) -> Stage | Ending:
    site.stop_agent()
    if site.installed() == plan.target:
        code = _patiently(site, lambda: site.remove(plan.target))
        if code not in _SUCCESS:
            log.error("update.not_removed", code=code)
    return Stage.RESTORE


def _restore(plan: Plan, site: Site) -> Stage | Ending:
    """The old version again, on the journal it can read. Trying is better than giving up: an
    installer that finds its own version installed does no harm."""
    if not plan.back:
        return Ending.STRANDED
    journal = site.put_journal_back()
    if journal not in {"whole", "put_back"}:
        log.error("update.journal_not_put_back", code=journal)
    if site.installed() != plan.before_version:
        code = _patiently(site, lambda: site.install(plan.back, plan.said))
        if code not in _SUCCESS:
            plan.why = f"{plan.why}+back_{code}"
            return Ending.STRANDED
    site.start_agent()
    deadline = site.mono() + plan.settle_s
    while site.mono() < deadline:
        report = site.report()
        if report is not None and report.snapshot.agent_version == plan.before_version:
            return Ending.TAKEN_BACK
        site.sleep(_LOOK_S)
    plan.why = f"{plan.why}+old_silent"
    return Ending.STRANDED


def _patiently(site: Site, act: Callable[[], int]) -> int:
    """Its exit code; while another installation runs it is tried again."""
    deadline = site.mono() + _BUSY_FOR_S
    while (code := act()) == _BUSY and site.mono() < deadline:
        site.sleep(_LOOK_S)
    return code
