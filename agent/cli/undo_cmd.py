"""``bridgework undo``: take back what the agent wrote into the practice system.

Only where the touched fields still hold what the agent wrote; anything else is refused with its
reason. Must not import drivers.
"""

from __future__ import annotations

import click

from agent.cli import words
from agent.cli.asking import (
    JSON,
    YES,
    confirm,
    parse_moment,
    print_json,
    reception,
)
from agent.cli.root import App
from agent.errors import ExitCode
from agent.model.asking import MOST
from agent.model.review import (
    ApplyUndo,
    EffectLine,
    ListEffects,
    PreviewUndo,
    UndoPlan,
    UndoScope,
    UndoStep,
)

_NUMBERS = click.argument("numbers", type=int, nargs=-1)
_COMMAND = click.option("--command", "group", default="", metavar="ID", help="All it wrote.")
_SINCE = click.option("--since", metavar="TIME", help="All since: 30m, 2h, 3d or 2026-01-31T14:05.")
APPLY_TIMEOUT_S = 600.0


@click.group()
def undo() -> None:
    """Take back what the agent wrote into the practice system."""


@undo.command("list")
@click.option("--limit", type=click.IntRange(1, MOST), default=30, show_default=True)
@click.option("--before", type=int, metavar="NUMBER", help="Go on with the ones older than this.")
@JSON
@click.pass_obj
def list_(app: App, limit: int, before: int | None, as_json: bool) -> None:
    """What the agent wrote, the newest first, and what can be taken back. No names, no values."""
    with reception(app) as desk:
        page = desk.ask(ListEffects(limit, before))
    if as_json:
        print_json(page)
        return
    if not page.effects:
        click.echo("The agent has written nothing into the practice system yet.")
        return
    click.echo(effects_table(page.effects))
    if page.more:
        click.echo(f"\n  There are more: bridgework undo list --before {page.effects[-1].number}")
    armed = next((line for line in page.effects if line.undo == "armed"), None)
    if armed is not None:
        click.echo(f"\n  See what it would do: bridgework undo preview {armed.number}")


def effects_table(lines: tuple[EffectLine, ...]) -> str:
    rows = [
        (
            str(line.number),
            words.KINDS[line.kind] if line.undoes is None else f"undo of {line.undoes}",
            words.record(line.stream.value, line.key),
            words.EFFECT_STATES.get(line.state, line.state),
            words.UNDO_STATES.get(line.undo, line.undo) if line.state == "verified" else "-",
            words.local(line.at),
            line.command_id or line.group,
        )
        for line in lines
    ]
    return words.table(("no.", "what", "record", "state", "undo", "at", "for"), rows)


@undo.command("preview")
@_NUMBERS
@_COMMAND
@_SINCE
@JSON
@click.pass_obj
def preview(
    app: App, numbers: tuple[int, ...], group: str, since: str | None, as_json: bool
) -> ExitCode:
    """Show what would be taken back, field by field, and what could not, changing nothing.

    Needs the running agent: it reads the practice. Exit codes: 0 all of it could be taken back,
    1 some could not.
    """
    scope, zone = _scope(numbers, group, since), app.settings().practice.zone
    with reception(app, PreviewUndo) as desk:
        plan = desk.ask(PreviewUndo(scope), APPLY_TIMEOUT_S)
    if as_json:
        print_json(plan)
    else:
        click.echo(_in_words(plan, zone, done=False))
        ready = [step for step in plan.steps if not step.code]
        if ready:
            numbers_text = " ".join(str(step.number) for step in ready)
            click.echo(f"\n  Do it: bridgework undo apply {numbers_text}")
    return _verdict(plan)


@undo.command("apply")
@_NUMBERS
@_COMMAND
@_SINCE
@YES
@JSON
@click.pass_obj
def apply(
    app: App,
    numbers: tuple[int, ...],
    group: str,
    since: str | None,
    yes: bool,
    as_json: bool,
) -> ExitCode:
    """Take it back, newest first. What cannot be taken back is left as it is and said.

    Needs the running agent. Exit codes: 0 all taken back, 1 some could not be.
    """
    scope, zone = _scope(numbers, group, since), app.settings().practice.zone
    with reception(app, PreviewUndo, ApplyUndo) as desk:
        plan = desk.ask(PreviewUndo(scope), APPLY_TIMEOUT_S)
        ready = tuple(step.number for step in plan.steps if not step.code)
        if not ready:
            print_json(plan) if as_json else click.echo(_in_words(plan, zone, done=False))
            return _verdict(plan)
        if not as_json:
            click.echo(_in_words(plan, zone, done=False))
            click.echo()
        confirm(f"Take back {words.count(len(ready), 'change')} in the practice system?", yes=yes)
        done = desk.ask(ApplyUndo(UndoScope(numbers=ready)), APPLY_TIMEOUT_S)
    refused = tuple(step for step in plan.steps if step.code)
    told = UndoPlan(tuple(sorted((*done.steps, *refused), key=lambda s: -s.number)))
    if as_json:
        print_json(told)
    else:
        click.echo(_in_words(told, zone, done=True))
    return _verdict(told)


def _scope(numbers: tuple[int, ...], group: str, since: str | None) -> UndoScope:
    if sum((bool(numbers), bool(group), since is not None)) != 1:
        raise click.UsageError("Say what: numbers (see undo list), or --command ID, or --since.")
    return UndoScope(numbers, group, None if since is None else parse_moment(since))


def _verdict(plan: UndoPlan) -> ExitCode:
    return ExitCode.FAILED if any(step.code for step in plan.steps) else ExitCode.OK


def _in_words(plan: UndoPlan, zone: str, *, done: bool) -> str:
    if not plan.steps:
        return "Nothing was written then; there is nothing to take back."
    return "\n".join("\n".join(_step_lines(step, zone, done=done)) for step in plan.steps)


def _step_lines(step: UndoStep, zone: str, *, done: bool) -> list[str]:
    of = f": {step.who}" if step.who else ""
    head = f"{step.number:>6}  {words.KINDS[step.kind]}, {words.local(step.at)}, "
    lines = [f"{head}{words.record(step.stream.value, step.key)}{of}"]
    if step.code:
        left = "left as it is" if done else "cannot be taken back"
        lines.append(f"        {left}: {words.reason(step.code)} [{step.code}]")
        following = words.next_step(step.code)
        return [*lines, f"        {following}"] if following else lines
    if done:
        return [*lines, "        taken back"]
    moving = [field for field in step.fields if field.now != field.back]
    width = max((len(field.field) for field in moving), default=0)
    return lines + [
        f"        {f.field:<{width}}  {words.value(f.now, zone)} -> {words.value(f.back, zone)}"
        for f in moving
    ]
