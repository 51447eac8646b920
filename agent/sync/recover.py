"""Effects of which nobody knows whether they happened: looked for, never repeated blindly.

Every intent a crash or a lost answer left open is probed: an update by reading its key, a creation
by the rows above its floor (or of its day, or lately stamped); where the office has changed the
record since, by the copies the PMS itself keeps, and by its log of who entered it. Found: it is
settled as done. Not found, several looks and longer than the PMS could still be at it, and nothing
missing that the mirror holds: it was not done, and the command may plan anew. Anything else is a
person's (sync-engines.md 2A.6, T5).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from agent.errors import JournalError, PmsError
from agent.journal.journal import Journal, Turn
from agent.journal.pulled import CommandState, EffectRow, EffectState, UndoState
from agent.model.effects import CREATES, EffectKind
from agent.model.reading import Key, SourceFacts
from agent.model.streams import Stream
from agent.ports import Clock
from agent.sync.effects import can_be_read_back, differing
from agent.sync.looks import Found, Looks, Unreadable
from agent.sync.payloads import as_key, moment
from agent.sync.session import BEFORE_ACCEPTED
from agent.sync.sights import (
    COPIED,
    Shows,
    Sight,
    judge_create,
    judge_entered,
    judge_made,
    judge_made_copies,
    judge_update,
    nearly,
    was_held,
)
from agent.sync.writing import Proof, Writing

log = structlog.get_logger(__name__)

LOOKS_S = (0.2, 0.3, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
LEAST_LOOKS = 3
MOST_CANDIDATES = 20_000
MOST_LEARNT = 500  # of the latest effects, to learn what traces ours leave
LEARN_FROM = 3
LATELY = timedelta(hours=1)
_EVER = datetime(1970, 1, 1, tzinfo=UTC)


class _Hidden(Exception):
    """The mirror holds records that are not there just now: another program may have emptied the
    table to fill it again, and ours may be among them. Ends with a deletion that is confirmed."""


@dataclass(slots=True)
class _Watched:
    first_mono: float
    due_mono: float
    looks: int = 0


class Recover:
    """Used by the apply lane's thread only.

    ``unknown``: called with the effect and in the turn that gives it to a person.
    ``not_kept``: the same, where the PMS said yes and nothing of it holds.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        writing: Writing,
        *,
        window_s: Callable[[], float],
        unknown: Callable[[Turn, EffectRow, str], None],
        not_kept: Callable[[Turn, EffectRow], None],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._writing = writing
        self._window_s = window_s
        self._unknown = unknown
        self._not_kept = not_kept
        self._watched: dict[int, _Watched] = {}
        self._copying: set[EffectKind] = set()  # kinds known to leave copies
        self.open: list[EffectRow] = []
        self._stale = True

    def refresh(self) -> None:
        """Look for open effects again: something was left open, or a person settled one."""
        self._stale = True

    @property
    def commands(self) -> frozenset[str]:
        """Commands that wait for a look; they must not go on before."""
        return frozenset(row.command_id for row in self.open if row.command_id is not None)

    def visit(self, looks: Looks, facts: SourceFacts) -> float | None:
        """Look at what is due; seconds until the next look, None when nothing is open."""
        self._journal.heed_clock()
        if self._stale or self.open:  # how long they have been open goes with a clock that is set
            self.open = self._journal.effects_open()
            self._stale = False
            now = self._clock.mono()
            self._watched = {
                row.number: self._watched.get(row.number) or _Watched(now, now) for row in self.open
            }
        for row in list(self.open):
            if self._watched[row.number].due_mono <= self._clock.mono():
                self._look(row, looks, facts)
        if self._stale:
            return 0.0
        if not self.open:
            return None
        soonest = min(watched.due_mono for watched in self._watched.values())
        return max(soonest - self._clock.mono(), 0.0)

    def _look(self, row: EffectRow, looks: Looks, facts: SourceFacts) -> None:
        watched = self._watched[row.number]
        wait_s = LOOKS_S[min(watched.looks, len(LOOKS_S) - 1)]
        watched.due_mono = self._clock.mono() + wait_s
        try:
            sight, found = self._sight(row, looks, facts)
        except (PmsError, JournalError):
            raise
        except _Hidden:
            looks.insist()
            watched.looks += 1
            log.info("effect.hidden", kind=row.effect.kind.value)
            return
        except Exception as error:  # noqa: BLE001 - one effect must not stop all others for ever
            log.error("probe.bug", kind=row.effect.kind.value, error=type(error).__name__)
            sight, found = Sight(Shows.UNSURE), None
        looks.insist()
        watched.looks += 1
        if sight.shows is Shows.DONE:
            self._done(row, sight, found, looks)
        elif self._is_over(row, watched):
            self._give_up(row, sight)
        else:
            return
        log.info("effect.probed", kind=row.effect.kind.value, shows=sight.shows.value)
        self._stale = True

    def _is_over(self, row: EffectRow, watched: _Watched) -> bool:
        """Enough looks, and the PMS cannot be at it any more."""
        if watched.looks < LEAST_LOOKS:
            return False
        if self._clock.mono() - watched.first_mono >= self._window_s():
            return True
        # By another life, then; the clock may have been set while we looked, and a turn heeds it.
        with self._journal.turn():
            now = self._clock.now()
        held = self._journal.effect(row.number)
        return held is not None and (now - held.planned_at).total_seconds() >= self._window_s()

    def _sight(
        self, row: EffectRow, looks: Looks, facts: SourceFacts
    ) -> tuple[Sight, Found | None]:
        effect = row.effect
        if not can_be_read_back(effect):
            said_yes = row.state is EffectState.WRITTEN
            return Sight(Shows.DONE if said_yes else Shows.UNSURE, row.key), None
        key = row.key if row.key is not None else effect.key
        try:
            if effect.kind not in CREATES:
                return self._changed(row, key, looks)
            if key is not None:
                return self._made(row, key, looks)
            records = self._candidates(row, looks, facts)
            if records is None:
                return Sight(Shows.UNSURE), None
            above = None if facts.random_keys else row
            free = nobodys(self._journal, effect.stream, records, above=above)
            sight = judge_create(row, free)
            if sight.shows is not Shows.DONE:
                sight = self._made_once(row, sight, nearly(row, free), looks)
            if sight.shows is Shows.NOT_DONE and (
                self._is_older_than_source(row) or self._is_anothers_by_number(row, records, above)
            ):
                sight = Sight(Shows.UNSURE)
            if sight.shows is Shows.NOT_DONE and not facts.random_keys:
                self._insist_whole(row, records, looks)
            if sight.key is None:
                return sight, None
            return self._with_found(row, sight, looks.record(effect.stream, sight.key))
        except Unreadable:
            return Sight(Shows.UNSURE), None

    def _changed(self, row: EffectRow, key: Key | None, looks: Looks) -> tuple[Sight, Found | None]:
        if key is None:
            return Sight(Shows.UNSURE), None
        effect = row.effect
        found = looks.record(effect.stream, key)
        sight = judge_update(row, found.fields if found else None)
        if sight.shows is Shows.DONE or effect.kind not in COPIED or row.floor is None:
            return sight, found
        if self._is_older_than_source(row):
            return sight, found  # copies are given their keys again, too
        copies = looks.past(effect.stream, row.floor, key=key)
        if copies is None:
            return sight, found
        if was_held(row, copies):
            return self._with_found(row, Sight(Shows.DONE, key), found)
        if sight.shows is Shows.UNSURE and self._leaves_copies(effect.kind, looks):
            return Sight(Shows.NOT_DONE), found
        return sight, found

    def _made(self, row: EffectRow, key: Key, looks: Looks) -> tuple[Sight, Found | None]:
        effect = row.effect
        found = looks.record(effect.stream, key)
        sight = judge_made(row, key, found.fields if found else None)
        if sight.shows is not Shows.DONE and effect.kind in COPIED:
            copies = looks.past(effect.stream, 0, key=key)
            then = judge_made_copies(row, [key], copies or [])
            if then.shows is Shows.DONE:
                return self._with_found(row, then, found)
        if found is None and sight.shows is not Shows.DONE:
            self._insist_there(effect.stream, [key], ())
        return sight, found

    def _insist_whole(
        self, row: EffectRow, records: Mapping[Key, dict[str, Any]], looks: Looks
    ) -> None:
        """Raise _Hidden unless what the mirror holds from the floor on is there."""
        stream, floor = row.effect.stream, row.floor
        self._insist_there(stream, [*self._journal.held_range(stream, floor, None)], records)
        if floor is not None and looks.record(stream, floor) is None:
            self._insist_there(stream, [floor], ())

    def _insist_there(self, stream: Stream, keys: Sequence[Key], there: Container[Key]) -> None:
        missing = [key for key in keys if key not in there]
        if any(not held.gone for held in self._journal.held(stream, missing).values()):
            raise _Hidden

    def _made_once(self, row: EffectRow, sight: Sight, near: list[Key], looks: Looks) -> Sight:
        """Nothing reads like it now: what do the PMS's own copies and its log say?"""
        effect = row.effect
        patient = row.after.get("patient_key")
        if effect.kind in COPIED and row.floor is not None and patient is not None:
            copies = looks.past(effect.stream, row.floor, patient=as_key(patient))
            if copies is None:
                return sight
            known = nobodys(self._journal, effect.stream, {c.key: c.fields for c in copies})
            return judge_made_copies(row, near, [c for c in copies if c.key in known])
        if sight.shows is Shows.UNSURE and effect.kind is EffectKind.CREATE_PATIENT:
            entered = looks.entered(effect.stream, near)
            return judge_entered(near, entered, ours_are_marked=self._marks_ours(looks))
        return sight

    @staticmethod
    def _with_found(
        row: EffectRow, sight: Sight, found: Found | None
    ) -> tuple[Sight, Found | None]:
        """With what the record says otherwise by now."""
        if sight.shows is not Shows.DONE or found is None:
            return sight, found
        unlike = differing(row.effect, row.after, found.fields)
        return replace(sight, unlike=tuple(sorted(unlike))), found

    def _is_older_than_source(self, row: EffectRow) -> bool:
        """A backup was put back since: keys are given away again from below the floor, and what is
        not found above it may have been written late all the same. A person can tell."""
        before = self._journal.mark(BEFORE_ACCEPTED)
        return before is not None and row.number <= int(before)

    def _is_anothers_by_number(
        self, row: EffectRow, records: Mapping[Key, dict[str, Any]], above: EffectRow | None
    ) -> bool:
        """Whether a record that others of ours made reads as this effect wished and as none of
        them did: theirs was deleted, and its number given away again, perhaps to this one, carried
        out late."""

        def is_like(made: EffectRow, record: dict[str, Any]) -> bool:
            return not differing(made.effect, made.after, record)

        for key, record in records.items():
            if not is_like(row, record):
                continue
            makers = makers_of(self._journal, row.effect.stream, key, above)
            if makers and not any(is_like(maker, record) for maker in makers):
                return True
        return False

    # -- what this site's traces are worth --------------------------------------------------------

    def _leaves_copies(self, kind: EffectKind, looks: Looks) -> bool:
        """Whether the last proven effects of this kind all left a copy here: only then does a
        missing one say that nothing was written."""
        if kind not in self._copying:
            left = [
                was_held(row, looks.past(row.effect.stream, row.floor, key=row.effect.key) or [])
                for row in self._proven(kind)
                if row.floor is not None
            ]
            if not left or not all(left):
                return False
            self._copying.add(kind)
        return True

    def _marks_ours(self, looks: Looks) -> bool:
        """Whether the last patients we entered are marked as a program's in the PMS's log."""
        made = [row.key for row in self._proven(EffectKind.CREATE_PATIENT) if row.key is not None]
        entered = looks.entered(Stream.PATIENT, made)
        return bool(made) and all(entered.get(key) is True for key in made)

    def _proven(self, kind: EffectKind) -> list[EffectRow]:
        rows = self._journal.effects_recent(MOST_LEARNT)
        proven = [r for r in rows if r.effect.kind is kind and r.state is EffectState.VERIFIED]
        return proven[:LEARN_FROM]

    def _candidates(
        self, row: EffectRow, looks: Looks, facts: SourceFacts
    ) -> dict[Key, dict[str, Any]] | None:
        """Records that may be the one; None where no question finds them all: what is missing in
        a part of them proves nothing."""
        stream = row.effect.stream
        if not facts.random_keys:
            above = looks.above(stream, row.floor, MOST_CANDIDATES)
            if len(above) >= MOST_CANDIDATES:
                return None
            return looks.records(stream, [*self._given_again(row, looks), *above])
        if stream is Stream.APPOINTMENT:
            start = moment(row.after.get("start"), "start")
            return looks.day(looks.local_date(start))
        lanes = facts.streams[stream].lanes
        if not lanes:
            return None  # random keys, no stamps: only a person can tell
        since = row.planned_at - LATELY
        keys = looks.since(stream, lanes[0].name, since, MOST_CANDIDATES)
        if len(keys) >= MOST_CANDIDATES:
            return None
        return looks.records(stream, keys)

    def _given_again(self, row: EffectRow, looks: Looks) -> list[Key]:
        """The number that was the newest when the effect was planned, unless the mirror knows that
        its record reads as it did then: some servers give it away again, perhaps to ours."""
        stream = row.effect.stream
        found = None if row.floor is None else looks.record(stream, row.floor)
        if found is None:
            return []
        (reads,), _ = looks.map_of(stream).observe(found.page)
        held = self._journal.held(stream, [found.key]).get(found.key)
        planned_lsn = self._journal.intended_lsn(row.number)
        if held is not None and held.hash == reads.hash and held.seen_lsn <= planned_lsn:
            return []
        return [found.key]

    # -- decisions --------------------------------------------------------------------------------

    def _done(self, row: EffectRow, sight: Sight, found: Found | None, looks: Looks) -> None:
        def also(turn: Turn) -> None:
            self._resume(turn, row)
            if row.undoes is not None:
                turn.undo_state(row.undoes, UndoState.USED)

        proof = Proof(row.number, sight.key, found, sight.unlike)
        self._writing.settle(row.effect, proof, looks, also)
        made = row.effect.kind in CREATES and can_be_read_back(row.effect)
        if made and found is None and sight.key is not None:
            self._writing.gone(row.effect.stream, sight.key)

    def _give_up(self, row: EffectRow, sight: Sight) -> None:
        with self._journal.turn() as turn:
            if sight.shows is not Shows.NOT_DONE:
                turn.effect_unknown(row.number, "probe.ambiguous")
                self._unknown(turn, row, "probe.ambiguous")
            elif row.state is EffectState.WRITTEN:
                turn.effect_failed(row.number, "write.not_kept")
                self._not_kept(turn, row)
            else:
                turn.effect_failed(row.number, "probe.not_done")
                self._resume(turn, row)

    def _resume(self, turn: Turn, row: EffectRow) -> None:
        """The command goes on from what is known now."""
        if row.command_id is None:
            return
        held = self._journal.command(row.command_id)
        if held is not None and held.state is not CommandState.DONE:
            turn.command_state(row.command_id, CommandState.WORKING, due_at=self._clock.now())


def nobodys(
    journal: Journal,
    stream: Stream,
    records: dict[Key, dict[str, Any]],
    *,
    above: EffectRow | None = None,
) -> dict[Key, dict[str, Any]]:
    """Without those an effect of ours is known to have made (see ``makers_of``)."""
    return {
        key: record for key, record in records.items() if not makers_of(journal, stream, key, above)
    }


def makers_of(
    journal: Journal, stream: Stream, key: Key, above: EffectRow | None
) -> list[EffectRow]:
    """Effects of ours known to have made this record.

    ``above``: the record lies above this effect's floor, so it did not exist when that was planned.
    One that an effect settled before had made was lost to a restored database, and its key was
    given away again.
    """

    def has_made(other: EffectRow) -> bool:
        if other.effect.kind not in CREATES:
            return False
        is_open = other.settled_at is None
        return above is None or is_open or journal.is_settled_since(other.number, above.number)

    return [other for other in journal.effects_on(stream, key, _EVER) if has_made(other)]


def settle_by_person(
    journal: Journal, clock: Clock, number: int, *, happened: bool, key: Key | None, actor: str
) -> str:
    """A person looked into the PMS. "" when taken, else the code of why not."""
    row = journal.effect(number)
    if row is None:
        return "effect.not_found"
    if row.state is not EffectState.UNKNOWN:
        return "effect.not_unknown"
    made = key if key is not None else row.key if row.key is not None else row.effect.key
    if happened and made is None and can_be_read_back(row.effect):
        return "effect.key_needed"
    with journal.turn() as turn:
        if happened:
            turn.effect_verified(number, made)
        else:
            turn.effect_failed(number, "effect.person_says_not_done")
        turn.audit("effect.settled_by_person", {"effect": number, "actor": actor})
        if row.command_id is not None:
            held = journal.command(row.command_id)
            if held is not None and held.state is not CommandState.DONE:
                turn.command_state(row.command_id, CommandState.WORKING, due_at=clock.now())
    return ""
