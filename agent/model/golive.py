"""The five go-live tests and what they found. A leaf.

The report is kept as the baseline of go-live day: it says what was proven, how long each step took
and against what; it names test people only.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Test(StrEnum):
    """In the order they run; each stands on what the ones before it made."""

    __test__ = False  # not one of pytest's

    NEW_PATIENT = "new_patient"
    BOOKING = "booking"
    CANCELLATION = "cancellation"
    OWNERSHIP = "ownership"
    CROWD = "crowd"


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing done or looked for. ``code`` of the message catalogue; ``facts`` PHI-free."""

    code: str
    passed: bool
    took_ms: float | None = None
    facts: dict[str, str | int | float] = {}


class Proof(msgspec.Struct, frozen=True):
    """One test. It passed if every step did; ``skipped`` says why it did not run at all."""

    test: Test
    passed: bool
    took_s: float
    steps: tuple[Step, ...]
    skipped: str | None = None


class GoLiveReport(msgspec.Struct, frozen=True):
    """``slowest_ms`` and ``median_ms``: practice to CRM, over every record of the crowd."""

    made_at: str
    agent_version: str
    practice_id: str
    is_sample: bool
    pms_kind: str
    pms_version: str
    writer: str
    passed: bool
    proofs: tuple[Proof, ...]
    median_ms: float | None = None
    slowest_ms: float | None = None
    left_behind: int = 0  # test records that could not be tidied away


class SignedReport(msgspec.Struct, frozen=True):
    """``signature``: a JWS (ES384, this installation's key) over the SHA-256 of ``report``'s bytes.

    ``report`` is kept as text so that what was signed is what is stored.
    """

    report: str
    key_id: str
    signature: str
