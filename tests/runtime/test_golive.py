"""The five go-live tests against two sides in memory (mocks): what each of them must notice.

The whole command on a real sample practice is in ``tests/cli/test_verify.py``.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agent.crm.pairing import new_key
from agent.errors import PmsUnavailable
from agent.model.commands import CommandOutcome, CommandType, EndState, Reason
from agent.model.effects import EffectKind
from agent.model.golive import GoLiveReport, Proof, SignedReport, Test
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.runtime.golive import report as reports
from agent.runtime.golive.five import DAYS_AHEAD, DAYS_TRIED, FiveTests, Setting
from agent.support.messages import Catalogue

Place = tuple[Stream, Key]
Rows = dict[Place, dict[str, Any]]


class Practice:
    """Records and deeds of a practice in memory. ``crm`` receives a copy of every change."""

    def __init__(self) -> None:
        self.rows: Rows = {}
        self.crm: Rows = {}
        self.spoil: Callable[[Place, dict[str, Any]], dict[str, Any] | None] = lambda _, r: r
        self.refuse: frozenset[EffectKind] = frozenset()
        self.taken: set[date] = set()

    def create(self, kind: EffectKind, stream: Stream, fields: dict[str, Any]) -> Key:
        return self._put(kind, (stream, len(self.rows) + 1), fields)

    def change(
        self,
        kind: EffectKind,
        stream: Stream,
        key: Key,
        fields: dict[str, Any],
        options: dict[str, str] | None = None,
    ) -> None:
        changed = {"status": "broken"} if kind is EffectKind.BREAK else fields
        self._put(kind, (stream, key), changed)

    def _put(self, kind: EffectKind, place: Place, fields: dict[str, Any]) -> Key:
        if kind in self.refuse:
            raise PmsUnavailable
        self.rows[place] = {**self.rows.get(place, {}), **fields, "key": str(place[1])}
        sent = self.spoil(place, dict(self.rows[place]))
        if sent is not None:
            self.crm[place] = sent
        return place[1]

    # --- as the driver reads it ------------------------------------------------------------------

    def record(self, stream: Stream, key: Key) -> dict[str, Any] | None:
        return self.rows.get((stream, key))

    def is_free(self, operatory_key: str, day: date) -> bool:
        return day not in self.taken

    def max_key(self, stream: Stream) -> Key | None:
        return max((int(k) for s, k in self.rows if s is stream), default=None)

    def above(self, stream: Stream, floor: Key | None) -> list[dict[str, Any]]:
        low = int(floor or 0)
        return [row for (s, k), row in self.rows.items() if s is stream and int(k) > low]

    def hashes(self, places: Iterable[Place]) -> dict[Place, bytes]:
        return {place: _hash(self.rows[place]) for place in places}


class Crm:
    """What the CRM holds; an edit is written into the practice unless ``owner`` is the PMS."""

    def __init__(self, practice: Practice, *, answers: bool = True, is_shared: bool = True) -> None:
        self._practice = practice
        self._answers = answers
        self._is_shared = is_shared

    def record(self, stream: Stream, key: Key) -> dict[str, Any] | None:
        return self._practice.crm.get((stream, key))

    def differing(self, held: Mapping[Place, bytes]) -> set[Place]:
        rows = self._practice.crm
        return {p for p, digest in held.items() if p not in rows or _hash(rows[p]) != digest}

    def rehearse(
        self, kind: CommandType, key: Key, payload: dict[str, Any], expected: dict[str, Any]
    ) -> str:
        if self._answers and self._is_shared:
            self._practice.change(EffectKind.UPDATE_PATIENT, Stream.PATIENT, key, payload["fields"])
        return "c-1"

    def outcome(self, command_id: str) -> CommandOutcome | None:
        if not self._answers:
            return None
        if self._is_shared:
            return CommandOutcome(EndState.APPLIED)
        return CommandOutcome(EndState.REJECTED, Reason.POLICY_BLOCKED)


def _hash(row: dict[str, Any]) -> bytes:
    return json.dumps(row, sort_keys=True).encode()


def run(
    practice: Practice, crm: Crm | None = None, *, is_shared: bool = True
) -> tuple[dict[Test, Proof], FiveTests]:
    setting = Setting("9", None, "America/New_York", is_shared, within_s=0.2, crowd=3)
    tests = FiveTests(
        practice,  # type: ignore[arg-type]
        practice,
        crm or Crm(practice, is_shared=is_shared),
        setting,
        lambda _, __: None,
        random.Random(1),
    )
    return {proof.test: proof for proof in tests.run()}, tests


def failed(proofs: dict[Test, Proof]) -> set[Test]:
    return {test for test, proof in proofs.items() if not proof.passed}


def codes(proof: Proof) -> set[str]:
    return {step.code for step in proof.steps if not step.passed}


def test_all_pass_and_everything_is_put_away() -> None:
    practice = Practice()
    proofs, tests = run(practice)
    assert list(proofs) == list(Test)
    assert failed(proofs) == set()
    assert len(tests.arrivals_ms) == 6
    assert tests.left_behind == 0
    for (stream, _), row in practice.rows.items():
        assert row["status"] == ("archived" if stream is Stream.PATIENT else "unscheduled")


def test_a_field_that_arrives_wrong_is_named() -> None:
    practice = Practice()
    practice.spoil = lambda place, row: {**row, "birthdate": "1985-12-04"}
    proofs, _ = run(practice)
    (wrong,) = [s for s in proofs[Test.NEW_PATIENT].steps if not s.passed]
    assert (wrong.code, wrong.facts["fields"]) == ("golive.fields_right", "birthdate")
    assert Test.CROWD in failed(proofs)  # compared by content


def test_a_patient_doubled_on_the_way_is_seen() -> None:
    practice = Practice()

    def double(place: Place, row: dict[str, Any]) -> dict[str, Any]:
        if place[0] is Stream.PATIENT and (place[0], 99) not in practice.rows:
            practice.rows[place[0], 99] = practice.crm[place[0], 99] = {**row, "key": "99"}
        return row

    practice.spoil = double
    proofs, _ = run(practice)
    assert codes(proofs[Test.NEW_PATIENT]) == {"golive.no_duplicate"}


def test_what_never_arrives_fails_and_what_needs_it_is_not_run() -> None:
    practice = Practice()
    practice.spoil = lambda place, row: None
    proofs, _ = run(practice)
    assert failed(proofs) == set(Test)
    practice = Practice()
    practice.refuse = frozenset({EffectKind.BOOK})
    proofs, _ = run(practice)
    assert proofs[Test.CANCELLATION].skipped == "golive.needs_earlier"
    assert not proofs[Test.NEW_PATIENT].skipped


def test_a_visit_linked_to_somebody_else() -> None:
    practice = Practice()
    practice.spoil = lambda place, row: (
        {**row, "patient_key": "77"} if place[0] is Stream.APPOINTMENT else row
    )
    proofs, _ = run(practice)
    assert codes(proofs[Test.BOOKING]) == {"golive.visit_linked"}


@pytest.mark.parametrize("is_shared", [True, False])
def test_a_phone_obeys_its_owner(is_shared: bool) -> None:
    proofs, _ = run(Practice(), is_shared=is_shared)
    assert proofs[Test.OWNERSHIP].passed
    practice = Practice()
    proofs, _ = run(practice, Crm(practice, is_shared=not is_shared), is_shared=is_shared)
    assert not proofs[Test.OWNERSHIP].passed


def test_the_first_day_nobody_is_booked_is_taken() -> None:
    first = datetime.now(ZoneInfo("America/New_York")).date() + timedelta(days=DAYS_AHEAD)
    practice = Practice()
    practice.taken = {first, first + timedelta(days=1)}
    run(practice)
    starts = {r["start"][:10] for (s, _), r in practice.rows.items() if s is Stream.APPOINTMENT}
    assert starts == {str(first + timedelta(days=2))}
    practice = Practice()
    practice.taken = {first + timedelta(days=n) for n in range(DAYS_TRIED)}
    proofs, _ = run(practice)
    assert {Test.BOOKING, Test.CROWD} <= failed(proofs)


def test_a_command_nobody_answers() -> None:
    practice = Practice()
    proofs, _ = run(practice, Crm(practice, answers=False))
    assert "golive.crm_edit_answered" in codes(proofs[Test.OWNERSHIP])


def test_what_cannot_be_put_away_is_counted() -> None:
    practice = Practice()
    practice.refuse = frozenset({EffectKind.SET_STATUS})
    proofs, tests = run(practice)
    assert failed(proofs) == set()
    assert tests.left_behind == 4


# --- the report ----------------------------------------------------------------------------------


def made(passed: bool = True, *, is_sample: bool = False, at: str = "2026-11-20T08:00:00Z") -> Any:
    practice = Practice()
    proofs, tests = run(practice)
    return GoLiveReport(
        made_at=at, agent_version="1", practice_id="demo", is_sample=is_sample, pms_kind="sample",
        pms_version="24", writer="sql", passed=passed, proofs=tuple(proofs.values()),
        median_ms=12.0, slowest_ms=30.0, left_behind=tests.left_behind,
    )  # fmt: skip


def test_a_report_is_genuine_until_a_character_changes() -> None:
    key, other = new_key(), new_key()
    signed = reports.signed(made(), key)
    assert reports.is_genuine(signed, key)
    assert not reports.is_genuine(signed, other)
    text = signed.report.replace('"slowest_ms": 30.0', '"slowest_ms": 13.0')
    assert text != signed.report
    assert not reports.is_genuine(SignedReport(text, signed.key_id, signed.signature), key)


def test_the_first_that_passed_is_the_baseline(tmp_path: Path) -> None:
    key, catalogue = new_key(), Catalogue.load()
    for number, (passed, is_sample) in enumerate([(False, False), (True, True), (True, False)]):
        at = f"2026-11-2{number}T08:00:00Z"
        signed = reports.signed(made(passed, is_sample=is_sample, at=at), key)
        as_json, as_html = reports.save(signed, tmp_path, catalogue)
        assert reports.is_genuine(reports.read(as_json), key)
        assert as_html.read_text().startswith("<!doctype html>")
        assert (tmp_path / reports.BASELINE).exists() is (number == 2)
    assert reports.opened(reports.read(tmp_path / reports.BASELINE)).made_at[:10] == "2026-11-22"
    reports.save(reports.signed(made(at="2026-12-01T08:00:00Z"), key), tmp_path, catalogue)
    assert reports.opened(reports.read(tmp_path / reports.BASELINE)).made_at[:10] == "2026-11-22"


def test_the_page_shows_each_step_and_escapes() -> None:
    report = made()
    report = GoLiveReport(**{**{f: getattr(report, f) for f in report.__struct_fields__},
                             "practice_id": "<b>x"})  # fmt: skip
    page = reports.page(reports.signed(report, new_key()), Catalogue.load())
    assert "<b>x" not in page
    assert "&lt;b&gt;x" in page
    assert page.count("<section>") == 5
