"""``bridgework journal``: look at the agent's sync record, prove it, copy it.

Works beside a running agent and disturbs it in nothing. Must not import drivers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import msgspec

from agent.cli.root import App
from agent.errors import ExitCode
from agent.journal.snapshot import backup_file, status_snapshot, verify_file

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
    for name, value in (
        ("file", f"{told['path']} ({told['bytes'] / 1e6:.1f} MB, layout {snapshot.schema})"),
        ("identity", f"{snapshot.uuid}, start {snapshot.epoch}, change {snapshot.lsn}"),
        ("audit head", snapshot.audit_head),
        ("waiting", f"{numbers.pending_operations} in {numbers.pending_batches} batches"),
        ("parked", str(numbers.parked)),
        ("ranges", f"{numbers.chunks}, of these {numbers.chunks_unloaded} not loaded yet"),
        ("backups", ", ".join(told["backups"]) or "none"),
        ("set aside", ", ".join(told["damaged"]) or "none"),
    ):
        click.echo(f"{name:<11} {value}")
    for count in snapshot.streams:
        if count.present or count.gone:
            click.echo(
                f"  {count.stream:<17} {count.present:>9} present {count.agreed:>9} agreed"
                f" {count.waiting:>6} waiting {count.parked:>4} parked {count.gone:>6} gone"
            )


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
        click.echo("\n".join(findings))
    else:
        click.echo("structure and audit chain hold")
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
        click.echo(str(made))


def _path(app: App) -> Path:
    return app.paths.journal_file(app.settings().journal_dir)


def _parts(path: Path) -> list[Path]:
    sides = (path.with_name(path.name + side) for side in ("", "-wal"))
    return [part for part in sides if part.exists()]


def _print_json(told: object) -> None:
    click.echo(json.dumps(told, indent=2, ensure_ascii=False))
