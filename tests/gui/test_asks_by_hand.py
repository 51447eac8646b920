"""Sheets whose rows each ask for one thing, brought in through the running agent: log entries,
clinical notes, consent, recalls, own fields. Each row once, compared with what is held."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from agent.cli.stage import Stage
from agent.csvio.heads import Kind, kind_of
from agent.model.sheets import IntakeView, Verdict
from agent.model.streams import Stream
from agent.runtime.fallback.asks import ASKS
from tests.gui.counter import Desk

NEW, CHANGED, SAME = Verdict.NEW, Verdict.CHANGED, Verdict.UNCHANGED
KNOWN, NO = Verdict.KNOWN, Verdict.REJECTED


@pytest.fixture
def desk(practice: Stage) -> Iterator[Desk]:
    made = Desk(practice)
    yield made
    made.close()


def verdicts(desk: Desk, text: str) -> list[tuple[int, Verdict, str]]:
    _, rows = desk.preview(text)
    return sorted((row.number, row.verdict, row.code) for row in rows)


def brought_in(desk: Desk, text: str) -> IntakeView:
    job, _ = desk.preview(text)
    return desk.apply(job)


def patients(desk: Desk) -> dict[int, dict[str, Any]]:
    return desk.held(Stream.PATIENT)


def test_messages_are_added_to_the_patients_log_once(desk: Desk) -> None:
    first, second = list(patients(desk))[:2]
    text = (
        "Patient No;Message;Sent at;Channel;Direction\n"
        f"{first};Asked about parking;2026-03-02 09:15;SMS;inbound\n"
        f"{second};Answered;2026-03-02 09:20;phone;outbound\n"
        f"{second};No time;;phone;outbound\n"
        "99999;Nobody;2026-03-02 09:20;phone;in\n"
        f"{first};Odd;2026-03-02 09:20;pigeon;in\n"
    )
    assert verdicts(desk, text) == [
        (2, NEW, ""), (3, NEW, ""), (4, NO, "sheet.missing"), (5, NO, "sheet.no_such_patient"),
        (6, NO, "sheet.bad_word"),
    ]  # fmt: skip
    view = brought_in(desk, text)
    assert sum(view.ends.values()) == 2
    assert set(view.ends) <= {"applied", "task"}, view.ends
    again = text.replace("09:20", "9:20").split("\n", 3)
    assert [v for _, v, _ in verdicts(desk, "\n".join(again[:3]))] == [KNOWN, KNOWN]


def test_consent_is_compared_and_set(desk: Desk) -> None:
    texted = {key: who.get("sms_consent") for key, who in patients(desk).items()}
    yes = next(key for key, said in texted.items() if said == "granted")
    head = "Patient No,Channel,Opt in,Source,Date\n"
    rows = f"{yes},sms,no,web form,2026-03-02 10:00\n{yes},text,yes,web form,2026-03-02 10:00\n"
    assert verdicts(desk, head + rows) == [(2, CHANGED, "")]  # the other one holds already
    view = brought_in(desk, head + rows)
    assert set(view.ends) <= {"applied", "task"}, view.ends


def test_a_recall_of_our_own_export_comes_back_changed(desk: Desk) -> None:
    recalls = desk.held(Stream.RECALL)
    (key, recall), (other, same) = list(recalls.items())[:2]
    text = (
        "key,version,due,interval,is_disabled\n"
        f"{key},{recall['version']},2027-05-04,8 months,no\n"
        f"{other},{same['version']},{same['due'] or ''},,\n"
        "99999,1,2027-05-04,,\n"
    )
    _, rows = desk.preview(text)
    by_number = {row.number: row for row in rows}
    assert by_number[2].verdict is CHANGED
    changed = {change.field: change.then for change in by_number[2].changes}
    assert changed["due"] == "2027-05-04"
    assert changed.get("interval", "P8M") == "P8M"
    assert 3 not in by_number  # as it is
    assert by_number[4].code == "sheet.no_such_record"
    view = brought_in(desk, text)
    assert set(view.ends) <= {"applied", "task"}, view.ends


def test_an_own_field_a_row(desk: Desk) -> None:
    key = next(iter(patients(desk)))
    text = f"Patient No,Field,Value\n{key},Shoe size,44\n"
    _, (row,) = desk.preview(text)
    assert row.verdict is CHANGED
    assert [(c.field, c.then) for c in row.changes] == [("custom.Shoe size", "44")]


def test_whose_a_row_is_may_be_told_by_name(desk: Desk) -> None:
    """Only where it is certain: a name and a birth date alone may be two people."""
    key, who = next(
        (k, p) for k, p in patients(desk).items() if p.get("birthdate") and p.get("phone_mobile")
    )
    names = f"{who['last_name']},{who['first_name']},{who['birthdate']}"
    head = "Last name,First name,DOB,Mobile,Message,At,Mode\n"
    rest = "Called,2026-03-02 09:15,phone\n"
    _, (row,) = desk.preview(f"{head}{names},{who['phone_mobile']},{rest}")
    assert (row.verdict, row.key) == (NEW, key)
    assert verdicts(desk, f"{head}{names},,{rest}") == [(2, NO, "sheet.may_exist")]
    stranger = "Nobody,Nora,1990-01-01,+17205550111"
    assert verdicts(desk, f"{head}{stranger},{rest}") == [(2, NO, "sheet.no_such_patient")]


@pytest.mark.parametrize(
    ("heads", "kind"),
    [
        ("Patient No;Message;Sent at;Channel;Direction", Kind.MESSAGES),
        ("Procedure No;Patient No;Note", Kind.NOTES),
        ("CRM ID;Channel;Consent;Source;At", Kind.CONSENTS),
        ("key;patient_key;type_key;due;interval;note;version", Kind.RECALLS),
        ("Patient No;Field;Value", Kind.CUSTOM),
        ("Last name;First name;Mobile;Note", Kind.PATIENTS),
        ("Last name;First name;Date;Time;Length;Room;Note", Kind.APPOINTMENTS),
        ("Patient No;Date;Time;Type;Notes", Kind.APPOINTMENTS),
        ("Patient No;Date;Time;Channel;Text", Kind.MESSAGES),
    ],
)
def test_what_the_rows_are_is_seen_by_the_heads(heads: str, kind: Kind) -> None:
    assert kind_of(heads.split(";")) is kind


def test_every_kind_but_the_two_with_rules_of_their_own_stands_in_the_table() -> None:
    assert set(ASKS) == set(Kind) - {Kind.PATIENTS, Kind.APPOINTMENTS}
