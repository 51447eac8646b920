"""Writing over ODBC by routes, against a real server through a real driver."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import pytest

from agent.errors import PmsUnavailable
from agent.model.commands import Reason
from agent.model.effects import Effect, EffectKind, WriteRefused
from agent.model.streams import Stream
from agent.sandbox.practice.create import PracticePlan
from agent.sandbox.practice.vendors.create import create_vendor_practice
from agent.sandbox.practice.vendors.db import OdbcDb
from drivers.odbc.writing import As, Route, spelled_of
from drivers.registry import SourceSettings, WriteRoute, WriterSettings, make_writer
from tests.support.servers import Postgres

pytestmark = [pytest.mark.odbc, pytest.mark.xdist_group("odbc")]
ZONE = "America/New_York"
SIGNED = "Company=Test;Application=Test;Signature=none"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres(zone=ZONE) as postgres:
        postgres.run("CREATE ROLE office SUPERUSER LOGIN PASSWORD 'x'")
        with closing(OdbcDb(postgres.connection("office", "x"), "ppm")) as db:
            create_vendor_practice(db, "eaglesoft", PracticePlan(patients=30, years=1, seed=4))
        for login in ("writes", "reads"):
            postgres.run(
                f"CREATE ROLE {login} LOGIN PASSWORD 'x'",
                f"GRANT USAGE ON SCHEMA ppm TO {login}",
                f"GRANT SELECT ON ALL TABLES IN SCHEMA ppm TO {login}",
            )
        postgres.run("GRANT UPDATE ON ppm.appointment, ppm.patient TO writes")
        yield postgres


@pytest.fixture
def office(server: Postgres) -> Iterator[OdbcDb]:
    with closing(OdbcDb(server.connection("office", "x"), "ppm")) as db:
        yield db


@pytest.fixture
def writer_for(server: Postgres) -> Iterator[Callable[..., Any]]:
    opened: list[Any] = []

    def make(login: str = "writes", signature: str = SIGNED, **settings: Any) -> Any:
        source = SourceSettings(
            kind="eaglesoft", zone=ZONE, signature=signature,
            odbc_connection=server.connection(login, "x"),
        )  # fmt: skip
        opened.append(make_writer(source, WriterSettings(**settings)))
        return opened[-1]

    yield make
    for writer in opened:
        with suppress(PmsUnavailable):
            writer.close()


def visit(db: OdbcDb) -> int:
    sql = "SELECT MIN(appointment_id) FROM {o}appointment WHERE patient_id IS NOT NULL"
    return int(db.rows(sql)[0][0])


def edit(key: int, **fields: object) -> Effect:
    return Effect(EffectKind.UPDATE_PATIENT, Stream.PATIENT, key, dict(fields))


def test_what_a_signed_login_may_do(writer_for: Callable[..., Any], office: OdbcDb) -> None:
    writer = writer_for()
    facts = writer.probe()
    assert facts.abilities == {
        EffectKind.CONFIRM, EffectKind.NOTE_APPOINTMENT, EffectKind.UPDATE_PATIENT,
        EffectKind.SET_CONSENT,
    }  # fmt: skip
    assert facts.rest_by_desk
    assert facts.missing[EffectKind.BOOK] == "write.no_route"
    writer.write(edit(2, phone_mobile="+12125550123", emails=["a@example.com"], birthdate=None))
    of = "SELECT cell_phone, email_address, birth_date FROM {o}patient WHERE patient_id='2'"
    assert office.rows(of) == [("(212)555-0123", "a@example.com", None)]
    writer.write(edit(2, birthdate="1980-02-29", last_name="  O'Brien-Núñez "))
    (born, name) = office.rows("SELECT birth_date, last_name FROM {o}patient WHERE patient_id='2'")[
        0
    ]
    assert (str(born), name) == ("1980-02-29", "O'Brien-Núñez")
    consent = Effect(EffectKind.SET_CONSENT, Stream.PATIENT, 2, {"sms_consent": "denied"})
    writer.write(consent)
    of = "SELECT receives_sms FROM {o}patient WHERE patient_id='2'"
    assert office.rows(of) == [("N",)]  # as this office spells it


def test_notes_are_added_and_confirmations_dated(
    writer_for: Callable[..., Any], office: OdbcDb
) -> None:
    writer, key = writer_for(), visit(office)
    writer.probe()
    of = "SELECT appointment_notes, date_confirmed FROM {o}appointment WHERE appointment_id=?"
    before = office.rows(of, key)[0][0]
    note = Effect(EffectKind.NOTE_APPOINTMENT, Stream.APPOINTMENT, key, {"note": "Bring x-rays"})
    writer.write(note)
    assert office.rows(of, key)[0][0] == f"{before}\r\nBring x-rays" if before else "Bring x-rays"
    for word, is_dated in (("confirmed", True), ("unconfirmed", False)):
        fields = {"confirmation_category": word}
        writer.write(Effect(EffectKind.CONFIRM, Stream.APPOINTMENT, key, fields))
        assert (office.rows(of, key)[0][1] is not None) is is_dated
    with pytest.raises(WriteRefused) as refused:
        writer.write(
            Effect(EffectKind.CONFIRM, Stream.APPOINTMENT, key, {"confirmation_category": "ready"})
        )
    assert (refused.value.reason, refused.value.code) == (
        Reason.NOT_SUPPORTED, "write.value_unsupported",
    )  # fmt: skip


def test_a_field_without_a_route_or_a_record_that_is_gone_changes_nothing(
    writer_for: Callable[..., Any], office: OdbcDb
) -> None:
    writer = writer_for()
    writer.probe()
    before = office.rows("SELECT * FROM {o}patient ORDER BY patient_id")
    for effect, code in (
        (edit(2, city="Elsewhere", chart_number="C1"), "write.field_unsupported"),
        (edit(987654, city="Elsewhere"), "write.record_gone"),
        (edit(2, phone_mobile="not a number"), "write.value_invalid"),
        (Effect(EffectKind.BOOK, Stream.APPOINTMENT, None, {}), "write.no_route"),
    ):
        with pytest.raises(WriteRefused) as refused:
            writer.write(effect)
        assert refused.value.code == code
    assert office.rows("SELECT * FROM {o}patient ORDER BY patient_id") == before


def test_a_row_changed_since_it_was_read_is_left_alone(
    writer_for: Callable[..., Any], office: OdbcDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = writer_for()
    writer.probe()
    act = writer._act

    def meanwhile(session: Any, statements: Any) -> None:
        office.run("UPDATE {o}patient SET city='Staff town' WHERE patient_id='3'")
        act(session, statements)

    monkeypatch.setattr(writer, "_act", meanwhile)
    with pytest.raises(WriteRefused) as refused:
        writer.write(edit(3, city="Cloud town"))
    assert (refused.value.reason, refused.value.code) == (
        Reason.LOCKED_BY_USER, "write.record_moved",
    )  # fmt: skip
    assert office.rows("SELECT city FROM {o}patient WHERE patient_id='3'") == [("Staff town",)]


def test_only_what_was_held_is_replaced(writer_for: Callable[..., Any], office: OdbcDb) -> None:
    """The engine looks between holding and writing: what is typed after its look is no longer what
    was held, though the writer could read it before it writes."""
    writer, of = writer_for(), "SELECT city FROM {o}patient WHERE patient_id='4'"
    writer.probe()
    effect = edit(4, city="Cloud town")
    writer.hold(effect)
    office.run("UPDATE {o}patient SET city='Staff town' WHERE patient_id='4'")
    with pytest.raises(WriteRefused) as refused:
        writer.write(effect)
    assert refused.value.code == "write.record_moved"
    assert office.rows(of) == [("Staff town",)]
    writer.hold(edit(5, city="Elsewhere"))
    writer.write(effect)  # another one was held: this one reads for itself
    assert office.rows(of) == [("Cloud town",)]


def test_a_login_that_may_only_read_is_recognised(writer_for: Callable[..., Any]) -> None:
    facts = writer_for("reads").probe()
    assert facts.kind == "none"
    assert facts.missing[EffectKind.CONFIRM] == "write.right_missing"
    unsigned = writer_for(signature="").probe()
    assert unsigned.kind == "none"
    assert set(unsigned.missing.values()) == {"write.reads_only"}


def test_without_its_server_a_writer_is_away(server: Postgres) -> None:
    source = SourceSettings(
        kind="eaglesoft", signature=SIGNED,
        odbc_connection=server.connection("writes", "x", port=1),
    )  # fmt: skip
    with pytest.raises(PmsUnavailable):
        make_writer(source, WriterSettings()).probe()


def test_dentrix_is_written_through_what_the_sites_map_names(server: Postgres) -> None:
    with closing(OdbcDb(server.connection("office", "x"), "admin")) as db:
        create_vendor_practice(db, "dentrix", PracticePlan(patients=30, years=1, seed=4))
        db.run("CREATE VIEW {o}w_appt AS SELECT apptid AS aid, status AS status_id FROM {o}appt")
        db.run(
            "CREATE FUNCTION {o}sp_reason(int, varchar) RETURNS int AS"
            " 'UPDATE admin.appt SET apptreason=$2 WHERE apptid=$1; SELECT 1' LANGUAGE sql"
        )
        db.run("GRANT USAGE ON SCHEMA admin TO writes")
        db.run("GRANT SELECT ON ALL TABLES IN SCHEMA admin TO writes")
        db.run("GRANT UPDATE ON {o}w_appt, {o}appt TO writes")
        source = SourceSettings(
            kind="dentrix", zone=ZONE, odbc_connection=server.connection("writes", "x")
        )
        assert make_writer(source, WriterSettings()).probe().kind == "none"
        routes = (
            WriteRoute(Stream.APPOINTMENT, "confirmation_category", "match:x=confirmed", "w_appt",
                       "aid", "status_id", words={"confirmed": "2"}),
            WriteRoute(Stream.APPOINTMENT, "note", "text", procedure="sp_reason"),
            WriteRoute(Stream.PATIENT, "city", "text", "w_nowhere", "id", "city"),
        )  # fmt: skip
        writer = make_writer(source, WriterSettings(routes=routes))
        facts = writer.probe()
        assert facts.abilities == {EffectKind.CONFIRM, EffectKind.NOTE_APPOINTMENT}
        assert facts.missing[EffectKind.UPDATE_PATIENT] == "write.route_missing"
        key = int(db.rows("SELECT MIN(apptid) FROM {o}appt")[0][0])
        fields = {"confirmation_category": "confirmed"}
        writer.write(Effect(EffectKind.CONFIRM, Stream.APPOINTMENT, key, fields))
        writer.write(
            Effect(EffectKind.NOTE_APPOINTMENT, Stream.APPOINTMENT, key, {"note": "By procedure"})
        )
        said = db.rows("SELECT status, apptreason FROM {o}appt WHERE apptid=?", key)[0]
        assert (said[0], said[1].rstrip()) == (2, "By procedure")
        writer.close()


def test_how_a_sites_own_route_is_spelled() -> None:
    assert spelled_of("phone_home", "phone") is As.PHONE
    assert spelled_of("confirmation_key", "byte") is As.KEY
    assert spelled_of("note", "text") is As.APPENDED
    assert spelled_of("city", "text") is As.TEXT
    assert Route(Stream.PATIENT, "city").spelled is As.TEXT
