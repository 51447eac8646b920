"""How a command ends, for the CRM and for the journal. Writes in the given turn only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from agent.journal.journal import Turn
from agent.journal.pulled import CommandState, Winner
from agent.model.commands import Command, CommandOutcome, EndState, Reason, Slot
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.sync.merge import FieldClash

#: message code and facts -> a sentence for the front desk ("" where there is no catalogue)
Say = Callable[..., str]

LOCAL = "local:"  # ids of commands the agent gives itself (a person's decision); no CRM knows them

_NO_FACTS: Mapping[str, str | int] = MappingProxyType({})

_STATE_OF = {
    EndState.UNKNOWN: CommandState.UNKNOWN,
    EndState.CONFLICT: CommandState.CONFLICT,
    EndState.TASK: CommandState.TASK,
}


def mute(_code: str, **_facts: object) -> str:
    """Where there is no catalogue."""
    return ""


def make(
    state: EndState,
    *,
    say: Say,
    code: str = "",
    reason: Reason | None = None,
    key: Key | None = None,
    alternatives: Sequence[Slot] = (),
    kept: Sequence[str] = (),
    facts: Mapping[str, str | int] = _NO_FACTS,
) -> CommandOutcome:
    """``code``: of the sentence; facts are codes, counts, times and field names, never a name."""
    return CommandOutcome(
        state=state,
        reason_code=reason,
        staff_text=say(code, **facts) if code else "",
        pms_key=None if key is None else str(key),
        alternatives=tuple(alternatives),
        kept_fields=tuple(sorted(set(kept))),
    )


def store(
    turn: Turn, command: Command, outcome: CommandOutcome, *, due_at: datetime | None = None
) -> None:
    """The outcome and its line in the activity, in the caller's turn."""
    state = _STATE_OF.get(outcome.state, CommandState.DONE)
    turn.command_state(command.command_id, state, outcome=outcome, due_at=due_at)
    facts: dict[str, str | int | float] = {"type": command.type.value}
    if outcome.reason_code is not None:
        facts["reason"] = outcome.reason_code.value
    if outcome.pms_key is not None:
        facts["keys"] = f" {outcome.pms_key} "
    turn.note(f"command.{outcome.state.value}", None, 1, facts)


def record_clashes(
    turn: Turn,
    clashes: Sequence[FieldClash],
    stream: Stream,
    key: Key,
    command_id: str,
) -> None:
    """Every clash is kept: open ones for a person, the others with the value that lost."""
    for clash in clashes:
        turn.open_conflict(
            stream,
            key,
            clash.field,
            clash.kind,
            str(clash.policy),
            base=clash.base,
            pms=clash.pms,
            crm=clash.crm,
            result=clash.result,
            winner=clash.winner,
            auto=clash.winner is not None,
            actor="agent",
            command_id=command_id,
        )


def kept_fields(clashes: Sequence[FieldClash]) -> list[str]:
    """Fields where the CRM's wish did not come true (or waits)."""
    return [clash.field for clash in clashes if clash.winner in (None, Winner.PMS)]
