"""The activity in the user's words, and what a search in them means for the agent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from agent.model.activity import ActivityLine, Direction, ListActivity, Outcome, kind_of
from agent.model.streams import Stream
from gui.i18n import Texts

TONES = {
    Outcome.DONE: "good",
    Outcome.WAITS: "warn",
    Outcome.REFUSED: "bad",
    Outcome.NOTICE: "",
}


@dataclass(frozen=True, slots=True)
class ActivityRow:
    """A line of the list. ``keys``: the practice's numbers, for the tooltip and the export."""

    number: int
    when: str
    what: str
    way: str
    outcome: str
    tone: str
    keys: str


def activity_row(line: ActivityLine, now: datetime, texts: Texts) -> ActivityRow:
    way, outcome = kind_of(line.code)
    return ActivityRow(
        number=line.number,
        when=texts.when(line.at, now),
        what=sentence(line, texts),
        way=texts(f"activity.way.{way.value}"),
        outcome=texts(f"activity.outcome.{outcome.value}"),
        tone=TONES[outcome],
        keys=str(line.facts.get("keys", "")).strip(),
    )


def sentence(line: ActivityLine, texts: Texts) -> str:
    """``Sent 37 appointments to the CRM``; the catalogue's words where the window has none."""
    key = f"activity.line.{line.code}"
    what = ""
    if line.stream is not None:
        what = texts(f"streams.{line.stream.value}", n=line.count)
    facts = {"count": line.count, "what": what, **line.facts}
    if line.code.startswith("command."):
        facts["type"] = command_word(str(line.facts.get("type", "")), texts)
        reason = str(line.facts.get("reason", ""))
        facts["why"] = reason_word(reason, texts) if reason else ""
    if texts.has(key):
        return " ".join(texts(key, **facts).split())
    title = texts.message(line.code, facts).title
    return f"{title} ({texts.number(line.count)} {what})" if what else title


def command_word(kind: str, texts: Texts) -> str:
    key = f"activity.command.{kind.replace('.', '_')}"
    return texts(key) if texts.has(key) else kind.replace("_", " ").replace(".", " ")


def reason_word(reason: str, texts: Texts) -> str:
    key = f"activity.reason.{reason}"
    return texts(key) if texts.has(key) else reason.replace("_", " ")


# --- filters -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Filters:
    """What a person chose above the list; empty fits everything."""

    stream: Stream | None = None
    way: Direction | None = None
    outcome: Outcome | None = None
    search: str = ""


def wish_of(filters: Filters, codes: Iterable[str], texts: Texts) -> ListActivity:
    """A number searched for is a record's; words are looked for in what the lines say.

    ``codes``: those a line may have, so that the agent need not know our words.
    """
    words = filters.search.strip()
    is_key = words.isdigit()
    fitting: tuple[str, ...] | None = None
    streams: tuple[Stream, ...] = (filters.stream,) if filters.stream is not None else ()
    if words and not is_key:
        fitting, streams = _fitting(words, streams, codes, texts)
    return ListActivity(
        streams=streams,
        directions=(filters.way,) if filters.way is not None else (),
        outcomes=(filters.outcome,) if filters.outcome is not None else (),
        codes=fitting,
        key=words if is_key else "",
    )


def _fitting(
    words: str, streams: tuple[Stream, ...], codes: Iterable[str], texts: Texts
) -> tuple[tuple[str, ...] | None, tuple[Stream, ...]]:
    """``appointments`` names a stream, ``refused`` lines of some codes."""
    sought = words.casefold()
    if not streams:
        named = tuple(s for s in Stream if sought in texts(f"streams.{s.value}.title").casefold())
        if named:
            return None, named
    return tuple(code for code in codes if sought in _all_words(code, texts).casefold()), streams


def _all_words(code: str, texts: Texts) -> str:
    line = ActivityLine(0, datetime.min, code, None, 0)  # noqa: DTZ901 - shows no time
    return f"{code} {sentence(line, texts)}"


# --- export --------------------------------------------------------------------------------------


def export_header(texts: Texts) -> list[str]:
    names = ("time", "what", "way", "outcome", "count", "keys")
    return [texts(f"activity.column.{name}") for name in names]


def export_row(line: ActivityLine, texts: Texts) -> list[str]:
    """Times with their zone; no cell is a formula to a spreadsheet (ours begin with letters)."""
    way, outcome = kind_of(line.code)
    return [
        line.at.astimezone().isoformat(timespec="seconds"),
        sentence(line, texts),
        texts(f"activity.way.{way.value}"),
        texts(f"activity.outcome.{outcome.value}"),
        str(line.count),
        str(line.facts.get("keys", "")).strip(),
    ]
