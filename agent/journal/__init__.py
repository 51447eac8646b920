"""The journal: the only SQL against our own SQLite.

May import agent.model, agent.errors, agent.ports and nothing else of ours.
"""
