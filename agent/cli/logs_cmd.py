"""``bridgework logs``: what the agent, the commands and the window wrote. No patient data in it."""

from __future__ import annotations

import sys
import time
from datetime import datetime

import click
import msgspec

from agent.cli.asking import parse_moment
from agent.cli.root import App
from agent.model.activity import LEVELS
from agent.support.logread import MOST, Found, Wanted, read_log, shown

_FOLLOW_S = 0.5


@click.command()
@click.option("--level", type=click.Choice(LEVELS), default="info", show_default=True)
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
    found = read_log(app.paths.log_dir, wish)
    for one in found:
        _print(one, as_json)
    if not found and not follow:
        click.echo("No line fits.", err=True)
    seen = {_mark(one) for one in found}
    while follow:
        sys.stdout.flush()
        time.sleep(_FOLLOW_S)
        if found:  # from the last line on; what has the same instant is told apart by its text
            last = datetime.fromisoformat(found[-1].line.at)
            wish = msgspec.structs.replace(wish, since=last, limit=MOST)
        now = read_log(app.paths.log_dir, wish)
        for one in now:
            if _mark(one) not in seen:
                _print(one, as_json)
        found = now or found
        seen = {_mark(one) for one in found}


def _mark(found: Found) -> tuple[str, str]:
    return found.line.at, found.line.place


def _print(found: Found, as_json: bool) -> None:
    source, line = found
    if as_json:
        told = {"at": line.at, "level": line.level, "source": source, "event": line.event}
        click.echo(msgspec.json.encode({**told, "topic": line.topic, **line.facts}))
        return
    at = datetime.fromisoformat(line.at).astimezone()
    click.echo(f"{at:%m-%d %H:%M:%S} {line.level:<7} {source:<7} {shown(line)}")
