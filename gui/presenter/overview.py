"""What the overview shows: four honest numbers, a line a stream, what was found and its remedy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agent.model.activity import Pulse, PulseBucket
from agent.model.asking import Request
from agent.model.desk import AcceptSource, AllowBrakes, ClearSuspension
from agent.model.proof import CompareSides
from agent.model.reading import Finding, Severity
from agent.model.status import FATAL, Bounds, Snapshot, StreamStatus
from agent.model.streams import Stream
from agent.support.messages import Message
from gui.i18n import Texts
from gui.presenter.offer import DEED, offer, place_of

_BOUNDS = Bounds()
_PROOF_FRESH = timedelta(hours=36)
BAR_MINUTES = 15  # a bar of the chart


@dataclass(frozen=True, slots=True)
class NumberView:
    """One honest number. ``go``: the tab (and place) that acts on it."""

    name: str
    value: str
    label: str
    note: str
    tone: str
    go: tuple[str, str]


def numbers_view(s: Snapshot | None, texts: Texts) -> tuple[NumberView, ...]:
    """Four, always, in this order; what is not known says so and is never green."""

    def number(name: str, value: str, tone: str, go: tuple[str, str]) -> NumberView:
        label, note = texts(f"overview.{name}.label"), texts(f"overview.{name}.note")
        return NumberView(name, value, label, note, tone, go)

    unknown = texts("format.unknown")
    if s is None:
        return tuple(number(name, unknown, "idle", go) for name, go in _PLACES.items())
    unsent = s.oldest_unsent_s
    proof = s.oldest_unverified_s
    return (
        number(
            "unsent",
            texts("format.none") if unsent is None else texts.span(unsent),
            "warn" if (unsent or 0.0) > _BOUNDS.unsent_s else "good",
            _PLACES["unsent"],
        ),
        number(
            "unverified",
            unknown if proof is None else texts.ago(proof),
            "idle" if proof is None else "warn" if s.overdue_chunks else "good",
            _PLACES["unverified"],
        ),
        number(
            "conflicts",
            texts.number(s.in_conflict),
            "warn" if s.in_conflict else "good",
            _PLACES["conflicts"],
        ),
        number("parked", texts.number(s.parked), "warn" if s.parked else "good", _PLACES["parked"]),
    )


_PLACES = {
    "unsent": ("activity", ""),
    "unverified": ("checks", "sides"),
    "conflicts": ("review", "conflicts"),
    "parked": ("review", "parked"),
}


@dataclass(frozen=True, slots=True)
class ProofView:
    """The last full proof in a sentence; ``tip``: for support."""

    text: str
    tip: str
    tone: str


def proof_view(s: Snapshot | None, now: datetime, texts: Texts) -> ProofView:
    """Green only while it is as fresh as a nightly one is."""
    proof = s.proof if s is not None else None
    if proof is None:
        return ProofView(texts("overview.proof.none"), "", "idle")
    when = texts.when(proof.at, now)
    said = [texts("overview.proof.last", when=when, rows=texts.number(proof.rows))]
    if proof.excepted:
        said.append(texts("overview.proof.aside", count=texts.number(proof.excepted)))
    tip = texts("overview.proof.tip", since=texts.when(proof.since, now), root=proof.root)
    return ProofView(" ".join(said), tip, "good" if now - proof.at <= _PROOF_FRESH else "warn")


# --- streams -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StreamRow:
    """A line of the table; ``tone`` colours the state's word."""

    stream: Stream
    name: str
    records: str
    agreed: str
    waiting: str
    parked: str
    last_sent: str
    state: str
    tone: str


def stream_rows(
    s: Snapshot, last_sent: Mapping[Stream, datetime], now: datetime, texts: Texts
) -> list[StreamRow]:
    return [_stream_row(line, last_sent.get(line.stream), now, texts) for line in s.streams]


def _stream_row(
    line: StreamStatus, sent_at: datetime | None, now: datetime, texts: Texts
) -> StreamRow:
    if line.parked:
        state, tone = "parked", "warn"
    elif line.expected and line.present < line.expected:
        state, tone = "loading", ""
    elif line.waiting:
        state, tone = "waiting", ""
    elif line.agreed < line.present:
        state, tone = "unproven", "idle"
    else:
        state, tone = "agrees", "good"
    return StreamRow(
        stream=line.stream,
        name=texts(f"streams.{line.stream.value}.title"),
        records=texts.number(line.present),
        agreed=texts.number(line.agreed),
        waiting=texts.number(line.waiting),
        parked=texts.number(line.parked),
        last_sent=texts.when(sent_at, now)
        if sent_at is not None
        else texts("overview.stream.not_lately"),
        state=texts(f"overview.stream.{state}"),
        tone=tone,
    )


# --- findings ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Remedy:
    """A button. ``request`` is asked after ``confirm`` (if any) was answered yes; else ``go``."""

    label: str
    request: Request[Any] | None = None
    confirm: str = ""
    go: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class FindingView:
    """``mark``: what a screen reader and colour-blind eyes get of the tone."""

    key: str
    tone: str
    mark: str
    title: str
    body: str
    next_step: str
    code: str
    remedy: Remedy | None


def findings_view(
    s: Snapshot,
    texts: Texts,
    *,
    may: Callable[[type[Request[Any]]], bool],
    tabs: Collection[str],
) -> list[FindingView]:
    """Errors first; what the lines say beside what was found, each code and subject once."""
    lines = [c for c in (s.pms_error, s.crm_error) if c]
    found = [
        *(Finding(c, Severity.ERROR if c in FATAL else Severity.WARNING) for c in lines),
        *(f for f in s.findings if f.severity in {Severity.WARNING, Severity.ERROR}),
    ]
    views: dict[str, FindingView] = {}
    for finding in sorted(found, key=lambda f: f.severity is not Severity.ERROR):
        view = _finding_view(finding, texts, may, tabs)
        views.setdefault(view.key, view)
    return list(views.values())


def _finding_view(
    finding: Finding,
    texts: Texts,
    may: Callable[[type[Request[Any]]], bool],
    tabs: Collection[str],
) -> FindingView:
    message = texts.message(finding.code, finding.facts)
    is_error = finding.severity is Severity.ERROR
    remedy = _remedy(finding, message, texts, may, tabs)
    # What the catalogue tells people at a console is no step for a person at a window.
    is_for_console = "bridgework " in message.next_step
    subject = finding.facts.get("stream", finding.facts.get("table", ""))
    return FindingView(
        key=f"{finding.code}:{subject}",
        tone="bad" if is_error else "warn",
        mark=texts("overview.mark.error" if is_error else "overview.mark.warning"),
        title=message.title,
        body=message.body,
        next_step="" if is_for_console else message.next_step,
        code=finding.code,
        remedy=remedy,
    )


def _remedy(
    finding: Finding,
    message: Message,
    texts: Texts,
    may: Callable[[type[Request[Any]]], bool],
    tabs: Collection[str],
) -> Remedy | None:
    """The catalogue's button; where it has none, the doctor."""
    tab, place = place_of(message)
    if tab == DEED:
        return _deed(place, finding, message, texts, may)
    offered = offer(message, tabs)
    if offered is not None:
        return Remedy(offered.label, go=offered.go)
    return Remedy(texts("overview.remedy.doctor"), go=_DOCTOR) if _DOCTOR[0] in tabs else None


_DOCTOR = ("support", "doctor")


def _deed(
    name: str,
    finding: Finding,
    message: Message,
    texts: Texts,
    may: Callable[[type[Request[Any]]], bool],
) -> Remedy | None:
    """What is done from here, after a question; None for who may not."""
    request: Request[Any]
    facts = {}
    if name == "allow":
        streams = tuple(s for s in Stream if s.value == finding.facts.get("stream"))
        if not streams:
            return None
        request = AllowBrakes(streams)
        facts["what"] = texts(f"streams.{streams[0].value}.title")
    else:
        deeds: dict[str, Request[Any]] = {
            "accept": AcceptSource(),
            "book": ClearSuspension(),
            "resend": CompareSides(repair=True, many=True),
        }
        if name not in deeds:
            return None
        request = deeds[name]
    if not may(type(request)):
        return None
    return Remedy(message.button, request, texts(f"overview.remedy.{name}_confirm", **facts))


# --- the chart -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bar:
    """A quarter of an hour."""

    at: datetime
    sent: int
    received: int
    usual_ms: float | None
    slowest_ms: float | None


def bars(pulse: Pulse) -> list[Bar]:
    """Oldest first; buckets put together by the quarter of the hour, so that the chart is calm."""
    quarters: dict[datetime, list[PulseBucket]] = {}
    for bucket in pulse.buckets:
        at = bucket.at.replace(minute=bucket.at.minute // BAR_MINUTES * BAR_MINUTES)
        quarters.setdefault(at, []).append(bucket)
    return [_bar(at, found) for at, found in quarters.items()]


def _bar(at: datetime, buckets: Sequence[PulseBucket]) -> Bar:
    usual = [b.usual_ms for b in buckets if b.usual_ms is not None]
    slowest = [b.slowest_ms for b in buckets if b.slowest_ms is not None]
    return Bar(
        at=at,
        sent=sum(b.sent for b in buckets),
        received=sum(b.received for b in buckets),
        usual_ms=sum(usual) / len(usual) if usual else None,
        slowest_ms=max(slowest) if slowest else None,
    )


def chart_summary(found: Sequence[Bar], texts: Texts) -> str:
    """The chart in one sentence, for those who do not see it (and under it for all)."""
    sent, received = sum(b.sent for b in found), sum(b.received for b in found)
    usual = [b.usual_ms for b in found if b.usual_ms is not None]
    if not sent and not received:
        return texts("overview.chart.nothing")
    took = duration(sum(usual) / len(usual), texts) if usual else texts("format.unknown")
    return texts("overview.chart.summary", sent=sent, received=received, took=took)


def duration(ms: float, texts: Texts) -> str:
    """Of a way that is usually well under a second."""
    if ms < 1000:
        return texts("overview.chart.ms", n=round(ms))
    return texts.span(ms / 1000)
