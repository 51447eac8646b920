"""``bridgework map check|export``: prove the data map against the live schema, and show it.

Must not import drivers; the practice system is opened through ``agent.runtime``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from agent.cli.render import findings_lines
from agent.cli.root import App
from agent.errors import ConfigError, ExitCode
from agent.model.reading import Finding, Severity, SourceFacts
from agent.support.map_page import page
from agent.sync.datamap import CompiledMap, DataMap
from agent.sync.maprows import as_csv


@click.group(name="map")
def map_() -> None:
    """The data map: what is read from the practice system and where it goes."""


@map_.command()
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.option("--notes", is_flag=True, help="Also list what needs no attention.")
@click.option(
    "--facts",
    "facts_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Check against a saved probe instead of the live system.",
)
@click.option(
    "--save-facts",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Save the probe (schema only, no records) to this file.",
)
@click.pass_obj
def check(
    app: App, as_json: bool, notes: bool, facts_file: Path | None, save_facts: Path | None
) -> ExitCode:
    """Hold the map against the practice system's live schema.

    Says which columns are missing, renamed, retyped or unknown to the map. Exit codes: 0 every
    stream can be read, 1 some stream cannot, 2 the map is wrong, 3 practice system unreachable.
    """
    from agent.runtime.sources import site_map

    settings = app.settings()
    datamap = site_map(settings)
    facts = _probe(app) if facts_file is None else _read_facts(facts_file)
    if save_facts is not None:
        save_facts.write_bytes(msgspec.json.format(msgspec.json.encode(facts)))
    compiled = datamap.compile(
        facts,
        zone=settings.practice.zone or facts.zone or "UTC",
        carry_unknown=settings.map.carry_unknown,
    )
    is_bad = any(finding.severity is Severity.ERROR for finding in compiled.findings)
    if as_json:
        click.echo(_as_json(datamap, facts, compiled))
    else:
        click.echo("\n".join(_report(datamap, facts, compiled, notes=notes)))
    return ExitCode.FAILED if is_bad else ExitCode.OK


@map_.command()
@click.option("--format", "kind", type=click.Choice(["csv", "html"]), default="csv")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Default: the screen.")
@click.pass_obj
def export(app: App, kind: str, out: Path | None) -> None:
    """The map in force, with this site's changes: CSV to edit, or a page to read."""
    from agent.runtime.sources import site_map

    datamap = site_map(app.settings())
    text = page(datamap) if kind == "html" else as_csv(datamap.rows)
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise ConfigError("map.unreadable_file", file=out.name, why=error.strerror) from None
    click.echo(f"{len(datamap.rows)} rows written to {out}")


def _probe(app: App) -> SourceFacts:
    from agent.runtime.sources import open_source

    return open_source(app.settings(), app.secrets()).probe()


def _read_facts(path: Path) -> SourceFacts:
    try:
        return msgspec.json.decode(path.read_bytes(), type=SourceFacts)
    except OSError as error:
        raise ConfigError("map.unreadable_file", file=path.name, why=error.strerror) from None
    except msgspec.DecodeError:
        raise ConfigError("map.unreadable_file", file=path.name, why="not a saved probe") from None


def _as_json(datamap: DataMap, facts: SourceFacts, compiled: CompiledMap) -> str:
    body = {
        "pms": {"kind": facts.kind, "version": facts.version, "server": facts.server},
        "streams": {
            stream.value: {
                "readable": stream in compiled.streams,
                "columns": [
                    f"{column.table}.{column.name}" for column in compiled.streams[stream].columns
                ]
                if stream in compiled.streams
                else [],
            }
            for stream in datamap.streams
        },
        "findings": compiled.findings,
    }
    return msgspec.json.format(msgspec.json.encode(body)).decode()


def _report(
    datamap: DataMap, facts: SourceFacts, compiled: CompiledMap, *, notes: bool
) -> Sequence[str]:
    lines = [" ".join(filter(None, (facts.kind, facts.version, "on", facts.server))), ""]
    wide = max(15, *(len(datamap.base_of(stream).real) + 1 for stream in datamap.streams))
    lines.append(f"  {'stream':<17}{'table':<{wide}}{'columns':>8}{'fields':>8}")
    counts = _by_stream(compiled.findings)
    for stream in datamap.streams:
        base = datamap.base_of(stream)
        mapped = compiled.streams.get(stream)
        fields = sum(row.is_mapped for row in datamap.of(stream))
        lines.append(
            f"  {stream.value:<17}{base.real:<{wide}}{len(mapped.columns) if mapped else '-':>8}"
            f"{fields:>8}  {counts.get(stream.value, '') if mapped else 'CANNOT BE READ'}".rstrip()
        )
    shown = [f for f in compiled.findings if notes or f.severity is not Severity.NOTE]
    if shown:
        lines += ["", *findings_lines(shown)]
    hidden = len(compiled.findings) - len(shown)
    if hidden:
        lines += ["", f"  {hidden} notes need no attention; --notes lists them."]
    unreadable = len(datamap.streams) - len(compiled.streams)
    verdict = (
        "Every stream can be read."
        if not unreadable
        else f"{unreadable} of {len(datamap.streams)} streams cannot be read."
    )
    return [*lines, "", verdict]


_SHORT = {
    "map.column_missing": "missing",
    "map.column_renamed": "renamed?",
    "map.column_retyped": "retyped",
    "map.column_carried": "carried",
    "map.column_withheld": "withheld",
    "map.column_unsure": "to look at",
}


def _by_stream(findings: Sequence[Finding]) -> dict[str, str]:
    """ "2 missing, 1 carried" by stream."""
    counted: dict[str, dict[str, int]] = {}
    for finding in findings:
        word = _SHORT.get(finding.code)
        if word is not None:
            of_stream = counted.setdefault(str(finding.facts["stream"]), {})
            of_stream[word] = of_stream.get(word, 0) + 1
    return {
        stream: ", ".join(f"{number} {word}" for word, number in words.items())
        for stream, words in counted.items()
    }
