"""``bridgework commands``: what the CRM asked for, and how it ended. No names, no values.

Must not import drivers.
"""

from __future__ import annotations

import click

from agent.cli import words
from agent.cli.asking import JSON, parse_key, print_json, reception
from agent.cli.root import App
from agent.cli.undo_cmd import effects_table
from agent.model.asking import MOST
from agent.model.desk import CommandLine, CommandView, ListCommands, ShowCommand
from agent.model.review import SettleEffect

_STATES = tuple(words.COMMAND_STATES)


@click.group()
def commands() -> None:
    """What the CRM asked the practice to do."""


@commands.command("list")
@click.option("--state", "states", multiple=True, type=click.Choice(_STATES), help="Only these.")
@click.option("--limit", type=click.IntRange(1, MOST), default=20, show_default=True)
@JSON
@click.pass_obj
def list_(app: App, states: tuple[str, ...], limit: int, as_json: bool) -> None:
    """The newest first, with how each stands."""
    with reception(app) as desk:
        page = desk.ask(ListCommands(limit, states))
    if as_json:
        print_json(page)
        return
    if not page.commands:
        click.echo("No command in that state." if states else "The CRM has asked for nothing yet.")
        return
    rows = [
        (
            line.command_id,
            line.type,
            line.target or "-",
            _standing(line),
            words.since(line.received_at),
        )
        for line in page.commands
    ]
    click.echo(words.table(("command", "what", "record", "state", "received"), rows))
    kept = ", ".join(
        f"{words.COMMAND_STATES.get(state, state)} {count:,}"
        for state, count in page.counts.items()
    )
    click.echo(f"\n  All that are kept: {kept}")


def _standing(line: CommandLine) -> str:
    state = words.COMMAND_STATES.get(line.state, line.state)
    if line.state == "done":
        state = line.end or "done"
    reason = f" ({line.reason})" if line.reason else ""
    untold = "" if line.reported or line.end is None else ", CRM not told yet"
    return f"{state}{reason}{untold}"


@commands.command("show")
@click.argument("command")
@JSON
@click.pass_obj
def show(app: App, command: str, as_json: bool) -> None:
    """One command and what was written for it. What it says about anybody is not shown."""
    with reception(app) as desk:
        view = desk.ask(ShowCommand(command))
    if as_json:
        print_json(view)
        return
    click.echo(_in_words(view))


def _in_words(view: CommandView) -> str:
    line = view.line
    lines = [f"Command {line.command_id}: {line.type}"]
    for name, told in (
        ("record", line.target),
        ("asks for", ", ".join(line.fields)),
        ("state", _standing(line)),
        ("said", line.staff_text),
        ("made", line.pms_key or ""),
        ("created", line.created_at),
        ("received", words.local(line.received_at)),
        ("expires", line.not_after or ""),
        ("tries", str(line.tries) if line.tries else ""),
    ):
        if told:
            lines.append(f"  {name:<10}{told}")
    if view.effects:
        lines += ["", "  Written for it:", effects_table(view.effects)]
    waits = [
        *(f"bridgework conflicts show {number}" for number in view.conflicts),
        *(f"bridgework tasks show {number}" for number in view.tasks),
    ]
    if waits:
        lines += ["", "  It waits for a person:", *(f"    {command}" for command in waits)]
    unknown = next((e for e in view.effects if e.state == "unknown"), None)
    if unknown is not None:
        n = unknown.number
        lines += [
            "",
            "  Nobody knows whether the write marked UNKNOWN happened. Look into the practice",
            f"  system, then say: bridgework commands settle {n} --happened (or --not-happened)",
        ]
    return "\n".join(lines)


@commands.command("settle")
@click.argument("number", type=int)
@click.option("--happened/--not-happened", "happened", default=None, help="What you saw there.")
@click.option("--key", metavar="KEY", help="Number of the record it made, if it made one.")
@JSON
@click.pass_obj
def settle(app: App, number: int, happened: bool | None, key: str | None, as_json: bool) -> None:
    """Say whether a write of unknown outcome happened, after looking into the practice system.

    NUMBER is the write's (commands show). Needs the running agent.
    """
    if happened is None:
        raise click.UsageError("Say --happened or --not-happened.")
    if key is not None and not happened:
        raise click.UsageError("--key goes with --happened.")
    with reception(app, SettleEffect) as desk:
        done = desk.ask(SettleEffect(number, happened, None if key is None else parse_key(key)))
    if as_json:
        print_json(done)
        return
    click.echo("Noted; the CRM hears it." if happened else "Noted; it may be tried again.")
