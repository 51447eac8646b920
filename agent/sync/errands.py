"""Commands that write nothing to the PMS: resync, diagnostics, forgetting a person."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import msgspec
import structlog

from agent.journal.journal import Journal
from agent.model.commands import Command, CommandType, EndState, Reason
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.sync import outcomes, payloads
from agent.sync.outcomes import Say
from agent.sync.payloads import Invalid, as_key
from agent.sync.plans import Postpone, Refuse

log = structlog.get_logger(__name__)

#: streams whose content the journal may keep; records there name their patient
KEPT = (
    Stream.APPOINTMENT,
    Stream.RECALL,
    Stream.COMMUNICATION,
    Stream.CLINICAL_NOTE,
    Stream.PERIO_EXAM,
)
SLICE = 2000


class _Owner(msgspec.Struct):
    patient_key: str | None = None


class Errands:
    """``on_resync``: prove mirror and CRM equal soon. ``on_diagnostics``: tell the CRM how we are.
    ``on_forget``: drop what is held of these patients in memory."""

    def __init__(
        self,
        journal: Journal,
        *,
        say: Say,
        on_resync: Callable[[], None],
        on_diagnostics: Callable[[], None],
        on_forget: Callable[[Collection[Key]], None],
        on_outcome: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._say = say
        self._on_resync = on_resync
        self._on_diagnostics = on_diagnostics
        self._on_forget = on_forget
        self._on_outcome = on_outcome

    def run(self, command: Command) -> None:
        """Raises Refuse and Postpone."""
        try:
            if command.type is CommandType.RESYNC:
                self._resync(command)
            elif command.type is CommandType.DIAGNOSTICS:
                self._diagnose(command)
            else:
                self._forget(command)
        except Invalid as invalid:
            raise Refuse(
                Reason.VALIDATION_FAILED, "command.invalid", field=invalid.field
            ) from invalid
        self._on_outcome()

    def _resync(self, command: Command) -> None:
        types = payloads.read(command, payloads.Resync).types
        with self._journal.turn() as turn:
            if not types:
                turn.due_all_chunks(None)
            for stream in types:
                turn.due_all_chunks(stream)
            outcomes.store(turn, command, outcomes.make(EndState.APPLIED, say=self._say))
        self._on_resync()

    def _diagnose(self, command: Command) -> None:
        payloads.read(command, payloads.Nothing)
        with self._journal.turn() as turn:
            outcomes.store(turn, command, outcomes.make(EndState.APPLIED, say=self._say))
        self._on_diagnostics()

    def _forget(self, command: Command) -> None:
        """The person's records keep coming from the PMS; what goes is what the journal says of
        them in words, and the proof that it went stays in the audit chain."""
        asked = payloads.read(command, payloads.Forget)
        patient = as_key(asked.patient_key, "patient_key")
        owned = {stream: list(self._owned(stream, str(patient))) for stream in KEPT}
        with self._journal.turn() as turn:
            left = turn.forget_person(Stream.PATIENT, [patient])
            for stream, keys in owned.items():
                left += turn.forget_person(stream, keys)
            if not left:
                outcomes.store(turn, command, outcomes.make(EndState.APPLIED, say=self._say))
        self._on_forget([patient])
        if left:
            raise Postpone("forget.under_way")
        log.info("person.forgotten")

    def _owned(self, stream: Stream, patient: str) -> Iterator[Key]:
        at: Key | None = None
        while True:
            end = self._journal.nth_key(stream, at, SLICE)
            for key in self._journal.held_range(stream, at, end):
                canon = self._journal.content(stream, key)
                if canon and msgspec.json.decode(canon, type=_Owner).patient_key == patient:
                    yield key
            if end is None:
                return
            at = end
