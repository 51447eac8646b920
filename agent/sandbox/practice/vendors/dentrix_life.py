"""Deeds at the front desk of a Dentrix office, with the stamps and the history the vendor keeps.

Every write of the program moves the row's ``automodifiedtimestamp``; changes of the schedule leave
a row in ``appthist``, deletions one with ``deletedflag``. An address belongs to the family.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agent.model.streams import Stream
from agent.sandbox.practice.front import DeedKind, Outcome
from agent.sandbox.practice.names import address, first_name, last_name, phone
from agent.sandbox.practice.vendors.db import Value
from agent.sandbox.practice.vendors.dentrix import (
    COMPLETE,
    COMPLETE_SIGNED,
    OPERATORY,
    PROVIDER,
    STATUSES,
    UNIT_MINUTES,
)
from agent.sandbox.practice.vendors.front import VendorFront, done, on_a_visit

_VISIT = ("apptid", "patid", "opid", "provid", "apptdate", "timehr", "timemin", "apptlen", "status")


class DentrixFront(VendorFront):
    """Facts of the office that stay: chairs and providers."""

    def __init__(self, *settings: Any) -> None:
        super().__init__(*settings)
        of = "SELECT id1 FROM {o}rsc WHERE rsctype=? ORDER BY id1"
        self.chairs = [str(r[0]).strip() for r in self.db.rows(of, OPERATORY)]
        self.providers = [str(r[0]).strip() for r in self.db.rows(of, PROVIDER)]

    def touch(
        self,
        table: str,
        column: str,
        key: Value,
        changes: dict[str, Value],
        *,
        silent: bool = False,
    ) -> None:
        moved: dict[str, Value] = {} if silent else {"automodifiedtimestamp": self.stamp()}
        self.update(table, column, key, {**changes, **moved})

    def some_patient(self) -> int | None:
        found = self.some("SELECT patid FROM {o}patient")
        return None if found is None else int(found)

    def some_visit(self) -> dict[str, Any] | None:
        found = self.db.rows(
            f"SELECT {','.join(_VISIT)} FROM {{o}}appt WHERE apptdate>=? AND apptbrokenclass=0"
            " AND pinboard=0 AND status NOT IN (150,-106)",
            self.today().isoformat(),
        )
        return dict(zip(_VISIT, self.pick(found), strict=True)) if found else None

    def place(self, units: int) -> tuple[str, str, int] | None:
        """Chair, day and minute nobody holds."""
        for _ in range(8):
            chair, day = self.pick(self.chairs), self.days_ahead().isoformat()
            taken = [
                (int(hour) * 60 + int(minute), int(hour) * 60 + int(minute) + int(long) * 5)
                for hour, minute, long in self.db.rows(
                    "SELECT timehr,timemin,apptlen FROM {o}appt WHERE apptdate=? AND opid=?"
                    " AND apptbrokenclass=0",
                    day,
                    chair,
                )
            ]
            start = self.start_beside(taken, units * UNIT_MINUTES)
            if start is not None:
                return chair, day, start
        return None

    def history(self, visit: Mapping[str, Any], flag: str) -> None:
        now = self.now()
        self.insert("appthist", {
            "automodifiedtimestamp": self.stamp(), "standin_row": self.key("appthist",
            "standin_row"), "apptid": visit["apptid"], "modifieddate": now.date().isoformat(),
            "modifiedtime": now.hour * 60 + now.minute, "patid": visit["patid"], "userid": "FD1",
            "provid": visit["provid"], "opid": visit["opid"], "apptreason": "",
            "apptlen": visit["apptlen"], "status": "", "apptdate": str(visit["apptdate"]),
            "timehr": visit["timehr"], "timemin": visit["timemin"],
            "createflag": int(flag == "created"), "lastflag": 1,
            "deletedflag": int(flag == "deleted"), "createddate": now.date().isoformat(),
        })  # fmt: skip


def _visit(key: Any, values: Mapping[str, Value]) -> Outcome:
    return done(Stream.APPOINTMENT, "appt", key, values=values)


def book(front: DentrixFront) -> Outcome | None:
    patient, units = front.some_patient(), 4 + int(front.rng.random() * 8)
    place = front.place(units)
    if patient is None or place is None:
        return None
    chair, day, start = place
    unfiled = front.chance(0.15)  # somebody calls who is not on file yet
    now = front.now()
    key = front.key("appt", "apptid")
    row: dict[str, Value] = {
        "automodifiedtimestamp": front.stamp(), "apptid": key, "apptdate": day,
        "rsctype": OPERATORY, "opid": chair, "rsctype2": PROVIDER,
        "provid": front.pick(front.providers), "apptbrokenclass": 0,
        "patname": f"{last_name(front.rng)}, {first_name(front.rng, True)}"[:42] if unfiled else "",
        "patid": 0 if unfiled else patient, "apptlen": units, "amt": 0, "brokendate": None,
        "apptflag": 0, "phone": phone(front.rng).stored[:18] if unfiled else "",
        "apptreason": "Exam, señora llamó", "timehr": start // 60, "timemin": start % 60,
        "status": 1, "appttype": 0, "timeblock": 0, "newpataddrid": 0, "labcaseappt": 0,
        "addlprov": "", "followup": 0, "codeid1": 0, "apptclass": 0, "staffid": "",
        "modifieddate": now.date().isoformat(), "createdate": now.date().isoformat(),
        "createtimehr": now.hour, "createtimemin": now.minute, "createdbyuserid": "FD1",
        "pinboard": 0, "workstationid": "", "orgdate": None, "orgtimehr": 0, "orgtimemin": 0,
    }  # fmt: skip
    front.insert("appt", row)
    front.history(row, "created")
    return _visit(key, {"apptdate": day})


def _change(front: DentrixFront, visit: Mapping[str, Any], changes: dict[str, Value]) -> Outcome:
    today: dict[str, Value] = {"modifieddate": front.today().isoformat()}
    front.touch("appt", "apptid", visit["apptid"], {**changes, **today})
    front.history({**visit, **changes}, "changed")
    return _visit(visit["apptid"], changes)


@on_a_visit
def move(front: DentrixFront, visit: dict[str, Any]) -> Outcome | None:
    place = front.place(int(visit["apptlen"]))
    if place is None:
        return None
    chair, day, start = place
    return _change(front, visit, {
        "apptdate": day, "opid": chair, "timehr": start // 60, "timemin": start % 60,
    })  # fmt: skip


@on_a_visit
def confirm(front: DentrixFront, visit: dict[str, Any]) -> Outcome | None:
    return _change(front, visit, {"status": front.pick(STATUSES[1:-1])[0]})


@on_a_visit
def break_(front: DentrixFront, visit: dict[str, Any]) -> Outcome | None:
    changes: dict[str, Value] = {"apptbrokenclass": 1, "brokendate": front.today().isoformat()}
    return _change(front, visit, changes)


@on_a_visit
def complete(front: DentrixFront, visit: dict[str, Any]) -> Outcome | None:
    return _change(front, visit, {"status": front.pick((COMPLETE, COMPLETE_SIGNED))})


@on_a_visit
def park(front: DentrixFront, visit: dict[str, Any]) -> Outcome | None:
    """Dragged to the pinboard: off the schedule although its day and time still stand."""
    return _change(front, visit, {
        "pinboard": 1, "workstationid": "WS1", "orgdate": str(visit["apptdate"]),
        "orgtimehr": visit["timehr"], "orgtimemin": visit["timemin"],
    })  # fmt: skip


@on_a_visit
def delete_appointment(front: DentrixFront, visit: dict[str, Any]) -> Outcome | None:
    front.delete("appt", "apptid", visit["apptid"])
    front.history(visit, "deleted")
    return done(Stream.APPOINTMENT, "appt", visit["apptid"], gone=True)


def new_patient(front: DentrixFront) -> Outcome | None:
    rng, key = front.rng, front.key("patient", "patid")
    street, second, city, state, zip_code = address(rng)
    front.insert("address", {
        "automodifiedtimestamp": front.stamp(), "addrid": key, "street1": street,
        "street2": second, "city": city, "state": state, "zipcode": zip_code, "country": "",
        "phone": phone(rng).stored[:24], "phoneext": "", "ptrcount": 1,
    })  # fmt: skip
    front.insert("patient", {
        "automodifiedtimestamp": front.stamp(), "patid": key, "priminsrel": 0,
        "standin_guid": f"00000000-0000-0000-0000-{key:012d}",
        "standin_first": first_name(rng, female=True)[:30], "standin_last": last_name(rng)[:60],
        "standin_salutation": "", "standin_gender": "F", "standin_born": "1990-05-17",
        "standin_addrid": key, "standin_primary": 0, "standin_secondary": 0,
    })  # fmt: skip
    return done(Stream.PATIENT, "patient", key)


def demographics(front: DentrixFront) -> Outcome | None:
    """A name (the row is stamped), or the family's address (only the address row is)."""
    key = front.some_patient()
    if key is None:
        return None
    if front.chance(0.6):
        name = last_name(front.rng)[:60]
        front.touch("patient", "patid", key, {"standin_last": name})
        return done(Stream.PATIENT, "patient", key, values={"standin_last": name})
    home = front.db.rows("SELECT standin_addrid FROM {o}patient WHERE patid=?", key)[0][0]
    street = address(front.rng)[0]
    front.touch("address", "addrid", home, {"street1": street})
    return done(Stream.PATIENT, "patient", key, traceless=True)


def commlog(front: DentrixFront) -> Outcome | None:
    patient, now = front.some_patient(), front.now()
    key = front.key("contact", "contactid")
    text = f"Called about x-rays {int(front.rng.random() * 1e6)}"
    front.insert("contact", {
        "automodifiedtimestamp": front.stamp(), "contactid": key,
        "contactdate": now.date().isoformat(), "contacttime": now.hour * 60 + now.minute,
        "patid": patient, "provid": "", "title": text, "contacttype": 1, "refid": 0,
    })  # fmt: skip
    return done(Stream.COMMUNICATION, "contact", key, values={"title": text})


def note(front: DentrixFront) -> Outcome | None:
    """A new clinical note, or an open one whose text is edited."""
    text = f"Patient comfortable, mañana {int(front.rng.random() * 1e6)}"
    found = front.db.rows("SELECT cnotesid FROM {o}clinicalnote")
    if found and front.chance(0.4):
        key = int(front.pick(found)[0])
        front.touch("clinicalnote", "cnotesid", key, {"notetext": text})
        return done(Stream.CLINICAL_NOTE, "clinicalnote", key, values={"notetext": text})
    key = front.key("clinicalnote", "cnotesid")
    front.insert("clinicalnote", {
        "automodifiedtimestamp": front.stamp(), "cnotesid": key, "patid": front.some_patient(),
        "provid": front.pick(front.providers), "createdatetime": front.now().isoformat(" ",
        "seconds"), "entrydatetime": front.now().isoformat(" ", "seconds"), "signatureid": 0,
        "lockeddate": None, "notetext": text,
    })  # fmt: skip
    return done(Stream.CLINICAL_NOTE, "clinicalnote", key, values={"notetext": text})


def aging(front: DentrixFront) -> Outcome | None:
    key = front.some("SELECT guarid FROM {o}aging")
    if key is None:
        return None
    owed = int(front.rng.random() * 90_000) / 100
    front.touch("aging", "guarid", key, {"aging0to30": owed})
    return done(Stream.BALANCE, "aging", key)


def schedule_day(front: DentrixFront) -> Outcome | None:
    """A block is put on the schedule, or taken off it without a trace."""
    found = front.db.rows(
        "SELECT appteventrecid FROM {o}apptevent WHERE eventdate>=?", front.today().isoformat()
    )
    if found and front.chance(0.3):
        key = int(front.pick(found)[0])
        front.delete("apptevent", "appteventrecid", key)
        return done(Stream.SCHEDULE_BLOCK, "apptevent", key, gone=True, traceless=True)
    key = front.key("apptevent", "appteventrecid")
    front.insert("apptevent", {
        "automodifiedtimestamp": front.stamp(), "appteventrecid": key,
        "opid": front.pick(front.chairs), "eventdate": front.days_ahead().isoformat(),
        "starttime": 720, "endtime": 780, "closeopflag": 1, "descript": "Team meeting",
        "color": 0, "pinboardevent": 0, "eventseriesid": 0,
    })  # fmt: skip
    return done(Stream.SCHEDULE_BLOCK, "apptevent", key)


def silent_edit(front: DentrixFront) -> Outcome | None:
    """A conversion's or utility's update that leaves the stamp where it was."""
    text = f"silent {int(front.rng.random() * 1e6)}"
    if front.chance(0.5):
        visit = front.some_visit()
        if visit is None:
            return None
        front.touch("appt", "apptid", visit["apptid"], {"apptreason": text}, silent=True)
        return done(Stream.APPOINTMENT, "appt", visit["apptid"], traceless=True)
    key = front.some_patient()
    front.touch("patient", "patid", key, {"standin_first": text}, silent=True)
    return done(Stream.PATIENT, "patient", key, traceless=True)


def hard_delete(front: DentrixFront) -> Outcome | None:
    """A row of the journal that simply is not there any more."""
    key = front.some("SELECT contactid FROM {o}contact")
    if key is None:
        return None
    front.delete("contact", "contactid", key)
    return done(Stream.COMMUNICATION, "contact", key, gone=True, traceless=True)


ACTIONS: Mapping[DeedKind, Callable[[DentrixFront], Outcome | None]] = {
    DeedKind.BOOK: book, DeedKind.MOVE: move, DeedKind.CONFIRM: confirm, DeedKind.BREAK: break_,
    DeedKind.COMPLETE: complete, DeedKind.PARK: park,
    DeedKind.DELETE_APPOINTMENT: delete_appointment, DeedKind.NEW_PATIENT: new_patient,
    DeedKind.DEMOGRAPHICS: demographics, DeedKind.COMMLOG: commlog, DeedKind.NOTE: note,
    DeedKind.AGING: aging, DeedKind.SCHEDULE_DAY: schedule_day,
    DeedKind.SILENT_EDIT: silent_edit, DeedKind.HARD_DELETE: hard_delete,
}  # fmt: skip
