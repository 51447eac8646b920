"""A small made-up practice as canonical records, for the page's tests: a few hundred, seeded."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("America/Los_Angeles")
Made = tuple[str, str, dict[str, Any]]

_FIRST = [
    "Ava",
    "Noah",
    "Mia",
    "Liam",
    "Zoë",
    "Mateo",
    "Priya",
    "José",
    "Hana",
    "Oliver",
    "Ruth",
    "Diego",
    "Amélie",
    "Theo",
    "Nia",
    "Omar",
    "Lucía",
    "Ben",
    "Ingrid",
    "Kofi",
]
_LAST = [
    "Nguyen",
    "Okafor",
    "Petersen",
    "Garza",
    "Müller",
    "Silva",
    "Haddad",
    "Whitfield",
    "Castellanos",
    "Ó'Brien",
    "Kowalski",
    "Delacroix",
    "Yamada",
    "Abernathy-Cole",
]
_WORK = (
    ("PerEx, Pro, BWX4", 60, "hygiene"),
    ("CompA-2", 40, "doctor"),
    ("Crown prep, #14", 90, "doctor"),
    ("Crown seat", 30, "doctor"),
    ("SRP UR, LR", 80, "hygiene"),
    ("Limited exam, PA", 30, "doctor"),
    ("RCT molar, start", 90, "doctor"),
    ("CompEx, FMX, Pro", 80, "hygiene"),
)
_PLANNED = (
    ("D2392", "resin-based composite - two surfaces, posterior", "14", "MO", "248.00"),
    ("D2740", "crown - porcelain/ceramic", "19", None, "1285.00"),
    ("D4341", "periodontal scaling and root planing, per quadrant", None, "UR", "262.00"),
    ("D1110", "prophylaxis - adult", None, None, "104.00"),
)


def practice(today: date, patients: int = 120, seed: int = 11) -> Iterator[Made]:
    """Every record, parents first. ``today`` is the day that gets the full schedule."""
    rng = random.Random(seed)
    yield (
        "practice",
        "0",
        {
            "key": "0",
            "title": "Willow Creek Dental",
            "name": "Willow Creek Dental",
            "city": "Salem",
            "state": "OR",
            "zone": ZONE.key,
            "phone": "+15035550100",
        },
    )
    for key, abbr, last, hygienist in (
        ("1", "Dr Lee", "Lee", False),
        ("2", "Dr Okafor", "Okafor", False),
        ("3", "Sam RDH", "Ruiz", True),
        ("4", "Jo RDH", "Berg", True),
    ):
        yield (
            "provider",
            key,
            {"key": key, "abbr": abbr, "last_name": last, "is_hygienist": hygienist},
        )
    operatories = (
        ("1", "Op 1", "1", None, False),
        ("2", "Op 2", "1", None, False),
        ("3", "Op 3", "2", None, False),
        ("4", "Op 4", "2", None, False),
        ("5", "Hygiene 1", None, "3", True),
        ("6", "Hygiene 2", None, "4", True),
    )
    for order, (key, name, dentist, hygienist_key, is_hygiene) in enumerate(operatories):
        made = {
            "key": key,
            "name": name,
            "abbr": name,
            "sort_order": order,
            "is_hygiene": is_hygiene,
        }
        if dentist:
            made["dentist_key"] = dentist
        if hygienist_key:
            made["hygienist_key"] = hygienist_key
        yield "operatory", key, made
    yield (
        "referral_source",
        "1",
        {"key": "1", "business_name": "Google search", "is_not_person": True},
    )
    for n, (code, description, *_) in enumerate(_PLANNED, 1):
        yield "procedure_code", str(n), {"key": str(n), "code": code, "description": description}
    yield from _people(rng, today, patients)
    yield from _schedule(rng, today, patients, operatories)
    yield from _ledgers(rng, today, patients)


def _people(rng: random.Random, today: date, patients: int) -> Iterator[Made]:
    for n in range(1, patients + 1):
        head = n - (n - 1) % 3
        family = random.Random(head)
        last = family.choice(_LAST)
        born = today - timedelta(days=rng.randrange(3 * 365, 84 * 365))
        person: dict[str, Any] = {
            "key": str(n),
            "last_name": last,
            "first_name": rng.choice(_FIRST),
            "status": "patient",
            "gender": rng.choice(("female", "male")),
            "birthdate": born.isoformat(),
            "guarantor_key": str(head),
            "phone_mobile": f"+1503555{n:04d}",
            "emails": [
                f"{last.lower().split('-')[0].encode('ascii', 'ignore').decode()}{n}@example.org"
            ],
            "address": f"{family.randrange(100, 9900)} SW Maple St",
            "city": "Salem",
            "state": "OR",
            "postal_code": "97301",
            "preferred_contact": "text_message",
            "preferred_confirm": "text_message",
            "sms_consent": rng.choice(("granted", "granted", "denied", "unknown")),
            "email_consent": "granted",
            "email_consent_source": "patient form",
            "email_consent_at": "2025-02-03T18:00:00Z",
            "primary_provider_key": rng.choice(("1", "2")),
            "first_visit": (today - timedelta(days=rng.randrange(30, 4000))).isoformat(),
            "referral_source_key": "1",
            "language": "eng",
        }
        if n == 1:
            person |= {
                "first_name": "Marisol",
                "gender": "female",
                "last_name": "Castellanos",
                "preferred_name": "Mari",
                "urgent_note": "Latex allergy. Ask about the heart valve.",
                "needs_premedication": True,
                "opt_out_sms": ["recall", "birthday"],
                "sms_consent": "granted",
                "sms_consent_source": "patient portal",
                "sms_consent_at": "2026-01-15T20:00:00Z",
                "birthdate": "1984-03-14",
                "emergency_contact": "Rafael Castellanos",
                "emergency_phone": "+15035550199",
                "custom": {"Membership": "Gold plan"},
            }
        yield "patient", str(n), person


def _at(day: date, minute: int) -> datetime:
    local = datetime.combine(day, time(minute // 60, minute % 60), ZONE)
    return local.astimezone(UTC)


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _schedule(
    rng: random.Random, today: date, patients: int, operatories: tuple[Any, ...]
) -> Iterator[Made]:
    key = 0
    for offset in range(-40, 41):
        day = today + timedelta(days=offset)
        if day.weekday() > 4 and day != today:
            continue
        for who in ("1", "2", "3", "4"):
            key += 1
            yield (
                "schedule_block",
                str(key),
                {
                    "key": str(key),
                    "kind": "provider_hours",
                    "provider_key": who,
                    "date": day.isoformat(),
                    "start": _iso(_at(day, 480)),
                    "end": _iso(_at(day, 1020 if who in "13" else 900)),
                    "zone": ZONE.key,
                    "status": "open",
                },
            )
        key += 1
        yield (
            "schedule_block",
            str(key),
            {
                "key": str(key),
                "kind": "blockout",
                "blockout_type": "Lunch",
                "date": day.isoformat(),
                "start": _iso(_at(day, 720)),
                "end": _iso(_at(day, 765)),
                "zone": ZONE.key,
                "status": "open",
                "operatory_keys": ["1", "2", "3", "4", "5", "6"],
            },
        )
    key += 1
    yield (
        "schedule_block",
        str(key),
        {
            "key": str(key),
            "kind": "practice",
            "date": today.isoformat(),
            "status": "open",
            "note": "Team meeting at 12:15 in the break room",
            "zone": ZONE.key,
        },
    )
    visit = 0
    for offset in range(-40, 41):
        day = today + timedelta(days=offset)
        if day.weekday() > 4 and day != today:
            continue
        busy = 0.9 if offset == 0 else 0.35
        for operatory, _, dentist, hygienist, is_hygiene in operatories:
            minute = 480
            while minute < 1000:
                work, length, _ = rng.choice(
                    [w for w in _WORK if (w[2] == "hygiene") == is_hygiene]
                )
                if 720 <= minute + length // 2 <= 770:
                    minute = 765
                    continue
                if rng.random() < busy and minute + length <= 1020:
                    visit += 1
                    yield (
                        "appointment",
                        str(visit),
                        _visit(
                            rng,
                            visit,
                            day,
                            offset,
                            minute,
                            length,
                            work,
                            operatory,
                            dentist,
                            hygienist,
                            patients,
                        ),
                    )
                minute += length + rng.choice((0, 0, 10))


def _visit(
    rng: random.Random,
    key: int,
    day: date,
    offset: int,
    minute: int,
    length: int,
    work: str,
    operatory: str,
    dentist: str | None,
    hygienist: str | None,
    patients: int,
) -> dict[str, Any]:
    done = offset < 0 or (offset == 0 and minute < 600)
    status = "complete" if done else "scheduled"
    if rng.random() < 0.06:
        status = "broken"
    word, category = rng.choice(
        (("Confirmed", "confirmed"), ("Not Called", "unconfirmed"), ("Texted", "contacted"))
    )
    if offset == 0 and 600 <= minute < 660:
        word, category = rng.choice((("Arrived", "arrived"), ("In operatory", "seated")))
    made: dict[str, Any] = {
        "key": str(key),
        "patient_key": str(1 if key % 41 == 0 else rng.randrange(1, patients + 1)),
        "status": status,
        "confirmation": word,
        "confirmation_category": category,
        "start": _iso(_at(day, minute)),
        "end": _iso(_at(day, minute + length)),
        "zone": ZONE.key,
        "minutes": length,
        "operatory_key": operatory,
        "provider_key": dentist or "1",
        "procedures_text": work,
        "is_new_patient": rng.random() < 0.05,
        "is_hygiene": hygienist is not None,
    }
    if hygienist:
        made["hygienist_key"] = hygienist
    return made


def _ledgers(rng: random.Random, today: date, patients: int) -> Iterator[Made]:
    number = 0
    for n in range(1, patients + 1):
        key = str(n)
        due = today + timedelta(days=rng.randrange(-90, 150))
        yield (
            "recall",
            key,
            {
                "key": key,
                "patient_key": key,
                "type": "Prophy",
                "due": due.isoformat(),
                "interval": "P6M",
            },
        )
        if n % 3 == 1:
            owed = [rng.choice((0, 0, 45, 120, 310)) for _ in range(4)]
            yield (
                "balance",
                key,
                {
                    "key": key,
                    "guarantor_key": key,
                    "is_guarantor": True,
                    "individual": f"{owed[0]:.2f}",
                    "family_total": f"{sum(owed):.2f}",
                    "family_insurance_estimate": "86.00",
                    "family_0_30": f"{owed[0]:.2f}",
                    "family_31_60": f"{owed[1]:.2f}",
                    "family_61_90": f"{owed[2]:.2f}",
                    "family_over_90": f"{owed[3]:.2f}",
                },
            )
        if n % 4:
            yield (
                "coverage",
                key,
                {
                    "key": key,
                    "patient_key": key,
                    "ordinal": 1,
                    "carrier": "Evergreen Dental PPO",
                    "group_name": "State of Oregon",
                    "group_number": "OR-4471",
                    "subscriber_id": f"EV{n:06d}",
                    "relationship": "self",
                },
            )
        for code, description, tooth, surface, fee in rng.sample(_PLANNED, 3 if n == 1 else n % 3):
            number += 1
            yield (
                "procedure",
                str(number),
                {
                    "key": str(number),
                    "patient_key": key,
                    "status": "treatment_planned",
                    "code": code,
                    "description": description,
                    "tooth": tooth,
                    "surface": surface,
                    "amount": fee,
                    "fee": fee,
                },
            )
        if n % 5 == 1:
            yield (
                "communication",
                key,
                {
                    "key": key,
                    "patient_key": key,
                    "at": "2026-10-02T17:20:00Z",
                    "zone": ZONE.key,
                    "type": "Appointment",
                    "mode": "text",
                    "direction": "sent",
                    "note": "Reminder sent; asked to come ten minutes early.",
                },
            )
