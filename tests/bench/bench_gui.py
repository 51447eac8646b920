"""The window: how soon it can be used, what it weighs, what it costs at rest, how it scrolls.

``python -m tests.bench.bench_gui [--quick] [--json]``

A real agent with a sample practice and 100,000 lines of activity; the desktop as a process of its
own on a screen that is not seen (software painting, as in a remote session). Baseline: an empty
window of the same Qt.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from agent.cli.stage import Stage
from tests.bench.rig import can_keep, emit, show, tell

ROUNDS = 3
LINES = 100_000


def _child(home: Path, what: str, rest_s: float) -> dict[str, float]:
    root = Path(__file__).resolve().parents[2]
    environ = {**os.environ, "PYTHONPATH": str(root), "REST_S": str(rest_s)}
    command = [sys.executable, "-m", "tests.bench.gui_process", str(home), what]
    done = subprocess.run(
        command,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _fill(file: Path) -> None:
    """Lines of a busy fortnight, written while no agent runs."""
    with sqlite3.connect(file) as db:
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " INSERT INTO activity(at, code, stream, count, facts)"
            " SELECT (unixepoch() - (? - i) * 12) * 1000000, 'sent.records',"
            " (SELECT min(id) FROM stream) + i % 10, 1 + i % 40,"
            """ '{"keys":" ' || i || ' ","ms":' || (30 + i % 90) || ',"timed":1,"most_ms":120}'"""
            " FROM n",
            (LINES - 1, LINES),
        )


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    rest_s = 8.0 if asked.quick else 30.0
    place = tempfile.TemporaryDirectory(prefix="bridgework-bench-")
    with place as folder, Stage(Path(folder), patients=60) as stage:
        stage.start_agent()
        stage.wait_loaded(120)
        stage.stop_agent()
        _fill(stage.paths.journal_file())
        stage.start_agent()
        stage.wait_loaded(120)
        home = stage.paths.home
        tell("open ...")
        bare = [_child(home, "bare", rest_s) for _ in range(ROUNDS)]
        opened = [_child(home, "open", rest_s) for _ in range(ROUNDS)]
        tell("rest ...")
        rest = _child(home, "rest", rest_s)
        tell("scroll ...")
        scroll = _child(home, "scroll", rest_s)
    found = {
        "usable_s": median(o["usable_s"] for o in opened),
        "bare_usable_s": median(o["usable_s"] for o in bare),
        "imported_s": median(o["imported_s"] for o in opened),
        "rss_mb": median(o["rss_mb"] for o in opened),
        "bare_rss_mb": median(o["rss_mb"] for o in bare),
        **{k: rest[k] for k in ("rss_all_mb", "cpu_open", "cpu_icon")},
        **{k: v for k, v in scroll.items() if "_ms" in k or k in {"rows", "rss_scrolled_mb"}},
    }
    show(
        "the window",
        ("what", "measured", "target or baseline"),
        [
            ("answer to usable", f"{found['usable_s']:.2f} s", "1.0 s"),
            ("an empty Qt window", f"{found['bare_usable_s']:.2f} s", ""),
            ("imports before that", f"{found['imported_s']:.2f} s", ""),
            ("memory, overview", f"{found['rss_mb']:.0f} MB", f"Qt: {found['bare_rss_mb']:.0f} MB"),
            ("memory, all tabs", f"{found['rss_all_mb']:.0f} MB", "120 MB"),
            ("memory, scrolled", f"{found['rss_scrolled_mb']:.0f} MB", "120 MB"),
            ("CPU, overview open", f"{found['cpu_open']:.2%}", "0.5 %"),
            ("CPU, icon alone", f"{found['cpu_icon']:.2%}", "0.5 %"),
            *(
                (
                    f"{what} of {found['rows']:,.0f} lines",
                    f"{found[f'{name}_p50_ms']:.1f} / {found[f'{name}_p95_ms']:.1f}"
                    f" / {found[f'{name}_most_ms']:.1f} ms",
                    "p50 / p95 / most",
                )
                for name, what in (
                    ("frame", "frame, scrolling"),
                    ("jump", "frame, jumping"),
                    ("filled", "lines there after a jump"),
                )
            ),
        ],
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter rest")
    parser.add_argument("--json", action="store_true", help="one JSON object at the end")
    can_keep(parser)
    asked = parser.parse_args()
    emit(measure(asked), asked)


if __name__ == "__main__":
    main()
