"""The week's report as one HTML page: readable on a screen, printable, no script, nothing fetched.

Plain tables and few styles, so that the desktop program can print the same page to PDF.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from decimal import Decimal

from agent.model.kpi import Source, Speed, WeekReport
from agent.support.messages import Catalogue, Message

NONE = "-"  # nothing of the kind happened

Row = tuple[Message, str]  # what it is (title) and means (body), its figure


def week_page(report: WeekReport, language: str = "en") -> str:
    say = _Say(language)
    head = say("head", week=report.week, first=f"{report.first}", last=f"{report.last}")
    parts = [f"<h1>{_e(head.title)}</h1><p class='sub'>{_e(head.body)}</p>"]
    if report.days < 7:
        parts.append(_note(say("days", days=report.days)))
    parts += [
        _section(say("service"), _service(report, say)),
        _section(say("proof"), _proof(report, say)),
        _section(say("people"), _people(report, say)),
    ]
    if report.sources:
        rows = [(_source(source, say), _money(source.amount)) for source in report.sources]
        parts.append(_section(say("sources"), rows))
    if report.missing:
        names = ", ".join(stream.value for stream in report.missing)
        parts.append(_note(say("missing", streams=names)))
    at = f"{report.made_at:%Y-%m-%d %H:%M} UTC"
    made = say("made", at=at, version=report.agent_version)
    parts.append(f"<p class='foot'>{_e(made.title)} {_e(made.body)}</p>")
    return (
        f"<!doctype html><html lang='{_e(language)}'><head><meta charset='utf-8'>"
        f"<title>{_e(head.title)}</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


class _Say:
    """Texts of the catalogue under ``report.``."""

    def __init__(self, language: str) -> None:
        self._catalogue = Catalogue.load(language)

    def __call__(self, name: str, /, **facts: str | int) -> Message:
        return self._catalogue.render(f"report.{name}", facts)


def _service(report: WeekReport, say: _Say) -> list[Row]:
    total = sum(report.sent.values())
    success = NONE if report.success is None else f"{100 * report.success:.2f} %"
    return [
        (say("success", count=f"{total:,}"), success),
        (say("change", count=f"{report.change.count:,}"), _times(report.change)),
        (say("command"), _times(report.command)),
        (say("duplicates"), f"{report.duplicates:,}"),
        (say("outages"), _outages(report)),
        (say("alerts"), f"{report.alerts:,}"),
    ]


def _proof(report: WeekReport, say: _Say) -> list[Row]:
    full = report.proof
    at = NONE if full is None else f"{full.at:%Y-%m-%d %H:%M} UTC"
    rows = "0" if full is None else f"{full.rows:,}"
    root = NONE if full is None else full.root[:16]
    return [
        (say("full", rows=rows, root=root), at),
        (say("late"), f"{report.late:,}"),
        (say("wrong", repaired=f"{report.repaired:,}"), f"{report.wrong:,}"),
    ]


def _people(report: WeekReport, say: _Say) -> list[Row]:
    links, leads = report.links, report.leads
    accuracy = NONE if links.accuracy is None else f"{100 * links.accuracy:.1f} %"
    match = say("match", linked=links.linked, back=links.taken_back, asked=links.asked)
    asked, total = report.conflicts.get("asked", 0), sum(report.conflicts.values())
    rows = [(match, accuracy), (say("conflicts", asked=asked), f"{total:,}")]
    if leads is not None:
        median = NONE if leads.median_h is None else f"{leads.median_h:g} h"
        rows.append((say("leads", reached=leads.reached, came=leads.came), median))
    return rows


def _source(source: Source, say: _Say) -> Message:
    kind = {"": "source_none", "person": "source_person"}.get(source.name, "source")
    return say(kind, name=source.name, patients=source.patients, procedures=source.procedures)


def _section(head: Message, rows: Sequence[Row]) -> str:
    cells = "".join(
        f"<tr><td class='name' width='28%'>{_e(said.title)}</td>"
        f"<td class='figure' width='27%' align='right'>{_e(figure)}</td>"
        f"<td class='what'>{_e(said.body)}</td></tr>"
        for said, figure in rows
    )
    table = f"<table width='100%' cellspacing='0' cellpadding='6'>{cells}</table>"
    return f"<h2>{_e(head.title)}</h2><p class='sub'>{_e(head.body)}</p>{table}"


def _note(said: Message) -> str:
    return f"<p class='note'>{_e(said.title)} {_e(said.body)}</p>"


def _times(speed: Speed) -> str:
    if speed.p50_s is None or speed.p95_s is None or speed.p99_s is None:
        return NONE
    return " / ".join(_time(s) for s in (speed.p50_s, speed.p95_s, speed.p99_s))


def _time(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _outages(report: WeekReport) -> str:
    return _joined(f"{side} {_time(seconds)}" for side, seconds in sorted(report.outage_s.items()))


def _money(amount: str) -> str:
    return f"{Decimal(amount):,.2f}"


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(parts) or "0"


def _e(text: str) -> str:
    return html.escape(text)


_STYLE = """
body{font-family:'Segoe UI',system-ui,sans-serif;font-size:15px;line-height:1.45;color:#1c2733;
background:#ffffff;max-width:52rem;margin:2rem auto;padding:0 1.2rem}
h1{font-size:26px;margin:0;color:#10324a}
h2{font-size:17px;margin:24px 0 0;color:#10324a}
table{border-collapse:collapse;width:100%;margin-top:4px}
td{border-bottom:1px solid #dde4ea;vertical-align:top}
.name{font-weight:600}
.figure{font-weight:600;color:#0b5f8a;white-space:nowrap}
.what{color:#4a5a68}
.sub{margin:2px 0 0;color:#4a5a68}
.note{color:#8a4b00}
.foot{margin-top:28px;color:#6b7a87;font-size:13px}
@media print{body{margin:0;max-width:none;font-size:12px}
h2{break-after:avoid}tr{break-inside:avoid}}
"""
