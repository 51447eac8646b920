"""Rung 8: prove the mirror equal to the CRM, bucket by bucket, and name what differs.

A difference is repaired by a normal operation (read again, send again), never by a blind overwrite.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from agent.journal.reads import Reads
from agent.model.proof import Basis
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.model.writing import BucketDigest
from agent.ports import CrmPort

MAX_SHARE = 0.01  # more than this differing at once is not healed unattended
MAX_ROWS = 200
BUCKETS_AT_ONCE = 16  # looked into together: a scan of the stream each


class Wrong(StrEnum):
    """What is the matter with one record at the CRM."""

    MISSING = "missing"
    DIFFERENT = "different"
    EXTRA = "extra"
    WAITING = "waiting"  # an operation is under way, or it is parked: expected


@dataclass(slots=True)
class Comparison:
    """One stream. ``records``: agreed here; ``at_crm``: live there; ``differing``: buckets whose
    digests were not the same (none: proven equal as a whole). ``digest``: of our buckets."""

    stream: Stream
    records: int = 0
    at_crm: int = 0
    differing: int = 0
    digest: str = ""
    missing: list[Key] = field(default_factory=list)
    different: list[Key] = field(default_factory=list)
    extra: list[Key] = field(default_factory=list)
    waiting: list[Key] = field(default_factory=list)

    @property
    def send(self) -> list[Key]:
        """What the CRM lacks or holds otherwise."""
        return [*self.missing, *self.different]

    @property
    def wrong(self) -> int:
        return len(self.missing) + len(self.different) + len(self.extra)

    @property
    def is_equal(self) -> bool:
        return not self.wrong

    @property
    def is_too_much(self) -> bool:
        return self.wrong > max(MAX_ROWS, int(self.records * MAX_SHARE))


def differing_buckets(ours: list[BucketDigest], theirs: list[BucketDigest]) -> list[int]:
    """Bucket numbers whose digests differ; absent means empty. Pure."""
    left = {d.bucket: (d.count, d.sum48, d.xor64) for d in ours if d.count}
    right = {d.bucket: (d.count, d.sum48, d.xor64) for d in theirs if d.count}
    return sorted(b for b in {*left, *right} if left.get(b) != right.get(b))


def digest_of(buckets: Iterable[BucketDigest]) -> str:
    """SHA-256 (hex) over the non-empty buckets in order, "" for none; as in the contract. Pure."""
    lines = [f"{d.bucket}:{d.count}:{d.sum48}:{d.xor64}\n" for d in buckets if d.count]
    return hashlib.sha256("".join(lines).encode()).hexdigest() if lines else ""


def root_of(digests: Iterable[tuple[Stream, str]]) -> str:
    """The one hash over all streams' digests; as in the contract. Pure."""
    lines = sorted(f"{stream.value}:{digest}\n" for stream, digest in digests if digest)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def native_key(text: str) -> Key:
    """The wire carries keys as text; PMS keys that are whole numbers are numbers here."""
    return int(text) if text.lstrip("-").isdigit() else text


def compare(journal: Reads, crm: CrmPort, stream: Stream, basis: Basis = Basis.KEPT) -> Comparison:
    """Compare all 256 buckets; about 6 KB when everything is equal. Raises Crm errors.

    What the mirror holds, nobody agreed to and nothing carries belongs to no bucket: it is looked
    for by itself.

    Both sides go on working meanwhile: what differs is looked at twice, and only what is wrong both
    times counts.
    """
    theirs = crm.digests(stream, basis)
    ours = journal.bucket_digests(stream)
    result = Comparison(
        stream,
        records=sum(d.count for d in ours),
        at_crm=sum(d.count for d in theirs),
        digest=digest_of(ours),
    )
    numbers = differing_buckets(ours, theirs)
    result.differing = len(numbers)
    for start in range(0, len(numbers), BUCKETS_AT_ONCE):
        some = numbers[start : start + BUCKETS_AT_ONCE]
        first = _look(journal, crm, stream, some)
        if all(wrong is Wrong.WAITING for wrong in first.values()):
            again = first
        else:
            again = _look(journal, crm, stream, some)
        for key, wrong in again.items():
            if wrong is Wrong.WAITING or first.get(key) is wrong:
                _list_of(result, wrong).append(key)
    for key, is_known in journal.stranded(stream):
        if key not in result.different and key not in result.missing:
            (result.different if is_known else result.missing).append(key)
    return result


def _list_of(result: Comparison, wrong: Wrong) -> list[Key]:
    return {
        Wrong.MISSING: result.missing,
        Wrong.DIFFERENT: result.different,
        Wrong.EXTRA: result.extra,
        Wrong.WAITING: result.waiting,
    }[wrong]


def _look(journal: Reads, crm: CrmPort, stream: Stream, numbers: Sequence[int]) -> dict[Key, Wrong]:
    here = journal.buckets(stream, set(numbers))
    there: dict[str, str] = {}
    for number in numbers:
        there |= crm.bucket(stream, number)
    return _judged(journal, stream, here, there)


def _judged(
    journal: Reads, stream: Stream, here: dict[str, str], there: dict[str, str]
) -> dict[Key, Wrong]:
    texts: Collection[str] = [k for k in here.keys() | there.keys() if here.get(k) != there.get(k)]
    keys = [native_key(text) for text in texts]
    held = journal.held(stream, keys)
    parked = journal.park_tries(stream, keys)  # of what could never be read, too
    found: dict[Key, Wrong] = {}
    for text, key in zip(texts, keys, strict=True):
        was = held.get(key)
        if key in parked or (was is not None and was.batch is not None):
            found[key] = Wrong.WAITING
        elif was is None or was.gone:
            if text in there:
                found[key] = Wrong.EXTRA
        elif text not in there:
            found[key] = Wrong.MISSING
        elif was.agreed is None or was.agreed.hex() != there[text]:
            found[key] = Wrong.DIFFERENT  # else it was settled while we looked
    return found
