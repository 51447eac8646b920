"""Bridgework: the headless agent. Nothing below may import Qt or the gui package."""

__version__ = "0.1.0"
