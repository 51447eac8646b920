"""``bridgework tasks``: what the front desk must do by hand, because the agent may not.

What is to be entered, and for whom, is shown by ``show`` and ``export`` alone. Must not import
drivers.
"""

from __future__ import annotations

import os
from pathlib import Path

import click
import msgspec

from agent.cli import words
from agent.cli.asking import (
    JSON,
    NEEDLESS_YES,
    YES,
    confirm,
    print_json,
    reception,
    told_each,
)
from agent.cli.root import App
from agent.csvio.tasks import SheetRow, tasks_csv
from agent.errors import ExitCode
from agent.model.asking import MOST
from agent.model.review import CloseTasks, ListTasks, ShowTask, TaskView

_STATES = ("open", "done", "cannot", "timed_out", "all")


@click.group()
def tasks() -> None:
    """What must be done by hand in the practice system.

    The CRM hears how each one ended; without a word it times out.
    """


@tasks.command("list")
@click.option("--state", type=click.Choice(_STATES), default="open", show_default=True)
@click.option("--limit", type=click.IntRange(1, MOST), default=50, show_default=True)
@JSON
@click.pass_obj
def list_(app: App, state: str, limit: int, as_json: bool) -> None:
    """What to do and until when, the most pressing first. No names."""
    with reception(app) as desk:
        page = desk.ask(ListTasks(state, limit))
    if as_json:
        print_json(page)
        return
    if not page.tasks:
        click.echo(
            "Nothing waits to be done by hand." if state == "open" else "No task in that list."
        )
        return
    rows = [
        (
            str(line.number),
            words.KINDS[line.kind],
            words.record(line.stream.value, line.key),
            words.since(line.opened_at),
            words.until(line.due_at) if line.state == "open" else line.state.replace("_", " "),
        )
        for line in page.tasks
    ]
    last = "times out" if state == "open" else "ended"
    click.echo(words.table(("no.", "what", "record", "since", last), rows))
    if page.more:
        click.echo(f"\n  There are more: bridgework tasks list --state {state} --limit {MOST}")
    if state == "open":
        click.echo(f"\n  What exactly: bridgework tasks show {page.tasks[0].number}")


@tasks.command("show")
@click.argument("number", type=int)
@JSON
@click.pass_obj
def show(app: App, number: int, as_json: bool) -> None:
    """One task: for whom, what is to hold afterwards, why the agent may not do it."""
    with reception(app) as desk:
        view = desk.ask(ShowTask(number))
    if as_json:
        print_json(view)
        return
    click.echo(_in_words(view, app.settings().practice.zone))


def _in_words(view: TaskView, zone: str) -> str:
    line = view.line
    of = f": {view.who}" if view.who else ""
    lines = [
        f"Task {line.number}: {words.KINDS[line.kind]}",
        f"  {words.record(line.stream.value, line.key)}{of}",
        f"  asked for {words.since(line.opened_at)} by command {line.command_id}",
        "",
    ]
    given = [*view.fields.items(), *((f"({n})", v) for n, v in view.options.items())]
    width = max((len(name) for name, _ in given), default=0)
    lines += [f"  {name:<{width}}  {words.held(name, value, zone)}" for name, value in given]
    if view.together:
        lines += ["", f"  {_together(view)}"]
    lines += ["", f"  Why by hand: {words.reason(line.reason)}"]
    if line.state != "open":
        note = f" {view.note}" if view.note else ""
        lines += [f"  Ended: {line.state.replace('_', ' ')} by {line.actor or '-'}.{note}"]
    else:
        lines += [
            f"  When it stands in the practice system: bridgework tasks done {line.number}",
            f"  When it cannot be done:                bridgework tasks cannot {line.number}",
            f"  Times out {words.until(line.due_at)}.",
        ]
    return "\n".join(lines)


def _together(view: TaskView) -> str:
    others = ", ".join(f"task {number}" for number in view.together)
    return f"Belongs together with {others} (the same request)."


class Sheet(msgspec.Struct, frozen=True):
    """``more``: there are more tasks than an answer may carry."""

    tasks: tuple[TaskView, ...]
    more: bool


@tasks.command("export")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--state", type=click.Choice(_STATES), default="open", show_default=True)
@YES
@JSON
@click.pass_obj
def export(app: App, file: Path, state: str, yes: bool, as_json: bool) -> None:
    """The tasks as a CSV sheet for Excel, to print or tick off; FILE or - for standard output.

    One row a task: for whom, what to do, each field to enter, why by hand, an empty column to tick.
    It holds names: only this account may read the file. Afterwards tell the agent: tasks done.
    --json: the same as JSON.
    """
    to_pipe = str(file) == "-"
    if not to_pipe and file.exists():
        confirm(f"Replace {file}?", yes=yes)
    with reception(app) as desk:
        page = desk.ask(ListTasks(state, MOST))
        views = tuple(desk.ask(ShowTask(line.number)) for line in page.tasks)
    if as_json:
        content = msgspec.json.format(msgspec.json.encode(Sheet(views, page.more)), indent=2)
    else:
        zone = app.settings().practice.zone
        content = tasks_csv(_sheet_row(view, zone) for view in views)
    if to_pipe:
        click.echo(content, nl=False)
    else:
        _write_private(file, content)
        told = words.count(len(views), "task")
        click.echo(f"{told} written to {file}. It holds names: delete it when it is done with.")
    if page.more:
        click.echo(f"There are more; these are the {MOST} most pressing.", err=True)


def _sheet_row(view: TaskView, zone: str) -> SheetRow:
    line = view.line
    what = words.TO_DO[line.kind].format(key=line.key)
    options = [f"{_spaced(name)}: {told}." for name, told in view.options.items() if told]
    fields = [
        f"{_spaced(name)}: {words.held(name, given, zone)}"
        for name, given in view.fields.items()
        if not (name == "patient_key" and view.patient_key)
    ]
    state = line.state.replace("_", " ")
    if line.state != "open":
        state = f"{state} by {line.actor or '-'}" + (f": {view.note}" if view.note else "")
    return SheetRow(
        number=str(line.number),
        since=words.local(line.opened_at, zone),
        due=words.local(line.due_at, zone),
        kind=words.KINDS[line.kind],
        patient=view.who,
        patient_key=view.patient_key,
        what=" ".join([what, *options, *([_together(view)] if view.together else [])]),
        fields="\n".join(fields),
        why=words.reason(line.reason),
        state=state,
    )


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _write_private(file: Path, content: bytes) -> None:
    """Beside it first, then in its place: whoever had the old file open keeps a whole one."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(content)
            fresh.replace(file)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise click.BadParameter(
            f"cannot be written: {error.strerror}", param_hint="FILE"
        ) from None


@tasks.command("done")
@click.argument("numbers", type=int, nargs=-1, required=True)
@click.option("--key", type=int, metavar="KEY", help="Of one task: the record it was done on.")
@NEEDLESS_YES
@JSON
@click.pass_obj
def done(app: App, numbers: tuple[int, ...], key: int | None, as_json: bool) -> ExitCode:
    """It stands in the practice system now. Needs the running agent, which tells the CRM.

    The agent looks for the record; name it with --key where it does not find it.
    Exit codes: 0 all noted, 1 some could not be.
    """
    if key is not None and len(numbers) != 1:
        raise click.UsageError("--key names the record of one task.")
    return _close(app, CloseTasks(numbers, done=True, key=key), "noted as done", as_json)


@tasks.command("cannot")
@click.argument("numbers", type=int, nargs=-1, required=True)
@click.option("--note", default="", help="Why, for the practice's own record. No patient data.")
@NEEDLESS_YES
@JSON
@click.pass_obj
def cannot(app: App, numbers: tuple[int, ...], note: str, as_json: bool) -> ExitCode:
    """It cannot be done; the CRM hears that. Needs the running agent.

    Exit codes: 0 all noted, 1 some could not be.
    """
    wish = CloseTasks(numbers, done=False, note=note)
    return _close(app, wish, "noted as not possible", as_json)


def _close(app: App, wish: CloseTasks, did: str, as_json: bool) -> ExitCode:
    with reception(app, CloseTasks) as desk:
        answer = desk.ask(wish)
    if as_json:
        print_json(answer)
        return ExitCode.FAILED if answer.refused else ExitCode.OK
    return told_each(answer, did)
