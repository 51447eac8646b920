"""Cost of normalising: microseconds per row and stream, beside turning the page into columns.

``python -m tests.bench.bench_map [rows]``. Pages of 1,000 rows, every page read once (cold values),
best of three rounds.
"""

from __future__ import annotations

import gc
import sys
import time

from agent.model.reading import Page
from agent.sync.datamap import load_map
from tests.sync.mapsite import STREAM_ROWS, ZONE, facts_of, page_of

PAGE_ROWS = 1000


def fresh(page: Page) -> Page:
    """The same page with strings of its own, as a reader delivers it (no cached hashes)."""
    rows = [
        (*row[:3], *(None if v is None else str(v).encode().decode() for v in row[3:]))
        for row in page.rows
    ]
    return Page(rows)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 60_000
    datamap = load_map("opendental")
    for stream, make in STREAM_ROWS.items():
        rows = make(count)
        best = bare = float("inf")
        size = 0
        for _ in range(3):
            mapped = datamap.compile(facts_of(datamap), zone=ZONE).streams[stream]
            pages = [
                fresh(page_of(mapped, rows[at : at + PAGE_ROWS], first_key=at + 1))
                for at in range(0, count, PAGE_ROWS)
            ]
            gc.collect()
            gc.freeze()  # the waiting pages are the bench's own, not the agent's
            began = time.perf_counter()
            for page in pages:
                list(zip(*page.rows, strict=True))
            bare = min(bare, time.perf_counter() - began)
            began = time.perf_counter()
            for page in pages:
                observed, bad = mapped.observe(page)
                assert not bad
            best = min(best, time.perf_counter() - began)
            size = sum(len(row.canon) for row in observed) // len(observed)
        print(
            f"{stream:<12} {len(mapped.columns):3d} columns  {best / count * 1e6:6.2f} us/row  "
            f"{count / best:9,.0f} rows/s  transpose alone {bare / count * 1e6:.2f} us/row  "
            f"{size} bytes/record"
        )


if __name__ == "__main__":
    main()
