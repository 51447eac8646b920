"""The reference CRM: the CRM Sync API over one SQLite file, with a page to look at.

For demos, tests and pilots on one machine. Must not import the engine, the journal or the runtime:
it is the other side of the wire and knows only the contract in ``assets/openapi/crm-sync.yaml``.
"""

from __future__ import annotations

from agent.sandbox.crm.core import CrmSettings, StoreBusy
from agent.sandbox.crm.faults import Fault, FaultKind
from agent.sandbox.crm.server import CrmServer

__all__ = ["CrmServer", "CrmSettings", "Fault", "FaultKind", "StoreBusy"]
