"""How commands ask: the running agent by its control channel, or the journal where none runs.

    with reception(app, ListConflicts) as desk:
        page = desk.ask(ListConflicts())

Imports agent.control and agent.runtime; must not import drivers.
"""

from __future__ import annotations

import contextlib
import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from agent.cli import speech
from agent.cli.root import App
from agent.control.client import Client
from agent.control.protocol import ControlError
from agent.control.server import Caller
from agent.errors import ExitCode
from agent.model.asking import Request, Role, Settlement

if TYPE_CHECKING:
    from agent.runtime.desk import Desk

T = TypeVar("T")

JSON = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
YES = click.option("--yes", is_flag=True, help="Do not ask back.")
# For scripts that say it to every command that changes something.
NEEDLESS_YES = click.option(
    "--yes", is_flag=True, expose_value=False, help="Changes nothing: this does not ask back."
)
_NOBODY = frozenset({"control.no_agent", "control.not_here"})


class NotConfirmed(click.ClickException):
    """A person did not say yes."""

    exit_code = int(ExitCode.USAGE)


class Reception:
    """Whoever answers. ``is_live``: the running agent does."""

    def __init__(self, client: Client | None, desk: Desk | None) -> None:
        self._client = client
        self._desk = desk

    @property
    def is_live(self) -> bool:
        return self._client is not None

    def ask(self, request: Request[T], timeout_s: float = 60.0) -> T:
        if self._client is not None:
            return self._client.ask(request, timeout_s)
        assert self._desk is not None
        return self._desk.answer(request, Caller(_account(), Role.ADMIN))


def call_agent(app: App) -> Client | None:
    """A line to the running agent, None when none runs here. ControlError: it runs and will not
    talk to us."""
    try:
        return Client.call(app.paths.control_socket, name="cli")
    except ControlError as error:
        if error.code in _NOBODY:
            return None
        raise


@contextmanager
def reception(app: App, *requests: type[Request[Any]]) -> Iterator[Reception]:
    """Somebody who answers ``requests``. Without an agent: a look at the journal, or the journal
    itself where one of them may write to it then."""
    settings = app.settings()
    client = call_agent(app)
    with contextlib.ExitStack() as stack:
        if client is not None:
            stack.enter_context(client)
            yield Reception(client, None)
            return
        # Beside a running agent none of the engine is needed: that is half a second saved.
        from agent.runtime.desk_alone import WRITES, reading_desk, writing_desk

        open_desk = writing_desk if WRITES.intersection(requests) else reading_desk
        yield Reception(None, stack.enter_context(open_desk(settings, app.paths)))


def print_json(told: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(told), indent=2))


def confirm(question: str, *, yes: bool) -> None:
    """Goes on only after a person's yes. Where nobody can be asked, --yes must be given."""
    if yes:
        return
    if not _is_terminal():
        raise NotConfirmed(f"Nothing was done. With --yes the answer is yes: {question}")
    if not click.confirm(question):
        raise NotConfirmed("Nothing was done.")


def told_each(settlement: Settlement, did: str) -> ExitCode:
    """A line for each; FAILED when something was refused."""
    catalogue = speech.catalogue()
    for line in settlement.lines:
        if line.code:
            title = catalogue.render(line.code, {"id": line.id, **line.facts}).title
            click.echo(f"  {line.id:>6}  not done: {title} [{line.code}]")
        else:
            click.echo(f"  {line.id:>6}  {did}")
    return ExitCode.FAILED if settlement.refused else ExitCode.OK


def parse_moment(text: str, now: datetime | None = None) -> datetime:
    """``2h``, ``30m``, ``3d`` ago, or an ISO time (local unless it names its zone), in UTC."""
    now = now or datetime.now(UTC)
    units = {"m": 60, "h": 3600, "d": 86_400}
    if text[-1:] in units and text[:-1].isdigit():
        return now - timedelta(seconds=int(text[:-1]) * units[text[-1]])
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"'{text}' is no time; write 2h, 30m, 3d or 2026-01-31T14:05."
        ) from None
    return moment.astimezone(UTC)


def parse_value(text: str) -> Any:
    """What a person typed as a field's value: text, unless it is written as JSON."""
    if text[:1] in {"[", "{", '"'} or text in {"null", "true", "false"}:
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError:
            raise click.BadParameter("the value looks like JSON and is none.") from None
    return text


def parse_key(text: str) -> int | str:
    return int(text) if text.removeprefix("-").isdigit() else text


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _is_terminal() -> bool:
    return sys.stdin.isatty()
