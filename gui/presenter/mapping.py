"""The data map in words, filtered. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from agent.model.mapping import MapLine, MapView
from gui.i18n import Texts

TONES = {"missing": "bad", "renamed": "warn", "retyped": "warn", "mapped": "good"}
SHOWS = ("all", "attention", "site", "both", "carried", "none")
_ATTENTION = frozenset({"missing", "renamed", "retyped"})


def state_text(line: MapLine, texts: Texts) -> str:
    if line.site:
        return texts("map.states.site")
    return texts(f"map.states.{line.state}") if line.state else ""


def state_tone(line: MapLine) -> str:
    return "accent" if line.site else TONES.get(line.state, "soft")


def source_text(line: MapLine) -> str:
    return f"{line.table.partition(':')[0]}.{line.column}" if line.column else ""


def way_text(line: MapLine, texts: Texts) -> str:
    return texts(f"map.ways.{line.way}")


def conflict_text(line: MapLine, texts: Texts) -> str:
    if line.way != "both":
        return ""
    if line.owner == "pms":
        return texts("map.owners.pms")
    return texts(f"map.conflicts.{line.on_conflict}")


def chosen(lines: Sequence[MapLine], words: str, stream: str, show: str) -> list[MapLine]:
    """Rows with every word somewhere in them."""
    sought = words.casefold().split()
    found = []
    for line in lines:
        if stream and line.stream != stream:
            continue
        if not _shows(line, show):
            continue
        named = f"{line.stream} {line.field} {line.table} {line.column}"
        text = f"{named} {line.transform} {line.note}".casefold()
        if all(word in text for word in sought):
            found.append(line)
    return found


def _shows(line: MapLine, show: str) -> bool:
    match show:
        case "attention":
            return line.state in _ATTENTION and (line.way != "none" or bool(line.field))
        case "site":
            return line.site
        case "both":
            return line.way == "both"
        case "none":
            return line.way == "none"
        case "carried":
            return line.way != "none"
    return True


def summary(view: MapView, texts: Texts) -> str:
    """One line: how the map fits this practice."""
    if not view.live:
        return texts("map.not_live", why=texts.message(view.why or "map.not_probed").title)
    readable = sum(cover.readable and not cover.skipped for cover in view.streams)
    parts = [texts("map.fits", n=readable, total=len(view.streams), pms=view.pms)]
    for key in ("missing", "renamed", "retyped", "carried", "strangers", "skipped"):
        n = sum(int(getattr(cover, key)) for cover in view.streams)
        if n:
            parts.append(texts(f"map.counts.{key}", n=n))
    return " ".join(parts)
