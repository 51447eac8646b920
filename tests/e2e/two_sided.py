"""A practice that writes, a CRM that asks, and everything that can come between them.

``TwoSided`` is the bench rig with a stand-in of the Open Dental API over the same database. The
questions at the end are asked of the two databases and of the CRM, never of the agent's journal.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from random import Random
from typing import Any, NamedTuple, Protocol, Self

import pymysql
import pyodbc

from agent.errors import AgentError
from agent.sandbox.practice.create import PracticePlan
from agent.sandbox.practice.front import DeedKind
from agent.sandbox.practice.life import USUAL_MIX, Life
from agent.sandbox.practice.schema import SchemaVersion
from tests.bench.rig import DATABASE, ZONE, Rig, tell
from tests.e2e.crm_side import ENDED, KINDS, Asked, CrmDesk, CrmLife
from tests.e2e.person import Person
from tests.support.odapi import Database, Fault, StandIn

# What leaves no trace has its own tests; here it would only make the sweep the slowest of all.
TRACED = {kind: weight for kind, weight in USUAL_MIX.items()
          if kind not in (DeedKind.SILENT_EDIT, DeedKind.HARD_DELETE)}  # fmt: skip

FOR_A_PERSON = "conflict"  # the state that waits for one, rightly
SERVER_GONE = (pymysql.err.Error, pyodbc.Error, AgentError, OSError)
API_FAULTS = (Fault.CUT, Fault.TIMEOUT, Fault.BUSY, Fault.CUT_BEFORE)
CRM_FAULTS: dict[str, list[dict[str, Any]]] = {
    "crm 503": [{"kind": "status", "path": "/v1/", "times": 8, "status": 503}],
    "crm 429": [{"kind": "status", "path": "/v1/", "times": 5, "status": 429, "retry_after_s": 1}],
    "crm lost answers": [
        {"kind": "reset_after", "path": "/v1/sync/commands", "times": 4},
        {"kind": "reset_after", "path": "/v1/sync/push", "times": 3},
    ],
    "crm twice": [
        {"kind": "redeliver", "path": "", "times": 5},
        {"kind": "reorder", "path": "", "times": 5},
    ],
}

IMPATIENT = {
    "sync.sweep_hot_s": "15",
    "sync.sweep_warm_s": "15",
    "sync.sweep_cold_s": "15",
    "sync.confirm_delete_s": "3",
    "sync.load_duty": "1.0",
    "pms.max_duty": "0.5",
    "sync.brake_rows": "100000",
    "sync.change_brake_share": "1.0",
    "pms.writer": "api",
}


def small_practice(patients: int, seed: int = 11) -> PracticePlan:
    """Of a version whose API offers every method; the vendor's dump is older."""
    return PracticePlan(
        patients=patients, years=1, seed=seed, zone=ZONE, version=SchemaVersion.V24_3
    )


class TwoSided(Rig):
    """Adds the stand-in API; ``ready`` waits until the CRM may ask for things."""

    api: StandIn
    api_user = "root"  # of the database: the API is part of the practice's own program

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self.api = StandIn(
                Database(port=self.server.port, user=self.api_user, database=DATABASE, zone=ZONE),
                limit_s=10.0,
            )
            self.api.__enter__()
        except BaseException:
            self.close()
            raise
        developer, customer = self.api.authorization.removeprefix("ODFHIR ").split("/")
        self.secrets = {
            "BRIDGEWORK_PMS_API_DEVELOPER_KEY": developer,
            "BRIDGEWORK_PMS_API_CUSTOMER_KEY": customer,
        }
        return self

    def close(self, *, keep: bool = False) -> None:
        if hasattr(self, "api"):
            self.api.__exit__(None, None, None)
            del self.api
        super().close(keep=keep)

    def ready(self, settings: dict[str, str] | None = None) -> None:
        self.set_up({**IMPATIENT, "pms.api_url": self.api.url, **(settings or {})})
        self.start_agent()
        self.wait_loaded(120)
        self.wait_offered("appointment.book", 30)

    def wait_offered(self, kind: str, timeout_s: float) -> None:
        """Until the CRM offers this type of command."""
        deadline = time.monotonic() + timeout_s
        with CrmDesk(self.crm_url) as desk:
            while kind not in desk.get("desk")["capabilities"]:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{kind} was never offered: {desk.get('desk')}")
                time.sleep(0.1)

    def kill_agent(self) -> None:
        os.kill(self.agent.pid, signal.SIGKILL)
        self.stop_agent()

    def api_faults(self) -> None:
        """The API works and its answers are lost, late, or an error."""
        for fault in API_FAULTS:
            for verb in ("POST", "PUT"):
                self.api.faults.arm(fault, verb=verb, times=3, share=0.3)

    @contextmanager
    def staff(self, seed: int) -> Iterator[Life]:
        with closing(self.desk()) as desk:
            yield Life(desk, seed=seed, mix=TRACED)

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(self.server.connect(DATABASE)) as link, link.cursor() as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall())

    def open_conflicts(self) -> list[dict[str, Any]]:
        with CrmDesk(self.crm_url) as desk:
            found: list[dict[str, Any]] = desk.get("conflicts", state="open")["conflicts"]
        return found


class FrontDesk(Protocol):
    """What people at work need of a rig."""

    crm_url: str

    def staff(self, seed: int) -> AbstractContextManager[Life]: ...


class Bustle:
    """Staff in the practice and people in the CRM at work, in threads, until the block ends.

    Who loses the server signs in again and goes on; ``cut_off`` counts it. ``kinds``: what the
    CRM's people ask for.
    """

    def __init__(
        self,
        rig: FrontDesk,
        *,
        staff_rate: float,
        crm_rates: Sequence[float],
        kinds: Collection[str] = KINDS,
        seed: int = 0,
    ) -> None:
        self.people = [
            CrmLife(rig.crm_url, seed=seed + number, rate=rate, kinds=kinds)
            for number, rate in enumerate(crm_rates)
        ]
        self.deeds: Counter[str] = Counter()
        self.cut_off = 0
        self._rig = rig
        self._seed = seed
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=p.run, args=(self._stop,)) for p in self.people]
        self._threads.append(threading.Thread(target=self._staff, args=(staff_rate,)))

    def _staff(self, rate: float) -> None:
        while not self._stop.is_set():
            try:
                with self._rig.staff(3 + self._seed + self.cut_off) as life:
                    for deed in life.run(rate=rate, stop=self._stop):
                        self.deeds[deed.kind] += 1
            except SERVER_GONE:
                self.cut_off += 1
                self._stop.wait(0.2)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    @property
    def asked(self) -> list[Asked]:
        return [asked for person in self.people for asked in person.asked]

    @property
    def tried(self) -> list[Asked]:
        """Every edit, also those the CRM never answered about."""
        return [tried for person in self.people for tried in person.tried]


def trouble(rig: TwoSided, seconds: float, seed: int = 5) -> Counter[str]:
    """Everything goes wrong, one thing after another, for about so long; then all is well again."""
    rng = Random(f"trouble:{seed}")
    done: Counter[str] = Counter()
    deadline = time.monotonic() + seconds
    kinds = ["kill", "api down", "api faults", *CRM_FAULTS, "quiet"]
    while time.monotonic() < deadline:
        kind = kinds[done.total() % len(kinds)] if done.total() < len(kinds) else rng.choice(kinds)
        done[kind] += 1
        match kind:
            case "kill":
                rig.kill_agent()
                rig.start_agent()
            case "api down":
                rig.api.stop()
                time.sleep(1.5)
                rig.api.start()
            case "api faults":
                rig.api_faults()
            case _ if kind in CRM_FAULTS:
                rig.crm_faults(*CRM_FAULTS[kind])
        time.sleep(rng.uniform(1.0, 2.5))
    done["api faults struck"] = sum(rig.api.faults.struck[fault] for fault in API_FAULTS)
    rig.api.faults.clear()
    rig.crm_faults()
    return done


def views(
    rig: TwoSided, asked: Sequence[Asked], timeout_s: float, person: Person | None = None
) -> dict[str, dict[str, Any]]:
    """Every request's last view, once all ended (or met a conflict), or none did for ``timeout_s``:
    a busy machine is slow, not stuck.

    ``person``: looks up what nobody can be sure of, says it, and offers booking again.
    """
    deadline = time.monotonic() + timeout_s
    person = person or Person(rig.rows, rig.bridgework, ZONE)
    found: dict[str, dict[str, Any]] = {}
    fewest = len(asked)
    with CrmDesk(rig.crm_url) as desk:
        while True:
            for one in asked:
                if found.get(one.command_id, {}).get("state") not in ENDED:
                    found[one.command_id] = view = desk.command(one.command_id)
                    if view["state"] == "unknown":
                        person.settle(one)
            left = [v for v in found.values() if v["state"] not in (*ENDED, FOR_A_PERSON)]
            if len(left) < fewest:
                fewest, deadline = len(left), time.monotonic() + timeout_s
            if not left or time.monotonic() > deadline:
                return found
            if desk.get("desk")["suspended"]:
                person.clear()
            time.sleep(1)


def overlaps(rig: TwoSided) -> list[tuple[int, int]]:
    """Pairs of visits in one chair at one time, at least one of them asked for by the CRM."""
    return [
        (int(a), int(b))
        for a, b in rig.rows(
            "SELECT a.AptNum, b.AptNum FROM appointment a JOIN appointment b ON a.Op=b.Op"
            " AND a.AptNum<b.AptNum AND a.AptDateTime<b.AptDateTime"
            " + INTERVAL LENGTH(b.Pattern)*5 MINUTE AND b.AptDateTime<a.AptDateTime"
            " + INTERVAL LENGTH(a.Pattern)*5 MINUTE"
            " WHERE a.AptStatus=1 AND b.AptStatus=1 AND a.Op>0"
            " AND (a.Note LIKE '%%req-%%' OR b.Note LIKE '%%req-%%')"
        )
    ]


class Wrong(NamedTuple):
    """``kind``: stuck, lost, twice, or silent (overwritten and told nobody)."""

    kind: str
    what: str


def what_went_wrong(
    rig: TwoSided, asked: Sequence[Asked], found: dict[str, dict[str, Any]]
) -> list[Wrong]:
    """Everything the asked ones are owed and did not get; empty when all is as it must be."""
    wrong = []
    for one in asked:
        view = found[one.command_id]
        # Staff may have changed the very field meanwhile: then a person decides, as it must be.
        asks = view["state"] == FOR_A_PERSON and one.kind not in ("book", "note")
        if view["state"] not in ENDED and not asks:
            wrong.append(Wrong("stuck", f"{one.kind} {one.command_id}: {view['state']}"))
        if not one.token:
            continue
        table, column, standing = {
            "book": ("appointment", "Note", " AND AptStatus<>3"),
            "note": ("commlog", "Note", ""),
        }[one.kind]
        made = rig.rows(
            f"SELECT COUNT(*) FROM {table} WHERE {column} LIKE %s{standing}", f"%{one.token}%"
        )[0][0]
        if view["state"] == "applied" and not made and not _was_there(rig, one, view):
            wrong.append(Wrong("lost", f"{one.kind} {one.command_id}: applied, never was there"))
        if made > (view["state"] == "applied"):
            what = f"{one.kind} {one.command_id}: {view['state']}, {made} in the practice"
            wrong.append(Wrong("twice", what))
    return wrong


def _was_there(rig: TwoSided, one: Asked, view: dict[str, Any]) -> bool:
    """Staff may have taken a visit off again since, or put other words into a note: the visit's
    history stays, and whose entry a note was."""
    if one.kind == "book":
        sql, value = "SELECT COUNT(*) FROM histappointment WHERE Note LIKE %s", f"%{one.token}%"
    else:
        sql = "SELECT COUNT(*) FROM commlog WHERE CommSource=7 AND CommlogNum=%s"
        value = str(view["pms_key"])
    return bool(rig.rows(sql, value)[0][0])


def report(name: str, asked: Sequence[Asked], found: dict[str, dict[str, Any]]) -> None:
    ends = [(one.kind, found[one.command_id]) for one in asked]
    counted = Counter((kind, v["state"], v.get("reason_code") or "") for kind, v in ends)
    for (kind, state, reason), count in sorted(counted.items()):
        tell(f"{name}: {kind} {state} {reason} {count}")


def journal_conflicts(rig: TwoSided) -> list[dict[str, Any]]:
    """As ``bridgework conflicts list`` shows them."""
    found: list[dict[str, Any]] = json.loads(rig.bridgework("conflicts", "list", "--json"))
    return found
