"""Starting the agent from the desktop, where no service does.

A single-user installation has no service: there the window starts the agent as a process of its
own, which outlives it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PySide6.QtCore import QProcess

_BESIDE = "bridgework.exe"


def command(home: Path) -> list[str]:
    beside = Path(sys.executable).with_name(_BESIDE)
    program = [str(beside)] if beside.exists() else [sys.executable, "-m", "agent"]
    return [*program, "--home", str(home), "run", "--quiet"]


def start(home: Path) -> bool:
    """False when it could not be started at all; whether it runs is told by the line."""
    program, *arguments = command(home)
    process = QProcess()
    process.setProgram(program)
    process.setArguments(arguments)
    # Its own log tells what it does; a closed console must not end it.
    process.setStandardOutputFile(QProcess.nullDevice())
    process.setStandardErrorFile(QProcess.nullDevice())
    started, _ = process.startDetached()
    return bool(started)
