"""``bridgework conflicts``: fields both sides changed, and a person's word on them.

Names and values are shown by ``show`` alone, where a person must decide. Must not import drivers.
"""

from __future__ import annotations

import click

from agent.cli import words
from agent.cli.asking import (
    JSON,
    NEEDLESS_YES,
    YES,
    Reception,
    confirm,
    parse_value,
    print_json,
    reception,
    told_each,
)
from agent.cli.root import App
from agent.errors import ExitCode
from agent.model.asking import MOST
from agent.model.review import (
    ConflictLine,
    ConflictView,
    ForgetPolicy,
    ListConflicts,
    ListPolicies,
    ResolveConflicts,
    ShowConflict,
    UndoResolutions,
)
from agent.model.streams import Stream

_STATES = ("open", "auto", "resolved", "undone", "all")


@click.group()
def conflicts() -> None:
    """Fields that practice and CRM changed differently.

    Neither side is overwritten while one waits; everything else of the record goes on.
    """


@conflicts.command("list")
@click.option("--state", type=click.Choice(_STATES), default="open", show_default=True)
@click.option("--limit", type=click.IntRange(1, MOST), default=50, show_default=True)
@click.option("--before", type=int, metavar="NUMBER", help="Go on with the ones older than this.")
@JSON
@click.pass_obj
def list_(app: App, state: str, limit: int, before: int | None, as_json: bool) -> None:
    """Which records and fields, why, since when. No names, no values."""
    with reception(app) as desk:
        page = desk.ask(ListConflicts(state, limit, before))
    if as_json:
        print_json(page)
        return
    if not page.conflicts:
        click.echo(
            "No conflict waits for a person."
            if state == "open" and before is None
            else "No conflict in that list."
        )
        return
    heads: tuple[str, ...] = ("no.", "record", "field", "why", "since")
    if state != "open":
        heads = (*heads, "state", "kept", "by")
    click.echo(words.table(heads, [_row(line, full=state != "open") for line in page.conflicts]))
    last = page.conflicts[-1].number
    if page.more:
        click.echo(f"\n  There are more: bridgework conflicts list --state {state} --before {last}")
    if state == "open":
        click.echo(f"\n  Look at one: bridgework conflicts show {page.conflicts[0].number}")


def _row(line: ConflictLine, *, full: bool) -> tuple[str, ...]:
    why = words.CONFLICT_KINDS.get(line.kind, line.kind)
    row = (
        str(line.number),
        words.record(line.stream.value, line.key),
        words.field_name(line.field),
        why,
        words.since(line.at),
    )
    if not full:
        return row
    state = "resolved by rule" if line.state == "auto" else line.state
    return (*row, state, words.WINNERS.get(line.winner or "", "-"), line.actor or "-")


@conflicts.command("show")
@click.argument("number", type=int)
@JSON
@click.pass_obj
def show(app: App, number: int, as_json: bool) -> None:
    """One conflict side by side: last agreed, practice, CRM. Shows whose record it is."""
    with reception(app) as desk:
        view = desk.ask(ShowConflict(number))
    if as_json:
        print_json(view)
        return
    click.echo(_in_words(view, app.settings().practice.zone))


def _in_words(view: ConflictView, zone: str) -> str:
    line = view.line
    of = f": {view.who}" if view.who else ""
    why = words.CONFLICT_KINDS.get(line.kind, line.kind)
    base = "(never)" if line.kind == "no_base" else words.value(view.base, zone)
    lines = [
        f"Conflict {line.number}, {words.record(line.stream.value, line.key)}{of}",
        f"  {words.field_name(line.field)}: {why}, {words.since(line.at)}.",
        "",
        f"  last agreed  {base}",
        f"  practice     {words.value(view.pms, zone)}",
        f"  CRM          {words.value(view.crm, zone)}",
    ]
    if line.state == "open":
        lines += [
            "",
            f"  Keep one:    bridgework conflicts resolve {line.number} --winner pms",
            f"               bridgework conflicts resolve {line.number} --winner crm",
            f"  Or a third:  bridgework conflicts resolve {line.number} --value TEXT",
        ]
    else:
        lines += [f"  result       {words.value(view.result, zone)}", "", f"  {_ended(line)}"]
        if line.state in {"auto", "resolved"}:
            lines += [f"  Ask it again: bridgework conflicts undo {line.number}"]
    return "\n".join(lines)


def _ended(line: ConflictLine) -> str:
    if line.state == "undone":
        return f"The decision was taken back by {line.actor}."
    kept = {"pms": "the practice's", "crm": "the CRM's", "merged": "the merged"}
    value = kept.get(line.winner or "", "a typed")
    if line.state == "auto":
        return f"Resolved by rule ({line.policy}): {value} value holds."
    return f"Resolved by {line.actor}: {value} value holds."


@conflicts.command("resolve")
@click.argument("numbers", type=int, nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All open ones (see --stream, --field).")
@click.option(
    "--stream",
    type=click.Choice([s.value for s in Stream]),
    metavar="STREAM",
    help="With --all: only this kind of record (patient, appointment, recall ...).",
)
@click.option("--field", metavar="NAME", help="With --all: only this field.")
@click.option("--winner", type=click.Choice(["pms", "crm"]), help="Whose value holds from now on.")
@click.option("--value", "text", help="A third value, for both sides. JSON for lists.")
@click.option(
    "--remember", is_flag=True, help="This side wins this field from now on, without asking."
)
@YES
@JSON
@click.pass_obj
def resolve(
    app: App,
    numbers: tuple[int, ...],
    everything: bool,
    stream: str | None,
    field: str | None,
    winner: str | None,
    text: str | None,
    remember: bool,
    yes: bool,
    as_json: bool,
) -> ExitCode:
    """Decide one or many. Needs the running agent: it writes where the value differs.

    A decision is carried out some seconds later; until then it can be taken back (conflicts undo),
    and after that what was written (undo). Exit codes: 0 all decided, 1 some could not be, 2 wrong
    option.
    """
    if (winner is None) == (text is None):
        raise click.UsageError("Say --winner pms, --winner crm, or --value TEXT.")
    if bool(numbers) == everything:
        raise click.UsageError("Name the conflicts by number, or say --all.")
    if (stream or field) and not everything:
        raise click.UsageError("--stream and --field go with --all.")
    if text is not None and (remember or everything or len(numbers) > 1):
        raise click.UsageError("A typed value is for one conflict and cannot be remembered.")
    with reception(app, ResolveConflicts) as desk:
        if everything:
            numbers = _open_ones(desk, stream, field)
            if not numbers:
                click.echo("No open conflict fits." if not as_json else '{"lines": []}')
                return ExitCode.OK
        did = f"kept the {words.WINNERS[winner]}'s value" if winner else "took the typed value"
        if len(numbers) > 1 or remember:
            kept = "the practice's" if winner == "pms" else "the CRM's"
            more = " and from now on" if remember else ""
            many = words.count(len(numbers), "conflict")
            confirm(f"Keep {kept} value for {many}{more}?", yes=yes)
        value = None if text is None else parse_value(text)
        word = winner or "value"
        done = desk.ask(ResolveConflicts(numbers, word, value, remember))
    if as_json:
        print_json(done)
        return ExitCode.FAILED if done.refused else ExitCode.OK
    return told_each(done, did)


def _open_ones(desk: Reception, stream: str | None, field: str | None) -> tuple[int, ...]:
    """As many as are decided at once; the rest waits for the next call."""
    lines = desk.ask(ListConflicts("open", MOST)).conflicts
    return tuple(
        line.number
        for line in lines
        if stream in {None, line.stream.value} and field in {None, line.field}
    )


@conflicts.command("undo")
@click.argument("numbers", type=int, nargs=-1, required=True)
@NEEDLESS_YES
@JSON
@click.pass_obj
def undo(app: App, numbers: tuple[int, ...], as_json: bool) -> ExitCode:
    """Take decisions back before they are carried out.

    The question is open again, under a new number.

    Exit codes: 0 all taken back, 1 some could not be.
    """
    with reception(app, UndoResolutions) as desk:
        done = desk.ask(UndoResolutions(numbers))
    if as_json:
        print_json(done)
        return ExitCode.FAILED if done.refused else ExitCode.OK
    return told_each(done, "taken back; it is open again under a new number")


@conflicts.command("policies")
@JSON
@click.pass_obj
def policies(app: App, as_json: bool) -> None:
    """Choices people asked to remember."""
    with reception(app) as desk:
        page = desk.ask(ListPolicies())
    if as_json:
        print_json(page)
        return
    if not page.policies:
        click.echo("Nothing is remembered; the data map decides.")
        return
    rows = [
        (p.stream.value, p.field, words.WINNERS.get(p.winner, p.winner), p.actor, words.local(p.at))
        for p in page.policies
    ]
    click.echo(words.table(("record", "field", "wins", "said by", "at"), rows))
    first = page.policies[0]
    click.echo(f"\n  Take one back: bridgework conflicts forget {first.stream.value} {first.field}")


@conflicts.command("forget")
@click.argument("stream", type=click.Choice([s.value for s in Stream]), metavar="RECORD")
@click.argument("field")
@NEEDLESS_YES
@JSON
@click.pass_obj
def forget(app: App, stream: str, field: str, as_json: bool) -> None:
    """Forget a remembered choice; the data map decides again."""
    with reception(app, ForgetPolicy) as desk:
        done = desk.ask(ForgetPolicy(Stream(stream), field))
    if as_json:
        print_json(done)
        return
    click.echo(f"Forgotten. The data map decides about {field} again.")
