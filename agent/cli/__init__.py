"""The command line's root. Commands load lazily: ``bridgework --help`` imports none of them.

Must not import drivers; commands reach them through agent.runtime.
"""

from __future__ import annotations

from agent.cli.root import App, main

__all__ = ["App", "main"]
