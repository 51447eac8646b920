"""The control channel: protocol, server, client. May import agent.model only."""
