"""How records of the Dentrix and Eaglesoft layouts must look in the CRM, written a second time.

One plain statement a stream; nothing is shared with the agent's maps, contracts or reader. The
stand-in's own choices (units, time numbers, type numbers, the parking column) are repeated here.
"""
# ruff: noqa: ARG001 - every rule takes the same four arguments

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from hashlib import blake2b

import msgspec

from agent.model.streams import Stream
from agent.sandbox.compare.rules import (
    Held,
    Place,
    Rule,
    Stored,
    amount_of,
    day,
    day_text,
    emails,
    flag,
    happened,
    label,
    lower,
    moment,
    note,
    one_of,
    phone,
    same_money,
    utc_text,
    wall,
    words,
    zone_name,
)

UNIT_MINUTES, STATUS_TYPE, OPERATORY_TYPE, PARKING = 5, 19, 1, "90"


class VendorField(msgspec.Struct, frozen=True):
    name: str
    rule: Rule
    columns: tuple[str, ...]


class VendorRules(msgspec.Struct, frozen=True):
    """``select``: every record of the stream, its key in the column ``key``; ``{o}`` stands before
    the names of tables. ``fields``: by the names of the statement's columns."""

    select: str
    key: str
    fields: tuple[VendorField, ...]


# --- keys -------------------------------------------------------------------------------------


def code(value: str | None) -> str | None:
    """A vendor's key as the number the CRM knows it by: whole numbers as they are, short printable
    text packed by its characters, the rest by a digest; case is as written."""
    text = (value or "").rstrip()
    if not text:
        return None
    if text.isdecimal() and (text == "0" or text[0] != "0") and len(text) <= 18:
        return text
    if len(text) <= 9 and all(" " <= sign <= "~" for sign in text):
        number = 0
        for sign in text.ljust(9, "\x1f"):
            number = number * 96 + ord(sign) - 31
        return str(2**62 + number)
    digest = blake2b(text.encode("utf-8"), digest_size=8).digest()
    return str(2**61 + (int.from_bytes(digest, "big") >> 4))


def key(stored: Stored, held: Held, name: str, place: Place) -> bool:
    found = code(stored[0])
    return held.get(name) == (None if found == "0" else found)


def keys(stored: Stored, held: Held, name: str, place: Place) -> bool:
    found = code(stored[0])
    return held.get(name, []) == ([] if found in {None, "0"} else [found])


# --- rules of more than one column ------------------------------------------------------------


def _always(value: object) -> Rule:
    return lambda stored, held, name, place: held.get(name) == value


def money(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return same_money(amount_of(stored[0]), held.get(name))


def _extra(rule: Callable[[Stored, Held], bool]) -> Rule:
    def judge(stored: Stored, held: Held, name: str, place: Place) -> bool:
        extra = held.get("extra", {})
        return rule(stored, extra if isinstance(extra, Mapping) else {})

    return judge


def extra(name: str) -> Rule:
    """Text of a gathered field; keys and dates are texts of their own."""
    return _extra(lambda stored, held: words(stored[0]) == words(held.get(name)))


def extra_key(name: str) -> Rule:
    def judge(stored: Stored, held: Held) -> bool:
        found = code(stored[0])
        return held.get(name) == (None if found == "0" else found)

    return _extra(judge)


def extra_money(name: str) -> Rule:
    return _extra(lambda stored, held: same_money(amount_of(stored[0]), held.get(name)))


def _wall_start(stored: Stored) -> str | None:
    if day_text(stored[0]) is None or not stored[1] or not stored[2]:
        return None
    return f"{str(stored[0])[:10]} {int(stored[1]):02d}:{int(stored[2]):02d}:00"


def parted_start(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return held.get(name) == utc_text(_wall_start(stored), place.zone)


def parted_local(stored: Stored, held: Held, name: str, place: Place) -> bool:
    start = _wall_start(stored)
    return held.get(name) == (start and start.replace(" ", "T"))


def parted_end(stored: Stored, held: Held, name: str, place: Place) -> bool:
    start = _wall_start(stored)
    if start is None or not stored[3] or stored[3] == "0":
        return name not in held
    end = datetime.fromisoformat(start) + timedelta(minutes=UNIT_MINUTES * int(stored[3]))
    return held.get(name) == utc_text(end.isoformat(" "), place.zone)


def units(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return held.get(name) == (int(stored[0] or 0) * UNIT_MINUTES or None)


def _of_day(number: str | None) -> str | None:
    return None if not number else f"{int(number) // 60:02d}:{int(number) % 60:02d}"


def numbered_time(stored: Stored, held: Held, name: str, place: Place) -> bool:
    """A day, and minutes since its midnight."""
    if day_text(stored[0]) is None or not stored[1]:
        return name not in held
    at = f"{str(stored[0])[:10]} {_of_day(stored[1])}:00"
    return held.get(name) == utc_text(at, place.zone)


def numbered_clock(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return held.get(name) == _of_day(stored[0])


def clock_of_stamp(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return held.get(name) == (stored[0][11:16] if stored[0] else None)


def minutes_between(stored: Stored, held: Held, name: str, place: Place) -> bool:
    if not stored[0] or not stored[1]:
        return name not in held
    took = datetime.fromisoformat(stored[1]) - datetime.fromisoformat(stored[0])
    return held.get(name) == int(took.total_seconds()) // 60


def dentrix_status(stored: Stored, held: Held, name: str, place: Place) -> bool:
    status, broken, pinboard = (int(value or 0) for value in stored)
    wanted = "scheduled"
    if broken:
        wanted = "broken"
    elif pinboard:
        wanted = "unscheduled"
    elif status % 256 == 150:
        wanted = "complete"
    return held.get(name) == wanted


def unsigned(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return held.get(name) == (str(int(stored[0]) % 256) if stored[0] else None)


def unfiled(stored: Stored, held: Held, name: str, place: Place) -> bool:
    named = words(stored[0]) if (stored[1] or "0") == "0" else None
    shown = held.get("extra", {})
    return named == (shown.get("unfiled_name") if isinstance(shown, Mapping) else None)


def eaglesoft_status(stored: Stored, held: Held, name: str, place: Place) -> bool:
    chair, walked_out = stored
    if chair == PARKING:
        return held.get(name) == "unscheduled"
    return held.get(name) == ("complete" if walked_out else "scheduled")


def eaglesoft_confirmation(stored: Stored, held: Held, name: str, place: Place) -> bool:
    arrived, confirmed = stored
    wanted = "arrived" if arrived else "confirmed" if confirmed else "unconfirmed"
    return held.get(name) == wanted


def is_parking(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return held.get(name) is (stored[0] == PARKING)


def no_parking(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return held.get(name) is (stored[0] != PARKING)


def head_money(stored: Stored, held: Held, name: str, place: Place) -> bool:
    amount, head, own = stored
    return same_money(amount_of(amount) if head == own else None, held.get(name))


def is_head(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return held.get(name) is (stored[0] == stored[1])


def role(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return held.get(name) == ("head" if stored[0] == stored[1] else "member")


def answer(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return held.get(name) == {"Y": "granted", "N": "denied"}.get(stored[0] or "", "unknown")


def _fields(*entries: tuple[Rule, str]) -> tuple[VendorField, ...]:
    """(rule, "field=column+column field column"): a bare name is field and column."""
    found = []
    for rule, spec in entries:
        for word in spec.split():
            name, _, named = word.partition("=")
            found.append(VendorField(name, rule, tuple((named or name).split("+"))))
    return tuple(found)


_START = "=appointment_date+start_hour+start_minute"

DENTRIX: Mapping[Stream, VendorRules] = {
    Stream.PRACTICE: VendorRules(
        "SELECT id1, practicename FROM {o}rsc WHERE rsctype=0",
        "id1",
        _fields((label, "title=practicename name=practicename"), (zone_name, "zone=id1")),
    ),
    Stream.PROVIDER: VendorRules(
        "SELECT provider_id, last_name, first_name, suffix, npi, inactive, issecondaryprovider"
        " FROM {o}v_provider",
        "provider_id",
        _fields(
            (label, "abbr=provider_id last_name first_name suffix npi"),
            (flag, "is_hidden=inactive is_hygienist=issecondaryprovider"),
        ),
    ),
    Stream.OPERATORY: VendorRules(
        f"SELECT id1 FROM {{o}}rsc WHERE rsctype={OPERATORY_TYPE}",
        "id1",
        _fields((label, "name=id1")),
    ),
    Stream.PATIENT: VendorRules(
        "SELECT patient_id, last_name, first_name, salutation, gender, birth_date, home_phone,"
        " address_line1, address_line2, city, state, zipcode, employer_id FROM {o}v_patient",
        "patient_id",
        _fields(
            (label, "last_name first_name salutation address=address_line1 address2=address_line2"
                    " city state postal_code=zipcode"),
            (one_of({"M": "male", "F": "female"}), "gender"),
            (day, "birthdate=birth_date"), (phone, "phone_home=home_phone"),
            (key, "employer_key=employer_id"),
        ),
    ),
    Stream.APPOINTMENT: VendorRules(
        "SELECT v.appointment_id, v.patient_id, v.patient_name, v.status_id, v.broken,"
        " v.appointment_date, v.start_hour, v.start_minute, v.provider_id, v.operatory_id,"
        " v.reason, v.addtnl_provider_id, a.pinboard, a.apptlen, a.createdate, a.createtimehr,"
        " a.createtimemin, d.descript FROM {o}v_appt v"
        " LEFT JOIN {o}appt a ON a.apptid=v.appointment_id"
        f" LEFT JOIN {{o}}fulldef d ON d.defid=v.status_id AND d.deftype={STATUS_TYPE}",
        "appointment_id",
        _fields(
            (key, "patient_key=patient_id provider_key=provider_id operatory_key=operatory_id"),
            (unfiled, "extra=patient_name+patient_id"),
            (dentrix_status, "status=status_id+broken+pinboard"),
            (unsigned, "confirmation_key=status_id"), (label, "confirmation=descript"),
            (parted_start, f"start{_START} created=createdate+createtimehr+createtimemin"),
            (parted_local, f"start_local{_START}"), (parted_end, f"end{_START}+apptlen"),
            (units, "minutes=apptlen"), (label, "procedures_text=reason"),
            (extra("additional_provider"), "extra=addtnl_provider_id"),
            (zone_name, "zone=appointment_id"),
        ),
    ),
    Stream.SCHEDULE_BLOCK: VendorRules(
        "SELECT appteventrecid, opid, eventdate, starttime, endtime, closeopflag, descript"
        " FROM {o}apptevent",
        "appteventrecid",
        _fields(
            (_always("blockout"), "kind=opid"), (_always("open"), "status=opid"),
            (keys, "operatory_keys=opid"), (day, "date=eventdate"),
            (numbered_time, "start=eventdate+starttime end=eventdate+endtime"),
            (numbered_clock, "start_local=starttime end_local=endtime"),
            (flag, "forbids_booking=closeopflag"), (label, "note=descript"),
        ),
    ),
    Stream.BALANCE: VendorRules(
        "SELECT guarid, aging0to30, aging31to60, aging61to90, aging91plus, agingdate, lastpaydate"
        " FROM {o}aging",
        "guarid",
        _fields(
            (key, "guarantor_key=guarid"), (_always(True), "is_guarantor=guarid"),
            (money, "family_0_30=aging0to30 family_31_60=aging31to60 family_61_90=aging61to90"
                    " family_over_90=aging91plus"),
            (extra("as_of"), "extra=agingdate"), (extra("last_payment"), "extra=lastpaydate"),
        ),
    ),
    Stream.COVERAGE: VendorRules(
        "SELECT p.patient_id, p.primary_insured_id, p.primary_insurance_carrier_id,"
        " p.primary_insurance_carrier_name, p.secondary_insured_id,"
        " p.secondary_insurance_carrier_name, i.ins_party_id, i.id_num, i.ins_plan_id,"
        " n.group_name, n.group_number, n.payor_id FROM {o}v_patient_insurance p"
        " LEFT JOIN {o}v_insured i ON i.insured_id=p.primary_insured_id"
        " LEFT JOIN {o}v_insurance_plans n ON n.ins_id=i.ins_plan_id"
        " WHERE p.primary_insured_id<>0",
        "patient_id",
        _fields(
            (key, "patient_key=patient_id subscription_key=primary_insured_id"
                  " subscriber_key=ins_party_id plan_key=ins_plan_id"
                  " carrier_key=primary_insurance_carrier_id"),
            (_always(1), "ordinal=patient_id"),
            (label, "subscriber_id=id_num group_name group_number electronic_id=payor_id"
                    " carrier=primary_insurance_carrier_name"),
            (extra_key("secondary_insured"), "extra=secondary_insured_id"),
            (extra("secondary_carrier"), "extra=secondary_insurance_carrier_name"),
        ),
    ),
    Stream.COMMUNICATION: VendorRules(
        "SELECT contactid, patid, contactdate, contacttime, contacttype, title, provid"
        " FROM {o}contact",
        "contactid",
        _fields(
            (key, "patient_key=patid type_key=contacttype"),
            (numbered_time, "at=contactdate+contacttime"), (note, "note=title"),
            (extra("date"), "extra=contactdate"), (extra("provider"), "extra=provid"),
        ),
    ),
    Stream.CLINICAL_NOTE: VendorRules(
        "SELECT cnotesid, patid, createdatetime, notetext, provid FROM {o}clinicalnote",
        "cnotesid",
        _fields(
            (key, "patient_key=patid"), (moment, "at=createdatetime"), (note, "note=notetext"),
            (extra("provider"), "extra=provid"),
        ),
    ),
}  # fmt: skip

# The first detail row of a ledger entry says whose it is and who did it.
_DETAIL = (
    " LEFT JOIN {o}transactions_detail d ON d.tran_num=t.tran_num AND d.detail_id="
    "(SELECT MIN(e.detail_id) FROM {o}transactions_detail e WHERE e.tran_num=t.tran_num)"
)
_MARRIED = {"S": "single", "M": "married", "W": "widowed", "D": "divorced"}

EAGLESOFT: Mapping[Stream, VendorRules] = {
    Stream.PROVIDER: VendorRules(
        "SELECT p.provider_id, p.last_name, p.first_name, p.specialty, p.national_prov_id,"
        " p.status, n.description FROM {o}provider p"
        " LEFT JOIN {o}positions n ON n.position_id=p.position_id",
        "provider_id",
        _fields(
            (label, "abbr=provider_id last_name first_name specialty npi=national_prov_id"),
            (one_of({"A": "active"}), "status"),
            (lambda stored, held, name, place: (held.get(name) is True) ==
             (stored[0] == "Hygienist"), "is_hygienist=description"),
            (extra("position"), "extra=description"),
        ),
    ),
    Stream.OPERATORY: VendorRules(
        "SELECT location_id, description FROM {o}chairs",
        "location_id",
        _fields((label, "name=description"), (is_parking, "is_hidden=location_id")),
    ),
    Stream.PROCEDURE_CODE: VendorRules(
        "SELECT service_code, ada_code, description, service_type_id, fee FROM {o}services",
        "service_code",
        _fields(
            (label, "code=ada_code description"), (key, "category_key=service_type_id"),
            (extra_money("fee"), "extra=fee"),
        ),
    ),
    Stream.PATIENT: VendorRules(
        "SELECT patient_id, last_name, first_name, middle_initial, preferred_name, salutation,"
        " status, sex, marital_status, birth_date, first_visit_date, date_entered,"
        " responsible_party, home_phone, work_phone, cell_phone, email_address, address_1,"
        " address_2, city, state, zipcode, caesy_language, receives_sms, receive_email,"
        " preferred_dentist, preferred_hygienist, prim_employer_id, chart_id, notes"
        " FROM {o}patient",
        "patient_id",
        _fields(
            (label, "last_name first_name middle_name=middle_initial preferred_name salutation"
                    " address=address_1 address2=address_2 city state postal_code=zipcode"
                    " chart_number=chart_id"),
            (one_of({"A": "patient", "I": "inactive"}), "status"),
            (one_of({"M": "male", "F": "female"}), "gender=sex"),
            (one_of(_MARRIED), "marital_status"),
            (day, "birthdate=birth_date first_visit=first_visit_date entered=date_entered"),
            (key, "guarantor_key=responsible_party primary_provider_key=preferred_dentist"
                  " secondary_provider_key=preferred_hygienist employer_key=prim_employer_id"),
            (role, "family_role=responsible_party+patient_id"),
            (phone, "phone_home=home_phone phone_work=work_phone phone_mobile=cell_phone"),
            (emails, "emails=email_address"), (lower, "language=caesy_language"),
            (answer, "sms_consent=receives_sms email_consent=receive_email"),
            (note, "appointment_note=notes"),
        ),
    ),
    Stream.APPOINTMENT: VendorRules(
        "SELECT a.appointment_id, a.patient_id, a.location_id, a.walkout_time, a.arrival_time,"
        " a.inchair_time, a.date_confirmed, a.confirmation_status, a.appointment_type_id,"
        " a.start_time, a.end_time, a.description, a.appointment_notes, a.date_appointed,"
        " t.description AS type_name, (SELECT MIN(p.provider_id) FROM {o}appointment_provider p"
        " WHERE p.appointment_id=a.appointment_id) AS provider_id FROM {o}appointment a"
        " LEFT JOIN {o}appt_types t ON t.type_id=a.appointment_type_id"
        " WHERE a.patient_id IS NOT NULL",
        "appointment_id",
        _fields(
            (key, "patient_key=patient_id operatory_key=location_id provider_key=provider_id"
                  " type_key=appointment_type_id confirmation_key=confirmation_status"),
            (eaglesoft_status, "status=location_id+walkout_time"),
            (eaglesoft_confirmation, "confirmation_category=arrival_time+date_confirmed"),
            (label, "type=type_name procedures_text=description"), (note, "note=appointment_notes"),
            (moment, "start=start_time end=end_time created=date_appointed"),
            (wall, "start_local=start_time"), (minutes_between, "minutes=start_time+end_time"),
            (happened, "arrived=arrival_time seated=inchair_time dismissed=walkout_time"),
        ),
    ),
    Stream.SCHEDULE_BLOCK: VendorRules(
        "SELECT appointment_id, location_id, start_time, end_time, description"
        " FROM {o}appointment WHERE patient_id IS NULL",
        "appointment_id",
        _fields(
            (_always("blockout"), "kind=location_id"), (_always("open"), "status=location_id"),
            (keys, "operatory_keys=location_id"), (day, "date=start_time"),
            (moment, "start=start_time end=end_time"),
            (clock_of_stamp, "start_local=start_time end_local=end_time"),
            (no_parking, "forbids_booking=location_id"), (label, "note=description"),
        ),
    ),
    Stream.RECALL: VendorRules(
        "SELECT patient_id, next_recall_date, last_recall_date, receive_recalls, recall_frequency"
        " FROM {o}patient",
        "patient_id",
        _fields(
            (key, "patient_key=patient_id"), (day, "due=next_recall_date previous=last_recall_date"),
            (lambda stored, held, name, place: held.get(name) is (stored[0] == "N"),
             "is_disabled=receive_recalls"),
            (extra("frequency"), "extra=recall_frequency"),
        ),
    ),
    Stream.BALANCE: VendorRules(
        "SELECT patient_id, responsible_party, current_bal, thirty_day, sixty_day, ninety_day,"
        " estimated_insurance, contract_balance FROM {o}patient",
        "patient_id",
        _fields(
            (key, "guarantor_key=responsible_party"),
            (is_head, "is_guarantor=responsible_party+patient_id"),
            (head_money, "family_0_30=current_bal+responsible_party+patient_id"
                         " family_31_60=thirty_day+responsible_party+patient_id"
                         " family_61_90=sixty_day+responsible_party+patient_id"
                         " family_over_90=ninety_day+responsible_party+patient_id"
                         " family_insurance_estimate=estimated_insurance+responsible_party"
                         "+patient_id"),
        ),
    ),
    Stream.COVERAGE: VendorRules(
        "SELECT p.patient_id, p.prim_responsible_id, p.prim_relationship, p.prim_employer_id,"
        " p.prim_member_id, p.sec_employer_id, e.group_name, e.group_number,"
        " e.insurance_company_id, c.name, c.phone1, c.neic_payer_id FROM {o}patient p"
        " LEFT JOIN {o}employer e ON e.employer_id=p.prim_employer_id"
        " LEFT JOIN {o}insurance_company c ON c.insurance_company_id=e.insurance_company_id"
        " WHERE p.prim_employer_id IS NOT NULL",
        "patient_id",
        _fields(
            (key, "patient_key=patient_id subscriber_key=prim_responsible_id"
                  " plan_key=prim_employer_id carrier_key=insurance_company_id"),
            (_always(1), "ordinal=patient_id"),
            (one_of({"S": "self"}), "relationship=prim_relationship"),
            (label, "subscriber_id=prim_member_id group_name group_number carrier=name"
                    " electronic_id=neic_payer_id"),
            (phone, "carrier_phone=phone1"), (extra_key("secondary_plan"), "extra=sec_employer_id"),
        ),
    ),
    Stream.PROCEDURE: VendorRules(
        "SELECT t.tran_num, d.patient_id, d.provider_id, t.service_code, s.ada_code,"
        " t.description, t.tran_date, t.fee, t.amount, t.tooth, t.surface"
        f" FROM {{o}}transactions_header t{_DETAIL}"
        " LEFT JOIN {o}services s ON s.service_code=t.service_code"
        " WHERE t.type='S' AND t.status<>'D'",
        "tran_num",
        _fields(
            (key, "patient_key=patient_id provider_key=provider_id code_key=service_code"),
            (_always("completed"), "status=tran_num"),
            (label, "code=ada_code description tooth surface"), (day, "date=tran_date"),
            (money, "fee amount"),
        ),
    ),
    Stream.CLAIM: VendorRules(
        "SELECT claim_id, patient_id, date_created, provider_id, prim_employer_id, claim_type,"
        " prim_submitted_total, prim_total_paid FROM {o}insurance_claim",
        "claim_id",
        _fields(
            (key, "patient_key=patient_id plan_key=prim_employer_id"
                  " treating_provider_key=provider_id"),
            (day, "date_service=date_created"), (label, "type_raw=claim_type"),
            (money, "fee=prim_submitted_total insurance_paid=prim_total_paid"),
        ),
    ),
    Stream.PAYMENT: VendorRules(
        f"SELECT t.tran_num, d.patient_id, t.paytype_id, t.tran_date, t.amount, t.description"
        f" FROM {{o}}transactions_header t{_DETAIL}"
        " WHERE t.type NOT IN ('S','C','D','F') AND t.amount<>0 AND t.status<>'D'",
        "tran_num",
        _fields(
            (key, "patient_key=patient_id type_key=paytype_id"), (day, "date=tran_date"),
            (money, "amount"), (note, "note=description"),
        ),
    ),
    Stream.ADJUSTMENT: VendorRules(
        f"SELECT t.tran_num, d.patient_id, t.adjustment_type, t.tran_date, t.amount,"
        f" t.description FROM {{o}}transactions_header t{_DETAIL}"
        " WHERE t.type IN ('C','D') AND t.status<>'D'",
        "tran_num",
        _fields(
            (key, "patient_key=patient_id type_key=adjustment_type"), (day, "date=tran_date"),
            (money, "amount"), (note, "note=description"),
        ),
    ),
    Stream.CLINICAL_NOTE: VendorRules(
        "SELECT note_id, patient_id, date_entered, user_id, description"
        " FROM {o}operatory_notes",
        "note_id",
        _fields(
            (key, "patient_key=patient_id user_key=user_id"), (moment, "at=date_entered"),
            (note, "note=description"),
        ),
    ),
}  # fmt: skip

RULES_OF = {"dentrix": DENTRIX, "eaglesoft": EAGLESOFT}
