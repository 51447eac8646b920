"""Rung 8: prove the mirror equal to the CRM, bucket by bucket, and name what differs.

A difference is repaired by a normal operation (read again, send again), never by a blind overwrite.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.journal.journal import Journal
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.model.writing import BucketDigest
from agent.ports import CrmPort

MAX_SHARE = 0.01  # more than this differing at once is not healed unattended
MAX_ROWS = 200


@dataclass(slots=True)
class Comparison:
    """One stream. ``send`` lack or differ at the CRM; ``extra`` exist only there."""

    stream: Stream
    records: int = 0
    send: list[Key] = field(default_factory=list)
    extra: list[Key] = field(default_factory=list)
    waiting: int = 0  # differ because an operation is under way or parked: expected

    @property
    def is_equal(self) -> bool:
        return not (self.send or self.extra)

    @property
    def is_too_much(self) -> bool:
        wrong = len(self.send) + len(self.extra)
        return wrong > max(MAX_ROWS, int(self.records * MAX_SHARE))


def differing_buckets(ours: list[BucketDigest], theirs: list[BucketDigest]) -> list[int]:
    """Bucket numbers whose digests differ; absent means empty. Pure."""
    left = {d.bucket: (d.count, d.sum48, d.xor64) for d in ours if d.count}
    right = {d.bucket: (d.count, d.sum48, d.xor64) for d in theirs if d.count}
    return sorted(b for b in {*left, *right} if left.get(b) != right.get(b))


def native_key(text: str) -> Key:
    """The wire carries keys as text; PMS keys that are whole numbers are numbers here."""
    return int(text) if text.lstrip("-").isdigit() else text


def compare(journal: Journal, crm: CrmPort, stream: Stream) -> Comparison:
    """Compare all 256 buckets; about 6 KB when everything is equal. Raises Crm errors."""
    ours = journal.bucket_digests(stream)
    result = Comparison(stream, records=sum(d.count for d in ours))
    for bucket in differing_buckets(ours, crm.digests(stream)):
        here = journal.bucket(stream, bucket)
        there = crm.bucket(stream, bucket)
        keys = [k for k in {*here, *there} if here.get(k) != there.get(k)]
        held = journal.held(stream, [native_key(k) for k in keys])
        for text in keys:
            key = native_key(text)
            was = held.get(key)
            if was is not None and (was.batch is not None or was.parked):
                result.waiting += 1
            elif was is None or was.gone:
                if text in there:
                    result.extra.append(key)
            else:
                result.send.append(key)
    return result
