"""Appointments and their history rows: how one visit is written down.

May import the office, schedule and people beside it; decides nothing about who comes when.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from agent.sandbox.practice.office import Chair, Office, Pen, Treatment, security_hash
from agent.sandbox.practice.people import Person, entry_security
from agent.sandbox.practice.schema import NO_DATETIME
from agent.sandbox.practice.seeds import Cat
from agent.sandbox.practice.stores import Value


class Fate(StrEnum):
    """What became of a visit."""

    COMPLETE = "complete"
    MISSED = "missed"
    CANCELLED = "cancelled"
    UNSCHEDULED = "unscheduled"  # broken, now on the unscheduled list
    DELETED = "deleted"
    SCHEDULED = "scheduled"
    PLANNED = "planned"


STATUS = {
    Fate.COMPLETE: 2, Fate.MISSED: 5, Fate.CANCELLED: 5, Fate.UNSCHEDULED: 3, Fate.DELETED: 1,
    Fate.SCHEDULED: 1, Fate.PLANNED: 6,
}  # fmt: skip


@dataclass(slots=True)
class Act:
    """One procedure of a visit."""

    treatment: Treatment
    tooth: str = ""
    surface: str = ""
    num: int = 0
    planned_on: int = 0
    fee: int = 0  # cents

    @property
    def label(self) -> str:
        return (
            f"#{self.tooth}-{self.surface}-{self.treatment.abbr}"
            if self.tooth
            else (self.treatment.abbr)
        )


@dataclass(slots=True)
class Visit:
    """A place in the book. ``units`` of five minutes; ``chair`` None when it is on no schedule."""

    person: Person
    chair: Chair | None
    day: int
    minute: int
    units: int
    hygiene: bool
    fate: Fate
    booked: int
    acts: list[Act] = field(default_factory=list)
    num: int = 0
    next_num: int = 0
    new_patient: bool = False
    asap: bool = False
    changed: int = 0  # day of the last change to the row


NOTES = (
    "", "", "", "", "Prefers Dr. room 2", "Bring x-rays", "Running late last time",
    "Premed taken?\r\nAsk at check-in", "Needs Spanish speaker", "Confirm insurance first",
)  # fmt: skip


def pattern(units: int) -> str:
    """One character per five minutes: provider time between ten minutes of assistant time."""
    return "/" * min(2, units) + "X" * max(units - 4, 0) + "/" * min(2, max(units - 2, 0))


def write_visit(office: Office, pen: Pen, rng: Random, visit: Visit) -> None:
    """The appointment row (unless deleted since), its history, audit line and custom fields."""
    wall, person = office.wall, visit.person
    if not visit.num:
        visit.num = pen.key("appointment")
    on_list = visit.fate in {Fate.UNSCHEDULED, Fate.PLANNED}
    start = (
        NO_DATETIME
        if on_list and visit.fate is Fate.PLANNED
        else (wall.moment(visit.day, visit.minute))
    )
    midnight = NO_DATETIME if start == NO_DATETIME else wall.moment(visit.day, 0)
    times = (midnight, midnight, midnight)
    confirmed = _confirmed(office, rng, visit)
    if visit.fate is Fate.COMPLETE:
        end = min(visit.minute + visit.units * 5, 1439)
        times = (
            wall.moment(visit.day, max(visit.minute - int(rng.random() * 12), 0)),
            wall.moment(visit.day, visit.minute + int(rng.random() * 8)),
            wall.moment(visit.day, end),
        )
    chair = visit.chair
    provider = person.hygienist if visit.hygiene else person.dentist
    if chair is not None:
        provider = chair.provider
    hygienist = provider.num if provider.hygienist else 0
    doctor = person.dentist.num if provider.hygienist else provider.num
    descript = ", ".join(act.label for act in visit.acts)[:255]
    row: dict[str, Value] = {
        "AptNum": visit.num, "PatNum": person.num, "AptStatus": STATUS[visit.fate],
        "Pattern": pattern(visit.units), "Confirmed": confirmed, "TimeLocked": 0,
        "Op": 0 if on_list or chair is None else chair.num,
        "Note": NOTES[int(rng.random() * len(NOTES))], "ProvNum": doctor, "ProvHyg": hygienist,
        "AptDateTime": start, "NextAptNum": visit.next_num,
        "UnschedStatus": office.definition(Cat.RECALL_STATUS, "CallUs")
        if visit.fate is Fate.UNSCHEDULED else 0,
        "IsNewPatient": int(visit.new_patient), "ProcDescript": descript,
        "ClinicNum": person.clinic, "IsHygiene": int(visit.hygiene),
        "DateTStamp": wall.stamp(visit.changed or visit.booked, visit.minute),
        "DateTimeArrived": times[0], "DateTimeSeated": times[1], "DateTimeDismissed": times[2],
        "InsPlan1": person.coverage[0].plan.num if person.coverage else 0,
        "InsPlan2": person.coverage[1].plan.num if len(person.coverage) > 1 else 0,
        "ProcsColored": f'<span color="-16777216">{descript}</span>' if descript else "",
        "AppointmentTypeNum": office.appointment_types[
            1 if visit.new_patient else 0 if visit.hygiene else 2
        ] if rng.random() < 0.4 else 0,
        "SecUserNumEntry": office.users[-1], "SecDateTEntry": wall.moment(visit.booked, 600),
        "Priority": int(visit.asap), "ProvBarText": "", "PatternSecondary": "",
        "SecurityHash": security_hash(STATUS[visit.fate], confirmed, start),
    }  # fmt: skip
    if visit.fate is not Fate.DELETED:
        pen.put("appointment", row)
        if rng.random() < 0.03:
            pen.put("apptfield", {
                "ApptFieldNum": pen.key("apptfield"), "AptNum": visit.num,
                "FieldName": "Wheelchair", "FieldValue": "Yes",
            })  # fmt: skip
    _history(office, pen, visit, row)
    entry_security(
        office, pen, 25, person.num, 0 if visit.fate is Fate.DELETED else visit.num, visit.booked,
        600, "Appointment created",
    )  # fmt: skip


def _confirmed(office: Office, rng: Random, visit: Visit) -> int:
    if visit.fate is Fate.COMPLETE:
        return office.definition(Cat.CONFIRMED, "FrontDesk")
    if visit.fate is Fate.SCHEDULED:
        near = visit.day - office.today <= 4
        if rng.random() < (0.7 if near else 0.12):
            return office.definition(Cat.CONFIRMED, "Confirmed")
        if rng.random() < 0.3:
            return office.definition(Cat.CONFIRMED, "Texted")
    return office.definition(Cat.CONFIRMED, "NotCalled")


_LAST_ACTION = {
    Fate.COMPLETE: 1, Fate.MISSED: 2, Fate.CANCELLED: 3, Fate.UNSCHEDULED: 3, Fate.DELETED: 4,
}  # fmt: skip


def _history(office: Office, pen: Pen, visit: Visit, row: dict[str, Value]) -> None:
    wall = office.wall
    first = row | {
        "AptStatus": STATUS[visit.fate] if visit.fate is Fate.PLANNED else 1,
        "ProcDescript": "", "ProcsColored": "",
        "Confirmed": office.definition(Cat.CONFIRMED, "NotCalled"),
    }  # fmt: skip
    entries = [(0, visit.booked, 600, first)]
    action = _LAST_ACTION.get(visit.fate)
    if action is not None:
        when = visit.changed or visit.day
        entries.append((action, when, min(visit.minute + 5, 1439), row))
    for number, day, minute, copy in entries:
        pen.put("histappointment", {
            "HistApptNum": pen.key("histappointment"), "HistUserNum": office.users[-1],
            "HistDateTStamp": wall.moment(day, minute), "HistApptAction": number,
            "ApptSource": 0, **copy, "DateTStamp": wall.stamp(day, minute),
        })  # fmt: skip
