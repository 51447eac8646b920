"""The figures of one week, for who pays for it. A leaf. Counts, times, sums; names of nobody."""

from __future__ import annotations

from datetime import date, datetime

import msgspec

from agent.model.asking import Request, Role
from agent.model.longwork import Job
from agent.model.proof import FullProof
from agent.model.streams import Stream


class Speed(msgspec.Struct, frozen=True):
    """Seconds; None where nothing of the kind happened."""

    count: int = 0
    p50_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None


class Links(msgspec.Struct, frozen=True):
    """People of the CRM matched with patients. ``taken_back``: links a person ended."""

    linked: int = 0
    asked: int = 0
    taken_back: int = 0

    @property
    def accuracy(self) -> float | None:
        return None if not self.linked else max(1 - self.taken_back / self.linked, 0.0)


class Leads(msgspec.Struct, frozen=True):
    """People the CRM first spoke of in the week. ``reached``: an outgoing message or call, or a
    visit made, was seen in the practice since; ``median_h``: after so long."""

    came: int = 0
    reached: int = 0
    median_h: float | None = None


class Source(msgspec.Struct, frozen=True):
    """Work completed in the week of patients who came by this source. ``amount``: decimal text."""

    name: str
    patients: int
    procedures: int
    amount: str


class WeekReport(msgspec.Struct, frozen=True):
    """``week``: ISO, such as 2026-W18; first and last day on the practice's wall. ``days``: of
    these, with figures. ``sent`` by what the CRM answered. ``missing``: what could not be read."""

    week: str
    first: date
    last: date
    days: int
    made_at: datetime
    agent_version: str
    success: float | None
    sent: dict[str, int]
    change: Speed
    command: Speed
    commands: dict[str, int]
    conflicts: dict[str, int]
    late: int
    wrong: int
    repaired: int
    links: Links
    alerts: int
    outage_s: dict[str, float]
    proof: FullProof | None
    leads: Leads | None = None
    sources: tuple[Source, ...] = ()
    missing: tuple[Stream, ...] = ()

    @property
    def duplicates(self) -> int:
        """Sent again although the CRM had them: told apart there, nothing was done twice."""
        return self.sent.get("duplicate", 0)


class WeekMade(msgspec.Struct, frozen=True):
    """``page``: HTML of its own, nothing fetched."""

    report: WeekReport
    page: str


class MakeWeek(Request[Job], frozen=True):
    """The report of a week ("" = the last whole one); the job's result is a ``WeekMade``.
    ``language``: of the page."""

    method = "report.week"
    role = Role.MANAGER
    week: str = ""
    language: str = "en"
