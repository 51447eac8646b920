"""Faults on purpose, so that tests can prove what the agent does. Imports nothing of ours.

A fault is armed for a number of requests (or items) and used up. Only tests and demos arm them: in
process through ``CrmServer.faults``, or through ``POST /testing/faults`` with the test token.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

import msgspec


class FaultKind(StrEnum):
    STATUS = "status"  # answer with ``status`` (and Retry-After) instead of working
    SLOW = "slow"  # wait ``delay_s`` before working
    RESET_BEFORE = "reset_before"  # cut the connection before working
    RESET_AFTER = "reset_after"  # work, commit, then cut the connection instead of answering
    SILENT_AFTER = "silent_after"  # work, commit, then say nothing for ``delay_s`` and cut
    TRUNCATED = "truncated"  # work, commit, send half of the answer and cut
    STATUS_AFTER = "status_after"  # work, commit, then answer with ``status`` all the same
    ITEM = "item"  # give matching changes ``outcome`` without storing them
    # Of polls that have commands to lease:
    LEASE_CUT = "lease_cut"  # lease them, then cut the connection instead of answering
    REDELIVER = "redeliver"  # each twice, and the newest sent before (done or not) once more
    REORDER = "reorder"  # the last first, whatever their priority
    FORGED = "forged"  # spoil the envelopes: ``outcome`` says how, see ``Forgery``


class Forgery(StrEnum):
    """How a FORGED fault spoils envelopes."""

    TAMPERED = "tampered"  # the body was altered after signing
    STALE = "stale"  # properly signed, 400 s ago
    EARLY = "early"  # properly signed, 400 s from now
    WRONG_KEY = "wrong_key"  # signed by a key nobody knows
    WRONG_PRACTICE = "wrong_practice"  # properly signed, for somebody else
    SWAPPED = "swapped"  # another command's id around it


OF_POLLS = frozenset(
    {FaultKind.LEASE_CUT, FaultKind.REDELIVER, FaultKind.REORDER, FaultKind.FORGED}
)


class Fault(msgspec.Struct, frozen=True):
    """``path`` is a prefix, or a pattern when it holds a ``*`` ("/v1/sync/commands/*/result");
    ``times`` counts requests, for ITEM changes, for faults of polls polls that have commands
    (0 = until cleared)."""

    kind: FaultKind
    times: int = 1
    path: str = "/v1/sync/push"
    status: int = 503
    retry_after_s: int | None = None
    delay_s: float = 0.0
    type: str = ""  # ITEM: record type, "" = any
    key: str = ""  # ITEM: record key, "" = any
    outcome: str = "rejected"  # ITEM; FORGED: a Forgery
    reason: str = "fault-injected"


_NOT_OF_REQUESTS = OF_POLLS | {FaultKind.ITEM}


def _is_on(path: str, where: str) -> bool:
    return fnmatchcase(path, where) if "*" in where else path.startswith(where)


@dataclass(slots=True)
class _Armed:
    fault: Fault
    left: int


class Faults:
    """The armed faults. Thread-safe: tests arm them from outside the server's thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[_Armed] = []
        self.fired: Counter[FaultKind] = Counter()
        self.has_items = False

    def arm(self, *faults: Fault) -> None:
        with self._lock:
            self._armed.extend(_Armed(fault, fault.times) for fault in faults)
            self._note_items()

    def clear(self) -> None:
        with self._lock:
            self._armed.clear()
            self._note_items()

    def of_request(self, path: str) -> Fault | None:
        """The next fault for this request, used up."""
        if not self._armed:
            return None
        with self._lock:
            for armed in self._armed:
                fault = armed.fault
                if fault.kind not in _NOT_OF_REQUESTS and _is_on(path, fault.path):
                    return self._use(armed)
        return None

    def of_poll(self, kind: FaultKind) -> Fault | None:
        """The next fault of this kind for a poll that has commands, used up."""
        if not self._armed:
            return None
        with self._lock:
            for armed in self._armed:
                if armed.fault.kind is kind:
                    return self._use(armed)
        return None

    def of_item(self, type_name: str, key: str) -> Fault | None:
        """The next fault for this change, used up."""
        with self._lock:
            for armed in self._armed:
                fault = armed.fault
                if (
                    fault.kind is FaultKind.ITEM
                    and fault.type in {"", type_name}
                    and fault.key in {"", key}
                ):
                    return self._use(armed)
        return None

    def _use(self, armed: _Armed) -> Fault:
        if armed.left == 1:
            self._armed.remove(armed)
        elif armed.left > 1:
            armed.left -= 1
        self.fired[armed.fault.kind] += 1
        self._note_items()
        return armed.fault

    def _note_items(self) -> None:
        self.has_items = any(armed.fault.kind is FaultKind.ITEM for armed in self._armed)
