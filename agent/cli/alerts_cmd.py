"""``bridgework alerts``: what stands, and whether those who should be told can be."""

from __future__ import annotations

import click

from agent.cli.asking import JSON, call_agent, print_json
from agent.cli.render import findings_lines
from agent.cli.root import App
from agent.errors import AgentError, ExitCode
from agent.model.desk import GetStatus
from agent.model.metrics import RehearseAlert
from agent.model.promises import Promise, ShowChecks

# Code of the alert: what is promised, its figure, its bound.
_PROMISES = {
    "alert.sync_success": ("Records taken at once", "{value} % of {count:,}", "at least {bound} %"),
    "alert.slow": ("99 of 100 changes at the CRM", "within {value:.2g} s, {count:,} changes",
                   "at most {bound:g} s"),
    "alert.unproven": ("Oldest proof", "{value:.1f} rotations", "at most {bound:g}"),
}  # fmt: skip


@click.group()
def alerts() -> None:
    """Promises the agent watches itself by: 99.9 % of records taken at once, 99 of 100 changes at
    the CRM within a second, every proof within one and a half rotations."""


@alerts.command("show")
@JSON
@click.pass_obj
def show(app: App, as_json: bool) -> ExitCode:
    """How each promise stands, and the alerts that do.

    Exit codes: 0 none, 1 some, or no agent runs.
    """
    agent = call_agent(app)
    if agent is None:
        raise AgentError("desk.needs_agent")
    with agent:
        found = agent.ask(GetStatus()).snapshot.findings
        promises = agent.ask(ShowChecks()).promises
    standing = [finding for finding in found if finding.code.startswith("alert.")]
    if as_json:
        print_json({"standing": standing, "promises": promises})
    else:
        click.echo("\n".join(map(_line, promises)))
        click.echo()
        click.echo("\n".join(findings_lines(standing)) if standing else "No alert stands.")
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


def _line(promise: Promise) -> str:
    """Of the last hour, or since the start."""
    title, figure, bound = _PROMISES[promise.code]
    facts = {"value": promise.value, "bound": promise.bound, "count": promise.count}
    shown = "too little happened to say" if promise.value is None else figure.format_map(facts)
    return f"  {title:<30}{shown:<30}({bound.format_map(facts)})"
