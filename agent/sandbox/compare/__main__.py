"""``python -m agent.sandbox.compare PRACTICE_DB CRM_DB ZONE``: compare in a process of its own.

Two SQLite libraries in one process drop each other's file locks; where the CRM runs in this process
(the demo), the comparison must not.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import msgspec

from agent.sandbox.compare.walk import compare


def main() -> int:
    practice_db, crm_db, zone = sys.argv[1:4]
    with closing(sqlite3.connect(practice_db, timeout=30)) as practice:
        report = compare(practice, Path(crm_db), zone=zone)
    sys.stdout.buffer.write(msgspec.json.encode(report))
    return 0 if report.agrees else 1


if __name__ == "__main__":
    raise SystemExit(main())
