"""``bridgework metrics``: the running agent's figures, and the token for Prometheus."""

from __future__ import annotations

import click

from agent.cli.asking import JSON, call_agent, print_json
from agent.cli.root import App
from agent.errors import AgentError, ExitCode
from agent.model.metrics import ReadMetrics
from agent.runtime.metricsdoor import HOST, metrics_token


@click.group()
def metrics() -> None:
    """Figures for monitoring: Prometheus' text format. No figure says anything of a person."""


@metrics.command("show")
@click.pass_obj
def show(app: App) -> ExitCode:
    """Print the figures of the running agent.

    Exit codes: 0 printed, 1 no agent runs.
    """
    agent = call_agent(app)
    if agent is None:
        raise AgentError("desk.needs_agent")
    with agent:
        click.echo(agent.ask(ReadMetrics()).text, nl=False)
    return ExitCode.OK


@metrics.command("token")
@click.option("--renew", is_flag=True, help="Make another; the old one is refused from now on.")
@JSON
@click.pass_obj
def token(app: App, renew: bool, as_json: bool) -> ExitCode:
    """Print the address and the token Prometheus needs (metrics.port must be set).

    An OpenTelemetry collector reads the same page with its Prometheus receiver.
    """
    port = app.settings().metrics.port
    found = metrics_token(app.secrets(), renew=renew)
    told = {"url": f"http://{HOST}:{port}/metrics" if port else None, "token": found}
    if as_json:
        print_json(told)
    elif port:
        click.echo(f"address  {told['url']}\ntoken    {found}")
    else:
        click.echo(f"token    {found}\nNo port yet: bridgework config set metrics.port 9464")
    return ExitCode.OK
