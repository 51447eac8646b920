"""Families: who lives together, how they are reached, what they are insured with, their rows.

``gather`` invents a family; ``write_person`` puts the patient row and its contact rows when the
balances are known. May import the office beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from agent.sandbox.practice.names import Phone, address, email, first_name, last_name, phone
from agent.sandbox.practice.office import Office, Pen, Plan, Provider, security_hash
from agent.sandbox.practice.schema import NO_DATETIME
from agent.sandbox.practice.seeds import PATIENT_FIELDS

NO_PHONE = Phone("", "")
ADULT_AGE = 18


@dataclass(slots=True)
class Coverage:
    plan: Plan
    sub_num: int
    relation: int  # 0 self, 1 spouse, 2 child


@dataclass(slots=True)
class Person:
    """One patient while its rows are being made. Days are ordinals; money is cents."""

    num: int
    first: str
    last: str
    female: bool
    born: int
    guarantor: int
    role: int  # patient.Position: 0 single, 1 married, 2 child, 3 widowed
    clinic: int
    dentist: Provider
    hygienist: Provider
    status: int = 0
    entered: int = 0
    left: int = 0  # day after which they stopped coming; 0 = still a patient
    regular: float = 1.0  # how faithfully they keep their recalls
    perio: bool = False
    preferred: str = ""
    home: Phone = NO_PHONE
    work: Phone = NO_PHONE
    mobile: Phone = NO_PHONE
    email: str = ""
    place: tuple[str, str, str, str, str] = ("", "", "", "", "")
    coverage: list[Coverage] = field(default_factory=list)
    first_visit: int = 0
    balance: int = 0
    touched: int = 0  # last day the patient row changed
    died: int = 0


@dataclass(slots=True)
class Household:
    members: list[Person]
    buckets: tuple[int, int, int, int] = (0, 0, 0, 0)  # cents by age of the charge
    ins_estimate: int = 0

    @property
    def head(self) -> Person:
        return self.members[0]


def gather(office: Office, pen: Pen, rng: Random, most: int) -> Household:
    """A family of at most ``most`` people, guarantor first."""
    today = office.today
    size = min(most, _family_size(rng.random()))
    clinic_place = int(rng.random() * len(office.clinics))
    clinic = office.clinics[clinic_place]
    dentists = [p for p in office.dentists if p.clinic == clinic]
    hygienists = [p for p in office.hygienists if p.clinic == clinic]
    dentist = dentists[int(rng.random() * len(dentists))]
    hygienist = hygienists[int(rng.random() * len(hygienists))]
    entered = _entered(office, rng)
    surname, home_place = last_name(rng), address(rng)
    home = phone(rng) if rng.random() < 0.6 else NO_PHONE
    head_num = pen.key("patient")
    head_born = today - int((22 + rng.random() ** 1.3 * 65) * 365.25)
    couple = size > 1 and rng.random() < 0.72
    members: list[Person] = []
    for seat in range(size):
        if seat == 0:
            role, born = (1 if couple else 0), head_born
        elif seat == 1 and couple:
            role, born = 1, head_born + int((rng.random() - 0.5) * 3000)
        else:
            oldest = min(26.0, max(1.0, (today - head_born) / 365.25 - 20))
            role, born = 2, today - int((0.8 + rng.random() * oldest) * 365.25)
        female = rng.random() < 0.52
        first = first_name(rng, female)
        last = surname if role == 2 or seat == 0 or rng.random() < 0.8 else last_name(rng)
        person = Person(
            num=head_num if seat == 0 else pen.key("patient"),
            first=first, last=last[:100], female=female, born=min(born, today - 200),
            guarantor=head_num, role=role, clinic=clinic, dentist=dentist, hygienist=hygienist,
            entered=entered + (int(rng.random() * 200) if seat and rng.random() < 0.3 else 0),
            place=home_place if rng.random() < 0.97 else address(rng), home=home,
        )  # fmt: skip
        person.entered = min(person.entered, today - 1)
        _reach(rng, person, members[0] if members else None, today)
        _habit(office, rng, person)
        members.append(person)
    if rng.random() < 0.60:
        _insure(office, pen, rng, members)
    return Household(members)


def _family_size(roll: float) -> int:
    for size, limit in ((1, 0.36), (2, 0.60), (3, 0.74), (4, 0.91), (5, 0.975)):
        if roll < limit:
            return size
    return 6


def _entered(office: Office, rng: Random) -> int:
    """Two in five came before our window; the rest arrive evenly, a few in the last weeks."""
    span = office.today - office.first_day
    if rng.random() < 0.4:
        return office.first_day + int(rng.random() * 45)
    return office.first_day + int(rng.random() * (span - 1))


def _reach(rng: Random, person: Person, head: Person | None, today: int) -> None:
    age = (today - person.born) / 365.25
    if head is not None and (age < 14 or rng.random() < 0.25):
        person.mobile, person.email = head.mobile, head.email  # families share what they have
    else:
        person.mobile = phone(rng) if rng.random() < 0.9 else NO_PHONE
        person.email = email(rng, person.first, person.last) if rng.random() < 0.8 else ""
    if age > ADULT_AGE and rng.random() < 0.25:
        person.work = phone(rng)
    if rng.random() < 0.12:
        person.preferred = person.first[:4].strip()


def _habit(office: Office, rng: Random, person: Person) -> None:
    today = office.today
    person.regular = 0.55 + rng.random() * 0.45
    person.perio = (today - person.born) > 35 * 365 and rng.random() < 0.14
    roll = rng.random()
    if roll < 0.12:
        person.status = 2  # inactive: stopped coming
        person.left = person.entered + int(rng.random() * max(today - person.entered - 300, 1))
    elif roll < 0.135:
        person.status = 5
        person.died = person.entered + int(rng.random() * max(today - person.entered - 1, 1))
        person.left = person.died
    elif roll < 0.15 and person.guarantor == person.num:
        person.status = 1  # pays for others, is not treated here
        person.left = person.entered
    elif roll < 0.16:
        person.status = 6
        person.left = person.entered
    elif roll < 0.168:
        person.status = 3
        person.left = person.entered + int(rng.random() * max(today - person.entered - 1, 1))
    elif roll < 0.173 and person.guarantor != person.num:
        person.status = 4
        person.left, person.guarantor = person.entered, person.num


def _insure(office: Office, pen: Pen, rng: Random, members: list[Person]) -> None:
    subscribers = [p for p in members if p.role != 2][:2]
    first_stamp = office.wall.stamp(members[0].entered, 560)
    for rank, subscriber in enumerate(subscribers):
        if rank == 1 and rng.random() > 0.18:
            continue
        plan = office.plans[int(rng.random() * len(office.plans))]
        sub_num = pen.key("inssub")
        ended = rng.random() < 0.05
        pen.put("inssub", {
            "InsSubNum": sub_num, "PlanNum": plan.num, "Subscriber": subscriber.num,
            "DateEffective": office.wall.day(subscriber.entered - 100),
            "DateTerm": office.wall.day(office.today - 40 if ended else 0),
            "SubscriberID": f"W{int(rng.random() * 1e9):09d}", "BenefitNotes": "",
            "SubscNote": "", "ReleaseInfo": 1, "AssignBen": 1, "SecDateTEdit": first_stamp,
        })  # fmt: skip
        for person in members:
            if person.status == 4 or len(person.coverage) > 1:
                continue
            if person is not subscriber and rng.random() < 0.1:
                continue
            relation = 0 if person is subscriber else (2 if person.role == 2 else 1)
            person.coverage.append(Coverage(plan, sub_num, relation))
            stamp = office.wall.stamp(person.entered, 565)
            pen.put("patplan", {
                "PatPlanNum": pen.key("patplan"), "PatNum": person.num,
                "Ordinal": len(person.coverage), "Relationship": relation, "PatID": "",
                "InsSubNum": sub_num, "SecDateTEntry": office.wall.moment(person.entered, 565),
                "SecDateTEdit": stamp,
            })  # fmt: skip


def write_person(office: Office, pen: Pen, rng: Random, home: Household, person: Person) -> None:
    """The patient row with its balances, then note, phones, consent, fields and referral."""
    wall = office.wall
    head = home.head
    leads = person is head
    born_text = wall.day(person.born) if rng.random() < 0.985 else wall.day(0)
    street, second, city, state, zip_code = person.place
    touched = max(person.touched, person.entered)
    texts = (0, 1, 1, 1, 2)[int(rng.random() * 5)]
    contact = (0, 0, 4, 4, 8, 8, 8, 5, 2)[int(rng.random() * 9)]
    buckets = home.buckets if leads else (0, 0, 0, 0)
    pen.put("patient", {
        "PatNum": person.num, "LName": person.last, "FName": person.first,
        "MiddleI": "ABCDEFGHJKLMNPRSTW"[int(rng.random() * 18)] if rng.random() < 0.4 else "",
        "Preferred": person.preferred, "PatStatus": person.status,
        "Gender": (1 if person.female else 0) if rng.random() < 0.98 else 2,
        "Position": person.role, "Birthdate": born_text, "Address": street, "Address2": second,
        "City": city, "State": state, "Zip": zip_code, "HmPhone": person.home.stored,
        "WkPhone": person.work.stored, "WirelessPhone": person.mobile.stored,
        "Guarantor": person.guarantor, "Email": person.email[:100],
        "EstBalance": person.balance / 100, "PriProv": person.dentist.num,
        "SecProv": person.hygienist.num, "BillingType": 40,
        "MedUrgNote": "Penicillin allergy" if rng.random() < 0.06 else "",
        "ApptModNote": "Prefers mornings" if rng.random() < 0.05 else "",
        "ChartNumber": f"C{person.num % 10**9}" if rng.random() < 0.3 else "",
        "Bal_0_30": buckets[0] / 100, "Bal_31_60": buckets[1] / 100,
        "Bal_61_90": buckets[2] / 100, "BalOver90": buckets[3] / 100,
        "InsEst": home.ins_estimate / 100 if leads else 0.0, "BalTotal": sum(buckets) / 100,
        "DateFirstVisit": wall.day(person.first_visit), "ClinicNum": person.clinic,
        "HasIns": "I" if person.coverage else "",
        "PreferConfirmMethod": contact,
        "PreferContactMethod": contact if rng.random() < 0.98 else 1,
        "PreferRecallMethod": contact, "Language": "spa" if rng.random() < 0.06 else "",
        "Title": ("Ms." if person.female else "Mr.") if rng.random() < 0.1 else "",
        "DateTStamp": wall.stamp(touched, 480 + int(rng.random() * 500), int(rng.random() * 60)),
        "AskToArriveEarly": 10 if rng.random() < 0.04 else 0, "TxtMsgOk": texts,
        "DateTimeDeceased": wall.moment(person.died, 0) if person.died else NO_DATETIME,
        "BillingCycleDay": 1, "SecUserNumEntry": office.users[-1],
        "SecDateEntry": wall.day(person.entered), "ShortCodeOptIn": 0,
        "SecurityHash": security_hash("patient", person.num),
    })  # fmt: skip
    if rng.random() < 0.6:
        pen.put("patientnote", {
            "PatNum": person.num, "Medical": "Hypertension" if rng.random() < 0.1 else "",
            "FamFinancial": "Statement by post" if leads and rng.random() < 0.1 else "",
            "ICEName": f"{head.first} {head.last}"[:255] if not leads else "",
            "ICEPhone": head.mobile.stored if not leads else "",
            "SecDateTEntry": wall.moment(person.entered, 570),
            "SecDateTEdit": wall.stamp(touched, 570),
        })  # fmt: skip
    for kind, number in ((1, person.home), (2, person.work), (3, person.mobile)):
        if number.stored:
            pen.put("phonenumber", {
                "PhoneNumberNum": pen.key("phonenumber"), "PatNum": person.num,
                "PhoneNumberVal": number.stored, "PhoneNumberDigits": number.digits,
                "PhoneType": kind,
            })  # fmt: skip
    if rng.random() < 0.03:
        pen.put("commoptout", {
            "CommOptOutNum": pen.key("commoptout"), "PatNum": person.num,
            "OptOutSms": (1, 4, 2048)[int(rng.random() * 3)],
            "OptOutEmail": (0, 1)[int(rng.random() * 2)],
        })  # fmt: skip
    if person.num % 97 == 5:  # the practice does not schedule everybody any more
        pen.put("patrestriction", {
            "PatRestrictionNum": pen.key("patrestriction"), "PatNum": person.num,
            "PatRestrictType": 1,
        })  # fmt: skip
    pen.put("custreference", {
        "CustReferenceNum": pen.key("custreference"), "PatNum": person.num, "Note": "",
    })  # fmt: skip
    _fields_and_referral(office, pen, rng, person)
    entry_security(
        office, pen, 106, person.num, 0, person.entered, 540, "Patient created from the front desk"
    )


def _fields_and_referral(office: Office, pen: Pen, rng: Random, person: Person) -> None:
    wall = office.wall
    for name, kind, picks in PATIENT_FIELDS:
        if rng.random() > 0.12:
            continue
        value = {
            0: ("Corner Pharmacy", "Harbor Drugs", "Mill Chemist")[int(rng.random() * 3)],
            1: (picks.split("\r\n") or [""])[int(rng.random() * 4) % max(picks.count("\n") + 1, 1)],
            2: f"{1 + int(rng.random() * 12)}/{1 + int(rng.random() * 28)}/2024",
            3: "1",
            4: f"{int(rng.random() * 200)}.00",
        }[kind]
        pen.put("patfield", {
            "PatFieldNum": pen.key("patfield"), "PatNum": person.num, "FieldName": name,
            "FieldValue": value, "SecUserNumEntry": office.users[0],
            "SecDateEntry": wall.day(person.entered),
            "SecDateTEdit": wall.stamp(person.entered, 575),
        })  # fmt: skip
    if rng.random() < 0.5:
        source = office.referrals[int(rng.random() * len(office.referrals))]
        pen.put("refattach", {
            "RefAttachNum": pen.key("refattach"), "ReferralNum": source, "PatNum": person.num,
            "ItemOrder": 0, "RefDate": wall.day(person.entered), "RefType": 1, "Note": "",
            "ProvNum": -1 if rng.random() < 0.1 else 0,
            "DateTStamp": wall.stamp(person.entered, 577),
        })  # fmt: skip


def entry_security(
    office: Office,
    pen: Pen,
    permission: int,
    patient: int,
    fkey: int,
    ordinal: int,
    minute: int,
    text: str,
) -> None:
    """A line of the audit trail and its hash row."""
    num = pen.key("securitylog")
    pen.put("securitylog", {
        "SecurityLogNum": num, "PermType": permission, "UserNum": office.users[-1],
        "LogDateTime": office.wall.moment(ordinal, minute), "LogText": text, "PatNum": patient,
        "CompName": "FRONT1", "FKey": fkey,
    })  # fmt: skip
    pen.put("securityloghash", {
        "SecurityLogHashNum": pen.key("securityloghash"), "SecurityLogNum": num,
        "LogHash": security_hash(permission, ordinal, minute, text, patient),
    })  # fmt: skip


def write_merge(office: Office, pen: Pen, survivor: Person) -> None:
    """A duplicate that was merged away: archived row, and the link that says into whom."""
    wall = office.wall
    num = pen.key("patient")
    merged = min(survivor.entered + 30, office.today - 1)
    pen.put("patient", {
        "PatNum": num, "LName": survivor.last, "FName": survivor.first.upper(), "PatStatus": 3,
        "Birthdate": wall.day(survivor.born), "Guarantor": num, "PriProv": survivor.dentist.num,
        "BillingType": 40, "ClinicNum": survivor.clinic, "WirelessPhone": survivor.mobile.stored,
        "SecDateEntry": wall.day(survivor.entered), "DateTStamp": wall.stamp(merged, 700),
        "SecurityHash": security_hash("patient", num), "Gender": 2,
    })  # fmt: skip
    pen.put("patientlink", {
        "PatientLinkNum": pen.key("patientlink"), "PatNumFrom": num, "PatNumTo": survivor.num,
        "LinkType": 1, "DateTimeLink": wall.moment(merged, 700),
    })  # fmt: skip
    entry_security(office, pen, 94, survivor.num, 0, merged, 700, "Merged a duplicate record")
