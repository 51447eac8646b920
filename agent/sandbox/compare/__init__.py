"""The independent comparer: does the CRM hold what the practice holds, record by record?

Plain SQL on both sides and rules of its own. Must import nothing of the agent's engine, drivers or
data map: what they get wrong, this has to find. ``agent.model.streams`` gives the streams' names.
"""

from __future__ import annotations

from agent.sandbox.compare.report import Example, Report, StreamReport
from agent.sandbox.compare.walk import compare

__all__ = ["Example", "Report", "StreamReport", "compare"]
