"""Questions of the proof against the CRM: digests by bucket, and how old the practice's proof is.

Reads only. The digests scan a stream.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import datetime

from agent.journal.reader import Reader
from agent.journal.values import from_micros, to_micros
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.model.writing import BucketDigest

_AGREED = """
SELECT key, agreed FROM record WHERE stream = ? AND gone_at IS NULL AND batch IS NULL
  AND agreed IS NOT NULL AND agreed <> x''
"""


class ProofReads(Reader):
    """The reading face of the proof."""

    def bucket_digests(self, stream: Stream) -> list[BucketDigest]:
        """Non-empty buckets of 256 (first byte of sha256(str(key))) over agreed content hashes.

        Sum of the first 48 bits, xor of the last 64 (signed), over records that are agreed, not
        gone and carried by no batch.
        """
        counts, sums, xors = [0] * 256, [0] * 256, [0] * 256
        sha256, from_bytes = hashlib.sha256, int.from_bytes
        with self._read() as db:
            for key, agreed in db.execute(_AGREED, (self._streams[stream],)):
                bucket = sha256(str(key).encode()).digest()[0]
                counts[bucket] += 1
                sums[bucket] += from_bytes(agreed[:6], "big")
                xors[bucket] ^= from_bytes(agreed[8:16], "big", signed=True)
        return [BucketDigest(b, counts[b], sums[b], xors[b]) for b in range(256) if counts[b]]

    def buckets(self, stream: Stream, wanted: Collection[int]) -> dict[str, str]:
        """key (text) -> agreed content hash (hex) of these buckets. One scan."""
        sha256 = hashlib.sha256
        with self._read() as db:
            return {
                str(key): agreed.hex()
                for key, agreed in db.execute(_AGREED, (self._streams[stream],))
                if sha256(str(key).encode()).digest()[0] in wanted
            }

    def stranded(self, stream: Stream, limit: int = 10_000) -> list[tuple[Key, bool]]:
        """Records read from the practice that the CRM never took as they are, and that no batch
        carries and no park explains: (key, whether the CRM ever took another content). There must
        be none; were there any, no count would tell."""
        return [
            (key, bool(known))
            for key, known in self._rows(
                "SELECT key, agreed IS NOT NULL AND agreed <> x'' FROM record r WHERE stream = ?1"
                " AND gone_at IS NULL AND missing_since IS NULL AND batch IS NULL"
                " AND (agreed IS NULL OR agreed <> hash) AND NOT EXISTS"
                " (SELECT 1 FROM park p WHERE p.stream = ?1 AND p.key = r.key) LIMIT ?2",
                (self._streams[stream], limit),
            )
        ]

    def proven_chunks(self, since: datetime) -> tuple[int, int]:
        """(Chunks proven since then, all chunks.)"""
        sql = "SELECT coalesce(sum(since >= ?), 0), count(*) FROM chunk"
        done, total = self._rows(sql, (to_micros(since),))[0]
        return done, total

    def oldest_by_tier(self) -> dict[str, datetime]:
        """By tier: each of its chunks was proven (or, at the first, read) no longer ago."""
        rows = self._rows("SELECT tier, min(since) FROM chunk GROUP BY tier")
        return {tier: from_micros(since) for tier, since in rows}

    def proven_since(self) -> dict[Stream, datetime]:
        """By stream: each of its chunks was proven (or, at the first, read) no longer ago."""
        names = self._names
        rows = self._rows("SELECT stream, min(since) FROM chunk GROUP BY stream")
        return {names[stream]: from_micros(since) for stream, since in rows if stream in names}
