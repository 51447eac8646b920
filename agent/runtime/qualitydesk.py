"""The review of the data: rules applied to every record, stream by stream, a page in memory.

Streams both sides may change come from the journal, the others gently from the practice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from agent.control.server import Caller
from agent.errors import AgentError
from agent.journal.reads import Reads
from agent.model.asking import Request
from agent.model.longwork import Job
from agent.model.quality import QualityReport, ReviewQuality, RuleFound
from agent.model.streams import Stream
from agent.ports import Clock
from agent.runtime.fallback.jobs import Jobs, Ticket
from agent.support.quality import Check, Rule, by_stream, is_broken, is_late, load_rules, values_of
from agent.sync.reconcile import native_key

Record = dict[str, Any]
Answers = Mapping[type[Request[Any]], Callable[[Any, Caller], object]]

PAGE = 500


class Tally:
    """What one rule found so far."""

    def __init__(self, rule: Rule, limit: int) -> None:
        self.rule = rule
        self._limit = limit
        self._keys: list[str] = []
        self._count = 0
        self.looked = 0

    def add(self, key: str) -> None:
        self._count += 1
        if len(self._keys) < self._limit:
            self._keys.append(key)

    def result(self) -> RuleFound:
        rule = self.rule
        return RuleFound(
            rule.code, rule.stream, rule.titles, self._count, self.looked, tuple(self._keys)
        )


class Review:
    """``records``: every record of a stream, AgentError where it cannot be had; ``some``: those of
    these keys."""

    def __init__(
        self,
        journal: Reads,
        clock: Clock,
        home: Path,
        records: Callable[[Stream], Iterator[Record]],
        some: Callable[[Stream, Sequence[str]], dict[str, Record]],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._home = home
        self._records = records
        self._some = some

    def run(self, wish: ReviewQuality, ticket: Ticket) -> QualityReport:
        began, now = self._clock.mono(), self._clock.now()
        rules, problems = load_rules(self._home)
        wanted = [rule for rule in rules if not wish.codes or rule.code in wish.codes]
        present = {count.stream: count.present for count in self._journal.stream_counts()}
        total = sum(present.get(stream, 0) for stream in by_stream(wanted))
        found: list[RuleFound] = []
        rows: dict[Stream, int] = {}
        skipped: list[Stream] = []
        for stream, of_it in by_stream(wanted).items():
            tallies = [Tally(rule, max(wish.limit, 0)) for rule in of_it]
            try:
                rows[stream] = self._stream(
                    stream, tallies, now.date(), ticket, sum(rows.values()), total
                )
            except AgentError:
                skipped.append(stream)
                continue
            found += [tally.result() for tally in tallies]
        took_s = round(self._clock.mono() - began, 3)
        return QualityReport(now, tuple(found), rows, tuple(skipped), tuple(problems), took_s)

    def _stream(
        self,
        stream: Stream,
        tallies: Sequence[Tally],
        today: date,
        ticket: Ticket,
        before: int,
        total: int,
    ) -> int:
        rows = 0
        page: list[Record] = []
        for record in self._records(stream):
            rows += 1
            page.append(record)
            if len(page) >= PAGE:
                self._page(page, tallies, today)
                page = []
                ticket.progress(before + rows, max(total, before + rows), "rows")
        self._page(page, tallies, today)
        ticket.progress(before + rows, max(total, before + rows), "rows")
        return rows

    def _page(self, page: Sequence[Record], tallies: Sequence[Tally], today: date) -> None:
        for tally in tallies:
            rule = tally.rule
            mine = [record for record in page if rule.applies(record)]
            tally.looked += len(mine)
            for key in self._broken(rule, mine, today):
                tally.add(key)

    def _broken(self, rule: Rule, page: Sequence[Record], today: date) -> Iterator[str]:
        if rule.check is Check.ORPHAN and rule.parent is not None:
            yield from self._orphans(rule, rule.parent, page)
        elif rule.join is not None:
            yield from self._late(rule, rule.join, page, today)
        else:
            yield from (str(r["key"]) for r in page if is_broken(rule, r, today))

    def _orphans(self, rule: Rule, parent: Stream, page: Sequence[Record]) -> Iterator[str]:
        wanted = {
            str(r["key"]): {native_key(str(v)) for v in values_of(r, rule.paths[0])} for r in page
        }
        asked = sorted({key for keys in wanted.values() for key in keys}, key=str)
        held = self._journal.held(parent, asked)
        there = {key for key, was in held.items() if not was.gone}
        yield from (key for key, parents in wanted.items() if parents - there)

    def _late(
        self, rule: Rule, join: tuple[str, Stream, str], page: Sequence[Record], today: date
    ) -> Iterator[str]:
        by, stream, field = join
        keys = {str(v) for r in page for v in values_of(r, by)}
        others = self._some(stream, sorted(keys)) if keys else {}
        for record in page:
            other = others.get(str(next(values_of(record, by), "")), {})
            if is_late(rule, record, other.get(field), today):
                yield str(record["key"])


def quality_answers(jobs: Jobs, review: Review) -> Answers:
    """For the desk."""

    def start(wish: ReviewQuality, _: Caller) -> Job:
        return jobs.start("quality", lambda ticket: review.run(wish, ticket))

    return {ReviewQuality: start}
