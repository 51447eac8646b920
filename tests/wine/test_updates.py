"""A computer whose agent updates itself: told, installed, taken back. By a real HTTP server, the
real installers, and a version that really does not work."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.journal.schema import SCHEMA_VERSION
from agent.sandbox.practice.life import Life
from installer.release import update_key
from installer.steps import call, need
from tests.e2e.test_agreement import wait_agreed
from tests.e2e.two_sided import small_practice
from tests.support.until import until
from tests.wine.computer import Computer
from tests.wine.conftest import Installers
from tests.wine.office import Office
from tests.wine.releases import Releases

pytestmark = [pytest.mark.wine, pytest.mark.mariadb]

PRODUCT = r"HKLM\Software\Bridgework"
POLICIES = r"HKLM\Software\Policies\Bridgework"
UPDATED_WITHIN_S = 400.0
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@pytest.fixture(scope="module")
def releases(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Releases]:
    key = update_key(cache / "test-certificate" / "update.pem")
    with Releases(tmp_path_factory.mktemp("releases"), key) as made:
        yield made


@pytest.fixture(scope="module")
def office(computer: Computer, releases: Releases, msis: Installers) -> Iterator[Office]:
    """An office that is closed today, with the first version at work."""
    closed = DAYS[(datetime.now(UTC).weekday() + 3) % 7]
    policies = {
        "practice.hours": f"{closed} 10:00-11:00", "update.url": f"{releases.url}/update.json",
        "update.look_s": "5", "update.settle_s": "60", "update.policy": "notify",
    }  # fmt: skip
    for name, value in policies.items():
        computer.reg_add(POLICIES, name, value)
    with Office(computer, small_practice(120)) as made:
        made.impatience()
        answers = computer.put("answers.json", made.answers())
        done = computer.msiexec(
            "/i", msis.this, SERVERURL=made.crm_url, ACTIVATIONCODE=made.code, ANSWERS=answers
        )
        assert done.code == 0, done.log[-2000:]
        made.wait_loaded(180)
        assert made.book("req-before")["state"] == "applied"
        yield made


def version(computer: Computer) -> str:
    return computer.reg(PRODUCT).get("Version", "")


def outcome(computer: Computer) -> dict[str, Any]:
    """What the helper or the watch wrote last."""
    file = computer.kept / "outcome.json"
    found: dict[str, Any] = json.loads(file.read_bytes()) if file.exists() else {}
    return found


def codes(office: Office) -> set[str]:
    status = office.status()
    return set() if status is None else {f["code"] for f in status["snapshot"]["findings"]}


def is_settled(computer: Computer) -> bool:
    """The watch and what it stood on are gone."""
    is_there = computer.wine("sc", "query", "BridgeworkWatch")[0] == 0
    return not is_there and not (computer.kept / "program").exists()


def help_is_over(computer: Computer) -> bool:
    return computer.service_state("BridgeworkUpdate") == "STOPPED"


def test_the_helper_is_there_and_the_way_back_is_kept(
    office: Office, computer: Computer, msis: Installers
) -> None:
    assert computer.service_state("BridgeworkUpdate") == "STOPPED", "on demand only"
    kept = computer.kept / msis.this.name
    assert kept.read_bytes() == msis.this.read_bytes()
    assert not codes(office) & {"update.available", "update.planned"}


def test_notify_says_so_everywhere_and_does_nothing(
    office: Office, computer: Computer, releases: Releases, msis: Installers
) -> None:
    releases.offer(msis.next, msis.version_of(msis.next))
    until(lambda: "update.available" in codes(office), 90, every_s=0.5, said=lambda: codes(office))
    told = json.loads(computer.wine(*computer.program("update", "show", "--json"))[1])
    assert told["release"]["version"] == msis.version_of(msis.next)
    checked = computer.wine(*computer.program("doctor", "--json"), timeout_s=240)[1]
    assert "update.available" in checked
    assert f"/{msis.next.name}" not in releases.asked, "not even downloaded"
    assert version(computer) == msis.version_of(msis.this)


def test_the_helper_believes_the_signature_and_the_hash_and_nobody(
    office: Office, computer: Computer, releases: Releases, msis: Installers
) -> None:
    """Whoever has taken the agent over may write into its folder; that must not be enough."""
    told = releases.offer(msis.next, "9.9.9", sha256="0" * 64)
    offered = computer.home / "updates" / "offer.json"
    until(lambda: b"9.9.9" in offered.read_bytes(), 90, every_s=0.5)
    computer.reg_add(POLICIES, "update.policy", "managed")  # the agent itself stays out of it
    forged = computer.home / "updates" / f"{told['sha256']}.msi"
    forged.write_bytes(b"an installer of somebody else")
    assert computer.wine("sc", "start", "BridgeworkUpdate")[0] == 0
    until(lambda: outcome(computer).get("why") == "update.not_believed", 90, every_s=0.5)
    until(lambda: help_is_over(computer), 90, every_s=0.5)
    assert not (computer.kept / "Bridgework-9.9.9.msi").exists()
    assert version(computer) == msis.version_of(msis.this)
    # … and a signed offer of which one letter was changed.
    (computer.kept / "outcome.json").unlink()
    offered.write_bytes(offered.read_bytes().replace(b"9.9.9", b"9.9.8"))
    assert computer.wine("sc", "start", "BridgeworkUpdate")[0] == 0
    until(lambda: outcome(computer).get("why") == "update.not_believed", 90, every_s=0.5)
    until(lambda: help_is_over(computer), 90, every_s=0.5)
    (computer.kept / "outcome.json").unlink()


def test_auto_installs_outside_the_hours_and_nothing_is_lost(
    office: Office, computer: Computer, releases: Releases, msis: Installers
) -> None:
    releases.offer(msis.next, msis.version_of(msis.next))
    office.crm_down()
    with closing(office.desk()) as desk:
        assert list(Life(desk, seed=31).run(rate=20, changes=30))
    until(lambda: computer.status()["snapshot"]["oldest_unsent_s"] is not None, 60, every_s=0.2)
    office.crm_up()
    wanted = msis.version_of(msis.next)
    began = datetime.now(UTC)
    computer.reg_add(POLICIES, "update.policy", "auto")
    until(
        lambda: outcome(computer).get("ending") == "done", UPDATED_WITHIN_S, every_s=0.5,
        said=lambda: f"{outcome(computer)} {version(computer)}\n{computer.update_log()[-3000:]}",
    )  # fmt: skip
    computer.measured["update_s"] = (datetime.now(UTC) - began) / timedelta(seconds=1)
    assert version(computer) == wanted
    assert computer.status()["snapshot"]["agent_version"] == wanted
    until(lambda: is_settled(computer), 120, every_s=0.5)
    kept = sorted(path.name for path in computer.kept.glob("*.msi"))
    assert kept == [msis.next.name], "the way back from the next one, and no more"
    kept_of_it = computer.reg(PRODUCT)
    assert kept_of_it["ServerUrl"] == office.crm_url
    found = wait_agreed(office, 120)
    assert found.agrees, found.table()
    office.wait_offered("appointment.book", 90)
    assert office.book("req-after")["state"] == "applied"
    assert (office.visits("req-before"), office.visits("req-after")) == (1, 1)


def layout(journal: Path) -> int:
    with closing(sqlite3.connect(f"file:{journal}?mode=ro&immutable=1", uri=True)) as link:
        return int(link.execute("PRAGMA user_version").fetchone()[0])


def asides(computer: Computer) -> list[Path]:
    """Journals of a newer version, set aside."""
    return sorted((computer.home / "journal").glob("journal.db.newer-*Z"))


def taken_back(office: Office, computer: Computer, msis: Installers, how_often: int) -> None:
    until(
        lambda: outcome(computer).get("ending") == "taken_back", UPDATED_WITHIN_S, every_s=0.5,
        said=lambda: f"{outcome(computer)} {version(computer)}\n{computer.update_log()[-3000:]}",
    )  # fmt: skip
    told = outcome(computer)
    assert (told["version"], told["before"], told["why"]) == (
        msis.version_of(msis.broken), msis.version_of(msis.next), "no_answer",
    )  # fmt: skip
    assert version(computer) == msis.version_of(msis.next)
    assert computer.service_state() == "RUNNING"
    # The version that did not work had migrated the journal; the old one reads the copy.
    assert [layout(aside) for aside in asides(computer)] == [SCHEMA_VERSION + 1] * how_often
    assert layout(computer.home / "journal" / "journal.db") == SCHEMA_VERSION
    until(lambda: is_settled(computer), 120, every_s=0.5)
    until(lambda: "update.taken_back" in codes(office), 60, every_s=0.5)
    found = wait_agreed(office, 120)
    assert found.agrees, found.table()


def test_a_version_that_does_not_work_is_taken_back_and_nothing_is_lost(
    office: Office, computer: Computer, releases: Releases, msis: Installers
) -> None:
    began = datetime.now(UTC)
    releases.offer(msis.broken, msis.version_of(msis.broken))
    until(lambda: version(computer) == msis.version_of(msis.broken), 200, every_s=0.2)
    with closing(office.desk()) as desk:  # the office goes on while nobody looks
        assert list(Life(desk, seed=32).run(rate=20, changes=30))
    taken_back(office, computer, msis, 1)
    computer.measured["taken_back_s"] = (datetime.now(UTC) - began) / timedelta(seconds=1)
    office.wait_offered("appointment.book", 90)
    assert office.book("req-back")["state"] == "applied"
    visits = [office.visits(token) for token in ("req-before", "req-after", "req-back")]
    assert visits == [1, 1, 1]


def test_it_is_not_tried_again(
    computer: Computer, office: Office, releases: Releases, msis: Installers
) -> None:
    told, asked = outcome(computer), len(releases.asked)
    until(lambda: releases.asked[asked:].count("/update.json") > 3, 120, every_s=0.5)
    assert outcome(computer) == told
    assert computer.wine("sc", "query", "BridgeworkWatch")[0] != 0


def test_an_upgrade_by_hand_is_taken_back_the_same(
    office: Office, computer: Computer, msis: Installers
) -> None:
    """Windows says UPGRADINGPRODUCTCODE to the version that makes way; Wine does not, so there the
    kept installer is told to take any removal for an upgrade. Everything else is as shipped."""
    computer.reg_add(POLICIES, "update.policy", "managed")
    (computer.kept / "outcome.json").unlink()
    condition = 'REMOVE = "ALL"'
    for cached in (computer.box.drive_c / "windows" / "Installer").glob("*.msi"):
        call(
            [need("msibuild", "msitools"), cached, "-q",
             "UPDATE `InstallExecuteSequence` SET `Condition`="
             f"'{condition}' WHERE `Action`='StandBy'"],
            "say for Wine what Windows says",
        )  # fmt: skip
    done = computer.msiexec("/i", msis.broken)
    assert done.code == 0, done.log[-2000:]
    taken_back(office, computer, msis, 2)
    assert [office.visits(token) for token in ("req-before", "req-back")] == [1, 1]


def test_an_uninstall_leaves_no_way_back(computer: Computer, msis: Installers) -> None:
    for cached in (computer.box.drive_c / "windows" / "Installer").glob("*.msi"):
        call(
            [need("msibuild", "msitools"), cached, "-q",
             "UPDATE `InstallExecuteSequence` SET `Condition`='1 = 2' WHERE `Action`='StandBy'"],
            "uninstall for good",
        )  # fmt: skip
    done = computer.msiexec("/x", msis.next, PURGEDATA="1")
    assert done.code == 0, done.log[-2000:]
    assert not computer.kept.exists()
    for name in ("Bridgework", "BridgeworkUpdate", "BridgeworkWatch"):
        assert computer.service_state(name) == ""


def test_the_measurements(computer: Computer) -> None:
    for name, value in computer.measured.items():
        print(f"{name:<28} {value:8.1f}")
    assert computer.measured["update_s"] > 0
