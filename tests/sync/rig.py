"""One office and one agent in one process: real server, real journal, time moved by hand.

``Office`` writes as the workstations do; its server's time can be moved (the writing session's
``timestamp`` and what the agent's reader is told go together), so that stamps grow old at once.
``Site`` is the agent's half: the engine's own pieces, called one by one instead of by threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import reduce
from hashlib import sha256
from operator import xor
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec
import pymysql

from agent.config import PayloadSeal
from agent.journal.journal import Journal
from agent.journal.rows import Held
from agent.model.proof import Basis
from agent.model.reading import Key, ServerClock
from agent.model.streams import Stream
from agent.model.writing import (
    BucketDigest,
    Change,
    CrmLimits,
    Heartbeat,
    ItemOutcome,
    Outcome,
    PushReply,
    Verb,
)
from agent.sync.datamap import DataMap, load_map
from agent.sync.engine import Engine
from agent.sync.session import Tuning
from agent.sync.sweep import Rotation, Swept
from drivers.base import signed64
from drivers.opendental.session import Login
from drivers.opendental.source import OpenDentalSource
from tests.support.clock import HandClock
from tests.support.mariadb import MariaDb

ZONE = "America/New_York"
PASSWORD = "pencil-7"
READER = "reader"  # SELECT on the practice's database
SEER = "seer"  # sees other connections as well (PROCESS)
MAP = load_map("opendental")
TUNING = Tuning(
    zone=ZONE,
    rotation=Rotation(600.0, 3600.0, 86400.0),
    load_duty=1.0,
    sweep_duty=1.0,
    page_rows=100,
)
Row = tuple[Any, ...]


class MemoryCrm:
    """Stands in for a CRM: a ``CrmPort`` that keeps records in memory and remembers every change.

    Idempotent by batch id and ordered by version, as the contract asks; refuses nothing.
    """

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.rows: dict[tuple[Stream, Key], Change] = {}
        self._replies: dict[str, PushReply] = {}
        self._lock = Lock()

    def limits(self) -> CrmLimits:
        return CrmLimits()

    def pack(self, batch_id: str, changes: Sequence[Change]) -> bytes:
        return msgspec.msgpack.encode(changes)

    def unpack(self, body: bytes) -> list[Change]:
        return msgspec.msgpack.decode(body, type=list[Change])

    def push(self, batch_id: str, body: bytes) -> PushReply:
        with self._lock:
            if batch_id not in self._replies:
                changes = self.unpack(body)
                self._replies[batch_id] = PushReply(tuple(self._apply(c) for c in changes))
            return self._replies[batch_id]

    def _apply(self, change: Change) -> ItemOutcome:
        self.changes.append(change)
        place = (change.stream, change.key)
        known = self.rows.get(place)
        if known is not None and known.version > change.version:
            return ItemOutcome(Outcome.STALE)
        if change.verb is Verb.DELETE:
            self.rows.pop(place, None)
        else:
            self.rows[place] = change
        return ItemOutcome(Outcome.APPLIED)

    def digests(self, stream: Stream, basis: Basis = Basis.KEPT) -> list[BucketDigest]:
        return [
            BucketDigest(
                number,
                len(held),
                sum(int(content[:12], 16) for content in held.values()),
                reduce(xor, (signed64(int(content[16:], 16)) for content in held.values())),
            )
            for number in range(256)
            if (held := self.bucket(stream, number))
        ]

    def bucket(self, stream: Stream, bucket: int) -> dict[str, str]:
        with self._lock:
            held = [
                (str(k), c.content_hash.hex()) for (s, k), c in self.rows.items() if s is stream
            ]
        return {k: h for k, h in held if sha256(k.encode()).digest()[0] == bucket}

    def heartbeat(self, beat: Heartbeat) -> None: ...
    def close(self) -> None: ...

    def record(self, stream: Stream, key: Key) -> dict[str, Any] | None:
        """What the CRM holds of a record now, decoded."""
        change = self.rows.get((stream, key))
        return None if change is None else msgspec.json.decode(change.canon)

    def canons(self, stream: Stream) -> dict[Key, bytes]:
        return {key: change.canon for (s, key), change in self.rows.items() if s is stream}


class Office:
    """The practice's side of one database. ``shift_s``: its server's clock against the true one."""

    def __init__(self, server: MariaDb, database: str, engine: str) -> None:
        self.server = server
        self.database = database
        self.engine = engine
        self.shift_s = 0.0
        self._link = server.connect(database)

    @property
    def is_innodb(self) -> bool:
        return self.engine == "InnoDB"

    def run(self, *statements: str) -> int:
        """Each statement by itself, stamped with the office's time; rows changed by the last."""
        with self._link.cursor() as cursor:
            for statement in statements:
                cursor.execute(self.dated())
                changed = cursor.execute(statement)
            return int(changed)

    def dated(self) -> str:
        """Sets a session's clock to the office's."""
        if not self.shift_s:
            return "SET timestamp=DEFAULT"
        return f"SET timestamp={time.time() + self.shift_s:.6f}"

    def rows(self, sql: str) -> list[Row]:
        with self._link.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def one(self, sql: str) -> Any:
        return self.rows(sql)[0][0]

    def add(self, table: str, **values: object) -> int:
        """A row; columns not named are what a careless writer leaves them. Its key."""
        names = ",".join(f"`{name}`" for name in values)
        with self._link.cursor() as cursor:
            cursor.execute(self.dated())
            marks = ",".join(["%s"] * len(values))
            sql = f"INSERT INTO {table} ({names}) VALUES ({marks})"
            cursor.execute(sql, tuple(values.values()))
            return int(cursor.lastrowid or 0)

    def lowest(self, table: str, key: str) -> int:
        return int(self.one(f"SELECT MIN({key}) FROM {table}"))

    def highest(self, table: str, key: str) -> int:
        return int(self.one(f"SELECT MAX({key}) FROM {table}"))

    def book(self, **values: object) -> int:
        """A visit without any log row."""
        patient = self.lowest("patient", "PatNum")
        row = {"PatNum": patient, "AptStatus": 1, "Pattern": "//XXXX//", "Op": 1, "ProvNum": 1,
               "AptDateTime": "2026-03-02 09:00:00", **values}  # fmt: skip
        return self.add("appointment", **row)

    def write_note(self, **values: object) -> int:
        """A clinical note: a table without stamps."""
        row = {"PatNum": 1, "ProcNum": 1, "EntryDateTime": "2026-03-02 09:00:00", "UserNum": 1,
               "Note": "as planned", "Signature": "", **values}  # fmt: skip
        return self.add("procnote", **row)

    def due_recall(self, **values: object) -> int:
        row = {"PatNum": 1, "RecallTypeNum": 1, "DateDue": "2027-01-05", "Note": "", **values}
        return self.add("recall", **row)

    @contextmanager
    def link(self) -> Iterator[pymysql.cursors.Cursor]:
        """Another workstation's connection: locks, open transactions."""
        with closing(self.server.connect(self.database)) as other, other.cursor() as cursor:
            cursor.execute(self.dated())
            yield cursor

    def until(self, look: Callable[[], object], timeout_s: float = 10.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not look():
            assert time.monotonic() < deadline, "did not happen in time"
            time.sleep(0.005)

    def close(self) -> None:
        self._link.close()


class DatedReader:
    """The real reader, told the office's time, with a hook around every call.

    ``gates=False``: the change gates say "cannot tell", as they do where a site hides them; their
    whole-second tokens follow the true clock and would not keep step with one moved by hand.
    """

    def __init__(self, inner: Any, office: Office, *, gates: bool) -> None:
        self._inner = inner
        self._office = office
        self._gates = gates
        self.before: Callable[[str, tuple[Any, ...]], None] | None = None
        self.after: Callable[[str, tuple[Any, ...]], None] | None = None
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def clock(self) -> ServerClock:
        true: ServerClock = self._call("clock")
        by = timedelta(seconds=self._office.shift_s)
        oldest = None if true.oldest_open is None else true.oldest_open + by
        return ServerClock(true.now + by, oldest)

    def moved(self, tables: Collection[str]) -> dict[str, str]:
        if not self._gates:
            return dict.fromkeys(tables, "")
        found: dict[str, str] = self._call("moved", tables)
        return found

    def __getattr__(self, name: str) -> Any:
        return lambda *args: self._call(name, *args)

    def _call(self, name: str, *args: Any) -> Any:
        self.calls.append((name, args))
        if self.before is not None:
            self.before(name, args)
        found = getattr(self._inner, name)(*args)
        if self.after is not None:
            self.after(name, args)
        return found

    def asked(self, name: str) -> list[tuple[Any, ...]]:
        return [args for called, args in self.calls if called == name]


class Site:
    """An agent at an office, its lanes walked by hand."""

    def __init__(
        self,
        office: Office,
        folder: Path,
        *streams: Stream,
        user: str = READER,
        gates: bool = False,
        tuning: Tuning = TUNING,
        crm: MemoryCrm | None = None,
        clock: Any = None,
    ) -> None:
        self.office = office
        self.clock = clock or HandClock(datetime.now(UTC))
        self.crm = crm or MemoryCrm()
        seal = PayloadSeal(b"k" * 32)
        self.journal = Journal.open(folder / "journal.db", seal=seal, clock=self.clock)
        login = Login(
            port=office.server.port, database=office.database, user=user, password=PASSWORD
        )
        self.source = OpenDentalSource(login, statement_limit_ms=100, zone=ZONE)
        rows = tuple(row for row in MAP.rows if not streams or row.stream in streams)
        self.engine = Engine(
            self.source, self.crm, self.journal, DataMap(rows), self.clock, tuning, lambda: 0.5
        )
        self._gates = gates
        self._readers: list[DatedReader] = []
        self.open()

    # --- life ------------------------------------------------------------------------------------

    def open(self) -> None:
        """(Re)probe: a new session and a new reader."""
        self.engine.reprobe()
        self.session = self.engine._ensure_session()
        self.reader = self.another_reader()

    def another_reader(self) -> DatedReader:
        reader = DatedReader(self.source.open(), self.office, gates=self._gates)
        self._readers.append(reader)
        return reader

    def close(self) -> None:
        for reader in self._readers:
            reader.close()
        self.engine.dispatcher._pool.shutdown()
        self.session.load._reads.shutdown()
        self.journal.close()

    def wait(self, seconds: float) -> None:
        """Time passes for the agent and for the office's server; nothing sleeps."""
        self.clock.advance(seconds)
        self.office.shift_s += seconds

    # --- rungs -----------------------------------------------------------------------------------

    def begin(self) -> None:
        """What the live lane does first: believe the source, fix its marks."""
        assert self.engine._believe(self.reader, self.session)
        self.session.watch.start(self.reader)
        self.session.watching = True

    def load(self) -> None:
        """The whole initial load, sent; afterwards the practice and the CRM agree."""
        if not self.session.watching:
            self.begin()
        with self.sending():
            assert self.session.load.run(self.reader)
        self.tick()
        self.agree()

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Batches leave meanwhile: a load waits when too many do."""
        done = threading.Event()

        def push() -> None:
            while not done.wait(0.001):
                self.engine.dispatcher.dispatch()

        thread = threading.Thread(target=push)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def tick(self) -> int:
        """One round of the live lane, and everything that waits is sent."""
        changed = self.session.watch.tick(self.reader, self.engine.brakes.on)
        self.send()
        self.clock.advance(1.0)  # whatever the live lane paces is due again
        return changed

    def sweep(self, *, all_due: bool = True) -> list[Swept]:
        """Visit every chunk that is due (every chunk at all), as the bulk lane does; send."""
        if all_due:
            with self.journal.turn() as turn:
                turn.due_all_chunks(None)
        swept = []
        streams = [s for s in self.session.maps if s not in self.engine.brakes.on]
        for chunk in self.journal.next_chunks(self.clock.now(), 1000, loaded=True, streams=streams):
            visited = self.session.sweep.visit(self.reader, self.session.maps[chunk.stream], chunk)
            swept.append(visited)
        self.send()
        return swept

    def confirm(self) -> int:
        """The second look at what vanished; how many deletions left."""
        did = self.engine._confirm_disappearances(self.reader, self.session)
        self.send()
        return did

    def send(self) -> None:
        dispatcher = self.engine.dispatcher
        while True:
            left = dispatcher.dispatch()
            while not dispatcher.idle():
                time.sleep(0.0005)
            if not left:
                return

    # --- what is held ----------------------------------------------------------------------------

    def held(self, stream: Stream, key: Key) -> Held | None:
        return self.journal.held(stream, [key]).get(key)

    def record(self, stream: Stream, key: Key) -> dict[str, Any]:
        found = self.crm.record(stream, key)
        assert found is not None, f"the CRM has no {stream} {key}"
        return found

    def has(self, stream: Stream, key: Key) -> bool:
        return (stream, key) in self.crm.rows

    def truth(self, stream: Stream) -> dict[Key, bytes]:
        """What the practice holds now, read by a reader of its own."""
        reader = self.source.open()
        try:
            found: dict[Key, bytes] = {}
            at: Key | None = None
            while True:
                page = reader.read_range(stream, at, None, 1000)
                observed, _ = self.session.maps[stream].observe(page)
                found.update({row.key: row.canon for row in observed})
                if page.exhausted:
                    return found
                at = max(row.key for row in observed)  # type: ignore[type-var]
        finally:
            reader.close()

    def differing(self) -> dict[Stream, list[Key]]:
        """Records the CRM lacks, holds too many, or holds otherwise than the practice."""
        wrong: dict[Stream, list[Key]] = {}
        for stream in self.session.maps:
            here, there = self.truth(stream), self.crm.canons(stream)
            keys = [k for k in {*here, *there} if here.get(k) != there.get(k)]
            if keys:
                wrong[stream] = sorted(keys, key=str)
        return wrong

    def agree(self) -> None:
        wrong = self.differing()
        assert not wrong, wrong


def keys_of(changes: Sequence[Change]) -> list[tuple[Stream, Key, Verb]]:
    return [(change.stream, change.key, change.verb) for change in changes]
