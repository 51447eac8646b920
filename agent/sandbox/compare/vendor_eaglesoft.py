"""How records of the Eaglesoft layout must look in the CRM: one plain statement a stream."""

from __future__ import annotations

from collections.abc import Mapping

from agent.model.streams import Stream
from agent.sandbox.compare.rules import (
    day,
    emails,
    happened,
    label,
    lower,
    moment,
    note,
    one_of,
    phone,
    wall,
)
from agent.sandbox.compare.vendor_rules import (
    VendorRules,
    always,
    answer,
    clock_of_stamp,
    eaglesoft_confirmation,
    eaglesoft_status,
    extra,
    extra_key,
    extra_money,
    fields,
    head_money,
    is_head,
    is_hygienist,
    is_no,
    is_parking,
    key,
    keys,
    minutes_between,
    money,
    no_parking,
    role,
)

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
        fields(
            (label, "abbr=provider_id last_name first_name specialty npi=national_prov_id"),
            (one_of({"A": "active"}), "status"),
            (is_hygienist, "is_hygienist=description"),
            (extra("position"), "extra=description"),
        ),
    ),
    Stream.OPERATORY: VendorRules(
        "SELECT location_id, description FROM {o}chairs",
        "location_id",
        fields((label, "name=description"), (is_parking, "is_hidden=location_id")),
    ),
    Stream.PROCEDURE_CODE: VendorRules(
        "SELECT service_code, ada_code, description, service_type_id, fee FROM {o}services",
        "service_code",
        fields(
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
        fields(
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
        fields(
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
        fields(
            (always("blockout"), "kind=location_id"), (always("open"), "status=location_id"),
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
        fields(
            (key, "patient_key=patient_id"),
            (day, "due=next_recall_date previous=last_recall_date"),
            (is_no, "is_disabled=receive_recalls"),
            (extra("frequency"), "extra=recall_frequency"),
        ),
    ),
    Stream.BALANCE: VendorRules(
        "SELECT patient_id, responsible_party, current_bal, thirty_day, sixty_day, ninety_day,"
        " estimated_insurance, contract_balance FROM {o}patient",
        "patient_id",
        fields(
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
        fields(
            (key, "patient_key=patient_id subscriber_key=prim_responsible_id"
                  " plan_key=prim_employer_id carrier_key=insurance_company_id"),
            (always(1), "ordinal=patient_id"),
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
        fields(
            (key, "patient_key=patient_id provider_key=provider_id code_key=service_code"),
            (always("completed"), "status=tran_num"),
            (label, "code=ada_code description tooth surface"), (day, "date=tran_date"),
            (money, "fee amount"),
        ),
    ),
    Stream.CLAIM: VendorRules(
        "SELECT claim_id, patient_id, date_created, provider_id, prim_employer_id, claim_type,"
        " prim_submitted_total, prim_total_paid FROM {o}insurance_claim",
        "claim_id",
        fields(
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
        fields(
            (key, "patient_key=patient_id type_key=paytype_id"), (day, "date=tran_date"),
            (money, "amount"), (note, "note=description"),
        ),
    ),
    Stream.ADJUSTMENT: VendorRules(
        f"SELECT t.tran_num, d.patient_id, t.adjustment_type, t.tran_date, t.amount,"
        f" t.description FROM {{o}}transactions_header t{_DETAIL}"
        " WHERE t.type IN ('C','D') AND t.status<>'D'",
        "tran_num",
        fields(
            (key, "patient_key=patient_id type_key=adjustment_type"), (day, "date=tran_date"),
            (money, "amount"), (note, "note=description"),
        ),
    ),
    Stream.CLINICAL_NOTE: VendorRules(
        "SELECT note_id, patient_id, date_entered, user_id, description"
        " FROM {o}operatory_notes",
        "note_id",
        fields(
            (key, "patient_key=patient_id user_key=user_id"), (moment, "at=date_entered"),
            (note, "note=description"),
        ),
    ),
}  # fmt: skip
