"""``bridgework run``: the agent in this console, until it is told to stop.

Imports agent.runtime; must not import drivers or crm.
"""

from __future__ import annotations

import signal
import sys
import threading
import time

import click
import msgspec

from agent.cli.render import progress_line
from agent.cli.root import App
from agent.errors import ExitCode
from agent.runtime.runner import Runner

_ENDING = [signal.SIGINT, signal.SIGTERM]
if sys.platform == "win32":  # where nobody can send the latter
    _ENDING.append(signal.SIGBREAK)


@click.command()
@click.option("--quiet", is_flag=True, help="No progress line.")
@click.option("--json", "as_json", is_flag=True, help="One status report a line, as it changes.")
@click.option("--for", "for_s", type=float, metavar="SECONDS", help="Stop by itself after this.")
@click.pass_obj
def run(app: App, quiet: bool, as_json: bool, for_s: float | None) -> ExitCode:
    """Keep practice and CRM in agreement until stopped (Ctrl+C, SIGTERM, on Windows Ctrl+Break)."""
    app.settings()
    runner = Runner(app.reload, app.paths)
    stop = threading.Event()
    for name in _ENDING:
        signal.signal(name, lambda *_: stop.set())
    runner.start()
    if runner.is_waiting and not as_json:
        click.echo(
            "Not set up yet: waiting. Go on in the window, or with: bridgework setup", err=True
        )
    deadline = time.monotonic() + for_s if for_s else None
    lively = not quiet and not as_json and sys.stderr.isatty()
    told = None
    while not stop.is_set() and (deadline is None or time.monotonic() < deadline):
        stop.wait(0.5)
        runner.look()
        if not (as_json or lively):
            continue
        report = runner.report()
        if as_json and report.state is not told:
            told = report.state
            click.echo(msgspec.json.encode(report))
        if lively:
            click.echo(f"\r{progress_line(report):<100}", nl=False, err=True)
    if lively:
        click.echo(err=True)
    return ExitCode.OK if runner.stop() else ExitCode.FAILED
