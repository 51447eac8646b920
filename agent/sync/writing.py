"""One effect from intent to proof: the only place that calls a PMS writer.

Order (sync-engines.md 2A.6): intent, images and audit commit before anything leaves (T2); what was
written is read back; proof, mirror row, outcome and audit commit together (T3). Whatever cannot be
proven is left open for ``recover``; nothing here ever writes a second time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from agent.errors import JournalError, PmsError, PmsUnavailable
from agent.journal.journal import Journal, Turn
from agent.journal.pulled import CommandState
from agent.journal.rows import Urgency
from agent.model.commands import Reason
from agent.model.effects import CREATES, Effect, EffectKind, WriteRefused, WriteUnknown
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.ports import HoldingWriter, PmsWriter
from agent.sync.capture import Capture
from agent.sync.effects import (
    PLACE,
    Step,
    can_be_read_back,
    differing,
    is_before,
    operation_id,
    same,
    takes_place,
)
from agent.sync.looks import Found, Looks, Unreadable
from agent.sync.sights import COPIED

log = structlog.get_logger(__name__)

InTurn = Callable[[Turn], None]
T = TypeVar("T")


class Failed(Exception):
    """Certainly not done, and trying again would end the same."""

    def __init__(self, reason: Reason, code: str) -> None:
        self.reason = reason
        self.code = code
        super().__init__(code)


class Unsettled(Exception):
    """It may have been done. The effect stays open; ``recover`` looks, nothing repeats it."""

    def __init__(self, number: int, code: str) -> None:
        self.number = number
        self.code = code
        super().__init__(code)


class Overtaken(Exception):
    """The command ended or was given to a person while it was planned; nothing was begun."""


_NOT_OURS = frozenset({CommandState.DONE, CommandState.CONFLICT, CommandState.TASK})


class ChangedMeanwhile(Exception):
    """The office typed into the same record after it was read: nothing was sent; plan anew."""


#: kinds that replace what somebody typed, where the PMS keeps no copy of it
_TYPED_OVER = frozenset(
    {EffectKind.UPDATE_PATIENT, EffectKind.SET_CONSENT, EffectKind.UPDATE_RECALL,
     EffectKind.SET_CUSTOM}
)  # fmt: skip


class WriterAway(PmsUnavailable):
    """The writer (not the reader) could not be reached: certainly not sent."""

    code = "writer.unreachable"


@dataclass(frozen=True, slots=True)
class Proof:
    """What the read-back showed. ``found`` None: nothing to read back. ``unlike``: touched fields
    that hold something else than was written; they are told, not hidden."""

    number: int
    key: Key | None
    found: Found | None
    unlike: tuple[str, ...] = ()


#: called with the proof; gives what else commits with it
Settling = Callable[[Proof], InTurn | None]


def _nothing(_proof: Proof) -> None:
    return None


class Writing:
    """Used by the apply lane's thread only."""

    def __init__(self, journal: Journal, capture: Capture) -> None:
        self._journal = journal
        self._capture = capture

    def perform(
        self,
        step: Step,
        looks: Looks,
        writer: PmsWriter,
        *,
        command_id: str | None,
        group: str,
        actor: str,
        random_keys: bool = False,
        undoes: int | None = None,
        intending: InTurn | None = None,
        settling: Settling = _nothing,
    ) -> Proof:
        """Intent, write, read back, settle. ``intending`` commits with the intent, what
        ``settling`` returns with the proof.

        Raises Failed, Unsettled, WriterAway (certainly not sent; may be tried again), and before
        anything left ChangedMeanwhile, Unreadable, the Pms errors and JournalError.
        """
        effect = step.effect
        if can_be_read_back(effect):
            looks.carries(effect.stream)  # what could not be proven is not begun
        floor = None if random_keys else _floor(effect, looks)
        number = self._intend(step, command_id, group, actor, floor, undoes, intending)
        if effect.kind in _TYPED_OVER:
            if isinstance(writer, HoldingWriter):  # before the look: what it saw, the write is for
                self._asked(number, effect, writer.hold)
            self._look_once_more(number, step, looks)
        key = self._write(number, effect, writer)
        try:
            return self._prove(number, step, key, looks, settling)
        except (PmsError, Unreadable, JournalError, Unsettled) as error:
            code = getattr(error, "code", "write.not_read_back")
            log.warning("effect.unproven", kind=effect.kind.value, code=code)
            self._said_yes(number, key)
            raise Unsettled(number, code) from error

    def _intend(
        self,
        step: Step,
        command_id: str | None,
        group: str,
        actor: str,
        floor: Key | None,
        undoes: int | None,
        intending: InTurn | None,
    ) -> int:
        ordinal = len(self._journal.effects_of(group))
        with self._journal.turn() as turn:
            number = turn.intend(
                operation_id(self._journal.uuid, group, ordinal),
                command_id=command_id,
                group=group,
                effect=step.effect,
                before=step.before,
                after=step.after,
                inverse=step.inverse,
                floor=floor,
                actor=actor,
                undoes=undoes,
            )
            if command_id is not None:
                held = self._journal.command(command_id)
                if held is None or held.state in _NOT_OURS:
                    raise Overtaken
                turn.command_state(command_id, CommandState.WORKING)
            if intending is not None:
                intending(turn)
        return number

    def _look_once_more(self, number: int, step: Step, looks: Looks) -> None:
        """The plan is as old as its reads and the journal's disk made it, and Open Dental's API
        writes on no condition: what was typed since would be gone without a word."""
        effect = step.effect
        assert effect.key is not None
        try:
            found = looks.record(effect.stream, effect.key)
        except (PmsError, Unreadable) as error:
            self._fail(number, error.code)
            raise
        if found is None or not is_before(effect, step.before, found.fields):
            self._fail(number, "write.record_moved")
            log.info("effect.changed_meanwhile", kind=effect.kind.value)
            raise ChangedMeanwhile

    def _write(self, number: int, effect: Effect, writer: PmsWriter) -> Key | None:
        """Tell the PMS; the key of the record, as far as it said."""
        written = self._asked(number, effect, writer.write)
        key = written.key if written.key is not None else effect.key
        if effect.kind in CREATES and key is not None:
            # The one thing a probe could not find out for certain is worth a turn of its own.
            try:
                with self._journal.turn() as turn:
                    turn.effect_written(number, key)
            except JournalError as error:
                raise Unsettled(number, error.code) from error
        return key

    def _asked(self, number: int, effect: Effect, ask: Callable[[Effect], T]) -> T:
        """What the writer says; what it raises, as an end of the effect or none."""
        try:
            return ask(effect)
        except WriteRefused as refused:
            self._fail(number, refused.code)
            log.info("effect.refused", kind=effect.kind.value, code=refused.code)
            raise Failed(refused.reason, refused.code) from refused
        except PmsUnavailable as error:
            self._fail(number, error.code)
            raise WriterAway(error.code) from error
        except WriteUnknown as unknown:
            log.warning("effect.unknown", kind=effect.kind.value, code=unknown.code)
            raise Unsettled(number, unknown.code) from unknown
        except Exception as error:
            # A bug of a writer says nothing about what reached the PMS.
            log.error("effect.bug", kind=effect.kind.value, error=type(error).__name__)
            raise Unsettled(number, "write.unknown") from error

    def _said_yes(self, number: int, key: Key | None) -> None:
        """So that a probe that finds nothing changed does not have it written once more."""
        try:
            with self._journal.turn() as turn:
                turn.effect_written(number, key)
        except JournalError as error:
            log.warning("effect.not_noted", code=error.code)

    def _fail(self, number: int, code: str) -> None:
        try:
            with self._journal.turn() as turn:
                turn.effect_failed(number, code)
        except JournalError as error:
            raise Unsettled(number, error.code) from error

    def _prove(
        self, number: int, step: Step, key: Key | None, looks: Looks, settling: Settling
    ) -> Proof:
        effect = step.effect
        if not can_be_read_back(effect):
            proof = Proof(number, key, None)
            self.settle(effect, proof, looks, settling(proof))
            return proof
        if key is None:
            raise Unsettled(number, "write.no_key")
        found = looks.record(effect.stream, key)
        if found is None:
            raise Unsettled(number, "write.not_found")
        unlike = differing(effect, step.after, found.fields)
        if unlike and not _bearable(effect, step, found, unlike):
            raise Unsettled(number, "write.differs")
        proof = Proof(number, key, found, tuple(sorted(unlike)))
        self.settle(effect, proof, looks, settling(proof))
        return proof

    def settle(self, effect: Effect, proof: Proof, looks: Looks, also: InTurn | None) -> None:
        """T3: proof, mirror row and whatever follows from it, in one turn."""
        taken = False

        def within(turn: Turn) -> None:
            nonlocal taken
            taken = True
            turn.effect_verified(proof.number, proof.key)
            if also is not None:
                also(turn)

        found = proof.found
        if found is not None:
            self._capture.take(
                looks.map_of(effect.stream),
                found.page,
                read_lsn=found.read_lsn,
                urgency=Urgency.LIVE,
                asked=[found.key],
                within=within,
            )
        if not taken:  # nothing to mirror, or a brake is on: the effect is settled all the same
            with self._journal.turn() as turn:
                within(turn)

    def gone(self, stream: Stream, key: Key) -> None:
        """A record we made was taken away before we ever read it: the CRM, told that it was made,
        hears that it is not there any more."""
        self._capture.retract(stream, [key])


def _floor(effect: Effect, looks: Looks) -> Key | None:
    """What a probe need not look below."""
    if effect.kind in CREATES:
        return looks.newest(effect.stream) if can_be_read_back(effect) else None
    return looks.past_end(effect.stream) if effect.kind in COPIED else None


def _bearable(effect: Effect, step: Step, found: Found, unlike: list[str]) -> bool:
    """A difference that leaves no doubt that this write was done: the PMS said yes, and it is not
    about whose record it is or where it stands on the schedule. A record where nothing at all
    changed was not written, whatever the PMS said."""
    if takes_place(effect):
        essential = {"patient_key", "status", *PLACE}
        return not essential.intersection(unlike)
    if effect.kind in CREATES:
        return "patient_key" not in unlike and len(unlike) < len(step.after)
    if effect.kind in (EffectKind.BREAK, EffectKind.SET_STATUS):
        return False
    return any(not same(name, step.before.get(name), found.fields.get(name)) for name in step.after)
