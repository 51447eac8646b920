"""Booked in the CRM to on the practice's schedule, and the way there in parts.

``python -m tests.bench.bench_booking [--bookings N] [--rate R] [--staff R] [--engine E] [--quick]``

Bookings go one by one through the CRM page's API, while the front desk works at ``--staff`` changes
a second. On the schedule = another connection to the practice's database sees the row (looked for
every 2 ms). The Open Dental API is the stand-in of the tests: the vendor's own program is slower or
faster, which this cannot tell, so the same booking sent straight to the stand-in is the baseline,
beside one synced write to this disk (each booking costs the journal a few).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import httpx

from agent.sandbox.practice.create import PracticePlan
from agent.sandbox.practice.life import Life
from tests.bench.rig import DATABASE, ZONE, emit, options, percentile, rows_of, show
from tests.e2e.crm_side import CrmDesk
from tests.e2e.two_sided import TRACED, TwoSided

LOOK_S = 0.002
TARGET_MS = 200


class Lookout:
    """Notes when a booking's token first stands on the schedule (monotonic seconds)."""

    def __init__(self, rig: TwoSided) -> None:
        self.seen: dict[str, float] = {}
        self._rig = rig
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with closing(self._rig.server.connect(DATABASE)) as link, link.cursor() as cursor:
            cursor.execute("SELECT COALESCE(MAX(AptNum),0) FROM appointment")
            (high,) = cursor.fetchone() or (0,)
            while not self._stop.wait(LOOK_S):
                cursor.execute(
                    "SELECT AptNum, Note FROM appointment WHERE AptNum>%s ORDER BY AptNum", (high,)
                )
                now = time.monotonic()
                for number, note in cursor.fetchall():
                    high = number
                    self.seen.setdefault(str(note), now)


def straight(rig: TwoSided, slots: list[dict[str, Any]], count: int) -> list[float]:
    """ms of the same booking sent to the API by itself."""
    took = []
    headers = {"Authorization": rig.api.authorization, "Content-Type": "application/json"}
    with httpx.Client(base_url=rig.api.url, headers=headers, trust_env=False) as api:
        for slot in slots[:count]:
            began = time.perf_counter()
            answer = api.post("/appointments", json={
                "PatNum": 1, "Op": int(slot["operatory_key"]), "Pattern": "/XXXX/",
                "AptDateTime": slot["at"].replace("T", " ") + ":00", "Note": "straight",
            })  # fmt: skip
            answer.raise_for_status()
            took.append((time.perf_counter() - began) * 1000)
    return took


def synced_write_ms(rounds: int = 50) -> list[float]:
    took = []
    with tempfile.NamedTemporaryFile(dir=".") as file:
        for _ in range(rounds):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            took.append((time.perf_counter() - began) * 1000)
    return took


def book_all(rig: TwoSided, count: int, rate: float) -> list[dict[str, Any]]:
    """Every booking: when it was asked, when the CRM had taken it, and how it ended."""
    made = []
    patients = [str(n) for (n,) in rig.rows("SELECT PatNum FROM patient WHERE PatStatus=0")]
    with CrmDesk(rig.crm_url) as desk:
        start = time.monotonic()
        slots: list[dict[str, Any]] = []
        for number in range(count):
            time.sleep(max(0.0, start + number / rate - time.monotonic()))
            view, token = None, f"req-bench-{number}"
            while view is None:  # a place the one before has taken is refused by the CRM itself
                if not slots:
                    day = datetime.now(UTC).date() + timedelta(days=2)
                    slots = desk.slots(day, days=14)[number % 3 :: 3]
                slot = slots.pop(0)
                began = time.monotonic()
                view = desk.ask("book", {
                    "patient": {"key": patients[number % len(patients)]}, "note": token,
                    "start": slot["start"], "minutes": slot["minutes"],
                    "operatory_key": slot["operatory_key"], "provider_key": slot["provider_key"],
                })  # fmt: skip
            made.append({"token": token, "began": began, "queued": time.monotonic(),
                         "command": view["command_id"]})  # fmt: skip
        for one in made:
            one["view"] = desk.ended(one["command"], 30)
    return made


def run(engine: str, rows: int, asked: argparse.Namespace) -> dict[str, Any]:
    plan = PracticePlan(patients=1500, years=1, zone=ZONE, bulk_appointments=rows)
    with TwoSided(engine=engine, plan=plan) as rig:
        rig.ready()
        time.sleep(3)
        stop = threading.Event()

        def staff() -> None:
            with closing(rig.desk()) as desk:
                for _ in Life(desk, seed=9, mix=TRACED).run(rate=asked.staff, stop=stop):
                    pass

        desk = threading.Thread(target=staff)
        desk.start()
        try:
            with Lookout(rig) as lookout, rig.agent_meter() as agent:
                made = book_all(rig, asked.bookings, asked.rate)
                time.sleep(0.5)
        finally:
            stop.set()
            desk.join()
        with CrmDesk(rig.crm_url) as crm:
            free = crm.slots(datetime.now(UTC).date() + timedelta(days=3), days=14)
        alone = straight(rig, free[::4], 40)
    applied = [m for m in made if m["view"]["state"] == "applied" and m["token"] in lookout.seen]
    parts = {
        "the booking straight to the API": alone,
        "a synced write of the disk": synced_write_ms(),
        "asked -> queued at the CRM": [(m["queued"] - m["began"]) * 1000 for m in applied],
        "queued -> on the schedule": [
            (lookout.seen[m["token"]] - m["queued"]) * 1000 for m in applied
        ],
        "asked -> on the schedule": [
            (lookout.seen[m["token"]] - m["began"]) * 1000 for m in applied
        ],
        "queued -> outcome at the CRM": [float(m["view"]["wait_ms"]) for m in applied],
    }
    show(
        f"booked in the CRM -> on the schedule, {engine}, {len(made)} bookings at {asked.rate}/s, "
        f"{len(applied)} applied, ms (wanted: p99 {TARGET_MS})",
        ("part", "p50", "p95", "p99", "max"),
        [
            (name, *(percentile(ms, p) for p in (0.5, 0.95, 0.99)), max(ms, default=0.0))
            for name, ms in parts.items()
        ],
    )
    ends = sorted({(m["view"]["state"], m["view"].get("reason_code") or "") for m in made})
    print(f"  ends: {ends}; agent {agent[0].cpu:.0%} of a core, {agent[0].rss_mb:.0f} MB")
    return {name: {f"p{int(p * 100)}": percentile(ms, p) for p in (0.5, 0.95, 0.99)}
            for name, ms in parts.items()}  # fmt: skip


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    asked.bookings = asked.bookings or (60 if asked.quick else 400)
    engines = [asked.engine] if asked.engine else ["myisam", "innodb"]
    return {engine: run(engine, rows_of(asked), asked) for engine in engines}


def main() -> None:
    parser = options(__doc__ or "", rows=200_000, quick_rows=5_000)
    parser.add_argument("--bookings", type=int, help="full 400")
    parser.add_argument("--rate", type=float, default=4.0)
    parser.add_argument("--staff", type=float, default=5.0)
    asked = parser.parse_args()
    emit(measure(asked), asked)


if __name__ == "__main__":
    main()
