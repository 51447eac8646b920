"""``bridgework pause`` and ``resume``: stand still on purpose, with an end."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import click

from agent.cli.asking import call_agent
from agent.cli.root import App
from agent.model.desk import Pause, Resume
from agent.runtime.pause import clear_pause, write_pause


@click.command()
@click.option(
    "--for",
    "minutes",
    type=click.FloatRange(0.1, 7 * 24 * 60),
    default=60.0,
    show_default=True,
    metavar="MINUTES",
    help="It resumes by itself after this.",
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def pause(app: App, minutes: float, as_json: bool) -> None:
    """Neither read the practice nor send to the CRM for a while; nothing is lost.

    A running agent obeys at once; it holds across restarts.
    """
    until = datetime.now(UTC) + timedelta(minutes=minutes)
    app.paths.prepare()
    agent = call_agent(app)
    if agent is None:
        write_pause(app.paths.pause_file, until)
    else:
        with agent:
            agent.ask(Pause(until))
    shown = until.astimezone().strftime("%H:%M on %d %b")
    click.echo(
        json.dumps({"paused_until": until.isoformat()}) if as_json else f"Paused until {shown}."
    )


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def resume(app: App, as_json: bool) -> None:
    """End a pause now."""
    agent = call_agent(app)
    if agent is None:
        was = clear_pause(app.paths.pause_file)
    else:
        with agent:
            was = agent.ask(Resume()).was_paused
    told = "Going on." if was else "There was no pause."
    click.echo(json.dumps({"was_paused": was}) if as_json else told)
