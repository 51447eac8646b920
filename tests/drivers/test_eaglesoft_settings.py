"""What Eaglesoft's settings object says, made a string an ODBC driver takes. Pure."""

from __future__ import annotations

import base64

import pytest

from drivers.eaglesoft.settings_object import Told, answer, completed, question

HERE = ["SQL Server", "SQL Anywhere 16", "SQL Anywhere 17", "SQL Anywhere 10"]


@pytest.mark.parametrize(
    ("given", "driver", "text"),
    [
        ("UID=a;PWD=b;Server=EAGLESOFT;DBN=DENTSERV;ASTART=No", "",
         "DRIVER={SQL Anywhere 17};UID=a;PWD=b;Server=EAGLESOFT;DBN=DENTSERV;ASTART=No"),
        ("DBN=x;DSN=Dental;UID=a;PWD=b;", "", "DBN=x;DSN=Dental;UID=a;PWD=b;ASTART=No"),
        ("Driver={Other};UID=a", "", "Driver={Other};UID=a;ASTART=No"),
        ("Provider=SAOLEDB.17;UID=a;Autostart=YES", "SQL Anywhere 16",
         "DRIVER={SQL Anywhere 16};UID=a;Autostart=YES"),
        ("UID=dsn;PWD={x;driver}", "", "DRIVER={SQL Anywhere 17};UID=dsn;PWD={x;driver};ASTART=No"),
    ],
)  # fmt: skip
def test_the_string_gets_what_a_driver_needs(given: str, driver: str, text: str) -> None:
    assert completed(given, HERE, driver) == text


def test_without_a_driver_the_newest_name_is_tried() -> None:
    assert completed("UID=a", []).startswith("DRIVER={SQL Anywhere 17};")


def test_an_answer_is_the_last_line_and_shows_nothing() -> None:
    line = base64.b64encode(b'{"connection":"PWD=\\u0027x","drivers":["D"],"result":0}')
    told = answer(b"some banner\r\n" + line + b"\r\n")
    assert told == Told(0, "PWD='x", ("D",))
    assert "PWD" not in repr(told)


@pytest.mark.parametrize("printed", [b"", b"\n", b"no base64!", base64.b64encode(b"[1]")])
def test_what_is_no_answer_is_told_apart(printed: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        answer(printed)


def test_the_question_is_one_line_of_plain_text() -> None:
    asked = question("Zoë", 'to"ken')
    assert asked == b'{"product": "Zo\\u00eb", "token": "to\\"ken"}\n'
