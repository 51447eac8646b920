"""The product's ports onto the simulated practice: source, reader, writer. Faults strike here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import reduce
from operator import xor
from typing import Any

from agent.errors import PmsBusy, PmsDrift, PmsUnavailable
from agent.model.commands import Reason
from agent.model.effects import Effect, EffectKind, WriteRefused, WriterFacts, WriteUnknown, Written
from agent.model.reading import (
    BadRow,
    Column,
    Digest,
    Hint,
    Key,
    LaneFacts,
    Page,
    Past,
    ServerClock,
    SourceFacts,
    SourceGuard,
    Stamped,
    StreamFacts,
    TableFacts,
    Tail,
)
from agent.model.streams import Stream
from tests.sim.faults import Faults
from tests.sim.kernel import Kernel, Outside
from tests.sim.pms import KEYS, STAMPED, ZONE, Pms, Row, Values

TABLE_OF = {
    Stream.PROVIDER: "provider",
    Stream.OPERATORY: "operatory",
    Stream.PATIENT: "patient",
    Stream.APPOINTMENT: "appointment",
    Stream.RECALL: "recall",
    Stream.COMMUNICATION: "commlog",
}
STREAM_OF = {table: stream for stream, table in TABLE_OF.items()}
TIER_OF = {"appointment": "hot", "patient": "warm", "commlog": "cold"}


LOW_48 = 2**48 - 1


class SimSource:
    kind = "opendental"

    def __init__(self, kernel: Kernel, pms: Pms, faults: Faults) -> None:
        self.kernel, self.pms, self.faults = kernel, pms, faults
        self.bound: dict[Stream, tuple[str, ...]] = {}

    def probe(self) -> SourceFacts:
        pms = self.pms
        with Outside(self.kernel):
            self.faults.pms_statement("probe", 0.01)
        tables = {
            name: TableFacts(
                dict(table.columns), frozenset({KEYS[name]}),
                "InnoDB" if pms.is_innodb else "MyISAM", len(table.rows),
            )
            for name, table in pms.tables.items()
            if name not in pms.hidden
        }  # fmt: skip
        streams = {
            stream: StreamFacts(
                table, KEYS[table], len(pms.tables[table].rows), (table,),
                (LaneFacts(table, table, True, len(pms.tables[table].rows)),)
                if table in STAMPED else (),
                table == "appointment", TIER_OF.get(table, "warm"),
                readable=table not in pms.hidden,
            )
            for stream, table in TABLE_OF.items()
        }  # fmt: skip
        return SourceFacts(
            self.kind, pms.version, "MariaDB 10.11", pms.identity, ZONE, tables, streams
        )

    def bind(self, stream: Stream, columns: Sequence[Column]) -> None:
        self.bound[stream] = tuple(column.name for column in columns)

    def open(self) -> SimReader:
        with Outside(self.kernel):
            self.faults.pms_statement("connect", 0.005)
        return SimReader(self)


class SimReader:
    """One connection. A statement reads one instant; its answer arrives a little later."""

    def __init__(self, source: SimSource) -> None:
        self._source = source
        self._pms = source.pms
        self._is_lost = False

    def _run(self, what: str, cost_s: float, read: Callable[[], Any]) -> Any:
        faults = self._source.faults
        if self._is_lost:  # it reconnects on its next use
            with Outside(self._source.kernel):
                faults.pms_statement("connect", 0.005)
            self._is_lost = False
        try:
            with Outside(self._source.kernel):
                faults.pms_statement(what, cost_s / 2)
                found = read()
                faults.pms_answer(what, cost_s / 2)
        except PmsUnavailable as error:
            self._is_lost = not isinstance(error, PmsBusy)
            raise
        return found

    def _rows(self, stream: Stream) -> dict[int, Row]:
        table = TABLE_OF[stream]
        held = self._pms.tables[table]
        if table in self._pms.hidden:
            raise PmsDrift("pms.table_missing", table=table)
        missing = [c for c in self._source.bound.get(stream, ()) if c not in held.columns]
        if missing:
            raise PmsDrift("pms.column_missing", table=table)
        return held.rows

    def _span(self, stream: Stream, lo: Key | None, hi: Key | None) -> list[int]:
        return sorted(
            key
            for key in self._rows(stream)
            if (lo is None or key > lo) and (hi is None or key <= hi)  # type: ignore[operator]
        )

    # -- the port ---------------------------------------------------------------------------------

    def clock(self) -> ServerClock:
        def read() -> ServerClock:
            oldest = self._pms.oldest_open
            at = None if oldest is None else datetime.fromtimestamp(oldest, UTC)
            return ServerClock(self._pms.now(), at)

        return self._run("clock", 0.001, read)  # type: ignore[no-any-return]

    def guard(self) -> SourceGuard:
        pms = self._pms
        return self._run("guard", 0.002, lambda: SourceGuard(
            pms.identity, pms.version, pms.update_running, pms.corrupted, pms.rebuilding,
            pms.marks(),
        ))  # type: ignore[no-any-return]  # fmt: skip

    def moved(self, tables: Iterable[str]) -> dict[str, str]:
        pms = self._pms
        asked = list(tables)
        return self._run("moved", 0.001, lambda: {
            t: "" if pms.is_innodb and not pms.tables[t].moved_at else str(pms.tables[t].moved_at)
            for t in asked
        })  # type: ignore[no-any-return]  # fmt: skip

    def tail(self, marks: Mapping[str, int], limit: int) -> Tail:
        def read() -> Tail:
            hints: list[Hint] = []
            after: dict[str, int] = {}
            for log, rows in self._pms.logs.items():
                mark = marks.get(log)
                if mark is None:
                    after[log] = len(rows)
                    continue
                found = rows[mark : mark + limit]
                hints += [Hint(STREAM_OF[t], key, gone) for t, key, gone in found]
                after[log] = max(mark, mark + len(found))
            return Tail(hints, after)

        return self._run("tail", 0.002, read)  # type: ignore[no-any-return]

    def max_key(self, stream: Stream) -> Key | None:
        return self._run("max_key", 0.001, lambda: max(self._rows(stream), default=None))  # type: ignore[no-any-return]

    def keys_after(self, stream: Stream, key: Key | None, limit: int) -> list[Key]:
        return self._run("keys", 0.002, lambda: self._span(stream, key, None)[:limit])  # type: ignore[no-any-return]

    def keys_since(
        self, stream: Stream, lane: str, since: datetime, after: tuple[int, int] | None, limit: int
    ) -> list[Stamped]:
        def read() -> list[Stamped]:
            edge = since.timestamp()
            hits = sorted(
                (row.stamp, key)
                for key, row in self._rows(stream).items()
                if row.stamp is not None and row.stamp >= edge
            )
            later = [hit for hit in hits if after is None or hit > after]
            return [Stamped(key, stamp, key) for stamp, key in later[:limit]]

        return self._run("since", 0.003, read)  # type: ignore[no-any-return]

    def keys_in_window(
        self, stream: Stream, first: date, last: date, after: Key | None, limit: int
    ) -> list[Key]:
        def read() -> list[Key]:
            lo, hi = first.isoformat(), last.isoformat() + " 23:59:59"
            return [
                key
                for key in self._span(stream, after, None)
                if lo <= (self._rows(stream)[key].values.get("AptDateTime") or "") <= hi
            ][:limit]

        return self._run("window", 0.003, read)  # type: ignore[no-any-return]

    def read_range(self, stream: Stream, lo: Key | None, hi: Key | None, limit: int) -> Page:
        def read() -> Page:
            keys = self._span(stream, lo, hi)
            return self._page(stream, keys[:limit], exhausted=len(keys) <= limit)

        return self._run("range", 0.004, read)  # type: ignore[no-any-return]

    def read_keys(self, stream: Stream, keys: Sequence[Key]) -> Page:
        def read() -> Page:
            rows = self._rows(stream)
            return self._page(stream, sorted(k for k in keys if k in rows), exhausted=True)  # type: ignore[type-var]

        return self._run("rows", 0.003, read)  # type: ignore[no-any-return]

    def _page(self, stream: Stream, keys: Sequence[Any], *, exhausted: bool) -> Page:
        rows = self._rows(stream)
        columns = self._source.bound[stream]
        found: list[tuple[object, ...]] = []
        bad: list[BadRow] = []
        for key in keys:
            row = rows[key]
            if row.is_broken:
                bad.append(BadRow(key, "pms.row_undecodable"))
                continue
            values = [row.values.get(column) for column in columns]
            found.append((key, *row.sums(columns), *values))
        return Page(found, tuple(bad), exhausted, 1.0)

    def digest(self, stream: Stream, lo: Key | None, hi: Key | None) -> Digest:
        def read() -> Digest:
            rows, columns = self._rows(stream), self._source.bound[stream]
            sums = [rows[key].sums(columns) for key in self._span(stream, lo, hi)]
            return _mixed(sums)

        return self._run("digest", 0.004, read)  # type: ignore[no-any-return]

    def key_digest(self, stream: Stream, lo: Key | None, hi: Key | None) -> Digest:
        return self._run(  # type: ignore[no-any-return]
            "keyset", 0.002,
            lambda: _mixed([(key & LOW_48, key) for key in self._span(stream, lo, hi)]),
        )  # fmt: skip

    def nth_key(self, stream: Stream, lo: Key | None, n: int) -> Key | None:
        def read() -> Key | None:
            keys = self._span(stream, lo, None)
            return keys[n - 1] if len(keys) >= n else None

        return self._run("nth", 0.002, read)  # type: ignore[no-any-return]

    # This practice keeps no copies of records as they were, and its log names no writer.

    def past_end(self, stream: Stream) -> Key | None:
        return self._run("past", 0.001, lambda: None)  # type: ignore[no-any-return]

    def past(
        self, stream: Stream, above: Key, limit: int, *, key: Key | None = None,
        patient: Key | None = None,
    ) -> list[Past]:  # fmt: skip
        return []

    def entered(self, stream: Stream, keys: Sequence[Key]) -> dict[Key, bool]:
        return self._run("entered", 0.002, dict)  # type: ignore[no-any-return]

    def close(self) -> None:
        self._is_lost = True


def _mixed(sums: Sequence[tuple[int, int]]) -> Digest:
    return Digest(len(sums), sum(a for a, _ in sums), reduce(xor, (b for _, b in sums), 0))


# -- writing --------------------------------------------------------------------------------------

STATUS_NUMBER = {"scheduled": "1", "complete": "2", "unscheduled": "3", "broken": "5"}
PATIENT_COLUMN = {
    "last_name": "LName", "first_name": "FName", "birthdate": "Birthdate", "phone_home": "HmPhone",
    "phone_mobile": "WirelessPhone", "address": "Address", "city": "City", "postal_code": "Zip",
}  # fmt: skip
ABILITIES = frozenset(
    {EffectKind.BOOK, EffectKind.MOVE, EffectKind.CONFIRM, EffectKind.SET_STATUS, EffectKind.BREAK,
     EffectKind.NOTE_APPOINTMENT, EffectKind.CREATE_PATIENT, EffectKind.UPDATE_PATIENT,
     EffectKind.APPEND_COMMLOG, EffectKind.UPDATE_RECALL}
)  # fmt: skip


class SimWriter:
    """The vendor's API: applies an effect in one or several statements and answers, or does not.

    ``wrote``: told of every effect that reached the practice, before it is applied.
    """

    def __init__(
        self,
        kernel: Kernel,
        pms: Pms,
        faults: Faults,
        wrote: Callable[[Effect], None],
    ) -> None:
        self._kernel, self._pms, self._faults, self._wrote = kernel, pms, faults, wrote

    def probe(self) -> WriterFacts:
        self._faults.api_call("probe")
        return WriterFacts("sql" if self._faults.sql_writer else "api", abilities=ABILITIES)

    def write(self, effect: Effect) -> Written:
        with Outside(self._kernel):
            return self._write(effect)

    def _write(self, effect: Effect) -> Written:
        how = self._faults.api_call(f"write {effect.kind.value}")
        if self._pms.update_running or self._pms.rebuilding:
            raise WriteRefused(Reason.PMS_UNAVAILABLE, "write.busy")
        if how == "lost":  # it hangs in the API's queue and is done after all, or never
            delay = self._faults.lost_delay_s()
            if delay is not None:
                self._kernel.spawn("api-late", lambda: self._apply_late(effect), after=delay)
            self._kernel.sleep(5.0)
            raise WriteUnknown("write.no_answer")
        key = self._apply(effect)
        if how == "after":
            self._kernel.sleep(2.0)
            raise WriteUnknown("write.no_answer")
        if how == "mute":
            return Written(None)
        return Written(key)

    def _apply_late(self, effect: Effect) -> None:
        with suppress(WriteRefused):  # nobody hears it any more
            self._apply(effect)

    def _apply(self, effect: Effect) -> Key | None:
        self._wrote(effect)
        fields = effect.fields
        pms = self._pms
        self._faults.before_write_applies(effect)
        if effect.kind is EffectKind.CREATE_PATIENT:
            return self._create_patient(fields)
        if effect.kind is EffectKind.BOOK:
            values = self._visit_values(fields) | {
                "AptStatus": "1",
                "PatNum": fields["patient_key"],
            }
            return pms.insert("appointment", values, by="api")
        if effect.kind is EffectKind.APPEND_COMMLOG:
            values = {
                "PatNum": fields["patient_key"], "Note": self._text(fields["note"]),
                "CommDateTime": self._local(fields["at"]),
            }  # fmt: skip
            return pms.insert("commlog", values, by="api")
        key = int(effect.key or 0)
        table = TABLE_OF[effect.stream]
        row = pms.tables[table].rows.get(key)
        if row is None:
            raise WriteRefused(Reason.VALIDATION_FAILED, "write.no_such_record")
        if effect.kind is EffectKind.UPDATE_PATIENT:
            values = self._patient_values(fields)
        elif effect.kind is EffectKind.NOTE_APPOINTMENT:
            held = row.values.get("Note") or ""
            values = {"Note": f"{held}\n{fields['note']}".strip()}
        elif effect.kind is EffectKind.UPDATE_RECALL:
            names = {"note": "Note", "due": "DateDue"}
            values = {names[n]: v or "" for n, v in fields.items() if n in names}
        else:
            values = self._visit_values(fields)
            if "status" in fields:
                values["AptStatus"] = STATUS_NUMBER[fields["status"]]
            if effect.options.get("to_unscheduled") == "yes":
                values["Op"] = "0"
        pms.update(table, key, values, by="api")
        return key

    def _create_patient(self, fields: Mapping[str, Any]) -> int:
        """As the vendor does: the row, then its hash, then the guarantor."""
        values = self._patient_values(fields) | {"PatStatus": "0"}
        key = self._pms.insert("patient", values, by="api", logged=False)
        self._kernel.sleep(self._faults.half_built_s())
        self._pms.update("patient", key, {"Guarantor": str(key)}, by="api")
        return key

    def _patient_values(self, fields: Mapping[str, Any]) -> Values:
        values: Values = {}
        for name, value in fields.items():
            if name == "emails":
                values["Email"] = ",".join(value or ())
            elif name in PATIENT_COLUMN:
                blank = "0001-01-01" if name == "birthdate" else ""
                values[PATIENT_COLUMN[name]] = self._text(value) if value else blank
        return values

    def _visit_values(self, fields: Mapping[str, Any]) -> Values:
        values: Values = {}
        if "start" in fields:
            values["AptDateTime"] = self._local(fields["start"])
        if "minutes" in fields:
            values["Pattern"] = "X" * (int(fields["minutes"]) // 5)
        plain = {"provider_key": "ProvNum", "hygienist_key": "ProvHyg", "operatory_key": "Op",
                 "confirmation_key": "Confirmed"}  # fmt: skip
        for name, column in plain.items():
            if name in fields:
                values[column] = fields[name] or "0"
        if fields.get("note"):
            values["Note"] = self._text(fields["note"])
        return values

    def _local(self, instant: str) -> str:
        return self._pms.local(datetime.fromisoformat(instant))

    def _text(self, value: str) -> str:
        return self._faults.stored_text(value)

    def close(self) -> None: ...
