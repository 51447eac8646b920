"""Which commands must wait for an earlier one of the same record.

Used by the apply lane's thread only.
"""

from __future__ import annotations

from agent.journal.journal import Journal
from agent.journal.pulled import CommandRow, CommandState
from agent.model.commands import Command

_UNDER_WAY = frozenset({CommandState.WAITING, CommandState.WORKING})


class Order:
    """Commands that were begun or postponed hold back later ones that touch the same records: a
    second write before the end of the first is known could not be told from it any more."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._held: dict[str, tuple[int, frozenset[str]]] = {}
        for row in journal.commands_open():
            if row.state in _UNDER_WAY:
                self.hold(row.command)

    def hold(self, command: Command) -> None:
        self._held[command.command_id] = (command.priority, touched(command))

    def release(self, command: Command) -> None:
        self._held.pop(command.command_id, None)

    def must_wait(self, row: CommandRow) -> bool:
        """What is more urgent overtakes what waits, not what was begun."""
        command = row.command
        if not self._held or row.state is CommandState.WORKING:
            return False
        own, is_before = touched(command), False
        for ident, (priority, records) in list(self._held.items()):
            if ident == command.command_id:
                is_before = True  # of those that follow, it is the earlier one
            elif own & records:
                held = self._journal.command(ident)
                if held is None or held.state not in _UNDER_WAY:
                    self._held.pop(ident, None)
                    continue
                is_older = not is_before and priority <= command.priority
                if held.state is CommandState.WORKING or is_older:
                    return True
        return False


def touched(command: Command) -> frozenset[str]:
    """The records a command names, as text: commands that share one keep their order."""
    target, payload = command.target, command.payload
    found: set[str] = set()
    if target.key:
        found.add(f"{target.type or command.type.value.partition('.')[0]}:{target.key}")
    if target.cloud_id:
        found.add(f"cloud:{target.cloud_id}")
    if isinstance(payload.get("patient_key"), str):
        found.add(f"patient:{payload['patient_key']}")
    who = payload.get("patient")
    if isinstance(who, dict):
        if isinstance(who.get("key"), str):
            found.add(f"patient:{who['key']}")
        if isinstance(who.get("cloud_id"), str):
            found.add(f"cloud:{who['cloud_id']}")
    return frozenset(found)
