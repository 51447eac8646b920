"""``bridgework audit``: prove that nobody changed the record of what was done.

Reads the journal itself, beside a running agent or without one. Must not import drivers.
"""

from __future__ import annotations

import click

from agent.cli.asking import JSON, print_json
from agent.cli.journal_cmd import verdict
from agent.cli.root import App
from agent.errors import ExitCode
from agent.journal.snapshot import status_snapshot, verify_file
from agent.model.desk import AuditVerdict


@click.group()
def audit() -> None:
    """The chain of entries about everything the agent did."""


@audit.command("verify")
@click.option("--anchor", metavar="HEAD", help="A head the CRM or somebody else kept.")
@JSON
@click.pass_obj
def verify(app: App, anchor: str | None, as_json: bool) -> ExitCode:
    """Recompute the chain and compare it with its anchors.

    Finds entries edited, deleted, put in another order, or cut off after an anchor, images of
    writes that were changed, and a whole file replaced by an older copy. The head it prints can be
    kept elsewhere and given with --anchor later.

    Exit codes: 0 it holds, 1 it does not, 6 there is no journal to look at.
    """
    path = app.paths.journal_file(app.settings().journal_dir)
    try:
        findings = tuple(verify_file(path, anchor))
    except ValueError:
        raise click.BadParameter("not an audit head", param_hint="--anchor") from None
    head = status_snapshot(path, activity=1).audit_head
    if as_json:
        print_json(AuditVerdict(not findings, findings, head))
    elif findings:
        click.echo("The chain does not hold:")
        click.echo("\n".join(f"  {verdict(finding)}" for finding in findings))
    else:
        entries = head.split("-")[1]
        click.echo(f"The chain holds: {int(entries):,} entries, none changed, none missing.")
        click.echo(f"  head  {head}")
    return ExitCode.FAILED if findings else ExitCode.OK
