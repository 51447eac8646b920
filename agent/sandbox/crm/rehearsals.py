"""Rehearsals: an agent has this CRM ask it something about its own test people (go-live tests).

Imports Starlette and this package. A rehearsal is an ordinary command, made by the agent's word;
it may only concern a patient whose last name is the test people's.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from agent.sandbox.crm.core import Core
from agent.sandbox.crm.http import answer, read_json
from agent.sandbox.crm.orders import CannotOrder, Order, place_order
from agent.sandbox.crm.problems import Refusal
from agent.sandbox.crm.schema import TYPE_ID

LAST_NAME: Final = "Bridgework-Test"
MADE_BY: Final = "rehearsal"


class _Target(msgspec.Struct, frozen=True):
    type: str
    key: str


class _Rehearsal(msgspec.Struct, frozen=True):
    type: str
    target: _Target
    payload: dict[str, Any]
    precondition: dict[str, Any] = {}


class Rehearsals:
    """The two endpoints. Refusals: 403 not-a-test-record, 409 command-refused, 404."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def rehearse(self, request: Request, _: object) -> Response:
        asked = await read_json(request, _Rehearsal)
        if asked.target.type != "patient" or not self._is_test_person(asked.target.key):
            raise Refusal(403, "not-a-test-record")
        order = Order(
            asked.type,
            asked.payload,
            target=msgspec.to_builtins(asked.target),
            precondition=asked.precondition,
            priority=10,
            made_by=MADE_BY,
        )
        try:
            command_id = place_order(self._core.store, order)
        except CannotOrder as cannot:
            raise cannot.refusal() from None
        self._core.wakeups.ring("commands", "orders")
        return answer({"command_id": command_id}, status=201)

    async def state(self, request: Request, _: object) -> Response:
        row = self._core.store.execute(
            "SELECT state, result FROM command WHERE id = ? AND made_by = ?",
            (request.path_params["id"], MADE_BY),
        ).fetchone()
        if row is None:
            raise Refusal(404, "not-found")
        outcome = None if row[1] is None else msgspec.Raw(str(row[1]).encode())
        return answer({"state": row[0], "outcome": outcome})

    def _is_test_person(self, key: str) -> bool:
        row = self._core.store.execute(
            "SELECT json_extract(b.json, '$.last_name') FROM record r JOIN body b ON b.rid = r.rid"
            " WHERE r.type = ? AND r.key = ?",
            (TYPE_ID["patient"], key),
        ).fetchone()
        return row is not None and row[0] == LAST_NAME
