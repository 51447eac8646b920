"""What ``bridgework diagnose`` asks of a Dentrix site's own rows. Pure but for the look given."""

from __future__ import annotations

import msgspec

from drivers.dentrix.numbers import time_encodings
from drivers.survey import Codes, Look


def dentrix_asks(look: Look) -> list[Codes]:
    """Lengths, times of day, statuses and resource types: the settings only a site can tell."""
    found = []
    lengths = look.spread("appt", "apptlen")
    if lengths is not None:
        found.append(msgspec.structs.replace(lengths[0], note=length_note(lengths[1])))
    for table, column in (("apptevent", "starttime"), ("contact", "contacttime")):
        times = look.spread(table, column)
        if times is None:
            continue
        fits = time_encodings(times[1])
        note = f"pms.int_time: {' or '.join(fits)}" if fits else "prove nothing"
        found.append(msgspec.structs.replace(times[0], note=note))
    for table, column in (("rsc", "rsctype"), ("v_appt", "broken"), ("appt", "pinboard")):
        codes = look.counted(table, column)
        if codes is not None:
            found.append(codes)
    names = look.real("fulldef", "deftype", "descript")
    statuses = look.real("v_appt", "status_id")
    if statuses is not None:
        rows = look.rows(
            f"SELECT t.{statuses[1][0]},COUNT(*) FROM {statuses[0]} t GROUP BY t.{statuses[1][0]}"
        )
        values = {str(row[0]): int(row[1]) for row in rows}
        known = "named by the office's list" if names is not None else "the list cannot be read"
        found.append(Codes("v_appt.status_id", values=values, note=known))
    return found


def length_note(lengths: list[int]) -> str:
    """What lengths in use say of their unit: a visit takes at least ten minutes and at most a
    working day, and offices plan in steps of five."""
    shown = [length for length in lengths if length > 0]
    if not shown:
        return "prove nothing"
    fits = [
        unit
        for unit in (1, 5, 10, 15)
        if min(shown) * unit >= 10 and max(shown) * unit <= 600
        and all(length * unit % 5 == 0 for length in shown)
    ]  # fmt: skip
    if not fits:
        return "pms.length_unit_min: none fits; ask the office for the length of a visit"
    return f"pms.length_unit_min: {' or '.join(map(str, fits))}"
