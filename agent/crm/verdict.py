"""What an answer that is not a success means: the error class decides what the engine does next.

Pure. A refusal is believed only when it is a problem document of the contract: filters, proxies and
load balancers answer 401, 403 and 400 too, and none of them may unpair an agent or park a record.
The one exception is 413, which a proxy may well mean: smaller batches are then the right answer.
"""

from __future__ import annotations

import re
from datetime import datetime

import msgspec

from agent.crm.limits import read_retry_after_s
from agent.crm.transport import Answer
from agent.errors import CrmAuthError, CrmError, CrmRefusedBatch, CrmUnavailable

_NAME = re.compile(r"/problems/([a-z-]{1,60})$")
_IN_FLIGHT_WAIT_S = 1.0
_CONTRACT_WAIT_S = 300.0

# 403 problems that only a person can mend.
_PERSON = {
    "agent-revoked": "crm.auth_revoked",
    "wrong-practice": "crm.wrong_practice",
    "insufficient-scope": "crm.scope_missing",
}


class Problem(msgspec.Struct, frozen=True):
    """RFC 9457, the parts we use; ``title`` and ``detail`` are for people at the other end."""

    type: str
    status: int = 0


_PROBLEM = msgspec.json.Decoder(Problem)  # made once: see wire.decode


def problem_name(answer: Answer) -> str:
    """The last part of the problem's type, e.g. "wrong-practice"; "" if it is no such document."""
    if answer.media_type != "application/problem+json":
        return ""
    try:
        problem = _PROBLEM.decode(answer.body)
    except msgspec.DecodeError:
        return ""
    match = _NAME.search(problem.type)
    return match[1] if match else ""


def refusal(answer: Answer, now: datetime, *, host: str, is_push: bool = False) -> CrmError:
    """The error to raise for an answer outside the expected statuses.

    ``is_push``: 400, 413 and 422 then speak about the batch's content.
    """
    name, status = problem_name(answer), answer.status
    asked_s = read_retry_after_s(answer.headers, now)
    if name in _PERSON and status == 403:
        return CrmAuthError(_PERSON[name], host=host, status=status)
    if name == "contract-unsupported" or status == 426:
        # Splitting the batch would park every record; only an update of one side helps.
        wait_s = asked_s or _CONTRACT_WAIT_S
        return CrmUnavailable("crm.contract_unsupported", retry_after_s=wait_s, status=status)
    if is_push and (status == 413 or (name and status in {400, 422})):
        return CrmRefusedBatch("crm.batch_refused", status=status, reason=name or None)
    code = _unavailable_code(name, status)
    if name == "idempotency-in-flight" and asked_s is None:
        asked_s = _IN_FLIGHT_WAIT_S
    return CrmUnavailable(
        code, retry_after_s=asked_s, host=host, status=status, reason=name or None
    )


def _unavailable_code(name: str, status: int) -> str:
    if name == "idempotency-in-flight":
        return "crm.in_flight"
    if status == 429:
        return "crm.throttled"
    if status == 401:
        return "crm.token_refused"
    if status >= 500:
        return "crm.server_error"
    if not name:
        return "crm.blocked"  # somebody between us and the CRM
    return "crm.unexpected_answer"
