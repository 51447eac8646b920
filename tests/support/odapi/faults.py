"""What can go wrong between a caller and the office, switched on and off while it runs.

A fault applies to requests whose verb and path fit, a number of times or until cleared, always or
for a share of them (seeded). ``DOWN`` is not here: stop and start the stand-in.
"""

from __future__ import annotations

import fnmatch
import threading
from enum import StrEnum
from random import Random

import msgspec


class Fault(StrEnum):
    SLOW = "slow"  # waits, then works
    BUSY = "busy"  # 503 before any effect (a proxy's; the vendor documents no 503)
    THROTTLED = "throttled"  # 429 before any effect (status not documented by the vendor)
    CUT = "cut"  # the effect, then the connection is cut without an answer
    CUT_BEFORE = "cut_before"  # the connection is cut before any effect
    TIMEOUT = "timeout"  # the effect, then 504
    LOST = "lost"  # the effect, then 400: how Remote mode words an office it lost sight of


class Rule(msgspec.Struct):
    fault: Fault
    verb: str = "*"
    path: str = "*"  # under the API's base, as a shell pattern: "appointments*"
    times: int | None = None
    share: float = 1.0
    delay_s: float = 0.0


class Faults:
    """The switchboard. Thread-safe."""

    def __init__(self, seed: int = 1) -> None:
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        self._rng = Random(seed)
        self.struck: dict[Fault, int] = dict.fromkeys(Fault, 0)

    def arm(
        self,
        fault: Fault,
        *,
        verb: str = "*",
        path: str = "*",
        times: int | None = 1,
        share: float = 1.0,
        delay_s: float = 0.0,
    ) -> None:
        with self._lock:
            self._rules.append(Rule(fault, verb, path, times, share, delay_s))

    def clear(self, fault: Fault | None = None) -> None:
        with self._lock:
            self._rules = [r for r in self._rules if fault is not None and r.fault is not fault]

    def reset(self) -> None:
        """Nothing armed, nothing counted."""
        with self._lock:
            self._rules.clear()
            self.struck = dict.fromkeys(Fault, 0)

    def strike(self, verb: str, path: str) -> Rule | None:
        """The first armed fault that hits this request, counted down."""
        with self._lock:
            for rule in self._rules:
                if rule.verb not in {"*", verb} or not fnmatch.fnmatchcase(path, rule.path):
                    continue
                if rule.share < 1 and self._rng.random() >= rule.share:
                    continue
                if rule.times is not None:
                    rule.times -= 1
                    if rule.times <= 0:
                        self._rules.remove(rule)
                self.struck[rule.fault] += 1
                return rule
        return None
