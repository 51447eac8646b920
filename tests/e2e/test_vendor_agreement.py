"""Dentrix and Eaglesoft as dependable as Open Dental: the same proof in their layouts.

A real agent process reads a practice that lives on a real server through a real ODBC driver, is
killed, loses its server, and must end with nothing missing, extra or different.
"""

from __future__ import annotations

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
from tests.e2e.vendor_rig import DENTRIX_GRANTED, VendorRig

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


def lives_through(layout: str, patients: int, seconds: float, timeout_s: float) -> None:
    with VendorRig(layout, plan=plan(patients), granted=GRANTED[layout]) as rig:
        rig.set_up(IMPATIENT)
        rig.start_agent()
        deeds = live(rig, 1, 20, 2)
        os.kill(rig.agent.pid, signal.SIGKILL)
        rig.stop_agent()
        deeds += live(rig, 2, 20, 2)  # nobody is looking
        rig.start_agent()
        deeds += live(rig, 3, 20, seconds / 2)
        rig.postgres.kill()
        time.sleep(1)
        rig.postgres.start()
        deeds += live(rig, 4, 20, seconds / 2)
        found = wait_agreed(rig, timeout_s)
        kinds = Counter(deed.kind for deed in deeds)
        assert len(kinds) >= 10, kinds
        assert found.agrees, found.table()
        assert rig.stop_agent() <= 4


@pytest.mark.odbc
@pytest.mark.xdist_group("odbc")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_missing_extra_or_different(layout: str) -> None:
    lives_through(layout, patients=150, seconds=6, timeout_s=60)


# --- what the CRM asks for ------------------------------------------------------------------------

SITE_MAP = """\
stream,crm_field,crm_type,source_table,source_column,source_type,transform,direction,owner,\
on_conflict,trigger,required,since,note
appointment,confirmation_category,enum,statusdef:fulldef,descript,varchar,\
match:???=unconfirmed;firm=confirmed;here=arrived;ready=ready,both,shared,ask,\
write:w_appt(appointment_id).status_id?confirmed=2;unconfirmed=1,,,our licence's view
"""
OPEN_VISIT = {
    "dentrix": "SELECT MIN(apptid) FROM {o}appt WHERE apptdate>? AND status=1 AND patid>0"
    " AND apptbrokenclass=0",
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


@pytest.mark.odbc
@pytest.mark.xdist_group("odbc")
def test_a_signed_eaglesoft_is_written_and_the_rest_is_a_task() -> None:
    with VendorRig("eaglesoft", plan=plan(60)) as rig:
        with closing(rig.db()) as db:
            for name in ("appointment", "patient"):
                db.run(f"GRANT UPDATE ON {{o}}{name} TO {LOGIN}")
        rig.secrets["BRIDGEWORK_PMS_SIGNATURE"] = "Company=Test;Application=Test;Signature=none"
        rig.set_up(IMPATIENT)
        rig.start_agent()
        rig.wait_loaded(60)
        visit = open_visit(rig)
        with CrmDesk(rig.crm_url) as desk, closing(rig.db()) as db:
            rig.wait_offered("appointment.confirm", 20)
            body = {"confirmation_category": "confirmed"}
            asked(desk, f"visits/{visit}/confirm", body, "applied")
            said = db.rows(
                "SELECT date_confirmed FROM {o}appointment WHERE appointment_id=?", visit
            )
            assert said[0][0] is not None
            patient = db.rows(
                "SELECT patient_id FROM {o}appointment WHERE appointment_id=?", visit
            )[0][0]
            edit = {"fields": {"address2": "Unit 42", "phone_mobile": "+12125550142"}}
            asked(desk, f"patients/{patient}/edit", edit, "applied")
            found = db.rows(
                "SELECT address_2, cell_phone FROM {o}patient WHERE patient_id=?", patient
            )
            assert found == [("Unit 42", "(212)555-0142")]
            asked(desk, f"visits/{visit}/cancel", {}, "task")
            assert db.rows("SELECT 1 FROM {o}appointment WHERE appointment_id=?", visit)
        assert '"task' in rig.bridgework("tasks", "list", "--json")
        found = wait_agreed(rig, 30)
        assert found.agrees, found.table()


@pytest.mark.odbc
@pytest.mark.xdist_group("odbc")
@pytest.mark.parametrize("licensed", [False, True], ids=["read licence", "write licence"])
def test_dentrix_is_written_only_where_the_licence_says(licensed: bool, tmp_path: Path) -> None:
    with VendorRig("dentrix", plan=plan(60), granted=DENTRIX_GRANTED) as rig:
        settings = dict(IMPATIENT)
        if licensed:
            site = tmp_path / "site.csv"
            site.write_text(SITE_MAP)
            settings["map.file"] = str(site)
            with closing(rig.db()) as db:
                db.run(
                    "CREATE VIEW {o}w_appt AS"
                    " SELECT apptid AS appointment_id, status AS status_id FROM {o}appt"
                )
                db.run(f"GRANT SELECT, UPDATE ON {{o}}w_appt TO {LOGIN}")
        rig.set_up(settings)
        rig.start_agent()
        rig.wait_loaded(60)
        visit = open_visit(rig)
        with CrmDesk(rig.crm_url) as desk, closing(rig.db()) as db:
            rig.wait_offered("appointment.confirm", 20)
            body = {"confirmation_category": "confirmed"}
            asked(desk, f"visits/{visit}/confirm", body, "applied" if licensed else "task")
            (status,) = db.rows("SELECT status FROM {o}appt WHERE apptid=?", visit)[0]
            assert status == (2 if licensed else 1)
