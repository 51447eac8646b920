"""The four people of a run: two at the practice's own screens, two in the CRM.

They know nothing of the agent. Every value they enter is unlike any other (``p1-17``), so that at
the end each can be found again, or who dropped it. What they do next is their own stream of chance.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from agent.model.commands import Command, CommandType, Contact, Target
from agent.model.streams import Stream
from tests.sim.crm import SimCrm
from tests.sim.faults import Faults, Kind
from tests.sim.kernel import Kernel
from tests.sim.pms import STAMPED, Pms

FAMILY = ("Ashdown", "Birch", "Calder", "Dunmore", "Ellery", "Farrow", "Garnet", "Holloway")
GIVEN = ("Alma", "Bruno", "Clara", "Dario", "Edith", "Felix", "Greta", "Hugo")
TEXT_FIELDS = {"address": "Address", "city": "City", "postal_code": "Zip"}


def phone(n: int) -> str:
    return f"+1212555{n % 10000:04d}"


def spelled(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def furnish(pms: Pms, chance: Random, patients: int, visits: int) -> None:
    """A small practice, as the agent first meets it."""
    for n in (1, 2, 3):
        pms.insert("provider", {"Abbr": f"DOC{n}", "LName": f"Doc{n}"}, by="vendor")
        pms.insert("operatory", {"OpName": f"Room {n}", "Abbrev": f"R{n}", "ProvDentist": str(n)},
                   by="vendor")  # fmt: skip
    for n in range(1, patients + 1):
        pms.insert(
            "patient",
            {
                "LName": FAMILY[n % 8] + chr(96 + n % 26 + 1), "FName": GIVEN[n // 8 % 8],
                "PatStatus": "0", "Birthdate": f"19{50 + n % 50}-0{n % 9 + 1}-1{n % 10}",
                "Guarantor": str(n), "WirelessPhone": phone(n), "Address": f"{n} First Street",
                "City": "Albany", "Zip": "12207", "Email": f"p{n}@example.org",
            },
            by="vendor",
        )  # fmt: skip
        pms.insert("recall", {"PatNum": str(n), "DateDue": "2027-01-05"}, by="vendor")
    for n in range(visits):
        pms.insert("appointment", _visit(pms, n, chance.randint(1, patients)), by="vendor")


def _visit(pms: Pms, slot: int, patient: int) -> dict[str, str | None]:
    """The n-th half hour from tomorrow on, in one of three rooms."""
    room, half = slot % 3 + 1, slot // 3
    day = (pms.start + timedelta(days=1 + half // 16)).astimezone(pms.zone)
    at = day.replace(hour=9, minute=0, second=0, microsecond=0, tzinfo=None)
    at += timedelta(minutes=30 * (half % 16))
    return {
        "PatNum": str(patient), "AptStatus": "1", "AptDateTime": at.strftime("%Y-%m-%d %H:%M:%S"),
        "Pattern": "XXXXXX", "ProvNum": str(room), "Op": str(room), "Note": "",
    }  # fmt: skip


class Person:
    """``pause_s``: between two doings, on average."""

    def __init__(
        self, name: str, kernel: Kernel, faults: Faults, until: Callable[[], bool], pause_s: float
    ) -> None:
        self.name = name
        self.kernel = kernel
        self.faults = faults
        self.chance = kernel.streams.named(f"person:{name}")
        self.did = 0
        self._until = until
        self._pause_s = pause_s

    def run(self) -> None:
        while True:
            self.kernel.sleep(self.chance.expovariate(1 / self._pause_s))
            if self._until():
                return
            self.did += 1
            self.act()

    def act(self) -> None:
        raise NotImplementedError

    @property
    def token(self) -> str:
        return f"{self.name}-{self.did}"


class FrontDesk(Person):
    """Works in the practice's own program."""

    def __init__(self, name: str, pms: Pms, *rest: Any) -> None:
        super().__init__(name, *rest)
        self.pms = pms
        self.slot = 100 + 50 * int(name[-1])
        self._last: tuple[str, int, dict[str, Any]] | None = None

    def act(self) -> None:
        doing = self.chance.choices(
            (self.edit_patient, self.new_patient, self.book, self.change_visit, self.note_call,
             self.change_recall, self.remove, self.take_back),
            (6, 1, 3, 4, 3, 2, 1, 2),
        )[0]  # fmt: skip
        doing()
        self.kernel.trace(f"did {doing.__name__}")

    def edit_patient(self) -> None:
        key = self._some("patient")
        if key is None:
            return
        column = self.chance.choice((*TEXT_FIELDS.values(), "WirelessPhone", "AddrNote"))
        value = phone(self.chance.randrange(10000)) if "Phone" in column else self.token
        self._write("patient", key, {column: value})

    def new_patient(self) -> None:
        values = {
            "LName": f"New{self.name.title()}x{chr(97 + self.did % 26)}", "FName": "Nova",
            "PatStatus": "0", "Birthdate": "1990-05-05", "AddrNote": self.token,
            "WirelessPhone": phone(5000 + self.chance.randrange(5000)),
        }  # fmt: skip
        key = self.pms.insert("patient", values, by=self.name, logged=False)
        self.pms.half_built[key] = self.kernel.now
        self.kernel.sleep(self.faults.half_built_s())
        self.pms.half_built.pop(key, None)
        self.pms.update("patient", key, {"Guarantor": str(key)}, by=self.name)

    def book(self) -> None:
        patient = self._some("patient")
        if patient is None:
            return
        self.slot += 1
        values = _visit(self.pms, self.slot, patient) | {"Note": self.token}
        self._late(lambda at: self.pms.insert("appointment", values, by=self.name, at=at))

    def change_visit(self) -> None:
        key = self._some("appointment")
        if key is None:
            return
        self.slot += 1
        moved = _visit(self.pms, self.slot, 1)
        values = self.chance.choice(
            (
                {"Note": self.token},
                {"AptStatus": self.chance.choice("1235")},
                {name: moved[name] for name in ("AptDateTime", "Op", "ProvNum")},
                {"Confirmed": str(self.chance.randrange(20, 25))},
            )
        )
        self._write("appointment", key, values)

    def note_call(self) -> None:
        patient = self._some("patient")
        if patient is not None:
            values = {
                "PatNum": str(patient), "Note": self.token, "CommDateTime": self.pms.local_now()
            }  # fmt: skip
            self._late(lambda at: self.pms.insert("commlog", values, by=self.name, at=at))

    def change_recall(self) -> None:
        key = self._some("recall")
        if key is not None:
            self._write("recall", key, {"Note": self.token})

    def remove(self) -> None:
        table = self.chance.choice(("appointment", "commlog", "recall"))
        key = self._some(table)
        if key is not None:
            logged = not self.faults.fires(Kind.UNLOGGED_DELETE)
            self.pms.delete(table, key, by=self.name, logged=logged)

    def _some(self, table: str) -> int | None:
        if table in self.pms.hidden or self.pms.update_running or self.pms.rebuilding:
            return None
        keys = sorted(self.pms.tables[table].rows)
        return self.chance.choice(keys) if keys else None

    def take_back(self) -> None:
        """The last edit was a mistake: everything as it was."""
        if self._last is not None:
            table, key, values = self._last
            self._last = None
            if key in self.pms.tables[table].rows:
                self._write(table, key, values)

    def _write(self, table: str, key: int, values: dict[str, Any]) -> None:
        stamped = not (table in STAMPED and self.faults.fires(Kind.NO_STAMP))
        logged = stamped and self.chance.random() < 0.8  # other programs log nothing
        known = {n: v for n, v in values.items() if n in self.pms.tables[table].columns}
        row = self.pms.tables[table].rows[key]
        self._last = table, key, {n: row.values.get(n) for n in known}
        self._late(
            lambda at: self.pms.update(
                table, key, known, by=self.name, stamped=stamped, logged=logged, at=at
            )
        )

    def _late(self, write: Callable[[int | None], Any]) -> None:
        """At once; or stamped now and visible when the lock or the transaction lets it."""
        if not self.faults.fires(Kind.LATE_VISIBLE):
            write(None)
            return
        number, second = self.pms.opens()
        delay = 2.0 ** self.chance.uniform(0, 8)

        def later() -> None:
            self.pms.ends(number)
            write(second)

        self.kernel.spawn("late", later, after=delay)


class Caller(Person):
    """Works in the CRM: what they see there is what they decide on."""

    def __init__(self, name: str, crm: SimCrm, pms: Pms, clock: Any, *rest: Any) -> None:
        super().__init__(name, *rest)
        self.crm = crm
        self.pms = pms
        self.clock = clock
        self.slot = 400 + 50 * int(name[-1])

    def act(self) -> None:
        doing = self.chance.choices(
            (self.edit_patient, self.book, self.move, self.confirm, self.cancel, self.log_call,
             self.new_person, self.book_new),
            (5, 3, 2, 2, 1, 3, 1, 1),
        )[0]  # fmt: skip
        doing()
        self.kernel.trace(f"asked {doing.__name__}")

    def edit_patient(self) -> None:
        shown = self._some(Stream.PATIENT)
        if shown is None:
            return
        names = self.chance.sample((*TEXT_FIELDS, "phone_mobile"), self.chance.randint(1, 2))
        fields = {
            n: phone(self.chance.randrange(10000)) if n == "phone_mobile" else self.token
            for n in names
        }
        expected = {n: shown.get(n) for n in names} if self.chance.random() < 0.8 else None
        self.ask(CommandType.PATIENT_UPDATE, {"fields": fields}, shown["key"], expected)

    def book(self) -> None:
        shown = self._some(Stream.PATIENT)
        if shown is not None:
            place = self._place()
            self.ask(
                CommandType.APPOINTMENT_BOOK,
                {"patient": {"key": shown["key"]}, **place, "note": self.token},
            )

    def book_new(self) -> None:
        contact = self._contact()
        self.crm.people.append(contact)
        new = {"last_name": contact.last_name, "first_name": contact.first_name,
               "birthdate": contact.birthdate, "phone_mobile": contact.phones[0]}  # fmt: skip
        who = {"cloud_id": contact.cloud_id, "new": new}
        if self.chance.random() < 0.5:
            who = {"new": new}
        self.ask(
            CommandType.APPOINTMENT_BOOK, {"patient": who, **self._place(), "note": self.token}
        )

    def new_person(self) -> None:
        contact = self._contact()
        self.crm.people.append(contact)
        fields = {"last_name": contact.last_name, "first_name": contact.first_name,
                  "birthdate": contact.birthdate, "phone_mobile": contact.phones[0]}  # fmt: skip
        self.ask(CommandType.PATIENT_CREATE, fields, cloud_id=contact.cloud_id)

    def move(self) -> None:
        shown = self._visit_shown()
        if shown is not None:
            place = {k: v for k, v in self._place().items() if k != "minutes"}
            expected = {n: shown.get(n) for n in ("start", "operatory_key", "status")}
            self.ask(CommandType.APPOINTMENT_RESCHEDULE, place, shown["key"], expected)

    def confirm(self) -> None:
        shown = self._visit_shown()
        if shown is not None:
            wish = {"confirmation_key": str(self.chance.randrange(30, 35))}
            expected = {n: shown.get(n) for n in ("start", "status")}
            self.ask(CommandType.APPOINTMENT_CONFIRM, wish, shown["key"], expected)

    def cancel(self) -> None:
        shown = self._visit_shown()
        if shown is not None:
            wish = {"note": self.token} if self.chance.random() < 0.5 else {}
            if self.chance.random() < 0.5:
                wish["to_unscheduled"] = True  # type: ignore[assignment]
            expected = {n: shown.get(n) for n in ("start", "status")}
            self.ask(CommandType.APPOINTMENT_CANCEL, wish, shown["key"], expected)

    def log_call(self) -> None:
        shown = self._some(Stream.PATIENT)
        if shown is not None:
            at = spelled(self.clock.now())
            self.ask(
                CommandType.COMMLOG_APPEND,
                {"patient_key": shown["key"], "note": self.token, "at": at},
            )

    def ask(
        self, kind: CommandType, payload: dict[str, Any], key: str | None = None,
        expected: dict[str, Any] | None = None, cloud_id: str | None = None,
    ) -> None:  # fmt: skip
        kind_of = kind.value.partition(".")[0]
        self.crm.ask(
            Command(
                command_id=f"cmd-{self.token}",
                type=kind,
                created_at=spelled(self.clock.now()),
                target=Target(kind_of, key, cloud_id),
                precondition={} if expected is None else {"expected": expected},
                payload=payload,
            )
        )

    def _some(self, stream: Stream) -> dict[str, Any] | None:
        keys = self.crm.keys(stream)
        return self.crm.record(stream, self.chance.choice(keys)) if keys else None

    def _visit_shown(self) -> dict[str, Any] | None:
        shown = self._some(Stream.APPOINTMENT)
        return shown if shown is not None and shown.get("status") == "scheduled" else None

    def _place(self) -> dict[str, Any]:
        """Somewhere in the coming days, now and then where somebody else is just booking or where
        a visit is seen to stand."""
        self.slot += 1
        where = self.chance.random()
        taken = self._some(Stream.APPOINTMENT) if where > 0.9 else None
        if taken is not None and taken.get("start") and taken.get("operatory_key"):
            names = ("start", "operatory_key", "provider_key")
            return {"minutes": 30, **{n: taken[n] for n in names if taken.get(n)}}
        slot = self.slot if where < 0.7 else self.chance.randrange(100, 260)
        values = _visit(self.pms, slot, 1)
        local = datetime.fromisoformat(str(values["AptDateTime"])).replace(tzinfo=self.pms.zone)
        return {
            "start": spelled(local), "minutes": 30, "operatory_key": values["Op"],
            "provider_key": values["ProvNum"],
        }  # fmt: skip

    def _contact(self) -> Contact:
        letters = "".join(chr(97 + int(d)) for d in str(self.did))
        return Contact(
            cloud_id=f"person-{self.token}", rev=1, last_name=f"Caller{self.name[0]}{letters}",
            first_name=f"Theo{chr(96 + int(self.name[-1]))}", birthdate="1985-03-0" + self.name[-1],
            phones=(phone(7000 + self.did * 7 + int(self.name[-1])),),
        )  # fmt: skip
