"""The document as text, from the scoreboard and what the lanes have kept. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from tests.artefact import Artefact, Figure
from tests.reliability.scoreboard import SCOREBOARD, Row

NOT_MEASURED = "not measured"
_HEAD = """\
# Reliability

Made by `python -m tests.reliability` from the files under `tests/artefacts/`, which the lanes write
when they are run with `--keep`. No figure here is typed by hand. What no lane has kept says so.
"""


def document(artefacts: Mapping[str, Artefact]) -> str:
    lines = [_HEAD, "## Scoreboard", ""]
    lines += _table(
        ("figure", "measured", "target", "what others publish", "lane"),
        [
            (row.figure, ours(row, artefacts), row.target, row.others, _source(row, artefacts))
            for row in SCOREBOARD
        ],
    )
    lines += ["", "## Lanes", ""]
    lines += _table(
        ("lane", "command", "seeds", "commit", "date", "took", "machine"),
        [_lane(artefacts[name]) for name in sorted(artefacts)],
    )
    lines += ["", "## Every figure kept", ""]
    for name in sorted(artefacts):
        lines += [f"### {name}", ""]
        lines += _table(
            ("figure", "value"),
            [(figure, spelled(value)) for figure, value in artefacts[name].figures.items()],
        )
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def ours(row: Row, artefacts: Mapping[str, Artefact]) -> str:
    """What the lanes say of a row; parts that lack a figure are left out."""
    said = []
    for part in row.ours:
        held = artefacts.get(part.lane)
        if held is None:
            continue
        spelt = {name: spelled(figure) for name, figure in held.figures.items()}
        try:
            said.append(part.text.format_map(spelt))
        except KeyError:
            continue
    return "; ".join(said) or NOT_MEASURED


def spelled(figure: Figure) -> str:
    value = figure.value
    number = f"{value:,}" if isinstance(value, int) or not value.is_integer() else f"{value:,.0f}"
    return f"{number} {figure.unit}".rstrip()


def _source(row: Row, artefacts: Mapping[str, Artefact]) -> str:
    """Which lane, seeds, commit and day; the command stands in the table of lanes."""
    lanes = dict.fromkeys(part.lane for part in row.ours)
    held = [artefacts[lane] for lane in lanes if lane in artefacts]
    if ours(row, artefacts) == NOT_MEASURED:
        return ""
    return "; ".join(f"{one.lane} ({_seeds(one)}{one.commit}, {one.date})" for one in held)


def _seeds(one: Artefact) -> str:
    if one.seeds is None:
        return ""
    first, last = one.seeds
    return f"seed {first}, " if first == last else f"seeds {first:,}-{last:,}, "


def _lane(one: Artefact) -> tuple[str, ...]:
    seeds = _seeds(one).removesuffix(", ").removeprefix("seeds ").removeprefix("seed ")
    took = f"{one.seconds:,.0f} s"
    return one.lane, f"`{one.command}`", seeds, one.commit, one.date, took, one.machine


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    return [_row(head), _row(("---",) * len(head)), *map(_row, rows)]


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
