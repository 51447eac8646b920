"""The seams: protocols the engine speaks to. A leaf beside ``agent.model`` and ``agent.errors``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Protocol, runtime_checkable

from agent.model.commands import (
    CommandOutcome,
    CommandType,
    ConflictReport,
    ContactPage,
    LinkReport,
    Polled,
)
from agent.model.effects import Effect, WriterFacts, Written
from agent.model.metrics import Metric
from agent.model.proof import Basis
from agent.model.reading import (
    Column,
    Digest,
    Hash,
    Key,
    Page,
    Past,
    ServerClock,
    SourceFacts,
    SourceGuard,
    Stamped,
    Tail,
)
from agent.model.streams import Stream
from agent.model.writing import BucketDigest, Change, CrmLimits, Heartbeat, PushReply


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware UTC; shown to people, never compared across machines."""

    def mono(self) -> float:
        """Monotonic seconds; every interval is measured with this."""

    def sleep(self, seconds: float) -> None: ...


class Meter(Protocol):
    """Takes figures where things happen. Labels in the order ``agent.model.metrics`` declares."""

    def count(self, metric: Metric, *labels: str, by: float = 1.0) -> None: ...
    def took(self, metric: Metric, *labels: str, seconds: float) -> None: ...


class _NoMeter:
    """Where nobody measures."""

    def count(self, metric: Metric, *labels: str, by: float = 1.0) -> None: ...
    def took(self, metric: Metric, *labels: str, seconds: float) -> None: ...


UNMEASURED: Meter = _NoMeter()


class SecretStore(Protocol):
    def get(self, name: str) -> str | None: ...
    def set(self, name: str, value: str) -> None: ...
    def delete(self, name: str) -> None: ...


class PmsReader(Protocol):
    """One read-only connection. Not thread-safe: each lane opens its own.

    Every method raises PmsUnavailable, PmsBusy, PmsRefused or PmsDrift. Key ranges are
    ``lo < key <= hi``; None means open-ended. No statement runs longer than the configured limit.
    """

    def clock(self) -> ServerClock: ...
    def guard(self) -> SourceGuard: ...

    def moved(self, tables: Iterable[str]) -> dict[str, str]:
        """A token per table that differs when the table may have changed; "" = cannot tell."""

    def tail(self, marks: Mapping[str, int], limit: int) -> Tail:
        """Read the PMS's own logs above ``marks``. A log without a mark starts at its end."""

    def max_key(self, stream: Stream) -> Key | None: ...
    def keys_after(self, stream: Stream, key: Key | None, limit: int) -> list[Key]: ...

    def keys_since(
        self,
        stream: Stream,
        lane: str,
        since: datetime,
        after: tuple[int, int] | None,
        limit: int,
    ) -> list[Stamped]:
        """Rows with stamp >= since, ordered by (stamp, row), strictly after ``after``."""

    def keys_in_window(
        self, stream: Stream, first: date, last: date, after: Key | None, limit: int
    ) -> list[Key]:
        """Keys of records of the hot window (local dates, inclusive), ascending."""

    def read_range(self, stream: Stream, lo: Key | None, hi: Key | None, limit: int) -> Page: ...
    def read_keys(self, stream: Stream, keys: Sequence[Key]) -> Page:
        """At most 1,000 keys. Keys absent from the page's rows do not exist right now."""

    def past_end(self, stream: Stream) -> Key | None:
        """The newest copy the PMS keeps of records as they were; None where it keeps none."""

    def past(
        self,
        stream: Stream,
        above: Key,
        limit: int,
        *,
        key: Key | None = None,
        patient: Key | None = None,
    ) -> list[Past]:
        """Copies, oldest first: of one record, newer than ``above`` (see ``past_end``); or of a
        patient's records whose own key is above ``above``."""

    def entered(self, stream: Stream, keys: Sequence[Key]) -> dict[Key, bool]:
        """Who entered these records, as far as the PMS's own log says: True a program, False a
        person; not in it: the log does not say."""

    def digest(self, stream: Stream, lo: Key | None, hi: Key | None) -> Digest: ...
    def key_digest(self, stream: Stream, lo: Key | None, hi: Key | None) -> Digest:
        """Count, sum and xor derived from the keys alone (index-only where the engine can)."""

    def nth_key(self, stream: Stream, lo: Key | None, n: int) -> Key | None:
        """The n-th key above ``lo`` (1-based), or None when fewer exist: chunk boundaries."""

    def close(self) -> None: ...


@runtime_checkable
class PollingReader(PmsReader, Protocol):
    """A reader of a source with ``polled`` streams (``StreamFacts``)."""

    def hashes_in_window(self, stream: Stream, first: date, last: date) -> list[Hash]:
        """Key and hash, as a page has them, of every record of these local days, both included."""


class PmsSource(Protocol):
    """A configured PMS. Thread-safe to ``open``."""

    @property
    def kind(self) -> str: ...

    def probe(self) -> SourceFacts: ...

    def bind(self, stream: Stream, columns: Sequence[Column]) -> None:
        """Fix which columns ``read_*`` and ``digest`` cover, in this order."""

    def open(self) -> PmsReader: ...


class CrmPort(Protocol):
    """A CRM. ``push`` is idempotent by ``batch_id``. Raises the Crm* errors."""

    def limits(self) -> CrmLimits: ...
    def pack(self, batch_id: str, changes: Sequence[Change]) -> bytes:
        """The exact body to send for these changes (already compressed); pure."""

    def unpack(self, body: bytes) -> list[Change]:
        """The changes a packed body carries, in order; the inverse of ``pack``."""

    def push(self, batch_id: str, body: bytes) -> PushReply: ...
    def digests(self, stream: Stream, basis: Basis = Basis.KEPT) -> list[BucketDigest]:
        """By bucket, from sums the CRM keeps or from its contents hashed now."""

    def bucket(self, stream: Stream, bucket: int) -> dict[str, str]:
        """key (as text) -> content hash (hex) of every record the CRM holds in the bucket."""

    def heartbeat(self, beat: Heartbeat) -> None: ...
    def close(self) -> None: ...


class CommandPort(Protocol):
    """The CRM's side of the pull. Raises the Crm* errors. Every call may be repeated."""

    def poll(
        self,
        *,
        capabilities: Sequence[CommandType],
        ack: Sequence[str],
        errs: Mapping[str, str],
        most: int,
        wait_s: int,
    ) -> Polled:
        """Lease commands. ``ack``: ids now in the journal; ``errs``: refused id -> reason code.
        Blocks up to ``wait_s``, or until ``wake`` is called from another thread."""

    def wake(self) -> None:
        """End a waiting poll early (stop, pause)."""

    def finish(self, command_id: str, outcome: CommandOutcome) -> None: ...
    def contacts(self, cursor: str | None, limit: int) -> ContactPage:
        """People the CRM holds, changed after ``cursor``; None starts over."""

    def link(self, links: Sequence[LinkReport]) -> None: ...
    def tell_conflicts(self, conflicts: Sequence[ConflictReport]) -> None: ...


class PmsWriter(Protocol):
    """The write path of a PMS. Used from one thread at a time.

    ``write`` raises WriteRefused (certainly not done), WriteUnknown (may have been done), or
    PmsUnavailable (certainly not sent). A second call with the same effect writes a second time:
    the engine probes before it repeats.
    """

    def probe(self) -> WriterFacts: ...
    def write(self, effect: Effect) -> Written: ...
    def close(self) -> None: ...


@runtime_checkable
class HoldingWriter(PmsWriter, Protocol):
    """A writer that writes on the condition that what it replaces is still what it held."""

    def hold(self, effect: Effect) -> None:
        """Remember what stands there now; the next ``write`` of this very effect holds to it.
        Raises as ``write`` does, but never WriteUnknown: nothing is written."""


@runtime_checkable
class LearningWriter(PmsWriter, Protocol):
    """A writer that finds out in use what it may not do, and whose keys may be set anew.

    ``facts``: what it was told last, None before it was. ``settings``: equal for two writers that
    were opened with the same ones; never shown.
    """

    @property
    def facts(self) -> WriterFacts | None: ...
    @property
    def settings(self) -> object: ...
