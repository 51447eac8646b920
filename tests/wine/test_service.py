"""From ``msiexec /i`` to ``msiexec /x``: one computer's life with the installed service."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from agent.sandbox.practice.life import Life
from tests.e2e.test_agreement import wait_agreed
from tests.e2e.two_sided import small_practice
from tests.support.until import until
from tests.wine.computer import FAILED, Computer
from tests.wine.conftest import Installers
from tests.wine.office import Office

pytestmark = [pytest.mark.wine, pytest.mark.mariadb]

PRODUCT = r"HKLM\Software\Bridgework"


@pytest.fixture(scope="module")
def office(computer: Computer) -> Iterator[Office]:
    with Office(computer, small_practice(120)) as made:
        yield made


def test_a_silent_install_with_everything_said_ends_with_a_service_that_syncs(
    office: Office, computer: Computer, msis: Installers
) -> None:
    office.impatience()
    answers = computer.put("answers.json", office.answers())
    began = time.monotonic()
    done = computer.msiexec(
        "/i", msis.this, SERVERURL=office.crm_url, ACTIVATIONCODE=office.code, ANSWERS=answers
    )
    assert done.code == 0, done.log[-2000:]
    computer.measured["install_s"] = done.took_s
    computer.wait_service("RUNNING")
    until(lambda: office.crm_count("patient") > 0, 90, every_s=0.2)
    computer.measured["install_to_first_record_s"] = time.monotonic() - began
    office.wait_loaded(120)
    found = wait_agreed(office, 90)
    assert found.agrees, found.table()
    assert done.took_s < 60


def test_what_was_said_is_kept_where_it_belongs(office: Office, computer: Computer) -> None:
    kept = computer.reg(PRODUCT)
    assert kept["ServerUrl"] == office.crm_url
    assert kept["DataFolder"].startswith(r"C:\ProgramData\Bridgework")
    run = computer.reg(r"HKLM\Software\Microsoft\Windows\CurrentVersion\Run")
    assert run["Bridgework"].endswith("--autostart")
    shown = json.loads(computer.bridgework("config", "get", "sync.sweep_hot_s", "--json"))
    assert (shown["value"], shown["source"]) == (15, "policy"), "what an administrator set holds"
    # The code opens the practice at the CRM: it is nowhere on this computer.
    for text in (json.dumps(kept), computer.log(), computer.log("bridgework-cli.log")):
        assert office.code not in text
    (entry,) = [
        values
        for values in _uninstall_entries(computer)
        if values.get("DisplayName") == "Bridgework"
    ]
    assert entry["Publisher"]
    assert entry["HelpLink"].startswith("https://")


def _uninstall_entries(computer: Computer) -> list[dict[str, str]]:
    key = r"HKLM\Software\Microsoft\Windows\CurrentVersion\Uninstall"
    _, said = computer.wine("reg", "query", key, "/reg:64")
    keys = [line.strip() for line in said.splitlines() if "{" in line]
    return [computer.reg(one) for one in keys]


def test_the_pipe_answers_with_the_truth(computer: Computer) -> None:
    # Asked step by step through the pipe, and by nothing else: all was answered before.
    assert "pair: setup.kept" in computer.bridgework("service", "set-up")
    report = computer.status()
    assert report["state"] in ("up_to_date", "behind")
    assert report["snapshot"]["crm_error"] is None


def test_a_change_in_the_office_is_at_the_crm(office: Office) -> None:
    with closing(office.desk()) as desk:
        deeds = list(Life(desk, seed=21).run(rate=20, changes=40))
    assert len(deeds) == 40
    found = wait_agreed(office, 90)
    assert found.agrees, found.table()


def test_a_booking_of_the_crm_is_on_the_schedule(office: Office) -> None:
    office.wait_offered("appointment.book", 90)
    view = office.book("req-wine-1")
    assert view["state"] == "applied", view
    assert office.visits("req-wine-1") == 1


def test_what_it_weighs(computer: Computer, msis: Installers) -> None:
    process = computer.service_process()
    computer.measured["rss_mb"] = process.memory_info().rss / 1e6
    computer.measured["msi_mb"] = msis.this.stat().st_size / 1e6
    files = [path for path in computer.programs.rglob("*") if path.is_file()]
    computer.measured["installed_mb"] = sum(path.stat().st_size for path in files) / 1e6
    assert computer.measured["msi_mb"] <= 60


def test_a_stop_is_quick(office: Office, computer: Computer) -> None:
    began = time.monotonic()
    assert computer.wine("net", "stop", "Bridgework")[0] == 0
    computer.wait_service("STOPPED")
    computer.measured["stop_s"] = time.monotonic() - began
    assert computer.measured["stop_s"] < 30
    assert computer.wine("net", "start", "Bridgework")[0] == 0
    office.wait_loaded(90)


def test_a_killed_service_loses_nothing_and_starts_in_a_moment(
    office: Office, computer: Computer
) -> None:
    process = computer.service_process()
    process.kill()
    process.wait(10)
    with closing(office.desk()) as desk:  # nobody is looking
        deeds = list(Life(desk, seed=22).run(rate=20, changes=20))
    assert deeds
    # Wine knows no recovery actions (only Windows restarts it): started by hand.
    until(lambda: computer.service_state() != "RUNNING", 60, every_s=0.2)
    known = newest_at_crm(office)
    began = time.monotonic()
    assert computer.wine("net", "start", "Bridgework")[0] == 0
    computer.measured["start_to_running_s"] = time.monotonic() - began
    until(lambda: newest_at_crm(office) > known, 60, every_s=0.05)
    computer.measured["start_to_first_sync_s"] = time.monotonic() - began
    until(lambda: _answers(computer), 60, every_s=0.2)
    computer.measured["start_to_answer_s"] = time.monotonic() - began
    found = wait_agreed(office, 90)
    computer.measured["start_to_agreement_s"] = time.monotonic() - began
    assert found.agrees, found.table()


def newest_at_crm(office: Office) -> int:
    """When the newest record arrived, by the CRM's own database: asking it starts no program."""
    with office.crm() as crm:
        return int(crm.execute("SELECT max(arrived_us) FROM record").fetchone()[0])


def _answers(computer: Computer) -> bool:
    """Through the pipe: ``status`` would be content with the file of a second ago."""
    try:
        return "setup.kept" in computer.bridgework("service", "set-up")
    except RuntimeError:
        return False


def test_the_same_version_again_is_harmless(
    office: Office, computer: Computer, msis: Installers
) -> None:
    identity = (computer.home / "secrets.backend").read_bytes()
    done = computer.msiexec("/i", msis.this)
    assert done.code == 0, done.log[-2000:]
    computer.wait_service("RUNNING")
    assert (computer.home / "secrets.backend").read_bytes() == identity
    assert computer.reg(PRODUCT)["ServerUrl"] == office.crm_url
    office.wait_loaded(60)


def test_an_upgrade_with_work_waiting_loses_and_doubles_nothing(
    office: Office, computer: Computer, msis: Installers
) -> None:
    office.wait_loaded(60)
    office.crm_down()
    with closing(office.desk()) as desk:
        deeds = list(Life(desk, seed=23).run(rate=20, changes=30))
    assert deeds
    until(lambda: computer.status()["snapshot"]["oldest_unsent_s"] is not None, 60, every_s=0.2)
    done = computer.msiexec("/i", msis.next)
    computer.measured["upgrade_s"] = done.took_s
    assert done.code == 0, done.log[-2000:]
    computer.wait_service("RUNNING")
    kept = computer.reg(PRODUCT)
    assert msis.next.name == f"Bridgework-{kept['Version']}.msi"
    assert kept["ServerUrl"] == office.crm_url
    versions = [e["DisplayVersion"] for e in _uninstall_entries(computer)
                if e.get("DisplayName") == "Bridgework"]  # fmt: skip
    assert versions == [kept["Version"]]
    office.crm_up()
    found = wait_agreed(office, 120)
    assert found.agrees, found.table()
    office.wait_offered("appointment.book", 90)
    view = office.book("req-wine-2")
    assert view["state"] == "applied", view
    assert (office.visits("req-wine-1"), office.visits("req-wine-2")) == (1, 1)


def test_an_older_version_is_refused(computer: Computer, msis: Installers) -> None:
    before = computer.reg(PRODUCT)["Version"]
    done = computer.msiexec("/i", msis.this)
    assert done.code == FAILED
    # Wine does not write a condition's words into its log: tests/installer reads them.
    assert "InstallInitialize" not in done.log.partition("LaunchConditions.")[2]
    assert computer.reg(PRODUCT)["Version"] == before
    assert computer.service_state() == "RUNNING"


def test_an_uninstall_leaves_the_data_and_a_new_install_goes_on_with_it(
    office: Office, computer: Computer, msis: Installers
) -> None:
    done = computer.msiexec("/x", msis.next)
    computer.measured["uninstall_s"] = done.took_s
    assert done.code == 0, done.log[-2000:]
    assert computer.service_state() == ""
    assert not (computer.programs / "bridgework.exe").exists()
    assert (computer.home / "journal" / "journal.db").exists()
    run = computer.reg(r"HKLM\Software\Microsoft\Windows\CurrentVersion\Run")
    assert "Bridgework" not in run
    assert computer.msiexec("/i", msis.next, SERVERURL=office.crm_url).code == 0
    computer.wait_service("RUNNING")
    office.wait_loaded(90)  # no code, no answers: it knows the office
    assert office.visits("req-wine-2") == 1


def test_an_uninstall_with_purgedata_leaves_nothing(computer: Computer, msis: Installers) -> None:
    done = computer.msiexec("/x", msis.next, PURGEDATA="1")
    assert done.code == 0, done.log[-2000:]
    assert computer.service_state() == ""
    assert not computer.home.exists() or not list(computer.home.rglob("*"))


def test_the_measurements(computer: Computer) -> None:
    for name, value in computer.measured.items():
        print(f"{name:<28} {value:8.1f}")
    assert computer.measured["install_s"] > 0
