"""What tab Checks shows: promises and their figures, both sides, records worth a look. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from agent.model.promises import Promise
from agent.model.proof import Standing, StreamProof
from agent.model.quality import QualityReport, RuleFound
from gui.i18n import Texts
from gui.presenter.overview import duration

_TONES = {
    Standing.EQUAL: "good",
    Standing.WAITING: "",
    Standing.DIFFERS: "bad",
    Standing.SKIPPED: "warn",
}


@dataclass(frozen=True, slots=True)
class PromiseView:
    """``mark``: what a colour-blind eye gets of the tone."""

    code: str
    title: str
    figure: str
    mark: str
    tone: str


def promise_view(promise: Promise, now: datetime, texts: Texts) -> PromiseView:
    """Kept, missed just now, missed and told, or too little to say: never green by default."""
    name = promise.code.rpartition(".")[2]
    value = promise.value
    if value is None:
        state, tone = "unknown", "idle"
    elif promise.told_since is not None:
        state, tone = "told", "bad"
    elif _is_missed(promise, value):
        state, tone = "missed", "warn"
    else:
        state, tone = "kept", "good"
    figure = texts("checks.promise.nothing")
    if value is not None:
        figure = texts(
            f"checks.promise.{name}.figure",
            value=_figure(name, value, texts),
            bound=_figure(name, promise.bound, texts),
            count=promise.count,
        )
    since = texts.when(promise.told_since, now) if promise.told_since is not None else ""
    return PromiseView(
        promise.code,
        texts(f"checks.promise.{name}.title"),
        figure,
        texts(f"checks.mark.{state}", since=since),
        tone,
    )


def _is_missed(promise: Promise, value: float) -> bool:
    is_share = promise.code.endswith("success")
    return value < promise.bound if is_share else value > promise.bound


def _figure(name: str, value: float, texts: Texts) -> str:
    if name == "slow":
        return duration(value * 1000, texts)
    return f"{value:.2f}".rstrip("0").rstrip(".")


# --- both sides ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SideRow:
    """A stream's last comparison."""

    name: str
    records: str
    at_crm: str
    wrong: str
    when: str
    state: str
    tone: str
    tip: str


def side_row(line: StreamProof, now: datetime, texts: Texts) -> SideRow:
    is_skipped = line.standing is Standing.SKIPPED
    state = "repaired" if line.repaired and line.repaired == line.wrong else line.standing.value
    tip = texts(
        "checks.sides.tip", missing=line.missing, different=line.different, extra=line.extra,
        repaired=line.repaired, waiting=line.waiting,
    )  # fmt: skip
    return SideRow(
        name=texts(f"streams.{line.stream.value}.title"),
        records=texts.number(line.records),
        at_crm=_count(line.at_crm, texts),
        wrong="–" if is_skipped else texts.number(line.wrong),  # noqa: RUF001
        when=texts.when(line.at, now),
        state=texts(f"checks.sides.{state}"),
        tone="good" if state == "repaired" else _TONES[line.standing],
        tip=texts.message(line.why).title if line.why else tip,
    )


def _count(number: int | None, texts: Texts) -> str:
    return "–" if number is None else texts.number(number)  # noqa: RUF001


def sides_verdict(lines: tuple[StreamProof, ...], texts: Texts) -> tuple[str, str]:
    """A sentence and its tone. What was not compared is never fine."""
    wrong = sum(line.wrong - line.repaired for line in lines)
    skipped = sum(line.standing is Standing.SKIPPED for line in lines)
    if not lines:
        return texts("checks.sides.none"), "idle"
    if wrong > 0:
        return texts("checks.sides.wrong", n=wrong), "bad"
    if skipped:
        return texts("checks.sides.left_out", n=skipped), "warn"
    return texts("checks.sides.fine"), "good"


# --- records worth a look ------------------------------------------------------------------------


def rules_found(report: QualityReport) -> list[RuleFound]:
    """Most first; what found nothing is only counted."""
    return sorted((rule for rule in report.rules if rule.count), key=lambda rule: -rule.count)


def quality_verdict(report: QualityReport, texts: Texts) -> tuple[str, str]:
    rows = sum(report.rows.values())
    if report.found:
        return texts("checks.quality.found", n=report.found, rows=texts.number(rows)), "warn"
    return texts("checks.quality.nothing", rows=texts.number(rows)), "good"


def quality_notes(report: QualityReport, texts: Texts) -> str:
    """What was not looked at, and lines of the practice's own rules that cannot be used."""
    told = []
    if report.skipped:
        names = ", ".join(texts(f"streams.{stream.value}.title") for stream in report.skipped)
        told.append(texts("checks.quality.skipped", streams=names))
    told += [texts.message(found.code, found.facts).title for found in report.problems]
    return "\n".join(told)


def numbers_text(rule: RuleFound, texts: Texts) -> str:
    """``Patients 4, 17, 33 and 12 more``."""
    kind = texts(f"streams.{rule.stream.value}.title")
    shown = ", ".join(rule.keys)
    rest = rule.count - len(rule.keys)
    more = f" {texts('checks.quality.more', n=rest)}" if rest else ""
    return f"{kind} {shown}{more}"
