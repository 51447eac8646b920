"""The line to the PMS's writer: opened once, asked now and then what it can do, away or not.

Used by the apply lane's thread; ``facts`` and ``away_s`` may be read from any.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import structlog

from agent.errors import AgentError
from agent.journal.journal import Journal
from agent.model.effects import WriterFacts
from agent.ports import Clock, LearningWriter, PmsWriter
from agent.sync.writing import WriterAway

log = structlog.get_logger(__name__)

PROBE_EVERY_S = 300.0
SETTINGS_EVERY_S = 15.0  # refused keys: whether others were set meanwhile
AWAY_S = 5.0  # before a writer that could not be reached is tried again
NO_WRITER = WriterFacts("none")
WRITER_SEEN = "writer:kind"  # journal mark: the kind of writer that last answered
WRITER_OFFER = "writer:offer"  # journal mark: what the writer could do when it last answered
UNREACHABLE = "write.api_unreachable"  # drivers.writers.IfAnyAnswers
KEY_REFUSED = "write.api_key_refused"  # drivers.opendental.api.writer
#: how long a write may still take effect after its answer was lost: the vendor's API works on a
#: request for at most 60 s (open-dental.md 4.3); a database connection that broke is rolled back
WINDOW_S = {"api": 65.0, "sql": 5.0}


class WriterLine:
    """``facts``: None until the writer has answered once. ``on_facts``: they changed.

    ``offered``: what the CRM may count on. From a start until the first answer that is what the
    writer could do before it: an agent started anew refuses nothing that was offered a moment ago.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        open_writer: Callable[[], PmsWriter | None],
        window_s: float | None,
        *,
        on_facts: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._open_writer = open_writer
        self._window_s = window_s
        self._on_facts = on_facts
        self._is_open = False
        self._away_since: float | None = None
        self._away_until = 0.0
        self._probed_mono: float | None = None
        self._compared_mono = 0.0
        self.writer: PmsWriter | None = None
        self.facts: WriterFacts | None = None
        self._promised = _read(journal.mark(WRITER_OFFER))

    @property
    def offered(self) -> WriterFacts | None:
        return self.facts or self._promised

    @property
    def is_away(self) -> bool:
        """It could not be reached, and it is too early to try again."""
        return self._clock.mono() < self._away_until

    @property
    def away_s(self) -> float:
        """For how long it has not been reached."""
        since = self._away_since
        return 0.0 if since is None else self._clock.mono() - since

    def window_s(self) -> float:
        """How long after a lost answer the write may still happen."""
        if self._window_s is not None:
            return self._window_s
        kind = self.facts.kind if self.facts is not None else "api"
        return WINDOW_S.get(kind, WINDOW_S["api"])

    def look(self) -> None:
        """Open it once; ask what it can do when that is due."""
        now = self._clock.mono()
        self._take_new_settings(now)
        stale = self._probed_mono is None or now - self._probed_mono >= PROBE_EVERY_S
        if self.is_away or not (stale or self._away_since is not None):
            return
        self._probed_mono = now
        try:
            if not self._is_open:
                self.writer = self._open_writer()
                self._is_open = True
            facts = NO_WRITER if self.writer is None else self.writer.probe()
            self._expect_again(facts)
        except AgentError as error:
            self.failed(error)
            return
        self._away_since = None
        self._keep(facts)

    def heard(self) -> bool:
        """Take over what use has taught the writer since it was asked; whether that was news."""
        writer = self.writer
        learnt = writer.facts if isinstance(writer, LearningWriter) else None
        if learnt is None or self.facts is None or learnt == self.facts:
            return False
        self._probed_mono = self._clock.mono()  # it has just been told
        self._keep(learnt)
        return True

    def _keep(self, facts: WriterFacts) -> None:
        if facts != self.facts:
            self.facts = facts
            self._promise(facts)
            log.info("writer.probed", kind=facts.kind, abilities=len(facts.abilities))
            self._on_facts()

    def _promise(self, facts: WriterFacts) -> None:
        promised = WriterFacts(
            facts.kind, abilities=facts.abilities, rest_by_desk=facts.rest_by_desk
        )
        if promised != self._promised:
            with self._journal.turn() as turn:
                told = msgspec.json.encode(promised, order="deterministic")
                turn.set_mark(WRITER_OFFER, told.decode())
            self._promised = promised

    def failed(self, error: AgentError) -> None:
        now = self._clock.mono()
        self._away_since = self._away_since if self._away_since is not None else now
        self._away_until = now + AWAY_S
        log.info("writer.away", code=error.code)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()

    def _take_new_settings(self, now: float) -> None:
        """A writer whose keys are refused is exchanged as soon as others are set."""
        writer, facts = self.writer, self.facts
        if (
            facts is None
            or KEY_REFUSED not in facts.missing.values()
            or not isinstance(writer, LearningWriter)
            or now - self._compared_mono < SETTINGS_EVERY_S
        ):
            return
        self._compared_mono = now
        try:
            other = self._open_writer()
        except AgentError as error:
            log.info("writer.settings", code=error.code)
            return
        if other is None or (
            isinstance(other, LearningWriter) and other.settings == writer.settings
        ):
            return
        log.info("writer.exchanged")
        writer.close()
        self.writer = other
        self._probed_mono = None

    def _expect_again(self, facts: WriterFacts) -> None:
        """A write path that once answered and is not there after a restart is an outage, no reason
        to give everything to the front desk. Raises WriterAway."""
        known = self._journal.mark(WRITER_SEEN)
        if facts.kind != "none":
            if known != facts.kind:
                with self._journal.turn() as turn:
                    turn.set_mark(WRITER_SEEN, facts.kind)
        elif known == "api" and UNREACHABLE in facts.missing.values():
            raise WriterAway(UNREACHABLE)


def _read(mark: str | None) -> WriterFacts | None:
    try:
        return None if mark is None else msgspec.json.decode(mark, type=WriterFacts)
    except msgspec.DecodeError:  # another version's
        return None
