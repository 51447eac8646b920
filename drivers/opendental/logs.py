"""Open Dental's own logs as hints: which log row names which record. Facts and pure functions.

They say *which keys* may have changed, within milliseconds of the act; they prove nothing.
Sources: vendor schema and enumerations (histappointment.HistApptAction, securitylog.PermType,
signalod.FKeyType), 21.1 to 25.4. A log is read by its primary key above the last mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from agent.model.reading import Hint, Tail
from agent.model.streams import Stream
from drivers.sqltext import TableShape, quoted, text_literal


class Log(msgspec.Struct, frozen=True):
    """A log table: its key and the three columns ``what, first, second`` a row is judged by."""

    table: str
    key: str
    columns: tuple[str, str, str]


LOGS = (
    Log("histappointment", "HistApptNum", ("HistApptAction", "AptNum", "PatNum")),
    Log("securitylog", "SecurityLogNum", ("PermType", "FKey", "PatNum")),
    Log("signalod", "SignalNum", ("FKeyType", "FKey", "IType")),
)

_DELETED = "4"  # HistAppointmentAction
_BY_KEY: dict[str, Stream] = {
    # PermType -> the stream FKey belongs to
    "25": Stream.APPOINTMENT,  # AppointmentCreate
    "26": Stream.APPOINTMENT,  # AppointmentMove
    "27": Stream.APPOINTMENT,  # AppointmentEdit
    "96": Stream.APPOINTMENT,  # AppointmentCompleteEdit
    "120": Stream.APPOINTMENT,  # ApptConfirmStatusEdit
    "237": Stream.APPOINTMENT,  # AppointmentDelete
    "43": Stream.COMMUNICATION,  # CommlogEdit
    "193": Stream.COMMUNICATION,  # CommlogCreate
    "15": Stream.PAYMENT,  # PaymentCreate
    "23": Stream.PROCEDURE,  # ProcComplCreate
    "53": Stream.PROCEDURE,  # ProcedureNoteFull
}
_APPOINTMENT_DELETE = "237"
_BY_PATIENT = frozenset({"80", "94", "106", "108"})  # PatientField-, Merge, Create, Edit


_PATIENT_CREATE = 106  # PermType
_SOURCE_API = 23  # LogSources
OUR_COMPUTER = "BRIDGEWORK"  # securitylog.CompName where we write by SQL


def entered_sql(keys: Iterable[int]) -> str:
    """Rows ``(patient, 1 where a program entered them)``; those the log does not know are absent.

    That the API marks its lines so is in its documentation and not verified here.
    """
    listed = ",".join(str(int(key)) for key in keys)
    ours = f"`LogSource`={_SOURCE_API} OR `CompName`={text_literal(OUR_COMPUTER)}"
    return (
        f"SELECT `PatNum`,MAX({ours}) FROM `securitylog`"
        f" WHERE `PermType`={_PATIENT_CREATE} AND `PatNum` IN ({listed}) GROUP BY `PatNum`"
    )


def usable_logs(tables: Mapping[str, TableShape]) -> tuple[Log, ...]:
    """The logs this site has, with every column we read."""
    return tuple(
        log
        for log in LOGS
        if (shape := tables.get(log.table)) is not None
        and {log.key, *log.columns}.issubset(shape.columns)
    )


def tail_sql(logs: Iterable[Log], marks: Mapping[str, int], limit: int) -> str:
    """One statement for all logs; a log without a mark answers only with its highest key."""
    asked = []
    for log in logs:
        name, key = text_literal(log.table), quoted(log.key)
        mark = marks.get(log.table)
        if mark is None:
            inner = f"SELECT {name} AS t,COALESCE(MAX({key}),0) AS n,NULL AS a,NULL AS k,NULL AS p"
            inner += f" FROM {quoted(log.table)}"
        else:
            columns = ",".join(
                f"{quoted(c)} AS {a}" for c, a in zip(log.columns, "akp", strict=True)
            )
            inner = f"SELECT {name} AS t,{key} AS n,{columns} FROM {quoted(log.table)}"
            inner += f" WHERE {key}>{int(mark)} ORDER BY {key} LIMIT {limit}"
        asked.append(f"SELECT * FROM ({inner}) {quoted(log.table)}")
    return " UNION ALL ".join(asked)


def read_tail(rows: Iterable[tuple[object, ...]], marks: Mapping[str, int]) -> Tail:
    """Hints of the rows, each record once, in the order met; and the marks to continue from."""
    reached = dict(marks)
    hints: dict[tuple[Stream, int], bool] = {}
    for table, number, what, first, second in rows:
        name = str(table)
        reached[name] = max(reached.get(name, 0), int(str(number)))
        hint = _hint(name, str(what), _number(first), _number(second))
        if hint is not None:
            at = (hint.stream, int(hint.key))
            hints[at] = hints.get(at, False) or hint.deleted
    return Tail([Hint(stream, key, gone) for (stream, key), gone in hints.items()], reached)


def _number(value: object) -> int:
    return 0 if value is None else int(str(value))


def _hint(log: str, what: str, first: int, second: int) -> Hint | None:
    if log == "histappointment":
        return Hint(Stream.APPOINTMENT, first, what == _DELETED) if first else None
    if log == "securitylog":
        if what in _BY_PATIENT:
            return Hint(Stream.PATIENT, second) if second else None
        stream = _BY_KEY.get(what)
        return Hint(stream, first, what == _APPOINTMENT_DELETE) if stream and first else None
    # An appointment's signals also name its patient, whose first visit date may have moved.
    return Hint(Stream.PATIENT, first) if what == "PatNum" and first else None
