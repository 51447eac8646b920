"""The bench's rig around a practice in a vendor's layout on PostgreSQL, read through psqlodbc.

The server keeps the practice's wall time, as a practice's own server does. The agent's login may
read what a licence grants and nothing else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from agent.sandbox.compare import Report
from agent.sandbox.compare.vendor_walk import compare_vendor
from agent.sandbox.practice.create import PracticePlan
from agent.sandbox.practice.vendors.create import LAYOUTS, SITE_SAYS, create_vendor_practice
from agent.sandbox.practice.vendors.db import OdbcDb
from agent.sandbox.practice.vendors.life import VendorLife
from tests.bench.rig import LOGIN, PASSWORD, ZONE, Rig, tell
from tests.e2e.crm_side import CrmDesk
from tests.support.servers import Postgres, Virtuoso

# A Dentrix licence with the views and the base tables known to be granted with some of them.
DENTRIX_GRANTED = (
    "v_appt", "v_patient", "v_provider", "v_patient_insurance", "v_insured", "v_insurance_plans",
    "rsc", "appt", "patient", "appthist", "apptevent", "aging", "contact", "clinicalnote",
    "fulldef",
)  # fmt: skip
OFFICE = "office"  # the practice's own program


class VendorRig(Rig):
    """``with VendorRig("dentrix", plan=...) as rig``; ``granted``: tables of the reading login."""

    def __init__(
        self, layout: str, *, plan: PracticePlan, granted: Sequence[str] | None = None
    ) -> None:
        super().__init__(engine="innodb", plan=plan)
        self.layout = layout
        self.owner = LAYOUTS[layout].owner
        self.granted = granted
        self.postgres = Postgres(zone=ZONE)
        self.settings: dict[str, str] = {}
        self.grants: Sequence[str] = ()  # further statements of the office's administrator

    def _start_server(self) -> None:
        self.postgres.__enter__()
        self.postgres.run(f"CREATE ROLE {OFFICE} SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
        with closing(self.db()) as db:
            made = create_vendor_practice(db, self.layout, self.plan)
            tell(f"practice: {made.rows:,} rows in {made.took_s:.1f} s ({self.layout})")
            db.run(f"CREATE ROLE {LOGIN} LOGIN PASSWORD '{PASSWORD}'")
            db.run(f"GRANT USAGE ON SCHEMA {self.owner} TO {LOGIN}")
            shape = LAYOUTS[self.layout]
            everything = [t.name for t in (*shape.tables, *shape.views)]
            for name in self.granted or everything:
                db.run(f"GRANT SELECT ON {self.owner}.{name} TO {LOGIN}")
            for statement in self.grants:
                db.run(statement)

    def close(self, *, keep: bool = False) -> None:
        super().close(keep=keep)
        self.postgres.__exit__()

    def connection(self, user: str = LOGIN, password: str = PASSWORD) -> str:
        return self.postgres.connection(user, password)

    def db(self) -> OdbcDb:
        """The practice's own program, which may do everything."""
        return OdbcDb(self.connection(OFFICE), self.owner)

    def life(self, db: OdbcDb, seed: int, **more: Any) -> VendorLife:
        return VendorLife(db, self.layout, zone=ZONE, seed=seed, **more)

    def set_up(self, settings: Mapping[str, str] | None = None) -> None:
        self.secrets["BRIDGEWORK_PMS_ODBC_CONNECTION"] = self.connection()
        says = {f"pms.{name}": value for name, value in SITE_SAYS[self.layout].items()}
        self.configure({"practice.zone": ZONE, "pms.kind": self.layout, **says, **(settings or {})})
        self.pair()

    def wait_offered(self, kind: str, timeout_s: float) -> None:
        """Until the CRM offers this type of command."""
        deadline = time.monotonic() + timeout_s
        with CrmDesk(self.crm_url) as desk:
            while kind not in desk.get("desk")["capabilities"]:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{kind} was never offered")
                time.sleep(0.1)

    def compare(self) -> Report:
        with closing(self.db()) as db:
            return compare_vendor(
                db.link, self.crm_db, layout=self.layout, zone=ZONE, owner=f"{self.owner}."
            )


class VirtuosoRig(VendorRig):
    """The same on Virtuoso: an old driver of its own, no LIMIT, no common table expressions. One
    login does it all; its server has no rights to take away that a view would not take too."""

    def __init__(self, layout: str, *, plan: PracticePlan) -> None:
        super().__init__(layout, plan=plan)
        self.virtuoso = Virtuoso()

    def _start_server(self) -> None:
        before = os.environ.get("TZ")
        os.environ["TZ"] = ZONE  # the server keeps the practice's wall time
        try:
            self.virtuoso.__enter__()
        finally:
            if before is None:
                del os.environ["TZ"]
            else:
                os.environ["TZ"] = before
        with closing(self.db()) as db:
            made = create_vendor_practice(db, self.layout, self.plan)
            tell(f"practice: {made.rows:,} rows in {made.took_s:.1f} s ({self.layout}, Virtuoso)")
        self.settings["pms.odbc_encoding"] = "utf-8"

    def close(self, *, keep: bool = False) -> None:
        Rig.close(self, keep=keep)
        self.virtuoso.__exit__()

    def connection(self, user: str = "dba", password: str = "dba") -> str:
        return self.virtuoso.connection("dba", "dba")
