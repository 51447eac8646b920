"""The office itself: providers, chairs, definitions, codes, plans; read back as facts to build on.

``furnish`` adds what a database lacks (all of it in an empty one, chairs and codes in one that came
with its own seed rows) and returns ``Office``. May import seeds, names and stores beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from random import Random

import msgspec

from agent.sandbox.practice import seeds
from agent.sandbox.practice.clockwork import WallClock
from agent.sandbox.practice.names import first_name, last_name, phone
from agent.sandbox.practice.stores import Filler, Store
from agent.sandbox.practice.tables import TABLES


class Provider(msgspec.Struct, frozen=True):
    num: int
    hygienist: bool
    clinic: int
    place: int  # position in the office's list; decides days off


class Chair(msgspec.Struct, frozen=True):
    """An operatory and the provider who works in it."""

    num: int
    provider: Provider
    clinic: int
    place: int


class Treatment(msgspec.Struct, frozen=True):
    """A procedure code with its fee (cents) and what a usual plan pays (percent)."""

    num: int
    code: str
    abbr: str
    fee: int
    units: int
    area: int
    hygiene: bool
    covered: int


class Plan(msgspec.Struct, frozen=True):
    num: int
    write_off: int  # percent off the fee agreed with the carrier
    yearly_max: int  # cents
    carrier: str


class Office(msgspec.Struct, frozen=True):
    """Facts the rest is built on. Days are ordinals on the practice's wall."""

    wall: WallClock
    today: int
    first_day: int
    last_day: int
    clinics: tuple[int, ...]  # (0,) when the clinics feature is off
    dentists: tuple[Provider, ...]
    hygienists: tuple[Provider, ...]
    chairs: tuple[Chair, ...]
    users: tuple[int, ...]
    treatments: Mapping[str, Treatment]
    definitions: Mapping[tuple[int, str], int]
    recall_types: Mapping[str, int]
    appointment_types: tuple[int, ...]
    plans: tuple[Plan, ...]
    referrals: tuple[int, ...]
    laboratories: tuple[int, ...]

    def definition(self, category: int, name: str) -> int:
        """DefNum by ItemValue or ItemName; the first of the category when it is not there."""
        found = self.definitions.get((category, name))
        return found if found is not None else self.definitions.get((category, ""), 0)

    @property
    def dental_chairs(self) -> tuple[Chair, ...]:
        return tuple(c for c in self.chairs if not c.provider.hygienist)


class Mint:
    """Next primary keys: counting on from what is there, or drawn at random as some sites do."""

    def __init__(self, store: Store, random_seed: int | None = None) -> None:
        self._store = store
        self._seed = random_seed
        self._next: dict[str, int] = {}

    def key(self, table: str) -> int:
        at = self._next.get(table)
        if at is None:
            shape = TABLES[table]
            # Names are ours, from the schema: nothing to bind.
            found = self._store.rows(f"SELECT MAX({shape.primary}) FROM {table}")
            at = int(found[0][0] or 0) + 1
        self._next[table] = at + 1
        if self._seed is None:
            return at
        return _scattered(at, self._seed)


def _scattered(number: int, seed: int) -> int:
    """A one-to-one walk over 1 .. 2**62: four Feistel rounds over two 31-bit halves."""
    left, right = number >> 31, number & 0x7FFFFFFF
    for turn in range(4):
        mixed = (right * 0x9E3779B1 + seed + turn * 0x85EBCA6B) & 0x7FFFFFFF
        mixed ^= mixed >> 13
        mixed = (mixed * 0xC2B2AE35) & 0x7FFFFFFF
        left, right = right, left ^ (mixed ^ (mixed >> 16))
    return (left << 31 | right) or 1


class Pen:
    """Writes rows: keys from the mint, rows to the filler."""

    def __init__(self, store: Store, random_seed: int | None = None) -> None:
        self.filler = Filler(store)
        self.put = self.filler.add
        self.mint = Mint(store, random_seed)
        self.key = self.mint.key


def furnish(
    store: Store,
    pen: Pen,
    *,
    wall: WallClock,
    today: int,
    years: int,
    patients: int,
    clinics: int,
    seed: int,
    version: str,
) -> Office:
    """Write the office's own rows and read them back. ``patients`` decides how many chairs."""
    rng = Random(f"{seed}:office")
    stamp = wall.stamp(today - years * 365 - 30, 540)
    _definitions(store, pen)
    treatments = _treatments(store, pen, stamp)
    recall_types = _recall_types(store, pen, treatments)
    clinic_nums = _clinics(pen, clinics) if clinics else (0,)
    chairs = _chairs(store, pen, rng, patients, clinic_nums, stamp)
    users = _users(store, pen)
    _preferences(store, pen, version, clinics, chairs[0].provider.num, today, wall)
    types = []
    for order, (name, colour, pattern) in enumerate(seeds.APPOINTMENT_TYPES):
        types.append(pen.key("appointmenttype"))
        pen.put("appointmenttype", {
            "AppointmentTypeNum": types[-1], "AppointmentTypeName": name, "ItemOrder": order,
            "AppointmentTypeColor": colour, "Pattern": pattern,
        })  # fmt: skip
    _fields(pen)
    plans = _plans(pen, rng, stamp)
    referrals = _referrals(pen, rng, stamp)
    laboratories = []
    for name in seeds.LABORATORIES:
        laboratories.append(pen.key("laboratory"))
        pen.put("laboratory", {
            "LaboratoryNum": laboratories[-1], "Description": name, "Phone": phone(rng).stored,
            "City": "Millbrook", "State": "NY", "Email": "cases@example.com",
        })  # fmt: skip
    pen.filler.flush()
    providers = {c.provider.num: c.provider for c in chairs}
    lookup: dict[tuple[int, str], int] = {}
    for num, category, name, value in store.rows(
        "SELECT DefNum, Category, ItemName, ItemValue FROM definition WHERE IsHidden=0 "
        "ORDER BY Category, ItemOrder, DefNum"
    ):
        lookup.setdefault((int(category), ""), int(num))
        lookup.setdefault((int(category), str(name or "")), int(num))
        if value:
            lookup.setdefault((int(category), str(value)), int(num))
    return Office(
        wall=wall,
        today=today,
        first_day=today - years * 365,
        last_day=today + 183,
        clinics=clinic_nums,
        dentists=tuple(p for p in providers.values() if not p.hygienist),
        hygienists=tuple(p for p in providers.values() if p.hygienist),
        chairs=chairs,
        users=users,
        treatments=treatments,
        definitions=lookup,
        recall_types=recall_types,
        appointment_types=tuple(types),
        plans=plans,
        referrals=referrals,
        laboratories=tuple(laboratories),
    )


def _definitions(store: Store, pen: Pen) -> None:
    there = {
        (int(category), str(name or ""))
        for category, name in store.rows("SELECT Category, ItemName FROM definition")
    }
    fresh = not there
    stocked = {category for category, _ in there}
    order: dict[int, int] = {}
    for row in seeds.DEFINITIONS:
        order[row.category] = order.get(row.category, -1) + 1
        # A site's own lists are respected; only lists it lacks altogether are added.
        if fresh or row.category not in stocked:
            pen.put("definition", {
                "DefNum": row.num if fresh else pen.key("definition"),
                "Category": row.category, "ItemOrder": order[row.category],
                "ItemName": row.name, "ItemValue": row.value, "ItemColor": -1,
            })  # fmt: skip
    pen.filler.flush()


def _treatments(store: Store, pen: Pen, stamp: str) -> dict[str, Treatment]:
    there = {str(c): int(n) for n, c in store.rows("SELECT CodeNum, ProcCode FROM procedurecode")}
    schedules = store.rows("SELECT MIN(FeeSchedNum) FROM feesched")
    fee_schedule = int(schedules[0][0] or 0)
    if not fee_schedule:
        fee_schedule = 53
        pen.put("feesched", {
            "FeeSchedNum": fee_schedule, "Description": "Standard", "IsGlobal": 1,
            "SecDateTEdit": stamp,
        })  # fmt: skip
    made = {}
    for code in seeds.CODES:
        num = there.get(code.code)
        if num is None:
            num = pen.key("procedurecode")
            pen.put("procedurecode", {
                "CodeNum": num, "ProcCode": code.code, "Descript": code.text,
                "AbbrDesc": code.abbr, "ProcTime": "/" + "X" * max(code.units - 1, 0),
                "ProcCat": code.category, "TreatArea": code.area, "IsHygiene": int(code.hygiene),
                "LaymanTerm": code.text, "DateTStamp": stamp,
            })  # fmt: skip
        if code.fee:
            pen.put("fee", {
                "FeeNum": pen.key("fee"), "Amount": code.fee / 100, "FeeSched": fee_schedule,
                "CodeNum": num, "SecDateTEdit": stamp,
            })  # fmt: skip
        made[code.code] = Treatment(
            num, code.code, code.abbr, code.fee, code.units, code.area, code.hygiene, code.covered
        )
    return made


def _recall_types(store: Store, pen: Pen, treatments: Mapping[str, Treatment]) -> dict[str, int]:
    there = store.rows("SELECT RecallTypeNum, Description FROM recalltype")
    if there:
        return {str(name): int(num) for num, name in there}
    for num, name, interval, pattern, procedures, special in seeds.RECALL_TYPES:
        pen.put("recalltype", {
            "RecallTypeNum": num, "Description": name, "DefaultInterval": interval,
            "TimePattern": pattern, "Procedures": procedures, "AppendToSpecial": special,
        })  # fmt: skip
    for kind, code in seeds.RECALL_TRIGGERS:
        pen.put("recalltrigger", {
            "RecallTriggerNum": pen.key("recalltrigger"), "RecallTypeNum": kind,
            "CodeNum": treatments[code].num,
        })  # fmt: skip
    return {name: num for num, name, *_ in seeds.RECALL_TYPES}


def _clinics(pen: Pen, count: int) -> tuple[int, ...]:
    nums = []
    for order in range(count):
        name = seeds.CLINIC_NAMES[order % len(seeds.CLINIC_NAMES)]
        if order >= len(seeds.CLINIC_NAMES):
            name = f"{name} {order // len(seeds.CLINIC_NAMES) + 1}"
        nums.append(pen.key("clinic"))
        pen.put("clinic", {
            "ClinicNum": nums[-1], "Description": name, "Abbr": name[:6], "ItemOrder": order,
            "Address": f"{order + 1} Larch Walk", "City": "Millbrook", "State": "NY",
            "Zip": "10001", "Phone": f"212555{100 + order:04d}", "IsConfirmEnabled": 1,
        })  # fmt: skip
        pen.put("clinicpref", {
            "ClinicPrefNum": pen.key("clinicpref"), "ClinicNum": nums[-1],
            "PrefName": "PracticeDefaultBillType", "ValueString": "40",
        })  # fmt: skip
    return tuple(nums)


def _chairs(
    store: Store, pen: Pen, rng: Random, patients: int, clinics: tuple[int, ...], stamp: str
) -> tuple[Chair, ...]:
    """Dentists with two chairs, hygienists with one; eight cleanings a day fill a hygiene chair."""
    dentists = max(len(clinics), 2, -(-patients // 2400))
    hygienists = max(len(clinics), 2, -(-patients // 800))
    known = store.rows("SELECT ProvNum, IsSecondary FROM provider ORDER BY ProvNum")
    own = {h: [int(n) for n, second in known if bool(second) is h] for h in (False, True)}
    ops = store.rows("SELECT OperatoryNum, OpName FROM operatory ORDER BY OperatoryNum")
    free = {
        h: [int(n) for n, name in ops if str(name).startswith("Hyg") is h] for h in (False, True)
    }
    chairs: list[Chair] = []
    for hygiene, count in ((False, dentists), (True, hygienists)):
        for order in range(count):
            place = order + (dentists if hygiene else 0)
            clinic = clinics[order % len(clinics)]
            num = (
                own[hygiene].pop(0)
                if own[hygiene]
                else _provider(pen, rng, place, order, hygiene, stamp)
            )
            provider = Provider(num, hygiene, clinic, place)
            lead = next((c.provider.num for c in chairs if c.clinic == clinic), num)
            for seat in range(1 if hygiene else 2):
                links = {
                    "ProvDentist": lead if hygiene else num, "ProvHygienist": num if hygiene else 0,
                    "IsHygiene": int(hygiene), "ClinicNum": clinic,
                }  # fmt: skip
                label = f"Hygiene {order + 1}" if hygiene else f"Room {order * 2 + seat + 1}"
                op = _operatory(store, pen, free[hygiene], label, len(chairs), links, stamp)
                chairs.append(Chair(op, provider, clinic, len(chairs)))
    return tuple(chairs)


def _operatory(
    store: Store,
    pen: Pen,
    free: list[int],
    label: str,
    place: int,
    links: dict[str, int],
    stamp: str,
) -> int:
    """Take over one of the site's own operatories, or add one."""
    if free:
        num = free.pop(0)
        store.run(
            "UPDATE operatory SET ProvDentist=?, ProvHygienist=?, IsHygiene=?, ClinicNum=? "
            "WHERE OperatoryNum=?",
            *links.values(),
            num,
        )
        return num
    num = pen.key("operatory")
    pen.put("operatory", {
        "OperatoryNum": num, "OpName": label, "Abbrev": label.replace("Hygiene", "Hyg")[:5],
        "ItemOrder": place, **links, "DateTStamp": stamp,
    })  # fmt: skip
    return num


def _provider(pen: Pen, rng: Random, place: int, order: int, hygienist: bool, stamp: str) -> int:
    num = pen.key("provider")
    female = rng.random() < (0.9 if hygienist else 0.5)
    last = last_name(rng)
    pen.put("provider", {
        "ProvNum": num, "Abbr": f"{'HYG' if hygienist else 'DOC'}{order + 1}",
        "ItemOrder": place, "LName": last, "FName": first_name(rng, female),
        "Suffix": "RDH" if hygienist else "DMD", "Specialty": 264 if hygienist else 263,
        "IsSecondary": int(hygienist), "ProvColor": -4602138 + place * 4096,
        "OutlineColor": -11711155, "NationalProvID": f"{1000000000 + place}", "FeeSched": 53,
        "DateTStamp": stamp,
    })  # fmt: skip
    return num


def _users(store: Store, pen: Pen) -> tuple[int, ...]:
    there = [int(n) for (n,) in store.rows("SELECT UserNum FROM userod ORDER BY UserNum")]
    if not store.rows("SELECT 1 FROM usergroup LIMIT 1"):
        pen.put("usergroup", {"UserGroupNum": 1, "Description": "Admin Group"})
        pen.put("usergroup", {"UserGroupNum": 2, "Description": "Regular Users"})
    for name in ("Admin", "Front1", "Front2", "Billing", "Assist1")[len(there) :]:
        there.append(pen.key("userod"))
        pen.put("userod", {"UserNum": there[-1], "UserName": name, "UserGroupNum": 2})
    return tuple(there)


def _preferences(
    store: Store, pen: Pen, version: str, clinics: int, provider: int, today: int, wall: WallClock
) -> None:
    there = {str(n) for (n,) in store.rows("SELECT PrefName FROM preference")}
    ours: list[tuple[str, str]] = [
        ("DataBaseVersion", version if version.count(".") >= 3 else f"{version}.0"),
        ("ProgramVersion", version if version.count(".") >= 3 else f"{version}.0"),
        ("PracticeTitle", "Larch Walk Dental (sample)"),
        ("PracticePhone", "2125550100"),
        ("PracticeDefaultProv", str(provider)),
        ("EasyNoClinics", "0" if clinics else "1"),
        ("PatientPhoneUsePhonenumberTable", "1"),
        ("DateLastAging", wall.day(today - 1)),
        # Not Open Dental's: a file cannot be asked for its zone as a server can.
        ("BridgeworkZone", wall.zone.key),
    ]
    decided = {name for name, _ in ours}
    ours += [(n, v) for n, v in seeds.PREFERENCES if n not in decided and n not in there]
    for name, value in ours:
        if name in there:
            if name not in {"DataBaseVersion", "ProgramVersion"}:
                store.run("UPDATE preference SET ValueString=? WHERE PrefName=?", value, name)
        else:
            pen.put("preference", {
                "PrefNum": pen.key("preference"), "PrefName": name, "ValueString": value,
            })  # fmt: skip
    pen.put("updatehistory", {
        "UpdateHistoryNum": pen.key("updatehistory"),
        "DateTimeUpdated": wall.moment(today - 90, 1200), "ProgramVersion": ours[0][1],
    })  # fmt: skip


def _fields(pen: Pen) -> None:
    for order, (name, kind, picks) in enumerate(seeds.PATIENT_FIELDS):
        pen.put("patfielddef", {
            "PatFieldDefNum": pen.key("patfielddef"), "FieldName": name, "FieldType": kind,
            "PickList": picks, "ItemOrder": order,
        })  # fmt: skip
    for name, kind, picks in seeds.APPOINTMENT_FIELDS:
        pen.put("apptfielddef", {
            "ApptFieldDefNum": pen.key("apptfielddef"), "FieldName": name, "FieldType": kind,
            "PickList": picks,
        })  # fmt: skip


def _plans(pen: Pen, rng: Random, stamp: str) -> tuple[Plan, ...]:
    plans = []
    for order, carrier in enumerate(seeds.CARRIERS):
        carrier_num = pen.key("carrier")
        pen.put("carrier", {
            "CarrierNum": carrier_num, "CarrierName": carrier, "City": "Millbrook", "State": "NY",
            "Address": f"PO Box {100 + order}", "Zip": "10001", "Phone": phone(rng).stored,
            "ElectID": f"{60000 + order}", "SecDateTEdit": stamp,
        })  # fmt: skip
        for group, employer in enumerate(seeds.EMPLOYERS):
            plan = Plan(
                num=pen.key("insplan"),
                write_off=(0, 15, 20, 25)[int(rng.random() * 4)],
                yearly_max=(100_000, 150_000, 200_000)[int(rng.random() * 3)],
                carrier=carrier,
            )
            plans.append(plan)
            pen.put("insplan", {
                "PlanNum": plan.num, "GroupName": employer, "GroupNum": f"{order:02d}{group:03d}",
                "PlanNote": "", "PlanType": "p" if plan.write_off else "",
                "CarrierNum": carrier_num, "SecDateTEdit": stamp,
            })  # fmt: skip
    return tuple(plans)


def _referrals(pen: Pen, rng: Random, stamp: str) -> tuple[int, ...]:
    nums = []
    for name in seeds.REFERRAL_SOURCES:
        nums.append(pen.key("referral"))
        pen.put("referral", {
            "ReferralNum": nums[-1], "LName": name, "FName": "", "NotPerson": 1,
            "Note": "", "DateTStamp": stamp,
        })  # fmt: skip
    for _ in range(12):
        nums.append(pen.key("referral"))
        pen.put("referral", {
            "ReferralNum": nums[-1], "LName": last_name(rng)[:100],
            "FName": first_name(rng, rng.random() < 0.5), "Title": "DMD", "IsDoctor": 1,
            "Telephone": phone(rng).digits[:10], "EMail": "office@example.org", "Note": "",
            "DateTStamp": stamp,
        })  # fmt: skip
    return tuple(nums)


def security_hash(*parts: object) -> str:
    """Stands in for the vendor's salted hash, whose recipe is not public: same role, our text."""
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:44]
