"""The native CRM Sync API behind ``CrmPort``. Must not import the engine, the journal or httpx.

Every call either gives a validated answer or raises one of the Crm* errors; an answer that is not
exactly what the contract promises counts as not given, and the idempotent resend settles it.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Sequence

import msgspec

from agent.crm.auth import Auth
from agent.crm.limits import Backoff
from agent.crm.line import Line
from agent.crm.transport import Answer, Transport
from agent.crm.wire import (
    CrmConfig,
    DigestAnswer,
    HeartbeatReply,
    Origin,
    Packer,
    PushAnswer,
    SyncStatus,
    decode,
)
from agent.errors import CrmRefusedBatch, CrmUnavailable
from agent.model.proof import Basis
from agent.model.streams import Stream
from agent.model.writing import (
    BucketDigest,
    Change,
    CrmLimits,
    Heartbeat,
    ItemOutcome,
    Outcome,
    PushReply,
)
from agent.ports import Clock

BUCKETS = 256
_CONFIG_LIFE_S = 60.0
_PLAIN = {outcome: ItemOutcome(outcome) for outcome in Outcome}


class NativeCrm:
    """``CrmPort`` over the CRM Sync API. Thread-safe.

    ``origin`` stands in every batch packed from now on; assign a new one when the PMS was updated
    or the journal's epoch changed. ``backoff`` carries the circuit breaker's bounds.
    """

    def __init__(
        self,
        transport: Transport,
        auth: Auth,
        origin: Origin,
        clock: Clock,
        *,
        rng: random.Random | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.origin = origin
        self.config: CrmConfig | None = None
        self.last_reply: HeartbeatReply | None = None
        self._transport = transport
        self._auth = auth
        self._clock = clock
        self._line = Line(
            transport,
            auth,
            clock,
            quota="push",
            metered=frozenset({"push"}),
            rng=rng,
            backoff=backoff,
        )
        self._packer = Packer()
        self._config_lock = threading.Lock()
        self._etag = ""
        self._config_until = 0.0

    @property
    def skew_s(self) -> float:
        """CRM clock minus ours, in seconds."""
        return self._transport.skew_s

    def limits(self) -> CrmLimits:
        """From the CRM's configuration, asked for at most once a minute. Raises the Crm* errors
        only while it was never answered."""
        if self.config is None or self._clock.mono() >= self._config_until:
            try:
                self.refresh_config()
            except CrmUnavailable:
                if self.config is None:
                    raise
        config = self.config
        if config is None:
            return CrmLimits()
        return CrmLimits(config.limits.max_items, config.limits.max_body_bytes)

    def refresh_config(self) -> CrmConfig:
        """Ask for the configuration unless it has not changed. Raises the Crm* errors."""
        with self._config_lock:  # the answer and its ETag belong together
            headers = {"if-none-match": self._etag} if self.config is not None else {}
            answer = self._call(
                "GET",
                "/v1/agents/self/config",
                route="config",
                headers=headers,
                expected=(200, 304),
            )
            config = self.config
            if answer.status == 200 or config is None:
                config = decode(answer.body, CrmConfig)
                self.config, self._etag = config, answer.headers.get("etag", "")
            self._config_until = self._clock.mono() + _CONFIG_LIFE_S
            return config

    def pack(self, batch_id: str, changes: Sequence[Change]) -> bytes:
        """The exact body to send (gzip); pure for one ``origin``."""
        return self._packer.pack(batch_id, self.origin, changes)

    def unpack(self, body: bytes) -> list[Change]:
        """The inverse of ``pack``. Raises CrmError (crm.body_damaged)."""
        return self._packer.unpack(body)

    def push(self, batch_id: str, body: bytes) -> PushReply:
        """Send one batch; sending it again is safe and gives the same reply.

        Raises CrmUnavailable (send the same bytes again later), CrmRefusedBatch (bisect),
        CrmAuthError (pair again), CrmError crm.body_damaged (these bytes are no batch).
        """
        sent_id, event_ids = self._packer.event_ids(body)
        if sent_id != batch_id:
            # Ours to mend: packing these changes again under the right id does.
            raise CrmRefusedBatch("crm.batch_refused", reason="batch_id")
        answer = self._call(
            "POST",
            "/v1/sync/push",
            route="push",
            body=body,
            headers={
                "content-type": "application/json",
                "content-encoding": "gzip",
                "idempotency-key": batch_id,
            },
        )
        reply = decode(answer.body, PushAnswer)
        if reply.batch_id != batch_id:
            raise CrmUnavailable("crm.bad_answer", reason="batch_id")
        if [result.event_id for result in reply.results] != event_ids:
            raise CrmUnavailable("crm.bad_answer", reason="results", items=len(event_ids))
        return PushReply(
            tuple(
                ItemOutcome(result.outcome, result.reason, result.retry_after_s)
                if result.reason or result.retry_after_s is not None
                else _PLAIN[result.outcome]
                for result in reply.results
            )
        )

    def digests(self, stream: Stream, basis: Basis = Basis.KEPT) -> list[BucketDigest]:
        """All 256 buckets in order. CrmUnavailable too where another basis was answered."""
        path = f"/v1/sync/digests?type={stream.value}&basis={basis.value}"
        reply = decode(self._call("GET", path, route="digests").body, DigestAnswer)
        if reply.basis is not basis:
            raise CrmUnavailable("crm.bad_answer", reason="basis")
        in_order = [digest.bucket for digest in reply.buckets] == list(range(BUCKETS))
        if reply.type != stream.value or not in_order:
            raise CrmUnavailable("crm.bad_answer", reason="buckets")
        return reply.buckets

    def bucket(self, stream: Stream, bucket: int) -> dict[str, str]:
        """key (as text) -> content hash (hex) of the live records in the bucket."""
        path = f"/v1/sync/digests/{stream.value}/{bucket:d}"
        return decode(self._call("GET", path, route="bucket").body, dict[str, str])

    def heartbeat(self, beat: Heartbeat) -> None:
        """Say how we are; the answer stays in ``last_reply``. A configuration (keys, switches)
        that changed is fetched at once."""
        answer = self._call(
            "POST",
            "/v1/agents/self/heartbeat",
            route="heartbeat",
            body=msgspec.json.encode(beat),
            headers={"content-type": "application/json"},
        )
        self.last_reply = decode(answer.body, HeartbeatReply)
        self._line.space(self.last_reply.throttle_s)
        if self.last_reply.config_etag not in {"", self._etag}:
            with contextlib.suppress(CrmUnavailable):  # the next heartbeat sees it again
                self.refresh_config()

    def known_head(self) -> str:
        """The audit head this CRM heard last from this very journal; "" when from none."""
        answer = self._call("GET", "/v1/sync/status", route="status")
        said = decode(answer.body, SyncStatus).heartbeat
        if said is None or said.journal_uuid != self.origin.journal_uuid:
            return ""
        return said.audit_head

    def renew_pairing(self) -> None:
        """Forget the token and the failures: the agent was paired again."""
        self._auth.forget()
        self._line.forgive()

    def close(self) -> None:
        """Interrupts calls of other threads; they raise CrmUnavailable (crm.closed)."""
        self._line.close()
        self._transport.close()

    def _call(
        self,
        method: str,
        path: str,
        *,
        route: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        expected: tuple[int, ...] = (200,),
    ) -> Answer:
        return self._line.call(
            method, path, route=route, body=body, headers=headers, expected=expected
        )
