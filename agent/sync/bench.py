"""What one round of the apply lane works with, and one write of a command on it."""

from __future__ import annotations

from dataclasses import dataclass

from agent.journal.pulled import EffectRow
from agent.model.commands import Command
from agent.model.effects import WriterFacts
from agent.model.reading import SourceFacts
from agent.ports import PmsWriter
from agent.sync.effects import Step
from agent.sync.looks import Looks
from agent.sync.writing import InTurn, Proof, Settling, Writing

ACTOR = "crm"


@dataclass(frozen=True, slots=True)
class Bench:
    """What one round works with."""

    looks: Looks
    facts: SourceFacts
    writer: PmsWriter | None
    abilities: WriterFacts
    pending: tuple[EffectRow, ...] = ()  # effects nobody knows the end of

    def perform(
        self,
        writing: Writing,
        command: Command,
        step: Step,
        *,
        undoes: int | None = None,
        intending: InTurn | None = None,
        settling: Settling,
    ) -> Proof:
        """``Writing.perform`` for a command; there is a writer."""
        assert self.writer is not None
        return writing.perform(
            step,
            self.looks,
            self.writer,
            command_id=command.command_id,
            group=command.command_id,
            actor=ACTOR,
            random_keys=self.facts.random_keys,
            undoes=undoes,
            intending=intending,
            settling=settling,
        )
