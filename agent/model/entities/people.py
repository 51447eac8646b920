"""Practice, provider, operatory, referral source, patient. A leaf of ``agent.model``."""

from __future__ import annotations

import msgspec

from agent.model.entities.base import Record
from agent.model.entities.words import (
    Consent,
    ContactMethod,
    FamilyRole,
    Gender,
    MaritalStatus,
    OptOut,
    PatientStatus,
    ProviderStatus,
)


class Practice(Record, frozen=True):
    """The practice itself (key "0") or one of its clinics (key = clinic number)."""

    title: str | None = None  # the practice's own name, on every row
    name: str | None = None  # the clinic's name; for key "0" the practice's
    abbr: str | None = None
    address: str | None = None
    address2: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    phone: str | None = None
    phone_raw: str | None = None
    is_hidden: bool | None = None
    pms_zone: str | None = None  # the clinic's zone as the PMS names it; "zone" is what we use
    balances_as_of: str | None = None  # date of the last ageing run: how fresh balances are
    zone: str | None = None
    extra: dict[str, str] = msgspec.field(default_factory=dict)


class Provider(Record, frozen=True):
    abbr: str | None = None
    last_name: str | None = None
    first_name: str | None = None
    middle_name: str | None = None
    suffix: str | None = None
    preferred_name: str | None = None
    specialty_key: str | None = None
    specialty: str | None = None
    is_hygienist: bool | None = None
    is_hidden: bool | None = None
    is_not_person: bool | None = None
    status: ProviderStatus | None = None
    status_raw: str | None = None
    npi: str | None = None
    taxonomy_code: str | None = None
    term_date: str | None = None
    color: int | None = None  # ARGB as a signed integer
    sort_order: int | None = None
    web_description: str | None = None
    hourly_goal: str | None = None
    extra: dict[str, str] = msgspec.field(default_factory=dict)


class Operatory(Record, frozen=True):
    name: str | None = None
    abbr: str | None = None
    sort_order: int | None = None
    is_hidden: bool | None = None
    dentist_key: str | None = None
    hygienist_key: str | None = None
    is_hygiene: bool | None = None
    clinic_key: str | None = None
    is_prospective: bool | None = None
    is_web_sched: bool | None = None
    is_new_patient: bool | None = None
    type_key: str | None = None
    extra: dict[str, str] = msgspec.field(default_factory=dict)


class ReferralSource(Record, frozen=True):
    """A person or thing that refers patients; ``patient_key`` when it is a patient itself."""

    last_name: str | None = None
    first_name: str | None = None
    middle_name: str | None = None
    title: str | None = None
    business_name: str | None = None
    is_not_person: bool | None = None
    is_doctor: bool | None = None
    is_preferred: bool | None = None
    is_hidden: bool | None = None
    specialty_key: str | None = None
    patient_key: str | None = None
    phone: str | None = None
    phone_raw: str | None = None
    phone2: str | None = None
    phone2_raw: str | None = None
    emails: tuple[str, ...] = ()
    email_raw: str | None = None
    address: str | None = None
    address2: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    npi: str | None = None
    note: str | None = None
    extra: dict[str, str] = msgspec.field(default_factory=dict)


class Patient(Record, frozen=True):
    """A person on file. The social security number is never read.

    Consent: ``*_consent`` with ``*_consent_source`` (the PMS columns that decided, null while
    unknown) and ``*_consent_at`` (UTC; null where the PMS keeps no time of the decision).
    ``opt_out_*`` lists kinds of message declined. ``custom`` are the practice's own fields.
    """

    last_name: str | None = None
    first_name: str | None = None
    middle_name: str | None = None
    preferred_name: str | None = None
    title: str | None = None
    salutation: str | None = None
    status: PatientStatus | None = None
    status_raw: str | None = None
    merged_into: str | None = None  # key of the surviving record
    gender: Gender | None = None
    gender_raw: str | None = None
    marital_status: MaritalStatus | None = None
    marital_status_raw: str | None = None
    birthdate: str | None = None
    deceased: str | None = None  # date
    first_visit: str | None = None  # date
    entered: str | None = None  # date
    admitted: str | None = None  # date
    guarantor_key: str | None = None
    family_role: FamilyRole | None = None
    super_family_key: str | None = None
    responsible_party_key: str | None = None
    phone_home: str | None = None
    phone_home_raw: str | None = None
    phone_work: str | None = None
    phone_work_raw: str | None = None
    phone_mobile: str | None = None
    phone_mobile_raw: str | None = None
    emails: tuple[str, ...] = ()
    email_raw: str | None = None  # the whole text as typed, when any part of it is no address
    address: str | None = None
    address2: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    county: str | None = None
    country: str | None = None
    address_note: str | None = None
    preferred_contact: ContactMethod | None = None
    preferred_contact_raw: str | None = None
    preferred_confirm: ContactMethod | None = None
    preferred_confirm_raw: str | None = None
    preferred_recall: ContactMethod | None = None
    preferred_recall_raw: str | None = None
    preferred_confidential: ContactMethod | None = None
    preferred_confidential_raw: str | None = None
    language: str | None = None  # ISO 639-2 letters as stored, or the practice's own text
    sms_consent: Consent | None = None
    sms_consent_source: str | None = None
    sms_consent_at: str | None = None
    email_consent: Consent | None = None
    email_consent_source: str | None = None
    email_consent_at: str | None = None
    opt_out_sms: tuple[OptOut, ...] = ()
    opt_out_email: tuple[OptOut, ...] = ()
    short_code_opt_in: Consent | None = None
    referral_source_key: str | None = None  # "how did you hear about us": the first of the list
    referral_source_keys: tuple[str, ...] = ()
    primary_provider_key: str | None = None
    secondary_provider_key: str | None = None
    clinic_key: str | None = None
    site_key: str | None = None
    billing_type_key: str | None = None
    fee_schedule_key: str | None = None
    employer_key: str | None = None
    chart_number: str | None = None
    student_status: str | None = None
    school: str | None = None
    has_insurance: bool | None = None
    is_restricted: bool | None = None  # the practice does not schedule this person
    needs_premedication: bool | None = None
    has_signed_financial: bool | None = None
    arrive_early_minutes: int | None = None
    schedule_after: str | None = None  # HH:MM wall time the patient prefers
    schedule_before: str | None = None
    appointment_note: str | None = None
    urgent_note: str | None = None
    family_note: str | None = None  # on the guarantor only
    phone_note: str | None = None
    emergency_contact: str | None = None
    emergency_phone: str | None = None
    emergency_phone_raw: str | None = None
    custom: dict[str, str] = msgspec.field(default_factory=dict)
    extra: dict[str, str] = msgspec.field(default_factory=dict)
