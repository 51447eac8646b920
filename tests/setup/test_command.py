"""``bridgework setup`` as IT runs it (answers in a file) and as a person does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.cli import setup_cmd
from agent.cli.stage import Stage
from agent.config import Paths
from agent.errors import ExitCode
from tests.setup.conftest import Bridgework

Answers = Callable[..., dict[str, Any]]
FileOf = Callable[[dict[str, Any]], Path]


def test_one_file_sets_it_up_and_twice_does_nothing_twice(
    bridgework: Bridgework, answers: Answers, file_of: FileOf
) -> None:
    file = file_of(answers(conflicts={"contact": {"policy": "crm"}}))
    first = bridgework("setup", "--answers", file)
    assert first.exit_code == ExitCode.OK, first.output
    assert "Link to the CRM                     done: Willow Creek Dental" in first.stdout
    # The code is spent, and nobody asks for another.
    second = bridgework("setup", "--answers", file, "--json")
    told = json.loads(second.stdout)
    assert (second.exit_code, told["finished"]) == (0, True)
    assert {s["step"]: s["code"] for s in told["steps"]}["pair"] == "setup.kept"


def test_it_goes_on_at_the_first_missing_step(
    bridgework: Bridgework, answers: Answers, file_of: FileOf
) -> None:
    half = bridgework("setup", "--answers", file_of(answers(proof=None)), "--json")
    told = json.loads(half.stdout)
    assert half.exit_code == ExitCode.ACTION
    assert told["error"]["code"] == "setup.answer_missing"
    assert told["next"] == "proof"
    rest = bridgework("setup", "--answers", file_of({"proof": {"accept": True}}))
    assert rest.exit_code == ExitCode.OK, rest.output


@pytest.mark.parametrize(
    ("sections", "code", "exit_code"),
    [
        ({"pair": {}}, "setup.answer_missing", ExitCode.ACTION),
        ({"proof": {"accept": True, "patients_at_least": 9999}}, "setup.too_few_patients",
         ExitCode.ACTION),
        ({"pms": {"kind": "opendental", "host": "no-such-server.invalid", "password": "hunter2"}},
         "setup.place_fails", ExitCode.PMS),
        ({"conflicts": {"identity": {"policy": "crm"}}}, "setup.policy_not_possible",
         ExitCode.ACTION),
        ({"hours": {"hours": "nine to five"}}, "config.bad_value", ExitCode.USAGE),
    ],
)  # fmt: skip
def test_where_it_stops_is_said(
    bridgework: Bridgework, answers: Answers, file_of: FileOf, paths: Paths,
    sections: dict[str, Any], code: str, exit_code: ExitCode,
) -> None:  # fmt: skip
    done = bridgework("setup", "--answers", file_of(answers(**sections)), "--json")
    assert (done.exit_code, json.loads(done.stdout)["error"]["code"]) == (exit_code, code)
    assert "hunter2" not in done.output
    if paths.config_file.exists():
        assert "hunter2" not in paths.config_file.read_text(encoding="utf-8")


def test_another_practice_is_refused_and_forgotten(
    bridgework: Bridgework, answers: Answers, file_of: FileOf, box: Stage
) -> None:
    pair = {"url": box.crm.url, "code": box.crm.new_code(), "practice": "Elm St Dental"}
    done = bridgework("setup", "--answers", file_of(answers(pair=pair)))
    assert done.exit_code == ExitCode.ACTION
    assert "Willow Creek Dental" in done.stderr
    assert bridgework("pair", "--status").exit_code == ExitCode.ACTION


def test_a_wrong_file_is_one_line(bridgework: Bridgework, file_of: FileOf) -> None:
    done = bridgework("setup", "--answers", file_of({"pair": {"cod": "hunter2"}}))
    assert (done.exit_code, done.stderr.count("\n")) == (ExitCode.USAGE, 1)
    assert "pair" in done.stderr
    assert "hunter2" not in done.stderr
    assert bridgework("setup", "--answers", "nowhere.json").exit_code == ExitCode.USAGE


def test_a_conversation(
    bridgework: Bridgework, box: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bridgework("setup").exit_code == ExitCode.USAGE  # nobody to ask
    monkeypatch.setattr(setup_cmd, "_is_terminal", lambda: True)
    offered = json.loads(bridgework("setup", "--find", "--json").stdout)
    kinds = [kind["kind"] for kind in offered["kinds"]]
    sample = str(len(offered["found"]) + kinds.index("sample") + 1)
    said = [
        box.crm.url, "WRONG-CODE", "y",  # refused, and asked again
        box.crm.url, box.crm.new_code(), "y",
        sample, str(box.practice_file),  # the sample practice
        "y",  # it is ours
        "y", *[""] * 12, "y",  # send all; statuses as they are; the CRM may write
    ]  # fmt: skip
    talk = bridgework("setup", input="\n".join(said))
    assert "This code belongs to Willow Creek Dental" in talk.stdout
    assert "Is this your practice?" in talk.stdout
    assert "20  patients" in talk.stdout
    assert bridgework("setup", "--status").stdout.startswith("ok  Link to the CRM")
