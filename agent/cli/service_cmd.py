"""``bridgework service``: what the Windows installer and the service manager call.

Imports agent.runtime.windows when a command is run, which exists on Windows only.
"""

from __future__ import annotations

import sys

import click

from agent.cli.root import App
from agent.errors import ConfigError, ExitCode


@click.group(hidden=True)
def service() -> None:
    """For the installer and Windows itself; people use the other commands."""
    if sys.platform != "win32":
        raise ConfigError("service.windows_only")


@service.command()
@click.pass_obj
def run(app: App) -> ExitCode:
    """Be the service: called by the service manager."""
    from agent.runtime.windows.service import serve

    serve(app.paths)
    return ExitCode.OK


@service.command()
@click.option("--mode", default="service", help="service, or user: no service on this computer.")
@click.option("--answers", default="", help="Answers of the set-up, taken up at the first start.")
@click.pass_obj
def prepare(app: App, mode: str, answers: str) -> ExitCode:
    """After the files are there: rights on the folder, start and recovery of the service."""
    from agent.runtime.windows import setup

    if mode == "user":
        return ExitCode.OK
    setup.protect_folder(app.paths.home)
    setup.tune_service()
    if answers:
        setup.keep_answers(app.paths.home, answers)
    return ExitCode.OK


@service.command("close-trays")
def close_trays() -> ExitCode:
    """Close the icon of every signed-in person, before files are replaced."""
    from agent.runtime.windows import setup

    setup.close_trays()
    return ExitCode.OK


@service.command()
@click.pass_obj
def purge(app: App) -> ExitCode:
    """Delete journal, backups, settings, logs and secrets (uninstall with PURGEDATA=1)."""
    from agent.runtime.windows import setup

    setup.purge(app.paths.home)
    return ExitCode.OK
