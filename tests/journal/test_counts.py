"""Counts kept row by row in the same transaction equal a recount after any history."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agent.journal.journal import Journal
from agent.journal.rows import Batch, ParkClass, Tier, Urgency
from agent.model.reading import Key
from agent.model.streams import Stream
from tests.journal.conftest import SEAL, content, outgoing, seen, upsert
from tests.journal.oracle import count_findings, query
from tests.support.clock import HandClock

STREAMS = st.sampled_from([Stream.PATIENT, Stream.RECALL])
KEYS = st.lists(st.integers(1, 12), min_size=1, max_size=8)
VERSIONS = st.integers(1, 3)
URGENCIES = st.sampled_from(list(Urgency))


class Histories(RuleBasedStateMachine):
    """Any calls in any order; the engine's good manners are not assumed."""

    @initialize()
    def open(self) -> None:
        self.folder = TemporaryDirectory()
        self.clock = HandClock()
        path = Path(self.folder.name) / "journal.db"
        self.journal = Journal.open(path, seal=SEAL, clock=self.clock)

    def teardown(self) -> None:
        self.journal.close()
        self.folder.cleanup()

    def batches(self) -> list[Batch]:
        return self.journal.due_batches(self.clock.now(), 9, frozenset())

    @rule(stream=STREAMS, keys=KEYS, version=VERSIONS, urgency=URGENCIES, carried=st.booleans())
    def observe(
        self, stream: Stream, keys: list[Key], version: int, urgency: Urgency, carried: bool
    ) -> None:
        with self.journal.turn() as turn:
            number = None
            if carried:
                operations = [upsert(key, version) for key in keys]
                number = turn.enqueue(outgoing(*operations, stream=stream, urgency=urgency)).number
            turn.see(stream, [seen(key, version) for key in keys], number)

    @rule(stream=STREAMS, keys=KEYS, version=VERSIONS)
    def push_again(self, stream: Stream, keys: list[Key], version: int) -> None:
        with self.journal.turn() as turn:
            turn.enqueue(outgoing(*[upsert(key, version) for key in keys], stream=stream))

    @rule(stream=STREAMS, keys=KEYS)
    def vanish(self, stream: Stream, keys: list[Key]) -> None:
        with self.journal.turn() as turn:
            turn.miss(stream, keys)
            turn.bury(stream, keys, None)

    @rule(stream=STREAMS, key=st.integers(1, 14), version=VERSIONS)
    def park(self, stream: Stream, key: Key, version: int) -> None:
        with self.journal.turn() as turn:
            due = self.clock.now()
            turn.park(stream, key, ParkClass.SCHEMA, "r", content(key, version), due)

    @rule(stream=STREAMS, keys=KEYS)
    def release(self, stream: Stream, keys: list[Key]) -> None:
        with self.journal.turn() as turn:
            turn.forget_parked(stream, keys)

    @rule(which=st.integers(0, 1), kept=st.integers(0, 8))
    def settle(self, which: int, kept: int) -> None:
        """Some settled; the rest parked, tried again or left behind by newer content."""
        for batch in self.batches()[which : which + 1]:
            done, rest = batch.operations[:kept], batch.operations[kept:]
            with self.journal.turn() as turn:
                turn.settle(batch, done)
                for operation in rest[::2]:
                    turn.park(
                        batch.stream, operation.key, ParkClass.VALIDATION, "r", operation.hash,
                        self.clock.now(),
                    )  # fmt: skip
                if rest[1::2]:
                    turn.enqueue(outgoing(*rest[1::2], stream=batch.stream))

    @rule(which=st.integers(0, 1))
    def split(self, which: int) -> None:
        for batch in self.batches()[which : which + 1]:
            halves = [batch.operations[0::2], batch.operations[1::2]]
            parts = [outgoing(*half, stream=batch.stream) for half in halves if half]
            with self.journal.turn() as turn:
                turn.replace(batch, parts)

    @rule(stream=STREAMS, keys=st.sets(st.integers(1, 12), max_size=4))
    def plan(self, stream: Stream, keys: set[int]) -> None:
        with self.journal.turn() as turn:
            turn.plan_chunks(stream, sorted(keys), Tier.WARM, self.clock.now())

    @rule(stream=STREAMS, at=st.integers(1, 12), load=st.booleans())
    def divide(self, stream: Stream, at: int, load: bool) -> None:
        with self.journal.turn() as turn:
            for chunk in self.journal.chunks(stream)[:2]:
                if load:
                    turn.chunk_loaded(chunk, chunk.due_at)
                elif isinstance(chunk.hi, int) and (chunk.lo or 0) < at < chunk.hi:  # type: ignore[operator]
                    turn.split_chunk(chunk, at)

    @rule()
    def prune(self) -> None:
        with self.journal.turn() as turn:
            turn.prune(tombstones_before=self.clock.now() + timedelta(1))

    @rule(stream=STREAMS, keys=KEYS)
    def roll_back(self, stream: Stream, keys: list[Key]) -> None:
        try:
            with self.journal.turn() as turn:
                turn.see(stream, [seen(key, 9) for key in keys], None)
                turn.bury(stream, keys[:1], None)
                turn.forget_parked(stream, keys)
                raise KeyError
        except KeyError:
            pass

    @invariant()
    def counts_are_right(self) -> None:
        if hasattr(self, "journal"):
            assert count_findings(self.journal) == []
            strays = "SELECT key FROM record WHERE batch NOT IN (SELECT number FROM batch)"
            assert query(self.journal, strays + " AND batch IS NOT NULL") == []


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
