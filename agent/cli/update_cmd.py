"""``bridgework update``: is there a newer version, what came of the last one, install it now."""

from __future__ import annotations

import click

from agent.cli import speech
from agent.cli.asking import JSON, YES, call_agent, confirm, print_json
from agent.cli.render import findings_lines
from agent.cli.root import App
from agent.control.client import Client
from agent.errors import AgentError, ExitCode
from agent.model.reading import Finding, Severity
from agent.model.updates import GetUpdate, InstallUpdate, LookForUpdate, UpdateView

_LOOK_WITHIN_S = 90.0


@click.group(invoke_without_command=True)
@JSON
@click.pass_context
def update(ctx: click.Context, as_json: bool) -> ExitCode:
    """New versions of Bridgework: what is offered, what came of the last one.

    Whether they are installed by themselves says the setting update.policy.
    """
    return ExitCode.OK if ctx.invoked_subcommand else ctx.invoke(show, as_json=as_json)


@update.command("show")
@JSON
@click.pass_obj
def show(app: App, as_json: bool) -> ExitCode:
    """What is known now. Asks nobody.

    Exit codes: 0 nothing to do, 1 a new version waits for a person, or no agent runs.
    """
    with _agent(app) as agent:
        return _tell(agent.ask(GetUpdate()), as_json)


@update.command("check")
@JSON
@click.pass_obj
def check(app: App, as_json: bool) -> ExitCode:
    """Ask now whether there is a newer version."""
    with _agent(app) as agent:
        return _tell(agent.ask(LookForUpdate(), _LOOK_WITHIN_S), as_json)


@update.command("install")
@YES
@click.pass_obj
def install(app: App, yes: bool) -> ExitCode:
    """Install the offered version now, also in office hours. For administrators.

    The agent is away for about a minute. A version that does not work as well as the one before is
    taken back by itself.
    """
    with _agent(app) as agent:
        view = agent.ask(GetUpdate())
        if view.release is not None:
            confirm(f"Install version {view.release.version} now?", yes=yes)
        done = agent.ask(InstallUpdate())
    click.echo(speech.catalogue().render(done.code).line)
    return ExitCode.OK


def _agent(app: App) -> Client:
    agent = call_agent(app)
    if agent is None:
        raise AgentError("desk.needs_agent")
    return agent


def _tell(view: UpdateView, as_json: bool) -> ExitCode:
    waits = view.code in {"update.available", "update.stranded"}
    if as_json:
        print_json(view)
        return ExitCode.FAILED if waits else ExitCode.OK
    click.echo(f"This is version {view.version}; new versions: {view.policy.value}.")
    if view.looked_at is not None:
        click.echo(f"Looked for a newer one: {view.looked_at.astimezone():%Y-%m-%d %H:%M}.")
    if view.code:
        found = Finding(view.code, Severity.WARNING if waits else Severity.NOTE, view.facts)
        click.echo("\n".join(findings_lines([found])))
    elif view.looked_at is not None:
        click.echo("There is no newer one.")
    if view.code == "update.available":
        click.echo("To install it now, as an administrator: bridgework update install")
    if view.release is not None and view.release.notes:
        click.echo(f"What is new: {view.release.notes}")
    return ExitCode.FAILED if waits else ExitCode.OK
