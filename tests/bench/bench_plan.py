"""The planner alone: rows a second of comparing a page with the mirror, merges a second.

``python -m tests.bench.bench_plan [--rows N] [--json]``. Pages of 1,000 rows, best of five
rounds, no database and no journal. Baseline of the same run: SHA-256 over the same records, which
is what hashing them costs at least.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable
from typing import Any

from agent.journal.rows import Held
from agent.model.streams import Stream
from agent.sync.datamap import load_map
from agent.sync.merge import merge, rules_of
from agent.sync.plan import make_changes, plan_page
from agent.sync.streammap import Observation
from tests.bench.rig import can_keep, emit, show

PAGE_ROWS, ROUNDS = 1000, 5
#: share of the rows whose content differs from the mirror's
CASES = {"nothing changed": 0, "1 % changed": 100, "all changed": 1}


def observations(count: int) -> list[Observation]:
    made = []
    for key in range(1, count + 1):
        canon = b'{"key":"%d","start":"2026-03-02T14:00:00Z","note":"row %d"}' % (key, key)
        made.append(Observation(key, key, -key, canon, hashlib.sha256(canon).digest()[:16]))
    return made


def mirror(rows: list[Observation], every: int) -> dict[Any, Held]:
    """What is held of them; every so-manieth (0: none) with other content."""
    return {
        row.key: Held(
            b"?" * 16 if every and n % every == 0 else row.hash,
            row.sum48, row.xor64, 5, row.hash, None, None, False, False,
        )
        for n, row in enumerate(rows)
    }  # fmt: skip


def best_s(run: Callable[[], None]) -> float:
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        run()
        took.append(time.perf_counter() - began)
    return min(took)


def plan_all(pages: list[list[Observation]], held: list[dict[Any, Held]]) -> None:
    for rows, known in zip(pages, held, strict=True):
        planned = plan_page(rows, known, read_lsn=9)
        make_changes(Stream.APPOINTMENT, planned.changed, prefix=b"12345678", lsn=9)


def hash_all(pages: list[list[Observation]]) -> None:
    for rows in pages:
        for row in rows:
            hashlib.sha256(row.canon).digest()


def merge_all(count: int) -> Callable[[], None]:
    """An edit of three fields against a record: one agrees, one is written, one clashes."""
    rules = rules_of(load_map("opendental").rows, Stream.PATIENT, {})
    base = {"city": "Albany", "address": "1 First Street", "phone_mobile": "+15550100"}
    pms = base | {"phone_mobile": "+15550111"}
    edit = {"city": "Albany", "address": "2 First Street", "phone_mobile": "+15550122"}

    def run() -> None:
        for _ in range(count):
            merge(base, pms, edit, rules)

    found = merge(base, pms, edit, rules)
    assert set(found.write) >= {"address"}
    assert found.kept
    return run


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    rows = observations(asked.rows)
    pages = [rows[at : at + PAGE_ROWS] for at in range(0, len(rows), PAGE_ROWS)]
    bare = best_s(lambda: hash_all(pages))
    seconds = {"SHA-256 of the same records": bare}
    for name, every in CASES.items():
        held = [mirror(page, every) for page in pages]
        seconds[f"plan, {name}"] = best_s(lambda h=held: plan_all(pages, h))
    merges = max(asked.rows // 20, 1)
    each = {name: took / asked.rows for name, took in seconds.items()}
    each["merge of an edit of three fields"] = best_s(merge_all(merges)) / merges
    show(
        f"planner, {asked.rows:,} rows",
        ("", "per second", "us each", "times SHA-256"),
        [
            (name, int(1 / one), one * 1e6, one / each["SHA-256 of the same records"])
            for name, one in each.items()
        ],
    )
    return {"rows": asked.rows, "per second": {name: int(1 / one) for name, one in each.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--json", action="store_true", help="one JSON object at the end")
    can_keep(parser)
    asked = parser.parse_args()
    emit(measure(asked), asked)


if __name__ == "__main__":
    main()
