"""``bridgework status``: what the running agent says about itself, or what its journal knows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import msgspec

from agent.cli.asking import call_agent
from agent.cli.outages_cmd import outage_lines
from agent.cli.render import status_text
from agent.cli.root import App
from agent.control.protocol import ControlError
from agent.errors import AgentError, ExitCode
from agent.journal.snapshot import visiting
from agent.model.desk import GetStatus
from agent.model.status import Report, State
from agent.support.health import offline_report, read_report

LATELY = timedelta(days=1)
SHOWN_OUTAGES = 3

EXIT_OF_STATE = {
    State.NOT_SET_UP: ExitCode.ACTION,
    State.ACTION_NEEDED: ExitCode.ACTION,
    State.UNREACHABLE: ExitCode.FAILED,
    State.NEEDS_REVIEW: ExitCode.FAILED,
    State.BEHIND: ExitCode.FAILED,
    State.PAUSED: ExitCode.OK,
    State.SYNCING: ExitCode.OK,
    State.UP_TO_DATE: ExitCode.OK,
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def status(app: App, as_json: bool) -> ExitCode:
    """Show whether practice and CRM agree, in four honest numbers.

    Exit codes: 0 fine (or syncing, or paused), 1 behind, to review or not running,
    3 practice system unreachable, 4 CRM unreachable, 6 a person must act.
    """
    settings = app.settings()
    now = datetime.now(UTC)
    report = (
        _from_agent(app)
        or read_report(app.paths.status_file, now)
        or offline_report(
            app.paths.journal_file(settings.journal_dir),
            now,
            pms_kind=settings.pms.kind,
            is_set_up=bool(settings.crm.url and settings.crm.client_id),
        )
    )
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(report)))
    else:
        click.echo("\n".join([status_text(report), *_outages(app, now)]))
    if report.state is State.OFFLINE:
        return ExitCode.PMS if report.snapshot.pms_error else ExitCode.CRM
    return EXIT_OF_STATE[report.state]


def _outages(app: App, now: datetime) -> list[str]:
    """The failure periods of the last day, read from the journal."""
    path = app.paths.journal_file(app.settings().journal_dir)
    try:
        with visiting(path) as (_, visitor):
            rows = visitor.outages(SHOWN_OUTAGES, now - LATELY)
    except AgentError:
        return []
    lines = [outage_lines(row)[0] for row in rows]
    return ["", *(f"  {line}" for line in lines)] if lines else []


def _from_agent(app: App) -> Report | None:
    """The running agent's own word; what it wrote a second ago serves when it cannot be asked."""
    try:
        agent = call_agent(app)
        if agent is None:
            return None
        with agent:
            return agent.ask(GetStatus(), timeout_s=5.0)
    except ControlError:
        return None
