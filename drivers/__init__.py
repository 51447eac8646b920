"""Drivers: one package per practice system. May import agent.model, agent.ports and agent.errors only."""
