"""When to send and when to wait: rate limit, back-off, circuit breaker. Pure state, no I/O.

Time is always a monotonic reading passed in; chance comes from the ``random.Random`` passed in.
Must not import anything of ours.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 300.0
FAILURES_TO_OPEN = 5

_NAME = re.compile(r'\s*"?([A-Za-z0-9_.-]{1,40})"?\s*(?:;|$)')
_PARAMETER = re.compile(r';\s*([a-z]+)\s*=\s*"?([A-Za-z0-9._-]+)"?')


class Gate(StrEnum):
    """What a breaker says about sending now."""

    CLOSED = "closed"  # send
    OPEN = "open"  # wait
    HALF_OPEN = "half_open"  # send one probe


@dataclass(frozen=True, slots=True)
class Backoff:
    """Failures in a row and what follows from them: a delay, and a circuit that opens.

    After ``failures_to_open`` failures the circuit is open until the delay has passed; then one
    probe may go (``gate`` says HALF_OPEN until ``probing`` is recorded), and its outcome closes the
    circuit or opens it again for a longer delay. A probe whose outcome is never told is given up
    after ``probe_s``; whoever comes meanwhile waits a moment only, for the outcome may come any
    time. Below that number of failures the delay is only advice.
    """

    first_s: float = FIRST_DELAY_S
    longest_s: float = LONGEST_DELAY_S
    failures_to_open: int = FAILURES_TO_OPEN
    failures: int = 0
    until: float = 0.0  # monotonic
    probe_s: float = 60.0
    is_probing: bool = False

    def delay_s(self, rng: random.Random, retry_after_s: float | None = None) -> float:
        """Seconds to wait after the failure just counted: what was asked for, else full jitter."""
        if retry_after_s is not None:
            return max(retry_after_s, self.first_s / 4)
        # The exponent is capped so that a week of failures does not overflow the float.
        ceiling = min(self.longest_s, self.first_s * 2.0 ** min(self.failures - 1, 32))
        # Never zero: a thousand agents restarted by one outage must not all be first.
        return rng.uniform(self.first_s / 4, max(ceiling, self.first_s / 4))

    def failed(self, now: float, rng: random.Random, retry_after_s: float | None = None) -> Backoff:
        counted = replace(self, failures=self.failures + 1)
        until = now + counted.delay_s(rng, retry_after_s)
        return replace(counted, until=until, is_probing=False)

    def succeeded(self) -> Backoff:
        return replace(self, failures=0, until=0.0, is_probing=False)

    def probing(self, now: float) -> Backoff:
        return replace(self, until=now + self.probe_s, is_probing=True)

    def gate(self, now: float) -> Gate:
        if self.failures < self.failures_to_open:
            return Gate.CLOSED
        return Gate.OPEN if now < self.until else Gate.HALF_OPEN

    def wait_s(self, now: float) -> float:
        """Seconds until asking again is worth it."""
        left_s = max(0.0, self.until - now)
        return min(left_s, self.first_s) if self.is_probing else left_s


@dataclass(frozen=True, slots=True)
class Quota:
    """One line of the RateLimit fields: ``limit`` per ``window_s``, ``remaining``, ``reset_s``."""

    limit: int | None = None
    window_s: float | None = None
    remaining: int | None = None
    reset_s: float | None = None


def read_quotas(headers: Mapping[str, str]) -> dict[str, Quota]:
    """Parse RateLimit-Policy and RateLimit (IETF draft: ``"push";q=60;w=60`` / ``"push";r=9;t=7``).

    Anything malformed is ignored: a wrong header must not stop the pushing.
    """
    policies = _items(headers.get("ratelimit-policy", ""))
    states = _items(headers.get("ratelimit", ""))
    quotas: dict[str, Quota] = {}
    for name in policies.keys() | states.keys():
        policy, state = policies.get(name, {}), states.get(name, {})
        quotas[name] = Quota(
            limit=_whole(policy.get("q")),
            window_s=_whole(policy.get("w")),
            remaining=_whole(state.get("r")),
            reset_s=_whole(state.get("t")),
        )
    return quotas


def read_retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds from Retry-After (seconds or a date), else from RateLimit ``t`` when ``r`` is 0."""
    value = headers.get("retry-after", "").strip()
    if value.isdigit():
        return min(float(value), 3_600.0)
    if value:
        try:
            moment = parsedate_to_datetime(value)
        except (TypeError, ValueError):
            moment = None
        if moment is not None:
            aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return min(max(0.0, (aware - now).total_seconds()), 3_600.0)
    spent = [q.reset_s for q in read_quotas(headers).values() if q.remaining == 0]
    known = [t for t in spent if t is not None]
    return max(known) if known else None


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """Our side of the CRM's rate limit, so that we slow down before it has to refuse.

    ``capacity`` 0 means no limit is known. The server's count wins where it is lower than ours.
    """

    capacity: float = 0.0
    per_s: float = 0.0
    tokens: float = 0.0
    at: float = 0.0
    blocked_until: float = 0.0

    def refilled(self, now: float) -> TokenBucket:
        if self.capacity <= 0:
            return replace(self, at=now)
        gained = max(0.0, now - self.at) * self.per_s
        return replace(self, tokens=min(self.capacity, self.tokens + gained), at=now)

    def seeded(self, quota: Quota, now: float) -> TokenBucket:
        """Take over what the server said with its last answer."""
        bucket = self.refilled(now)
        if quota.limit is not None and quota.limit > 0 and quota.window_s:
            fresh = bucket.capacity <= 0
            bucket = replace(
                bucket,
                capacity=float(quota.limit),
                per_s=quota.limit / quota.window_s,
                tokens=float(quota.limit) if fresh else min(bucket.tokens, float(quota.limit)),
            )
        if quota.remaining is not None and bucket.capacity > 0:
            bucket = replace(bucket, tokens=min(bucket.tokens, float(quota.remaining)))
        if quota.remaining == 0 and quota.reset_s:
            bucket = bucket.blocked(now + quota.reset_s)
        return bucket

    def wait_s(self, now: float) -> float:
        """Seconds until one request may go; 0.0 when it may go now."""
        blocked_s = max(0.0, self.blocked_until - now)
        bucket = self.refilled(now)
        if bucket.capacity <= 0 or bucket.tokens >= 1:
            return blocked_s
        return max(blocked_s, (1 - bucket.tokens) / bucket.per_s)

    def blocked(self, until: float) -> TokenBucket:
        """The server said not before; a later moment said earlier stands."""
        return replace(self, blocked_until=max(self.blocked_until, until))

    def spent(self, now: float) -> TokenBucket:
        bucket = self.refilled(now)
        return replace(bucket, tokens=max(0.0, bucket.tokens - 1))


def _items(field: str) -> dict[str, dict[str, str]]:
    items: dict[str, dict[str, str]] = {}
    for text in field.split(",") if field else ():
        match = _NAME.match(text)
        if match is not None:
            items[match[1]] = dict(_PARAMETER.findall(text))
    return items


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() and len(text) < 10 else None
