"""Writing over ODBC through what a site's licence opens: columns of views or tables, procedures.

A *route* says where one canonical field is written. Nothing is written that has no route, and every
route is tried with an UPDATE of no row (or looked up in the catalogue) before it is offered; the
rest are tasks for the front desk. A write names the values it read, so a row somebody has touched
since is left alone. Must not import a database library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from agent.errors import PmsBusy, PmsDrift, PmsError, PmsRefused, PmsUnavailable
from agent.model.commands import Reason
from agent.model.effects import (
    Effect,
    EffectKind,
    WriteRefused,
    WriterFacts,
    WriteUnknown,
    Written,
)
from agent.model.reading import Finding, Severity
from agent.model.streams import Stream
from drivers.base import Effort, RowTrouble
from drivers.odbc import wire
from drivers.odbc.keys import code_of_one, text_of
from drivers.odbc.session import Door, OdbcSession, ReaderDied, ReaderOverdue
from drivers.odbc.source import OdbcSource
from drivers.opendental import spelling as spell


class As(StrEnum):
    """How a canonical value is spelled in a column."""

    TEXT = "text"
    NAME = "name"
    PHONE = "phone"
    EMAILS = "emails"
    DATE = "date"
    KEY = "key"  # the vendor's own key behind the engine's number
    APPENDED = "appended"  # a line more below what stands there
    ANSWER = "answer"  # yes or no, as this site spells it
    NOW = "now"  # the moment it was said; nothing when it was taken back


class Route(msgspec.Struct, frozen=True):
    """Where a field is written: ``column`` of ``table`` where ``key`` is the record's, or a
    ``procedure`` of (key, value). ``when``: canonical values this route can say, () for any;
    ``words``: what is written for each, where the site's own numbers stand for words."""

    stream: Stream
    field: str
    table: str = ""
    key: str = ""
    column: str = ""
    procedure: str = ""
    spelled: As = As.TEXT
    when: tuple[str, ...] = ()
    words: dict[str, str] = {}


KIND_OF: Mapping[tuple[Stream, str], EffectKind] = {
    (Stream.APPOINTMENT, "confirmation_key"): EffectKind.CONFIRM,
    (Stream.APPOINTMENT, "confirmation_category"): EffectKind.CONFIRM,
    (Stream.APPOINTMENT, "note"): EffectKind.NOTE_APPOINTMENT,
    (Stream.PATIENT, "sms_consent"): EffectKind.SET_CONSENT,
    (Stream.PATIENT, "email_consent"): EffectKind.SET_CONSENT,
}
"""What a routed field is good for; any other field of a patient is UPDATE_PATIENT.

Booking and moving are never offered: whether a place may be taken depends on hours neither vendor
lets be read, and only a person can know them.
"""

Param = wire.Param
Statement = tuple[str, Sequence[Param], int]


class OdbcWriter:
    """``agent.ports.PmsWriter`` over routes. ``source``: the site; ``door``: logins that may write.

    ``region``: whose national form telephone numbers have. ``closed``: why what has no route is not
    offered.
    """

    def __init__(
        self,
        source: OdbcSource,
        door: Door,
        routes: Sequence[Route],
        *,
        region: str = "US",
        closed: str = "write.no_route",
    ) -> None:
        self._source = source
        self._door = door
        self._routes = tuple(routes)
        self._region = region
        self._closed = closed
        self._owner = ""
        self._zone = "UTC"
        self._has_looked = False
        self._session: OdbcSession | None = None
        self._live: dict[tuple[Stream, str], Route] = {}
        self._answers: dict[str, tuple[str, str]] = {}
        self._facts = WriterFacts(kind="none")
        self._held: tuple[Effect, list[Statement]] | None = None

    # --- probing --------------------------------------------------------------------------------

    def probe(self) -> WriterFacts:
        """Raises PmsUnavailable; everything else that stands in the way is a finding."""
        self.close()
        self._live.clear()
        missing = dict.fromkeys(EffectKind, self._closed)
        findings: list[Finding] = []
        if not self._routes:
            return self._keep(missing, [Finding(self._closed, Severity.NOTE)])
        self._look()
        session = self._connected()
        for route in self._routes:
            why = self._why_not(session, route)
            kind = kind_of(route)
            if not why:
                self._live[route.stream, route.field] = route
                missing.pop(kind, None)
            elif kind in missing and missing[kind] == self._closed:
                missing[kind] = why
        refused = sorted({code for code in missing.values() if code != self._closed})
        findings += [Finding(code, Severity.WARNING) for code in refused]
        return self._keep(missing, findings)

    def _look(self) -> None:
        """Whose the tables are, and the practice's zone; asked once, for that counts every table.
        Raises PmsUnavailable."""
        if self._has_looked:
            return
        try:
            facts = self._source.probe()
        except PmsError as error:
            raise PmsUnavailable(error.code, **error.facts) from None
        owner = self._source.site.owner
        self._owner = f"{owner}." if owner else ""
        self._zone = facts.zone
        self._has_looked = True
        self._door.row_limit = self._source.door.row_limit

    def _keep(self, missing: dict[EffectKind, str], findings: Sequence[Finding]) -> WriterFacts:
        abilities = frozenset(EffectKind) - missing.keys()
        self._facts = WriterFacts(
            kind="sql" if abilities else "none",
            mode="routes" if abilities else "",
            abilities=abilities,
            missing=missing,
            findings=tuple(findings),
            rest_by_desk=True,
        )
        return self._facts

    def _why_not(self, session: OdbcSession, route: Route) -> str:
        """A message code, or "" when the route is open."""
        try:
            if route.procedure:
                owner = self._owner.removesuffix(".")
                found = session.catalogue("procedures", route.procedure, owner).rows
                return "" if found else "write.route_missing"
            name = route.column
            session.act(
                [(f"UPDATE {self._owner}{route.table} SET {name}={name} WHERE 1=0", (), 0)],
                Effort.PROBE,
            )
            if route.spelled is As.ANSWER and not self._learn_answers(session, route):
                return "write.spelling_unknown"
        except PmsRefused:
            return "write.right_missing"
        except (ReaderDied, ReaderOverdue, PmsUnavailable) as error:
            raise PmsUnavailable(error.code, **error.facts) from None
        except (PmsError, RowTrouble):
            return "write.route_missing"
        return ""

    def _learn_answers(self, session: OdbcSession, route: Route) -> bool:
        """How this site spells yes and no: both must stand in the column already."""
        rows = session.rows(
            f"SELECT t.{route.column},COUNT(*) FROM {self._owner}{route.table} t"
            f" GROUP BY t.{route.column}",
            Effort.PROBE,
        )
        said = {str(row[0]).strip().casefold(): str(row[0]).strip() for row in rows if row[0]}
        for yes, no in (("y", "n"), ("1", "0"), ("yes", "no"), ("t", "f"), ("true", "false")):
            if yes in said and no in said:
                self._answers[route.column] = (said[yes], said[no])
                return True
        return False

    # --- writing --------------------------------------------------------------------------------

    def hold(self, effect: Effect) -> None:
        """``agent.ports.HoldingWriter``."""
        self._held = effect, self._prepared(effect)

    def write(self, effect: Effect) -> Written:
        held, self._held = self._held, None
        statements = held[1] if held is not None and held[0] is effect else self._prepared(effect)
        self._act(self._connected(), statements)
        return Written(effect.key)

    def _prepared(self, effect: Effect) -> list[Statement]:
        if effect.kind not in self._facts.abilities:
            code = self._facts.missing.get(effect.kind, "write.switched_off")
            raise WriteRefused(Reason.NOT_SUPPORTED, code)
        if effect.key is None:
            raise WriteRefused(Reason.NOT_SUPPORTED, "write.field_unsupported")
        routes = [self._route(effect, name) for name in effect.fields]
        try:
            return self._statements(self._connected(), effect, routes)
        except WriteRefused:
            raise
        except PmsError as error:
            raise PmsUnavailable(error.code, **error.facts) from None

    def _route(self, effect: Effect, name: str) -> Route:
        route = self._live.get((effect.stream, name))
        if route is None or kind_of(route) is not effect.kind:
            raise spell.unsupported()
        value = effect.fields[name]
        if (route.when and value not in route.when) or (route.words and value not in route.words):
            raise spell.unsupported("write.value_unsupported")
        return route

    def _statements(
        self, session: OdbcSession, effect: Effect, routes: Sequence[Route]
    ) -> list[Statement]:
        made: list[Statement] = []
        for table, key in dict.fromkeys((r.table, r.key) for r in routes if not r.procedure):
            own = [r for r in routes if (r.table, r.key) == (table, key)]
            made.append(self._update(session, effect, table, key, own))
        for route in routes:
            if route.procedure:
                native = self._native(session, route, effect)
                value = self._spelled(route, effect.fields[route.field], None)
                made.append((f"{{call {self._owner}{route.procedure}(?,?)}}", (native, value), -1))
        return made

    def _update(
        self, session: OdbcSession, effect: Effect, table: str, key: str, routes: Sequence[Route]
    ) -> Statement:
        native = self._native(session, routes[0], effect)
        names = [route.column for route in routes]
        read = session.rows(
            f"SELECT {','.join(names)} FROM {self._owner}{table} WHERE {key}=?", params=(native,)
        )
        if len(read) != 1:
            raise WriteRefused(Reason.VERSION_CONFLICT, "write.record_gone")
        sets, held, params, still = [], [], [], []
        for route, old in zip(routes, read[0], strict=True):
            sets.append(f"{route.column}=?")
            params.append(self._spelled(route, effect.fields[route.field], old))
            if old is None:
                held.append(f"{route.column} IS NULL")
            elif route.spelled not in {As.NOW, As.DATE}:  # text of a moment is no parameter
                held.append(f"{route.column}=?")
                still.append(old)
        where = " AND ".join([f"{key}=?", *held])
        sql = f"UPDATE {self._owner}{table} SET {','.join(sets)} WHERE {where}"
        return sql, (*params, native, *still), 1

    def _native(self, session: OdbcSession, route: Route, effect: Effect) -> Param:
        """The vendor's key behind the engine's number; looked for where only the rows can tell."""
        code = int(effect.key or 0)
        plain = text_of(code)
        if route.procedure or (plain is not None and route.stream is not Stream.PATIENT):
            return code if plain is None or plain == str(code) else plain
        if plain is None:
            for (found,) in session.rows(f"SELECT {route.key} FROM {self._owner}{route.table}"):
                if code_of_one(found) == code:
                    return str(found)
            raise WriteRefused(Reason.PATIENT_NOT_FOUND, "write.record_gone")
        types = session.query(f"SELECT {route.key} FROM {self._owner}{route.table} WHERE 1=0").types
        return plain if types[:1] == ("str",) else code

    def _spelled(self, route: Route, value: Any, old: wire.Cell) -> Param:
        if route.words:
            word = route.words[value]
            return int(word) if word.lstrip("-").isdigit() else word
        match route.spelled:
            case As.TEXT:
                return spell.text_of(value)
            case As.NAME:
                return " ".join(spell.text_of(value).split())
            case As.PHONE:
                return spell.phone_of(value, self._region)
            case As.EMAILS:
                return spell.emails_of(value)
            case As.DATE:
                if not value:
                    return None
                return wire.Moment(spell.day_of(value), date_only=True)
            case As.KEY:
                return _key(value)
            case As.APPENDED:
                added = spell.text_of(value)
                if not added:
                    raise spell.refused("write.value_invalid")
                held = str(old or "").rstrip()
                return f"{held}\r\n{added}" if held else added
            case As.ANSWER:
                if value not in {"granted", "denied"}:
                    raise spell.unsupported("write.value_unsupported")
                return self._answers[route.column][value == "denied"]
            case As.NOW:
                return None if value == "unconfirmed" else wire.Moment(self._now())

    def _now(self) -> str:
        local = datetime.now(UTC).astimezone(ZoneInfo(self._zone))
        return local.replace(tzinfo=None, microsecond=0).isoformat(" ")

    def _act(self, session: OdbcSession, statements: Sequence[Statement]) -> None:
        try:
            reply = session.act(statements)
        except (ReaderDied, ReaderOverdue, PmsUnavailable):
            raise WriteUnknown("write.answer_cut") from None
        except PmsBusy:
            raise WriteRefused(Reason.LOCKED_BY_USER, "write.row_locked") from None
        except PmsRefused:
            raise WriteRefused(Reason.PERMISSION_DENIED, "write.right_missing") from None
        except (PmsDrift, PmsError, RowTrouble):
            raise WriteRefused(Reason.VALIDATION_FAILED, "write.not_accepted") from None
        if isinstance(reply, wire.Undone):
            raise WriteRefused(Reason.LOCKED_BY_USER, "write.record_moved")

    def _connected(self) -> OdbcSession:
        """Raises PmsUnavailable: certainly nothing was sent."""
        if self._session is None:
            self._session = OdbcSession(self._door)
        try:
            self._session.connect()
        except PmsError as error:
            raise PmsUnavailable(error.code, **error.facts) from None
        return self._session

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()


_BY_FIELD = {
    "note": As.APPENDED, "emails": As.EMAILS, "sms_consent": As.ANSWER,
    "email_consent": As.ANSWER, "birthdate": As.DATE,
}  # fmt: skip
_BY_WORD = {"phone": As.PHONE, "key": As.KEY, "byte": As.KEY, "name": As.NAME, "date": As.DATE}


def spelled_of(field: str, transform: str) -> As:
    """How a field of a site's map is written, by what it is and how it is read."""
    word = transform.partition(":")[0]
    return _BY_FIELD.get(field) or _BY_WORD.get(word, As.TEXT)


def kind_of(route: Route) -> EffectKind:
    return KIND_OF.get((route.stream, route.field), EffectKind.UPDATE_PATIENT)


def _key(value: Any) -> Param:
    if value is None or value == "":
        return None
    try:
        code = int(value)
    except (TypeError, ValueError):
        raise spell.refused("write.value_invalid") from None
    plain = text_of(code)
    if plain is None:
        raise spell.refused("write.value_invalid")
    return code if plain == str(code) else plain
