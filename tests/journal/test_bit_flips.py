"""One bit of the journal's file is flipped, anywhere: it is noticed at the start, by the chain or
by the seal, or it fell on what the sweep proves against the practice again, or on nothing."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from agent.config import PayloadSeal
from agent.errors import AgentError
from agent.journal.journal import Journal
from agent.journal.pulled import CommandState
from agent.journal.rows import Tier
from tests.journal.conftest import PATIENT, outgoing, seen, upsert
from tests.journal.pulling import APPLIED, command, update
from tests.support.clock import HandClock

SEAL = PayloadSeal(b"k" * 32)
FLIPS = 1_000
FATES = ("refused at the start", "found by the chain", "refused when read", "healed", "harmless")
#: what a flip may change unnoticed, and why that loses nothing: mirror rows and their digests are
#: proven against the practice once a rotation (a record that differs is read and sent anew), waits
#: are bounded at every start, the rest is told to people only
HEALED = {
    "record": "the sweep compares it with the practice",
    "chunk": "due times are bounded at every start",
    "tally": "counts for people",
    "activity": "told to people",
    "mark": "logs are read again, the sweep covers the rest",
    "_sqlite_migrations": "when each was made, for people",
}
#: what only orders and dates: of a command the sealed body decides, of the others the rest
BESIDE = {
    "command": {"type", "priority", "received_at", "due_at", "tries", "changed_at"},
    "batch": {"due_at"},
    "effect": {"settled_at"},
}


@pytest.fixture
def whole(path: Path, clock: HandClock) -> Path:
    """A journal with something in every room that matters, closed in order."""
    journal = Journal.open(path, seal=SEAL, clock=clock)
    for number in range(1, 25):
        name = f"c-{number}"
        with journal.turn() as turn:
            batch = turn.enqueue(outgoing(*(upsert(number * 10 + n) for n in range(8))))
            turn.see(PATIENT, [seen(number * 10 + n) for n in range(8)], batch.number)
            turn.plan_chunks(PATIENT, [number * 10], Tier.HOT, clock.now())
            turn.receive(command(name), clock.now())
            effect = turn.intend(
                name.encode(), command_id=name, group=name, effect=update(number),
                before={"phone_mobile": None}, after={"phone_mobile": "+15550100"}, inverse=None,
                floor=None, actor="crm",
            )  # fmt: skip
            if number % 2:
                turn.effect_verified(effect, number)
                turn.command_state(name, CommandState.DONE, outcome=APPLIED)
        clock.advance(1.0)
    journal.close()
    return path


def rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every table's content without what is beside it. Raises what SQLite raises."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        found = {}
        for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            columns = [column for _, column, *_ in db.execute(f"PRAGMA table_info({name})")]
            kept = [c for c in columns if c not in BESIDE.get(name, ())]
            sql = f"SELECT {','.join(kept)} FROM {name}"
            found[name] = sorted(db.execute(sql), key=repr)
        return found
    finally:
        db.close(True)


def open_all(journal: Journal) -> None:
    """Everything sealed is opened, and every word the code knows is read."""
    journal.batches_after(PATIENT, 0, 1_000)
    for row in journal.commands_open():
        journal.effects_of(row.command.command_id)
    journal.commands_recent(100)
    for number in range(1, 30):
        journal.effect(number)


def fate(flipped: Path, clock: HandClock, before: dict[str, list[tuple[object, ...]]]) -> str:
    try:
        changed = {name for name, held in rows(flipped).items() if held != before.get(name)}
    except (apsw.Error, UnicodeDecodeError):
        changed = {"unreadable"}
    try:
        journal = Journal.open(flipped, seal=SEAL, clock=clock)
    except AgentError:
        return "refused at the start"
    try:
        if journal.verify_audit():
            return "found by the chain"
        open_all(journal)
    except Exception:  # whatever refuses to believe it has noticed
        return "refused when read"
    finally:
        journal.close()
    if not changed:
        return "harmless"
    return "healed" if changed <= HEALED.keys() else f"unnoticed in {sorted(changed)}"


def test_a_flipped_bit_is_noticed_or_healed(
    whole: Path,
    tmp_path: Path,
    clock: HandClock,
    opened: Callable[[], Journal],
    record_property: Callable[[str, object], None],
) -> None:
    before, raw = rows(whole), whole.read_bytes()
    chance, fates = random.Random(17), Counter[str]()
    for n in range(FLIPS):
        home = tmp_path / f"flip-{n}"
        shutil.copytree(whole.parent, home)
        at = chance.randrange(len(raw) * 8)
        changed = bytearray(raw)
        changed[at // 8] ^= 1 << at % 8
        (home / whole.name).write_bytes(changed)
        fates[fate(home / whole.name, clock, before)] += 1
        shutil.rmtree(home)
    assert not [name for name in fates if name.startswith("unnoticed")], fates
    record_property("bits flipped", FLIPS)
    for name in FATES:
        record_property(name, fates[name])
    assert all(fates[name] for name in FATES), fates
