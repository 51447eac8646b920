"""What a command has already made true in the practice. Reads the journal only.

A write that was proven late (after a crash, a lost answer, or by a person) stands, whatever has
happened since: the command's time may have run out, a switch may have been turned, a consent taken
back. Its end is what stands there, never that it came too late.
"""

from __future__ import annotations

from typing import Final

from agent.journal.pulled import EffectRow, EffectState
from agent.journal.reads import Reads
from agent.model.commands import Command, CommandType
from agent.model.effects import EffectKind

#: the effect that makes a command's wish true; what comes before it is only the way there
_MAKES_TRUE: Final = {
    CommandType.APPOINTMENT_BOOK: EffectKind.BOOK,
    CommandType.APPOINTMENT_RESCHEDULE: EffectKind.MOVE,
    CommandType.APPOINTMENT_CONFIRM: EffectKind.CONFIRM,
    CommandType.APPOINTMENT_STATUS_SET: EffectKind.SET_STATUS,
    CommandType.APPOINTMENT_CANCEL: EffectKind.BREAK,
    CommandType.PATIENT_CREATE: EffectKind.CREATE_PATIENT,
    CommandType.PATIENT_UPDATE: EffectKind.UPDATE_PATIENT,
    CommandType.CONSENT_SET: EffectKind.SET_CONSENT,
    CommandType.COMMLOG_APPEND: EffectKind.APPEND_COMMLOG,
    CommandType.NOTE_APPEND: EffectKind.APPEND_NOTE,
    CommandType.PERIO_RECORD: EffectKind.RECORD_PERIO,
    CommandType.RECALL_UPDATE: EffectKind.UPDATE_RECALL,
    CommandType.CUSTOM_FIELD_SET: EffectKind.SET_CUSTOM,
    CommandType.DOCUMENT_ATTACH: EffectKind.ATTACH_DOCUMENT,
}


def standing(journal: Reads, command: Command) -> EffectRow | None:
    """The newest proven write that makes the command's wish true; None while there is none."""
    wanted = _MAKES_TRUE.get(command.type)
    found = [
        row
        for row in journal.effects_of(command.command_id)
        if row.effect.kind is wanted and row.state is EffectState.VERIFIED and row.undoes is None
    ]
    return found[-1] if found else None
