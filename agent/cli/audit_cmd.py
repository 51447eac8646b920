"""``bridgework audit``: prove that nobody changed the record of what was done, and that both sides
hold the same.

``verify`` reads the journal itself, beside a running agent or without one. Must not import drivers.
"""

from __future__ import annotations

from datetime import UTC, datetime

import click
import msgspec

from agent import __version__
from agent.cli.asking import JSON, print_json, reception
from agent.cli.audit_page import audit_text, quality_text
from agent.cli.handing import wait
from agent.cli.journal_cmd import verdict
from agent.cli.root import App
from agent.crm.connect import CrmLink
from agent.errors import ConfigError, CrmAuthError, CrmError, ExitCode
from agent.journal.snapshot import status_snapshot, verify_file
from agent.model.desk import AuditVerdict
from agent.model.proof import Audit, Basis, CompareSides
from agent.model.quality import QualityReport, ReviewQuality
from agent.runtime.clock import SystemClock
from agent.sync.proofs import TOO_MANY


@click.group()
def audit() -> None:
    """Proofs: of what the agent did, and that practice and CRM hold the same."""


@audit.command("verify")
@click.option("--anchor", metavar="HEAD", help="A head the CRM or somebody else kept.")
@click.option("--offline", is_flag=True, help="Do not ask the CRM which head it heard last.")
@JSON
@click.pass_obj
def verify(app: App, anchor: str | None, offline: bool, as_json: bool) -> ExitCode:
    """Recompute the chain and compare it with its anchors.

    Finds entries edited, deleted, put in another order, or cut off after an anchor, images of
    writes that were changed, and a whole file replaced by an older copy. The head the CRM heard
    last is asked for, where there is a pairing; the head this prints can be kept elsewhere as well
    and given with --anchor later.

    Exit codes: 0 it holds, 1 it does not, 6 there is no journal to look at.
    """
    path = app.paths.journal_file(app.settings().journal_dir)
    try:
        findings = tuple(verify_file(path, anchor))
    except ValueError:
        raise click.BadParameter("not an audit head", param_hint="--anchor") from None
    seen = status_snapshot(path, activity=1)
    head = seen.audit_head
    if not offline and anchor is None and not findings:
        findings = tuple(verify_file(path, _head_at_crm(app, seen.uuid) or None))
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


def _head_at_crm(app: App, journal_uuid: str) -> str:
    """ "" where the CRM knows none or cannot be asked: said, and the chain is judged without."""
    try:
        link = CrmLink(app.settings(), app.secrets(), SystemClock(), __version__)
    except (ConfigError, CrmAuthError):
        return ""  # not paired: nobody could know
    crm = link.client(journal_uuid, 0)
    try:
        return crm.known_head()
    except CrmError as error:
        click.echo(f"(The CRM was not asked which head it heard last: {error.code}.)", err=True)
        return ""
    finally:
        crm.close()


@audit.command("compare")
@click.option("--prove", is_flag=True, help="Prove every record of the practice anew before.")
@click.option("--repair", is_flag=True, help="Send again and take back what is wrong.")
@click.option("--many", is_flag=True, help="With --repair: even if it is more than a little.")
@click.option("--quick", is_flag=True, help="Believe the sums the CRM keeps; its contents unread.")
@JSON
@click.pass_obj
def compare(
    app: App, prove: bool, repair: bool, many: bool, quick: bool, as_json: bool
) -> ExitCode:
    """Compare every record at the CRM with the practice, stream by stream.

    The CRM hashes what it holds now; what is missing, different or extra there is counted. A
    running agent does this by itself: busy streams every ten minutes, everything every night. It
    repairs a little at once; more than 200 records or one in a hundred of a stream waits for
    --repair --many. Without a running agent it only looks.

    Exit codes: 0 both sides are equal (but for what is on its way), 1 they are not or a stream
    was skipped, 3 practice system, 4 CRM, 6 a person must act.
    """
    if many and not repair:
        raise click.UsageError("--many goes with --repair.")
    basis = Basis.KEPT if quick else Basis.CONTENT
    wish = CompareSides(prove=prove, repair=repair, many=many, basis=basis)
    with reception(app, CompareSides) as desk:
        job = wait(desk, desk.ask(wish), "Comparing")
    found = msgspec.convert(job.result, Audit)
    if as_json:
        print_json({"equal": found.is_equal, **msgspec.to_builtins(found)})
    else:
        click.echo(audit_text(found, datetime.now(UTC)))
    if found.is_equal:
        return ExitCode.OK
    return ExitCode.ACTION if any(line.why == TOO_MANY for line in found.lines) else ExitCode.FAILED


@audit.command("quality")
@click.option("--rule", "codes", multiple=True, metavar="CODE", help="Only this rule. Repeatable.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    metavar="N",
    help="Record numbers given of each rule.",
)
@JSON
@click.pass_obj
def quality(app: App, codes: tuple[str, ...], limit: int, as_json: bool) -> ExitCode:  # fmt: skip
    """Apply the data-quality rules to every record and list what a person should look at.

    The rules stand in a CSV (assets/rules/quality.csv); the practice's own, in quality-rules.csv in
    the agent's folder, come on top: other codes add rules, the same code replaces one, the check
    'off' switches one off. Records are named by the practice's own numbers only.

    Exit codes: 0 nothing found, 1 something found, a stream not looked at (no agent runs), or a
    line of the own rules that cannot be used.
    """
    with reception(app, ReviewQuality) as desk:
        job = wait(desk, desk.ask(ReviewQuality(codes, limit)), "Reviewing")
    report = msgspec.convert(job.result, QualityReport)
    if as_json:
        print_json(report)
    else:
        click.echo(quality_text(report))
    is_fine = not (report.found or report.skipped or report.problems)
    return ExitCode.OK if is_fine else ExitCode.FAILED
