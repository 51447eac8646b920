"""``bridgework logs``: what the agent, the commands and the window wrote. No patient data in it."""

from __future__ import annotations

import sys
import time
from datetime import datetime

import click
import msgspec

from agent.cli.asking import parse_moment
from agent.cli.root import App
from agent.support.logread import LEVELS, MOST, LogLine, Wanted, read_log, shown, tail

_FOLLOW_S = 0.5


@click.command()
@click.option("--level", type=click.Choice(LEVELS[:4]), default="info", show_default=True)
@click.option("--topic", default="", help="Beginning of the event's name, or part of a program.")
@click.option("--grep", default="", metavar="REGEX", help="Only lines in which this is found.")
@click.option("--since", metavar="WHEN", help="30m, 2h, 3d, or a time.")
@click.option("--until", metavar="WHEN", help="The same, for the end.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, MOST))
@click.option("--follow", "-f", is_flag=True, help="Go on as lines are written.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line.")
@click.pass_obj
def logs(
    app: App,
    level: str,
    topic: str,
    grep: str,
    since: str | None,
    until: str | None,
    limit: int,
    follow: bool,
    as_json: bool,
) -> None:
    """Show the log, the newest lines last.

    Names of patients never stand in it; what could be one reads [masked].
    """
    wish = Wanted(
        limit=limit,
        level=level,
        topic=topic,
        grep=grep,
        since=parse_moment(since) if since else None,
        until=parse_moment(until) if until else None,
    )
    page = read_log(app.paths.log_dir, wish)
    for line in page:
        _print(line, as_json)
    if not page and not follow:
        click.echo("No line fits.", err=True)
    if not follow:
        return
    seen: set[tuple[str, str, str]] = set()
    last = page[-1].at if page else ""
    while True:
        if last:
            at = datetime.fromisoformat(last)
            wish = msgspec.structs.replace(wish, since=at, limit=MOST)
        fresh = tail(app.paths.log_dir, wish, seen)
        for line in fresh:
            if line.at > last or not last:
                _print(line, as_json)
        last = max([last, *(line.at for line in fresh)])
        seen = {mark for mark in seen if mark[0] >= last}
        sys.stdout.flush()
        time.sleep(_FOLLOW_S)


def _print(line: LogLine, as_json: bool) -> None:
    if as_json:
        told = {"at": line.at, "level": line.level, "source": line.source, "event": line.event}
        click.echo(msgspec.json.encode({**told, "logger": line.logger, **line.fields}))
        return
    at = datetime.fromisoformat(line.at).astimezone()
    click.echo(f"{at:%m-%d %H:%M:%S} {line.level:<7} {line.source:<7} {shown(line)}")
