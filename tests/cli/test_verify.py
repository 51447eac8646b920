"""``bridgework verify`` as a person runs it: the sample practice, the report, its signature."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def bridgework(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agent", "--home", str(home), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)


def test_the_five_tests_pass_on_the_sample_practice(tmp_path: Path) -> None:
    done = bridgework(tmp_path / "home", "verify", "--sample", "--json",
                      "--out", str(tmp_path / "reports"))  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    told = json.loads(done.stdout)
    assert told["genuine"]
    assert [proof["test"] for proof in told["report"]["proofs"] if proof["passed"]] == [
        "new_patient", "booking", "cancellation", "ownership", "crowd",
    ]  # fmt: skip
    assert told["report"]["left_behind"] == 0
    assert all(Path(file).stat().st_size > 500 for file in told["files"])
    # Another installation did not sign it.
    checked = bridgework(tmp_path / "other", "verify", "--check", told["files"][0])
    assert checked.returncode != 0


def test_without_a_test_operatory_nothing_is_touched(tmp_path: Path) -> None:
    done = bridgework(tmp_path / "home", "verify")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "not set up" in done.stderr  # said, and at once: nobody waits for what will not come
