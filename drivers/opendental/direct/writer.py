"""``agent.ports.PmsWriter`` straight into the tables. Refuses a schema whose rows are signed.

One change is one transaction where the tables have them; else its steps are taken back one by one
when a later one fails. What can be neither finished nor taken back is reported as unknown.
Must not import a database library.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

import structlog

from agent.errors import PmsError, PmsUnavailable
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
from drivers.opendental.direct import people, records, visits
from drivers.opendental.direct.pen import Pen, PenBroken, Row, RowMoved, StepRefused, Steps
from drivers.opendental.direct.trail import Scribe
from drivers.opendental.office import Office

log = structlog.get_logger(__name__)

_KEY_BITS = 62

Deed = Callable[[Scribe, Effect], Written]

DEEDS: dict[EffectKind, Deed] = {
    EffectKind.BOOK: visits.book,
    EffectKind.MOVE: visits.move,
    EffectKind.CONFIRM: visits.confirm,
    EffectKind.SET_STATUS: visits.set_status,
    EffectKind.BREAK: visits.break_,
    EffectKind.NOTE_APPOINTMENT: visits.note_appointment,
    EffectKind.CREATE_PATIENT: people.create_patient,
    EffectKind.UPDATE_PATIENT: people.update_patient,
    EffectKind.SET_CONSENT: people.set_consent,
    EffectKind.APPEND_COMMLOG: records.append_commlog,
    EffectKind.APPEND_NOTE: records.append_note,
    EffectKind.RECORD_PERIO: records.record_perio,
    EffectKind.UPDATE_RECALL: records.update_recall,
    EffectKind.SET_CUSTOM: records.set_custom,
    EffectKind.ATTACH_DOCUMENT: records.attach_document,
}

_EDITS_OF_A_ROW = {
    EffectKind.UPDATE_PATIENT: "patient",
    EffectKind.SET_CONSENT: "patient",
    EffectKind.UPDATE_RECALL: "recall",
}

# The tables each kind writes: without one of them it is not offered.
_APPOINTMENT = ("appointment", "histappointment", "securitylog", "signalod")
_TABLES: dict[EffectKind, tuple[str, ...]] = {
    EffectKind.BOOK: (*_APPOINTMENT, "patient", "recall"),
    EffectKind.MOVE: (*_APPOINTMENT, "patient", "recall"),
    EffectKind.CONFIRM: _APPOINTMENT,
    EffectKind.SET_STATUS: (*_APPOINTMENT, "recall"),
    EffectKind.BREAK: (*_APPOINTMENT, "recall", "commlog"),
    EffectKind.NOTE_APPOINTMENT: _APPOINTMENT,
    EffectKind.CREATE_PATIENT: ("patient", "securitylog"),
    EffectKind.UPDATE_PATIENT: ("patient", "securitylog"),
    EffectKind.SET_CONSENT: ("patient", "commoptout", "securitylog"),
    EffectKind.APPEND_COMMLOG: ("commlog", "securitylog"),
    EffectKind.APPEND_NOTE: ("procnote", "procedurelog", "securitylog"),
    EffectKind.RECORD_PERIO: ("perioexam", "periomeasure", "securitylog", "signalod"),
    EffectKind.UPDATE_RECALL: ("recall", "securitylog"),
    EffectKind.SET_CUSTOM: ("patfield", "patfielddef", "securitylog"),
    EffectKind.ATTACH_DOCUMENT: ("document",),
}
_BESIDE = ("securityloghash", "entrylog", "custreference", "phonenumber")
IN_DATABASE = "0"  # preference AtoZfolderUsed: files are rows


class DirectWriter:
    """``agent.ports.PmsWriter``. ``allowed``: IT switched it on. ``open_pen`` logs in to write.
    ``is_vendors``: a real Open Dental, whose maker forbids this."""

    def __init__(
        self,
        open_pen: Callable[[], Pen],
        open_office: Callable[[], Office],
        *,
        allowed: bool,
        is_vendors: bool = True,
    ) -> None:
        self._open_pen = open_pen
        self._open_office = open_office
        self._allowed = allowed
        self._is_vendors = is_vendors
        self._pen: Pen | None = None
        self._office: Office | None = None
        self._facts = WriterFacts(kind="sql")
        self._held: tuple[Effect, dict[tuple[str, int], Row]] | None = None

    # --- probing --------------------------------------------------------------------------------

    def probe(self) -> WriterFacts:
        """Raises PmsUnavailable; everything else that stands in the way is a finding."""
        self.close()
        if not self._allowed:
            return self._keep(self._none("write.sql_not_allowed", Severity.WARNING))
        office = self._begin_office()
        if office.hashes_rows:
            return self._keep(self._none("write.sql_rows_hashed", Severity.ERROR))
        pen = self._connected()
        missing = {kind: why for kind in DEEDS if (why := self._why_not(kind, pen, office))}
        findings = [Finding("write.sql_direct", Severity.WARNING)] if self._is_vendors else []
        if not self._is_atomic(pen):
            findings.append(Finding("write.sql_stepwise", Severity.NOTE, {"engine": "MyISAM"}))
        return self._keep(
            WriterFacts(
                kind="sql",
                version=".".join(map(str, office.version)),
                abilities=frozenset(DEEDS.keys() - missing.keys()),
                missing=missing,
                findings=tuple(findings),
            )
        )

    def _keep(self, facts: WriterFacts) -> WriterFacts:
        self._facts = facts
        return facts

    def _none(self, code: str, severity: Severity) -> WriterFacts:
        version = ".".join(map(str, self._office.version)) if self._office else ""
        finding = Finding(code, severity, {"version": version})
        return WriterFacts(
            kind="none", version=version, missing=dict.fromkeys(DEEDS, code), findings=(finding,)
        )

    def _why_not(self, kind: EffectKind, pen: Pen, office: Office) -> str:
        if any(pen.table(table) is None for table in _TABLES[kind]):
            return "write.version_too_old"
        if kind is EffectKind.ATTACH_DOCUMENT and (
            office.preference("AtoZfolderUsed") != IN_DATABASE
        ):
            return "write.documents_outside"
        return ""

    def _is_atomic(self, pen: Pen) -> bool:
        names = {*_BESIDE, *(name for tables in _TABLES.values() for name in tables)}
        return all(shape.is_atomic for name in names if (shape := pen.table(name)) is not None)

    def _begin_office(self) -> Office:
        try:
            self._office = self._open_office()
        except PmsUnavailable:
            raise
        except PmsError as error:
            raise PmsUnavailable(error.code, **error.facts) from None
        return self._office

    def _connected(self) -> Pen:
        if self._pen is None:
            try:
                self._pen = self._open_pen()
            except PmsUnavailable:
                raise
            except PmsError as error:
                raise PmsUnavailable(error.code, **error.facts) from None
        return self._pen

    # --- writing --------------------------------------------------------------------------------

    def hold(self, effect: Effect) -> None:
        """``agent.ports.HoldingWriter``, for edits of one row; others read for themselves."""
        self._held = None
        table = _EDITS_OF_A_ROW.get(effect.kind)
        if table is None or effect.key is None or effect.kind not in self._facts.abilities:
            return
        try:
            pen = self._connected()
            row = Steps(pen, atomic=True, random_key=None).row(table, int(effect.key))
        except PenBroken:
            self._drop_pen()
            raise PmsUnavailable("pms.unreachable") from None
        except StepRefused:  # the write meets it, too, and says why
            return
        if row is not None:
            self._held = effect, {(table, int(effect.key)): row}

    def write(self, effect: Effect) -> Written:
        held, self._held = self._held, None
        if effect.kind not in self._facts.abilities:
            code = self._facts.missing.get(effect.kind, "write.switched_off")
            raise WriteRefused(Reason.NOT_SUPPORTED, code)
        if self._office is None:
            raise PmsUnavailable("pms.not_probed")
        try:
            pen = self._connected()
            now = self._office.clock.of_utc(pen.utc_now())
            random = self._random_key if self._draws_keys() else None
            steps = Steps(
                pen,
                atomic=self._is_atomic(pen),
                random_key=random,
                held=held[1] if held is not None and held[0] is effect else None,
            )
            if self._is_atomic(pen):
                pen.begin()
        except PenBroken:
            self._drop_pen()
            raise PmsUnavailable("pms.unreachable") from None
        return self._carry_out(steps, pen, Scribe(steps, self._office, now), effect)

    def _carry_out(self, steps: Steps, pen: Pen, scribe: Scribe, effect: Effect) -> Written:
        try:
            written = DEEDS[effect.kind](scribe, effect)
        except WriteRefused as refusal:
            self._take_back(steps, effect)
            log.info("pms.write_refused", kind=effect.kind, reason=refusal.reason,
                     code=refusal.code)  # fmt: skip
            raise
        except StepRefused as step:
            self._take_back(steps, effect)
            reason = Reason.VALIDATION_FAILED
            if step.code == "write.right_missing":
                reason = Reason.PERMISSION_DENIED
            raise WriteRefused(reason, step.code) from None
        except RowMoved:
            self._take_back(steps, effect)
            raise WriteRefused(Reason.LOCKED_BY_USER, "write.record_moved") from None
        except PenBroken:
            self._drop_pen()
            raise self._after_break(steps, pen) from None
        except PmsError as error:  # the reading side, before or between steps
            self._take_back(steps, effect)
            raise PmsUnavailable(error.code, **error.facts) from None
        if self._is_atomic(pen):
            self._commit(pen)
        return written

    def _commit(self, pen: Pen) -> None:
        try:
            pen.commit()
        except (PenBroken, StepRefused):
            self._drop_pen()
            raise WriteUnknown("write.answer_cut") from None

    def _after_break(self, steps: Steps, pen: Pen) -> PmsUnavailable | WriteUnknown:
        if self._is_atomic(pen):  # never committed: the server has dropped it
            return PmsUnavailable("pms.unreachable")
        return WriteUnknown("write.partly_done" if steps.any_done else "write.answer_cut")

    def _take_back(self, steps: Steps, effect: Effect) -> None:
        """Raises WriteUnknown when not everything could be taken back."""
        try:
            steps.take_back()
        except (PenBroken, RowMoved, StepRefused) as error:
            self._drop_pen()
            log.error("pms.write_half_done", kind=effect.kind, cause=type(error).__name__)
            raise WriteUnknown("write.partly_done") from None

    def _draws_keys(self) -> bool:
        assert self._office is not None
        return self._office.preference("RandomPrimaryKeys") == "1"

    @staticmethod
    def _random_key() -> int:
        return secrets.randbits(_KEY_BITS) + 1

    def _drop_pen(self) -> None:
        pen, self._pen = self._pen, None
        if pen is not None:
            pen.close()

    def close(self) -> None:
        self._drop_pen()
        office, self._office = self._office, None
        if office is not None:
            office.close()
