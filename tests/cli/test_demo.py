"""``bridgework demo --once``: the whole product, seen from outside."""

from __future__ import annotations

import json
import subprocess
import sys


def test_the_scenario_ends_with_every_record_agreeing() -> None:
    command = [sys.executable, "-m", "agent", "demo", "--once", "--json", "--patients", "60"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["agrees"] is True
    assert len(told["steps"]) >= 15
    assert all(step["after_ms"] is not None for step in told["steps"])
    traceless = {step["what"] for step in told["steps"] if step["traceless"]}
    assert traceless >= {"edited without a stamp", "deleted without a trace"}
    assert sum(line["checked"] for line in told["compared"]["streams"]) > 1000
