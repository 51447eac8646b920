"""Pour a sample office into a vendor's layout: made once as an Open Dental file, then read over.

One generator invents all people, visits and money (``agent.sandbox.practice.create``); here they
only change clothes, so all layouts of one seed hold the same office.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path

from agent.sandbox.practice.create import (
    Created,
    PracticePlan,
    Progress,
    SqliteStore,
    create_practice,
)
from agent.sandbox.practice.vendors import dentrix, eaglesoft
from agent.sandbox.practice.vendors.db import VendorDb
from agent.sandbox.practice.vendors.tables import VendorLayout

ROWS_AT_ONCE = 5000
LAYOUTS: dict[str, VendorLayout] = {
    "dentrix": dentrix.LAYOUT,
    "eaglesoft": eaglesoft.LAYOUT,
}


SITE_SAYS: dict[str, dict[str, str]] = {
    "dentrix": {"length_unit_min": str(dentrix.UNIT_MINUTES), "int_time": "minutes"},
    "eaglesoft": {"excluded_chairs": str(eaglesoft.PARKING)},
}
"""Settings an office of the layout must make: what only it can tell."""


def create_vendor_practice(
    db: VendorDb,
    layout: str,
    plan: PracticePlan,
    on_progress: Callable[[Progress], None] | None = None,
) -> Created:
    """Replace the layout's tables behind ``db`` by a new practice; returns what was written."""
    begun = time.monotonic()
    shape = LAYOUTS[layout]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "office.db"
        store = SqliteStore(file)
        made = create_practice(store, plan, on_progress)
        store.close()
        db.make(shape)
        written, counts = 0, {}
        with closing(sqlite3.connect(file)) as office:
            pour = (dentrix.Pour if layout == "dentrix" else eaglesoft.Pour)(office, plan.zone)
            names = {table.name: table.names for table in shape.tables}
            makers = pour.tables()
            for done, (name, make) in enumerate(makers.items()):
                rows = make()
                counts[name] = 0
                while part := list(islice(rows, ROWS_AT_ONCE)):
                    columns = [c for c in names[name] if c in part[0]]
                    counts[name] += db.fill(name, columns, [[r[c] for c in columns] for r in part])
                written += counts[name]
                if on_progress is not None:
                    took = time.monotonic() - begun
                    on_progress(Progress("pour", done + 1, len(makers), written, took))
    return Created(made.patients, written, time.monotonic() - begun, counts)
