"""What is kept beside the journal's file and outlives it: the anchor of the chain, and a doubt.

A doubt says that SQLite met damage while at work, perhaps where no check looks (an empty index
whose first page became another kind): the next start makes every index anew before it believes.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

log = structlog.get_logger(__name__)


class SideAnchor(msgspec.Struct, frozen=True):
    """The head as last written beside the journal. Never ahead of what the journal committed."""

    uuid: str
    epoch: int
    lsn: int
    seq: int
    head: str


class Sides(Protocol):
    @property
    def is_doubted(self) -> bool: ...

    def read(self) -> SideAnchor | None: ...
    def write(self, anchor: SideAnchor) -> None: ...
    def doubt(self) -> None: ...
    def trust(self) -> None: ...


class SideFiles:
    """Beside the journal's file, as it is in the product."""

    def __init__(self, journal: Path) -> None:
        self.anchor = journal.with_name(journal.name + ".anchor")
        self._doubt = journal.with_name(journal.name + ".doubt")

    def read(self) -> SideAnchor | None:
        """None when there is none or it cannot be read."""
        try:
            return msgspec.json.decode(self.anchor.read_bytes(), type=SideAnchor)
        except (OSError, msgspec.DecodeError):
            return None

    def write(self, anchor: SideAnchor) -> None:
        """Replace the anchor. Called after a commit, so it can lag, never lead.

        Failing (a full disk) costs only strength of evidence, so it is logged and forgotten.
        """
        draft = self.anchor.with_name(self.anchor.name + ".new")
        try:
            draft.touch(mode=0o600)
            with draft.open("wb") as stream:
                stream.write(msgspec.json.encode(anchor))
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(self.anchor)
        except OSError as error:
            log.warning("journal.anchor_not_written", errno=error.errno)
            with contextlib.suppress(OSError):
                draft.unlink()

    @property
    def is_doubted(self) -> bool:
        return self._doubt.exists()

    def doubt(self) -> None:
        """An empty file: it needs no room on a full disk but its name."""
        try:
            self._doubt.touch(mode=0o600)
        except OSError as error:
            log.warning("journal.doubt_not_written", errno=error.errno)

    def trust(self) -> None:
        """What was doubted is mended, or out of the way. An OSError leaves the doubt for the next
        start, which then makes the indexes once more."""
        with contextlib.suppress(OSError):
            self._doubt.unlink(missing_ok=True)
