"""One package per practice system. May import agent.model, agent.ports, agent.errors only."""
