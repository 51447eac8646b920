"""bridgework.exe: the command line, and the Windows service when the system starts it.

``bridgework.exe -m agent.sandbox.compare ...`` runs a module of ours as Python would: the program
starts parts of itself as processes of their own, packed or not, with the same words.
"""

from __future__ import annotations

import multiprocessing
import runpy
import sys

OURS = ("agent", "drivers")


def run_module(words: list[str]) -> None:
    name = words[0]
    if name.partition(".")[0] not in OURS:
        sys.exit(f"bridgework: {name} is no part of this program")
    sys.argv = [name, *words[1:]]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    multiprocessing.freeze_support()
    if sys.argv[1:2] == ["-m"] and len(sys.argv) > 2:
        run_module(sys.argv[2:])
    else:
        from agent.cli import main

        main(prog_name="bridgework")
