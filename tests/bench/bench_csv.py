"""A CSV file of 200,000 rows brought in: how long its preview takes, and the agent's memory.

``python -m tests.bench.bench_csv [--rows N]``

A running agent with a small sample practice; rows are new people, changes and numbers that nobody
has. The baseline is the same command with a file of one row.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from agent.cli.stage import Stage


def write(path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("Patient No,Last Name,First Name,Date of Birth,Cell Phone,Email,Zip\n")
        for n in range(rows):
            phone = f"212-555-{n % 10_000:04d}"
            if n % 40 == 0:
                file.write(f"{n % 60 + 1},,,,,,{80_000 + n % 1000}\n")
            elif n % 7 == 0:
                file.write(f",Newer{n % 5000:05d}x,Ann{n},1980-01-{n % 28 + 1:02d},{phone},,\n")
            else:
                file.write(f"{1000 + n},Doe,Ann,1980-01-01,{phone},d{n}@x.example,10001\n")


def preview(stage: Stage, path: Path) -> tuple[float, float, dict[str, int]]:
    """(seconds, highest memory of the agent in MB, counts)."""
    agent = psutil.Process(stage._agent.pid)  # type: ignore[union-attr]
    command = [sys.executable, "-m", "agent", "--home", str(stage.paths.home), "csv", "import",
               str(path), "--rows", "0", "--json"]  # fmt: skip
    started, highest = time.monotonic(), 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
        while running.poll() is None:
            highest = max(highest, agent.memory_info().rss / 1e6)
            time.sleep(0.05)
        assert running.stdout is not None
        told = json.loads(running.stdout.read())
    return time.monotonic() - started, highest, told["counts"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    wish = parser.parse_args()
    os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
    with tempfile.TemporaryDirectory() as folder, Stage(Path(folder), patients=60) as stage:
        stage.start_agent()
        stage.wait_loaded(120)
        for rows in (1, wish.rows):
            path = Path(folder) / f"{rows}.csv"
            write(path, rows)
            seconds, highest, counts = preview(stage, path)
            print(f"{rows:>9,} rows  {seconds:6.1f} s  agent {highest:4.0f} MB  {counts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
