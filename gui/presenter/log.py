"""A line of the log for a person who reads logs."""

from __future__ import annotations

from datetime import datetime

from agent.model.activity import LogLine

TONES = {"debug": "soft", "info": "", "warning": "warn", "error": "bad"}
MARKS = {"debug": "·", "info": "·", "warning": "!", "error": "✕"}
# topic as the log names it (a module of ours) -> key of its name
TOPICS = {
    "agent.sync": "sync",
    "agent.crm": "crm",
    "drivers": "practice",
    "agent.journal": "journal",
    "agent.runtime": "runtime",
    "agent.control": "control",
}


def local_time(line: LogLine) -> str:
    """``29 Nov 14:05:11.204`` on this computer's clock; as written where it is no time."""
    try:
        moment = datetime.fromisoformat(line.at).astimezone()
    except ValueError:
        return line.at
    return f"{moment:%d %b %H:%M:%S}.{moment.microsecond // 1000:03}"


def topic(line: LogLine) -> str:
    return line.topic.removeprefix("agent.")


def details(line: LogLine) -> str:
    """``rows=12 stream=patient``"""
    return "  ".join(f"{name}={_spelled(value)}" for name, value in line.facts.items())


def spelled(line: LogLine) -> str:
    """The whole line as text, for the clipboard; time in UTC as written."""
    parts = (line.at, f"{line.level:<7}", line.topic, line.event, details(line))
    return "  ".join(part for part in parts if part)


def _spelled(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)
