"""How fast the reference CRM takes records. Run: ``python -m tests.bench.bench_crm_server``.

The client runs in another process with its bodies prepared beforehand, so what is measured is the
server on its one core: seconds of wall time and of its own CPU per record. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agent.sandbox.crm import CrmServer
from tests.sandbox.crm.desk import Desk, canon, content_hash, uuid7

BATCH = 1000


def records(
    patients: int, per_patient: int, seed: int
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Patients, then visits and procedures pointing at random ones, as a first load sends them."""
    rng = random.Random(seed)
    for n in range(1, patients + 1):
        yield (
            "patient",
            str(n),
            {
                "key": str(n),
                "last_name": f"Name{n % 997}",
                "first_name": f"Given{n % 313}",
                "birthdate": f"19{n % 90 + 10}-0{n % 9 + 1}-1{n % 9}",
                "guarantor_key": str(n - n % 3 or 1),
                "phone_mobile": f"+1555{n:07d}",
                "address": f"{n % 999} Maple Street",
                "city": "Salem",
                "state": "OR",
                "postal_code": "97301",
                "status": "patient",
                "gender": "female",
                "emails": [f"p{n}@example.org"],
                "primary_provider_key": "1",
                "has_insurance": True,
            },
        )
    for n in range(1, patients * per_patient + 1):
        patient = str(rng.randrange(1, patients + 1))
        if n % 3 == 0:
            day = f"20{n % 10 + 17}-{n % 12 + 1:02d}-{n % 28 + 1:02d}"
            yield (
                "appointment",
                str(n),
                {
                    "key": str(n),
                    "patient_key": patient,
                    "status": "complete",
                    "start": f"{day}T15:{n % 60:02d}:00Z",
                    "end": f"{day}T16:{n % 60:02d}:00Z",
                    "zone": "America/Los_Angeles",
                    "minutes": 60,
                    "provider_key": "1",
                    "operatory_key": str(n % 8 + 1),
                    "procedures_text": "PerEx, Pro, BWX4",
                    "confirmation": "Confirmed",
                    "confirmation_category": "confirmed",
                    "pattern": "//XXXXXXXX//",
                    "created": "2020-01-01T10:00:00Z",
                },
            )
        else:
            yield (
                "procedure",
                str(n),
                {
                    "key": str(n),
                    "patient_key": patient,
                    "code": "D1110",
                    "fee": "104.00",
                    "amount": "104.00",
                    "status": "treatment_planned" if n % 40 == 1 else "completed",
                    "date": "2024-03-01",
                    "description": "prophylaxis - adult",
                    "provider_key": "1",
                    "appointment_key": str(n),
                    "date_entered": "2024-03-01",
                    "base_units": 0,
                    "unit_quantity": 1,
                    "code_key": "17",
                },
            )


def bodies(patients: int, per_patient: int, seed: int, journal: str) -> list[tuple[str, bytes]]:
    packed: list[tuple[str, bytes]] = []
    rng = random.Random(seed)
    pending: list[dict[str, Any]] = []

    def close() -> None:
        batch_id = uuid7()
        body = canon(
            {
                "contract": "1",
                "batch_id": batch_id,
                "source": {"agent": "0.1.0", "journal": journal, "epoch": 1, "practice": "demo"},
                "changes": pending,
            }
        )
        packed.append((batch_id, gzip.compress(body, 1)))
        pending.clear()

    for version, (kind, key, content) in enumerate(records(patients, per_patient, seed), 1):
        pending.append(
            {
                "event_id": rng.randbytes(16).hex(),
                "type": kind,
                "key": key,
                "op": "upsert",
                "version": version,
                "content_hash": content_hash(canon(content)),
                "data": content,
            }
        )
        if len(pending) == BATCH:
            close()
    if pending:
        close()
    return packed


def serve(db: str, pipe: Any) -> None:
    """The server's process: answers "cpu" with its CPU seconds, "code" with a pairing code."""
    with CrmServer(Path(db)) as server:
        pipe.send(server.url)
        while (asked := pipe.recv()) != "stop":
            pipe.send(time.process_time() if asked == "cpu" else server.new_code())


class Remote:
    """What ``Desk`` needs of a server that runs in another process."""

    def __init__(self, url: str, pipe: Any) -> None:
        self.url = url
        self._pipe = pipe

    def ask(self, what: str) -> Any:
        self._pipe.send(what)
        return self._pipe.recv()

    def new_code(self) -> str:
        return str(self.ask("code"))


def measure(patients: int, per_patient: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "crm.db"
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        process = multiprocessing.get_context("spawn").Process(target=serve, args=(str(db), theirs))
        process.start()
        try:
            remote = Remote(ours.recv(), ours)
            desk = Desk(remote)  # type: ignore[arg-type]
            report = _load(desk, remote, patients, per_patient)
            report |= _singles(desk)
            report |= _views(desk)
            desk.close()
            ours.send("stop")
        finally:
            process.join(20)
        report["db_mb"] = round(db.stat().st_size / 1e6)
    return report


def _load(desk: Desk, remote: Remote, patients: int, per_patient: int) -> dict[str, Any]:
    batches = bodies(patients, per_patient, 7, desk.journal)
    size = sum(len(body) for _, body in batches)
    count = patients * (1 + per_patient)
    cpu_s, began = remote.ask("cpu"), time.perf_counter()
    slowest = 0.0
    for batch_id, body in batches:
        sent = time.perf_counter()
        answer = desk.send(body, batch_id, headers={"Content-Encoding": "gzip"})
        assert answer.status_code == 200
        slowest = max(slowest, time.perf_counter() - sent)
    wall_s, cpu_s = time.perf_counter() - began, remote.ask("cpu") - cpu_s
    return {
        "records": count,
        "records_per_s_wall": round(count / wall_s),
        "records_per_s_of_server_cpu": round(count / cpu_s),
        "slowest_batch_ms": round(slowest * 1000, 1),
        "gzip_bytes_per_record": round(size / count),
    }


def _singles(desk: Desk) -> dict[str, Any]:
    took = []
    for n in range(400):
        batch_id = uuid7()
        change = desk.change(
            "appointment",
            str(n + 1),
            {"key": str(n), "patient_key": "1", "n": n},
            version=10_000_000 + n,
        )
        body = desk.body([change], batch_id)
        began = time.perf_counter()
        answer = desk.send(body, batch_id)
        took.append((time.perf_counter() - began) * 1000)
        assert answer.json()["results"][0]["outcome"] == "applied"
    return {
        "single_push_ms_p50": round(statistics.median(took), 2),
        "single_push_ms_p99": round(statistics.quantiles(took, n=100)[98], 2),
    }


def _views(desk: Desk) -> dict[str, Any]:
    report = {}
    for name, path in {
        "day": "/app/api/day?date=2024-08-17",
        "search_name": "/app/api/patients?q=name99",
        "search_nobody": "/app/api/patients?q=zzzz",
        "search_phone": "/app/api/patients?q=0004321",
        "card": "/app/api/patients/17",
        "activity": "/app/api/activity",
        "overview": "/app/api/overview",
        "digests": "/v1/sync/digests?type=procedure",
        "bucket": "/v1/sync/digests/procedure/7",
    }.items():
        took = []
        for _ in range(5):
            began = time.perf_counter()
            assert desk.http.get(path).status_code == 200
            took.append((time.perf_counter() - began) * 1000)
        report[f"{name}_ms"] = round(statistics.median(took), 1)
    return report


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--patients", type=int, default=20_000)
    parser.add_argument("--per-patient", type=int, default=14)
    asked = parser.parse_args()
    print(json.dumps(measure(asked.patients, asked.per_patient), indent=1))


if __name__ == "__main__":
    main()
