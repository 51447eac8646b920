"""Fields both sides changed, and decisions a person asked to remember. Part of a turn.

One question is one row: the same field of the same record for the same command, asked again after a
crash, finds its row. A resolution that is undone keeps its row and opens the question anew.
"""

from __future__ import annotations

from typing import Any

from agent.journal.packing import Evidence, pack, unpack_evidence
from agent.journal.pulled import ConflictKind, ConflictState, Winner
from agent.journal.seal import conflict_context
from agent.journal.values import Row, fetch
from agent.journal.writer import Writer
from agent.model.reading import Key
from agent.model.streams import Stream


class Conflicts(Writer):
    """The part of a turn that changes conflicts and remembered policies."""

    def open_conflict(
        self,
        stream: Stream,
        key: Key,
        field: str,
        kind: ConflictKind,
        policy: str,
        *,
        base: Any,
        pms: Any,
        crm: Any,
        result: Any,
        winner: Winner | None,
        auto: bool,
        actor: str,
        command_id: str | None,
    ) -> int:
        """Record one field both sides changed; its number.

        ``auto``: resolved by policy, the loser is kept (``winner`` says who won, ``result`` what
        holds); else it is OPEN until a person settles it. A row of the same field, command and
        state takes the new values; it is told to the CRM again only if they differ.
        """
        state = ConflictState.AUTO if auto else ConflictState.OPEN
        number = self._streams[stream]
        evidence = Evidence(base, pms, crm, result)
        context = conflict_context(stream, key, field)
        sealed = self._seal.seal(pack(evidence), context)
        same = fetch(
            self._db,
            "SELECT number, evidence FROM conflict WHERE stream = ? AND key = ? AND field = ?"
            " AND command IS ? AND state = ? ORDER BY number DESC LIMIT 1",
            (number, key, field, command_id, state.value),
        )
        # A later automatic resolution without a command is a new event, not the same one again.
        if same and (command_id is not None or not auto):
            if self._evidence(same[0][1], context) != unpack_evidence(pack(evidence)):
                self._db.execute(
                    "UPDATE conflict SET evidence = ?, kind = ?, policy = ?, winner = ?, told = 0"
                    " WHERE number = ?",
                    (sealed, kind.value, policy, winner and winner.value, same[0][0]),
                )
            return int(same[0][0])
        self._db.execute(
            "INSERT INTO conflict(stream, key, field, kind, policy, evidence, winner, state,"
            " actor, command, at, settled_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                number,
                key,
                field,
                kind.value,
                policy,
                sealed,
                winner and winner.value,
                state.value,
                actor,
                command_id,
                self._at,
                self._at if auto else None,
            ),
        )
        opened = self._db.last_insert_rowid()
        self._audit_conflict(f"conflict.{state.value}", opened, stream, field, winner, actor)
        return opened

    def settle_conflict(self, number: int, winner: Winner, result: Any, actor: str) -> None:
        """A person decided: RESOLVED; ``result`` is what shall hold. Told to the CRM again.

        The same decision again is nothing; a row that is not OPEN raises ValueError.
        """
        row = self._conflict(number)
        stream, key, field, state, sealed, held_winner = row
        context = conflict_context(stream, key, field)
        known = self._evidence(sealed, context)
        evidence = Evidence(known.base, known.pms, known.crm, result)
        if state is ConflictState.RESOLVED and held_winner == winner.value and known == evidence:
            return
        if state is not ConflictState.OPEN:
            raise ValueError("a conflict that is not open")
        self._db.execute(
            "UPDATE conflict SET state = ?, winner = ?, evidence = ?, actor = ?, settled_at = ?,"
            " told = 0 WHERE number = ?",
            (
                ConflictState.RESOLVED.value,
                winner.value,
                self._seal.seal(pack(evidence), context),
                actor,
                self._at,
                number,
            ),
        )
        self._audit_conflict("conflict.resolved", number, stream, field, winner, actor)

    def undo_conflict(self, number: int, actor: str) -> int:
        """Take back a resolution (AUTO or RESOLVED): the row becomes UNDONE, and the question is
        OPEN anew in a row of its own, whose number this returns. ValueError for other states."""
        stream, key, field, state, sealed, _ = self._conflict(number)
        if state not in (ConflictState.AUTO, ConflictState.RESOLVED):
            raise ValueError("a conflict that was not resolved")
        self._db.execute(
            "UPDATE conflict SET state = ?, actor = ?, settled_at = ?, told = 0 WHERE number = ?",
            (ConflictState.UNDONE.value, actor, self._at, number),
        )
        self._audit_conflict("conflict.undone", number, stream, field, None, actor)
        kind, policy, command_id = fetch(
            self._db, "SELECT kind, policy, command FROM conflict WHERE number = ?", (number,)
        )[0]
        known = self._evidence(sealed, conflict_context(stream, key, field))
        return self.open_conflict(
            stream,
            key,
            field,
            ConflictKind(kind),
            policy,
            base=known.base,
            pms=known.pms,
            crm=known.crm,
            result=None,
            winner=None,
            auto=False,
            actor=actor,
            command_id=command_id,
        )

    def conflict_told(self, number: int, state: ConflictState) -> None:
        """The CRM acknowledged this state. Ignored when another one holds by now."""
        self._db.execute(
            "UPDATE conflict SET told = 1 WHERE number = ? AND state = ?", (number, state.value)
        )

    def remember_policy(self, stream: Stream, field: str, winner: Winner, actor: str) -> None:
        """From now on this side wins collisions of this field."""
        self._db.execute(
            "INSERT INTO policy(stream, field, winner, actor, at) VALUES (?,?,?,?,?)"
            " ON CONFLICT(stream, field) DO UPDATE SET winner = excluded.winner,"
            " actor = excluded.actor, at = excluded.at",
            (self._streams[stream], field, winner.value, actor, self._at),
        )
        self._audit_conflict("policy.remembered", 0, stream, field, winner, actor)

    def forget_policy(self, stream: Stream, field: str, actor: str = "") -> None:
        """The data map decides again."""
        self._db.execute(
            "DELETE FROM policy WHERE stream = ? AND field = ?", (self._streams[stream], field)
        )
        if self._db.changes():
            self._audit_conflict("policy.forgotten", 0, stream, field, None, actor)

    def _conflict(self, number: int) -> Row:
        rows = fetch(
            self._db,
            "SELECT stream, key, field, state, evidence, winner FROM conflict WHERE number = ?",
            (number,),
        )
        if not rows:
            raise ValueError("no such conflict")
        names = {known: stream for stream, known in self._streams.items()}
        stream, key, field, state, sealed, winner = rows[0]
        return names[stream], key, field, ConflictState(state), sealed, winner

    def _evidence(self, sealed: bytes, context: bytes) -> Evidence:
        return unpack_evidence(self._seal.open(sealed, context))

    def _audit_conflict(
        self,
        act: str,
        number: int,
        stream: Stream,
        field: str,
        winner: Winner | None,
        actor: str,
    ) -> None:
        self.audit(
            act,
            {
                "conflict": number,
                "stream": stream.value,
                "field": field,
                "winner": winner.value if winner else "",
                "actor": actor,
            },
        )
