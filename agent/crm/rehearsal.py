"""What a go-live test asks of the CRM: what it holds, and to ask us something.

``rehearse`` has the CRM queue a command for the asking agent, as a person there would; the CRM
takes it only about records that carry the test people's last name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from agent.crm.auth import Auth
from agent.crm.line import Line
from agent.crm.transport import Transport
from agent.crm.wire import decode
from agent.model.commands import CommandOutcome, CommandType, EndState
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.ports import Clock

_JSON = {"content-type": "application/json"}
_MOST_ITEMS = 2000  # of one diff; the contract's bound


class _Stored(msgspec.Struct, frozen=True):
    state: str
    data: dict[str, Any] | None = None


class _Differing(msgspec.Struct, frozen=True):
    type: str
    key: str


class _DiffAnswer(msgspec.Struct, frozen=True):
    items: list[_Differing]


class _Queued(msgspec.Struct, frozen=True):
    command_id: str


class _Rehearsed(msgspec.Struct, frozen=True):
    state: str
    outcome: CommandOutcome | None = None


class Rehearsal:
    """The CRM's side of a go-live test. Every method raises the Crm* errors."""

    def __init__(self, transport: Transport, auth: Auth, clock: Clock) -> None:
        self._line = Line(transport, auth, clock, quota="pull")

    def record(self, stream: Stream, key: Key) -> dict[str, Any] | None:
        """The live record as the CRM holds it; None while it holds none."""
        answer = self._line.call(
            "GET",
            f"/v1/records/{stream.value}/{quote(str(key), safe='')}",
            route="record",
            expected=(200, 404),
        )
        if answer.status == 404:
            return None
        stored = decode(answer.body, _Stored)
        return stored.data if stored.state == "live" else None

    def differing(self, held: Mapping[tuple[Stream, Key], bytes]) -> set[tuple[Stream, Key]]:
        """Of these records (content hashes of 16 bytes) those the CRM lacks or holds otherwise."""
        places = list(held)
        found: set[tuple[Stream, Key]] = set()
        for start in range(0, len(places), _MOST_ITEMS):
            asked = {(s.value, str(k)): (s, k) for s, k in places[start : start + _MOST_ITEMS]}
            items = [
                {"type": stream, "key": key, "hash": held[place].hex()}
                for (stream, key), place in asked.items()
            ]
            answer = self._line.call(
                "POST",
                "/v1/sync/diff",
                route="diff",
                body=msgspec.json.encode({"items": items}),
                headers=_JSON,
            )
            found |= {asked[i.type, i.key] for i in decode(answer.body, _DiffAnswer).items}
        return found

    def rehearse(
        self, kind: CommandType, key: Key, payload: dict[str, Any], expected: dict[str, Any]
    ) -> str:
        """Queue this about test patient ``key``; the command's id."""
        body = {
            "type": kind.value,
            "target": {"type": Stream.PATIENT.value, "key": str(key)},
            "precondition": {"expected": expected},
            "payload": payload,
        }
        answer = self._line.call(
            "POST",
            "/v1/agents/self/rehearsals",
            route="rehearse",
            body=msgspec.json.encode(body),
            headers=_JSON,
            expected=(201,),
        )
        return decode(answer.body, _Queued).command_id

    def outcome(self, command_id: str) -> CommandOutcome | None:
        """How a rehearsed command ended; None until it did."""
        answer = self._line.call(
            "GET", f"/v1/agents/self/rehearsals/{quote(command_id, safe='')}", route="rehearsal"
        )
        said = decode(answer.body, _Rehearsed)
        ended = said.state in set(EndState) and EndState(said.state).is_terminal
        return (said.outcome or CommandOutcome(EndState(said.state))) if ended else None
