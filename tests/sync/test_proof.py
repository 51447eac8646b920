"""The continuous proof: a CRM damaged behind its API is found and mended; equality is recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from agent.cli import main
from agent.cli.stage import Stage
from agent.config import load_settings
from agent.errors import ExitCode
from agent.model.hours import parse_hours
from agent.model.proof import Basis, FullProof, Standing, StreamProof
from agent.model.streams import Stream
from agent.model.writing import BucketDigest
from agent.runtime.host import Host, build
from agent.sandbox.crm.schema import TYPE_ID, connect
from agent.sandbox.crm.work import bucket_of
from agent.sync.proofs import full_due, last_full, last_lines, proof_findings
from agent.sync.reconcile import digest_of, root_of
from tests.support.until import until

ZONE = ZoneInfo("America/New_York")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One for all, in the order they stand: each leaves both sides equal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
        with Stage(tmp_path_factory.mktemp("stage"), patients=40) as made:
            yield made


@pytest.fixture(scope="module")
def host(stage: Stage) -> Iterator[Host]:
    made = build(load_settings((), home=stage.paths.home), stage.paths)
    made.start()
    until(lambda: last_full(made.journal) is not None, 60)
    yield made
    made.stop()


def bridgework(stage: Stage, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["--home", str(stage.paths.home), *words])
    return done.exit_code, done.stdout


def audit(stage: Stage, *words: str) -> tuple[int, dict[str, dict[str, object]], dict[str, object]]:
    code, out = bridgework(stage, "audit", "compare", "--json", *words)
    told = json.loads(out)
    return code, {line["stream"]: line for line in told["lines"]}, told


def damage(stage: Stage, extra: str = "990001") -> None:
    """Behind the API and behind the sums the CRM keeps: one row deleted, one edited, one added."""
    with closing(connect(stage.crm_file)) as store, store:
        recall, patient = TYPE_ID["recall"], TYPE_ID["patient"]
        (lost,) = store.execute(
            "SELECT rid FROM record WHERE type = ? AND state = 0 LIMIT 1", (recall,)
        ).fetchone()  # type: ignore[misc]
        store.execute("DELETE FROM record WHERE rid = ?", (lost,))
        store.execute("DELETE FROM body WHERE rid = ?", (lost,))
        (edited,) = store.execute(
            "SELECT rid FROM record WHERE type = ? AND state = 0 LIMIT 1", (patient,)
        ).fetchone()  # type: ignore[misc]
        store.execute(
            "UPDATE body SET json = json_set(json, '$.city', 'Nowhere') WHERE rid = ?", (edited,)
        )
        row = store.execute(
            "INSERT INTO record SELECT max(rid) + 1, ?, ?, ?, 0, 1, 1, 1, x'', 0, NULL, 0,"
            " 0, NULL FROM record RETURNING rid",
            (recall, extra, bucket_of(extra)),
        ).fetchone()
        assert row is not None
        store.execute('INSERT INTO body VALUES(?, \'{"key":"990001"}\')', row)


def test_a_damaged_crm_is_found_and_repaired_by_the_usual_way(stage: Stage, host: Host) -> None:
    first = last_full(host.journal)
    assert first is not None
    counts = host.journal.stream_counts()
    assert first.rows == sum(count.present for count in counts) > 500
    assert first.basis is Basis.CONTENT
    damage(stage, "990001")
    # The sums the CRM keeps know nothing of it: whoever believed them would be deceived.
    code, lines, _ = audit(stage, "--quick")
    assert code == ExitCode.OK
    code, lines, told = audit(stage)
    assert (code, told["equal"], told["proof"]) == (ExitCode.FAILED, False, None)
    assert (lines["recall"]["missing"], lines["recall"]["extra"]) == (1, 1)
    assert lines["patient"]["different"] == 1
    assert all(
        line["standing"] == "equal"
        for name, line in lines.items()
        if name not in {"recall", "patient"}
    )
    assert lines["recall"]["repaired"] == 0
    code, lines, told = audit(stage, "--repair")
    assert code == ExitCode.OK, told
    assert told["proof"] is not None
    code, lines, told = audit(stage)
    assert code == ExitCode.OK
    assert told["proof"]["root"] == first.root  # type: ignore[index]
    assert stage.compare().agrees


def test_what_is_found_at_night_is_repaired_without_anybody(stage: Stage, host: Host) -> None:
    first = last_full(host.journal)
    assert first is not None
    damage(stage, "990002")
    session = host.engine.session
    assert session is not None
    with closing(host.source.open()) as reader:
        found = host.engine.proving.audit(
            session, Basis.CONTENT, host.engine.proving.mender(reader)
        )
    assert sum(line.repaired for line in found.lines) == 3
    assert found.proof is None
    until(lambda: not host.journal.batches_waiting(), 60)
    again = host.engine.proving.audit(session, Basis.CONTENT, None)
    assert again.proof is not None
    assert again.proof.root == first.root
    assert host.engine.compare_now() == 0


def test_much_that_is_wrong_waits_for_a_person(stage: Stage, host: Host) -> None:
    with closing(connect(stage.crm_file)) as store, store:
        store.execute("DELETE FROM record WHERE type = ?", (TYPE_ID["procedure"],))
    gone = next(c.present for c in host.journal.stream_counts() if c.stream.value == "procedure")
    assert gone > 200
    code, lines, _ = audit(stage, "--repair")
    assert code == ExitCode.ACTION
    assert (lines["procedure"]["missing"], lines["procedure"]["repaired"]) == (gone, 0)
    until(lambda: "proof.too_many" in {f.code for f in host.report().snapshot.findings}, 60)
    code, _, told = audit(stage, "--repair", "--many")
    assert code == ExitCode.OK, told
    until(lambda: "proof.too_many" not in {f.code for f in host.report().snapshot.findings}, 60)


def test_a_stream_that_was_not_compared_is_red(stage: Stage, host: Host) -> None:
    session = host.engine.session
    assert session is not None
    session.opened_mono += 3600  # else a slow machine looks for it again amid this test
    session.held = frozenset({Stream.RECALL})  # as where the site lost columns of it
    code, lines, told = audit(stage)
    assert code == ExitCode.FAILED
    assert lines["recall"]["standing"] == "skipped"
    assert told["proof"] is None
    code, text = bridgework(stage, "audit", "compare")
    assert "NOT equal" in text
    assert "recall was skipped" in text
    session.held = frozenset()
    assert audit(stage)[0] == ExitCode.OK


def test_a_full_proof_stands_in_the_audit_chain_and_reaches_the_crm(
    stage: Stage, host: Host
) -> None:
    proof = last_full(host.journal)
    assert proof is not None
    host.beat()
    told = stage.crm.core.status()["heartbeat"]
    assert proof.root in bytes(told).decode()
    assert host.journal.verify_audit(None) == []
    assert {line.standing for line in last_lines(host.journal).values()} == {Standing.EQUAL}


def test_without_an_agent_it_looks_and_changes_nothing(stage: Stage, host: Host) -> None:
    host.stop()
    damage(stage, "990003")
    code, lines, _ = audit(stage)
    assert code == ExitCode.FAILED
    assert (lines["recall"]["missing"], lines["recall"]["extra"]) == (1, 1)
    code, out = bridgework(stage, "audit", "compare", "--repair")
    assert code != ExitCode.OK
    code, out = bridgework(stage, "status", "--json")
    assert json.loads(out)["snapshot"]["proof"]["rows"] > 500


# --- pure -----------------------------------------------------------------------------------------


def test_the_root_is_as_the_contract_says() -> None:
    import hashlib

    buckets = [BucketDigest(0, 0, 0, 0), BucketDigest(7, 2, 30, -4)]
    stream = hashlib.sha256(b"7:2:30:-4\n").hexdigest()
    assert digest_of(buckets) == stream
    assert digest_of(buckets[:1]) == ""
    lines = f"patient:{stream}\nrecall:{stream}\n"
    given = [(Stream.RECALL, stream), (Stream.PATIENT, stream), (Stream.CLAIM, "")]
    assert root_of(given) == hashlib.sha256(lines.encode()).hexdigest()


@pytest.mark.parametrize(
    ("now", "last", "due"),
    [
        ("2026-05-04 12:00", None, True),  # never: at once
        ("2026-05-04 01:00", "2026-05-03 02:10", False),
        ("2026-05-04 02:00", "2026-05-03 02:10", True),
        ("2026-05-04 09:00", "2026-05-03 02:10", False),  # the office is open: the evening
        ("2026-05-04 17:00", "2026-05-03 02:10", True),
        ("2026-05-04 17:00", "2026-05-04 02:10", False),
        ("2026-05-04 15:00", "2026-05-03 02:10", True),  # too long: by day as well
    ],
)
def test_the_full_proof_is_nightly(now: str, last: str | None, due: bool) -> None:
    week = parse_hours("mon-fri 08:00-17:00")

    def at(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=ZONE)

    assert full_due(at(now), None if last is None else at(last), week) is due


def test_what_a_person_must_know_of_it() -> None:
    now = datetime(2026, 5, 4, tzinfo=UTC)
    full = FullProof(now - timedelta(hours=49), 10, 2, "0" * 64, now)
    much = StreamProof(Stream.RECALL, Standing.DIFFERS, now, missing=300, why="proof.too_many")
    skipped = StreamProof(Stream.CLAIM, Standing.SKIPPED, now, why="crm.not_found")
    fine = StreamProof(Stream.PATIENT, Standing.DIFFERS, now, missing=1, repaired=1)
    found = proof_findings([much, skipped, fine], full, now, is_loaded=True)
    assert [f.code for f in found] == ["proof.skipped", "proof.too_many", "proof.late"]
    assert proof_findings([fine], full, now, is_loaded=False) == ()
