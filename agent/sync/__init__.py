"""Decisions of the sync engine, pure where possible.

May import agent.model, agent.ports, agent.errors and agent.journal; never drivers, crm or runtime.
"""
