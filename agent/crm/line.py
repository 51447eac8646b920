"""One lane's calls to the CRM: token, rate limit, circuit breaker. Must not import httpx.

Each lane has its own, so that polls cut by an impatient proxy do not stop the pushes.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable

import structlog

from agent.crm.auth import Auth
from agent.crm.limits import Backoff, Gate, TokenBucket, read_quotas
from agent.crm.sockets import Leash
from agent.crm.transport import Answer, Transport
from agent.crm.verdict import problem_name, refusal
from agent.errors import RESTING, CrmAuthError, CrmError, CrmRefusedBatch, CrmUnavailable
from agent.ports import Clock

_log = structlog.get_logger(__name__)

_SHORT_WAIT_S = 1.0
_LONGEST_SPACING_S = 60.0
_NOT_THE_LINE = frozenset({"crm.closed", "crm.in_flight", "crm.woken"})


class Line:
    """Calls under one breaker and one policy of the CRM's rate limit. Thread-safe.

    ``quota``: name of the policy that counts these calls. ``metered``: the routes it counts; None
    is all of them.
    """

    def __init__(
        self,
        transport: Transport,
        auth: Auth,
        clock: Clock,
        *,
        quota: str,
        metered: frozenset[str] | None = None,
        rng: random.Random | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._transport = transport
        self._auth = auth
        self._clock = clock
        self._quota = quota
        self._metered = metered
        self._rng = rng or random.SystemRandom()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._backoff = backoff or Backoff(first_s=0.5, longest_s=10.0)
        self._failed_mono = -math.inf  # when a failure was last counted
        self._bucket = TokenBucket()
        self._spacing_s = 0.0

    @property
    def host(self) -> str:
        return self._transport.host

    def call(
        self,
        method: str,
        path: str,
        *,
        route: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        expected: tuple[int, ...] = (200,),
        deadline_s: float | None = None,
        leash: Leash | None = None,
    ) -> Answer:
        """An answer of one of the ``expected`` statuses. Raises the Crm* errors."""
        self._pass_gate(route)
        began = self._clock.mono()
        try:
            answer = self._send_with_token(
                method, path, route, body, headers or {}, deadline_s, leash
            )
            self._learn(route, answer)
            if answer.status not in expected:
                raise refusal(
                    answer,
                    self._clock.now(),
                    host=self._transport.host,
                    is_push=route == "push",
                )
        except CrmUnavailable as exc:
            self._count_failure(exc, began)
            raise
        except (CrmAuthError, CrmRefusedBatch) as exc:
            # The line works; the breaker is not for this.
            self.forgive()
            if isinstance(exc, CrmAuthError):
                self._auth.forget()  # the next try reads the pairing anew: it may be another by now
            raise
        self.forgive()
        return answer

    def refusal(self, answer: Answer) -> CrmError:
        """The error for an expected status whose problem turned out to be another one."""
        return refusal(answer, self._clock.now(), host=self._transport.host)

    def space(self, seconds: float) -> None:
        """The CRM asked to leave this long between metered calls."""
        self._spacing_s = min(max(seconds, 0.0), _LONGEST_SPACING_S)

    def forgive(self) -> None:
        """The line works: earlier failures count no more."""
        self._update(lambda backoff: backoff.succeeded())

    def close(self) -> None:
        """End a wait for the rate limit."""
        self._closed.set()

    def _send_with_token(
        self,
        method: str,
        path: str,
        route: str,
        body: bytes | None,
        headers: dict[str, str],
        deadline_s: float | None,
        leash: Leash | None,
    ) -> Answer:
        def send(bearer: str) -> Answer:
            return self._transport.send(
                method,
                path,
                route=route,
                body=body,
                headers=headers | {"authorization": f"Bearer {bearer}"},
                deadline_s=deadline_s,
                leash=leash,
            )

        token = self._auth.bearer()
        answer = send(token)
        if answer.status == 401 and problem_name(answer):
            # Expired, or revoked: the token endpoint knows which, and says so once.
            answer = send(self._auth.renew(token))
        return answer

    def _is_metered(self, route: str) -> bool:
        return self._metered is None or route in self._metered

    def _pass_gate(self, route: str) -> None:
        """Wait a moment or refuse, where the breaker is open or the CRM's rate is used up."""
        now = self._clock.mono()
        metered = self._is_metered(route)
        with self._lock:
            gate = self._backoff.gate(now)
            if gate is Gate.OPEN:
                resting_s = max(self._backoff.wait_s(now), 0.1)
                raise CrmUnavailable(RESTING, retry_after_s=resting_s)
            throttled_s = self._bucket.wait_s(now) if metered else 0.0
            if throttled_s > _SHORT_WAIT_S:
                raise CrmUnavailable("crm.throttled", retry_after_s=throttled_s)
            if gate is Gate.HALF_OPEN:
                self._backoff = self._backoff.probing(now)
            if metered:
                self._bucket = self._bucket.spent(now)
                if self._spacing_s > 0:
                    self._bucket = self._bucket.blocked(now + throttled_s + self._spacing_s)
        if throttled_s > 0:
            self._closed.wait(throttled_s)

    def _learn(self, route: str, answer: Answer) -> None:
        if not self._is_metered(route):
            return
        quota = read_quotas(answer.headers).get(self._quota)
        if quota is not None:
            with self._lock:
                self._bucket = self._bucket.seeded(quota, self._clock.mono())

    def _count_failure(self, exc: CrmUnavailable, began: float) -> None:
        if exc.code in _NOT_THE_LINE:
            return
        now = self._clock.mono()
        with self._lock:
            # Calls under way together fail together: that is one failure, not one a thread.
            if began >= self._failed_mono:
                self._failed_mono = now
                self._backoff = self._backoff.failed(now, self._rng, exc.retry_after_s)
            if exc.retry_after_s is not None:
                self._bucket = self._bucket.blocked(now + exc.retry_after_s)
        _log.info("crm.unavailable", code=exc.code, failures=self._backoff.failures)

    def _update(self, step: Callable[[Backoff], Backoff]) -> None:
        with self._lock:
            self._backoff = step(self._backoff)
