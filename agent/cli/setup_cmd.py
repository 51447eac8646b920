"""``bridgework setup``: the first-run wizard at a console, or its answers from a file.

Speaks to the running agent where there is one (its account keeps the secrets), else works in this
process. Must not import drivers.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from agent.cli import setup_talk, speech
from agent.cli.asking import JSON, print_json
from agent.cli.root import App
from agent.control.client import Client
from agent.control.protocol import ControlError
from agent.control.server import Caller
from agent.errors import AgentError, ConfigError, ExitCode
from agent.model import setup as ask
from agent.model.asking import Request, Role
from agent.runtime.clock import SystemClock
from agent.runtime.setup.answers import Answers, Asked, PlaceRefused, read_answers, run_answers
from agent.runtime.setup.flow import Setup

T = TypeVar("T")
_NOBODY = frozenset({"control.no_agent", "control.not_here"})


class _Alone:
    """The flow in this process; what was finished begins with the next start of the agent."""

    def __init__(self, app: App) -> None:
        self._flow = Setup(
            app.reload, app.paths, app.secrets(), SystemClock(), on_finish=lambda: None
        )
        self._caller = Caller(getpass.getuser(), Role.ADMIN)

    def ask(self, request: Request[T], timeout_s: float = 0.0) -> T:
        return self._flow.answer(request, self._caller)


@contextmanager
def _desk(app: App) -> Iterator[Asked]:
    app.settings()  # a wrong file of settings is told before anything is asked
    try:
        client = Client.call(app.paths.control_socket, name="setup")
    except ControlError as error:
        if error.code not in _NOBODY:
            raise
        app.paths.prepare()
        yield _Alone(app)
        return
    with client:
        yield client


@click.command()
@click.option(
    "--answers",
    "file",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Take every answer from this JSON file (- is standard input); ask nothing.",
)
@click.option("--status", "show", is_flag=True, help="Which steps are done; changes nothing.")
@click.option("--find", "find", is_flag=True, help="Practice systems seen from here; no more.")
@JSON
@click.pass_obj
def setup(app: App, file: Path | None, *, show: bool, find: bool, as_json: bool) -> ExitCode:
    """Set this computer up, step by step, and start the sync.

    Begins at the first step that is missing; any step can be done again. Passwords are kept in the
    system's keyring and never shown.

    Exit codes: 0 set up, 2 wrong option or answer, 3 practice system not readable so, 4 CRM, 6 a
    step is missing or a person must decide.
    """
    if (file is not None) + show + find > 1:
        raise click.UsageError("Give one of --answers, --status, --find.")
    with _desk(app) as desk:
        is_running = not isinstance(desk, _Alone)
        if find:
            page = desk.ask(ask.FindPms())
            if as_json:
                print_json(page)
            else:
                click.echo("\n".join(setup_talk.found_lines(page)))
            return ExitCode.OK
        if show:
            view = desk.ask(ask.GetSetup())
            if as_json:
                print_json(view)
            else:
                click.echo("\n".join(setup_talk.view_lines(view)))
            return ExitCode.OK if view.finished else ExitCode.ACTION
        if file is not None:
            return _by_file(desk, _read(file), as_json=as_json, is_running=is_running)
        if as_json:
            raise click.UsageError("--json goes with --answers, --status or --find.")
        if not _is_terminal():
            raise click.UsageError("Nobody can be asked here. Give --answers FILE.")
        return setup_talk.talk(desk, is_running=is_running)


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _read(file: Path) -> Answers:
    if str(file) == "-":
        return read_answers(sys.stdin.buffer.read(), "standard input")
    try:
        return read_answers(file.read_bytes(), file.name)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise ConfigError("setup.no_answers", file=str(file), reason=reason) from None


def _by_file(desk: Asked, answers: Answers, *, as_json: bool, is_running: bool) -> ExitCode:
    told: list[dict[str, Any]] = []
    failed: AgentError | None = None
    try:
        for each in run_answers(desk, answers):
            told.append({"step": each.step.value, "code": each.code, "facts": each.facts})
            if not as_json:
                click.echo(setup_talk.told_line(each))
    except AgentError as error:
        failed = error
        if not as_json and isinstance(error, PlaceRefused):
            click.echo("\n".join(setup_talk.test_lines(error.steps)))
    view = desk.ask(ask.GetSetup())
    code = failed.exit_code if failed else ExitCode.OK if view.finished else ExitCode.ACTION
    if as_json:
        error_told = None
        if failed is not None:
            message = speech.catalogue().of(failed)
            error_told = {
                "code": failed.code,
                "facts": failed.facts,
                "text": message.title,
                "next": message.next_step,
            }
        print_json(
            {
                "exit_code": int(code),
                "finished": view.finished,
                "next": view.next,
                "steps": told,
                "error": error_told,
            }
        )
        return code
    if failed is not None:
        raise failed
    click.echo(setup_talk.end_line(view, is_running=is_running))
    return code
