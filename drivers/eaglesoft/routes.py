"""What a signed Eaglesoft sign-in may write, field by field. Pure data.

Only plain columns of visits and patients. Never: inserting or deleting visits (audit trail,
double-booking and recall logic are the program's), anything of the ledger, claims or charts.
Source of the limits: an integrator's published study of Eaglesoft and SAP's manuals.
"""

from __future__ import annotations

from agent.model.streams import Stream
from drivers.odbc.writing import As, Route


def _patient(field: str, column: str, spelled: As = As.TEXT) -> Route:
    return Route(Stream.PATIENT, field, "patient", "patient_id", column, spelled=spelled)


def _visit(field: str, column: str, spelled: As, *when: str) -> Route:
    return Route(
        Stream.APPOINTMENT, field, "appointment", "appointment_id", column, spelled=spelled,
        when=when,
    )  # fmt: skip


ROUTES: tuple[Route, ...] = (
    # The map reads a confirmation from this date; what the status numbers mean nobody published.
    _visit("confirmation_category", "date_confirmed", As.NOW, "confirmed", "unconfirmed"),
    _visit("confirmation_key", "confirmation_status", As.KEY),
    _visit("note", "appointment_notes", As.APPENDED),
    _patient("last_name", "last_name", As.NAME),
    _patient("first_name", "first_name", As.NAME),
    _patient("middle_name", "middle_initial", As.NAME),
    _patient("preferred_name", "preferred_name", As.NAME),
    _patient("birthdate", "birth_date", As.DATE),
    _patient("phone_home", "home_phone", As.PHONE),
    _patient("phone_work", "work_phone", As.PHONE),
    _patient("phone_mobile", "cell_phone", As.PHONE),
    _patient("emails", "email_address", As.EMAILS),
    _patient("address", "address_1"),
    _patient("address2", "address_2"),
    _patient("city", "city"),
    _patient("state", "state"),
    _patient("postal_code", "zipcode"),
    _patient("sms_consent", "receives_sms", As.ANSWER),
    _patient("email_consent", "receive_email", As.ANSWER),
)
