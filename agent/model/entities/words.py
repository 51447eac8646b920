"""Closed word lists of the canonical records. A leaf of ``agent.model``; imports nothing of ours.

Every list that is filled from a PMS number or code has ``UNKNOWN``: a value the map does not know
becomes that word and the site's own text travels beside it in the field ``<name>_raw``.
"""

from __future__ import annotations

from enum import StrEnum


class PatientStatus(StrEnum):
    PATIENT = "patient"
    NON_PATIENT = "non_patient"
    INACTIVE = "inactive"
    ARCHIVED = "archived"  # also the losing side of a merge, see ``merged_into``
    DELETED = "deleted"
    DECEASED = "deceased"
    PROSPECTIVE = "prospective"
    UNKNOWN = "unknown"


class Gender(StrEnum):
    MALE = "male"
    FEMALE = "female"
    NOT_STATED = "not_stated"
    OTHER = "other"
    UNKNOWN = "unknown"


class MaritalStatus(StrEnum):
    SINGLE = "single"
    MARRIED = "married"
    CHILD = "child"
    WIDOWED = "widowed"
    DIVORCED = "divorced"
    UNKNOWN = "unknown"


class FamilyRole(StrEnum):
    HEAD = "head"
    MEMBER = "member"


class ContactMethod(StrEnum):
    NONE = "none"
    DO_NOT_CALL = "do_not_call"
    HOME_PHONE = "home_phone"
    WORK_PHONE = "work_phone"
    MOBILE_PHONE = "mobile_phone"
    EMAIL = "email"
    SEE_NOTES = "see_notes"
    MAIL = "mail"
    TEXT_MESSAGE = "text_message"
    UNKNOWN = "unknown"


class Consent(StrEnum):
    GRANTED = "granted"
    DENIED = "denied"
    UNKNOWN = "unknown"


class OptOut(StrEnum):
    """Kinds of message a person declined; ``OTHER`` is a flag the map does not know."""

    ALL = "all"
    CONFIRMATION = "confirmation"
    REMINDER = "reminder"
    THANK_YOU = "thank_you"
    RECALL = "recall"
    ASAP_LIST = "asap_list"
    PORTAL_INVITE = "portal_invite"
    INSURANCE_VERIFY = "insurance_verify"
    STATEMENT = "statement"
    ARRIVAL = "arrival"
    BIRTHDAY = "birthday"
    GENERAL = "general"
    PAYMENT_REQUEST = "payment_request"
    OTHER = "other"


class ProviderStatus(StrEnum):
    ACTIVE = "active"
    DELETED = "deleted"
    UNKNOWN = "unknown"


class AppointmentStatus(StrEnum):
    NONE = "none"
    SCHEDULED = "scheduled"
    COMPLETE = "complete"
    UNSCHEDULED = "unscheduled"
    ASAP = "asap"
    BROKEN = "broken"
    PLANNED = "planned"
    NOTE = "note"
    NOTE_COMPLETE = "note_complete"
    UNKNOWN = "unknown"


class ConfirmationCategory(StrEnum):
    """What a practice's own confirmation status means; matched by name, see the data map."""

    UNCONFIRMED = "unconfirmed"
    CONTACTED = "contacted"
    CONFIRMED = "confirmed"
    DECLINED = "declined"
    ARRIVED = "arrived"
    READY = "ready"
    SEATED = "seated"
    OTHER = "other"


class Priority(StrEnum):
    NORMAL = "normal"
    ASAP = "asap"
    UNKNOWN = "unknown"


class BlockKind(StrEnum):
    PRACTICE = "practice"  # a note or holiday for the whole practice
    PROVIDER_HOURS = "provider_hours"
    BLOCKOUT = "blockout"
    EMPLOYEE = "employee"
    WEB_ASAP = "web_asap"
    UNKNOWN = "unknown"


class BlockStatus(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    HOLIDAY = "holiday"
    UNKNOWN = "unknown"


class ProcedureStatus(StrEnum):
    TREATMENT_PLANNED = "treatment_planned"
    COMPLETED = "completed"
    EXISTING_CURRENT = "existing_current"
    EXISTING_OTHER = "existing_other"
    REFERRED = "referred"
    DELETED = "deleted"
    CONDITION = "condition"
    INACTIVE_PLAN = "inactive_plan"
    UNKNOWN = "unknown"


class TreatmentArea(StrEnum):
    NONE = "none"
    SURFACE = "surface"
    TOOTH = "tooth"
    MOUTH = "mouth"
    QUADRANT = "quadrant"
    SEXTANT = "sextant"
    ARCH = "arch"
    TOOTH_RANGE = "tooth_range"
    UNKNOWN = "unknown"


class ClaimStatus(StrEnum):
    UNSENT = "unsent"
    HOLD_FOR_PRIMARY = "hold_for_primary"
    WAITING = "waiting"
    SENT = "sent"
    RECEIVED = "received"
    HOLD_FOR_PROCEDURES = "hold_for_procedures"
    OBSOLETE = "obsolete"
    UNKNOWN = "unknown"


class ClaimType(StrEnum):
    PRIMARY = "primary"
    SECONDARY = "secondary"
    PREAUTHORIZATION = "preauthorization"
    OTHER = "other"
    CAPITATION = "capitation"
    UNKNOWN = "unknown"


class ClaimLineStatus(StrEnum):
    NOT_RECEIVED = "not_received"
    RECEIVED = "received"
    PREAUTHORIZATION = "preauthorization"
    ADJUSTMENT = "adjustment"
    SUPPLEMENTAL = "supplemental"
    CAP_CLAIM = "cap_claim"
    ESTIMATE = "estimate"
    CAP_COMPLETE = "cap_complete"
    CAP_ESTIMATE = "cap_estimate"
    HISTORY = "history"
    UNKNOWN = "unknown"


class PaymentProcess(StrEnum):
    OFFICE = "office"
    ONLINE = "online"
    ONLINE_PENDING = "online_pending"
    UNKNOWN = "unknown"


class Relationship(StrEnum):
    SELF = "self"
    SPOUSE = "spouse"
    CHILD = "child"
    EMPLOYEE = "employee"
    HANDICAPPED_DEPENDENT = "handicapped_dependent"
    SIGNIFICANT_OTHER = "significant_other"
    INJURED_PLAINTIFF = "injured_plaintiff"
    LIFE_PARTNER = "life_partner"
    DEPENDENT = "dependent"
    UNKNOWN = "unknown"


class CommunicationMode(StrEnum):
    NONE = "none"
    EMAIL = "email"
    MAIL = "mail"
    PHONE = "phone"
    IN_PERSON = "in_person"
    TEXT = "text"
    EMAIL_AND_TEXT = "email_and_text"
    PHONE_AND_TEXT = "phone_and_text"
    FAX = "fax"
    UNKNOWN = "unknown"


class Direction(StrEnum):
    NEITHER = "neither"
    SENT = "sent"
    RECEIVED = "received"
    UNKNOWN = "unknown"


class CommunicationSource(StrEnum):
    USER = "user"
    WEB_SCHED = "web_sched"
    PROGRAM = "program"
    REMINDER = "reminder"
    ESERVICES = "eservices"
    BACKUP = "backup"
    THANK_YOU = "thank_you"
    API = "api"
    NEW_PATIENT_THANK_YOU = "new_patient_thank_you"
    PAYMENT_REQUEST = "payment_request"
    MASS_EMAIL = "mass_email"
    UNKNOWN = "unknown"


class PerioKind(StrEnum):
    MOBILITY = "mobility"
    FURCATION = "furcation"
    GINGIVAL_MARGIN = "gingival_margin"
    MUCOGINGIVAL_JUNCTION = "mucogingival_junction"
    PROBING = "probing"
    SKIPPED_TOOTH = "skipped_tooth"
    BLEEDING = "bleeding"  # sum of 1 blood, 2 suppuration, 4 plaque, 8 calculus
    ATTACHMENT_LEVEL = "attachment_level"
    ATTACHED_GINGIVA = "attached_gingiva"
    UNKNOWN = "unknown"
