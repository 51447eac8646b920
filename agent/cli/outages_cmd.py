"""``bridgework outages``: when a side could not be reached, why, and what waited."""

from __future__ import annotations

from datetime import datetime

import click

from agent.cli import speech
from agent.cli.asking import JSON, parse_moment, print_json, reception
from agent.cli.root import App
from agent.cli.speech import say
from agent.journal.rows import OutageRow
from agent.model.sheets import ListOutages, OutageLine


@click.command()
@click.option("--since", metavar="WHEN", help="30m, 2h, 3d, or a time.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 500))
@JSON
@click.pass_obj
def outages(app: App, since: str | None, limit: int, as_json: bool) -> None:
    """When a side could not be reached: from, to, cause, and what waited."""
    with reception(app) as desk:
        page = desk.ask(ListOutages(limit, parse_moment(since) if since else None))
    if as_json:
        print_json(page)
        return
    if not page.outages:
        click.echo(say("outages.none"))
    for outage in page.outages:
        click.echo("\n".join(outage_lines(outage)))


def outage_lines(outage: OutageLine | OutageRow) -> list[str]:
    """``CRM offline 10:02-10:47 (45 min), 37 changes waited, all sent.`` and the cause."""
    title = speech.catalogue().render(outage.code).title
    return [f"{_period(outage)}{_waited(outage)}", f"  {title}"]


def _period(outage: OutageLine | OutageRow) -> str:
    side = say(f"outages.{outage.side}")
    start = outage.started_at.astimezone()
    began = f"{start:%Y-%m-%d %H:%M}"
    if outage.ended_at is None:
        return say("outages.since", side=side, start=began)
    end = outage.ended_at.astimezone()
    until = f"{end:%H:%M}" if end.date() == start.date() else f"{end:%Y-%m-%d %H:%M}"
    return say("outages.period", side=side, start=began, end=until, span=_span(start, end))


def _waited(outage: OutageLine | OutageRow) -> str:
    if outage.ended_at is None or outage.side == "agent":
        return ""
    if not outage.waited:
        return say("outages.nothing")
    how = "sent" if outage.sent_at is not None else "open"
    return say(f"outages.{outage.side}_{how}", n=outage.waited)


def _span(start: datetime, end: datetime) -> str:
    seconds = (end - start).total_seconds()
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
