"""The rooms of the suite that run on a Windows Python, and what of them is left out, with reasons.

python -m tests.wine.rooms    all of them, on a real Windows

Paths, locks, rights, registry, files, the named pipe, the journal, what people ask, updates; the
CRM's line, all of sync, the command line; drivers that need no server. Rooms that need a screen or
a database server stay on Linux.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

import pytest

ROOMS = {
    "foundation": (
        "tests/config", "tests/csvio", "tests/support", "tests/control/test_pipe.py",
        "tests/control/test_events.py", "tests/updates", "tests/runtime/test_power.py",
        "tests/desk", "tests/journal",
    ),
    "sync": ("tests/crm", "tests/sync", "tests/cli"),
    "drivers": ("tests/drivers", "tests/setup", "tests/runtime", "tests/fallback"),
}  # fmt: skip
AT_LEAST = {"foundation": 750, "sync": 1150, "drivers": 350}
# Thousands of crashes over a file layer of their own, the same on every system; SIGKILL; servers
# and drivers of Linux; a maker's program played by a script.
LEFT_OUT = (
    "tests/journal/test_crash_points.py", "tests/journal/test_pull_crash_points.py",
    "tests/journal/test_bit_flips.py", "tests/journal/test_kills.py",
    "tests/drivers/odbc", "tests/runtime/test_signin.py",
)  # fmt: skip
# Expressions of pytest's -k.
NOT_ON_WINDOWS = {
    "does_not_read": "speaks to a Unix socket itself",
    "never_reads": "speaks to a Unix socket itself",
    "programs_beside_ours": "starts a program of Linux",
    "a_backup_at_work": "starts a program of Linux",
    "restart_that_an_update_waits_for": "a file of Debian's says so",
    "test_causes and a_full_disk": "/dev/full",
}
NOT_UNDER_WINE = {
    "only_one_agent_has_the_name": "a second pipe gets the name of the first",
    "trusted_only_through_the_ca_file": "no chain engine with roots of one's own",
    "proxys_tunnel": "no chain engine with roots of one's own",
    "its_refusal_is_named and tunnel": "no chain engine with roots of one's own",
    "stops_cleanly_within_two_seconds": "no console to break in",
}


def options(left_out: Iterable[str]) -> list[str]:
    """For pytest, beside the rooms."""
    return [
        "-q", "-p", "no:cacheprovider", "-p", "no:pytestqt", "-c", "pyproject.toml",
        "-o", "addopts=", "-o", "qt_api=", "-o", "filterwarnings=default",
        "-m", "not mariadb and not slow and not bench and not odbc",
        "-k", " and ".join(f"not ({each})" for each in left_out),
        *(f"--ignore={file}" for file in LEFT_OUT),
    ]  # fmt: skip


if __name__ == "__main__":
    every = [room for rooms in ROOMS.values() for room in rooms]
    sys.exit(pytest.main([*options(NOT_ON_WINDOWS), *every]))
