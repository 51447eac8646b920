"""MODE=user: no service on this computer; whoever signs in has an agent of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psutil
import pytest

from agent.sandbox.practice.life import Life
from tests.e2e.test_agreement import wait_agreed
from tests.e2e.two_sided import small_practice
from tests.support.until import until
from tests.wine.computer import PROGRAM, Computer
from tests.wine.conftest import Installers
from tests.wine.desktop import signed_in
from tests.wine.office import Office

pytestmark = [pytest.mark.wine, pytest.mark.mariadb]


@pytest.fixture(scope="module")
def office(computer: Computer) -> Iterator[Office]:
    computer.is_single_user = True
    with Office(computer, small_practice(120)) as made:
        made.impatience()
        yield made


def agents() -> list[psutil.Process]:
    """Agents of whoever is signed in, as the host sees them."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = [word for word in process.info["cmdline"] or [] if word]
        if words[:1] == [PROGRAM] and "run" in words and "service" not in words:
            found.append(process)
    return found


def test_an_install_for_single_users_has_no_service(
    office: Office, computer: Computer, msis: Installers
) -> None:
    done = computer.msiexec("/i", msis.this, MODE="user", SERVERURL=office.crm_url)
    assert done.code == 0, done.log[-2000:]
    assert computer.service_state() == computer.service_state("BridgeworkUpdate") == ""
    assert computer.reg(r"HKLM\Software\Bridgework")["Mode"] == "user"
    run = computer.reg(r"HKLM\Software\Microsoft\Windows\CurrentVersion\Run")
    assert run["Bridgework"].endswith("--autostart")


def test_the_icon_starts_the_agent_and_the_set_up_makes_it_sync(
    office: Office, computer: Computer
) -> None:
    assert agents() == []
    pair = {"url": office.crm_url, "code": office.code}
    answers = computer.put("answers.json", {**office.answers(), "pair": pair})
    with signed_in(computer, "--autostart"):
        until(agents, 120, every_s=0.5)
        computer.bridgework("setup", "--answers", answers, timeout_s=240)
        office.wait_loaded(180)
        with closing(office.desk()) as desk:
            assert list(Life(desk, seed=41).run(rate=20, changes=20))
        found = wait_agreed(office, 120)
        assert found.agrees, found.table()
        office.wait_offered("appointment.book", 90)
        assert office.book("req-user")["state"] == "applied"
    assert len(agents()) == 1, "closing the icon leaves the agent at work"


def test_a_restart_of_the_computer_is_made_up_for_at_the_next_sign_in(
    office: Office, computer: Computer
) -> None:
    for process in agents():
        process.kill()
        process.wait(10)
    with closing(office.desk()) as desk:
        assert list(Life(desk, seed=42).run(rate=20, changes=20))
    with signed_in(computer, "--autostart"):
        until(agents, 120, every_s=0.5)
        found = wait_agreed(office, 120)
        assert found.agrees, found.table()
    assert office.visits("req-user") == 1


def test_an_upgrade_ends_icon_and_agent_and_the_next_sign_in_has_the_new_one(
    office: Office, computer: Computer, msis: Installers
) -> None:
    with signed_in(computer, "--autostart"):
        until(agents, 120, every_s=0.5)
        done = computer.msiexec("/i", msis.next)
        assert done.code == 0, done.log[-2000:]
        assert agents() == []
    assert computer.reg(r"HKLM\Software\Bridgework")["Mode"] == "user", "said once, kept"
    assert computer.service_state() == ""
    with signed_in(computer, "--autostart"):
        until(agents, 120, every_s=0.5)
        office.wait_loaded(120)
        wanted = msis.version_of(msis.next)
        until(lambda: computer.status()["snapshot"]["agent_version"] == wanted, 60, every_s=0.5)


def test_an_uninstall_ends_them_and_leaves_the_persons_data(
    office: Office, computer: Computer, msis: Installers
) -> None:
    with signed_in(computer, "--autostart"):
        until(agents, 120, every_s=0.5)
        done = computer.msiexec("/x", msis.next)
        assert done.code == 0, done.log[-2000:]
        assert agents() == []
    assert not (computer.programs / "bridgework.exe").exists()
    assert (computer.home / "journal" / "journal.db").exists()
    assert office.visits("req-user") == 1
