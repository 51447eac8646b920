"""A stand-in for the Open Dental API, for tests."""

from __future__ import annotations

from tests.support.odapi.faults import Fault, Faults
from tests.support.odapi.gates import Mode, Permission, Tier
from tests.support.odapi.office import TABLES
from tests.support.odapi.server import Database, StandIn

__all__ = ["TABLES", "Database", "Fault", "Faults", "Mode", "Permission", "StandIn", "Tier"]
