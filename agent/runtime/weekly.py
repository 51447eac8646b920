"""The week's report: figures of its days, what the journal tells, and what the practice's records
tell of leads and of production by source. Reads only; long work, a job.
"""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from agent import __version__
from agent.control.server import Caller
from agent.errors import AgentError
from agent.journal.reads import Reads
from agent.model.asking import Request
from agent.model.kpi import Leads, Links, MakeWeek, Source, Speed, WeekMade, WeekReport
from agent.model.longwork import Job
from agent.model.metrics import CHANGE, Metric, Spread
from agent.model.streams import Stream
from agent.runtime.alerting import DAY, days_of
from agent.runtime.fallback.jobs import Jobs, Ticket
from agent.support.measures import Figures, success_share
from agent.support.weekpage import week_page
from agent.sync.proofs import last_full

Record = dict[str, Any]
Answers = Mapping[type[Request[Any]], Callable[[Any, Caller], object]]

PAGE = 500
NO_SOURCE = ""  # shown as "not said"
PERSON = "person"  # a referring patient or friend: never by name


class WeekError(AgentError):
    """``report.bad_week``."""

    code = "report.bad_week"


class Weekly:
    """``records``, ``some``: as of the CSV export; ``zone``: the practice's."""

    def __init__(
        self,
        journal: Reads,
        now: Callable[[], datetime],
        zone: tzinfo | None,
        records: Callable[[Stream], Iterator[Record]],
        some: Callable[[Stream, Sequence[str]], dict[str, Record]],
    ) -> None:
        self._journal = journal
        self._now = now
        self._zone = zone
        self._records = records
        self._some = some

    def make(self, wish: MakeWeek, ticket: Ticket) -> WeekMade:
        """Raises WeekError."""
        first = monday_of(wish.week, self._now().astimezone(self._zone).date())
        last = first + timedelta(days=6)
        since = datetime.combine(first, time(), self._zone).astimezone(UTC)
        until = datetime.combine(last + timedelta(days=1), time(), self._zone).astimezone(UTC)
        days = days_of(self._journal.marks(DAY))
        names = [(first + timedelta(days=n)).isoformat() for n in range(7)]
        mine = [days[name] for name in names if name in days]
        missing: list[Stream] = []
        leads = self._try(lambda: self._leads(since, until, ticket), Stream.COMMUNICATION, missing)
        sources = self._try(lambda: self._sources(first, last, ticket), Stream.PROCEDURE, missing)
        report = self._report(first, last, since, until, mine)
        report = _with(report, leads, tuple(sources or ()), tuple(missing))
        return WeekMade(report, week_page(report, wish.language))

    def _report(
        self, first: date, last: date, since: datetime, until: datetime, days: Sequence[Figures]
    ) -> WeekReport:
        figures = Figures({}, {})
        for day in days:
            figures = figures.plus(day)
        acts = self._journal.acts_between(since, until)
        year, number, _ = first.isocalendar()
        return WeekReport(
            week=f"{year}-W{number:02}",
            first=first,
            last=last,
            days=len(days),
            made_at=self._now(),
            agent_version=__version__,
            success=success_share(figures),
            sent=_whole(figures.by(Metric.CHANGES, 1)),
            change=_speed(figures.spread(Metric.STAGE, CHANGE)),
            command=_speed(figures.spread(Metric.STAGE, "command")),
            commands=_whole(figures.by(Metric.COMMANDS, 0)),
            conflicts=_whole(figures.by(Metric.CONFLICTS, 1)),
            late=int(sum(figures.by(Metric.LATE, 0).values())),
            wrong=int(sum(figures.by(Metric.PROVEN_WRONG, 0).values())),
            repaired=int(sum(figures.by(Metric.REPAIRED, 0).values())),
            links=Links(
                linked=acts.get("contact.linked", 0),
                asked=acts.get("contact.suspect", 0),
                taken_back=self._journal.links_taken_back(since, until),
            ),
            alerts=acts.get("alert.told", 0),
            outage_s=self._outages(since, until),
            proof=last_full(self._journal),
        )

    def _outages(self, since: datetime, until: datetime) -> dict[str, float]:
        """Seconds of the week by side."""
        sums: dict[str, float] = defaultdict(float)
        for row in self._journal.outages(500, since):
            began, ended = max(row.started_at, since), min(row.ended_at or until, until)
            if ended > began:
                sums[row.side] += (ended - began).total_seconds()
        return dict(sums)

    def _try(self, read: Callable[[], Any], stream: Stream, missing: list[Stream]) -> Any:
        try:
            return read()
        except AgentError:
            missing.append(stream)
            return None

    # -- leads ------------------------------------------------------------------------------------

    def _leads(self, since: datetime, until: datetime, ticket: Ticket) -> Leads:
        came = {
            cloud_id: at
            for cloud_id, at in self._journal.contacts_first_told().items()
            if since <= at < until
        }
        keys = {str(k): c for c, k in self._journal.keys_of_cloud(list(came)).items()}
        first: dict[str, datetime] = {}

        def met(record: Record, at: Any) -> None:
            cloud_id = keys.get(str(record.get("patient_key") or ""))
            moment = _instant(at)
            if cloud_id is None or moment is None or moment < came[cloud_id]:
                return
            first[cloud_id] = min(first.get(cloud_id, moment), moment)

        if keys:
            for record in self._counted(Stream.COMMUNICATION, ticket):
                if record.get("direction") == "sent":
                    met(record, record.get("at"))
            for record in self._counted(Stream.APPOINTMENT, ticket):
                met(record, record.get("created"))
        hours = [(at - came[cloud_id]).total_seconds() / 3600 for cloud_id, at in first.items()]
        median = round(statistics.median(hours), 1) if hours else None
        return Leads(len(came), len(first), median)

    # -- production -------------------------------------------------------------------------------

    def _sources(self, first: date, last: date, ticket: Ticket) -> list[Source]:
        """Completed work of the week by how its patient came, the most first."""
        amounts: dict[str, Decimal] = defaultdict(Decimal)
        counts: Counter[str] = Counter()
        for record in self._counted(Stream.PROCEDURE, ticket):
            day = str(record.get("date_completed") or record.get("date") or "")[:10]
            if record.get("status") == "completed" and first.isoformat() <= day <= last.isoformat():
                patient = str(record.get("patient_key") or "")
                amounts[patient] += _decimal(record.get("amount"))
                counts[patient] += 1
        source_of = self._source_of(list(counts))
        names = self._source_names(sorted(set(source_of.values()) - {NO_SOURCE}))
        grouped: dict[str, list[str]] = defaultdict(list)
        for patient in counts:
            key = source_of.get(patient, NO_SOURCE)
            grouped[names.get(key, PERSON) if key else NO_SOURCE].append(patient)
        found = [
            Source(
                name,
                len(patients),
                sum(counts[p] for p in patients),
                str(sum((amounts[p] for p in patients), Decimal(0))),
            )
            for name, patients in grouped.items()
        ]
        return sorted(found, key=lambda source: -Decimal(source.amount))

    def _source_of(self, patients: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for start in range(0, len(patients), PAGE):
            records = self._some(Stream.PATIENT, patients[start : start + PAGE])
            for key, record in records.items():
                found[key] = str(record.get("referral_source_key") or NO_SOURCE)
        return found

    def _source_names(self, keys: Sequence[str]) -> dict[str, str]:
        """Businesses and campaigns by name; a person who sent a friend stays a person."""
        found: dict[str, str] = {}
        for start in range(0, len(keys), PAGE):
            records = self._some(Stream.REFERRAL_SOURCE, keys[start : start + PAGE])
            for key, record in records.items():
                name = record.get("business_name")
                if not name and record.get("is_not_person"):
                    name = record.get("last_name")
                found[key] = str(name or PERSON)
        return found

    def _counted(self, stream: Stream, ticket: Ticket) -> Iterator[Record]:
        for rows, record in enumerate(self._records(stream), 1):
            if rows % PAGE == 0:
                ticket.progress(rows, 0, "rows")
            yield record


def monday_of(week: str, today: date) -> date:
    """Of ``2026-W18``, or of the last whole week. Raises WeekError."""
    if not week:
        return today - timedelta(days=today.weekday() + 7)
    year, _, number = week.upper().partition("-W")
    try:
        return date.fromisocalendar(int(year), int(number), 1)
    except ValueError:
        raise WeekError(week=week) from None


def week_answers(jobs: Jobs, weekly: Weekly) -> Answers:
    """For the desk."""

    def start(wish: MakeWeek, _: Caller) -> Job:
        monday_of(wish.week, date.today())  # noqa: DTZ011 - only whether it is a week
        return jobs.start("week", lambda ticket: weekly.make(wish, ticket))

    return {MakeWeek: start}


def _with(
    report: WeekReport,
    leads: Leads | None,
    sources: tuple[Source, ...],
    missing: tuple[Stream, ...],
) -> WeekReport:
    return msgspec.structs.replace(report, leads=leads, sources=sources, missing=missing)


def _speed(spread: Spread) -> Speed:
    def at(share: float) -> float | None:
        found = spread.quantile_s(share)
        return None if found is None else round(found, 4)

    return Speed(spread.count, at(0.5), at(0.95), at(0.99))


def _whole(values: Mapping[str, float]) -> dict[str, int]:
    return {word: int(value) for word, value in sorted(values.items()) if value}


def _instant(value: Any) -> datetime | None:
    """An instant; a mere date counts as its end, so that nothing looks faster than it was."""
    text = str(value or "")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if len(text) <= 10:
        return moment.replace(hour=23, minute=59, tzinfo=UTC)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _decimal(value: Any) -> Decimal:
    try:
        return Decimal(str(value or 0))
    except InvalidOperation:
        return Decimal(0)
