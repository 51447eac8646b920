"""How fast a sample practice is made and how closely its life keeps pace.

``python -m tests.bench.bench_practice [--patients N] [--bulk] [--json]``. Creates in SQLite, MyISAM
and InnoDB; with ``--bulk`` also 1 M appointments and 3 M procedures in MyISAM; then lives at 20
deeds a second on MyISAM. Targets: 20,000 rows/s into MariaDB, bulk within four minutes.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from agent.sandbox.practice.create import (
    MariaDbStore,
    PracticePlan,
    SqliteStore,
    create_practice,
)
from agent.sandbox.practice.desk import MariaDesk
from agent.sandbox.practice.life import Life
from agent.sandbox.practice.schema import Engine
from agent.sandbox.practice.stores import Store
from tests.support.mariadb import MariaDb

RATE = 20.0


def rss_mb() -> float:
    """The most this process ever held; scenarios run from small to large."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def create(name: str, store: Store, plan: PracticePlan) -> dict[str, Any]:
    made = create_practice(store, plan)
    return {
        "bench": f"create {name}",
        "patients": made.patients,
        "rows": made.rows,
        "took_s": round(made.took_s, 1),
        "rows_per_s": round(made.rows / made.took_s),
        "peak_rss_mb": rss_mb(),
    }


def live(desk: MariaDesk, seconds: float) -> dict[str, Any]:
    life = Life(desk, seed=2)
    took, late, began = [], [], None
    for number, deed in enumerate(life.run(rate=RATE, duration_s=seconds)):
        began = deed.began_monotonic if began is None else began
        took.append((deed.at_monotonic - deed.began_monotonic) * 1000)
        late.append((deed.began_monotonic - began - number / RATE) * 1000)
    cuts = statistics.quantiles(took, n=100)
    return {
        "bench": "live MyISAM",
        "deeds": len(took),
        "deed_ms_p50": round(cuts[49], 2),
        "deed_ms_p99": round(cuts[98], 2),
        "late_ms_p99": round(statistics.quantiles(late, n=100)[98], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=5000)
    parser.add_argument("--years", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--bulk", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    plan = PracticePlan(patients=options.patients, years=options.years)

    def tell(result: dict[str, Any]) -> None:
        if options.json:
            print(json.dumps(result), flush=True)
        else:
            facts = ", ".join(f"{k} {v:,}" for k, v in result.items() if k != "bench")
            print(f"{result['bench']:<28}{facts}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        small = PracticePlan(patients=options.patients // 5, years=options.years)
        for name, size in (("SQLite small", small), ("SQLite", plan)):
            with closing(SqliteStore(Path(folder) / f"{name}.db")) as store:
                tell(create(name, store, size))
    with MariaDb() as server:

        def at(database: str, engine: Engine) -> MariaDbStore:
            return MariaDbStore(
                host="127.0.0.1", port=server.port, user="root", password="", database=database,
                engine=engine,
            )  # fmt: skip

        for engine in Engine:
            with closing(at(f"bench_{engine.lower()}", engine)) as maria:
                tell(create(engine.value, maria, plan))
        with closing(MariaDesk(server.connect("bench_myisam"))) as desk:
            tell(live(desk, options.seconds))
        if options.bulk:
            bulk = PracticePlan(
                patients=options.patients, years=options.years, bulk_appointments=1_000_000,
                bulk_procedures=3_000_000,
            )  # fmt: skip
            with closing(at("bench_bulk", Engine.MYISAM)) as maria:
                tell(create("MyISAM 1 M + 3 M", maria, bulk))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
