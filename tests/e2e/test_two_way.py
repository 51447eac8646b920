"""Both directions at once against real parts, with everything going wrong in between.

MariaDB, the reference CRM and the agent are processes of their own; the Open Dental API is the
stand-in of ``tests/support/odapi`` (it cannot show what the vendor's own program would do).
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.bench.rig import ZONE, tell
from tests.e2e.crm_side import Asked, CrmDesk
from tests.e2e.person import Person
from tests.e2e.test_agreement import wait_agreed
from tests.e2e.two_sided import (
    Bustle,
    TwoSided,
    overlaps,
    report,
    small_practice,
    trouble,
    views,
    what_went_wrong,
)

pytestmark = [pytest.mark.mariadb, pytest.mark.xdist_group("two-way")]


def concurrent_edits(rig: TwoSided, count: int) -> set[tuple[str, str]]:
    """Both sides change the same field of ``count`` patients, each without knowing of the other."""
    made = set()
    with CrmDesk(rig.crm_url) as desk:
        patients = rig.rows(
            "SELECT PatNum FROM patient WHERE PatStatus=0 ORDER BY PatNum LIMIT %s", count
        )
        for (number,) in patients:
            shown = desk.get(f"patients/{number}")["person"].get("city")
            rig.rows("UPDATE patient SET City=%s WHERE PatNum=%s", "Alder Falls", number)
            asked = desk.ask(
                f"patients/{number}/edit",
                {"fields": {"city": "Birch Hollow"}, "expected": {"city": shown}},
            )
            assert asked is not None, desk.refusals
            made.add((str(number), "city"))
    return made


def two_sided(engine: str, patients: int, seconds: float, *, staff: float, people: int) -> None:
    with TwoSided(engine=engine, plan=small_practice(patients)) as rig:
        rig.ready()
        with Bustle(rig, staff_rate=staff, crm_rates=[1.5] * people) as bustle:
            done = trouble(rig, seconds)
        assert len(done) >= 7, done
        assert done["api faults struck"], done
        person = Person(rig.rows, rig.bridgework, ZONE)
        found = views(rig, bustle.asked, 240, person)
        report("two-sided", bustle.asked, found)
        tell(f"two-sided: {dict(done)}; a person was asked: {dict(person.settled)}")
        assert len(bustle.asked) >= seconds / 2
        assert what_went_wrong(rig, bustle.asked, found) == []
        assert person.settled.total() <= 2 + len(bustle.asked) // 100, person.settled
        assert overlaps(rig) == []
        before = {(c["key"], c["field"]) for c in rig.open_conflicts()}
        expected = before | concurrent_edits(rig, 5)
        deadline = time.monotonic() + 20
        while (held := {(c["key"], c["field"]) for c in rig.open_conflicts()}) != expected:
            assert time.monotonic() < deadline, held ^ expected
            time.sleep(0.2)
        verdict = wait_agreed(rig, 120)
        assert verdict.agrees, verdict.table()


def race(rig: TwoSided, bookings: int, threads: int) -> list[Asked]:
    """Many callers after few places: raw commands, so that only the practice can refuse."""
    day = datetime.now(UTC).date() + timedelta(days=2)
    with CrmDesk(rig.crm_url) as desk:
        slots = desk.slots(day, days=7)[: max(bookings // 10, 3)]
        patients = [str(n) for (n,) in rig.rows("SELECT PatNum FROM patient WHERE PatStatus=0")]
    assert slots
    asked: list[Asked] = []
    lock = threading.Lock()

    def call(number: int) -> None:
        with CrmDesk(rig.crm_url) as desk:
            for turn in range(number, bookings, threads):
                slot, token = slots[turn % len(slots)], f"req-race-{turn:04d}"
                payload = {"patient": {"key": patients[turn % len(patients)]}, "note": token,
                           "start": slot["start"], "minutes": slot["minutes"],
                           "operatory_key": slot["operatory_key"],
                           "provider_key": slot["provider_key"]}  # fmt: skip
                made = desk.ask("commands", {"type": "appointment.book", "payload": payload})
                assert made is not None
                with lock:
                    asked.append(Asked("book", made["command_id"], token))

    callers = [threading.Thread(target=call, args=(n,)) for n in range(threads)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return asked


def races(bookings: int) -> None:
    with TwoSided(engine="innodb", plan=small_practice(200)) as rig:
        rig.ready()
        asked = race(rig, bookings, threads=8)
        found = views(rig, asked, 300)
        report("race", asked, found)
        assert len(asked) == bookings
        assert what_went_wrong(rig, asked, found) == []
        assert overlaps(rig) == []
        states = [found[one.command_id] for one in asked]
        assert any(view["state"] == "applied" for view in states)
        taken = [view for view in states if view.get("reason_code") == "slot_taken"]
        assert taken
        assert any(view["alternatives"] for view in taken)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["myisam", "innodb"])
def test_for_minutes(engine: str) -> None:
    two_sided(engine, patients=2000, seconds=180, staff=10, people=4)


def test_nothing_is_lost_doubled_or_overwritten() -> None:
    two_sided("myisam", patients=200, seconds=20, staff=5, people=2)


def test_racing_bookings() -> None:
    races(60)


@pytest.mark.slow
def test_a_thousand_racing_bookings() -> None:
    races(1000)
