"""The fallback's rooms from what the host has; or from a journal alone, where no agent runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from agent.config import Paths, Settings
from agent.config.secrets import Secrets
from agent.crm.wire import Packer
from agent.csvio.heads import fold
from agent.errors import AgentError
from agent.journal.journal import Journal
from agent.journal.reads import Reads
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.ports import Clock, PmsSource
from agent.runtime.fallback.counter import Counter, Help
from agent.runtime.fallback.exporting import Exporting
from agent.runtime.fallback.files import Files
from agent.runtime.fallback.ground import Ground
from agent.runtime.fallback.importing import Importing
from agent.runtime.fallback.jobs import Jobs
from agent.runtime.helping import build_help
from agent.runtime.sources import site_map
from agent.support.messages import Catalogue
from agent.sync.datamap import DataMap
from agent.sync.merge import FieldRule, rules_of
from agent.sync.session import Session
from agent.sync.twoway import TwoWay

_READ_ROWS = 200
_NAMED = {Stream.OPERATORY: "operatory", Stream.PROVIDER: "provider"}


class LivePractice:
    """Records read from the practice system through the running session; gently, a page at a time.

    ``source`` None: no agent runs, and only what the journal keeps can be given.
    """

    def __init__(
        self, datamap: DataMap, source: PmsSource | None, session: Callable[[], Session | None]
    ) -> None:
        self._source = source
        self._session = session
        self._kept = {row.stream for row in datamap.rows if row.direction.value == "both"}

    def keeps(self, stream: Stream) -> bool:
        return stream in self._kept

    def pages(self, stream: Stream) -> Iterator[Sequence[tuple[Key, bytes]]]:
        session = self._session()
        if self._source is None or session is None:
            raise AgentError("sheet.needs_practice", stream=stream.value)
        mapped = session.maps.get(stream)
        if mapped is None:
            raise AgentError("sheet.not_read", stream=stream.value)
        with closing(self._source.open()) as reader:
            last: Key | None = None
            while True:
                page = reader.read_range(stream, last, None, _READ_ROWS)
                found, _ = mapped.observe(page)
                yield [(seen.key, seen.canon) for seen in found]
                if page.exhausted or page.last is None:
                    return
                last = page.last

    def some(self, stream: Stream, keys: Sequence[Key]) -> list[tuple[Key, bytes]]:
        """Records of these keys."""
        session = self._session()
        mapped = session.maps.get(stream) if session is not None else None
        if self._source is None or mapped is None:
            raise AgentError("sheet.needs_practice", stream=stream.value)
        with closing(self._source.open()) as reader:
            found, _ = mapped.observe(reader.read_keys(stream, keys))
        return [(seen.key, seen.canon) for seen in found]

    def places(self) -> dict[tuple[str, str], str]:
        """Operatories and providers by name; {} where the practice cannot be asked."""
        found: dict[tuple[str, str], str] = {}
        for stream, kind in _NAMED.items():
            try:
                rows = [row for page in self.pages(stream) for row in page]
            except AgentError:
                continue
            for key, canon in rows:
                fields: dict[str, Any] = msgspec.json.decode(canon)
                names = [fields.get("name"), fields.get("abbr")]
                if fields.get("last_name"):
                    names += [
                        fields["last_name"],
                        f"{fields.get('first_name') or ''} {fields['last_name']}",
                        f"Dr. {fields['last_name']}",
                    ]
                for name in names:
                    if name:
                        found.setdefault((kind, fold(str(name))), str(key))
        return found


def build_counter(
    settings: Settings,
    paths: Paths,
    secrets: Secrets,
    journal: Reads,
    clock: Clock,
    *,
    source: PmsSource | None = None,
    session: Callable[[], Session | None] = lambda: None,
    twoway: TwoWay | None = None,
    report: Callable[[], Any],
    folder: Path | None = None,
) -> Counter:
    """With ``twoway`` and a Journal a file can be brought in. ``folder``: of files under way."""
    datamap = site_map(settings)
    catalogue = Catalogue.load(settings.practice.language or "en")
    files, jobs = Files(folder or paths.handoff_dir), Jobs()
    practice = LivePractice(datamap, source, session)

    def zone() -> str:
        held = session()
        return settings.practice.zone or (held.facts.zone if held is not None else "UTC")

    def rules(stream: Stream) -> dict[str, FieldRule]:
        return rules_of(datamap.rows, stream, journal.policies())

    def ground() -> Ground:
        twin = twoway.people.twin_of if twoway is not None else None
        return Ground(journal, rules, twin, practice.places())

    def say(code: str, facts: Mapping[str, Any]) -> str:
        text = catalogue.render(code, facts)
        return " ".join(part for part in (text.title, text.next_step) if part)

    can_write = isinstance(journal, Journal) and twoway is not None
    importing = Importing(
        files,
        journal,
        clock,
        zone=zone,
        ground=ground,
        turn=journal.turn if isinstance(journal, Journal) and can_write else None,
        wake=twoway.apply.wake if twoway is not None else lambda: None,
    )
    packer = Packer()
    exporting = Exporting(files, journal, clock, zone, packer.unpack, practice)
    help_: Help = build_help(settings, paths, secrets, journal, files, report)
    return Counter(journal, files, jobs, exporting, importing, help_, say)
