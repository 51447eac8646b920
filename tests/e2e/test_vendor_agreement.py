"""Dentrix and Eaglesoft as dependable as Open Dental: the same proof in their layouts.

A real agent process reads a practice that lives on a real server through a real ODBC driver, is
killed, loses its server, and must end with nothing missing, extra or different.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agent.sandbox.compare import Report
from agent.sandbox.practice.create import PracticePlan
from agent.sandbox.practice.life import Deed
from tests.bench.rig import LOGIN, ZONE
from tests.e2e.crm_side import CrmDesk
from tests.e2e.test_agreement import IMPATIENT
from tests.e2e.vendor_rig import DENTRIX_GRANTED, VendorRig, VirtuosoRig

GRANTED = {"dentrix": DENTRIX_GRANTED, "eaglesoft": None}
LAYOUTS = ["dentrix", "eaglesoft"]


def plan(patients: int) -> PracticePlan:
    return PracticePlan(patients=patients, years=1, seed=7, zone=ZONE)


def wait_agreed(rig: VendorRig, timeout_s: float) -> Report:
    deadline = time.monotonic() + timeout_s
    while True:
        found = rig.compare()
        if found.agrees or time.monotonic() > deadline:
            return found
        time.sleep(1)


def live(rig: VendorRig, seed: int, rate: float, seconds: float) -> list[Deed]:
    with closing(rig.db()) as db:
        return list(rig.life(db, seed).run(rate=rate, duration_s=seconds))


# --- what the CRM asks for ------------------------------------------------------------------------

SITE_MAP = """\
stream,crm_field,crm_type,source_table,source_column,source_type,transform,direction,owner,\
on_conflict,trigger,required,since,note
appointment,confirmation_category,enum,statusdef:fulldef,descript,varchar,\
match:???=unconfirmed;firm=confirmed;here=arrived;ready=ready,both,shared,ask,\
write:w_appt(appointment_id).status_id?confirmed=2;unconfirmed=1,,,our licence's view
"""
CONFIRMED = {
    "dentrix": "SELECT CASE WHEN status=2 THEN 1 ELSE 0 END FROM {o}appt WHERE apptid=?",
    "eaglesoft": "SELECT date_confirmed FROM {o}appointment WHERE appointment_id=?",
}
OPEN_VISIT = {
    "dentrix": "SELECT MIN(apptid) FROM {o}appt WHERE apptdate>? AND status=1 AND patid>0"
    " AND apptbrokenclass=0 AND pinboard=0",
    "eaglesoft": "SELECT MIN(appointment_id) FROM {o}appointment WHERE start_time>?"
    " AND date_confirmed IS NULL AND walkout_time IS NULL AND location_id<>90"
    " AND patient_id IS NOT NULL",
}


def asked(desk: CrmDesk, path: str, body: dict[str, Any], *wanted: str) -> dict[str, Any]:
    """The command's view once it stands in one of these states."""
    made = desk.ask(path, body)
    assert made is not None, desk.refusals
    deadline = time.monotonic() + 20
    while True:
        view = desk.command(made["command_id"], wait_s=1)
        if view["state"] in wanted or time.monotonic() > deadline:
            assert view["state"] in wanted, view
            return view


def open_visit(rig: VendorRig) -> int:
    with closing(rig.db()) as db:
        tomorrow = (db_today() + timedelta(days=1)).isoformat()
        return int(db.rows(OPEN_VISIT[rig.layout], tomorrow)[0][0])


def db_today() -> date:
    return datetime.now(ZoneInfo(ZONE)).date()


def ready(layout: str, patients: int, tmp_path: Path) -> VendorRig:
    """A rig whose login may write what a licence would open: Eaglesoft's by the maker's signature,
    Dentrix's by a view the site's map names."""
    rig = VendorRig(layout, plan=plan(patients), granted=GRANTED[layout])
    rig.settings = dict(IMPATIENT)
    if layout == "dentrix":
        site = tmp_path / "site.csv"
        site.write_text(SITE_MAP)
        rig.settings["map.file"] = str(site)
        rig.grants = (
            "CREATE VIEW {o}w_appt AS"
            " SELECT apptid AS appointment_id, status AS status_id FROM {o}appt",
            f"GRANT SELECT, UPDATE ON {{o}}w_appt TO {LOGIN}",
        )
    else:
        rig.secrets["BRIDGEWORK_PMS_SIGNATURE"] = "Company=Test;Application=Test;Signature=none"
        rig.grants = (
            f"GRANT UPDATE ON {{o}}appointment TO {LOGIN}",
            f"GRANT UPDATE ON {{o}}patient TO {LOGIN}",
        )
    return rig


def lives_through(rig: VendorRig, seconds: float, timeout_s: float) -> None:
    """Life goes on while the agent is killed in its first load and later the server dies."""
    rig.set_up(rig.settings)
    rig.start_agent()
    deeds = live(rig, 1, 20, 1.5)
    os.kill(rig.agent.pid, signal.SIGKILL)
    rig.stop_agent()
    deeds += live(rig, 2, 20, 1.5)  # nobody is looking
    rig.start_agent()
    deeds += live(rig, 3, 20, seconds / 2)
    rig.postgres.kill()
    time.sleep(0.5)
    rig.postgres.start()
    deeds += live(rig, 4, 20, seconds / 2)
    found = wait_agreed(rig, timeout_s)
    kinds = Counter(deed.kind for deed in deeds)
    assert len(kinds) >= 8, kinds
    assert found.agrees, found.table()


def is_written(rig: VendorRig) -> None:
    """A confirmation asked for in the CRM stands in the practice; a cancellation is a task."""
    visit = open_visit(rig)
    with CrmDesk(rig.crm_url) as desk, closing(rig.db()) as db:
        rig.wait_offered("appointment.confirm", 20)
        asked(desk, f"visits/{visit}/confirm", {"confirmation_category": "confirmed"}, "applied")
        (said,) = db.rows(CONFIRMED[rig.layout], visit)[0]
        assert said
        if rig.layout == "eaglesoft":
            of = "SELECT patient_id FROM {o}appointment WHERE appointment_id=?"
            patient = db.rows(of, visit)[0][0]
            edit = {"fields": {"address2": "Unit 42", "phone_mobile": "+12125550142"}}
            asked(desk, f"patients/{patient}/edit", edit, "applied")
            of = "SELECT address_2, cell_phone FROM {o}patient WHERE patient_id=?"
            assert db.rows(of, patient) == [("Unit 42", "(212)555-0142")]
        asked(desk, f"visits/{visit}/cancel", {}, "task")
        assert db.rows(CONFIRMED[rig.layout], visit)  # still there: a person takes it off


@pytest.mark.odbc
@pytest.mark.xdist_group("odbc")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_missing_extra_or_different_and_both_ways(layout: str, tmp_path: Path) -> None:
    with ready(layout, 60, tmp_path) as rig:
        lives_through(rig, seconds=3, timeout_s=60)
        is_written(rig)
        found = wait_agreed(rig, 30)
        assert found.agrees, found.table()
        assert rig.stop_agent() <= 4


@pytest.mark.odbc
@pytest.mark.slow
@pytest.mark.xdist_group("odbc")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_larger_practice_for_minutes(layout: str, tmp_path: Path) -> None:
    with ready(layout, 2000, tmp_path) as rig:
        lives_through(rig, seconds=90, timeout_s=300)


@pytest.mark.odbc
@pytest.mark.slow
@pytest.mark.xdist_group("odbc")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_on_virtuoso_too(layout: str) -> None:
    with VirtuosoRig(layout, plan=plan(80)) as rig:
        rig.set_up({**IMPATIENT, **rig.settings})
        rig.start_agent()
        rig.wait_loaded(60)
        live(rig, 1, 10, 5)
        found = wait_agreed(rig, 60)
        assert found.agrees, found.table()


@pytest.mark.odbc
@pytest.mark.slow
@pytest.mark.xdist_group("odbc")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_without_a_licence_to_write_everything_is_a_task(layout: str) -> None:
    with VendorRig(layout, plan=plan(60), granted=GRANTED[layout]) as rig:
        rig.set_up(IMPATIENT)
        rig.start_agent()
        rig.wait_loaded(60)
        visit = open_visit(rig)
        with CrmDesk(rig.crm_url) as desk, closing(rig.db()) as db:
            rig.wait_offered("appointment.confirm", 20)
            body = {"confirmation_category": "confirmed"}
            asked(desk, f"visits/{visit}/confirm", body, "task")
            assert db.rows(CONFIRMED[layout], visit) in ([(None,)], [(False,)], [(0,)])
        assert json.loads(rig.bridgework("tasks", "list", "--json"))
