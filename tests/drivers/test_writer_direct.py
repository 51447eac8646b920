"""The direct writer: one change or none, the program's own rows beside it, and when it refuses."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agent.errors import PmsError, PmsUnavailable
from agent.model.commands import Reason
from agent.model.effects import Effect, EffectKind, WriteRefused, WriteUnknown
from agent.model.streams import Stream
from drivers.opendental.direct.mariadb import MariaPen
from drivers.opendental.direct.pen import RowMoved, StepRefused, Steps
from drivers.opendental.direct.writer import DirectWriter
from tests.drivers.conftest import PASSWORD, ServerPractice
from tests.drivers.writing import PROCEDURE, RECALL, ROBIN, VISIT, WRITER, Site, load, refill
from tests.support.mariadb import MariaDb

pytestmark = pytest.mark.mariadb

BOOKING = {"patient_key": f"{ROBIN}", "start": "2027-03-03T15:00:00Z", "minutes": 30,
           "operatory_key": "1", "is_new_patient": True}  # fmt: skip
MAKE = {"last_name": "Tern", "first_name": "Kim", "phone_mobile": "+13125550188"}
EFFECTS: list[tuple[EffectKind, Stream, int | None, dict[str, Any], str]] = [
    (EffectKind.BOOK, Stream.APPOINTMENT, None, BOOKING, "entrylog"),
    (EffectKind.MOVE, Stream.APPOINTMENT, VISIT, {"minutes": 60}, "securitylog"),
    (EffectKind.CONFIRM, Stream.APPOINTMENT, VISIT, {"confirmation_key": "21"}, "securityloghash"),
    (EffectKind.BREAK, Stream.APPOINTMENT, VISIT, {"status": "broken"}, "entrylog"),
    (EffectKind.SET_STATUS, Stream.APPOINTMENT, VISIT, {"status": "broken"}, "entrylog"),
    (EffectKind.NOTE_APPOINTMENT, Stream.APPOINTMENT, VISIT, {"note": "x"}, "histappointment"),
    (EffectKind.CREATE_PATIENT, Stream.PATIENT, None, MAKE, "custreference"),
    (EffectKind.UPDATE_PATIENT, Stream.PATIENT, ROBIN, {"phone_home": None, "city": "Y"},
     "securitylog"),
    (EffectKind.SET_CONSENT, Stream.PATIENT, ROBIN, {"email_consent": "denied"}, "securitylog"),
    (EffectKind.APPEND_COMMLOG, Stream.COMMUNICATION, None,
     {"patient_key": f"{ROBIN}", "note": "x"}, "securityloghash"),
    (EffectKind.APPEND_NOTE, Stream.CLINICAL_NOTE, None,
     {"patient_key": f"{ROBIN}", "procedure_key": f"{PROCEDURE}", "note": "x"}, "securitylog"),
    (EffectKind.RECORD_PERIO, Stream.PERIO_EXAM, None,
     {"patient_key": f"{ROBIN}", "measures": [{"kind": "probing", "tooth": 1, "b": 2}]},
     "signalod"),
    (EffectKind.UPDATE_RECALL, Stream.RECALL, RECALL, {"due": "2027-01-01"}, "securitylog"),
    (EffectKind.SET_CUSTOM, Stream.PATIENT, ROBIN, {"custom": {"Pharmacy": "x"}}, "securitylog"),
]  # fmt: skip


@pytest.fixture(scope="module")
def sites(server: MariaDb) -> Iterator[Callable[[str], Site]]:
    made: dict[str, Site] = {}

    def site_of(engine: str) -> Site:
        if engine not in made:
            named = {"myisam": "MyISAM", "innodb": "InnoDB"}[engine]
            practice = load(server, f"d_{engine}", named, later=False)
            site = made[engine] = Site(engine, practice)
            login = practice.login(user=WRITER)
            site.writer = DirectWriter(lambda: MariaPen(login), site.office, allowed=True)
            refill(practice.run)
            site.writer.probe()
        return made[engine]

    yield site_of
    for site in made.values():
        site.writer.close()
        site.link.close()


# Steps taken back one by one are the harder half; the default run has time for that one.
@pytest.fixture(params=["myisam", pytest.param("innodb", marks=pytest.mark.slow)])
def site(request: pytest.FixtureRequest, sites: Callable[[str], Site]) -> Site:
    found = sites(request.param)
    assert isinstance(found.practice, ServerPractice)
    found.practice.run("DROP TRIGGER IF EXISTS spoil", "DROP TRIGGER IF EXISTS spoil_back")
    refill(found.practice.run)
    return found


def spoil(site: Site, name: str, when: str, body: str) -> None:
    site.practice.run(f"CREATE TRIGGER {name} {when} FOR EACH ROW {body}")


REFUSE = "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT='Robin Quill'"


@pytest.mark.parametrize(
    ("kind", "stream", "key", "fields", "last"), EFFECTS, ids=[e[0].value for e in EFFECTS]
)
def test_when_a_later_step_fails_nothing_is_left(
    site: Site, kind: EffectKind, stream: Stream, key: int | None, fields: dict[str, Any], last: str
) -> None:
    before = site.state()
    spoil(site, "spoil", f"BEFORE INSERT ON {last}", REFUSE)
    with pytest.raises(WriteRefused) as caught:
        site.write(kind, stream, key, fields, to_unscheduled="no")
    assert "Quill" not in f"{caught.value!r}"
    assert site.state() == before
    site.practice.run("DROP TRIGGER spoil")
    site.write(kind, stream, key, fields, to_unscheduled="no")  # it was that step and no other
    assert site.state() != before


def test_what_cannot_be_taken_back_is_said(site: Site) -> None:
    spoil(site, "spoil", "BEFORE INSERT ON entrylog", REFUSE)
    spoil(site, "spoil_back", "BEFORE DELETE ON appointment", REFUSE)
    expected = WriteRefused if site.name == "innodb" else WriteUnknown
    with pytest.raises(expected):
        site.write(EffectKind.BOOK, Stream.APPOINTMENT, None, BOOKING)
    left = site.number("SELECT COUNT(*) FROM appointment WHERE AptNum NOT IN (31,32)")
    assert left == (0 if site.name == "innodb" else 1)


def test_a_connection_killed_half_way(site: Site) -> None:
    """A transaction dies with its connection; steps on MyISAM stay, and nobody can say which."""
    before = site.state()
    spoil(site, "spoil", "BEFORE INSERT ON histappointment", "DO SLEEP(5)")
    raised: list[BaseException] = []

    def book() -> None:
        try:
            site.write(EffectKind.BOOK, Stream.APPOINTMENT, None, BOOKING)
        except (PmsError, WriteUnknown, WriteRefused) as error:
            raised.append(error)

    thread = threading.Thread(target=book)
    thread.start()
    site.practice.run(*(f"KILL {number}" for number in sleeping(site)))
    thread.join(20)
    assert not thread.is_alive()
    if site.name == "innodb":
        assert isinstance(raised[0], PmsUnavailable)
        assert site.state() == before
    else:
        assert isinstance(raised[0], WriteUnknown)
    site.practice.run("DROP TRIGGER spoil")
    refill(site.practice.run)
    site.write(EffectKind.BOOK, Stream.APPOINTMENT, None, BOOKING)  # with a new connection


def sleeping(site: Site) -> list[int]:
    """The connection that is in the trigger (there it bears the name of the trigger's maker)."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = site.rows(
            "SELECT ID FROM information_schema.PROCESSLIST"
            " WHERE STATE='User sleep' AND DB=DATABASE()"
        )
        if found:
            return [int(row[0]) for row in found]
    raise AssertionError("the writer never came to the trigger")


def test_somebody_else_was_faster(site: Site) -> None:
    practice = site.practice
    assert isinstance(practice, ServerPractice)

    class Overtaken(MariaPen):
        def update(self, table: str, key: int, changes: Any, held: Any) -> bool:
            practice.run("UPDATE patient SET City='Elsewhere' WHERE PatNum=11")
            return super().update(table, key, changes, held)

    pen = Overtaken(practice.login(user=WRITER))
    steps = Steps(pen, atomic=False, random_key=None)
    with pytest.raises(RowMoved):
        steps.update("patient", ROBIN, {"City": "Springfield"})
    pen.close()
    assert site.rows("SELECT City FROM patient WHERE PatNum=11") == [("Elsewhere",)]


def test_only_what_was_held_is_replaced(site: Site) -> None:
    """The engine looks between holding and writing: what is typed after its look is not what was
    held, though the writer could read it before it writes."""
    practice, of = site.practice, "SELECT City FROM patient WHERE PatNum=11"
    effect = Effect(EffectKind.UPDATE_PATIENT, Stream.PATIENT, ROBIN, {"city": "Springfield"})
    site.writer.hold(effect)
    practice.run("UPDATE patient SET City='Elsewhere' WHERE PatNum=11")
    with pytest.raises(WriteRefused) as refused:
        site.writer.write(effect)
    assert (refused.value.reason, refused.value.code) == (
        Reason.LOCKED_BY_USER, "write.record_moved",
    )  # fmt: skip
    assert site.rows(of) == [("Elsewhere",)]
    site.writer.write(effect)  # nothing is held any more
    assert site.rows(of) == [("Springfield",)]


def test_a_refused_look_is_the_writes_to_tell(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> Any:
        raise StepRefused("write.right_missing")

    effect = Effect(EffectKind.UPDATE_PATIENT, Stream.PATIENT, ROBIN, {"city": "Springfield"})
    monkeypatch.setattr(Steps, "row", refused)
    site.writer.hold(effect)
    with pytest.raises(WriteRefused) as told:
        site.writer.write(effect)
    assert (told.value.reason, told.value.code) == (
        Reason.PERMISSION_DENIED, "write.right_missing",
    )  # fmt: skip


def test_steps_are_taken_back_last_first(site: Site) -> None:
    practice = site.practice
    assert isinstance(practice, ServerPractice)
    before = site.state()
    pen = MariaPen(practice.login(user=WRITER))
    steps = Steps(pen, atomic=False, random_key=None)
    row = steps.insert("recall", {"PatNum": ROBIN, "RecallTypeNum": 1, "Note": "one"})
    steps.update("recall", row, {"Note": "two"})
    steps.update("recall", row, {"Note": "three"})
    steps.update("recall", RECALL, {"Note": "four"})
    steps.delete("recall", RECALL)
    steps.take_back()  # each looks that it undoes its own work
    assert site.state() == before
    assert not steps.any_done
    pen.close()


# --- the program's own rows -------------------------------------------------------------------


def test_audit_lines_have_the_hash_the_program_checks(site: Site) -> None:
    site.write(EffectKind.CONFIRM, Stream.APPOINTMENT, VISIT, {"confirmation_key": "21"})
    site.write(EffectKind.UPDATE_PATIENT, Stream.PATIENT, ROBIN, {"city": "Springfield"})
    lines = site.rows(
        "SELECT l.PermType,l.UserNum,DATE_FORMAT(l.LogDateTime,'%Y-%m-%d %H:%i:%s'),l.LogText,"
        "l.PatNum,h.LogHash,l.FKey FROM securitylog l"
        " JOIN securityloghash h ON h.SecurityLogNum=l.SecurityLogNum ORDER BY l.SecurityLogNum"
    )
    assert [(line[0], line[6]) for line in lines] == [("120", f"{VISIT}"), ("108", "0")]
    for *parts, found, _ in lines:
        digest = hashlib.sha256("".join(parts).encode("utf-16-le")).digest()
        assert found == base64.b64encode(digest).decode()


def test_history_holds_the_whole_appointment(site: Site) -> None:
    site.write(EffectKind.MOVE, Stream.APPOINTMENT, VISIT, {"minutes": 60, "provider_key": "2"})
    columns = "AptNum,PatNum,AptStatus,Pattern,Confirmed,Op,Note,ProvNum,AptDateTime,InsPlan1"
    (copied,) = site.rows(f"SELECT {columns} FROM histappointment")
    assert copied == site.rows(f"SELECT {columns} FROM appointment WHERE AptNum={VISIT}")[0]
    assert site.rows("SELECT HistApptAction,HistUserNum FROM histappointment") == [("1", "0")]


def test_only_days_on_a_screen_are_signalled(site: Site) -> None:
    site.write(EffectKind.MOVE, Stream.APPOINTMENT, VISIT, {"minutes": 60})
    assert site.number("SELECT COUNT(*) FROM signalod") == 0
    office = site.office()
    tomorrow = office.clock.now()[:10]
    office.close()
    site.practice.run(f"UPDATE appointment SET AptDateTime='{tomorrow} 23:00:00' WHERE AptNum=31")
    site.write(EffectKind.MOVE, Stream.APPOINTMENT, VISIT, {"provider_key": "2"})
    found = site.rows("SELECT FKeyType,FKey,IType,DateViewing FROM signalod")
    assert set(found) == {
        ("Provider", "1", "68", tomorrow), ("Provider", "2", "68", tomorrow),
        ("Operatory", "1", "68", tomorrow), ("PatNum", f"{ROBIN}", "68", tomorrow),
    }  # fmt: skip


def test_a_recall_learns_of_the_visit_that_satisfies_it(site: Site) -> None:
    site.practice.run(
        "DELETE FROM recalltrigger",
        "INSERT INTO recalltrigger (RecallTypeNum,CodeNum) VALUES (1,1)",
        "UPDATE procedurelog SET AptNum=31,ProcStatus=1 WHERE ProcNum=51",
    )
    site.write(EffectKind.MOVE, Stream.APPOINTMENT, VISIT, {"start": "2027-04-05T15:00:00Z"})
    assert site.rows("SELECT DateScheduled FROM recall") == [("2027-04-05",)]
    site.write(EffectKind.BREAK, Stream.APPOINTMENT, VISIT, {"status": "unscheduled"},
               to_unscheduled="yes")  # fmt: skip
    assert site.rows("SELECT DateScheduled FROM recall") == [("0001-01-01",)]


# --- bookings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "minutes", "is_free"),
    [
        ("2027-03-02T15:00:00Z", 30, False),  # the visit at nine takes forty minutes
        ("2027-03-02T14:35:00Z", 30, False),
        ("2027-03-02T15:35:00Z", 10, False),
        ("2027-03-02T14:30:00Z", 30, True),
        ("2027-03-02T15:40:00Z", 30, True),
    ],
)
def test_a_chair_is_given_once(site: Site, start: str, minutes: int, is_free: bool) -> None:
    fields = {**BOOKING, "start": start, "minutes": minutes}
    if is_free:
        assert site.write(EffectKind.BOOK, Stream.APPOINTMENT, None, fields).key
        return
    before = site.state()
    with pytest.raises(WriteRefused) as caught:
        site.write(EffectKind.BOOK, Stream.APPOINTMENT, None, fields)
    assert caught.value.reason is Reason.SLOT_TAKEN
    assert site.state() == before
    site.practice.run("UPDATE preference SET ValueString='1' WHERE PrefName='ApptsAllowOverlap'")
    site.write(EffectKind.BOOK, Stream.APPOINTMENT, None, fields)


def test_a_visit_may_move_within_its_own_time(site: Site) -> None:
    site.write(EffectKind.MOVE, Stream.APPOINTMENT, VISIT, {"start": "2027-03-02T15:10:00Z"})
    site.practice.run("UPDATE appointment SET AptStatus=1,Op=1 WHERE AptNum=32")
    with pytest.raises(WriteRefused) as caught:
        site.write(EffectKind.MOVE, Stream.APPOINTMENT, VISIT, {"start": "2027-03-02T15:05:00Z"})
    assert caught.value.reason is Reason.SLOT_TAKEN


@pytest.mark.parametrize("status", ["complete", "planned", "note"])
def test_work_is_never_set_complete_here(site: Site, status: str) -> None:
    before = site.state()
    with pytest.raises(WriteRefused) as caught:
        site.write(EffectKind.SET_STATUS, Stream.APPOINTMENT, VISIT, {"status": status})
    assert caught.value.reason is Reason.NOT_SUPPORTED
    assert site.state() == before


# --- values, keys, rights ---------------------------------------------------------------------


def test_values_are_never_part_of_a_statement(site: Site) -> None:
    fields = {"last_name": "O'Hara \\ %s", "first_name": "x'); DELETE FROM patient; --",
              "address": "100% \\' \" ? `a`"}  # fmt: skip
    made = site.write(EffectKind.CREATE_PATIENT, Stream.PATIENT, None, fields)
    found = site.rows(f"SELECT LName,FName,Address FROM patient WHERE PatNum={made.key}")
    wanted = (fields["last_name"], f"X{fields['first_name'][1:]}", fields["address"])
    assert found == [wanted]
    assert site.number("SELECT COUNT(*) FROM patient") == 4


def test_a_text_is_never_cut(site: Site) -> None:
    before = site.state()
    for fields in ({"title": "x" * 16}, {"city": "y" * 101}):
        with pytest.raises(WriteRefused) as caught:
            site.write(EffectKind.UPDATE_PATIENT, Stream.PATIENT, ROBIN, fields)
        assert caught.value.code == "write.text_too_long"
    assert site.state() == before


def test_an_office_that_draws_its_keys(site: Site) -> None:
    site.practice.run("UPDATE preference SET ValueString='1' WHERE PrefName='RandomPrimaryKeys'")
    try:
        made = site.write(EffectKind.BOOK, Stream.APPOINTMENT, None, BOOKING)
        assert made.key is not None
        assert int(made.key) > 1_000_000
        assert site.number(f"SELECT COUNT(*) FROM appointment WHERE AptNum={made.key}") == 1
    finally:
        site.practice.run(
            "UPDATE preference SET ValueString='0' WHERE PrefName='RandomPrimaryKeys'",
        )


def test_a_missing_right_is_named_and_nothing_is_left(site: Site) -> None:
    practice = site.practice
    assert isinstance(practice, ServerPractice)
    tables = ("appointment", "histappointment", "signalod", "patient")
    link = practice.server.connect()
    with link.cursor() as cursor:
        for host in ("%", "localhost"):
            cursor.execute(f"CREATE OR REPLACE USER 'half'@'{host}' IDENTIFIED BY '{PASSWORD}'")
            cursor.execute(f"GRANT SELECT ON `{practice.database}`.* TO 'half'@'{host}'")
            for table in tables:
                granted = f"INSERT,UPDATE,DELETE ON `{practice.database}`.`{table}`"
                cursor.execute(f"GRANT {granted} TO 'half'@'{host}'")
    link.close()
    writer = DirectWriter(lambda: MariaPen(practice.login(user="half")), site.office, allowed=True)
    writer.probe()
    before = site.state()
    whole = Site(site.name, practice)
    whole.writer = writer
    with pytest.raises(WriteRefused) as caught:
        whole.write(EffectKind.BOOK, Stream.APPOINTMENT, None, BOOKING)
    assert caught.value.reason is Reason.PERMISSION_DENIED
    assert site.state() == before
    writer.close()


# --- when it does not write at all ------------------------------------------------------------


def refusing(site: Site, make: Callable[[], MariaPen], *, allowed: bool) -> DirectWriter:
    return DirectWriter(make, site.office, allowed=allowed)


def never() -> MariaPen:
    raise AssertionError("nobody may log in to write")


def test_rows_that_are_signed_are_not_touched(site: Site) -> None:
    site.practice.run("ALTER TABLE patient ADD SecurityHash varchar(255) NOT NULL DEFAULT ''")
    try:
        writer = refusing(site, never, allowed=True)
        facts = writer.probe()
        assert facts.kind == "none"
        assert [finding.code for finding in facts.findings] == ["write.sql_rows_hashed"]
        with pytest.raises(WriteRefused) as caught:
            writer.write(effect := _effect())
        assert effect.kind in facts.missing
        assert caught.value.reason is Reason.NOT_SUPPORTED
        writer.close()
    finally:
        site.practice.run("ALTER TABLE patient DROP SecurityHash")


def test_it_writes_only_when_switched_on(site: Site) -> None:
    writer = refusing(site, never, allowed=False)
    facts = writer.probe()
    assert (facts.kind, facts.abilities) == ("none", frozenset())
    with pytest.raises(WriteRefused):
        writer.write(_effect())


def test_a_wrong_login_is_unavailable_and_not_a_crash(site: Site) -> None:
    practice = site.practice
    assert isinstance(practice, ServerPractice)
    login = practice.login(user=WRITER, password="wrong")
    writer = refusing(site, lambda: MariaPen(login), allowed=True)
    with pytest.raises(PmsUnavailable) as caught:
        writer.probe()
    assert caught.value.code == "pms.auth_refused"
    assert "wrong" not in f"{login!r} {caught.value!r}"


def _effect() -> Any:
    return Effect(EffectKind.BOOK, Stream.APPOINTMENT, None, BOOKING)
