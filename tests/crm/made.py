"""Changes made for the CRM client's tests; fake names only."""

from __future__ import annotations

import hashlib
import random

import msgspec

from agent.model.streams import Stream
from agent.model.writing import Change, Verb


def make_change(
    number: int,
    *,
    stream: Stream = Stream.PATIENT,
    verb: Verb = Verb.UPSERT,
    version: int = 1,
    **fields: object,
) -> Change:
    """One change; an upsert carries ``fields`` and a name."""
    record = {"first_name": "Ada", "last_name": f"Tester{number}", **fields}
    canon = msgspec.json.encode(record, order="deterministic") if verb is Verb.UPSERT else b""
    seed = f"{stream}/{number}/{verb}/{version}".encode() + canon
    return Change(
        op_id=hashlib.sha256(b"op" + seed).digest()[:16],
        stream=stream,
        key=number,
        verb=verb,
        version=version,
        content_hash=hashlib.sha256(canon).digest()[:16] if canon else b"",
        canon=canon,
        merge_into=number + 1 if verb is Verb.MERGE else None,
    )


def make_appointments(count: int, seed: int = 1) -> list[Change]:
    """Appointments of about the size real ones have (300 bytes of JSON with their envelope)."""
    rng = random.Random(seed)
    return [
        make_change(
            key,
            stream=Stream.APPOINTMENT,
            version=key,
            patient_key=str(rng.randrange(10**6)),
            provider_key=str(rng.randrange(9)),
            operatory_key=str(rng.randrange(9)),
            start=f"2026-{rng.randrange(1, 13):02}-{rng.randrange(1, 28):02}T15:00:00Z",
            status="scheduled",
            zone="America/Chicago",
            note=rng.choice(["crown prep", "new patient exam", "hygiene", "#30 MOD composite"]),
        )
        for key in range(1, count + 1)
    ]
