"""``bridgework csv``: both directions by hand, while the line or a permission is down.

What is exported and imported names patients; files are written for this person alone. Must not
import drivers.
"""

from __future__ import annotations

from collections import Counter as Tally
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from agent.cli import speech, words
from agent.cli.asking import JSON, YES, Reception, confirm, parse_moment, print_json, reception
from agent.cli.handing import fetch, send, wait
from agent.cli.render import wrapped
from agent.cli.root import App
from agent.csvio.heads import Kind, fold
from agent.errors import ExitCode
from agent.model.review import ApplyUndo, PreviewUndo, UndoScope
from agent.model.sheets import (
    ApplyImport,
    CountPending,
    Counts,
    ExportRejected,
    ExportSheet,
    IntakeView,
    ListIntakes,
    ListRows,
    LookAtSheet,
    PreviewImport,
    Reading,
    RowLine,
    SheetLook,
    SheetMade,
    ShowIntakeEffects,
    Verdict,
)
from agent.model.streams import Stream

_SHOWN = 20
_HEADS = 30
_AT_ONCE = 200  # writes taken back by one request


@click.group("csv")
def csv_() -> None:
    """Work by hand while a line is down: export what waits, import what the CRM has."""


# --- export -------------------------------------------------------------------------------------


@csv_.command("export")
@click.argument("what", required=False, metavar="[WHAT]")
@click.option("--to", "file", type=click.Path(path_type=Path), help="File or folder to write to.")
@click.option("--from", "first", default="", metavar="DATE", help="First day (YYYY-MM-DD).")
@click.option("--until", "last", default="", metavar="DATE", help="Last day, included.")
@click.option(
    "--for", "reader", type=click.Choice(["excel", "crm"]), default="excel", show_default=True,
    help="excel: for a person; crm: for a program (no byte order mark, times with zone).",
)  # fmt: skip
@YES
@JSON
@click.pass_obj
def export(
    app: App,
    what: str | None,
    file: Path | None,
    first: str,
    last: str,
    reader: str,
    yes: bool,
    as_json: bool,
) -> None:
    """Write records as CSV, with names: give the file to nobody else.

    WHAT is "pending" (what the CRM has not received yet, of all kinds, as a ZIP), "pending:KIND",
    or a kind: patient, appointment, recall, procedure ... Without it: how much waits.
    """
    with reception(app, ExportSheet) as desk:
        if what is None:
            _tell_pending(desk, as_json)
            return
        wish = _wish(what, first, last, excel=reader == "excel")
        job = wait(desk, desk.ask(wish), "Writing")
        made = msgspec.convert(msgspec.to_builtins(job.result), SheetMade)
        path = _target(file, made.name)
        if path.exists():
            confirm(f"Replace {path}?", yes=yes)
        fetch(desk, made.token, path)
    if as_json:
        print_json({"path": str(path), "rows": made.rows, "bytes": path.stat().st_size})
        return
    rows = "row" if made.rows == 1 else "rows"
    click.echo(f"{path}: {made.rows:,} {rows}.")
    click.echo("It names patients. Delete it when it has served.")


def _tell_pending(desk: Reception, as_json: bool) -> None:
    counts = desk.ask(CountPending()).counts
    if as_json:
        print_json({stream.value: count for stream, count in counts.items()})
        return
    if not counts:
        click.echo("Nothing waits: the CRM has everything.")
        return
    click.echo(words.table(("kind", "waiting"), [(s.value, f"{n:,}") for s, n in counts.items()]))
    click.echo("\n  As files: bridgework csv export pending")


def _wish(what: str, first: str, last: str, *, excel: bool) -> ExportSheet:
    head, _, kind = what.partition(":")
    pending = head == "pending"
    name = kind if pending else what
    if not name:
        return ExportSheet(None, pending, first, last, excel)
    try:
        return ExportSheet(Stream(name), pending, first, last, excel)
    except ValueError:
        known = ", ".join(stream.value for stream in Stream)
        raise click.BadParameter(f"'{name}' is no kind of record; there are: {known}.") from None


def _target(file: Path | None, name: str) -> Path:
    if file is None:
        return Path(name)
    return file / name if file.is_dir() else file


# --- import -------------------------------------------------------------------------------------


@csv_.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--kind", type=click.Choice([kind.value for kind in Kind]), help="What the rows are."
)  # fmt: skip
@click.option(
    "--column", "columns", multiple=True, metavar="HEAD=FIELD",
    help="What a column is; HEAD= leaves it out. Repeatable.",
)  # fmt: skip
@click.option("--encoding", default="", help="utf-8, utf-16, cp1252 ... Default: found out.")
@click.option("--delimiter", default="", help="Sign between cells. Default: found out.")
@click.option("--day-first/--month-first", default=None, help="How 3/4 is meant.")
@click.option(
    "--made", metavar="WHEN",
    help="When the CRM made the file (2h, or a time). Default: the file's own date.",
)  # fmt: skip
@click.option("--again", is_flag=True, help="Also rows that were brought in before.")
@click.option("--apply", "apply_", is_flag=True, help="Bring it in after the preview.")
@click.option("--rejected", type=click.Path(path_type=Path), help="Write rejected rows here.")
@click.option("--rows", default=_SHOWN, show_default=True, type=click.IntRange(0, 500))
@YES
@JSON
@click.pass_obj
def import_(
    app: App,
    file: Path,
    kind: str | None,
    columns: tuple[str, ...],
    encoding: str,
    delimiter: str,
    day_first: bool | None,
    made: str | None,
    again: bool,
    apply_: bool,
    rejected: Path | None,
    rows: int,
    yes: bool,
    as_json: bool,
) -> ExitCode:
    """Look at what a CSV file of the CRM would change; with --apply, bring it in.

    Each row goes the way of a request of the CRM: same checks, same record of what was done. A
    blank cell changes nothing. The same row is brought in once, whatever file it stands in.

    Exit codes: 0 fine, 1 rows were rejected.
    """
    made_at = parse_moment(made) if made else datetime.fromtimestamp(file.stat().st_mtime, UTC)
    reading = Reading(
        kind=kind or "",
        columns=dict(_columns(columns)),
        encoding=encoding,
        delimiter={"tab": "\t", "\\t": "\t"}.get(delimiter, delimiter),
        day_first=day_first,
        made_at=made_at,
        again=again,
    )
    with reception(app, PreviewImport) as desk:
        token = send(desk, file)
        look = desk.ask(LookAtSheet(token, reading))
        if look.code:
            title = _say(look.code, {"field": look.what})
            if as_json:
                print_json({"look": look, "code": look.code})
            else:
                click.echo("\n".join([*_look_lines(look), title]))
            return ExitCode.FAILED
        job = wait(desk, desk.ask(PreviewImport(token, reading)), "Looking at")
        counts = msgspec.convert(msgspec.to_builtins(job.result), Counts)
        page = desk.ask(ListRows(job.number, limit=max(rows, 1)))
        if rejected is not None and counts.rejected:
            listed = wait(desk, desk.ask(ExportRejected(job.number)), "Writing")
            sheet = msgspec.convert(msgspec.to_builtins(listed.result), SheetMade)
            fetch(desk, sheet.token, rejected)
        if not as_json:
            click.echo("\n".join(_preview_lines(look, counts, page.rows[:rows], page.total)))
        view = None
        if apply_ and counts.new + counts.changed:
            confirm(_question(counts), yes=yes or as_json)
            done = wait(desk, desk.ask(ApplyImport(job.number)), "Bringing in")
            view = msgspec.convert(msgspec.to_builtins(done.result), IntakeView)
    if as_json:
        print_json({"look": look, "counts": counts, "rows": page.rows[:rows], "import": view})
    elif view is not None:
        click.echo("\n".join(_intake_lines(view)))
    elif counts.new + counts.changed and not apply_:
        click.echo("\nNothing was changed. To bring it in, the same with --apply.")
    return ExitCode.FAILED if counts.rejected else ExitCode.OK


def _columns(given: tuple[str, ...]) -> list[tuple[str, str]]:
    pairs = []
    for one in given:
        head, sign, field = one.partition("=")
        if not sign or not head:
            raise click.BadParameter(f"'{one}' is not HEAD=FIELD.")
        pairs.append((head, field))
    return pairs


def _look_lines(look: SheetLook) -> list[str]:
    sign = {"\t": "tab"}.get(look.delimiter, look.delimiter)
    lines = [f"{look.kind or 'A sheet'}, {look.encoding}, cells end with '{sign}'"]
    named = {head: field for field, head in look.fields.items() if fold(head) != fold(field)}
    width = max((len(head) for head in named), default=0)
    lines += [f"  {head:<{width}}  is {field}" for head, field in named.items()]
    same = [field for field, head in look.fields.items() if head not in named]
    for title, names in (("used as named", same), ("not used", list(look.unused))):
        if names:
            shown = ", ".join(names[:_HEADS]) + (
                f" and {len(names) - _HEADS} more" if len(names) > _HEADS else ""
            )
            lines += wrapped(f"{title}: {shown}", "  ", "    ")
    if look.intake:
        lines.append(f"  This very file was brought in before (import {look.intake}).")
    return lines


def _preview_lines(
    look: SheetLook, counts: Counts, rows: tuple[RowLine, ...], total: int
) -> list[str]:
    lines = [*_look_lines(look), ""]
    for name, count, note in (
        ("new", counts.new, ""),
        ("changed", counts.changed, _asks(counts.asks)),
        ("unchanged", counts.unchanged, ""),
        ("brought in before", counts.known, "; not again" if counts.known else ""),
        ("rejected", counts.rejected, ""),
    ):
        lines.append(f"  {count:>9,}  {name}{note}")
    if rows:
        lines += ["", *map(_row_line, rows)]
    if total > len(rows) and rows:
        lines.append(f"  and {total - len(rows):,} more.")
    return lines


def _asks(count: int) -> str:
    if not count:
        return ""
    return f"; {count:,} changed here as well: a person will decide"


def _row_line(row: RowLine) -> str:
    head = f"  row {row.number}: {row.verdict.value}"
    who = f" {row.who}" if row.who else ""
    key = f" ({row.key})" if row.key is not None else ""
    if row.verdict is Verdict.REJECTED:
        return f"{head}{who}{key}. {_say(row.code, row.facts)}"
    changes = ", ".join(f"{c.field} {_value(c.now)} -> {_value(c.then)}" for c in row.changes[:6])
    if row.verdict is Verdict.KNOWN:
        return f"  row {row.number}: brought in before, or twice in this file:{who}{key}"
    return f"{head}{who}{key}{': ' if changes else ''}{changes}"


def _value(value: Any) -> str:
    if value in (None, "", [], {}):
        return "(none)"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _question(counts: Counts) -> str:
    parts = [
        f"{count:,} {name}"
        for count, name in ((counts.new, "new"), (counts.changed, "changed"))
        if count
    ]
    return f"Bring in {' and '.join(parts)}?"


def _say(code: str, facts: dict[str, Any]) -> str:
    text = speech.catalogue().render(code, facts)
    return " ".join(part for part in (text.title, text.next_step) if part)


# --- what was brought in ------------------------------------------------------------------------


@csv_.command("list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 500))
@JSON
@click.pass_obj
def list_(app: App, limit: int, as_json: bool) -> None:
    """Files that were brought in, the newest first."""
    with reception(app) as desk:
        page = desk.ask(ListIntakes(limit))
    if as_json:
        print_json(page)
        return
    if not page.intakes:
        click.echo("No file was brought in yet.")
        return
    rows = [
        (str(one.number), words.since(one.at), one.kind, one.actor, one.state, _ends(one))
        for one in page.intakes
    ]
    click.echo(words.table(("no.", "when", "rows", "by", "state", "requests"), rows))
    click.echo("\n  Take one back: bridgework csv undo NUMBER")


@csv_.command("undo")
@click.argument("number", type=int)
@YES
@JSON
@click.pass_obj
def undo(app: App, number: int, yes: bool, as_json: bool) -> ExitCode:
    """Take back everything that one import wrote, where it still holds."""
    with reception(app, ApplyUndo) as desk:
        numbers = desk.ask(ShowIntakeEffects(number)).numbers
        if not numbers:
            click.echo("That import wrote nothing.")
            return ExitCode.OK
        can, why = 0, Tally[str]()
        for start in range(0, len(numbers), _AT_ONCE):
            scope = UndoScope(numbers=numbers[start : start + _AT_ONCE])
            steps = desk.ask(PreviewUndo(scope)).steps
            can += sum(not step.code for step in steps)
            why.update(step.code for step in steps if step.code)
        if not as_json:
            click.echo(f"{can:,} of {len(numbers):,} writes can be taken back.")
            for code, count in why.most_common():
                click.echo(f"  {count:,} not: {_say(code, {})}")
        if can:
            confirm(f"Take back {can:,} writes?", yes=yes or as_json)
        done, not_done = 0, 0
        for start in range(0, len(numbers), _AT_ONCE):
            scope = UndoScope(numbers=numbers[start : start + _AT_ONCE])
            for step in desk.ask(ApplyUndo(scope)).steps:
                done, not_done = done + (not step.code), not_done + bool(step.code)
    if as_json:
        print_json({"taken_back": done, "not": not_done})
    else:
        click.echo(f"{done:,} taken back" + (f", {not_done:,} not." if not_done else "."))
    return ExitCode.FAILED if not_done else ExitCode.OK


def _intake_lines(view: IntakeView) -> list[str]:
    return [
        "",
        f"Import {view.number}: {_ends(view)}.",
        "  What was asked for, one by one: bridgework commands list",
        f"  Take it back: bridgework csv undo {view.number}",
    ]


def _ends(view: IntakeView) -> str:
    names = {"conflict": "to decide", "task": "to do by hand"}
    parts = [f"{count:,} {names.get(name, name)}" for name, count in sorted(view.ends.items())]
    return ", ".join(parts) or "nothing asked for"
