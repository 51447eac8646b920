"""``bridgework diagnose``: one page about a site read over ODBC, and one file for support.

Read-only; opens the practice system through ``agent.runtime``. Must not import drivers.
"""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from agent.cli.diagnose_page import page
from agent.cli.root import App
from agent.errors import ConfigError, ExitCode
from agent.model.reading import Severity
from agent.runtime.surveys import SURVEYED, Survey, run_survey


@click.command()
@click.option("--pms", "kind", type=click.Choice(SURVEYED), help="Default: pms.kind.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file for support. Default: bridgework-diagnose-KIND.json, here.",
)
@click.option("--json", "as_json", is_flag=True, help="The file's content on the screen, no file.")
@click.pass_obj
def diagnose(app: App, kind: str | None, out: Path | None, as_json: bool) -> ExitCode:
    """Look at a Dentrix or Eaglesoft site: driver, tables, rights, timings, clock, codes.

    Reads only, once, for about a minute at most. Shows and writes no patient data: counts, names
    of tables and columns, and codes.

    Exit codes: 0 all that is needed is there, 1 something is missing, 2 settings, 3 the practice
    system cannot be reached.
    """
    settings = app.settings()
    found = run_survey(settings, app.secrets(), kind or _configured(settings.pms.kind))
    text = msgspec.json.format(msgspec.json.encode(found)).decode()
    if as_json:
        click.echo(text)
        return verdict(found)
    click.echo("\n".join(page(found)))
    file = out or Path(f"bridgework-diagnose-{found.kind}.json")
    try:
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError("config.file_unwritable", file=file.name, why=error.strerror) from None
    click.echo(f"\nWritten to {file}. Send this file to support; no patient data is in it.")
    return verdict(found)


def _configured(kind: str) -> str:
    if kind not in SURVEYED:
        raise click.UsageError(f"--pms is needed: {' or '.join(SURVEYED)}")
    return kind


def verdict(found: Survey) -> ExitCode:
    if not found.is_reached:
        return ExitCode.PMS
    is_bad = found.unreadable or any(f.severity is Severity.ERROR for f in found.findings)
    return ExitCode.FAILED if is_bad else ExitCode.OK
