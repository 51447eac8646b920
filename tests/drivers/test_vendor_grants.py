"""A Dentrix site: a login with views only, with base tables only, with both; a backup put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from agent.errors import PmsRefused
from agent.model.reading import SourceGuard
from agent.model.streams import Stream
from agent.sandbox.practice.create import PracticePlan
from agent.sandbox.practice.vendors.create import SITE_SAYS, create_vendor_practice
from agent.sandbox.practice.vendors.db import OdbcDb
from agent.sync.datamap import load_map
from agent.sync.guards import Verdict, judge_source, marks_of
from drivers.dentrix.source import DentrixSource
from drivers.odbc.login import OdbcLogin
from tests.support.servers import Postgres

pytestmark = [pytest.mark.odbc, pytest.mark.xdist_group("odbc")]
ZONE = "America/New_York"
VIEWS = ("v_appt", "v_patient", "v_provider", "v_patient_insurance", "v_insured",
         "v_insurance_plans")  # fmt: skip
BASE = ("rsc", "appt", "patient", "appthist", "apptevent", "aging", "contact", "clinicalnote",
        "fulldef")  # fmt: skip
GRANTS = {"views": VIEWS, "base": BASE, "both": (*VIEWS, *BASE), "nothing": ()}


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres(zone=ZONE) as postgres:
        postgres.run("CREATE ROLE office SUPERUSER LOGIN PASSWORD 'x'")
        with closing(OdbcDb(postgres.connection("office", "x"), "admin")) as db:
            create_vendor_practice(db, "dentrix", PracticePlan(patients=40, years=1, seed=8))
        for login, tables in GRANTS.items():
            postgres.run(
                f"CREATE ROLE may_{login} LOGIN PASSWORD 'x'",
                f"GRANT USAGE ON SCHEMA admin TO may_{login}",
                *(f"GRANT SELECT ON admin.{table} TO may_{login}" for table in tables),
            )
        yield postgres


def source(server: Postgres, login: str) -> DentrixSource:
    return DentrixSource(OdbcLogin(connection=server.connection(f"may_{login}", "x")), zone=ZONE)


def readable(made: DentrixSource) -> set[Stream]:
    return {stream for stream, facts in made.probe().streams.items() if facts.readable}


def visits(made: DentrixSource) -> dict[object, bytes]:
    compiled = load_map("dentrix", None, SITE_SAYS["dentrix"]).compile(made.probe(), zone=ZONE)
    mapped = compiled.streams[Stream.APPOINTMENT]
    made.bind(Stream.APPOINTMENT, mapped.columns)
    reader = made.open()
    try:
        observed, bad = mapped.observe(reader.read_range(Stream.APPOINTMENT, None, None, 10_000))
    finally:
        reader.close()
    assert not bad
    return {row.key: row.canon for row in observed}


def test_each_licence_reads_what_it_may(server: Postgres) -> None:
    both = source(server, "both")
    assert readable(both) == set(both.contract.streams)
    assert both.site.tables["v_appt"].real == "admin.v_appt"

    views = source(server, "views")
    assert readable(views) == {
        Stream.PROVIDER, Stream.PATIENT, Stream.APPOINTMENT, Stream.COVERAGE,
    }  # fmt: skip
    codes = {finding.code for finding in views.probe().findings}
    assert {"pms.dentrix_no_history", "pms.dentrix_operatories_unknown"} <= codes

    base = source(server, "base")
    assert base.site.tables["v_appt"].real == "admin.appt"  # the table the view shows
    assert Stream.APPOINTMENT in readable(base)
    assert Stream.PATIENT not in readable(base)


def test_a_visit_is_the_same_through_the_view_and_through_the_table(server: Postgres) -> None:
    both, base = visits(source(server, "both")), visits(source(server, "base"))
    assert len(both) > 50
    assert both == base
    # Without the base table a visit still has its place; what only that table has is left out.
    views = visits(source(server, "views"))
    assert views.keys() == both.keys()
    assert b'"minutes"' in next(iter(both.values()))
    assert not any(b'"minutes"' in canon for canon in views.values())


def test_a_login_without_any_right_is_told(server: Postgres) -> None:
    with pytest.raises(PmsRefused) as told:
        source(server, "nothing").probe()
    assert told.value.code == "pms.right_missing"


def test_statuses_and_operatories_are_found_by_the_offices_own_rows(server: Postgres) -> None:
    made = source(server, "both")
    made.probe()
    assert (made.numbers.operatory_type, made.numbers.status_type) == (1, 19)


def look(server: Postgres) -> SourceGuard:
    reader = source(server, "both").open()
    try:
        return reader.guard()
    finally:
        reader.close()


def judged(guard: SourceGuard, before: SourceGuard) -> Verdict:
    return judge_source(
        guard,
        identity=before.identity,
        version=before.version,
        high_marks=marks_of(before, {}),
    )


def one_more(table: str, key: str) -> str:
    """The newest row once more, under the next number."""
    return (
        f"CREATE TEMP TABLE more AS SELECT * FROM admin.{table} ORDER BY {key} DESC LIMIT 1;"
        f" UPDATE more SET {key}={key}+1; INSERT INTO admin.{table} SELECT * FROM more;"
        " DROP TABLE more"
    )


def test_last_nights_backup_is_told_from_a_deletion(server: Postgres) -> None:
    night = look(server)
    assert {"v_appt", "contact"} <= night.witnesses.keys()
    server.run("CREATE DATABASE backup TEMPLATE postgres", database="template1")
    server.run(one_more("appt", "apptid"), one_more("contact", "contactid"))
    noon = look(server)
    assert judged(noon, night) is Verdict.OK
    server.run(
        "DELETE FROM admin.contact WHERE contactid=(SELECT MAX(contactid) FROM admin.contact)"
    )
    evening = look(server)
    assert evening.witnesses["contact"] < noon.witnesses["contact"]
    assert judged(evening, noon) is Verdict.OK
    server.run(one_more("contact", "contactid"))
    day = look(server)
    server.run(
        "ALTER DATABASE postgres RENAME TO lost",
        "ALTER DATABASE backup RENAME TO postgres",
        database="template1",
    )
    restored = look(server)
    assert restored.identity == day.identity
    assert judged(restored, day) is Verdict.RESTORED
