"""The event stream: numbered, kept for a while, and never in the agent's way.

``publish`` costs the agent a lock and a few queue appends, whatever the clients do. A client that
does not keep up loses events, not the agent's time, and is told which. Imports protocol only.
"""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Collection
from datetime import UTC, datetime

from agent.control.protocol import EVENT, LOST, Event, Lost, Subscribe, note_line

KEPT = 256  # events a client that comes back may still get
QUEUED = 256  # events that wait for one client


class Feed:
    """One client's queue. ``put`` never blocks; ``take`` waits."""

    def __init__(self, kinds: Collection[str] | None, most: int = QUEUED) -> None:
        self._kinds = None if kinds is None else frozenset(kinds)
        self._most = most
        self._queue: deque[bytes] = deque()
        self._lost: tuple[int, int] | None = None
        self._changed = threading.Condition()
        self._closed = False

    def put(self, seq: int, kind: str, line: bytes) -> None:
        if self._kinds is not None and kind not in self._kinds:
            return
        with self._changed:
            # Once something is lost everything is, until the client has been told where.
            if self._lost is not None or len(self._queue) >= self._most:
                first = seq if self._lost is None else self._lost[0]
                self._lost = (first, seq)
            else:
                self._queue.append(line)
            self._changed.notify()

    def take(self) -> bytes | None:
        """The next line to send; None once closed."""
        with self._changed:
            while not (self._queue or self._lost or self._closed):
                self._changed.wait()
            if self._closed:
                return None
            if self._queue:
                return self._queue.popleft()
            first, last = self._lost or (0, 0)
            self._lost = None
            return note_line(LOST, Lost(first, last))

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Events:
    """All feeds of a server, and the numbers."""

    def __init__(self) -> None:
        self.boot = uuid.uuid4().hex[:12]
        self._lock = threading.Lock()
        self._seq = 0
        self._kept: deque[tuple[int, str, bytes]] = deque(maxlen=KEPT)
        self._feeds: set[Feed] = set()

    @property
    def is_watched(self) -> bool:
        """Whether anybody listens: what is costly to find out is found out only then."""
        return bool(self._feeds)

    def publish(self, kind: str, body: object, *, keep: bool = True) -> int:
        """``keep``: worth giving to a client that comes back; a status is not, it is asked anew.

        ControlError("control.too_large") for a body no client would take; it takes no number.
        """
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        with self._lock:
            line = note_line(EVENT, Event(self._seq + 1, kind, at, body))
            self._seq += 1
            if keep:
                self._kept.append((self._seq, kind, line))
            for feed in self._feeds:
                feed.put(self._seq, kind, line)
            return self._seq

    def subscribe(self, wish: Subscribe) -> tuple[Feed, int, bool]:
        """A feed that begins after ``wish.after`` as far as kept; the last number; missed some."""
        feed = Feed(wish.kinds)
        with self._lock:
            missed = False
            if wish.after is not None:
                same = wish.boot == self.boot
                after = wish.after if same else 0
                missed = not same or after > self._seq
                if self._kept and len(self._kept) == KEPT and after < self._kept[0][0] - 1:
                    missed = True
                for seq, kind, line in self._kept:
                    if seq > after:
                        feed.put(seq, kind, line)
            self._feeds.add(feed)
            return feed, self._seq, missed

    def unsubscribe(self, feed: Feed) -> None:
        with self._lock:
            self._feeds.discard(feed)
        feed.close()
