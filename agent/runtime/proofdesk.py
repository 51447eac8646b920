"""A person's comparison of both sides: ``CompareSides`` as a job, with the running engine or, where
no agent runs, with the journal as it lies and a line of its own to the CRM.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import msgspec

from agent import __version__
from agent.config import Settings
from agent.config.secrets import Secrets
from agent.control.server import Caller
from agent.crm.connect import CrmLink
from agent.errors import AgentError
from agent.journal.journal import Journal
from agent.journal.reads import Reads
from agent.model.asking import Request
from agent.model.longwork import Job
from agent.model.proof import Audit, CompareSides, StreamProof
from agent.model.streams import Stream
from agent.ports import PmsSource
from agent.runtime.clock import SystemClock
from agent.runtime.fallback.jobs import Jobs, Ticket
from agent.sync.engine import Engine
from agent.sync.proving import judged
from agent.sync.reconcile import compare
from agent.sync.session import Session

Answers = Mapping[type[Request[Any]], Callable[[Any, Caller], object]]
Compare = Callable[[CompareSides, Ticket], Audit]

SENT_WITHIN_S = 60.0
LOOK_S = 0.1


class ProofError(AgentError):
    """The comparison cannot be made now."""

    code = "proof.not_now"


def proof_answers(jobs: Jobs, work: Compare) -> Answers:
    """For the desk."""

    def start(wish: CompareSides, _: Caller) -> Job:
        return jobs.start("audit", lambda ticket: work(wish, ticket))

    return {CompareSides: start}


def with_engine(engine: Engine, journal: Journal, source: PmsSource) -> Compare:
    """Beside the running lanes."""

    def work(wish: CompareSides, ticket: Ticket) -> Audit:
        session = engine.session
        if session is None or not session.load.progress.done or not engine.is_sound:
            raise ProofError
        if wish.prove:
            _prove(engine, journal, ticket)
        if not wish.repair:
            return _audit(engine, session, wish, ticket, None)
        with closing(source.open()) as reader:
            mend = engine.proving.mender(reader, many=wish.many)
            first = _audit(engine, session, wish, ticket, mend)
        if not any(line.repaired for line in first.lines):
            return first
        _until_sent(engine, journal, ticket)
        return together(first, _audit(engine, session, wish, ticket, None))

    return work


def _audit(
    engine: Engine, session: Session, wish: CompareSides, ticket: Ticket, mend: Any
) -> Audit:
    def told(done: int, total: int) -> None:
        ticket.progress(done, total, "streams")

    return engine.proving.audit(session, wish.basis, mend, told)


def _prove(engine: Engine, journal: Journal, ticket: Ticket) -> None:
    """Every chunk of the practice, from now on."""
    asked = datetime.now(UTC)
    with journal.turn() as turn:
        turn.due_all_chunks(None)
    while True:
        done, total = journal.proven_chunks(asked)
        ticket.progress(done, total, "chunks")
        if done == total:
            return
        if engine.stopping.wait(LOOK_S) or engine.pms.code is not None:
            raise ProofError(engine.pms.code or "proof.not_now")


def _until_sent(engine: Engine, journal: Journal, ticket: Ticket) -> None:
    """What was repaired has left, or the time is over (it then shows as waiting)."""
    for _ in range(int(SENT_WITHIN_S / LOOK_S)):
        if not journal.batches_waiting():
            return
        ticket.check()
        if engine.stopping.wait(LOOK_S):
            return


def together(first: Audit, second: Audit) -> Audit:
    """What was found, and how it stands since it was repaired. Pure."""
    found = {line.stream: line for line in first.lines}
    lines = tuple(_since_repaired(found.get(line.stream), line) for line in second.lines)
    took_s = round(first.took_s + second.took_s, 3)
    return msgspec.structs.replace(second, lines=lines, took_s=took_s)


def _since_repaired(first: StreamProof | None, now: StreamProof) -> StreamProof:
    if first is None or not first.repaired:
        return now
    return msgspec.structs.replace(
        now,
        missing=first.missing,
        different=first.different,
        extra=first.extra,
        repaired=first.repaired,
    )


def without_engine(settings: Settings, secrets: Secrets, journal: Reads, uuid: str) -> Compare:
    """Looks only: the journal as it lies against the CRM."""

    def work(wish: CompareSides, ticket: Ticket) -> Audit:
        if wish.prove or wish.repair:
            raise AgentError("desk.needs_agent")
        clock = SystemClock()
        began = clock.mono()
        crm = CrmLink(settings, secrets, clock, __version__).client(uuid, 0)
        known = journal.proven_since()
        streams = [stream for stream in Stream if stream in known]
        lines = []
        with closing(crm):
            for done, stream in enumerate(streams):
                ticket.progress(done, len(streams), "streams")
                found = compare(journal, crm, stream, wish.basis)
                lines.append(judged(journal, found, clock.now()))
        return Audit(tuple(lines), wish.basis, round(clock.mono() - began, 3))

    return work
