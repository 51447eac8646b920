"""What ``UPDATE_TIME`` really does, per engine: the documented behaviour of ``moved`` is this file.

Facts shown here: the token is whole-second; it moves with every commit once the second is over; a
second commit within the second need not move it; MyISAM keeps it over a restart, InnoDB forgets it
(then "" = cannot tell, until the first change).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from drivers.opendental.session import Login
from drivers.opendental.source import OpenDentalSource
from drivers.opendental.streams import known_tables
from tests.drivers.conftest import Practice, ServerPractice
from tests.support.mariadb import MariaDb
from tests.support.odschema import load_schema

pytestmark = pytest.mark.mariadb


@pytest.fixture(params=["myisam", "innodb"])
def gated(request: pytest.FixtureRequest) -> Iterator[ServerPractice]:
    practice: ServerPractice = request.getfixturevalue(request.param)
    practice.run(
        "DELETE FROM patient",
        "INSERT INTO patient (PatNum,LName,FName) VALUES (1,'Ohm','Ada'),(2,'Ohm','Bea')",
    )
    yield practice
    practice.run("DELETE FROM patient")


def at_the_start_of_a_second() -> None:
    time.sleep(1.02 - time.time() % 1)


def watch(practice: Practice) -> tuple[Callable[[], str], Callable[[], None]]:
    reader = practice.reader(everything=False)
    return lambda: reader.moved(["patient"])["patient"], reader.close


def test_it_moves_with_every_commit_of_a_later_second(gated: ServerPractice) -> None:
    token, close = watch(gated)
    seen = [token()]
    for number, change in enumerate(
        (
            "UPDATE patient SET FName='Cy' WHERE PatNum=1",  # same length: nothing grows
            "UPDATE patient SET EstBalance=3 WHERE PatNum=2",
            "INSERT INTO patient (PatNum,LName) VALUES (3,'Ohm')",
            "DELETE FROM patient WHERE PatNum=3",
        )
    ):
        at_the_start_of_a_second()
        gated.run(change)
        seen.append(token())
        assert seen[-1] != seen[-2], (number, change)
        assert seen[-1] != ""
    close()


def test_an_update_that_changes_nothing_does_not_move_it(gated: ServerPractice) -> None:
    token, close = watch(gated)
    gated.run("UPDATE patient SET FName='Di' WHERE PatNum=1")
    before = token()
    at_the_start_of_a_second()
    gated.run("UPDATE patient SET FName='Di' WHERE PatNum=1", "SELECT COUNT(*) FROM patient")
    assert token() == before
    close()


def test_a_second_commit_within_the_second_may_hide(gated: ServerPractice) -> None:
    """Why the engine keeps looking for two seconds after a move."""
    token, close = watch(gated)
    for _ in range(5):  # a slow machine may leave the second in between
        at_the_start_of_a_second()
        started = time.time()
        gated.run("UPDATE patient SET FName='Eli' WHERE PatNum=1")
        first = token()
        gated.run("UPDATE patient SET FName='Fay' WHERE PatNum=1")
        second = token()
        if int(time.time()) == int(started):
            break
    else:
        pytest.skip("this machine could not do two updates within a second")
    assert second == first
    at_the_start_of_a_second()
    assert token() == first  # and it does not move later by itself: only looking again helps
    close()


def test_an_open_transaction_moves_it_only_when_it_commits(innodb: ServerPractice) -> None:
    innodb.run("DELETE FROM patient", "INSERT INTO patient (PatNum,LName) VALUES (1,'Ohm')")
    token, close = watch(innodb)
    at_the_start_of_a_second()
    before = token()
    link = innodb.server.connect(innodb.database)
    link.autocommit(False)
    with link.cursor() as cursor:
        cursor.execute("UPDATE patient SET FName='Gil' WHERE PatNum=1")
        assert token() == before
        at_the_start_of_a_second()
        link.commit()
    assert token() != before
    link.close()
    close()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["MyISAM", "InnoDB"])
def test_after_a_restart(engine: str) -> None:
    with MariaDb(engine=engine) as server:
        load_schema(server, "od", engine=engine, tables=known_tables())
        link = server.connect("od")
        with link.cursor() as cursor:
            cursor.execute("INSERT INTO patient (PatNum,LName) VALUES (1,'Ohm')")
        link.close()
        source = OpenDentalSource(Login(port=server.port, database="od", user="root"), zone="UTC")
        source.probe()
        reader = source.open()
        before = reader.moved(["patient"])["patient"]
        assert before != ""
        reader.close()
        assert server._server is not None
        server._server.terminate()
        server._server.wait(30)
        server.start()
        reader = source.open()
        token = reader.moved(["patient"])["patient"]
        assert token == (before if engine == "MyISAM" else "")
        at_the_start_of_a_second()
        link = server.connect("od")
        with link.cursor() as cursor:
            cursor.execute("UPDATE patient SET FName='Ivy'")
        link.close()
        assert reader.moved(["patient"])["patient"] not in ("", token)
        reader.close()
