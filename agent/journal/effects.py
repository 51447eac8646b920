"""Writes to the PMS: intent, pre-image, undo image and how they ended. Part of a turn.

T2: ``intend`` commits before anything leaves. T3: an effect's end, the command's outcome, the
mirror row and the audit rows share a turn; the caller sees to that. T5: an intent or a written
effect is found by ``effects_open`` after a restart and probed before anything else.

Images are sealed, and the audit row of the intent holds the digest of the sealed bytes: so the
chain proves the images without containing a word of them, and nothing can be guessed back.
"""

from __future__ import annotations

from typing import Any

from agent.journal.packing import Image, pack, unpack_image
from agent.journal.pulled import EffectState, UndoState
from agent.journal.seal import effect_context
from agent.journal.values import fetch
from agent.journal.writer import Writer
from agent.model.effects import Effect
from agent.model.reading import Key

_FROM = {
    EffectState.WRITTEN: {EffectState.INTENT},
    EffectState.VERIFIED: {EffectState.INTENT, EffectState.WRITTEN, EffectState.UNKNOWN},
    EffectState.FAILED: {EffectState.INTENT, EffectState.WRITTEN, EffectState.UNKNOWN},
    EffectState.UNKNOWN: {EffectState.INTENT, EffectState.WRITTEN},
}


class Effects(Writer):
    """The part of a turn that changes effects."""

    def intend(
        self,
        op_id: bytes,
        *,
        command_id: str | None,
        group: str,
        effect: Effect,
        before: dict[str, Any],
        after: dict[str, Any],
        inverse: Effect | None,
        floor: Key | None,
        actor: str,
        undoes: int | None = None,
    ) -> int:
        """The durable intent; its number. Commit this turn before anything leaves.

        An ``op_id`` that certainly FAILED becomes an intent again, with these images. Any other
        known one is left as it is and its number returned: look at the state before writing, for
        the effect may have happened. Raises ValueError for a known ``op_id`` with other images.
        """
        image = Image(effect, before, after, inverse)
        packed = pack(image)
        rows = fetch(self._db, "SELECT number, state, image FROM effect WHERE op_id = ?", (op_id,))
        undo = UndoState.BLOCKED if inverse is None else UndoState.ARMED
        number: int
        if rows:
            number, state, sealed = rows[0]
            if state != EffectState.FAILED.value:
                context = effect_context(op_id)
                if sealed is not None and unpack_image(self._seal.open(sealed, context)) != (
                    unpack_image(packed)
                ):
                    raise ValueError("a known operation id with other images")
                return number
        sealed = self._seal.seal(packed, effect_context(op_id))
        bound = (
            command_id,
            group,
            effect.kind.value,
            self._streams[effect.stream],
            effect.key,
            floor,
            EffectState.INTENT.value,
            undo.value,
            sealed,
            actor,
            self._at,
            undoes,
            self._head.seq + 1,  # of the audit row below
            op_id,
        )
        if rows:
            self._db.execute(
                "UPDATE effect SET command = ?, bundle = ?, kind = ?, stream = ?, key = ?,"
                " floor = ?, state = ?, undo = ?, image = ?, actor = ?, planned_at = ?,"
                " undoes = ?, intent_seq = ?, settled_at = NULL, why = '' WHERE op_id = ?",
                bound,
            )
            number = rows[0][0]
        else:
            self._db.execute(
                "INSERT INTO effect(command, bundle, kind, stream, key, floor, state, undo, image,"
                " actor, planned_at, undoes, intent_seq, op_id)"
                " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                bound,
            )
            number = self._db.last_insert_rowid()
        self.audit(
            "effect.intended",
            {
                "effect": number,
                "op": op_id.hex(),
                "kind": effect.kind.value,
                "stream": effect.stream.value,
                "command": command_id or "",
                "actor": actor,
                "undoes": undoes or 0,
            },
            sealed,
        )
        return number

    def effect_written(self, number: int, key: Key | None) -> None:
        """The PMS said yes; not read back yet. ``key``: of the record made, where it said one."""
        self._end(number, EffectState.WRITTEN, key=key)

    def effect_verified(self, number: int, key: Key | None) -> None:
        """Read back and equal (or found done by a probe). Same turn: mirror, outcome (T3)."""
        self._end(number, EffectState.VERIFIED, key=key)

    def effect_failed(self, number: int, why: str) -> None:
        """Certainly not done. ``why``: message code. There is nothing to undo."""
        self._end(number, EffectState.FAILED, why=why)

    def effect_unknown(self, number: int, why: str) -> None:
        """Ambiguous even after a probe: a person decides (then verified or failed)."""
        self._end(number, EffectState.UNKNOWN, why=why)

    def undo_state(self, number: int, state: UndoState) -> None:
        """What can be done about an effect from now on."""
        self._db.execute("UPDATE effect SET undo = ? WHERE number = ?", (state.value, number))
        if not self._db.changes():
            raise ValueError("no such effect")

    def _end(
        self, number: int, state: EffectState, *, key: Key | None = None, why: str = ""
    ) -> None:
        """Move on; again into the same state is nothing, backwards raises ValueError."""
        rows = fetch(self._db, "SELECT state, command FROM effect WHERE number = ?", (number,))
        if not rows:
            raise ValueError("no such effect")
        before, command_id = EffectState(rows[0][0]), rows[0][1]
        if before is state:
            return
        if before not in _FROM[state]:
            raise ValueError(f"an effect cannot go from {before.value} to {state.value}")
        settled = state in (EffectState.VERIFIED, EffectState.FAILED)
        self._db.execute(
            "UPDATE effect SET state = ?, key = coalesce(?, key), why = ?, settled_at = ?,"
            " undo = CASE WHEN ? THEN 'blocked' ELSE undo END WHERE number = ?",
            (
                state.value,
                key,
                why,
                self._at if settled else None,
                state is EffectState.FAILED,
                number,
            ),
        )
        if state is not EffectState.WRITTEN:
            self.audit(
                f"effect.{state.value}",
                {"effect": number, "command": command_id or "", "why": why},
            )
