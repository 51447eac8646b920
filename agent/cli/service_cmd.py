"""``bridgework service``: what the Windows installer and the service manager call.

Imports agent.runtime.windows when a command is run, which exists on Windows only; and the rest no
sooner than it is needed, for Windows waits 30 s for the first word of a service.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
import structlog

from agent.cli.root import App
from agent.errors import AgentError, ConfigError, ExitCode
from agent.support.ending import ends_within

if TYPE_CHECKING:
    from agent.control.client import Client

log = structlog.get_logger(__name__)

STARTS_WITHIN_S = 30.0
# What the installer waits for; each takes seconds where nothing is wrong.
ENDS_WITHIN_S = {
    "prepare": 120.0, "set-up": 300.0, "stand-by": 180.0, "close-trays": 60.0, "await-end": 60.0,
    "purge": 120.0, "forget": 60.0,
}  # fmt: skip


@click.group(hidden=True)
@click.pass_context
def service(ctx: click.Context) -> None:
    """For the installer and Windows itself; people use the other commands."""
    action = ctx.invoked_subcommand or ""
    if action in ENDS_WITHIN_S:
        ctx.with_resource(ends_within(ENDS_WITHIN_S[action], action))
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
@click.option("--msi", default="", help="The installer at work: kept, to go back to.")
@click.pass_obj
def prepare(app: App, mode: str, msi: str) -> ExitCode:
    """After the files are there: rights on the folder, start and recovery of the service."""
    from agent.runtime.windows import helper, setup

    if mode == "user":
        return ExitCode.OK
    setup.protect_folder(app.paths.home)
    setup.tune_service()
    helper.let_agent_start_helper()
    if msi:
        helper.keep_installer(Path(msi))
    return ExitCode.OK


@service.command("stand-by")
@click.pass_obj
def stand_by(app: App) -> ExitCode:
    """Before this version makes way for another: watch whether that one works."""
    from agent.runtime.windows import helper

    helper.stand_by(app.paths)
    return ExitCode.OK


@service.command()
@click.pass_obj
def update(app: App) -> ExitCode:
    """Be the helper that begins updates: called by the service manager."""
    from functools import partial

    from agent.runtime.windows import HELPER, helper

    helper.serve(HELPER, partial(helper.help_update, app.paths))
    return ExitCode.OK


@service.command()
@click.pass_obj
def watch(app: App) -> ExitCode:
    """Be the watch over an update: called by the service manager."""
    from functools import partial

    from agent.runtime.windows import WATCH, helper

    helper.serve(WATCH, partial(helper.lead, app.paths))
    return ExitCode.OK


@service.command()
def forget() -> ExitCode:
    """Uninstalled for good: nothing to go back to is kept."""
    from agent.runtime.windows import helper

    helper.forget()
    return ExitCode.OK


@service.command("set-up")
@click.option("--code", default="", help="One-time code of the CRM; spent by the service itself.")
@click.option("--answers", default="", help="File with the answers of the set-up.")
@click.pass_obj
def set_up(app: App, code: str, answers: str) -> ExitCode:
    """Once the service runs: give it the code and the answers. Its own account keeps the secrets.

    What cannot be done now is no reason to undo the installation: the window goes on from there.
    """
    from agent.runtime.setup.answers import Answers, read_answers, run_answers

    try:
        given = read_answers(Path(answers).read_bytes(), answers) if answers else Answers()
        if code:
            url = given.pair.url or app.settings().crm.url
            pair = msgspec.structs.replace(given.pair, code=code, url=url)
            given = msgspec.structs.replace(given, pair=pair)
        with _service(app) as running:
            for told in run_answers(running, given):
                click.echo(f"{told.step.value}: {told.code}")
                log.info("service.set_up", step=told.step.value, code=told.code)
    except AgentError as error:  # nobody sees the console of an installer
        log.error("service.set_up_stopped", code=error.code)
        raise
    except OSError as error:
        log.error("service.set_up_stopped", code="answers", errno=error.errno)
        raise ConfigError("setup.bad_answers", file=answers, where="the file") from None
    return ExitCode.OK


def _service(app: App) -> Client:
    """The service's control channel; it may still be starting."""
    from agent.control.client import Client
    from agent.control.protocol import ControlError

    deadline = time.monotonic() + STARTS_WITHIN_S
    while True:
        try:
            return Client.call(app.paths.control_socket, name="installer")
        except ControlError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


@service.command("close-trays")
def close_trays() -> ExitCode:
    """Close the icon of every signed-in person, before files are replaced."""
    from agent.runtime.windows import setup

    setup.close_trays()
    return ExitCode.OK


@service.command("await-end")
def await_end() -> ExitCode:
    """Wait until the service's process is gone, before files are deleted."""
    from agent.runtime.windows import setup

    setup.await_end()
    return ExitCode.OK


@service.command()
@click.pass_obj
def purge(app: App) -> ExitCode:
    """Delete journal, backups, settings, logs and secrets (uninstall with PURGEDATA=1)."""
    from agent.runtime.windows import setup

    setup.purge(app.paths.home)
    return ExitCode.OK
