"""A sample practice in Open Dental's layout: created, then kept alive as a front desk would.

Nothing here is imported by the engine. It may import ``agent.model`` and ``agent.errors`` only.
"""
