"""The native CRM Sync API behind ``CommandPort``: commands in, outcomes, links and conflicts out.

Must not import the engine, the journal or httpx. Nothing of a body enters a log or an error.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import structlog

from agent.crm.auth import Auth
from agent.crm.envelope import KeyRing, Opener
from agent.crm.limits import Backoff
from agent.crm.line import Line
from agent.crm.patience import Patience
from agent.crm.sockets import Leash
from agent.crm.transport import Transport
from agent.crm.verdict import problem_name
from agent.crm.wire import decode
from agent.errors import CrmUnavailable
from agent.model.commands import (
    Command,
    CommandOutcome,
    CommandType,
    ConflictReport,
    Contact,
    ContactPage,
    LinkReport,
    Polled,
    Refusal,
)
from agent.ports import Clock

_log = structlog.get_logger(__name__)

_JSON = {"content-type": "application/json"}
_MOST_IDS = 1000  # in one poll; the contract's bound
_MOST_COMMANDS = 100
_LONGEST_WAIT_S = 50
_MOST_REPORTS = 200  # links or conflicts in one request
_ANSWER_S = 10.0  # an answer may take this much longer than it was told to wait
_MOST_TEXT = 500
_LONGEST_PAUSE_S = 5.0  # of the breaker
_MOST_ALTERNATIVES = 20


class _PollAnswer(msgspec.Struct, frozen=True):
    commands: list[msgspec.Raw]
    more: bool


class _ContactAnswer(msgspec.Struct, frozen=True):
    contacts: list[Contact]
    next_cursor: str
    more: bool


class NativeCommands:
    """``CommandPort`` over the CRM Sync API.

    One thread polls; ``wake`` and the reports may come from others. ``ring`` and ``practice_id``
    say whom to believe; the transport is shared and closed by its owner.
    """

    def __init__(
        self,
        transport: Transport,
        auth: Auth,
        ring: KeyRing,
        practice_id: str,
        clock: Clock,
        *,
        rng: random.Random | None = None,
    ) -> None:
        self._ring = ring
        self._opener = Opener(ring, practice_id, auth.now)

        def line() -> Line:
            # A short breaker: a booking or the first meeting of both sides may wait for this.
            patient = Backoff(first_s=0.5, longest_s=_LONGEST_PAUSE_S)
            return Line(transport, auth, clock, quota="pull", rng=rng, backoff=patient)

        self._polls, self._reports = line(), line()
        self._clock = clock
        self._patience = Patience()
        self._lock = threading.Lock()
        self._leash: Leash | None = None
        self._is_woken = False
        self._owed_ack: list[str] = []
        self._owed_errs: dict[str, str] = {}

    # --- commands -------------------------------------------------------------------------------

    def poll(
        self,
        *,
        capabilities: Sequence[CommandType],
        ack: Sequence[str],
        errs: Mapping[str, str],
        most: int,
        wait_s: int,
    ) -> Polled:
        """Lease commands and verify them. ``ack``: ids now in the journal; ``errs``: refused id ->
        reason code. Raises the Crm* errors; then nothing was told and the call may be repeated.

        A poll ended by ``wake`` gives nothing; what it had to tell is told by the next one. A wake
        that finds no poll waiting ends the next at once: none is ever lost.
        """
        self._ring.keys()  # a lease taken before anybody can be believed would only run out
        leash = Leash()
        ack = list(dict.fromkeys([*self._owed_ack, *ack]))[:_MOST_IDS]
        errs = dict(list({**self._owed_errs, **errs}.items())[:_MOST_IDS])
        with self._lock:
            if self._is_woken:
                self._is_woken = False
                self._owed_ack, self._owed_errs = ack, errs
                return Polled()
            self._leash = leash
        try:
            raw = self._ask(capabilities, ack, errs, most, wait_s, leash)
        except CrmUnavailable as exc:
            if exc.code != "crm.woken":
                raise
            self._owed_ack, self._owed_errs = ack, errs
            return Polled()
        finally:
            with self._lock:
                self._leash = None
                if leash.is_pulled:
                    self._is_woken = False
        self._owed_ack, self._owed_errs = [], {}
        return self._opened(raw)

    def wake(self) -> None:
        """End a waiting poll at once, from any thread. What the CRM was about to send comes again
        when its lease has ended: for stopping and pausing, not for hints."""
        with self._lock:
            self._is_woken = True
            leash = self._leash
        if leash is not None:
            leash.pull()

    def finish(self, command_id: str, outcome: CommandOutcome) -> None:
        """Tell how a command ended or stands. Returns as well where the CRM knows another end or
        the command no more: there is nothing left to tell it."""
        path = f"/v1/sync/commands/{quote(command_id, safe='')}/result"
        answer = self._reports.call(
            "POST",
            path,
            route="result",
            body=msgspec.json.encode(_trimmed(outcome)),
            headers=_JSON,
            expected=(200, 404, 409),
        )
        if answer.status == 200:
            return
        name = problem_name(answer)
        if name not in {"not-found", "command-finished"}:
            raise self._reports.refusal(answer)
        _log.warning("command.result_not_taken", reason=name, state=outcome.state)

    # --- people and conflicts -------------------------------------------------------------------

    def contacts(self, cursor: str | None, limit: int) -> ContactPage:
        """People changed after ``cursor``; None starts over, and so does a cursor the CRM no
        longer knows: every person comes again, and nothing about those it forgot meanwhile."""
        query: dict[str, Any] = {"limit": max(1, min(limit, 1000))}
        if cursor:
            query["cursor"] = cursor
        answer = self._reports.call(
            "GET",
            f"/v1/sync/contacts?{urlencode(query)}",
            route="contacts",
            expected=(200, 410),
        )
        if answer.status == 410:
            if problem_name(answer) != "cursor-expired" or not cursor:
                raise self._reports.refusal(answer)
            _log.info("contacts.start_over")
            return self.contacts(None, limit)
        page = decode(answer.body, _ContactAnswer)
        return ContactPage(tuple(page.contacts), page.next_cursor, page.more)

    def link(self, links: Sequence[LinkReport]) -> None:
        """Tell which contact is which record. Raises the Crm* errors; repeating is safe."""
        self._tell("/v1/sync/links", "links", links)

    def tell_conflicts(self, conflicts: Sequence[ConflictReport]) -> None:
        """Tell which fields wait for a person, or no longer do. Repeating is safe."""
        self._tell("/v1/sync/conflicts", "conflicts", conflicts)

    # --- inside ---------------------------------------------------------------------------------

    def _tell(self, path: str, name: str, reports: Sequence[msgspec.Struct]) -> None:
        for start in range(0, len(reports), _MOST_REPORTS):
            body = msgspec.json.encode({name: reports[start : start + _MOST_REPORTS]})
            self._reports.call("POST", path, route=name, body=body, headers=_JSON)

    def _ask(
        self,
        capabilities: Sequence[CommandType],
        ack: Sequence[str],
        errs: Mapping[str, str],
        most: int,
        wait_s: int,
        leash: Leash,
    ) -> _PollAnswer:
        wait_s = self._patience.allowed_s(min(max(wait_s, 0), _LONGEST_WAIT_S))
        request = {
            "capabilities": sorted(kind.value for kind in capabilities),
            "ack": ack,
            "errs": {name: {"reason": reason} for name, reason in errs.items()},
            "max": max(0, min(most, _MOST_COMMANDS)),
            "wait_s": wait_s,
        }
        began = self._clock.mono()
        try:
            answer = self._polls.call(
                "POST",
                "/v1/sync/commands/poll",
                route="poll",
                body=msgspec.json.encode(request),
                headers=_JSON,
                deadline_s=wait_s + _ANSWER_S,
                leash=leash,
            )
        except CrmUnavailable as exc:
            if exc.code in {"crm.cut_answer", "crm.timed_out", "crm.server_error"}:
                self._patience = self._patience.after_cut(self._clock.mono() - began)
            raise
        self._patience = self._patience.after_answer(self._clock.mono() - began)
        return decode(answer.body, _PollAnswer)

    def _opened(self, answer: _PollAnswer) -> Polled:
        commands: list[Command] = []
        refused: list[Refusal] = []
        for raw in answer.commands:
            found = self._opener.open(raw)
            if isinstance(found, Refusal):
                _log.warning("envelope.refused", code=found.code)
                refused.append(found)
            else:
                commands.append(found)
        return Polled(tuple(commands), tuple(refused), answer.more)


def _trimmed(outcome: CommandOutcome) -> CommandOutcome:
    """Within the contract's bounds, so that an outcome is never refused for its length."""
    return msgspec.structs.replace(
        outcome,
        staff_text=outcome.staff_text[:_MOST_TEXT],
        alternatives=outcome.alternatives[:_MOST_ALTERNATIVES],
    )
