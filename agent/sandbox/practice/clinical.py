"""What happens in the chair: visits over the years, procedures, notes, perio, lab, recalls, calls.

``Course`` walks one patient through the window and writes their clinical rows; charges for the
ledger come back as ``Charge``. May import appointments, people, schedule and office beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from agent.sandbox.practice.appointments import Act, Fate, Visit, write_visit
from agent.sandbox.practice.clockwork import interval_days
from agent.sandbox.practice.office import Chair, Office, Pen, Treatment
from agent.sandbox.practice.people import Person, entry_security
from agent.sandbox.practice.schedule import SlotBook
from agent.sandbox.practice.seeds import Cat

HALF_YEAR = 182
SURFACES = ("O", "MO", "DO", "MOD", "B", "L", "OB")
FILLINGS = ("D2391", "D2392", "D2393", "D2140", "D2330")
NOTE_LINES = (
    "Reviewed medical history, no changes.", "2 carp. lidocaine 2% 1:100k.",
    "Patient tolerated treatment well.", "Discussed home care and flossing.",
    "Isolated, etched, bonded, restored, adjusted.", "Moderate plaque, light calculus.",
    "Next visit: recall.", "Post-op instructions given.", "X-rays taken and reviewed.",
)  # fmt: skip


@dataclass(slots=True)
class Charge:
    """A completed procedure as the ledger sees it; money is cents."""

    person: Person
    day: int
    minute: int
    proc: int
    visit: int
    fee: int
    provider: int
    treatment: Treatment


class Course:
    """One patient's way through the practice. Writes rows as it goes; call ``run`` once."""

    def __init__(
        self, office: Office, pen: Pen, rng: Random, book: SlotBook, person: Person
    ) -> None:
        self.office, self.pen, self.rng, self.book, self.person = office, pen, rng, book, person
        self.charges: list[Charge] = []
        self._last_hygiene = 0
        self._last_bitewing = 0
        self._hygiene_booked = 0
        chairs = [c for c in office.chairs if c.clinic == person.clinic]
        own = [c for c in chairs if c.provider.num == person.dentist.num]
        hygiene = [c for c in chairs if c.provider.num == person.hygienist.num]
        self._dental = own + [c for c in chairs if not c.provider.hygienist and c not in own]
        self._hygiene = hygiene + [c for c in chairs if c.provider.hygienist and c not in hygiene]

    def run(self) -> list[Charge]:
        person, rng, office = self.person, self.rng, self.office
        if person.status in {1, 4}:
            return self.charges
        stop = person.left or office.last_day
        day = person.entered + int(rng.random() * 14)
        first = True
        if person.status == 6:
            stop, day = 0, 1
        while day <= stop:
            fate = self._fate(day)
            if fate is None:
                break
            done = self._hygiene_visit(day, fate, first)
            if done and fate is Fate.COMPLETE:
                first = False
                self._restorative(done, stop)
            if fate is Fate.SCHEDULED:
                break
            gap = 122 if person.perio else HALF_YEAR
            if fate in {Fate.MISSED, Fate.CANCELLED, Fate.UNSCHEDULED, Fate.DELETED}:
                gap = 30
            slack = int((1.05 - person.regular) * 240 * rng.random())
            day += gap + slack - 6 + int(rng.random() * 12)
        self._recalls()
        self._calls()
        return self.charges

    def _fate(self, day: int) -> Fate | None:
        rng, today = self.rng, self.office.today
        if day >= today:
            # The regular ones have their next visit in the book; the others wait to be called.
            return Fate.SCHEDULED if rng.random() < self.person.regular * 0.85 else None
        roll = rng.random()
        if roll < 0.86:
            return Fate.COMPLETE
        for fate, limit in ((Fate.MISSED, 0.91), (Fate.CANCELLED, 0.955),
                            (Fate.UNSCHEDULED, 0.985)):  # fmt: skip
            if roll < limit:
                return fate
        return Fate.DELETED

    def _place(self, day: int, units: int, hygiene: bool) -> tuple[Chair, int, int] | None:
        """A free slot near the day: own provider first, then colleagues, up to three weeks on."""
        wish = self.rng.random() * 0.8
        chairs = self._hygiene if hygiene else self._dental
        past = day < self.office.today
        for offset in range(24):
            when = day + offset
            if past and when >= self.office.today:
                return None
            if when > self.office.last_day:
                return None
            for chair in chairs[: 2 + offset // 3]:
                minute = self.book.take(chair, when, units, wish)
                if minute is not None:
                    return chair, when, minute
        return None

    def _hygiene_visit(self, day: int, fate: Fate, first: bool) -> Visit | None:
        rng, person, office = self.rng, self.person, self.office
        age = (day - person.born) / 365.25
        codes = ["D0150" if first else "D0120"]
        if person.perio and not first:
            codes.append("D4910")
        else:
            codes.append("D1110" if age >= 14 else "D1120")
        if age < 16:
            codes.append("D1206")
        if first and age > 12:
            codes.append("D0210" if rng.random() < 0.6 else "D0330")
        elif day - self._last_bitewing > 350 and age > 6:
            codes.append("D0274")
        acts = [Act(office.treatments[c], fee=office.treatments[c].fee) for c in codes]
        units = 12 if age >= 14 else 8
        spot = self._place(day, units, hygiene=True)
        if spot is None:
            return None
        chair, when, minute = spot
        fate = self._settled(fate, when)
        visit = Visit(
            person, chair, when, minute, units, hygiene=True, fate=fate,
            booked=self._booked(when), acts=acts, new_patient=first,
            asap=rng.random() < 0.03,
        )  # fmt: skip
        visit.changed = min(when, office.today - 1) if fate is not Fate.SCHEDULED else visit.booked
        if fate is Fate.COMPLETE:
            self._last_hygiene = when
            if "D0274" in codes or "D0210" in codes:
                self._last_bitewing = when
        self._finish(visit)
        return visit

    def _settled(self, fate: Fate, when: int) -> Fate:
        if when >= self.office.today:
            return Fate.SCHEDULED
        return Fate.COMPLETE if fate is Fate.SCHEDULED else fate

    def _booked(self, when: int) -> int:
        last = min(when, self.office.today - 1)
        earliest = max(self.person.entered, last - 200)
        return earliest + int(self.rng.random() * max(last - earliest, 0))

    def _restorative(self, seen: Visit, stop: int) -> None:
        """Findings of an exam: planned procedures, most of them done some weeks later."""
        rng, person, office = self.rng, self.person, self.office
        age = (seen.day - person.born) / 365.25
        if rng.random() > (0.32 if age > 20 else 0.14):
            return
        acts = self._findings(age, seen.day)
        roll = rng.random()
        when = seen.day + 5 + int(rng.random() * 40)
        if roll < 0.24 or when > stop:
            self._planned(seen, acts, with_visit=roll < 0.1)
            return
        fate = self._fate(when) or Fate.SCHEDULED
        units = min(sum(a.treatment.units for a in acts) * 2 + 2, 24)
        spot = self._place(when, units, hygiene=False)
        if spot is None:
            self._planned(seen, acts, with_visit=False)
            return
        chair, day, minute = spot
        fate = self._settled(fate, day)
        visit = Visit(
            person, chair, day, minute, units, hygiene=False, fate=fate,
            booked=min(seen.day, office.today - 1), acts=acts,
        )  # fmt: skip
        visit.changed = min(day, office.today - 1) if fate is not Fate.SCHEDULED else visit.booked
        self._finish(visit)
        if any(a.treatment.code in {"D2740", "D2750"} for a in acts) and fate in {
            Fate.COMPLETE, Fate.SCHEDULED,
        }:  # fmt: skip
            self._lab_case(visit)

    def _findings(self, age: float, day: int) -> list[Act]:
        rng, treatments = self.rng, self.office.treatments
        acts: list[Act] = []
        roll = rng.random()
        tooth = (
            str(1 + int(rng.random() * 32))
            if age > 13
            else "ABCDEFGHIJKLMNOPQRST"[int(rng.random() * 20)]
        )
        if age > 25 and roll < 0.18:
            acts.append(Act(treatments["D2740" if rng.random() < 0.7 else "D2750"], tooth))
            if rng.random() < 0.5:
                acts.append(Act(treatments["D2950"], tooth))
            if rng.random() < 0.25:
                acts.append(Act(treatments["D3330"], tooth))
        elif roll < 0.27:
            acts.append(Act(treatments["D7140" if rng.random() < 0.7 else "D7210"], tooth))
        elif age > 30 and roll < 0.33:
            acts += [Act(treatments["D4341"]) for _ in range(2)]
        elif age < 15 and roll < 0.6:
            acts += [Act(treatments["D1351"], t) for t in ("3", "14")]
        elif 11 < age < 18 and roll < 0.64:
            acts.append(Act(treatments["D8080"]))
        else:
            for _ in range(1 + int(rng.random() * 2)):
                code = FILLINGS[int(rng.random() * len(FILLINGS))]
                surface = SURFACES[int(rng.random() * len(SURFACES))]
                acts.append(Act(treatments[code], tooth, surface))
        for act in acts:
            act.fee, act.planned_on = act.treatment.fee, day
        return acts

    def _planned(self, seen: Visit, acts: list[Act], *, with_visit: bool) -> None:
        visit = None
        if with_visit:
            visit = Visit(
                self.person, None, seen.day, 540, 12, hygiene=False, fate=Fate.PLANNED,
                booked=seen.day, acts=acts,
            )  # fmt: skip
            write_visit(self.office, self.pen, self.rng, visit)
        for act in acts:
            self._procedure(act, visit, status=1, day=seen.day, minute=seen.minute)

    def _finish(self, visit: Visit) -> None:
        """Write the visit, its procedures and what follows from its fate."""
        rng, office, person = self.rng, self.office, self.person
        write_visit(office, self.pen, rng, visit)
        if visit.fate is Fate.SCHEDULED and visit.hygiene:
            self._hygiene_booked = visit.day
        if visit.new_patient and not person.first_visit and visit.fate is not Fate.DELETED:
            person.first_visit = visit.day
        if visit.fate is Fate.COMPLETE:
            if not person.first_visit or visit.day < person.first_visit:
                person.first_visit = visit.day
            person.touched = max(person.touched, visit.day)
            for act in visit.acts:
                self._procedure(act, visit, status=2, day=visit.day, minute=visit.minute)
            self._note(visit)
            if person.perio or (visit.hygiene and rng.random() < 0.04):
                self._perio(visit)
            return
        linked = visit.fate in {Fate.SCHEDULED, Fate.UNSCHEDULED, Fate.MISSED, Fate.CANCELLED}
        keep = visit if linked else None
        for act in visit.acts:
            if linked or act.planned_on:
                self._procedure(act, keep, status=1, day=visit.booked, minute=visit.minute)
        if visit.fate in {Fate.MISSED, Fate.CANCELLED, Fate.UNSCHEDULED} and rng.random() < 0.7:
            code = "D9986" if visit.fate is Fate.MISSED else "D9987"
            charted = Act(office.treatments[code])
            self._procedure(charted, visit, status=2, day=visit.day, minute=visit.minute)

    def _procedure(
        self, act: Act, visit: Visit | None, *, status: int, day: int, minute: int
    ) -> None:
        rng, office, person = self.rng, self.office, self.person
        wall = office.wall
        planned = visit is not None and visit.fate is Fate.PLANNED
        if status == 1 and rng.random() < 0.02:
            status = 6  # planned, then deleted: the row stays, its links go
        act.num = self.pen.key("procedurelog")
        apt = visit.num if visit is not None and status != 6 else 0
        provider = person.hygienist if act.treatment.hygiene else person.dentist
        if visit is not None and visit.chair is not None and visit.hygiene is act.treatment.hygiene:
            provider = visit.chair.provider
        tp_day = act.planned_on or (visit.booked if visit is not None else day)
        day = min(day, office.today - 1)
        entry = min(tp_day, day)
        self.pen.put("procedurelog", {
            "ProcNum": act.num, "PatNum": person.num, "AptNum": 0 if planned else apt,
            "ProcDate": wall.day(day), "ProcFee": act.fee / 100, "Surf": act.surface,
            "ToothNum": act.tooth, "ProcStatus": status, "ProvNum": provider.num,
            "Priority": office.definition(Cat.PRIORITY, "1") if act.planned_on else 0,
            "Dx": office.definition(Cat.DIAGNOSIS, "C") if act.surface else 0,
            "PlannedAptNum": apt if planned else 0,
            "DateEntryC": wall.day(day if status == 2 else 0), "ClinicNum": person.clinic,
            "CodeNum": act.treatment.num, "UnitQty": 1, "DateTP": wall.day(tp_day),
            "DateTStamp": wall.stamp(day, minute, int(rng.random() * 60)),
            "SecUserNumEntry": office.users[0], "SecDateEntry": wall.moment(entry, minute),
            "DateComplete": wall.day(day if status == 2 else 0),
        })  # fmt: skip
        if status == 2 and act.fee:
            self.charges.append(Charge(
                person, day, minute, act.num, apt, act.fee, provider.num, act.treatment
            ))  # fmt: skip
        elif status == 1 and person.coverage:
            cover = person.coverage[0]
            allowed = act.fee * (100 - cover.plan.write_off) // 100
            estimate = allowed * act.treatment.covered // 100
            self.pen.put("claimproc", {
                "ClaimProcNum": self.pen.key("claimproc"), "ProcNum": act.num, "ClaimNum": 0,
                "PatNum": person.num, "ProvNum": provider.num, "Status": 6,
                "InsPayEst": estimate / 100, "PlanNum": cover.plan.num, "DateCP": wall.day(day),
                "AllowedOverride": -1.0, "Percentage": act.treatment.covered,
                "ProcDate": wall.day(day), "DateEntry": wall.day(entry), "Remarks": "",
                "CodeSent": "", "InsSubNum": cover.sub_num, "ClinicNum": person.clinic,
                "BaseEst": estimate / 100, "InsEstTotal": estimate / 100,
                "WriteOffEst": (act.fee - allowed) / 100, "DedEst": -1.0,
                "SecDateTEdit": wall.stamp(day, minute),
            })  # fmt: skip

    def _note(self, visit: Visit) -> None:
        rng, wall = self.rng, self.office.wall
        act = visit.acts[-1] if visit.hygiene else visit.acts[0]
        lines = [NOTE_LINES[int(rng.random() * len(NOTE_LINES))] for _ in range(3)]
        if rng.random() < 0.002:
            lines = lines * 400  # somebody always pastes a whole report
        versions = 2 if rng.random() < 0.1 else 1
        for turn in range(versions):
            minute = min(visit.minute + visit.units * 5 + turn * 7, 1439)
            self.pen.put("procnote", {
                "ProcNoteNum": self.pen.key("procnote"), "PatNum": self.person.num,
                "ProcNum": act.num, "EntryDateTime": wall.moment(visit.day, minute),
                "UserNum": self.office.users[-1],
                "Note": "\r\n".join(lines[: len(lines) - 1 + turn]), "Signature": "",
            })  # fmt: skip

    def _perio(self, visit: Visit) -> None:
        rng, wall, person = self.rng, self.office.wall, self.person
        exam = self.pen.key("perioexam")
        edited = wall.moment(visit.day, visit.minute + 20)
        stamp = wall.stamp(visit.day, visit.minute + 20)
        self.pen.put("perioexam", {
            "PerioExamNum": exam, "PatNum": person.num, "ExamDate": wall.day(visit.day),
            "ProvNum": visit.chair.provider.num if visit.chair else person.hygienist.num,
            "DateTMeasureEdit": edited, "Note": "",
        })  # fmt: skip

        def measure(sequence: int, tooth: int, value: int, sites: tuple[int, ...]) -> None:
            self.pen.put("periomeasure", {
                "PerioMeasureNum": self.pen.key("periomeasure"), "PerioExamNum": exam,
                "SequenceType": sequence, "IntTooth": tooth, "ToothValue": value,
                "MBvalue": sites[0], "Bvalue": sites[1], "DBvalue": sites[2],
                "MLvalue": sites[3], "Lvalue": sites[4], "DLvalue": sites[5],
                "SecDateTEntry": edited, "SecDateTEdit": stamp,
            })  # fmt: skip

        nothing = (-1,) * 6
        for tooth in range(2, 32):
            if tooth in {16, 17}:
                measure(5, tooth, 1, nothing)  # wisdom tooth missing
                continue
            depths = tuple(2 + int(rng.random() ** 2 * 5) for _ in range(6))
            measure(4, tooth, -1, depths)
            if rng.random() < 0.2:
                edge = 101 + int(rng.random() * 3) if rng.random() < 0.2 else 1
                measure(2, tooth, -1, (edge, edge, 0, -1, -1, -1))
            if max(depths) > 4:
                measure(6, tooth, -1, tuple(int(d > 4) for d in depths))
        entry_security(
            self.office, self.pen, 45, person.num, exam, visit.day, visit.minute + 20, "Perio exam"
        )

    def _lab_case(self, visit: Visit) -> None:
        rng, wall, today = self.rng, self.office.wall, self.office.today
        made = visit.booked
        sent = visit.day + 1 if visit.fate is Fate.COMPLETE else 0
        back = sent + 12 if sent and sent + 12 < today else 0
        sent = sent if sent < today else 0
        labs = self.office.laboratories
        self.pen.put("labcase", {
            "LabCaseNum": self.pen.key("labcase"), "PatNum": self.person.num,
            "LaboratoryNum": labs[int(rng.random() * len(labs))], "AptNum": visit.num,
            "DateTimeDue": wall.moment(visit.day + 14, 720),
            "DateTimeCreated": wall.moment(made, 610),
            "DateTimeSent": wall.moment(sent, 960) if sent else wall.moment(0, 0),
            "DateTimeRecd": wall.moment(back, 600) if back else wall.moment(0, 0),
            "DateTimeChecked": wall.moment(back, 660) if back else wall.moment(0, 0),
            "ProvNum": self.person.dentist.num, "Instructions": "Shade A2", "LabFee": 145.5,
            "DateTStamp": wall.stamp(back or sent or made, 660), "InvoiceNum": "",
        })  # fmt: skip

    def _recalls(self) -> None:
        rng, office, person = self.rng, self.office, self.person
        wall, types = office.wall, office.recall_types
        child = (office.today - person.born) < 12 * 365
        main = "Perio" if person.perio else "Child Prophy" if child else "Prophy"
        wanted = [(main, self._last_hygiene, 4 << 16 if person.perio else 6 << 16)]
        if self._last_bitewing and not child:
            wanted.append(("4BW", self._last_bitewing, 1 << 24))
        for name, last, interval in wanted:
            if name not in types:
                continue
            due = interval_days(last, interval) if last else 0
            chosen = due + int(rng.random() * 30) if due and rng.random() < 0.1 else due
            booked = self._hygiene_booked if name != "4BW" else 0
            statuses = ("Left Msg", "Sent Email", "Patient Will Call Us", "Texted")
            overdue = bool(due) and due < office.today and not booked
            status = (
                office.definition(Cat.RECALL_STATUS, statuses[int(rng.random() * 4)])
                if overdue and rng.random() < 0.5
                else 0
            )
            self.pen.put("recall", {
                "RecallNum": self.pen.key("recall"), "PatNum": person.num,
                "DateDueCalc": wall.day(due), "DateDue": wall.day(chosen),
                "DatePrevious": wall.day(last), "RecallInterval": interval,
                "RecallStatus": status, "Note": "Call after six" if rng.random() < 0.04 else "",
                "IsDisabled": int(rng.random() < 0.02),
                "DateTStamp": wall.stamp(max(last, person.entered), 700),
                "RecallTypeNum": types[name], "DateScheduled": wall.day(booked),
                "Priority": int(rng.random() < 0.02),
            })  # fmt: skip

    def _calls(self) -> None:
        rng, office, person = self.rng, self.office, self.person
        wall = office.wall
        span = office.today - person.entered
        for _ in range(int(rng.random() * min(span / 60, 14))):
            day = person.entered + int(rng.random() * span)
            minute = 480 + int(rng.random() * 540)
            name, text, mode = (
                ("APPT", "Reminder sent", 5), ("RECALL", "Left message about check-up", 3),
                ("FIN", "Asked about the balance", 3), ("MISC", "Wants a copy of x-rays", 4),
                ("APPT", "Called to move the visit", 3), ("Insurance", "Checked benefits", 1),
            )[int(rng.random() * 6)]  # fmt: skip
            self.pen.put("commlog", {
                "CommlogNum": self.pen.key("commlog"), "PatNum": person.num,
                "CommDateTime": wall.moment(day, minute),
                "CommType": office.definition(Cat.COMMLOG, name), "Note": text, "Mode_": mode,
                "SentOrReceived": 1 + int(rng.random() * 2),
                "UserNum": office.users[1] if rng.random() < 0.9 else 0, "Signature": "",
                "DateTStamp": wall.stamp(day, minute), "CommSource": 0,
                "DateTEntry": wall.moment(day, minute),
            })  # fmt: skip
