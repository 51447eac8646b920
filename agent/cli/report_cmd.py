"""``bridgework report``: the figures of one week, as a page, as PDF, as JSON."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import msgspec

from agent.cli.asking import JSON, print_json, reception
from agent.cli.handing import wait
from agent.cli.root import App
from agent.config.store import write_atomic
from agent.errors import AgentError, ConfigError, ExitCode
from agent.model.kpi import MakeWeek, WeekMade, WeekReport

_BESIDE = "bridgework-tray.exe"
_SOURCES = {"": "source not said", "person": "sent by a person"}
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--week", default="", metavar="YYYY-Www", help="Such as 2026-W18; else the last one.")
@click.option("--html", "page", type=_FILE, metavar="FILE", help="Save the page.")
@click.option("--pdf", type=_FILE, metavar="FILE", help="Save it as PDF (by the desktop program).")
@click.option("--language", type=click.Choice(["en", "es"]), default="en", show_default=True)
@JSON
@click.pass_obj
def report(
    app: App, week: str, page: Path | None, pdf: Path | None, language: str, as_json: bool
) -> ExitCode:
    """One week in figures: what was taken at once, how fast, what proofs found, matches, conflicts,
    leads, production by source. It names no patient.

    Exit codes: 0 made, 1 no such week, or something could not be read or saved.
    """
    with reception(app, MakeWeek) as desk:
        job = wait(desk, desk.ask(MakeWeek(week, language)), "Adding up")
    made = msgspec.convert(job.result, WeekMade)
    if page is not None:
        _save(page, made.page.encode())
    if pdf is not None:
        _print(made.page, pdf)
    if as_json:
        print_json(made.report)
    elif page is None and pdf is None:
        click.echo(_short(made.report))
    else:
        click.echo("\n".join(f"saved {file}" for file in (page, pdf) if file is not None))
    return ExitCode.FAILED if made.report.missing else ExitCode.OK


def _save(file: Path, content: bytes) -> None:
    try:
        write_atomic(file, content)
    except OSError as error:
        raise AgentError("report.not_saved", file=file.name, reason=type(error).__name__) from None


def _print(page: str, file: Path) -> None:
    beside = Path(sys.executable).with_name(_BESIDE)
    if not beside.exists() and importlib.util.find_spec("gui") is None:
        raise ConfigError("tray.not_installed")
    program = [str(beside)] if beside.exists() else [sys.executable, "-m", "gui"]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "report.html"
        source.write_text(page, encoding="utf-8")
        done = subprocess.run([*program, "--print", str(source), str(file.absolute())], check=False)
    if done.returncode:
        raise AgentError("report.not_saved", file=file.name, reason="pdf")


def _short(made: WeekReport) -> str:
    success = "nothing sent" if made.success is None else f"{100 * made.success:.2f} %"
    times = [made.change.p50_s, made.change.p95_s, made.change.p99_s]
    spoken = " / ".join("-" if t is None else f"{t * 1000:,.0f} ms" for t in times)
    accuracy = made.links.accuracy
    right = "-" if accuracy is None else f"{100 * accuracy:.1f} %"
    lines = [
        f"Week {made.week} ({made.first} to {made.last}), figures of {made.days} days",
        f"  taken at once by the CRM       {success}",
        f"  change to CRM, p50/p95/p99     {spoken}",
        f"  matches that were right        {right}",
        f"  duplicates told apart          {made.duplicates:,}",
        f"  conflicts                      {sum(made.conflicts.values()):,}",
        f"  only proofs found              {made.late + made.wrong:,}",
    ]
    if made.leads is not None:
        hours = "-" if made.leads.median_h is None else f"{made.leads.median_h:g} h"
        reached = f"{made.leads.reached} of {made.leads.came} reached"
        lines.append(f"  first contact of a lead        {hours} ({reached})")
    lines += [
        f"  production, {_SOURCES.get(source.name, source.name):<19}{source.amount:>14}"
        for source in made.sources
    ]
    if made.missing:
        names = ", ".join(stream.value for stream in made.missing)
        lines.append(f"  Not read, for no agent reads the practice: {names}")
    return "\n".join(lines)
