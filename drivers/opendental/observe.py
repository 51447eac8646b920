"""Clock, guard, gates and logs of an Open Dental server (``drivers.base.Observatory``)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from agent.model.reading import Key, ServerClock, SourceGuard, Tail
from drivers.base import Effort, Session
from drivers.opendental.logs import Log, entered_sql, read_tail, tail_sql
from drivers.opendental.streams import SENTINELS
from drivers.sqltext import TableShape, quoted, text_literal

PREFERENCES = (
    "DataBaseVersion",
    "UpdateInProgressOnComputerName",
    "CorruptedDatabase",
    "RandomPrimaryKeys",
    "EasyNoClinics",
)
OLDEST_UPDATES = 5
_IDENTITY_BYTES = 16


def preferences_sql() -> str:
    names = ",".join(text_literal(name) for name in PREFERENCES)
    return (
        "SELECT CAST(`PrefName` AS CHAR),CAST(`ValueString` AS CHAR) FROM `preference`"
        f" WHERE `PrefName` IN ({names})"
    )


def identity_sql() -> str:
    """The oldest rows of the upgrade history: append-only, present in every database."""
    return (
        "SELECT CONCAT('first:',`UpdateHistoryNum`),CONCAT(`DateTimeUpdated`,' ',`ProgramVersion`)"
        " FROM (SELECT `UpdateHistoryNum`,`DateTimeUpdated`,`ProgramVersion` FROM `updatehistory`"
        f" ORDER BY `UpdateHistoryNum` LIMIT {OLDEST_UPDATES}) u"
    )


def identity_of(place: str, database: str, told: Mapping[str, str]) -> str:
    """A name for server + database + installation that says nothing about either.

    MySQL names its server by uuid; MariaDB has none, so host name, port and data directory stand
    for it. The installation is known by its oldest upgrades.
    """
    firsts = sorted(f"{k}={v}" for k, v in told.items() if k.startswith("first:"))
    seed = "\n".join((place, database, *firsts))
    return hashlib.sha256(seed.encode()).hexdigest()[: _IDENTITY_BYTES * 2]


def guard_of(told: Mapping[str, str], identity: str) -> SourceGuard:
    return SourceGuard(
        identity=identity,
        version=told.get("DataBaseVersion", ""),
        update_running=bool(told.get("UpdateInProgressOnComputerName", "").strip()),
        corrupted=told.get("CorruptedDatabase") == "1",
        rebuilding=told.get("rebuilding", "0") != "0",
        high_marks={
            k.removeprefix("max:"): int(v) for k, v in told.items() if k.startswith("max:")
        },
    )


def max_key_sql(shapes: Mapping[str, TableShape]) -> list[str]:
    return [
        f"SELECT {text_literal('max:' + table)},CAST(COALESCE(MAX({quoted(key)}),0) AS CHAR)"
        f" FROM {quoted(table)}"
        for table, key in SENTINELS.items()
        if table in shapes
    ]


class ServerObservatory:
    """For one probed server. ``sees_others``: the account may list other connections."""

    def __init__(
        self,
        database: str,
        shapes: Mapping[str, TableShape],
        logs: Sequence[Log],
        *,
        sees_others: bool,
    ) -> None:
        self._database = database
        self._shapes = shapes
        self._logs = logs
        self._sees_others = sees_others
        self._innodb = any(shape.engine == "InnoDB" for shape in shapes.values())

    def clock(self, session: Session) -> ServerClock:
        """``oldest_open`` needs the PROCESS right, which a SELECT-only account lacks: then None."""
        asked = "SELECT UTC_TIMESTAMP(6)"
        if self._sees_others:
            asked += (
                ",(SELECT COALESCE(MAX(TIME),-1) FROM information_schema.PROCESSLIST"
                " WHERE COMMAND NOT IN ('Sleep','Daemon','Binlog Dump') AND ID<>CONNECTION_ID())"
            )
            if self._innodb:
                asked += (
                    ",(SELECT TIMESTAMPDIFF(SECOND,CONVERT_TZ(MIN(trx_started),'SYSTEM','+00:00'),"
                    "UTC_TIMESTAMP()) FROM information_schema.INNODB_TRX"
                    " WHERE trx_mysql_thread_id<>CONNECTION_ID())"
                )
        row = session.rows(asked)[0]
        now = datetime.fromisoformat(row[0]).replace(tzinfo=UTC)
        if not self._sees_others:
            return ServerClock(now, None)
        ages = [int(age) for age in row[1:] if age is not None and int(age) >= 0]
        # Ages are whole seconds: one more for what was cut off.
        oldest = now - timedelta(seconds=max(ages) + 1) if ages else now
        return ServerClock(now, oldest)

    def guard(self, session: Session) -> SourceGuard:
        asked = [preferences_sql(), *max_key_sql(self._shapes)]
        if "updatehistory" in self._shapes:
            asked.append(identity_sql())
        asked.append(
            "SELECT 'rebuilding',CAST(COUNT(*) AS CHAR) FROM information_schema.TABLES"
            " WHERE TABLE_SCHEMA=DATABASE() AND TABLE_NAME LIKE 'tempConv\\_%'"
        )
        told = {str(k): str(v) for k, v in session.rows(" UNION ALL ".join(asked), Effort.DIGEST)}
        return guard_of(told, identity_of(session.place, self._database, told))

    def moved(self, session: Session, tables: Sequence[str]) -> dict[str, str]:
        """Whole-second ``UPDATE_TIME``, with size and next key to tell commits within a second.

        MyISAM: the data file's modification time, kept over restarts. InnoDB: kept in memory only,
        NULL (our "") from a restart until the first change. Neither moves twice within one second
        for a change that keeps the table's size: look again for two seconds after a move.
        """
        found = dict.fromkeys(tables, "")
        names = ",".join(text_literal(t) for t in tables if t in self._shapes)
        if not names:
            return found
        for table, at, *rest in session.rows(
            "SELECT TABLE_NAME,UPDATE_TIME,AUTO_INCREMENT,DATA_LENGTH,DATA_FREE"
            " FROM information_schema.TABLES"
            f" WHERE TABLE_SCHEMA=DATABASE() AND TABLE_NAME IN ({names})"
        ):
            name = table if table in found else table.lower()
            if at is not None:
                found[name] = "/".join((at, *(str(part) for part in rest)))
        return found

    def tail(self, session: Session, marks: Mapping[str, int], limit: int) -> Tail:
        if not self._logs:
            return Tail([], dict(marks))
        return read_tail(session.rows(tail_sql(self._logs, marks, limit)), marks)

    def entered(self, session: Session, patients: Sequence[int]) -> dict[Key, bool]:
        if not any(log.table == "securitylog" for log in self._logs):
            return {}
        return {int(key): bool(int(ours)) for key, ours in session.rows(entered_sql(patients))}
