"""A small but whole pull path over the real journal: a CRM's queue, an agent, a PMS that counts.

The PMS is deliberately dumb: it does what it is told each time it is told, keeps a ledger of every
write that took effect, and never deduplicates. It also refuses, swallows answers, loses writes and
says yes without doing. So an effect done twice, an outcome without an effect, a write without a
durable intent or an outcome that never arrives shows on a ledger. ``PullWorld`` survives crashes;
``PullPath`` does not. Nothing here is the product's engine; the turns are the rules being tested.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import msgspec

from agent.journal.journal import Journal, Turn
from agent.journal.pulled import CommandRow, CommandState, EffectRow, EffectState
from agent.journal.rows import Seen
from agent.model.commands import Command, CommandOutcome, CommandType, EndState, Reason, Target
from agent.model.effects import Effect, EffectKind, WriteRefused, WriteUnknown, Written
from agent.model.streams import Stream
from tests.support.clock import HandClock
from tests.support.faultfs import FaultDisk

STREAM = Stream.PATIENT
APPLIED = CommandOutcome(state=EndState.APPLIED)
REFUSED = CommandOutcome(state=EndState.REJECTED, reason_code=Reason.VALIDATION_FAILED)
NOT_KEPT = CommandOutcome(state=EndState.REJECTED, reason_code=Reason.POLICY_BLOCKED)
UNKNOWN = CommandOutcome(state=EndState.UNKNOWN)

Fields = dict[str, Any]


def _update(name: str, key: int, phone: str) -> Command:
    return Command(
        command_id=name,
        type=CommandType.PATIENT_UPDATE,
        created_at="2026-03-02T08:00:00Z",
        target=Target(type="patient", key=str(key)),
        payload={"fields": {"phone": phone}},
    )


def _create(name: str, text: str) -> Command:
    return Command(
        command_id=name,
        type=CommandType.COMMLOG_APPEND,
        created_at="2026-03-02T08:00:00Z",
        payload={"note": text},
    )


# Name -> (command, how many writes of it take effect, how it ends). "back" sets what "change" had
# replaced; "append" adds a row like one that is there already.
SCRIPT: dict[str, tuple[Command, int, CommandOutcome]] = {
    "append": (_create("append", "called, no answer"), 1, APPLIED),
    "change": (_update("change", 1, "555-0101"), 1, APPLIED),
    "back": (_update("back", 1, "555-0001"), 1, APPLIED),
    "refused": (_update("refused", 2, "refused"), 0, REFUSED),
    "swallowed": (_create("swallowed", "answer swallowed"), 1, APPLIED),
    "lost": (_create("lost", "lost once"), 1, APPLIED),
    "ignored": (_update("ignored", 3, "ignored"), 0, NOT_KEPT),
    "third": (_update("third", 4, "overwritten"), 1, NOT_KEPT),
}


class Pms:
    """Rows and a ledger of effects. Its truth never rolls back."""

    def __init__(self, disk: FaultDisk) -> None:
        self.disk = disk
        self.rows: dict[int, Fields] = {key: {"phone": f"555-000{key}"} for key in range(1, 6)}
        self.rows[6] = {"note": "called, no answer"}  # somebody wrote just that before
        self.ledger: Counter[tuple[str, str]] = Counter()
        self.lost_once = False
        self.strangers = 0

    def write(self, effect: Effect) -> Written:
        self.disk.boundary("pms:send")
        [(field, value)] = effect.fields.items()
        if value == "refused":
            self.disk.boundary("pms:answer")
            raise WriteRefused(Reason.VALIDATION_FAILED)
        if value == "lost once" and not self.lost_once:
            self.lost_once = True
            raise WriteUnknown
        key = max(self.rows) + 1 if effect.key is None else int(effect.key)
        if value != "ignored":
            self.rows.setdefault(key, {})[field] = value
            self.ledger[field, value] += 1
        if value == "overwritten":
            self.rows[key][field] = "555-9999"  # a person at the desk, a moment later
        self.disk.boundary("pms:done")
        if value == "answer swallowed":
            raise WriteUnknown
        self.disk.boundary("pms:answer")
        return Written(key)

    def live(self) -> None:
        """What the front desk does while the agent is dead: a row of its own, another's phone."""
        self.strangers += 1
        self.rows[max(self.rows) + 1] = {"note": f"by hand {self.strangers}"}
        self.rows[5]["phone"] = f"555-1{self.strangers:03}"


class Crm:
    """A queue that delivers until acknowledged, twice over, and remembers every outcome told."""

    def __init__(self, disk: FaultDisk) -> None:
        self.disk = disk
        self.queue = {name: command for name, (command, _, _) in SCRIPT.items()}
        self.acked: set[str] = set()
        self.told: dict[str, list[CommandOutcome]] = {name: [] for name in SCRIPT}

    def poll(self, ack: list[str]) -> list[Command]:
        self.disk.boundary("net:poll")
        self.acked |= set(ack)
        waiting = [c for name, c in self.queue.items() if name not in self.acked]
        self.disk.boundary("net:commands")
        return [*waiting, *waiting[:1]]  # one of them twice

    def finish(self, command_id: str, outcome: CommandOutcome) -> None:
        self.disk.boundary("net:outcome")
        if not self.told[command_id] or self.told[command_id][-1] != outcome:
            self.told[command_id].append(outcome)
        self.disk.boundary("net:thanks")


class PullWorld:
    """What a crash of the agent does not touch."""

    def __init__(self, disk: FaultDisk) -> None:
        self.disk = disk
        self.pms = Pms(disk)
        self.crm = Crm(disk)
        self.clock = HandClock()
        self.epochs: list[int] = []


def op_id(command: Command) -> bytes:
    return hashlib.sha256(command.command_id.encode()).digest()[:16]


def hash_of(fields: Fields) -> bytes:
    return hashlib.sha256(msgspec.json.encode(fields, order="sorted")).digest()[:16]


class PullPath:
    """The agent's pull. Every step is one decision; a restart begins with ``recover``."""

    def __init__(self, world: PullWorld, journal: Journal) -> None:
        self.world, self.journal = world, journal
        self.pms, self.crm, self.clock = world.pms, world.crm, world.clock
        self.ack: list[str] = []
        self.polled = False

    def step(self) -> bool:
        """Do one thing; False when nothing is to be done now."""
        for effect in self.journal.effects_open():
            self.probe(effect)
            return True
        for row in self.journal.commands_unreported(1):
            self.report(row)
            return True
        for row in self.journal.commands_due(self.clock.now(), 1):
            self.work(row)
            return True
        if not self.polled or self.ack:
            self.poll()
            return True
        for effect in self.journal.effects_unknown():
            self.ask(effect)
            return True
        return False

    # --- the inbox ----------------------------------------------------------------------------

    def poll(self) -> None:
        commands = self.crm.poll(self.ack)
        self.receive(commands)
        self.ack = sorted({command.command_id for command in commands})
        self.polled = True

    def receive(self, commands: list[Command]) -> None:
        with self.journal.turn() as turn:
            for command in commands:
                turn.receive(command, self.clock.now())

    def report(self, row: CommandRow) -> None:
        assert row.outcome is not None
        self.crm.finish(row.command.command_id, row.outcome)
        with self.journal.turn() as turn:
            turn.reported(row.command.command_id, row.outcome)

    # --- effects ------------------------------------------------------------------------------

    def work(self, row: CommandRow) -> None:
        effect, before = self.plan(row.command)
        number = self.intend(row.command, effect, before)
        try:
            written = self.pms.write(effect)
        except WriteRefused:
            self.fail(number, row.command.command_id, REFUSED)
            return
        except WriteUnknown:
            return  # still an intent: the next step probes it
        with self.journal.turn() as turn:
            turn.effect_written(number, written.key)

    def plan(self, command: Command) -> tuple[Effect, Fields]:
        if command.target.key is None:
            fields = {"note": command.payload["note"]}
            return Effect(EffectKind.APPEND_COMMLOG, STREAM, None, fields), {}
        key = int(command.target.key)
        fields = dict(command.payload["fields"])
        effect = Effect(EffectKind.UPDATE_PATIENT, STREAM, key, fields)
        return effect, {name: self.pms.rows[key].get(name) for name in fields}

    def intend(self, command: Command, effect: Effect, before: Fields) -> int:
        with self.journal.turn() as turn:
            turn.command_state(command.command_id, CommandState.WORKING)
            return turn.intend(
                op_id(command),
                command_id=command.command_id,
                group=command.command_id,
                effect=effect,
                before=before,
                after=dict(effect.fields),
                inverse=None
                if effect.key is None
                else Effect(effect.kind, STREAM, effect.key, before),
                floor=max(self.pms.rows) if effect.key is None else None,
                actor="crm",
            )

    def probe(self, row: EffectRow) -> None:
        """Look at the PMS: done, not done, or nobody can say. Read back is the same look."""
        assert row.command_id is not None
        if row.effect.key is None:
            found = self.candidates(row)
            if found:
                self.verify(row, min(found))
            else:
                self.retry(row)
            return
        key = int(row.effect.key)
        now = {name: self.pms.rows[key].get(name) for name in row.after}
        if now == row.after:
            self.verify(row, key)
        elif now != row.before:
            with self.journal.turn() as turn:
                turn.effect_unknown(row.number, "write.unknown")
                turn.command_state(row.command_id, CommandState.UNKNOWN, outcome=UNKNOWN)
        elif row.state is EffectState.WRITTEN:
            self.fail(row.number, row.command_id, NOT_KEPT)  # said yes and did not
        else:
            self.retry(row)

    def candidates(self, row: EffectRow) -> list[int]:
        floor = 0 if row.floor is None else int(row.floor)
        return [
            key
            for key, fields in self.pms.rows.items()
            if key > floor and all(fields.get(name) == value for name, value in row.after.items())
        ]

    def retry(self, row: EffectRow) -> None:
        assert row.command_id is not None
        with self.journal.turn() as turn:
            turn.effect_failed(row.number, "write.not_done")
            turn.command_tried(row.command_id, self.clock.now())

    def fail(self, number: int, command_id: str, outcome: CommandOutcome) -> None:
        with self.journal.turn() as turn:
            turn.effect_failed(number, "write.refused")
            turn.command_state(command_id, CommandState.DONE, outcome=outcome)

    def verify(self, row: EffectRow, key: int) -> None:
        """T3: the effect's end, the mirror and the outcome are one turn."""
        assert row.command_id is not None
        with self.journal.turn() as turn:
            turn.effect_verified(row.number, key)
            self.mirror(turn, key)
            turn.command_state(row.command_id, CommandState.DONE, outcome=APPLIED)

    def mirror(self, turn: Turn, key: int) -> None:
        fields = self.pms.rows[key]
        seen = Seen(key, hash_of(fields), 1, 1, msgspec.json.encode(fields))
        turn.see(STREAM, [seen], None)

    def ask(self, row: EffectRow) -> None:
        """A person looked: the desk's value stands."""
        assert row.command_id is not None
        self.fail(row.number, row.command_id, NOT_KEPT)
