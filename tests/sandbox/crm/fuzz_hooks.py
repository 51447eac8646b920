"""Hooks of the fuzzing run: make generated pushes reach the store instead of stopping at the door.

A generated body names a made-up practice, and what it calls changes fits nothing. Half of the
well-formed ones get the right practice and a few true changes besides; the rest stay as they came.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import uuid
from typing import Any

import schemathesis

_PUSH = "/v1/sync/push"
_RESULT = "/v1/sync/commands/{id}/result"
_numbers = itertools.count(1)
_rng = random.Random(5)


@schemathesis.hook
def map_headers(context: Any, headers: Any) -> Any:
    """A key of its own for every well-formed push: 422 for a reused one is tested elsewhere."""
    if context.operation is None or context.operation.path != _PUSH or not headers:
        return headers
    key = headers.get("Idempotency-Key")
    if isinstance(key, str) and 8 <= len(key.strip('"')) <= 128 and key.isascii():
        return {**headers, "Idempotency-Key": str(uuid.UUID(int=_rng.getrandbits(128)))}
    return headers


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    """Half of the results are about commands there are."""
    known = os.environ.get("FUZZED_COMMANDS", "").split()
    if context.operation is None or context.operation.path != _RESULT or not known:
        return path_parameters
    if not isinstance(path_parameters, dict) or _rng.random() < 0.5:
        return path_parameters
    return {**path_parameters, "id": _rng.choice(known)}


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    if context.operation is None or context.operation.path != _PUSH or not isinstance(body, dict):
        return body
    source, changes = body.get("source"), body.get("changes")
    if not isinstance(source, dict) or not isinstance(changes, list):
        return body
    practice = source.get("practice")
    if not isinstance(practice, str) or not 0 < len(practice) <= 64 or len(str(body)) % 2:
        return body
    if len(changes) < 900:
        changes = [*changes, _change("upsert"), _change("delete"), _change("merge")]
    return {**body, "source": {**source, "practice": "demo"}, "changes": changes}


def _change(op: str) -> dict[str, Any]:
    number = next(_numbers)
    content = {"patient_key": str(number % 5), "n": number}
    return {
        "event_id": f"{_rng.getrandbits(128):032x}",
        "type": "recall",
        "key": str(number % 7),
        "op": op,
        "version": number,
        "data": content,
        # The fuzzer sends json.dumps with its usual spaces; so the hash is over the same bytes.
        "content_hash": hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32],
        "merge_into": "survivor",
    }
