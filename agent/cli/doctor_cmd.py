"""``bridgework doctor``: look at every step between practice and CRM and name the remedy."""

from __future__ import annotations

import click
import msgspec

from agent.cli.render import findings_lines
from agent.cli.root import App
from agent.errors import ExitCode
from agent.model.reading import Severity
from agent.runtime.checks import all_checks
from agent.support.doctor import Checked, run_checks


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def doctor(app: App, as_json: bool) -> ExitCode:
    """Check settings, practice system, data map, CRM, journal and machine, step by step.

    Exit codes: 0 all well, 2 settings, 3 practice system, 4 CRM, 6 a person must act.
    """
    results, code = run_checks(all_checks(app.settings(), app.paths))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode({"exit_code": code, "checks": results})))
        return code
    for result in results:
        click.echo(_line(result))
        shown = [f for f in result.findings if f.severity is not Severity.OK]
        for line in findings_lines(shown):
            click.echo(line)
    failed = sum(r.worst is Severity.ERROR for r in results)
    click.echo()
    click.echo("All well." if not failed else f"{failed} of {len(results)} checks failed.")
    return code


def _line(result: Checked) -> str:
    if result.skipped:
        return f"  --   {result.title}: not looked at, an earlier step failed"
    mark = {Severity.OK: "ok", Severity.NOTE: "ok", Severity.WARNING: "warn"}.get(
        result.worst, "FAIL"
    )
    return f"  {mark:<5}{result.title}"
