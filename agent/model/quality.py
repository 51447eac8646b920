"""Review of the data itself: what the rules found. A leaf. Codes and record numbers, no content."""

from __future__ import annotations

from datetime import datetime

import msgspec

from agent.model.asking import Request, Role
from agent.model.longwork import Job
from agent.model.reading import Finding
from agent.model.streams import Stream


class RuleFound(msgspec.Struct, frozen=True):
    """``titles``: by language, as the rules' file has them. ``keys``: the practice's own numbers of
    the first of them; ``count``: of all. ``looked``: records the rule applied to."""

    code: str
    stream: Stream
    titles: dict[str, str]
    count: int
    looked: int
    keys: tuple[str, ...] = ()

    def title(self, language: str = "en") -> str:
        return self.titles.get(language) or self.titles["en"]


class QualityReport(msgspec.Struct, frozen=True):
    """``skipped``: streams that could not be looked at now. ``problems``: lines of the practice's
    own rules that cannot be used."""

    at: datetime
    rules: tuple[RuleFound, ...]
    rows: dict[Stream, int]
    skipped: tuple[Stream, ...]
    problems: tuple[Finding, ...]
    took_s: float

    @property
    def found(self) -> int:
        return sum(rule.count for rule in self.rules)


class ReviewQuality(Request[Job], frozen=True):
    """Apply the rules to every record; the job's result is a ``QualityReport``. ``codes``: only
    these; ``limit``: record numbers given of each."""

    method = "quality.review"
    role = Role.MANAGER
    codes: tuple[str, ...] = ()
    limit: int = 100
