"""``bridgework bundle``: one file for support, without anything of a patient."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from agent.cli.asking import JSON, YES, call_agent, confirm, print_json
from agent.cli.root import App
from agent.config.paths import make_private_dir
from agent.errors import JournalError
from agent.model.desk import GetStatus
from agent.model.helping import MakeBundle
from agent.model.status import Report
from agent.support.bundle import drop_old


@click.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--days", default=3, show_default=True, type=click.IntRange(1, 30), help="Of log.")
@click.option("--note", default="", help="What happened, in your words. No patient data.")
@click.option(
    "--screenshot", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A PNG to add. Look at it first: nobody else checks it.",
)  # fmt: skip
@click.option("--preview", is_flag=True, help="Only say what would go in.")
@YES
@JSON
@click.pass_obj
def bundle(
    app: App,
    file: Path | None,
    days: int,
    note: str,
    screenshot: Path | None,
    preview: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Make a ZIP that support can work with.

    Records, hosts and accounts appear as pseudonyms; secrets only as set or unset. Without FILE it
    goes to the agent's folder and is deleted after a week.
    """
    from agent.journal.snapshot import visiting
    from agent.runtime.helping import fill_bundle

    settings, paths, now = app.settings(), app.paths, datetime.now(UTC)
    png = screenshot.read_bytes() if screenshot else b""
    wish = MakeBundle(days=days, note=note, preview=preview)
    try:
        with visiting(paths.journal_file(settings.journal_dir)) as (_, visitor):
            made = fill_bundle(
                settings, paths, app.secrets(), visitor, lambda: _report(app), wish, png
            )
    except JournalError:
        made = fill_bundle(settings, paths, app.secrets(), None, lambda: _report(app), wish, png)
    drop_old(paths.bundle_dir, now)
    if not as_json:
        for part in made.parts:
            click.echo(f"  {part.size:>9,}  {part.name:<24} {part.why}")
            click.echo(f"             {'; '.join(part.rules)}")
        for left_out in made.trouble:
            click.echo(f"  left out: {left_out}")
    if preview:
        if as_json:
            print_json({"parts": made.parts, "left_out": made.trouble})
        return
    if file is None:
        make_private_dir(paths.bundle_dir)
        file = paths.bundle_dir / f"bridgework-bundle-{now:%Y%m%d-%H%M%S}.zip"
    if file.exists():
        confirm(f"Replace {file}?", yes=yes)
    made.write(file)
    file.chmod(0o600)
    if as_json:
        told = {"path": str(file), "bytes": file.stat().st_size, "parts": made.parts}
        print_json({**told, "left_out": made.trouble})
    else:
        click.echo(f"\n{file} ({file.stat().st_size / 1e3:.0f} kB)")


def _report(app: App) -> Report:
    from agent.support.health import offline_report

    client = call_agent(app)
    if client is not None:
        with client:
            return client.ask(GetStatus(), timeout_s=5.0)
    settings = app.settings()
    return offline_report(
        app.paths.journal_file(settings.journal_dir),
        datetime.now(UTC),
        pms_kind=settings.pms.kind,
        is_set_up=bool(settings.crm.url and settings.crm.client_id),
    )
