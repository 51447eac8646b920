"""The comparer agrees with hand-written pairs and finds every difference made on purpose.

Both sides are written by hand here: rows as Open Dental stores them, records as the CRM must hold
them. Nothing of the agent's engine or map takes part.
"""

from __future__ import annotations

import ast
import copy
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.model.entities import RECORD_OF
from agent.model.streams import Stream
from agent.sandbox import compare as compare_package
from agent.sandbox.compare import Report, compare
from agent.sandbox.compare.walk import CHUNK_ROWS, RULES
from agent.sandbox.crm.schema import TYPE_ID, connect
from agent.sandbox.practice.schema import version_of
from agent.sandbox.practice.stores import SqliteStore
from agent.sandbox.practice.tables import TABLES

ZONE = "America/Chicago"
Record = dict[str, Any]

# One record of every stream, and the rows it is made of.
ROWS: dict[str, list[Record]] = {
    "preference": [
        {"PrefName": "PracticeTitle", "ValueString": "Larch Walk Dental"},
        {"PrefName": "PracticeAddress", "ValueString": "12 Larch Walk"},
        {"PrefName": "PracticeCity", "ValueString": "Millbrook"},
        {"PrefName": "PracticeST", "ValueString": "NY"},
        {"PrefName": "PracticeZip", "ValueString": "10001"},
        {"PrefName": "PracticePhone", "ValueString": "2125550100"},
        {"PrefName": "DateLastAging", "ValueString": "2026-11-19"},
    ],
    "clinic": [
        {"ClinicNum": 3, "Description": " North  Ridge ", "Abbr": "NR", "Address": "4 Elm",
         "Address2": "Floor 2", "City": "Millbrook", "State": "NY", "Zip": "10001",
         "Phone": "2125550103", "IsHidden": 0, "TimeZone": "Central Standard Time"},
    ],
    "definition": [
        {"DefNum": 21, "Category": 2, "ItemName": "Appointment Confirmed"},
        {"DefNum": 69, "Category": 10, "ItemName": "Check"},
        {"DefNum": 73, "Category": 11, "ItemName": "Exams & Xrays"},
        {"DefNum": 9, "Category": 1, "ItemName": "Cash Discount", "ItemValue": "-"},
        {"DefNum": 94, "Category": 13, "ItemName": "Call Back, Not Ready"},
        {"DefNum": 201, "Category": 25, "ItemName": "Lunch", "ItemValue": "NS"},
        {"DefNum": 235, "Category": 27, "ItemName": "ApptRelated", "ItemValue": "APPT"},
        {"DefNum": 263, "Category": 35, "ItemName": "General"},
    ],
    "provider": [
        {"ProvNum": 5, "Abbr": "DOC1", "ItemOrder": 2, "LName": "O'Neil ", "FName": "Zo\u00eb",
         "MI": "Q", "Suffix": "DMD", "Specialty": 263, "IsSecondary": 1, "ProvColor": -4602138,
         "IsHidden": 0, "IsNotPerson": 0, "NationalProvID": "1000000001",
         "TaxonomyCodeOverride": "1223G0001X", "ProvStatus": 1, "WebSchedDescript": "Gentle",
         "HourlyProdGoalAmt": 450.5, "DateTerm": "2026-01-31", "PreferredName": "Zo"},
    ],
    "operatory": [
        {"OperatoryNum": 2, "OpName": "Room 1", "Abbrev": "R1", "ItemOrder": 1, "IsHidden": 0,
         "ProvDentist": 5, "ProvHygienist": 6, "IsHygiene": 1, "ClinicNum": 3,
         "SetProspective": 1, "IsWebSched": 1, "IsNewPatAppt": 1, "OperatoryType": 44},
    ],
    "procedurecode": [
        {"CodeNum": 31, "ProcCode": "D0120", "Descript": "Periodic exam", "AbbrDesc": "PerEx",
         "ProcTime": "/X/", "ProcCat": 73, "TreatArea": 3, "NoBillIns": 1, "IsProsth": 1,
         "IsHygiene": 1, "MedicalCode": "99", "BaseUnits": 1, "SubstitutionCode": "D0140",
         "IsMultiVisit": 1, "IsRadiology": 1, "LaymanTerm": "Check-up"},
    ],
    "referral": [
        {"ReferralNum": 8, "LName": "Vance", "FName": "Ida", "MName": "R", "Specialty": 263,
         "ST": "NY", "Telephone": "2125550188", "Address": "1 Oak", "Address2": "B",
         "City": "Millbrook", "Zip": "10001", "Note": "Likes mail", "Phone2": "2125550189",
         "IsHidden": 1, "NotPerson": 1, "Title": "DMD", "EMail": "a@example.org",
         "PatNum": 41, "NationalProvID": "1000000002", "IsDoctor": 1, "IsPreferred": 1,
         "BusinessName": "Vance LLC"},
    ],
    "patient": [
        {"PatNum": 41, "LName": "  de la  Cruz ", "FName": "Ana", "MiddleI": "B",
         "Preferred": "Annie", "PatStatus": 0, "Gender": 1, "Position": 1,
         "Birthdate": "1984-02-29", "Address": "9 Elm", "Address2": "Apt 2", "City": "Millbrook",
         "State": "NY", "Zip": "10001-0001", "HmPhone": "(212)555-0142",
         "WkPhone": "(212)555-0143 x12", "WirelessPhone": "none", "Guarantor": 41,
         "Email": "ANA@example.com; bo@example.com", "Salutation": "Ms. Cruz",
         "EstBalance": 120.5, "PriProv": 5, "SecProv": 6, "FeeSched": 53, "BillingType": 40,
         "AddrNote": "Blue\r\ndoor", "FamFinUrgNote": "Pays late", "MedUrgNote": "Latex",
         "ApptModNote": "Mornings", "StudentStatus": "F", "SchoolName": "Beacon",
         "ChartNumber": "C7",
         "Bal_0_30": 10, "Bal_31_60": 20, "Bal_61_90": 30.25, "BalOver90": 40, "InsEst": 5,
         "BalTotal": 100.25, "EmployerNum": 12, "County": "Larch", "DateFirstVisit": "2019-05-06",
         "ClinicNum": 3, "HasIns": "I", "Premed": 1, "PreferConfirmMethod": 8,
         "PreferContactMethod": 4, "PreferRecallMethod": 5, "SchedBeforeTime": "17:30:00",
         "SchedAfterTime": "08:15:00", "Language": "spa", "AdmitDate": "2019-05-07",
         "Title": "Dr", "PayPlanDue": 7, "SiteNum": 4, "ResponsParty": 42,
         "AskToArriveEarly": 15, "PreferContactConfidential": 2, "SuperFamily": 43,
         "TxtMsgOk": 2, "Country": "US", "DateTimeDeceased": "2026-10-01 00:00:00",
         "SecDateEntry": "2019-05-01", "HasSignedTil": 1, "ShortCodeOptIn": 1},
    ],
    "patientnote": [
        {"PatNum": 41, "ApptPhone": "After five", "ICEName": "Bo Cruz",
         "ICEPhone": "(212)555-0199"},
    ],
    "patfield": [{"PatFieldNum": 1, "PatNum": 41, "FieldName": "VIP", "FieldValue": "1"}],
    "commoptout": [{"CommOptOutNum": 1, "PatNum": 41, "OptOutSms": 4, "OptOutEmail": 1}],
    "refattach": [
        {"RefAttachNum": 1, "ReferralNum": 9, "PatNum": 41, "ItemOrder": 1, "RefType": 1},
        {"RefAttachNum": 2, "ReferralNum": 8, "PatNum": 41, "ItemOrder": 0, "RefType": 1},
        {"RefAttachNum": 3, "ReferralNum": 7, "PatNum": 41, "ItemOrder": 0, "RefType": 0},
    ],
    "patientlink": [{"PatientLinkNum": 1, "PatNumFrom": 41, "PatNumTo": 45, "LinkType": 1}],
    "appointmenttype": [{"AppointmentTypeNum": 6, "AppointmentTypeName": "Cleaning"}],
    "appointment": [
        {"AptNum": 70, "PatNum": 41, "AptStatus": 1, "Pattern": "//XX//", "Confirmed": 21,
         "TimeLocked": 1, "Op": 2, "Note": "Bring x-rays", "ProvNum": 5, "ProvHyg": 6,
         "AptDateTime": "2026-11-01 01:30:00", "NextAptNum": 69, "UnschedStatus": 94,
         "IsNewPatient": 1, "ProcDescript": "PerEx", "Assistant": 11, "ClinicNum": 3,
         "IsHygiene": 1, "DateTimeArrived": "2026-11-01 01:20:00",
         "DateTimeSeated": "2026-11-01 00:00:00", "DateTimeDismissed": "2026-11-01 02:10:00",
         "InsPlan1": 14, "InsPlan2": 15, "DateTimeAskedToArrive": "2026-11-01 00:45:00",
         "AppointmentTypeNum": 6, "SecDateTEntry": "2026-03-08 02:30:00", "Priority": 1},
    ],
    "apptfield": [{"ApptFieldNum": 1, "AptNum": 70, "FieldName": "Escort", "FieldValue": "Yes"}],
    "schedule": [
        {"ScheduleNum": 90, "SchedDate": "2026-11-20", "StartTime": "12:00:00",
         "StopTime": "13:00:00", "SchedType": 2, "ProvNum": 5, "BlockoutType": 201,
         "Note": "Quiet", "Status": 0, "EmployeeNum": 11, "ClinicNum": 3},
    ],
    "scheduleop": [{"ScheduleOpNum": 1, "ScheduleNum": 90, "OperatoryNum": 2}],
    "recalltype": [{"RecallTypeNum": 1, "Description": "Prophy"}],
    "recall": [
        {"RecallNum": 50, "PatNum": 41, "DateDueCalc": "2026-11-01", "DateDue": "2026-11-03",
         "DatePrevious": "2026-05-01", "RecallInterval": 6 << 16 | 1, "RecallStatus": 94,
         "Note": "Call", "IsDisabled": 1, "RecallTypeNum": 1, "DisableUntilBalance": 25,
         "DisableUntilDate": "2026-12-24", "DateScheduled": "2026-12-01", "Priority": 1,
         "TimePatternOverride": "/XX/"},
    ],
    "carrier": [{"CarrierNum": 17, "CarrierName": "Harbor Mutual", "Phone": "(212)555-0170",
                 "ElectID": "60001"}],
    "insplan": [{"PlanNum": 14, "GroupName": "Mill & Sons", "GroupNum": "01000",
                 "EmployerNum": 12, "CarrierNum": 17, "IsMedical": 1, "IsHidden": 1,
                 "PlanType": "p"}],
    "inssub": [{"InsSubNum": 16, "PlanNum": 14, "Subscriber": 41, "SubscriberID": "XK1",
                "DateEffective": "2025-01-01", "DateTerm": "2027-01-01", "AssignBen": 1}],
    "patplan": [{"PatPlanNum": 18, "PatNum": 41, "Ordinal": 1, "IsPending": 1,
                 "Relationship": 2, "PatID": "P9", "InsSubNum": 16}],
    "procedurelog": [
        {"ProcNum": 60, "PatNum": 41, "AptNum": 70, "ProcDate": "2026-11-01", "ProcFee": 58.125,
         "Surf": "MO", "ToothNum": "14", "ToothRange": "1,2", "Priority": 146, "ProcStatus": 2,
         "ProvNum": 5, "Dx": 115, "PlannedAptNum": 69, "DateOriginalProsth": "2015-01-02",
         "ClaimNote": "Short", "DateEntryC": "2026-11-02", "ClinicNum": 3, "MedicalCode": "M1",
         "DiagnosticCode": "K02", "ProcNumLab": 59, "CodeNum": 31, "UnitQty": 2, "BaseUnits": 1,
         "DateTP": "2026-10-01", "SiteNum": 4, "Prognosis": 118, "IsLocked": 1,
         "BillingNote": "Once", "DiagnosticCode2": "K03", "DiagnosticCode3": "K04",
         "DiagnosticCode4": "K05", "Discount": 1.5, "SecDateEntry": "2026-10-01 09:00:00",
         "Prosthesis": "I", "DateComplete": "2026-11-01", "TaxAmt": 0.5, "DiscountPlanAmt": 2.5},
    ],
    "claim": [
        {"ClaimNum": 80, "PatNum": 41, "DateService": "2026-11-01", "DateSent": "2026-11-03",
         "ClaimStatus": "S", "DateReceived": "2026-11-09", "PlanNum": 14, "ProvTreat": 5,
         "ClaimFee": 174.38, "InsPayEst": 100, "InsPayAmt": 90, "DedApplied": 5,
         "PreAuthString": "PA1", "ReasonUnderPaid": "Limit", "ClaimNote": "See film",
         "ClaimType": "P", "ProvBill": 6, "PlanNum2": 15, "WriteOff": 9.5, "ClinicNum": 3,
         "InsSubNum": 16, "CustomTracking": 333, "DateResent": "2026-11-05",
         "ClaimIdentifier": "41/80", "DateSentOrig": "2026-11-02", "Narrative": "Long story"},
    ],
    "claimproc": [
        {"ClaimProcNum": 81, "ProcNum": 60, "ClaimNum": 80, "FeeBilled": 174.38,
         "InsPayEst": 100, "DedApplied": 5, "Status": 1, "InsPayAmt": 90, "WriteOff": 9.5,
         "ProcDate": "2026-10-31", "DateCP": "2026-11-01"},
    ],
    "payment": [
        {"PayNum": 100, "PayType": 69, "PayDate": "2026-11-04", "PayAmt": 50, "PayNote": "Thanks",
         "IsSplit": 1, "PatNum": 41, "ClinicNum": 3, "DateEntry": "2026-11-05",
         "PaymentSource": 13, "ProcessStatus": 1, "MerchantFee": 0.75},
    ],
    "paysplit": [
        {"SplitNum": 101, "SplitAmt": 50, "PatNum": 42, "PayNum": 100, "ProvNum": 5,
         "DatePay": "2026-11-04", "ProcNum": 60, "UnearnedType": 283, "ClinicNum": 3},
    ],
    "adjustment": [
        {"AdjNum": 110, "AdjDate": "2026-11-06", "AdjAmt": -12.5, "PatNum": 41, "AdjType": 9,
         "ProvNum": 5, "AdjNote": "Cash", "ProcDate": "2026-11-01", "ProcNum": 60,
         "DateEntry": "2026-11-07", "ClinicNum": 3, "StatementNum": 19},
    ],
    "commlog": [
        {"CommlogNum": 120, "PatNum": 41, "CommDateTime": "2026-07-01 10:00:00", "CommType": 235,
         "Note": "Left a message", "Mode_": 3, "SentOrReceived": 1, "UserNum": 2,
         "DateTimeEnd": "2026-07-01 10:05:00", "CommSource": 2, "ProgramNum": 77,
         "DateTEntry": "2026-07-01 10:06:00", "ReferralNum": 8},
    ],
    "procnote": [
        {"ProcNoteNum": 130, "PatNum": 41, "ProcNum": 60, "EntryDateTime": "2026-11-01 12:00:00",
         "UserNum": 2, "Note": "Done\r\nwell "},
    ],
    "perioexam": [
        {"PerioExamNum": 140, "PatNum": 41, "ExamDate": "2026-11-01", "ProvNum": 6,
         "DateTMeasureEdit": "2026-11-01 12:30:00", "Note": "Deep"},
    ],
    "periomeasure": [
        {"PerioMeasureNum": 1, "PerioExamNum": 140, "SequenceType": 2, "IntTooth": 3,
         "ToothValue": -1, "MBvalue": 105, "Bvalue": 2, "DBvalue": -1, "MLvalue": -1,
         "Lvalue": -1, "DLvalue": -1},
    ],
    "laboratory": [{"LaboratoryNum": 20, "Description": "White Pine Dental Lab"}],
    "labcase": [
        {"LabCaseNum": 150, "PatNum": 41, "LaboratoryNum": 20, "AptNum": 70, "PlannedAptNum": 69,
         "DateTimeDue": "2026-11-20 09:00:00", "DateTimeCreated": "2026-11-01 09:00:00",
         "DateTimeSent": "2026-11-02 09:00:00", "DateTimeRecd": "2026-11-10 09:00:00",
         "DateTimeChecked": "2026-11-11 09:00:00", "ProvNum": 5, "Instructions": "Shade A2",
         "LabFee": 99, "InvoiceNum": "I-5"},
    ],
}  # fmt: skip

HELD: dict[Stream, Record] = {
    Stream.PRACTICE: {
        "key": "3", "name": "North Ridge", "abbr": "NR", "address": "4 Elm",
        "address2": "Floor 2", "city": "Millbrook", "state": "NY", "postal_code": "10001",
        "phone": "+12125550103", "is_hidden": False, "pms_zone": "Central Standard Time",
    },
    Stream.PROVIDER: {
        "key": "5", "abbr": "DOC1", "last_name": "O'Neil", "first_name": "Zo\u00eb",
        "middle_name": "Q", "suffix": "DMD", "preferred_name": "Zo", "specialty_key": "263",
        "specialty": "General", "is_hygienist": True, "is_hidden": False,
        "is_not_person": False, "status": "deleted", "npi": "1000000001",
        "taxonomy_code": "1223G0001X", "term_date": "2026-01-31", "color": -4602138,
        "sort_order": 2, "web_description": "Gentle", "hourly_goal": "450.50",
    },
    Stream.OPERATORY: {
        "key": "2", "name": "Room 1", "abbr": "R1", "sort_order": 1, "is_hidden": False,
        "dentist_key": "5", "hygienist_key": "6", "is_hygiene": True, "clinic_key": "3",
        "is_prospective": True, "is_web_sched": True, "is_new_patient": True, "type_key": "44",
    },
    Stream.PROCEDURE_CODE: {
        "key": "31", "code": "D0120", "description": "Periodic exam", "abbr": "PerEx",
        "layman_term": "Check-up", "category_key": "73", "category": "Exams & Xrays",
        "area": "mouth", "is_hygiene": True, "is_prosthetic": True, "is_radiology": True,
        "is_multi_visit": True, "not_billed_to_insurance": True, "base_units": 1,
        "time_pattern": "/X/", "medical_code": "99", "substitution_code": "D0140",
    },
    Stream.REFERRAL_SOURCE: {
        "key": "8", "last_name": "Vance", "first_name": "Ida", "middle_name": "R",
        "title": "DMD", "business_name": "Vance LLC", "is_not_person": True, "is_doctor": True,
        "is_preferred": True, "is_hidden": True, "specialty_key": "263", "patient_key": "41",
        "phone": "+12125550188", "phone2": "+12125550189", "emails": ["a@example.org"],
        "address": "1 Oak", "address2": "B", "city": "Millbrook", "state": "NY",
        "postal_code": "10001", "npi": "1000000002", "note": "Likes mail",
    },
    Stream.PATIENT: {
        "key": "41", "last_name": "de la Cruz", "first_name": "Ana", "middle_name": "B",
        "preferred_name": "Annie", "title": "Dr", "salutation": "Ms. Cruz", "status": "patient",
        "merged_into": "45", "gender": "female", "marital_status": "married",
        "birthdate": "1984-02-29", "deceased": "2026-10-01", "first_visit": "2019-05-06",
        "entered": "2019-05-01", "admitted": "2019-05-07", "guarantor_key": "41",
        "family_role": "head", "super_family_key": "43", "responsible_party_key": "42",
        "phone_home": "+12125550142", "phone_work": "+12125550143",
        "phone_work_raw": "(212)555-0143 x12", "phone_mobile_raw": "none",
        "emails": ["ANA@example.com", "bo@example.com"], "address": "9 Elm",
        "address2": "Apt 2", "city": "Millbrook", "state": "NY", "postal_code": "10001-0001",
        "county": "Larch", "country": "US", "address_note": "Blue\ndoor",
        "preferred_contact": "mobile_phone", "preferred_confirm": "text_message",
        "preferred_recall": "email", "preferred_confidential": "home_phone", "language": "spa",
        "sms_consent": "denied", "opt_out_sms": ["reminder"], "opt_out_email": ["all"],
        "email_consent": "denied", "student_status": "F", "short_code_opt_in": "granted",
        "referral_source_key": "8",
        "referral_source_keys": ["8", "9"], "primary_provider_key": "5",
        "secondary_provider_key": "6", "clinic_key": "3", "site_key": "4",
        "billing_type_key": "40", "fee_schedule_key": "53", "employer_key": "12",
        "chart_number": "C7", "school": "Beacon", "has_insurance": True,
        "needs_premedication": True, "has_signed_financial": True, "arrive_early_minutes": 15,
        "schedule_after": "08:15", "schedule_before": "17:30", "appointment_note": "Mornings",
        "urgent_note": "Latex", "family_note": "Pays late", "phone_note": "After five",
        "emergency_contact": "Bo Cruz", "emergency_phone": "+12125550199",
        "custom": {"VIP": "1"},
    },
    Stream.APPOINTMENT: {
        # 01:30 happens twice on this day: the first one is meant (UTC-5); 02:10 is after (UTC-6).
        "key": "70", "patient_key": "41", "status": "scheduled", "confirmation_key": "21",
        "confirmation": "Appointment Confirmed", "confirmation_category": "confirmed",
        "type_key": "6", "type": "Cleaning", "start": "2026-11-01T06:30:00Z",
        "end": "2026-11-01T07:00:00Z", "start_local": "2026-11-01T01:30:00", "zone": ZONE,
        "minutes": 30, "provider_key": "5", "hygienist_key": "6", "assistant_key": "11",
        "operatory_key": "2", "clinic_key": "3", "procedures": [{"key": "60", "code_key": "31"}],
        "procedures_text": "PerEx", "is_new_patient": True, "is_hygiene": True,
        "arrived": "2026-11-01T06:20:00Z", "dismissed": "2026-11-01T08:10:00Z",
        "asked_to_arrive": "2026-11-01T05:45:00Z", "priority": "asap", "note": "Bring x-rays",
        "planned_key": "69", "unscheduled_status_key": "94",
        "unscheduled_status": "Call Back, Not Ready", "is_time_locked": True,
        "pattern": "//XX//",
        # 02:30 never was on this day: it moves forward by the hour that was skipped.
        "created": "2026-03-08T08:30:00Z", "plan_key": "14", "plan2_key": "15",
        "custom": {"Escort": "Yes"},
    },
    Stream.SCHEDULE_BLOCK: {
        "key": "90", "kind": "blockout", "provider_key": "5", "employee_key": "11",
        "operatory_keys": ["2"], "clinic_key": "3", "date": "2026-11-20",
        "start": "2026-11-20T18:00:00Z", "end": "2026-11-20T19:00:00Z", "start_local": "12:00",
        "end_local": "13:00", "zone": ZONE, "status": "open", "blockout_type_key": "201",
        "blockout_type": "Lunch", "forbids_booking": True, "note": "Quiet",
    },
    Stream.RECALL: {
        "key": "50", "patient_key": "41", "type_key": "1", "type": "Prophy", "due": "2026-11-03",
        "due_calculated": "2026-11-01", "previous": "2026-05-01", "scheduled": "2026-12-01",
        "interval": "P6M1D", "status_key": "94", "status": "Call Back, Not Ready",
        "is_disabled": True, "disabled_until": "2026-12-24", "disabled_until_balance": "25.00",
        "priority": "asap", "note": "Call", "time_pattern": "/XX/",
    },
    Stream.BALANCE: {
        "key": "41", "guarantor_key": "41", "is_guarantor": True, "individual": "120.50",
        "family_total": "100.25", "family_insurance_estimate": "5.00", "family_0_30": "10.00",
        "family_31_60": "20.00", "family_61_90": "30.25", "family_over_90": "40.00",
        "family_payment_plan_due": "7.00",
    },
    Stream.COVERAGE: {
        "key": "18", "patient_key": "41", "ordinal": 1, "is_pending": True,
        "relationship": "child", "patient_id": "P9", "subscription_key": "16",
        "subscriber_key": "41", "subscriber_id": "XK1", "date_effective": "2025-01-01",
        "date_term": "2027-01-01", "assigns_benefits": True, "plan_key": "14",
        "group_name": "Mill & Sons", "group_number": "01000", "plan_type": "p", "is_medical": True,
        "is_plan_hidden": True, "employer_key": "12", "carrier_key": "17",
        "carrier": "Harbor Mutual", "carrier_phone": "+12125550170", "electronic_id": "60001",
    },
    Stream.PROCEDURE: {
        "key": "60", "patient_key": "41", "appointment_key": "70",
        "planned_appointment_key": "69", "status": "completed", "code_key": "31",
        "code": "D0120", "description": "Periodic exam", "date": "2026-11-01",
        "date_planned": "2026-10-01", "date_completed": "2026-11-01",
        "date_entered": "2026-11-02", "created": "2026-10-01", "fee": "58.12",
        "unit_quantity": 2, "base_units": 1, "amount": "174.38", "discount": "1.50",
        "discount_plan_amount": "2.50", "tax": "0.50", "tooth": "14", "surface": "MO",
        "tooth_range": "1,2", "provider_key": "5", "clinic_key": "3", "site_key": "4",
        "priority_key": "146", "diagnosis_key": "115", "prognosis_key": "118",
        "diagnostic_code": "K02", "diagnostic_code2": "K03", "diagnostic_code3": "K04",
        "diagnostic_code4": "K05", "medical_code": "M1", "prosthesis": "I",
        "prosthesis_date": "2015-01-02",
        "lab_procedure_key": "59", "is_locked": True, "billing_note": "Once",
        "claim_note": "Short",
    },
    Stream.CLAIM: {
        "key": "80", "patient_key": "41", "status": "sent", "type": "primary",
        "date_service": "2026-11-01", "date_sent": "2026-11-03",
        "date_first_sent": "2026-11-02", "date_resent": "2026-11-05",
        "date_received": "2026-11-09", "fee": "174.38", "insurance_estimate": "100.00",
        "insurance_paid": "90.00", "write_off": "9.50", "deductible": "5.00", "plan_key": "14",
        "subscription_key": "16", "plan2_key": "15", "group_name": "Mill & Sons",
        "group_number": "01000", "carrier": "Harbor Mutual", "electronic_id": "60001",
        "treating_provider_key": "5", "billing_provider_key": "6", "clinic_key": "3",
        "preauthorization_number": "PA1", "claim_identifier": "41/80", "tracking_key": "333",
        "note": "See film", "reason_underpaid": "Limit", "narrative": "Long story",
        "lines": [
            {"key": "81", "procedure_key": "60", "status": "received", "fee_billed": "174.38",
             "insurance_estimate": "100.00", "insurance_paid": "90.00", "write_off": "9.50",
             "deductible": "5.00", "date": "2026-11-01"},
        ],
    },
    Stream.PAYMENT: {
        "key": "100", "patient_key": "41", "type_key": "69", "type": "Check",
        "date": "2026-11-04", "date_entered": "2026-11-05", "amount": "50.00",
        "is_transfer": False, "is_split": True, "process": "online", "source_code": 13,
        "merchant_fee": "0.75", "clinic_key": "3", "note": "Thanks",
        "splits": [
            {"key": "101", "patient_key": "42", "procedure_key": "60", "provider_key": "5",
             "amount": "50.00", "date": "2026-11-04", "unearned_type_key": "283",
             "clinic_key": "3"},
        ],
    },
    Stream.ADJUSTMENT: {
        "key": "110", "patient_key": "41", "procedure_key": "60", "provider_key": "5",
        "clinic_key": "3", "statement_key": "19", "type_key": "9", "type": "Cash Discount",
        "sign": "-", "amount": "-12.50", "date": "2026-11-06", "procedure_date": "2026-11-01",
        "date_entered": "2026-11-07", "note": "Cash",
    },
    Stream.COMMUNICATION: {
        "key": "120", "patient_key": "41", "at": "2026-07-01T15:00:00Z",
        "ended": "2026-07-01T15:05:00Z", "created": "2026-07-01T15:06:00Z", "zone": ZONE,
        "type_key": "235", "type": "ApptRelated", "type_auto": "APPT", "mode": "phone",
        "direction": "sent", "source": "program", "note": "Left a message", "user_key": "2",
        "program_key": "77", "referral_source_key": "8",
    },
    Stream.CLINICAL_NOTE: {
        "key": "130", "patient_key": "41", "procedure_key": "60", "at": "2026-11-01T18:00:00Z",
        "zone": ZONE, "user_key": "2", "note": "Done\nwell",
    },
    Stream.PERIO_EXAM: {
        "key": "140", "patient_key": "41", "provider_key": "6", "date": "2026-11-01",
        "measured": "2026-11-01T18:30:00Z", "zone": ZONE, "note": "Deep",
        "measures": [{"kind": "gingival_margin", "tooth": 3, "mb": -5, "b": 2}],
    },
    Stream.LAB_CASE: {
        "key": "150", "patient_key": "41", "laboratory_key": "20",
        "laboratory": "White Pine Dental Lab", "appointment_key": "70",
        "planned_appointment_key": "69", "provider_key": "5", "due": "2026-11-20T15:00:00Z",
        "created": "2026-11-01T15:00:00Z", "sent": "2026-11-02T15:00:00Z",
        "received": "2026-11-10T15:00:00Z", "checked": "2026-11-11T15:00:00Z",
        "zone": ZONE, "instructions": "Shade A2", "fee": "99.00", "invoice_number": "I-5",
    },
}  # fmt: skip
OWN = {
    "key": "0", "title": "Larch Walk Dental", "name": "Larch Walk Dental",
    "address": "12 Larch Walk", "city": "Millbrook", "state": "NY", "postal_code": "10001",
    "phone": "+12125550100", "balances_as_of": "2026-11-19", "zone": ZONE,
}  # fmt: skip


class Pair:
    """A small practice and a CRM that agree, to be broken."""

    def __init__(self, folder: Path) -> None:
        store = SqliteStore(folder / "practice.db")
        store.create_tables("24.3")
        store.close()
        self.practice = sqlite3.connect(folder / "practice.db", isolation_level=None)
        for table, rows in ROWS.items():
            for row in rows:
                self.insert(table, row)
        self.crm_path = folder / "crm.db"
        self.crm = connect(self.crm_path)
        self.hold(Stream.PRACTICE, OWN)
        for stream, record in HELD.items():
            self.hold(stream, record)

    def insert(self, table: str, row: Record) -> None:
        names = ",".join(f'"{name}"' for name in row)
        marks = ",".join("?" * len(row))
        self.practice.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", (*row.values(),))

    def hold(self, stream: Stream, record: Record, state: int = 0) -> None:
        kind = TYPE_ID[stream.value]
        self.crm.execute(
            "INSERT OR REPLACE INTO record(rid, type, key, bucket, state, journal, epoch, version,"
            " seq, event_version, arrived_us) VALUES((SELECT rid FROM record WHERE type=?1 AND "
            "key=?2), ?1, ?2, 0, ?3, 1, 1, 1, 1, 1, 1)",
            (kind, record["key"], state),
        )
        self.crm.execute(
            "INSERT OR REPLACE INTO body SELECT rid, ?3 FROM record WHERE type=?1 AND key=?2",
            (kind, record["key"], json.dumps(record)),
        )

    def drop(self, stream: Stream, key: str) -> None:
        self.crm.execute("DELETE FROM record WHERE type=? AND key=?",
                         (TYPE_ID[stream.value], key))  # fmt: skip

    def report(self) -> Report:
        return compare(self.practice, self.crm_path, zone=ZONE)

    def close(self) -> None:
        self.practice.close()
        self.crm.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path)
    yield made
    made.close()


def test_a_pair_that_agrees(pair: Pair) -> None:
    report = pair.report()
    assert report.agrees, report.table()
    assert report.total == len(Stream) + 1
    assert report.of(Stream.PRACTICE).checked == 2


def broken(value: Any) -> Any:
    """Another value of the same kind."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return value[:-1] + ("9" if value[-1:] != "9" else "8") if value else "x"
        case list():
            return []
        case dict():
            return {"Other": "1"}
        case _:
            raise AssertionError(value)


@pytest.mark.parametrize("stream", list(HELD))
def test_every_field_is_watched(pair: Pair, stream: Stream) -> None:
    """Changed, dropped: each field on its own is reported by its name, and nothing else is."""
    good = HELD[stream]
    for name in good:
        if name == "key":
            continue
        changed = good | {name: broken(good[name])}
        dropped = {k: v for k, v in good.items() if k != name}
        # Whether a number is a valid one is the library's to say; as typed it is there anyway.
        may_be_dropped = f"{name}_raw" in good
        for record in (changed,) if may_be_dropped else (changed, dropped):
            pair.hold(stream, record)
            line = pair.report().of(stream)
            assert (line.different, line.missing, line.extra) == (1, 0, 0), (name, line)
            shown = name.removesuffix("_raw")
            assert shown in line.fields, (name, line)
            # The end is judged from the start held, consent together with the opt-outs held.
            related = {shown, "end", "emails", "sms_consent", "email_consent"}
            assert {*line.fields} <= related, (name, line)
            pair.hold(stream, good)
    assert pair.report().agrees


@pytest.mark.parametrize("stream", list(HELD))
def test_rows_missing_and_extra(pair: Pair, stream: Stream) -> None:
    good = HELD[stream]
    pair.drop(stream, good["key"])
    line = pair.report().of(stream)
    assert (line.missing, line.missing_keys) == (1, (good["key"],))
    pair.hold(stream, good, state=3)  # a stub stands in for a record that has not arrived
    assert pair.report().of(stream).missing == 1
    pair.hold(stream, good)
    pair.hold(stream, good | {"key": "999"})
    line = pair.report().of(stream)
    assert (line.missing, line.extra, line.extra_keys) == (0, 1, ("999",))


@pytest.mark.parametrize(
    ("sql", "stream", "fields"),
    [
        ("UPDATE patient SET LName='Other'", Stream.PATIENT, {"last_name"}),
        ("UPDATE patient SET HmPhone='(212)555-0149'", Stream.PATIENT, {"phone_home"}),
        ("UPDATE patient SET Birthdate='0001-01-01'", Stream.PATIENT, {"birthdate"}),
        ("DELETE FROM patfield", Stream.PATIENT, {"custom"}),
        ("DELETE FROM patientlink", Stream.PATIENT, {"merged_into"}),
        ("UPDATE appointment SET AptStatus=99", Stream.APPOINTMENT, {"status"}),
        ("UPDATE appointment SET DateTimeSeated='2026-11-01 01:35:00'", Stream.APPOINTMENT,
         {"seated"}),
        ("INSERT INTO procedurelog(ProcNum, AptNum, CodeNum) VALUES(61, 70, 31)",
         Stream.APPOINTMENT, {"procedures"}),
        ("UPDATE claimproc SET WriteOff=WriteOff+0.02", Stream.CLAIM, {"lines"}),
        ("DELETE FROM paysplit", Stream.PAYMENT, {"splits"}),
        ("UPDATE periomeasure SET DBvalue=3", Stream.PERIO_EXAM, {"measures"}),
        ("UPDATE definition SET ItemValue='' WHERE DefNum=201", Stream.SCHEDULE_BLOCK,
         {"forbids_booking"}),
        ("UPDATE carrier SET CarrierName='Gull'", Stream.COVERAGE, {"carrier"}),
        ("UPDATE payment SET PayType=0", Stream.PAYMENT, {"type_key", "type", "is_transfer"}),
        ("UPDATE adjustment SET AdjAmt=12.5", Stream.ADJUSTMENT, {"amount"}),
    ],
)  # fmt: skip
def test_changes_in_the_practice_are_found(
    pair: Pair, sql: str, stream: Stream, fields: set[str]
) -> None:
    pair.practice.execute(sql)
    assert {*pair.report().of(stream).fields} == fields


def test_reports_carry_no_values(pair: Pair) -> None:
    pair.practice.execute("UPDATE patient SET LName='Unmistakable', Email='secret@example.org'")
    pair.hold(Stream.PATIENT, HELD[Stream.PATIENT] | {"city": "Elsewhere"})
    shown = pair.report().table() + repr(pair.report())
    for value in ("Unmistakable", "secret@", "Elsewhere", "Cruz", "Millbrook"):
        assert value not in shown


def test_more_than_a_chunk_and_keys_out_of_text_order(pair: Pair) -> None:
    """Random keys, numeric order, several chunks; one hole on each side is found."""
    keys = [7 ** (n % 20) + n * 1_000_003 for n in range(2 * CHUNK_ROWS + 7)]
    with pair.crm:
        for key in keys:
            pair.insert("procnote", {"ProcNoteNum": key, "Note": "x", "UserNum": 1, "PatNum": 41,
                                     "ProcNum": 60, "EntryDateTime": "2026-01-01 00:00:00",
                                     "Signature": ""})  # fmt: skip
            pair.hold(
                Stream.CLINICAL_NOTE,
                {"key": str(key), "note": "x", "user_key": "1", "patient_key": "41",
                 "procedure_key": "60", "at": "2026-01-01T06:00:00Z", "zone": ZONE},
            )  # fmt: skip
    line = pair.report().of(Stream.CLINICAL_NOTE)
    assert (line.checked, line.agrees) == (len(keys) + 1, True)
    pair.practice.execute("DELETE FROM procnote WHERE ProcNoteNum=?", (keys[1500],))
    pair.drop(Stream.CLINICAL_NOTE, str(keys[3]))
    line = pair.report().of(Stream.CLINICAL_NOTE)
    assert (line.missing_keys, line.extra_keys) == ((str(keys[3]),), (str(keys[1500]),))


def test_nothing_to_compare_is_not_agreement(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "practice.db")
    store.create_tables("24.3")
    store.close()
    connect(tmp_path / "crm.db").close()
    with sqlite3.connect(tmp_path / "practice.db") as practice:
        report = compare(practice, tmp_path / "crm.db", zone=ZONE)
    practice.close()
    assert not report.agrees
    assert report.of(Stream.PRACTICE).missing == 1


def test_rules_name_real_columns() -> None:
    """A rule whose column does not exist would never be asked."""
    at = version_of("24.3")
    live = {name: {c.name for c in shape.columns if c.in_version(at)}
            for name, shape in TABLES.items()}  # fmt: skip
    for stream, rules in RULES.items():
        tables = {"b": rules.table} | {join.alias: join.table for join in rules.joins}
        for field in rules.fields:
            for column in field.columns:
                alias, name = column.split(".")
                assert name in live[tables[alias]], (stream, column)
        for rows in rules.rows:
            assert {rows.owner, *rows.columns} <= live[rows.table], (stream, rows.name)


def test_rules_name_real_fields_and_leave_few_out() -> None:
    """What no rule judges is listed here, so that a new field of a record is noticed."""
    unjudged = {
        Stream.PRACTICE: {"title", "balances_as_of", "zone"},  # judged on the practice's own row
        Stream.PATIENT: {
            "sms_consent_source", "sms_consent_at", "email_consent_source", "email_consent_at",
        },
    }  # fmt: skip
    for stream, rules in RULES.items():
        judged = {f.name for f in rules.fields} | {r.name for r in rules.rows}
        fields = {f for f in RECORD_OF[stream].__struct_fields__ if not f.endswith("_raw")}
        assert judged <= fields, (stream, judged - fields)
        left = fields - judged - {"key", "extra"}
        assert left == unjudged.get(stream, set()), stream


def test_imports_nothing_of_the_engine() -> None:
    folder = Path(compare_package.__file__).parent
    allowed = ("agent.sandbox.compare", "agent.model.streams")
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [a.name for a in node.names] if isinstance(node, ast.Import)
                else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            )  # fmt: skip
            for name in names:
                assert not name.startswith(("agent", "drivers")) or name.startswith(allowed), path


def test_the_hand_written_records_are_canonical() -> None:
    """They decode as the record types do: a misspelt field in this file would prove nothing."""
    for stream, record in HELD.items():
        kind = RECORD_OF[stream]
        msgspec.convert(copy.deepcopy(record), kind)
        assert {*record} <= {*kind.__struct_fields__}, stream
