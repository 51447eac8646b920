"""Providers, rooms, codes, referral sources and patients: what their records must say.

Open Dental's tables and numbers as this package reads them (``open-dental.md`` 1 and 3), not as the
data map does. Imports only the comparer's own modules.
"""
# ruff: noqa: ARG001 - every rule takes the same four arguments

from __future__ import annotations

from collections.abc import Sequence

from agent.sandbox.compare.rules import (
    Held,
    Place,
    Stored,
    clock,
    day,
    emails,
    flag,
    key,
    key_text,
    label,
    lines,
    lower,
    money,
    note,
    number,
    numbered,
    one_of,
    phone,
    words,
)
from agent.sandbox.compare.shapes import (
    Join,
    ListRule,
    Rows,
    StreamRules,
    columns,
    field,
    named_texts,
    same_set,
)

_CONTACT = one_of(
    numbered(
        "none",
        "do_not_call",
        "home_phone",
        "work_phone",
        "mobile_phone",
        "email",
        "see_notes",
        "mail",
        "text_message",
    )
)
_OPT_OUTS = (
    "all",
    "confirmation",
    "reminder",
    "thank_you",
    "recall",
    "asap_list",
    "portal_invite",
    "insurance_verify",
    "statement",
    "arrival",
    "birthday",
    "general",
    "payment_request",
)


def _family_note(stored: Stored, held: Held, name: str, place: Place) -> bool:
    if stored[1] != stored[2]:
        return name not in held
    return note(stored[:1], held, name, place)


def _role(stored: Stored, held: Held, name: str, place: Place) -> bool:
    if key_text(stored[1]) is None:  # caught before the program set it
        return name not in held
    return held.get(name) == ("head" if stored[0] == stored[1] else "member")


def _is_insured(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return (held.get(name) is True) == bool(words(stored[0]))


def _sms_consent(stored: Stored, held: Held, name: str, place: Place) -> bool:
    """A refusal wins; the practice may read "unknown" as no. The opt-outs are judged themselves."""
    declined = held.get("opt_out_sms")
    if stored[0] == "2" or (isinstance(declined, list) and "all" in declined):
        return held.get(name) == "denied"
    if stored[0] == "1":
        return held.get(name) == "granted"
    if stored[0] == "0" and place.preferences.get("TextMsgOkStatusTreatAsNo") == "1":
        return held.get(name) in {None, "denied", "unknown"}
    return held.get(name) in {None, "unknown"}


def _email_consent(stored: Stored, held: Held, name: str, place: Place) -> bool:
    """Open Dental knows refusals only."""
    declined = held.get("opt_out_email")
    if isinstance(declined, list) and "all" in declined:
        return held.get(name) == "denied"
    return held.get(name) in {None, "unknown"}


def _short_code(stored: Stored, held: Held, name: str, place: Place) -> bool:
    wanted = {"1": {"granted"}, "2": {"denied"}}.get(str(stored[0]), {None, "unknown"})
    return held.get(name) in wanted


def _opt_outs(column: int) -> ListRule:
    def rule(stored: Sequence[Stored], held: Held, name: str, place: Place) -> bool:
        bits = 0
        for row in stored:
            bits |= int(row[column] or 0)
        wanted = {word for at, word in enumerate(_OPT_OUTS) if bits >> at & 1}
        if bits >> len(_OPT_OUTS):
            wanted.add("other")
        got = held.get(name, [])
        return isinstance(got, list) and set(got) == wanted

    return rule


def _first_referral(stored: Sequence[Stored], held: Held, name: str, place: Place) -> bool:
    if not stored:
        return name not in held
    lowest = min(int(row[1] or 0) for row in stored)
    return held.get(name) in {row[0] for row in stored if int(row[1] or 0) == lowest}


def _survivor(stored: Sequence[Stored], held: Held, name: str, place: Place) -> bool:
    return held.get(name) in ({row[0] for row in stored} or {None})


def _is_restricted(stored: Sequence[Stored], held: Held, name: str, place: Place) -> bool:
    wanted = any(row[0] not in {None, "0"} for row in stored) if stored else None
    return held.get(name) is wanted


PROVIDER = StreamRules(
    "provider",
    "ProvNum",
    (
        *columns(
            "abbr Abbr, last_name LName, first_name FName, middle_name MI, suffix Suffix, "
            "preferred_name PreferredName, npi NationalProvID, "
            "taxonomy_code TaxonomyCodeOverride",
            label,
        ),
        *columns("is_hygienist IsSecondary, is_hidden IsHidden, is_not_person IsNotPerson", flag),
        *columns("color ProvColor, sort_order ItemOrder", number),
        field("specialty_key", key, "b.Specialty"),
        field("specialty", label, "d.ItemName"),
        field("status", one_of(numbered("active", "deleted")), "b.ProvStatus"),
        field("term_date", day, "b.DateTerm"),
        field("web_description", note, "b.WebSchedDescript"),
        field("hourly_goal", money, "b.HourlyProdGoalAmt"),
    ),
    (Join("d", "definition", "d.DefNum=b.Specialty"),),
)

OPERATORY = StreamRules(
    "operatory",
    "OperatoryNum",
    (
        *columns("name OpName, abbr Abbrev", label),
        *columns(
            "dentist_key ProvDentist, hygienist_key ProvHygienist, clinic_key ClinicNum, "
            "type_key OperatoryType",
            key,
        ),
        *columns(
            "is_hidden IsHidden, is_hygiene IsHygiene, is_prospective SetProspective, "
            "is_web_sched IsWebSched, is_new_patient IsNewPatAppt",
            flag,
        ),
        field("sort_order", number, "b.ItemOrder"),
    ),
)

PROCEDURE_CODE = StreamRules(
    "procedurecode",
    "CodeNum",
    (
        *columns(
            "code ProcCode, description Descript, abbr AbbrDesc, layman_term LaymanTerm, "
            "time_pattern ProcTime, medical_code MedicalCode, "
            "substitution_code SubstitutionCode",
            label,
        ),
        *columns(
            "is_hygiene IsHygiene, is_prosthetic IsProsth, is_radiology IsRadiology, "
            "is_multi_visit IsMultiVisit, not_billed_to_insurance NoBillIns",
            flag,
        ),
        field("base_units", number, "b.BaseUnits"),
        field("category_key", key, "b.ProcCat"),
        field("category", label, "d.ItemName"),
        field(
            "area",
            one_of(
                numbered(
                    "none",
                    "surface",
                    "tooth",
                    "mouth",
                    "quadrant",
                    "sextant",
                    "arch",
                    "tooth_range",
                )
            ),
            "b.TreatArea",
        ),
    ),
    (Join("d", "definition", "d.DefNum=b.ProcCat"),),
)

REFERRAL_SOURCE = StreamRules(
    "referral",
    "ReferralNum",
    (
        *columns(
            "last_name LName, first_name FName, middle_name MName, title Title, "
            "business_name BusinessName, address Address, address2 Address2, city City, "
            "state ST, postal_code Zip, npi NationalProvID",
            label,
        ),
        *columns(
            "is_not_person NotPerson, is_doctor IsDoctor, is_preferred IsPreferred, "
            "is_hidden IsHidden",
            flag,
        ),
        *columns("specialty_key Specialty, patient_key PatNum", key),
        *columns("phone Telephone, phone2 Phone2", phone),
        field("emails", emails, "b.EMail"),
        field("note", note, "b.Note"),
    ),
)

PATIENT = StreamRules(
    "patient",
    "PatNum",
    (
        *columns(
            "last_name LName, first_name FName, middle_name MiddleI, preferred_name Preferred, "
            "title Title, salutation Salutation, address Address, address2 Address2, city City, "
            "state State, postal_code Zip, county County, country Country, "
            "chart_number ChartNumber, school SchoolName",
            label,
        ),
        *columns(
            "address_note AddrNote, appointment_note ApptModNote, urgent_note MedUrgNote", note
        ),
        *columns("phone_home HmPhone, phone_work WkPhone, phone_mobile WirelessPhone", phone),
        *columns(
            "guarantor_key Guarantor, super_family_key SuperFamily, "
            "responsible_party_key ResponsParty, primary_provider_key PriProv, "
            "secondary_provider_key SecProv, clinic_key ClinicNum, site_key SiteNum, "
            "billing_type_key BillingType, fee_schedule_key FeeSched, employer_key EmployerNum",
            key,
        ),
        *columns(
            "birthdate Birthdate, deceased DateTimeDeceased, first_visit DateFirstVisit, "
            "entered SecDateEntry, admitted AdmitDate",
            day,
        ),
        *columns(
            "preferred_contact PreferContactMethod, preferred_confirm PreferConfirmMethod, "
            "preferred_recall PreferRecallMethod, "
            "preferred_confidential PreferContactConfidential",
            _CONTACT,
        ),
        *columns("needs_premedication Premed, has_signed_financial HasSignedTil", flag),
        *columns("schedule_after SchedAfterTime, schedule_before SchedBeforeTime", clock),
        field("emails", emails, "b.Email"),
        field("language", lower, "b.Language"),
        field("arrive_early_minutes", number, "b.AskToArriveEarly"),
        field("has_insurance", _is_insured, "b.HasIns"),
        field("family_role", _role, "b.PatNum", "b.Guarantor"),
        field("family_note", _family_note, "b.FamFinUrgNote", "b.PatNum", "b.Guarantor"),
        field(
            "status",
            one_of(
                numbered(
                    "patient",
                    "non_patient",
                    "inactive",
                    "archived",
                    "deleted",
                    "deceased",
                    "prospective",
                )
            ),
            "b.PatStatus",
        ),
        field("gender", one_of(numbered("male", "female", "not_stated", "other")), "b.Gender"),
        field(
            "marital_status",
            one_of(numbered("single", "married", "child", "widowed", "divorced")),
            "b.Position",
        ),
        field("sms_consent", _sms_consent, "b.TxtMsgOk"),
        field("email_consent", _email_consent, "b.PatNum"),
        field("student_status", label, "b.StudentStatus"),
        field("short_code_opt_in", _short_code, "b.ShortCodeOptIn"),
        field("phone_note", note, "n.ApptPhone"),
        field("emergency_contact", label, "n.ICEName"),
        field("emergency_phone", phone, "n.ICEPhone"),
    ),
    (Join("n", "patientnote", "n.PatNum=b.PatNum"),),
    (
        Rows("custom", named_texts(lines), "patfield", "PatNum", ("FieldName", "FieldValue")),
        Rows("opt_out_sms", _opt_outs(0), "commoptout", "PatNum", ("OptOutSms",)),
        Rows("opt_out_email", _opt_outs(0), "commoptout", "PatNum", ("OptOutEmail",)),
        Rows(
            "referral_source_keys",
            same_set(key_text),
            "refattach",
            "PatNum",
            ("ReferralNum",),
            "c.RefType=1",
        ),
        Rows(
            "referral_source_key",
            _first_referral,
            "refattach",
            "PatNum",
            ("ReferralNum", "ItemOrder"),
            "c.RefType=1",
        ),
        Rows("is_restricted", _is_restricted, "patrestriction", "PatNum", ("PatRestrictType",)),
        Rows("merged_into", _survivor, "patientlink", "PatNumFrom", ("PatNumTo",), "c.LinkType=1"),
    ),
)

CLINIC = StreamRules(
    "clinic",
    "ClinicNum",
    (
        *columns(
            "name Description, abbr Abbr, address Address, address2 Address2, city City, "
            "state State, postal_code Zip, pms_zone TimeZone",
            label,
        ),
        field("phone", phone, "b.Phone"),
        field("is_hidden", flag, "b.IsHidden"),
    ),
)
