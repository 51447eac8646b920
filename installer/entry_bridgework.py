"""bridgework.exe: the command line, and the Windows service when the system starts it."""

from __future__ import annotations

import multiprocessing

from agent.cli import main

if __name__ == "__main__":
    multiprocessing.freeze_support()
    main(prog_name="bridgework")
