"""Short ways to make commands, effects and contacts. Fake people only."""

from __future__ import annotations

from typing import Any

from agent.journal.journal import Journal
from agent.journal.pulled import CommandState
from agent.model.commands import (
    Command,
    CommandOutcome,
    CommandType,
    Contact,
    EndState,
    Reason,
    Target,
)
from agent.model.effects import Effect, EffectKind
from agent.model.reading import Key
from agent.model.streams import Stream

APPLIED = CommandOutcome(state=EndState.APPLIED, pms_key="12")
REJECTED = CommandOutcome(state=EndState.REJECTED, reason_code=Reason.SLOT_TAKEN)
CONFLICT = CommandOutcome(state=EndState.CONFLICT, kept_fields=("phone_mobile",))
UNSURE = CommandOutcome(state=EndState.UNKNOWN)


def command(name: str = "c-1", key: str | None = "12", **more: Any) -> Command:
    given: dict[str, Any] = {
        "command_id": name,
        "type": CommandType.PATIENT_UPDATE,
        "created_at": "2026-03-02T08:00:00Z",
        "target": Target(type="patient", key=key),
        "payload": {"fields": {"phone_mobile": "+15550100"}, "by": "Ada Byron"},
    }
    return Command(**{**given, **more})


def update(key: Key = 12, phone: str = "+15550100") -> Effect:
    return Effect(EffectKind.UPDATE_PATIENT, Stream.PATIENT, key, {"phone_mobile": phone})


def intend(
    journal: Journal,
    op_id: bytes = b"op-1",
    effect: Effect | None = None,
    *,
    command_id: str | None = "c-1",
    undoes: int | None = None,
    inverse: bool = True,
) -> int:
    """One effect's durable intent, in a turn of its own."""
    effect = effect or update()
    before = dict.fromkeys(effect.fields, "+15550199")
    with journal.turn() as turn:
        return turn.intend(
            op_id,
            command_id=command_id,
            group=command_id or "resolution-1",
            effect=effect,
            before=before,
            after=dict(effect.fields),
            inverse=Effect(effect.kind, effect.stream, effect.key, before) if inverse else None,
            floor=None,
            actor="crm",
            undoes=undoes,
        )


def done(journal: Journal, name: str = "c-1", outcome: CommandOutcome = APPLIED) -> None:
    """A command received, applied and reported, with its verified effect."""
    with journal.turn() as turn:
        turn.receive(command(name), turn_now(journal))
    number = intend(journal, f"op {name}".encode(), command_id=name)
    with journal.turn() as turn:
        turn.effect_verified(number, 12)
        turn.command_state(name, CommandState.DONE, outcome=outcome)
    with journal.turn() as turn:
        turn.reported(name, outcome)


def turn_now(journal: Journal) -> Any:
    return journal._clock.now()


def contact(cloud_id: str = "p-1", rev: int = 1, last: str = "Byron", **more: Any) -> Contact:
    return Contact(cloud_id=cloud_id, rev=rev, last_name=last, first_name="Ada", **more)
