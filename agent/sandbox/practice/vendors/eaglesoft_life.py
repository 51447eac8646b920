"""Deeds at the front desk of an Eaglesoft office: no stamp moves, and deletions are final.

Visits that fail are deleted or dragged to the parking column; ledger rows are deleted softly; only
notes carry a freshness. So most deeds are traceless: nothing but comparing finds them. Visits of
the days around today are compared every second and count as traced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from agent.model.streams import Stream
from agent.sandbox.practice.front import DeedKind, Outcome, Touch
from agent.sandbox.practice.names import address, email, first_name, last_name, phone
from agent.sandbox.practice.vendors.db import Value
from agent.sandbox.practice.vendors.eaglesoft import BLOCKS_FROM, PARKING
from agent.sandbox.practice.vendors.front import VendorFront, done, on_a_visit

_VISIT = ("appointment_id", "patient_id", "location_id", "start_time", "end_time")


class EaglesoftFront(VendorFront):
    """Facts of the office that stay: chairs and providers."""

    def __init__(self, *settings: Any) -> None:
        super().__init__(*settings)
        chairs = self.db.rows("SELECT location_id FROM {o}chairs WHERE location_id<>?", PARKING)
        self.chairs = sorted(int(r[0]) for r in chairs)
        self.providers = sorted(str(r[0]) for r in self.db.rows(
            "SELECT provider_id FROM {o}provider"))  # fmt: skip

    def some_patient(self) -> str | None:
        found = self.some("SELECT patient_id FROM {o}patient")
        return None if found is None else str(found)

    def some_visit(self, also: str = "") -> dict[str, Any] | None:
        found = self.db.rows(
            f"SELECT {','.join(_VISIT)} FROM {{o}}appointment WHERE start_time>=?"
            f" AND patient_id IS NOT NULL AND walkout_time IS NULL AND location_id<>?{also}",
            f"{self.today()} 00:00:00",
            PARKING,
        )
        return dict(zip(_VISIT, self.pick(found), strict=True)) if found else None

    def place(self, minutes: int) -> tuple[int, datetime] | None:
        for _ in range(8):
            chair, day = self.pick(self.chairs), self.days_ahead()
            taken = [
                (_minute(start), _minute(end))
                for start, end in self.db.rows(
                    "SELECT start_time,end_time FROM {o}appointment WHERE start_time>=?"
                    " AND start_time<? AND location_id=?",
                    f"{day} 00:00:00",
                    f"{day + timedelta(days=1)} 00:00:00",
                    chair,
                )
            ]
            start = self.start_beside(taken, minutes)
            if start is not None:
                return chair, datetime(day.year, day.month, day.day, start // 60, start % 60)  # noqa: DTZ001 - wall time
        return None


def moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))


def _minute(value: Any) -> int:
    at = moment(value)
    return at.hour * 60 + at.minute


def _visit(
    key: Any, *also: Touch, gone: bool = False, values: Mapping[str, Value] | None = None
) -> Outcome:
    return done(Stream.APPOINTMENT, "appointment", key, *also, gone=gone, values=values)


def book(front: EaglesoftFront) -> Outcome | None:
    patient, minutes = front.some_patient(), 30 + 10 * int(front.rng.random() * 5)
    place = front.place(minutes)
    if patient is None or place is None:
        return None
    chair, start = place
    key = front.key("appointment", "appointment_id", ceiling=BLOCKS_FROM)
    front.insert("appointment", {
        "appointment_id": key, "description": "Exam, señora llamó", "allday_event": 0,
        "start_time": start.isoformat(" "),
        "end_time": (start + timedelta(minutes=minutes)).isoformat(" "), "patient_id": patient,
        "location_id": chair, "classification": 0, "date_appointed": front.now().isoformat(" ",
        "seconds"), "appointment_notes": "", "scheduled_by": "FD1", "arrival_status": 0,
        "confirmation_status": 0, "auto_confirm_sent": 0, "private": 0, "priority": 0,
    })  # fmt: skip
    front.insert(
        "appointment_provider",
        {"appointment_id": key, "provider_id": front.pick(front.providers)},
    )
    return _visit(key)


def _change(front: EaglesoftFront, visit: Mapping[str, Any], **changes: Value) -> Outcome:
    key = visit["appointment_id"]
    front.update("appointment", "appointment_id", key, {**changes, "modified_by": "FD2"})
    return _visit(key, values=changes)


@on_a_visit
def move(front: EaglesoftFront, visit: dict[str, Any]) -> Outcome | None:
    long = moment(visit["end_time"]) - moment(visit["start_time"])
    place = front.place(int(long.total_seconds()) // 60)
    if place is None:
        return None
    chair, start = place
    return _change(
        front, visit, location_id=chair, start_time=start.isoformat(" "),
        end_time=(start + long).isoformat(" "),
    )  # fmt: skip


def confirm(front: EaglesoftFront) -> Outcome | None:
    """Somebody not yet confirmed: the CRM is told that it was done, not when."""
    visit = front.some_visit(" AND date_confirmed IS NULL")
    if visit is None:
        return None
    now = front.now().isoformat(" ", "seconds")
    return _change(front, visit, confirmation_status=2, date_confirmed=now)


def park(front: EaglesoftFront) -> Outcome | None:
    """Dragged to the parking column: it still looks live, in a chair that is none."""
    visit = front.some_visit()
    return None if visit is None else _change(front, visit, location_id=PARKING)


@on_a_visit
def delete_appointment(front: EaglesoftFront, visit: dict[str, Any]) -> Outcome | None:
    front.delete("appointment_provider", "appointment_id", visit["appointment_id"])
    front.delete("appointment", "appointment_id", visit["appointment_id"])
    return _visit(visit["appointment_id"], gone=True)


def break_(front: EaglesoftFront) -> Outcome | None:
    """The official way is to delete it from the day; many offices park it."""
    return delete_appointment(front) if front.chance(0.5) else park(front)


@on_a_visit
def complete(front: EaglesoftFront, visit: dict[str, Any]) -> Outcome | None:
    """Walked out: its times, and what was done on the ledger."""
    start, end = moment(visit["start_time"]), moment(visit["end_time"])
    number = _ledger(front, str(visit["patient_id"]), "S", 120.5, service="0120", fee=120.5)
    made = _change(
        front, visit, arrival_time=start.isoformat(" "), inchair_time=start.isoformat(" "),
        walkout_time=end.isoformat(" "),
    )  # fmt: skip
    return _visit(
        made.main.key,
        Touch(Stream.PROCEDURE, number, "transactions_header"),
        values=dict(made.values),
    )


def _ledger(
    front: EaglesoftFront,
    patient: str,
    kind: str,
    amount: float,
    *,
    service: str | None = None,
    fee: float = 0,
) -> int:
    number = front.key("transactions_header", "tran_num")
    today = front.today().isoformat()
    front.insert("transactions_detail", {
        "detail_id": front.key("transactions_detail", "detail_id"), "tran_num": number,
        "provider_id": front.pick(front.providers), "patient_id": patient, "amount": amount,
        "date_entered": today, "status": 1,
    })  # fmt: skip
    front.insert("transactions_header", {
        "tran_num": number, "user_id": "FD1", "type": kind, "tran_date": today,
        "resp_party_id": patient, "amount": amount, "service_code": service,
        "paytype_id": 1 if kind == "P" else None, "sequence": 1, "surface": "", "fee": fee,
        "description": "Entered at the desk", "status": "A",
        "adjustment_type": 1 if kind in "CD" else None, "claim_id": None, "tooth": "",
    })  # fmt: skip
    return number


def payment(front: EaglesoftFront) -> Outcome | None:
    patient = front.some_patient()
    if patient is None:
        return None
    number = _ledger(front, patient, "P", -(1 + int(front.rng.random() * 20_000) / 100))
    return done(Stream.PAYMENT, "transactions_header", number)


def adjustment(front: EaglesoftFront) -> Outcome | None:
    """A new one, or one taken off the ledger: softly, the row stays."""
    found = front.db.rows(
        "SELECT tran_num FROM {o}transactions_header WHERE type IN ('C','D') AND status='A'"
    )
    patient = front.some_patient()
    if patient is None:
        return None
    if found and front.chance(0.4):
        number = int(front.pick(found)[0])
        front.update("transactions_header", "tran_num", number, {"status": "D"})
        return done(Stream.ADJUSTMENT, "transactions_header", number, gone=True, traceless=True)
    number = _ledger(front, patient, "C", -12.5)
    return done(Stream.ADJUSTMENT, "transactions_header", number)


def new_patient(front: EaglesoftFront) -> Outcome | None:
    rng = front.rng
    found = front.db.rows("SELECT patient_id FROM {o}patient")
    numbers = [int(r[0]) for r in found if str(r[0]).isdigit()]
    key = max(numbers, default=0) + 1
    first, last = first_name(rng, female=True)[:30], last_name(rng)[:100]
    street, second, city, state, zip_code = address(rng)
    front.insert("patient", {
        "patient_id": str(key), "first_name": first, "last_name": last, "address_1": street,
        "address_2": second, "city": city, "state": state, "zipcode": zip_code,
        "cell_phone": phone(rng).stored, "email_address": email(rng, first, last)[:100],
        "sex": "F", "birth_date": "1990-05-17", "status": "A", "responsible_party": str(key),
        "receives_sms": "Y", "receive_recalls": "Y", "current_bal": 0,
        "date_entered": front.today().isoformat(), "social_security": "078-05-1120",
    })  # fmt: skip
    return done(Stream.PATIENT, "patient", key, traceless=True)


def demographics(front: EaglesoftFront) -> Outcome | None:
    key = front.some_patient()
    if key is None:
        return None
    changes: dict[str, Value] = front.pick((
        {"cell_phone": phone(front.rng).stored}, {"last_name": last_name(front.rng)[:100]},
        {"receives_sms": front.pick("YN")}, {"address_1": address(front.rng)[0]},
    ))  # fmt: skip
    front.update("patient", "patient_id", key, changes)
    return done(Stream.PATIENT, "patient", key, traceless=True, values=changes)


def recall(front: EaglesoftFront) -> Outcome | None:
    key = front.some_patient()
    if key is None:
        return None
    due = front.today() + timedelta(days=int(front.rng.random() * 300))
    front.update("patient", "patient_id", key, {"next_recall_date": due.isoformat()})
    return done(Stream.RECALL, "patient", key, traceless=True)


def note(front: EaglesoftFront) -> Outcome | None:
    text = f"Patient comfortable, mañana {int(front.rng.random() * 1e6)}"
    now = front.now().isoformat(" ", "milliseconds")
    found = front.db.rows("SELECT note_id FROM {o}operatory_notes")
    if found and front.chance(0.4):
        key = int(front.pick(found)[0])
        front.update("operatory_notes", "note_id", key, {"description": text, "freshness": now})
    else:
        key = front.key("operatory_notes", "note_id")
        front.insert("operatory_notes", {
            "note_id": key, "patient_id": front.some_patient(), "date_entered": now,
            "user_id": "FD1", "note_type": "C", "description": text, "status": "A",
            "freshness": now,
        })  # fmt: skip
    return done(Stream.CLINICAL_NOTE, "operatory_notes", key, values={"description": text})


def schedule_day(front: EaglesoftFront) -> Outcome | None:
    """A block is drawn on the schedule, or taken off it."""
    found = front.db.rows(
        "SELECT appointment_id FROM {o}appointment WHERE patient_id IS NULL AND start_time>=?",
        f"{front.today()} 00:00:00",
    )
    if found and front.chance(0.4):
        key = int(front.pick(found)[0])
        front.delete("appointment", "appointment_id", key)
        return done(Stream.SCHEDULE_BLOCK, "appointment", key, gone=True)
    top = front.db.rows("SELECT MAX(appointment_id) FROM {o}appointment")[0][0]
    key = max(int(top or 0), BLOCKS_FROM) + 1
    day = front.days_ahead()
    front.insert("appointment", {
        "appointment_id": key, "description": "Team meeting", "allday_event": 0,
        "start_time": f"{day} 12:00:00", "end_time": f"{day} 13:00:00",
        "location_id": front.pick(front.chairs), "scheduled_by": "FD1",
    })  # fmt: skip
    return done(Stream.SCHEDULE_BLOCK, "appointment", key)


def silent_edit(front: EaglesoftFront) -> Outcome | None:
    """An edit far from today, where only the sweep looks."""
    key = front.some(
        "SELECT appointment_id FROM {o}appointment WHERE start_time<? AND patient_id IS NOT NULL",
        f"{front.today() - timedelta(days=120)} 00:00:00",
    )
    if key is None:
        return None
    text = f"silent {int(front.rng.random() * 1e6)}"
    front.update("appointment", "appointment_id", key, {"appointment_notes": text})
    return done(
        Stream.APPOINTMENT, "appointment", key, traceless=True, values={"appointment_notes": text}
    )


def hard_delete(front: EaglesoftFront) -> Outcome | None:
    key = front.some("SELECT claim_id FROM {o}insurance_claim")
    if key is None:
        return None
    front.delete("insurance_claim", "claim_id", key)
    return done(Stream.CLAIM, "insurance_claim", key, gone=True, traceless=True)


ACTIONS: Mapping[DeedKind, Callable[[EaglesoftFront], Outcome | None]] = {
    DeedKind.BOOK: book, DeedKind.MOVE: move, DeedKind.CONFIRM: confirm, DeedKind.BREAK: break_,
    DeedKind.COMPLETE: complete, DeedKind.PARK: park,
    DeedKind.DELETE_APPOINTMENT: delete_appointment, DeedKind.NEW_PATIENT: new_patient,
    DeedKind.DEMOGRAPHICS: demographics, DeedKind.RECALL: recall, DeedKind.NOTE: note,
    DeedKind.PAYMENT: payment, DeedKind.ADJUSTMENT: adjustment,
    DeedKind.SCHEDULE_DAY: schedule_day, DeedKind.SILENT_EDIT: silent_edit,
    DeedKind.HARD_DELETE: hard_delete,
}  # fmt: skip
