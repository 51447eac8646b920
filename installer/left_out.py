"""What the frozen programs do without. Read by ``bridgework.spec``; a test imports every module of
ours with these missing."""

from __future__ import annotations

LEFT_OUT = (
    "tkinter", "pytest", "_pytest", "pip", "setuptools", "PySide6.QtQml", "PySide6.QtQuick",
    # Where a number is registered and with whom: a third of the package, and nothing here asks.
    "phonenumbers.geodata", "phonenumbers.carrierdata", "phonenumbers.tzdata",
)  # fmt: skip
