"""The support bundle: what support needs to see, and nothing of a patient.

Parts are added one by one, each put through ``scrub``; the manifest says what is in it, why, what
was done to it and its SHA-256. ``preview`` tells the same without making a file. Nothing is ever
read from the journal's sealed columns.
"""

from __future__ import annotations

import hashlib
import platform
import sys
import zipfile
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from agent import __version__
from agent.model.helping import BundlePart
from agent.support.logread import log_files
from agent.support.logview import parse_line
from agent.support.programs import shareable
from agent.support.redaction import is_event_name
from agent.support.scrub import Pseudonyms, Scrub, scrub_note

MOST_LOG_BYTES = 20_000_000
MOST_SCREENSHOT = 8_000_000
KEPT = timedelta(days=7)
_PNG = b"\x89PNG\r\n\x1a\n"
_SCRUBBED = "ids, hosts and accounts as pseudonyms; free text masked"


class Bundle:
    """Made once for a preview or a file. ``codes``: of the message catalogue."""

    def __init__(self, codes: Collection[str], salt: bytes | None = None) -> None:
        self._scrub = Scrub(Pseudonyms(salt), codes)
        self._parts: list[tuple[BundlePart, bytes]] = []
        self.trouble: list[str] = []  # parts that could not be made, with the error's type

    @property
    def parts(self) -> tuple[BundlePart, ...]:
        return tuple(part for part, _ in self._parts)

    def tree(self, name: str, why: str, make: Callable[[], Any]) -> None:
        """A part of names and values. What cannot be made is noted and left out."""
        try:
            told = self._scrub.value("", msgspec.to_builtins(make()))
            self._add(name, why, msgspec.json.format(msgspec.json.encode(told)), (_SCRUBBED,))
        except Exception as error:  # noqa: BLE001 - a bundle is wanted when things are broken
            self.trouble.append(f"{name}: {type(error).__name__}")

    def settings(self, told: Sequence[Mapping[str, Any]]) -> None:
        """``told``: name, value, default, origin, secret, is_set of each setting."""
        shown = []
        for one in told:
            line = {"setting": one["name"], "origin": str(one["origin"])}
            if one["secret"]:
                line["state"] = "set" if one["is_set"] else "unset"
            elif one["value"] == one["default"] or not isinstance(one["value"], str):
                line["value"] = one["value"]
            else:
                line["value"] = one["value"] if one["choice"] else "[changed]"
            shown.append(line)
        text = msgspec.json.format(msgspec.json.encode(shown))
        self._add(
            "settings.json", "which settings differ from the defaults", text,
            ("secrets only as set or unset", "free text only where it is the default"),
        )  # fmt: skip

    def programs(self, antivirus: Sequence[str], drivers: Sequence[str]) -> None:
        """``antivirus``: our own names of products; ``drivers``: as the system lists them."""
        told = {"antivirus": list(antivirus), "odbc_drivers": shareable(drivers)}
        text = msgspec.json.format(msgspec.json.encode(told))
        self._add(
            "programs.json", "antivirus at work, and the ODBC drivers there are", text,
            ("antivirus by its processes", "of drivers only makers' words and versions"),
        )  # fmt: skip

    def logs(self, folder: Path, days: int, now: datetime) -> None:
        """Lines of the last ``days`` days, newest files first, up to a size."""
        oldest = f"{now - timedelta(days=days):%Y-%m-%dT%H:%M:%S}"
        left = MOST_LOG_BYTES
        for source, path in log_files(folder):
            kept, dropped = [], 0
            try:
                content = path.read_bytes()[-left:] if left > 0 else b""
            except OSError as error:
                self.trouble.append(f"{path.name}: {type(error).__name__}")
                continue
            for text in content.split(b"\n"):
                line = self._log_line(text, oldest)
                if line is None:
                    dropped += bool(text.strip())
                elif line:
                    kept.append(line)
            left -= len(content)
            if kept:
                self._add(
                    f"logs/{path.name}", f"what the {source} did", b"\n".join(kept) + b"\n",
                    (_SCRUBBED, "lines that are none of ours left out", f"{dropped} left out"),
                )  # fmt: skip

    def note(self, text: str) -> None:
        if text.strip():
            content = scrub_note(text.strip())[:10_000].encode()
            rules = ("e-mail addresses, numbers, dates, tokens and passwords masked",)
            self._add("note.txt", "what the person wrote", content, rules)

    def screenshot(self, png: bytes) -> None:
        """As the person chose it; no program can tell what is on it."""
        if not png.startswith(_PNG) or len(png) > MOST_SCREENSHOT:
            self.trouble.append("screenshot.png: not a picture")
            return
        self._add("screenshot.png", "the window, as the person chose to add", png,
                  ("not checked: look at it before you send it",))  # fmt: skip

    def write(self, path: Path) -> None:
        manifest = {
            "made_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "agent_version": __version__,
            "files": [
                {
                    "file": part.name,
                    "why": part.why,
                    "bytes": part.size,
                    "rules": list(part.rules),
                    "sha256": hashlib.sha256(content).hexdigest(),
                }
                for part, content in self._parts
            ],
            "left_out": self.trouble,
        }
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr(
                "manifest.json", msgspec.json.format(msgspec.json.encode(manifest), indent=2)
            )
            for part, content in self._parts:
                file.writestr(part.name, content)

    def _add(self, name: str, why: str, content: bytes, rules: tuple[str, ...]) -> None:
        self._parts.append((BundlePart(name, why, len(content), rules), content))

    def _log_line(self, text: bytes, oldest: str) -> bytes | None:
        """None: not a line of ours; b"": too old."""
        line = parse_line(text, "") if text.strip() else None
        if line is None or not is_event_name(line.event):
            return None
        if line.at < oldest:
            return b""
        told = {
            "timestamp": self._scrub.value("at", line.at),
            "level": self._scrub.value("level", line.level),
            "event": line.event,
            "logger": self._scrub.value("logger", line.topic),
            **{
                name: value
                for name, value in self._scrub.value("", line.facts).items()
                if name != "field"
            },
        }
        return msgspec.json.encode(told)


def environment() -> dict[str, Any]:
    """Of the computer, without its name or anybody's."""
    import psutil

    memory = psutil.virtual_memory()
    return {
        "system": platform.system(),
        "version": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "frozen": bool(getattr(sys, "frozen", False)),
        "agent_version": __version__,
        "memory_bytes": memory.total,
        "free_bytes": memory.available,
        "cpu_count": psutil.cpu_count() or 0,
        "started_at": f"{datetime.fromtimestamp(psutil.boot_time(), UTC):%Y-%m-%dT%H:%M:%SZ}",
        "zone": str(datetime.now().astimezone().tzinfo or ""),
    }


def drop_old(folder: Path, now: datetime) -> int:
    """Bundles older than a week go; how many went."""
    gone = 0
    for path in folder.glob("bridgework-bundle-*.zip"):
        if now.timestamp() - path.stat().st_mtime > KEPT.total_seconds():
            path.unlink(missing_ok=True)
            gone += 1
    return gone
