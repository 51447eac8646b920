"""What ``bridgework diagnose`` asks of an Eaglesoft site's own rows."""

from __future__ import annotations

from drivers.survey import Codes, Look

_CODES = (
    ("patient", "status"), ("patient", "receives_sms"), ("patient", "receive_email"),
    ("patient", "receive_recalls"), ("patient", "sex"), ("patient", "marital_status"),
    ("appointment", "confirmation_status"), ("transactions_header", "type"),
    ("transactions_header", "status"), ("provider", "status"),
)  # fmt: skip


def eaglesoft_asks(look: Look) -> list[Codes]:
    """The codes nobody published, the columns of the schedule, and what the sign-in may do."""
    found = [codes for table, column in _CODES if (codes := look.counted(table, column))]
    chairs = look.counted("appointment", "location_id")
    if chairs is not None:
        found.append(
            Codes(chairs.column, chairs.values,
                  note="columns visits are parked in belong into pms.excluded_chairs")
        )  # fmt: skip
    said = look.rows("SELECT DB_PROPERTY('Authenticated') FROM SYS.DUMMY")
    if said:
        found.append(Codes("database authenticated", {str(said[0][0]): 1}))
    return found
