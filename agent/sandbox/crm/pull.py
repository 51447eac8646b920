"""Endpoints of the contract for the way back: commands, the CRM's people, links, conflicts, hints.

Imports Starlette and this package. ``api`` puts them behind their scopes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from joserfc.jwk import OKPKey
from starlette.requests import Request
from starlette.responses import Response

from agent.model.commands import CommandType
from agent.sandbox.crm import conflicts, http, people
from agent.sandbox.crm.accounts import Caller
from agent.sandbox.crm.commands import Lease
from agent.sandbox.crm.core import Core
from agent.sandbox.crm.envelopes import sign
from agent.sandbox.crm.faults import FaultKind, Forgery
from agent.sandbox.crm.http import CUT, Listener, answer, read_json
from agent.sandbox.crm.problems import Refusal
from agent.sandbox.crm.schema import now_us
from agent.sandbox.crm.shapes import (
    ChangesQuery,
    CommandResult,
    Conflicts,
    ContactsQuery,
    EventsQuery,
    LinkReport,
    Links,
    Poll,
)

KEY_CHARS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-")
_NOBODY: Final = frozenset({" gone", " superseded"})  # sort first: heard before anything else
_TO_LEASE: Final = frozenset({"commands", *_NOBODY})
_CHANGES: Final = frozenset({"changes"})
_HINTS: Final = {kind: kind for kind in ("commands", "contacts", "changes", "config")}
_MOST_REPORTS: Final = 4_000_000  # bytes of a body of links or conflicts
_AGAIN: Final = 3  # how many old commands a REDELIVER fault sends once more


class PullApi:
    """The caller's rights are checked before these are called."""

    def __init__(self, core: Core) -> None:
        self._core = core

    # --- commands -------------------------------------------------------------------------------

    async def poll(self, request: Request, caller: Caller) -> Response:
        asked = await read_json(request, Poll)
        core = self._core
        errors = {command_id: error.reason for command_id, error in asked.errs.items()}
        if core.commands.acknowledge(caller.client_id, asked.ack, errors):
            core.wakeups.ring("orders")
        core.capable(caller.client_id, asked.capabilities, msgspec.UNSET)
        leased: list[Lease] = []
        more = False
        with core.wakeups.listening() as listener:
            core.polls.begin(caller.client_id, listener)
            try:
                if not asked.max:
                    leased, more = self._lease(caller, asked)
                else:
                    leased, more = await self._wait(request, caller, asked, listener)
            finally:
                core.polls.end(caller.client_id, listener)
        if leased:
            core.wakeups.ring("orders")
            leased = self._faulty(request, caller, leased)
        return answer({"commands": leased, "more": more})

    async def _wait(
        self, request: Request, caller: Caller, asked: Poll, listener: Listener
    ) -> tuple[list[Lease], bool]:
        """Lease now, or when something can be leased, or give up when the time is over."""
        ends_at = time.monotonic() + self._wait_s(asked.wait_s)
        leased, more = self._lease(caller, asked)
        if leased or ends_at <= time.monotonic():
            return leased, more
        async with _line_watched(request, listener):
            while not leased and (left_s := ends_at - time.monotonic()) > 0:
                due_us = self._core.commands.next_due_us()
                wait_s = left_s if due_us is None else min(left_s, (due_us - now_us()) / 1e6 + 1e-3)
                rung = await listener.hear(_TO_LEASE, max(wait_s, 1e-3))
                if rung in _NOBODY or self._core.wakeups.is_closed:
                    return [], False  # nobody reads this answer: lease nothing for it
                leased, more = self._lease(caller, asked)
        return leased, more

    def _lease(self, caller: Caller, asked: Poll) -> tuple[list[Lease], bool]:
        commands, faults = self._core.commands, self._core.faults
        if not asked.max:
            return commands.lease(caller.client_id, asked.capabilities, 0)
        is_reversed = commands.waiting() > 0 and faults.of_poll(FaultKind.REORDER) is not None
        return commands.lease(
            caller.client_id, asked.capabilities, asked.max, is_reversed=is_reversed
        )

    def _faulty(self, request: Request, caller: Caller, leased: list[Lease]) -> list[Lease]:
        """What is on its way to the agent, as the armed faults leave it."""
        faults = self._core.faults
        if faults.of_poll(FaultKind.REDELIVER) is not None:
            again = self._core.commands.delivered_to(caller.client_id, len(leased) + _AGAIN)
            leased = [*leased, *again]
        forged = faults.of_poll(FaultKind.FORGED)
        if forged is not None:
            leased = [self._forge(one, Forgery(forged.outcome)) for one in leased]
        if faults.of_poll(FaultKind.LEASE_CUT) is not None:
            request.scope[CUT] = True
        return leased

    def _forge(self, one: Lease, how: Forgery) -> Lease:
        seal_at = self._core.sealer.seal_at
        body, stamp = str(one.envelope["body"]), int(one.envelope["timestamp"])
        if how is Forgery.TAMPERED:
            envelope = {**one.envelope, "body": body.replace('"priority":', '"priority":1', 1)}
        elif how is Forgery.STALE:
            envelope = seal_at(one.command_id, body, stamp - 400)
        elif how is Forgery.EARLY:
            envelope = seal_at(one.command_id, body, stamp + 400)
        elif how is Forgery.WRONG_KEY:
            text = f"{one.command_id}.{stamp}.{body}".encode()
            envelope = {**one.envelope, "signature": sign(OKPKey.generate_key("Ed25519"), text)}
        elif how is Forgery.WRONG_PRACTICE:
            told = msgspec.json.decode(body)
            told["practice_id"] = "somebody-else"
            envelope = seal_at(one.command_id, msgspec.json.encode(told).decode(), stamp)
        else:
            envelope = {**one.envelope, "id": f"{one.command_id}0"}
        return Lease(one.command_id, one.lease_until, envelope)

    async def command_result(self, request: Request, _: Caller) -> Response:
        command_id = request.path_params["id"]
        if not 0 < len(command_id) <= 128 or not set(command_id) <= KEY_CHARS:
            raise Refusal(400, "invalid-request", "id")
        result = await read_json(request, CommandResult)
        if result.state == "rejected" and result.reason_code is msgspec.UNSET:
            raise Refusal(400, "invalid-request", "reason_code")
        told: dict[str, Any] = msgspec.to_builtins(result)
        state, is_news = self._core.commands.finish(command_id, result.state, told)
        if is_news:
            self._core.wakeups.ring("orders")
            if state == "applied":
                self._after_applied(command_id)
        return answer({"command_id": command_id, "state": state})

    def _after_applied(self, command_id: str) -> None:
        row = self._core.store.execute(
            "SELECT patient FROM command WHERE id = ? AND type = ?",
            (command_id, CommandType.FORGET.value),
        ).fetchone()
        if row is not None and row[0] and people.forget_patient(self._core.store, str(row[0])):
            self._core.wakeups.ring("contacts")

    # --- people and conflicts -------------------------------------------------------------------

    async def contacts(self, request: Request, _: Caller) -> Response:
        asked = http.query(request, ContactsQuery)
        if not asked.cursor:
            people.prune(self._core.store)
        page, cursor, more = people.feed(self._core.store, asked.cursor, asked.limit)
        return answer({"contacts": page, "next_cursor": cursor, "more": more})

    async def links(self, request: Request, _: Caller) -> Response:
        told = await read_json(request, Links, _MOST_REPORTS)
        taken, is_news = people.take_links(self._core.store, [_link(one) for one in told.links])
        if is_news:
            self._core.wakeups.ring("links")
        return answer({"taken": taken})

    async def conflicts(self, request: Request, _: Caller) -> Response:
        told = await read_json(request, Conflicts, _MOST_REPORTS)
        taken, is_news = conflicts.take(self._core.store, told.conflicts)
        if is_news:
            self._core.wakeups.ring("conflicts")
        return answer({"taken": taken})

    # --- changes and hints ----------------------------------------------------------------------

    async def changes(self, request: Request, _: Caller) -> Response:
        asked = http.query(request, ChangesQuery)
        ends_at = time.monotonic() + self._wait_s(asked.wait_s)
        with self._core.wakeups.listening() as listener:
            while True:
                page, cursor, more = self._core.commands.changes(asked.cursor, asked.limit)
                left_s = ends_at - time.monotonic()
                if page or left_s <= 0 or await listener.hear(_CHANGES, left_s) is None:
                    break
        return answer({"changes": page, "next_cursor": cursor, "has_more": more})

    async def events(self, request: Request, _: Caller) -> Response:
        asked = http.query(request, EventsQuery)
        return self._core.wakeups.stream(_HINTS, self._wait_s(asked.for_s))

    def _wait_s(self, asked_s: int) -> float:
        return min(float(asked_s), self._core.settings.longest_wait_s)


def _link(report: LinkReport) -> people.Link:
    """Raises Refusal 400 where the record is missing."""
    key = None if report.key is msgspec.UNSET else report.key
    if key is None and report.state.value in {"linked", "merged"}:
        raise Refusal(400, "invalid-request", "key")
    return people.Link(report.cloud_id, report.state, key, tuple(report.candidates))


@contextlib.asynccontextmanager
async def _line_watched(request: Request, listener: Listener) -> AsyncIterator[None]:
    """Tell the listener when the caller hangs up, so that nothing is leased to nobody."""

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        listener.tell(" gone")

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
