"""``bridgework journal``: look at the agent's sync record, prove it, copy it.

Works beside a running agent and disturbs it in nothing. Must not import drivers.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from agent.cli import speech
from agent.cli.render import ago, stream_table
from agent.cli.root import App
from agent.errors import ExitCode
from agent.journal.snapshot import backup_file, status_snapshot, verify_file, visiting
from agent.support.health import iso
from agent.support.messages import Fact

_JSON = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")


@click.group()
def journal() -> None:
    """Look after the sync record."""


@journal.command("info")
@_JSON
@click.pass_obj
def show(app: App, as_json: bool) -> None:
    """Size, age, counts and copies of the journal."""
    path = _path(app)
    snapshot = status_snapshot(path)
    beside = sorted(path.parent.glob(path.name + ".damaged-*"))
    told: dict[str, Any] = {
        "path": str(path),
        "bytes": sum(part.stat().st_size for part in _parts(path)),
        "damaged": [part.name for part in beside if not part.name.endswith(("-wal", "-shm"))],
        "backups": [copy.name for copy in sorted(app.paths.backup_dir.glob("*.backup"))],
        **msgspec.to_builtins(snapshot),
    }
    if as_json:
        _print_json(told)
        return
    numbers = snapshot.numbers
    batches = "batch" if numbers.pending_batches == 1 else "batches"
    for name, value in (
        ("file", f"{told['path']} ({told['bytes'] / 1e6:.1f} MB, layout {snapshot.schema})"),
        ("identity", f"{snapshot.uuid}, start {snapshot.epoch}, change {snapshot.lsn}"),
        ("audit head", snapshot.audit_head),
        ("waiting", f"{numbers.pending_operations:,} in {numbers.pending_batches} {batches}"),
        ("parked", f"{numbers.parked:,}"),
        ("requests", f"{numbers.commands_waiting:,} of the CRM under way"),
        (
            "for people",
            f"{numbers.open_conflicts:,} conflicts, {numbers.tasks_open:,} desk tasks,"
            f" {numbers.suspects:,} possible duplicates, {numbers.effects_unknown:,} unsure writes",
        ),
        ("key ranges", f"{numbers.chunks:,}, of these {numbers.chunks_unloaded:,} not loaded yet"),
        ("backups", ", ".join(told["backups"]) or "none"),
        ("set aside", ", ".join(told["damaged"]) or "none"),
    ):
        click.echo(f"{name:<11}{value}")
    counts = [count for count in snapshot.streams if count.present or count.gone]
    if counts:
        click.echo()
        click.echo(
            "\n".join(stream_table(counts, ("present", "agreed", "waiting", "parked", "gone")))
        )


@journal.command("parked")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1))
@_JSON
@click.pass_obj
def parked(app: App, limit: int, as_json: bool) -> None:
    """Records set aside one by one: which, since when, why, and when they are tried again."""
    with visiting(_path(app)) as (_, visitor):
        found = visitor.parked(limit)
    catalogue = speech.catalogue()
    if as_json:
        _print_json(
            [
                {
                    "stream": record.stream.value,
                    "key": record.key,
                    "reason": record.reason,
                    "since": iso(record.since),
                    "next_try": iso(record.due_at),
                    "tries": record.tries,
                }
                for record in found
            ]
        )
        return
    if not found:
        click.echo("No record is parked.")
        return
    now = datetime.now(UTC)
    for record in found:
        code = record.reason.partition(":")[0]
        known = code in catalogue.codes
        why = catalogue.render(record.reason).title if known else f"The CRM says: {record.reason}"
        click.echo(f"{record.stream.value} {record.key}, parked {ago(iso(record.since), now)}")
        click.echo(f"  {why}")
        if known and (step := catalogue.render(record.reason).next_step):
            click.echo(f"  Next: {step}")


@journal.command("activity")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1))
@_JSON
@click.pass_obj
def activity(app: App, limit: int, as_json: bool) -> None:
    """What happened lately, the newest first."""
    with visiting(_path(app)) as (_, visitor):
        found = visitor.recent_activity(limit)
    if as_json:
        _print_json(msgspec.to_builtins(found))
        return
    if not found:
        click.echo("Nothing worth a line has happened yet.")
    catalogue = speech.catalogue()
    for line in found:
        facts: dict[str, Fact] = dict.fromkeys(("count", "rows", "columns"), line.count)
        if line.stream is not None:
            facts["stream"] = line.stream.value
        text = catalogue.render(line.code, {**facts, **line.facts})
        click.echo(f"{line.at:%Y-%m-%d %H:%M:%S} UTC  {text.title}")


@journal.command("verify")
@click.option("--anchor", metavar="HEAD", help="The audit head the CRM last received from us.")
@_JSON
@click.pass_obj
def verify(app: App, anchor: str | None, as_json: bool) -> ExitCode:
    """Check structure and audit chain. Exit code 1 when something is wrong."""
    try:
        findings = verify_file(_path(app), anchor)
    except ValueError:
        raise click.BadParameter("not an audit head", param_hint="--anchor") from None
    if as_json:
        _print_json({"holds": not findings, "findings": findings})
    elif findings:
        click.echo("\n".join(verdict(finding) for finding in findings))
    else:
        click.echo("The sync record and its chain of audit entries are whole.")
    return ExitCode.FAILED if findings else ExitCode.OK


@journal.command("backup")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the copies. Default: the agent's own.",
)
@click.option("--keep", default=3, show_default=True, type=click.IntRange(1), help="Copies kept.")
@_JSON
@click.pass_obj
def backup(app: App, into: Path | None, keep: int, as_json: bool) -> None:
    """Make a verified copy. Payloads in it stay sealed."""
    made = backup_file(_path(app), into or app.paths.backup_dir, keep)
    if as_json:
        _print_json({"path": str(made), "bytes": made.stat().st_size})
    else:
        click.echo(f"Copied and verified: {made}")


def verdict(finding: str) -> str:
    """``audit.edited seq=5`` in words."""
    code, *facts = finding.split()
    pairs = (fact.partition("=") for fact in facts)
    given: dict[str, Fact] = {name: value for name, _, value in pairs}
    text = speech.catalogue().render(code, given)
    return f"{text.title} {text.body} [{finding}]"


def _path(app: App) -> Path:
    return app.paths.journal_file(app.settings().journal_dir)


def _parts(path: Path) -> list[Path]:
    sides = (path.with_name(path.name + side) for side in ("", "-wal"))
    return [part for part in sides if part.exists()]


def _print_json(told: object) -> None:
    click.echo(json.dumps(told, indent=2, ensure_ascii=False))
