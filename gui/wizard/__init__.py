"""The first-run wizard's window: a page a step. What is decided, is decided by the agent's flow."""
