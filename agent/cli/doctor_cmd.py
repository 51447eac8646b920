"""``bridgework doctor``: look at every step between practice and CRM and name the remedy."""

from __future__ import annotations

import click
import msgspec

from agent.cli import speech
from agent.cli.render import findings_lines, mark
from agent.cli.root import App
from agent.cli.speech import say
from agent.errors import ExitCode
from agent.model.helping import Checked
from agent.model.reading import Severity
from agent.runtime.checks import all_checks
from agent.support.doctor import run_checks, worst

# The data map's notes fill pages and need no attention; ``bridgework map check --notes`` has them.
ALIKE = 3  # findings of one code shown in full
_NO_NOTES = frozenset({"map"})


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def doctor(app: App, as_json: bool) -> ExitCode:
    """Check every step between practice and CRM, and say how to mend what fails.

    It looks at this computer, settings, practice system, data map, CRM and sync record, and
    changes nothing. A refused password is tried once only.

    Exit codes: 0 all well, 2 settings, 3 practice system, 4 CRM, 6 a person must act.
    """
    results, code = run_checks(all_checks(app.settings(), app.paths))
    if as_json:
        told = {"exit_code": int(code), "checks": [_described(result) for result in results]}
        click.echo(msgspec.json.format(msgspec.json.encode(told)))
        return code
    for result in results:
        click.echo("\n".join(_lines(result)))
    failed = sum(worst(r) is Severity.ERROR for r in results)
    warned = sum(worst(r) is Severity.WARNING for r in results)
    click.echo()
    if failed:
        click.echo(say("doctor.failed", failed=failed, total=len(results)))
    else:
        click.echo(say("doctor.warned" if warned else "doctor.works"))
    return code


def _lines(result: Checked) -> list[str]:
    title = say(f"doctor.steps.{result.topic}")
    if result.skipped:
        needs = say(f"doctor.steps.{result.needs}")
        return [f"--    {say('doctor.skipped', title=title, needs=needs)}"]
    how = worst(result)
    shown_mark = mark(Severity.OK if how is Severity.NOTE else how)
    shown = [
        f
        for f in result.findings
        if f.severity is not Severity.NOTE or result.topic not in _NO_NOTES
    ]
    return [f"{shown_mark:<6}{title}", *findings_lines(shown, indent=6, alike=ALIKE)]


def _described(result: Checked) -> dict[str, object]:
    """One check for scripts: codes and facts to act on, texts to show."""
    catalogue = speech.catalogue()
    findings = []
    for finding in result.findings:
        text = catalogue.render(finding.code, finding.facts)
        findings.append(
            {
                "code": finding.code,
                "severity": finding.severity,
                "facts": finding.facts,
                "text": text.title,
                "next": text.next_step,
            }
        )
    return {
        "topic": result.topic,
        "title": result.title,
        "result": "skipped" if result.skipped else worst(result),
        "findings": findings,
    }
