"""The copies Open Dental keeps of an appointment at each change: ``histappointment``.

Each row is the whole appointment as it stood right after, so it is read through the very columns
the stream is bound to. Source: the vendor's schema and the code that writes it, as collected for
this project (24.3). That every way of changing an appointment leaves a copy is not verified: the
engine learns per site what may be inferred from a missing one. Pure text; runs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.errors import PmsDrift
from agent.model.reading import Column, Key
from agent.model.streams import Stream
from drivers.opendental.statements import BoundStream
from drivers.opendental.streams import BASE
from drivers.sqltext import Dialect, TableShape, column, quoted

TABLE, NUMBER, ACTION = "histappointment", "HistApptNum", "HistApptAction"
_CREATED = 0  # HistAppointmentAction


class History:
    """Statements over a stream's copies; ``read`` gives one as a page of the stream."""

    def __init__(
        self, columns: Sequence[Column], dialect: Dialect, tables: Mapping[str, TableShape]
    ) -> None:
        """Raises PmsDrift where the site keeps no such copies, or not of every bound column."""
        copies = tables.get(TABLE)
        if copies is None or not {NUMBER, ACTION, "AptNum", "PatNum"} <= copies.columns.keys():
            raise PmsDrift("pms.table_missing", table=TABLE, stream=Stream.APPOINTMENT.value)
        self.bound = BoundStream(
            Stream.APPOINTMENT, columns, dialect, {**tables, "appointment": copies}
        )
        self._number = dialect.key(column(BASE, NUMBER))
        self._key = dialect.key(column(BASE, "AptNum"))

    def end(self) -> str:
        return f"SELECT MAX({column(BASE, NUMBER)}) FROM {quoted(TABLE)} {BASE}"

    def of(self, key: Key, above: Key, limit: int) -> str:
        """Rows ``(number, key, 1 where it was created)`` of one appointment, oldest first."""
        return self._list(f"{column(BASE, 'AptNum')}={int(key)}", NUMBER, above, limit)

    def made_for(self, patient: Key, above: Key, limit: int) -> str:
        """The same of a patient's appointments whose own key is above ``above``."""
        return self._list(f"{column(BASE, 'PatNum')}={int(patient)}", "AptNum", above, limit)

    def copy(self, number: int) -> str:
        return f" WHERE {column(BASE, NUMBER)}={number}"

    def _list(self, whose: str, by: str, above: Key, limit: int) -> str:
        is_new = f"{column(BASE, ACTION)}={_CREATED}"
        return (
            f"SELECT {self._number},{self._key},{is_new} FROM {quoted(TABLE)} {BASE}"
            f" WHERE {whose} AND {column(BASE, by)}>{int(above)}"
            f" ORDER BY {column(BASE, NUMBER)} LIMIT {limit}"
        )


def history_of(
    stream: Stream, columns: Sequence[Column], dialect: Dialect, tables: Mapping[str, TableShape]
) -> History | None:
    """None where no copies are kept, or not of all that is read."""
    if stream is not Stream.APPOINTMENT:
        return None
    try:
        return History(columns, dialect, tables)
    except PmsDrift:
        return None
