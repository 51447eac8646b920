"""``bridgework tray``: the icon and the window, as a program of its own (this one has no Qt)."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import click

from agent.cli.root import App
from agent.errors import ConfigError, ExitCode

_BESIDE = "bridgework-tray.exe"  # a shipped agent has the window beside it


@click.command()
@click.option("--show", default="", metavar="TAB", help="Open the window at this tab.")
@click.option("--quit", "end", is_flag=True, help="End the icon of this session.")
@click.option("--no-tray", is_flag=True, help="The window alone; closing it ends the program.")
@click.pass_obj
def tray(app: App, show: str, *, end: bool, no_tray: bool) -> ExitCode:
    """Show the icon by the clock and the window. A second start shows the first one's window."""
    beside = Path(sys.executable).with_name(_BESIDE)
    if not beside.exists() and importlib.util.find_spec("gui") is None:
        raise ConfigError("tray.not_installed")
    program = [str(beside)] if beside.exists() else [sys.executable, "-m", "gui"]
    flags = [
        *(["--show", show] if show else []),
        *(["--quit"] if end else []),
        *(["--no-tray"] if no_tray else []),
    ]
    command = [*program, "--home", str(app.paths.home), *flags]
    return ExitCode(min(subprocess.run(command, check=False).returncode, 1))
