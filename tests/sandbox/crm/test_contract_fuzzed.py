"""The served contract under schemathesis: no answer the file does not promise, no server error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.sandbox.crm import CrmServer, CrmSettings
from agent.sandbox.crm.people import Said
from tests.sandbox.crm.contract import FILE, Contract
from tests.sandbox.crm.desk import Desk, stored

_HERE = Path(__file__).parent


def fuzz(tmp_path: Path, examples: int, seed: int) -> None:
    settings = CrmSettings(longest_wait_s=0.05)
    with CrmServer(tmp_path / "crm.db", settings=settings) as server:
        desk = Desk(server)
        token = desk.http.headers["Authorization"]
        desk.push(*[desk.change("recall", str(n), {"patient_key": "1"}) for n in range(7)])
        desk.close()
        commands = [server.send_command("appointment.book", {}) for _ in range(40)]
        server.add_contact(Said("Tester", "Ada"))
        before = server.core.intake.ack_seq
        answer = subprocess.run(
            [
                sys.executable, "-m", "schemathesis.cli", "--config-file",
                str(_HERE / "schemathesis.toml"), "run", str(FILE), "--url", server.url,
                "-H", f"Authorization: {token}", "--max-examples", str(examples),
                "--seed", str(seed), "--no-color",
            ],
            cwd=tmp_path,
            env={
                **os.environ,
                "SCHEMATHESIS_HOOKS": "tests.sandbox.crm.fuzz_hooks",
                "FUZZED_COMMANDS": " ".join(commands),
                "PYTHONPATH": str(FILE.parents[2]),
            },
            capture_output=True,
            text=True,
            timeout=300,
        )  # fmt: skip
        # The end says what failed and how to repeat it.
        assert answer.returncode == 0, answer.stdout[-6000:] + answer.stderr[-2000:]
        operations = sum(len(item) for item in Contract().spec["paths"].values())
        assert f"Tested: {operations}" in answer.stdout
        told = stored(server, "SELECT count(*) FROM command WHERE told_us > 0")
        assert told > [(0,)], "generated results reached commands"
        assert server.core.intake.ack_seq > before + 10, "generated pushes reached the store"


def test_the_served_contract_holds(tmp_path: Path) -> None:
    fuzz(tmp_path, examples=4, seed=1)


@pytest.mark.slow
def test_the_served_contract_holds_longer(tmp_path: Path) -> None:
    fuzz(tmp_path, examples=40, seed=2)
