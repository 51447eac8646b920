"""A journal on the real disk, a clock moved by hand, and short ways to make rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.journal.journal import Journal
from agent.journal.rows import Operation, Outgoing, Seen, Urgency
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.model.writing import Verb
from tests.journal.oracle import structure_findings
from tests.journal.sealing import TestSeal
from tests.support.clock import HandClock

SEAL = TestSeal()
PATIENT = Stream.PATIENT


def content(key: Key, version: int = 1) -> bytes:
    return hashlib.sha256(f"{key}/{version}".encode()).digest()[:16]


def seen(key: Key, version: int = 1, canon: bytes | None = None) -> Seen:
    digest = hashlib.sha256(f"row {key}/{version}".encode()).digest()
    return Seen(
        key,
        content(key, version),
        int.from_bytes(digest[:6], "big"),
        int.from_bytes(digest[8:16], "big", signed=True),
        canon,
    )


def upsert(key: Key, version: int = 1) -> Operation:
    return Operation(key, f"{key}-{version}".encode(), Verb.UPSERT, content(key, version))


def delete(key: Key) -> Operation:
    return Operation(key, f"{key}-gone".encode(), Verb.DELETE, b"")


def outgoing(
    *operations: Operation, stream: Stream = PATIENT, urgency: Urgency = Urgency.LIVE
) -> Outgoing:
    return Outgoing(stream, urgency, b"body " + operations[0].op_id, list(operations))


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent" / "journal.db"


@pytest.fixture
def opened(path: Path, clock: HandClock) -> Iterator[Callable[[], Journal]]:
    """Opens (again); every journal left open is checked for its invariants and closed."""
    journals: list[Journal] = []

    def again() -> Journal:
        for journal in journals:
            journal.close()
        journals.append(Journal.open(path, seal=SEAL, clock=clock))
        return journals[-1]

    yield again
    for journal in journals:
        journal.close()


@pytest.fixture
def journal(opened: Callable[[], Journal]) -> Iterator[Journal]:
    journal = opened()
    yield journal
    if not journal._closed:
        found = [f for f in structure_findings(journal) if "neither agreed" not in f]
        assert found == []
