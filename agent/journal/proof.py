"""The audit chain against the effects it tells of. Reads only.

The chain alone shows that *its* rows were touched; this shows that an effect's images, its end, or
the whole row do not fit the chain any more. Rows whose person was forgotten hold no image.
"""

from __future__ import annotations

import hashlib

import apsw

from agent.journal.meta import read_meta

_IMAGES = """
SELECT e.number, e.image, a.act, a.digest FROM effect e LEFT JOIN audit a ON a.seq = e.intent_seq
WHERE e.intent_seq > ? AND e.image IS NOT NULL ORDER BY e.number
"""
# The last word of the chain on each effect; a bare column goes with the row of the maximum.
_ENDS = """
WITH told AS (
  SELECT json_extract(detail, '$.effect') AS number, substr(act, 8) AS last, max(seq)
  FROM audit WHERE act IN ('effect.intended', 'effect.verified', 'effect.failed', 'effect.unknown')
  GROUP BY 1)
SELECT t.number, t.last, e.state FROM told t LEFT JOIN effect e ON e.number = t.number
"""
_STATES_OF = {
    "intended": ("intent", "written"),
    "verified": ("verified",),
    "failed": ("failed",),
    "unknown": ("unknown",),
}


def effect_findings(db: apsw.Connection) -> list[str]:
    """Findings, [] when all fits; each is ``code effect=N``. Layouts without effects have none."""
    if int(db.pragma("user_version")) < 2:
        return []
    floor = read_meta(db).audit_floor_seq
    findings = []
    for number, image, act, digest in db.execute(_IMAGES, (floor,)):
        if act != "effect.intended" or hashlib.sha256(image).digest() != digest:
            findings.append(f"audit.effect_edited effect={number}")
    for number, last, state in db.execute(_ENDS):
        if state is None:
            if last in ("intended", "unknown"):  # an ended one may have been pruned
                findings.append(f"audit.effect_missing effect={number}")
        elif state not in _STATES_OF[str(last)]:
            findings.append(f"audit.effect_edited effect={number}")
    return sorted(set(findings), key=findings.index)
