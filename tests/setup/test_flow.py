"""The flow without a window: every step against a real CRM server and a real sample practice."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from agent.cli.stage import Stage
from agent.config import Paths, load_settings, open_secrets
from agent.control.server import Caller
from agent.crm.pairing import PairingStore
from agent.errors import AgentError, ConfigError, CrmAuthError
from agent.model import setup as ask
from agent.model.asking import Role
from agent.model.setup import Step
from agent.model.streams import Stream
from agent.runtime.host import site_map
from agent.runtime.setup.flow import Setup

ME = Caller("tester", Role.ADMIN)


def place(box: Stage) -> dict[str, Any]:
    return {"pms.kind": "sample", "pms.sqlite_path": str(box.practice_file)}


@pytest.fixture
def paired(flow: Setup, box: Stage) -> Setup:
    flow.answer(ask.PairByCode(box.crm.new_code(), box.crm.url), ME)
    flow.answer(ask.ConfirmPractice(is_ours=True), ME)
    return flow


@pytest.fixture
def known(paired: Setup, box: Stage) -> Setup:
    """Up to a practice that a person knew again."""
    assert paired.answer(ask.UsePms(place(box)), ME).works
    proof = paired.answer(ask.GetProof(), ME)
    paired.answer(ask.ConfirmProof(proof.identity), ME)
    return paired


def missing(flow: Setup) -> Step | None:
    return flow.answer(ask.GetSetup(), ME).next


def test_it_begins_with_the_link(flow: Setup) -> None:
    view = flow.answer(ask.GetSetup(), ME)
    assert (view.next, view.finished) == (Step.PAIR, False)


def test_the_code_shows_whose_it_is(flow: Setup, box: Stage, paths: Paths) -> None:
    told = flow.answer(ask.PairByCode(box.crm.new_code(), box.crm.url), ME)
    assert told.practice_name == "Willow Creek Dental"
    assert missing(flow) is Step.PAIR  # until a person says yes
    view = flow.answer(ask.ConfirmPractice(is_ours=False), ME)
    assert view.next is Step.PAIR
    assert PairingStore(open_secrets(paths)).find() is None


def test_a_wrong_code_changes_nothing(paired: Setup, box: Stage, paths: Paths) -> None:
    before = PairingStore(open_secrets(paths)).find()
    with pytest.raises(CrmAuthError):
        paired.answer(ask.PairByCode("WRONG-CODE", box.crm.url), ME)
    assert PairingStore(open_secrets(paths)).find() == before
    assert missing(paired) is Step.FIND


def test_a_place_is_kept_only_when_it_can_be_read(paired: Setup, paths: Paths) -> None:
    wrong = {"pms.kind": "opendental", "pms.host": "no-such-server.invalid"}
    told = paired.answer(ask.UsePms(wrong, {"pms.password": "hunter2"}), ME)
    assert not told.works
    assert told.steps[-1].facts["step"] == "host"
    assert "no-such-server" not in paths.config_file.read_text(encoding="utf-8")
    assert open_secrets(paths).get("pms.password") is None
    assert missing(paired) is Step.FIND


def test_a_secret_is_no_place(paired: Setup) -> None:
    with pytest.raises(ConfigError):
        paired.answer(ask.TestPms({"pms.password": "hunter2"}), ME)
    with pytest.raises(ConfigError):
        paired.answer(ask.TestPms({"crm.url": "https://elsewhere.example"}), ME)
    assert "hunter2" not in repr(ask.TestPms({}, {"pms.password": "hunter2"}))


def test_the_proof_counts_what_is_there(paired: Setup, box: Stage) -> None:
    paired.answer(ask.UsePms(place(box)), ME)
    proof = paired.answer(ask.GetProof(), ME)
    with sqlite3.connect(box.practice_file) as practice:
        (patients,) = practice.execute("SELECT count(*) FROM patient").fetchone()
        (visits,) = practice.execute("SELECT count(*) FROM appointment").fetchone()
        (newest,) = practice.execute(
            "SELECT AptDateTime FROM appointment ORDER BY AptNum DESC LIMIT 1"
        ).fetchone()
    counts = {counted.stream: counted.rows for counted in proof.counts}
    assert (counts[Stream.PATIENT], counts[Stream.APPOINTMENT]) == (patients, visits)
    assert proof.newest_visit.replace("T", " ")[:16] == str(newest)[:16]


def test_another_database_is_not_confirmed(paired: Setup, box: Stage) -> None:
    paired.answer(ask.UsePms(place(box)), ME)
    with pytest.raises(AgentError) as caught:
        paired.answer(ask.ConfirmProof("another"), ME)
    assert caught.value.code == "setup.other_database"
    view = paired.answer(ask.ConfirmProof("another", is_ours=False), ME)
    assert view.next is Step.FIND


def test_what_is_left_out_and_what_a_status_means(known: Setup, paths: Paths) -> None:
    scope = known.answer(ask.GetScope(), ME)
    status = next(s for s in scope.statuses if s.field == "confirmation_category")
    other = next(word for word in status.words if word != status.word)
    word = ask.StatusWord(status.stream, status.field, status.value, other)
    known.answer(ask.SetScope((Stream.CLAIM,), (word,), write_back=False), ME)
    settings = load_settings((), home=paths.home)
    assert settings.pms.writer == "none"
    assert Stream.CLAIM not in site_map(settings).streams
    again = known.answer(ask.GetScope(), ME)
    assert {s.value: s.word for s in again.statuses}[status.value] == other
    assert [c.on for c in again.streams if c.stream is Stream.CLAIM] == [False]
    with pytest.raises(AgentError):
        known.answer(ask.SetScope((Stream.PATIENT,)), ME)


def test_owner_and_policy_go_into_the_site_map(known: Setup, paths: Paths) -> None:
    before = {g.group: g for g in known.answer(ask.GetPolicies(), ME).groups}
    assert before["identity"].fixed
    known.answer(ask.SetPolicies((ask.GroupChoice("contact", "shared", "crm"),)), ME)
    now = {g.group: g for g in known.answer(ask.GetPolicies(), ME).groups}
    assert (now["contact"].policy, now["contact"].shipped_policy) == ("crm", "ask")
    rows = site_map(load_settings((), home=paths.home)).of(Stream.PATIENT)
    assert {r.on_conflict.value for r in rows if r.field == "phone_mobile"} == {"crm"}
    known.answer(ask.SetPolicies((ask.GroupChoice("contact", "shared", "ask"),)), ME)
    text = paths.site_map.read_text(encoding="utf-8")
    assert "phone_mobile" not in text  # as shipped again: no row of its own
    for wrong in (("identity", "crm"), ("contact", "newest"), ("nothing", "ask")):
        with pytest.raises(AgentError):
            known.answer(ask.SetPolicies((ask.GroupChoice(wrong[0], "shared", wrong[1]),)), ME)


def test_to_the_end_and_back_to_an_open_step(known: Setup, box: Stage, tmp_path: Any) -> None:
    with pytest.raises(AgentError) as caught:
        known.answer(ask.FinishSetup(), ME)
    assert caught.value.code == "setup.step_missing"
    known.answer(ask.SetScope(), ME)
    known.answer(ask.SetPolicies(), ME)
    with pytest.raises(ConfigError):
        known.answer(ask.SetHours("nine to five"), ME)
    known.answer(ask.SetHours("mon-fri 08:00-17:00"), ME)
    preview = known.answer(ask.GetPreview(), ME)
    assert preview.total == sum(c.rows for c in preview.streams) > 100
    assert known.answer(ask.FinishSetup(), ME).finished
    # Another place: what was known about the first holds no longer.
    copy = tmp_path / "other.db"
    copy.write_bytes(box.practice_file.read_bytes())
    moved = {"pms.kind": "sample", "pms.sqlite_path": str(copy)}
    assert known.answer(ask.UsePms(moved), ME).works
    view = known.answer(ask.GetSetup(), ME)
    assert (view.next, view.finished) == (Step.PROOF, False)


def test_a_computer_set_up_by_commands_is_set_up(
    box: Stage, paths: Paths, bridgework: Callable[..., Any]
) -> None:
    assert bridgework("pair", box.crm.new_code(), "--url", box.crm.url).exit_code == 0
    told = bridgework("setup", "--status")
    assert told.exit_code == 0, told.output


def test_a_place_said_with_more_than_the_form_asks_is_kept_whole(
    paired: Setup, box: Stage, paths: Paths
) -> None:
    said = {**place(box), "pms.writer": "none", "pms.statement_limit_ms": 90}
    assert paired.answer(ask.UsePms(said), ME).works
    kept = load_settings((), home=paths.home)
    assert (kept.pms.writer, kept.value("pms.statement_limit_ms")) == ("none", 90)
