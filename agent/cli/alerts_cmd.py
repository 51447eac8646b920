"""``bridgework alerts``: what stands, and whether those who should be told can be."""

from __future__ import annotations

import click

from agent.cli.asking import JSON, call_agent, print_json
from agent.cli.render import findings_lines
from agent.cli.root import App
from agent.errors import AgentError, ExitCode
from agent.model.desk import GetStatus
from agent.model.metrics import RehearseAlert


@click.group()
def alerts() -> None:
    """Promises the agent watches itself by: 99.9 % of records taken at once, 99 of 100 changes at
    the CRM within a second, every proof within one and a half rotations."""


@alerts.command("show")
@JSON
@click.pass_obj
def show(app: App, as_json: bool) -> ExitCode:
    """Alerts that stand now.

    Exit codes: 0 none, 1 some, or no agent runs.
    """
    agent = call_agent(app)
    if agent is None:
        raise AgentError("desk.needs_agent")
    with agent:
        found = agent.ask(GetStatus()).snapshot.findings
    standing = [finding for finding in found if finding.code.startswith("alert.")]
    if as_json:
        print_json({"standing": standing})
    elif standing:
        click.echo("\n".join(findings_lines(standing)))
    else:
        click.echo("No alert stands.")
    return ExitCode.FAILED if standing else ExitCode.OK


@alerts.command("test")
@JSON
@click.pass_obj
def test(app: App, as_json: bool) -> ExitCode:
    """Send a trial message by every way the settings name (alerts.email_to, alerts.webhook_url).

    Exit codes: 0 all took it, 1 one did not, or no agent runs, 2 no way is set.
    """
    agent = call_agent(app)
    if agent is None:
        raise AgentError("desk.needs_agent")
    with agent:
        told = agent.ask(RehearseAlert())
    if as_json:
        print_json(told)
    elif not told.ways:
        click.echo("Nobody would be told: set alerts.email_to or alerts.webhook_url.")
    for way, why in {} if as_json else told.ways.items():
        click.echo(f"{way:<8} {f'not sent: {why}' if why else 'sent'}")
    if not told.ways:
        return ExitCode.USAGE
    return ExitCode.FAILED if any(told.ways.values()) else ExitCode.OK
