"""Who may call what (keys, versions, tiers, pages, throttle), and every fault that can be armed."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.odapi.calling import Caller, tomorrow
from tests.support.odapi import Fault, Mode, Signer, Tier, overlaps
from tests.support.odapi.gates import page_limit, throttle_s

pytestmark = pytest.mark.mariadb


# --- who may call what ------------------------------------------------------------------------


def test_keys_and_content_type_are_demanded(caller: Caller) -> None:
    http = httpx.Client(base_url=caller.api.url + "/")
    right = {"Authorization": caller.api.authorization, "Content-Type": "application/json"}

    def status(**changed: str) -> int:
        sent = {k: v for k, v in {**right, **changed}.items() if v}
        return http.get("definitions", headers=sent).status_code

    assert status() == 200
    assert status(Authorization="") == 401
    assert status(Authorization="ODFHIR dev-key/other") == 401
    assert status(Authorization="Bearer dev-key/customer-key") == 401
    assert status(**{"Content-Type": ""}) == 400
    assert status(**{"Content-Type": "text/plain"}) == 400
    assert status(**{"Content-Type": "application/json; charset=utf-8"}) == 200
    http.close()


def test_unknown_and_unbuilt_resources_differ(caller: Caller) -> None:
    assert caller.get("patientz").status_code == 404
    assert caller.get("patients/abc").status_code == 404
    assert caller.get("payments").status_code == 501
    assert caller.delete("appointments/1").status_code == 501
    assert caller.http.post("patients", content=b"{").status_code == 400


def test_an_older_office_refuses_younger_methods_and_overlooks_younger_fields(
    caller: Caller,
) -> None:
    patient = caller.patient()
    caller.api.version = "24.2.30"
    assert caller.post("recalls", PatNum=patient, RecallTypeNum=1).status_code == 400
    caller.api.version = "24.2.31"
    assert caller.post("recalls", PatNum=patient, RecallTypeNum=1).status_code == 200

    caller.api.version = "22.3.8"
    made = caller.post(
        "appointments", PatNum=patient, Op=1, AptDateTime=tomorrow(), colorOverride="1,2,3",
        PatternSecondary="XXXX", Invented=1,
    )  # fmt: skip
    assert made.status_code == 201
    assert made.json()["colorOverride"] == "0,0,0"
    assert "PatternSecondary" not in made.json()
    assert {name.rsplit(" ", 1)[1] for name in caller.api.ignored()} == {
        "colorOverride", "PatternSecondary", "Invented",
    }  # fmt: skip
    caller.api.version = "22.1.50"
    assert caller.get("definitions").status_code == 400  # the service is of 22.2
    caller.api.mode = Mode.LOCAL
    assert caller.get("definitions").status_code == 200


@pytest.mark.parametrize(
    ("tier", "allowed"),
    [
        (Tier.READ, {"definitions"}),
        (Tier.COMM, {"definitions", "commlogs"}),
        (Tier.FULL, {"definitions", "commlogs", "appointments", "patients"}),
    ],
)
def test_a_tier_allows_its_methods_only(caller: Caller, tier: Tier, allowed: set[str]) -> None:
    patient = caller.patient()
    caller.api.tier = tier
    tried = {
        "definitions": caller.get("definitions"),
        "commlogs": caller.post("commlogs", PatNum=patient, Note="x"),
        "appointments": caller.post("appointments", PatNum=patient, Op=1, AptDateTime=tomorrow()),
        "patients": caller.put(f"patients/{patient}", City="Salem"),
    }

    assert {name for name, r in tried.items() if r.status_code < 300} == allowed
    assert {r.status_code for r in tried.values() if r.status_code >= 300} <= {401}


def test_pages_by_mode_and_tier(caller: Caller) -> None:
    values = ",".join(f"({num},99,'x','')" for num in range(70_000, 71_100))
    caller.run(f"INSERT INTO definition (DefNum,Category,ItemName,ItemValue) VALUES {values}")

    def rows(**query: object) -> int:
        return len(caller.get("definitions", Category=99, **query).json())

    assert (rows(), rows(Offset=1000), rows(Limit=5000), rows(Limit=7)) == (1000, 100, 1000, 7)
    caller.api.tier = Tier.ENTERPRISE
    assert rows() == 1100
    caller.api.mode, caller.api.throttle = Mode.REMOTE, 0.0
    assert rows() == 1000
    caller.api.tier = Tier.FULL
    assert rows() == 100
    caller.run("DELETE FROM definition WHERE Category=99")
    assert page_limit(Mode.LOCAL, caller.api.granted) == 1000


def test_remote_mode_lets_one_through_per_interval(caller: Caller) -> None:
    caller.api.mode, caller.api.throttle = Mode.REMOTE, 0.15
    begun = time.monotonic()
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: caller.get("definitions", Limit=1), range(3)))

    assert [r.status_code for r in answers] == [200, 200, 200]
    assert time.monotonic() - begun >= 0.3
    caller.api.throttle = None
    rates = {}
    for tier in Tier:
        caller.api.tier = tier
        rates[tier] = throttle_s(Mode.REMOTE, caller.api.granted)
    assert rates == {Tier.READ: 5, Tier.COMM: 1, Tier.FULL: 1, Tier.ENTERPRISE: 0.5}
    assert throttle_s(Mode.SERVICE, caller.api.granted) == 0


def test_history_says_by_which_way_it_was_made(caller: Caller) -> None:
    patient = caller.patient()
    for mode in (Mode.SERVICE, Mode.LOCAL, Mode.REMOTE):
        caller.api.mode, caller.api.throttle = mode, 0.0
        caller.visit(patient, tomorrow())

    made = caller.rows("SELECT HistUserNum, ApptSource FROM histappointment ORDER BY HistApptNum")
    assert made == [(0, 6), (1, 0), (0, 1)]


# --- what can go wrong ------------------------------------------------------------------------


def test_busy_and_throttled_have_no_effect_and_pass(caller: Caller) -> None:
    patient = caller.patient()
    caller.api.faults.arm(Fault.BUSY, verb="POST", path="commlogs")
    caller.api.faults.arm(Fault.THROTTLED, verb="POST", path="commlogs")

    statuses = [caller.post("commlogs", PatNum=patient, Note="x").status_code for _ in range(3)]

    assert statuses == [503, 429, 201]
    assert len(caller.rows("SELECT 1 FROM commlog")) == 1


def test_effects_that_are_not_answered(caller: Caller) -> None:
    patient = caller.patient()
    caller.api.faults.arm(Fault.CUT, path="appointments")
    with pytest.raises(httpx.RemoteProtocolError):
        caller.post("appointments", PatNum=patient, Op=1, AptDateTime=tomorrow())
    assert len(caller.rows("SELECT 1 FROM appointment")) == 1
    for fault, status in ((Fault.TIMEOUT, 504), (Fault.LOST, 400)):
        caller.api.faults.arm(fault, path="appointments")
        made = caller.post("appointments", PatNum=patient, Op=1, AptDateTime=tomorrow())
        assert made.status_code == status
    assert len(caller.rows("SELECT 1 FROM appointment")) == 3

    caller.api.faults.arm(Fault.CUT_BEFORE, path="appointments")
    with pytest.raises(httpx.RemoteProtocolError):
        caller.post("appointments", PatNum=patient, Op=1, AptDateTime=tomorrow())
    assert len(caller.rows("SELECT 1 FROM appointment")) == 3
    assert [s.status for s in caller.api.seen if s.path == "appointments"] == [0, 504, 400, 0]


def test_what_takes_too_long_is_answered_504_and_still_done(caller: Caller) -> None:
    patient = caller.patient()
    caller.api.limit_s = 0.05
    holder = caller.api.database.open(Signer())  # another connection holds the table
    holder.desk.run("LOCK TABLES commlog WRITE")
    late = caller.post("commlogs", PatNum=patient, Note="x")
    holder.desk.run("UNLOCK TABLES")
    holder.close()
    caller.api.wait_quiet()

    assert late.status_code == 504
    assert len(caller.rows("SELECT 1 FROM commlog")) == 1


def test_slow_waits_and_down_refuses_until_up_again(caller: Caller) -> None:
    caller.api.faults.arm(Fault.SLOW, path="definitions", delay_s=0.15)
    begun = time.monotonic()
    assert caller.get("definitions", Limit=1).status_code == 200
    assert time.monotonic() - begun >= 0.15

    caller.api.stop()
    with pytest.raises(httpx.TransportError):
        caller.get("definitions")
    caller.api.start()
    assert caller.get("definitions", Limit=1).status_code == 200


def test_a_lost_connection_is_made_again(caller: Caller) -> None:
    assert caller.get("definitions", Limit=1).status_code == 200
    for (num,) in caller.rows(
        "SELECT ID FROM information_schema.processlist WHERE ID<>CONNECTION_ID() AND DB=DATABASE()"
    ):
        caller.run(f"KILL {num}")

    assert caller.get("definitions", Limit=1).status_code == 200


def test_another_process_switches_faults_by_http(caller: Caller) -> None:
    switch = caller.api.url.replace("/api/v1", "/standin/faults")
    httpx.post(switch, json={"fault": "busy", "times": None, "share": 1.0})
    assert caller.get("definitions").status_code == 503
    assert caller.get("definitions").status_code == 503
    assert httpx.delete(switch).json()["busy"] == 2
    assert caller.get("definitions", Limit=1).status_code == 200


def test_races_for_one_place_all_win(caller: Caller) -> None:
    patients = [caller.patient(FName=f"P{n}") for n in range(4)]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda num: caller.visit(num, tomorrow()), patients))

    assert len(set(made)) == 4
    office = caller.api.borrow()
    assert len(overlaps(office)) == 6
    caller.api.give_back(office, broken=False)
