"""How records of the Dentrix layout must look in the CRM: one plain statement a stream."""

from __future__ import annotations

from collections.abc import Mapping

from agent.model.streams import Stream
from agent.sandbox.compare.rules import day, flag, label, moment, note, one_of, phone, zone_name
from agent.sandbox.compare.vendor_rules import (
    OPERATORY_TYPE,
    STATUS_TYPE,
    VendorRules,
    always,
    dentrix_status,
    extra,
    extra_key,
    fields,
    key,
    keys,
    money,
    numbered_clock,
    numbered_time,
    parted_end,
    parted_local,
    parted_start,
    unfiled,
    units,
    unsigned,
)

_START = "=appointment_date+start_hour+start_minute"

DENTRIX: Mapping[Stream, VendorRules] = {
    Stream.PRACTICE: VendorRules(
        "SELECT id1, practicename FROM {o}rsc WHERE rsctype=0",
        "id1",
        fields((label, "title=practicename name=practicename"), (zone_name, "zone=id1")),
    ),
    Stream.PROVIDER: VendorRules(
        "SELECT provider_id, last_name, first_name, suffix, npi, inactive, issecondaryprovider"
        " FROM {o}v_provider",
        "provider_id",
        fields(
            (label, "abbr=provider_id last_name first_name suffix npi"),
            (flag, "is_hidden=inactive is_hygienist=issecondaryprovider"),
        ),
    ),
    Stream.OPERATORY: VendorRules(
        f"SELECT id1 FROM {{o}}rsc WHERE rsctype={OPERATORY_TYPE}",
        "id1",
        fields((label, "name=id1")),
    ),
    Stream.PATIENT: VendorRules(
        "SELECT patient_id, last_name, first_name, salutation, gender, birth_date, home_phone,"
        " address_line1, address_line2, city, state, zipcode, employer_id FROM {o}v_patient",
        "patient_id",
        fields(
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
        fields(
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
        fields(
            (always("blockout"), "kind=opid"), (always("open"), "status=opid"),
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
        fields(
            (key, "guarantor_key=guarid"), (always(True), "is_guarantor=guarid"),
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
        fields(
            (key, "patient_key=patient_id subscription_key=primary_insured_id"
                  " subscriber_key=ins_party_id plan_key=ins_plan_id"
                  " carrier_key=primary_insurance_carrier_id"),
            (always(1), "ordinal=patient_id"),
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
        fields(
            (key, "patient_key=patid type_key=contacttype"),
            (numbered_time, "at=contactdate+contacttime"), (note, "note=title"),
            (extra("date"), "extra=contactdate"), (extra("provider"), "extra=provid"),
        ),
    ),
    Stream.CLINICAL_NOTE: VendorRules(
        "SELECT cnotesid, patid, createdatetime, notetext, provid FROM {o}clinicalnote",
        "cnotesid",
        fields(
            (key, "patient_key=patid"), (moment, "at=createdatetime"), (note, "note=notetext"),
            (extra("provider"), "extra=provid"),
        ),
    ),
}  # fmt: skip
