"""``bridgework parked``: records set aside one by one; try them again, or leave them be.

No names, no values. Must not import drivers.
"""

from __future__ import annotations

import click

from agent.cli import speech, words
from agent.cli.asking import JSON, parse_key, print_json, reception, told_each
from agent.cli.root import App
from agent.errors import ExitCode
from agent.model.asking import MOST, Request, Settlement
from agent.model.records import HeedParked, IgnoreParked, ListParked, Place, RetryParked
from agent.model.streams import Stream

_STREAM = click.argument("stream", type=click.Choice([s.value for s in Stream]))
_KEYS = click.argument("keys", nargs=-1, required=True)


@click.group()
def parked() -> None:
    """Records the CRM refused or that could not be read. All others go on."""


@parked.command("list")
@click.option("--ignored", is_flag=True, help="Those a person chose to leave as they are.")
@click.option("--limit", type=click.IntRange(1, MOST), default=100, show_default=True)
@JSON
@click.pass_obj
def list_(app: App, limit: int, *, ignored: bool, as_json: bool) -> None:
    """Which records, why, since when, and when they are tried again."""
    with reception(app, ListParked) as desk:
        page = desk.ask(ListParked(limit, ignored))
    if as_json:
        print_json(page)
        return
    if not page.parked:
        click.echo("No record is ignored." if ignored else "No record is parked.")
    else:
        rows = [
            (
                words.record(line.place.stream.value, line.place.key),
                why(line.reason),
                words.since(line.since),
                str(line.tries),
                "-" if ignored else words.until(line.due_at),
            )
            for line in page.parked
        ]
        click.echo(words.table(("record", "why", "since", "tries", "next try"), rows))
    if page.ignored and not ignored:
        click.echo(
            f"\n  {words.count(page.ignored, 'record is', 'records are')} ignored: --ignored"
        )


@parked.command("retry")
@_STREAM
@_KEYS
@JSON
@click.pass_obj
def retry(app: App, stream: str, keys: tuple[str, ...], *, as_json: bool) -> ExitCode:
    """Read and send them again now."""
    return _do(app, RetryParked(_places(stream, keys)), "tried again now", as_json=as_json)


@parked.command("ignore")
@_STREAM
@_KEYS
@click.option("--note", default="", help="Why; kept in the record of what was done.")
@JSON
@click.pass_obj
def ignore(app: App, stream: str, keys: tuple[str, ...], note: str, *, as_json: bool) -> ExitCode:
    """Leave them as they are until they change; they count no more."""
    asked = IgnoreParked(_places(stream, keys), note)
    return _do(app, asked, "ignored until it changes", as_json=as_json)


@parked.command("heed")
@_STREAM
@_KEYS
@JSON
@click.pass_obj
def heed(app: App, stream: str, keys: tuple[str, ...], *, as_json: bool) -> ExitCode:
    """Take an ignore back."""
    return _do(app, HeedParked(_places(stream, keys)), "counts again", as_json=as_json)


def why(reason: str) -> str:
    catalogue = speech.catalogue()
    known = reason.partition(":")[0] in catalogue.codes
    return catalogue.render(reason).title if known else f"The CRM says: {reason}"


def _places(stream: str, keys: tuple[str, ...]) -> tuple[Place, ...]:
    return tuple(Place(Stream(stream), parse_key(key)) for key in keys)


def _do(app: App, request: Request[Settlement], did: str, *, as_json: bool) -> ExitCode:
    with reception(app, type(request)) as desk:
        settlement = desk.ask(request)
    if as_json:
        print_json(settlement)
        return ExitCode.FAILED if settlement.refused else ExitCode.OK
    return told_each(settlement, did)
