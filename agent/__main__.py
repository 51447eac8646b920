"""``python -m agent`` is ``bridgework``."""

from __future__ import annotations

from agent.cli import main

if __name__ == "__main__":
    main(prog_name="bridgework")
